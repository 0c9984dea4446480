"""Give the role of each service its rights: its own schema, reading what it learns from, and adding where it counts."""

from __future__ import annotations

from paybridge.database.database import Database
from paybridge.database.services import SERVICES
from paybridge.database.statement import Statement

# "rights" in ASCII. Any number will do that no other lock uses.
_RIGHTS_LOCK = 0x726967687473
_LOCK = Statement("SELECT pg_advisory_xact_lock(:key::bigint)")

_HAS_ROLE = Statement("""
    SELECT to_regrole(quote_ident(current_user || '_' || :service::text)) IS NOT NULL
           AND to_regnamespace(:service::text) IS NOT NULL
""")

# Rows of an immutable table stay as they are. A partition is reached through its table, whose rights count.
_CHANGES = Statement("""
    WITH role AS (SELECT quote_ident(current_user || '_' || :service::text) AS name),
    wanted AS (
        SELECT c.oid, privilege FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
        WHERE c.relnamespace = to_regnamespace(:service::text) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND (privilege IN ('SELECT', 'INSERT')
               OR NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgname = 'immutable_all'))
        UNION ALL
        SELECT to_regclass('public.' || quote_ident(name)), privilege
        FROM (SELECT unnest(:reads::text[]) AS name, 'SELECT' AS privilege
              UNION ALL SELECT unnest(:adds_to::text[]), 'INSERT') AS of_others
        WHERE to_regclass('public.' || quote_ident(name)) IS NOT NULL
    ),
    granted AS (
        SELECT c.oid, given.privilege_type AS privilege FROM pg_class c, aclexplode(c.relacl) AS given
        WHERE given.grantee = (SELECT to_regrole(name) FROM role)
    )
    SELECT format('GRANT %s ON TABLE %s TO %s', privilege, oid::regclass, name)
    FROM (SELECT * FROM wanted EXCEPT SELECT * FROM granted) AS missing, role
    UNION ALL
    SELECT format('REVOKE %s ON TABLE %s FROM %s', privilege, oid::regclass, name)
    FROM (SELECT * FROM granted EXCEPT SELECT * FROM wanted) AS surplus, role
    UNION ALL
    SELECT format('GRANT USAGE ON SCHEMA %I TO %s', :service::text, name) FROM role
    WHERE NOT has_schema_privilege(to_regrole(name), to_regnamespace(:service::text), 'USAGE')
""")


def grant_rights(database: Database) -> list[str]:
    """Give the role of each service exactly its rights, and return the services that have no role or no schema.

    To be run by the owner of the tables after every migration. Safe to repeat, also concurrently.
    """
    missing = []
    with database.transaction() as transaction:
        transaction.run(_LOCK, key=_RIGHTS_LOCK)
        for service in SERVICES.values():
            if not transaction.run(_HAS_ROLE, service=service.name)[0][0]:
                missing.append(service.name)
                continue
            tables = {"reads": list(service.reads), "adds_to": list(service.adds_to)}
            for (change,) in transaction.run(_CHANGES, service=service.name, **tables):
                transaction.run(Statement(change))
    return missing
