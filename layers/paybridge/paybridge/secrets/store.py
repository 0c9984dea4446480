"""Roles of PostgreSQL: the one that the functions log in as, its password and its rights.

Roles are changed by DDL, which takes no parameters. So the server itself quotes each name. Of a password it sees the
SCRAM verifier only, so that no log of statements holds a password.
"""

from __future__ import annotations

import base64

from scramp import ScramMechanism

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.services import SERVICES, role_of

# "role" in ASCII. Any number will do that no other lock uses.
ROLES_LOCK = 0x726F6C65
# PostgreSQL's default. The passwords are long and random, so more iterations would only add latency.
SCRAM_ITERATIONS = 4096

_LOCK = Statement("SELECT pg_advisory_xact_lock(:key::bigint)")
_QUOTED = Statement("SELECT format(:template::text, VARIADIC :values::text[])")
_EXISTS = Statement("SELECT count(*) = 1 FROM pg_roles WHERE rolname = :role::text AND rolcanlogin")
_NAME_IS_TAKEN = Statement("SELECT count(*) = 1 FROM pg_roles WHERE rolname = :role::text")
_IS_MEMBER = Statement("""
    SELECT count(*) > 0 FROM pg_auth_members
    WHERE roleid = :role::text::regrole AND member = :member::text::regrole
      AND (to_jsonb(pg_auth_members) ->> 'set_option') IS DISTINCT FROM 'false'
""")
_DATABASE = Statement("SELECT current_database()")
_SELF = Statement("SELECT current_user::text")

# Objects that the administrator created in the database, by hand or by an earlier way of migrating. Only the owner of a
# table can add partitions to it. Objects of an extension stay with the extension.
_OWNED_BY_ADMIN = Statement("""
    WITH ours AS (
        SELECT oid, nspname, nspowner FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    )
    SELECT CASE o.kind WHEN 'p' THEN format('ALTER TABLE %s OWNER TO %I', o.id::regclass, :role::text)
                       WHEN 'n' THEN format('ALTER SCHEMA %s OWNER TO %I', o.id::regnamespace, :role::text)
                       ELSE format('ALTER ROUTINE %s OWNER TO %I', o.id::regprocedure, :role::text) END
    FROM (
        SELECT 'pg_class'::regclass AS catalog, oid AS id, relowner AS owner, 'p' AS kind FROM pg_class
        WHERE relnamespace IN (SELECT oid FROM ours) AND relkind IN ('r', 'p', 'v', 'm')
        UNION ALL
        SELECT 'pg_class'::regclass, s.oid, s.relowner, 'p' FROM pg_class s
        WHERE s.relnamespace IN (SELECT oid FROM ours) AND s.relkind = 'S'
          -- A column's own sequence goes with its table.
          AND NOT EXISTS (SELECT FROM pg_depend d
                          WHERE d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i'))
        UNION ALL
        SELECT 'pg_proc'::regclass, oid, proowner, 'f' FROM pg_proc WHERE pronamespace IN (SELECT oid FROM ours)
        UNION ALL
        SELECT 'pg_namespace'::regclass, oid, nspowner, 'n' FROM ours WHERE nspname <> 'public'
    ) o
    WHERE o.owner = current_user::regrole AND current_user <> :role::text
      AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = o.catalog AND d.objid = o.id AND d.deptype = 'e')
    -- A schema first, because its owner alone may own what is in it.
    ORDER BY o.kind <> 'n', o.kind, o.id
""")


def scram_verifier(password: str) -> str:
    """Return what PostgreSQL stores of a password: enough to check it, not enough to log in with."""
    salt, stored_key, server_key, iterations = ScramMechanism().make_auth_info(password, SCRAM_ITERATIONS)
    parts = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def change_password(database: Database, role: str, password: str) -> None:
    """Change the password of a role, which a role may do for itself. Open sessions stay open."""
    with database.transaction() as transaction:
        _set_password(transaction, role, password)


def ensure_role(admin: Database, role: str, password: str) -> bool:
    """Create the role, without rights, unless it exists and may log in. Return whether it was created.

    Safe to run concurrently. Raises QueryFailed if the administrator may not create it.
    """
    with admin.transaction() as transaction:
        transaction.run(_LOCK, key=ROLES_LOCK)
        if transaction.run(_EXISTS, role=role)[0][0]:
            return False
        is_taken = transaction.run(_NAME_IS_TAKEN, role=role)[0][0]
        _do(transaction, "ALTER ROLE %I LOGIN" if is_taken else "CREATE ROLE %I LOGIN", role)
        _set_password(transaction, role, password)
        return True


def ensure_rights(admin: Database, role: str) -> int:
    """Let the role connect, create schemas and tables, and make it the owner of the administrator's objects.

    Return the number of objects that changed owners. Safe to run concurrently. Raises QueryFailed if the administrator
    may not.
    """
    with admin.transaction() as transaction:
        transaction.run(_LOCK, key=ROLES_LOCK)
        database: str = transaction.run(_DATABASE)[0][0]
        _do(transaction, "GRANT CONNECT, CREATE ON DATABASE %I TO %I", database, role)
        _do(transaction, "GRANT USAGE, CREATE ON SCHEMA public TO %I", role)
        changes = [change for (change,) in transaction.run(_OWNED_BY_ADMIN, role=role)]
        if changes:
            # Without superuser, ownership can only be given to a role you are a member of.
            _do(transaction, "GRANT %I TO CURRENT_USER", role)
            for change in changes:
                transaction.run(Statement(change))
            _do(transaction, "REVOKE %I FROM CURRENT_USER", role)
        return len(changes)


def own_role(database: Database) -> str:
    """Return the role that the login is."""
    return str(database.run(_SELF)[0][0])


def ensure_service_roles(admin: Database, role: str) -> int:
    """Create the role of each service, without login and rights, and let `role` work as it. Return how many are new.

    Safe to run concurrently. Raises QueryFailed if the administrator may not.
    """
    created = 0
    with admin.transaction() as transaction:
        transaction.run(_LOCK, key=ROLES_LOCK)
        for service in SERVICES.values():
            name = role_of(role, service)
            if not transaction.run(_NAME_IS_TAKEN, role=name)[0][0]:
                _do(transaction, "CREATE ROLE %I NOLOGIN", name)
                created += 1
            if not transaction.run(_IS_MEMBER, role=name, member=role)[0][0]:
                _do(transaction, "GRANT %I TO %I", name, role)
    return created


def _set_password(transaction: Transaction, role: str, password: str) -> None:
    _do(transaction, "ALTER ROLE %I PASSWORD %L", role, scram_verifier(password))


def _do(transaction: Transaction, template: str, *values: str) -> None:
    sql: str = transaction.run(_QUOTED, template=template, values=list(values))[0][0]
    transaction.run(Statement(sql))
