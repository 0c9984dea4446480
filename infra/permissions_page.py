"""Put the table of permissions into `docs/operators/access.md`: `make permissions-docs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from paybridge.access.domain.caller import Role
from paybridge.access.permissions import PERMISSIONS, Permission

PAGE = Path(__file__).resolve().parents[1] / "docs/operators/access.md"
BEGIN, END = "<!-- permissions: begin -->", "<!-- permissions: end -->"


def table(permissions: Mapping[str, Permission]) -> str:
    """Return who may use each route, as a table in Markdown."""
    head = f"| Route | {' | '.join(role.value for role in Role)} |"
    return "\n".join([head, "|---" * (len(Role) + 1) + "|", *(_row(*row) for row in permissions.items())])


def with_table(page: str, permissions: Mapping[str, Permission]) -> str:
    """Return the page with the table between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(permissions)}\n{END}{after}"


def _row(route: str, permission: Permission) -> str:
    return f"| `{route}` | {' | '.join(_cell(permission, role) for role in Role)} |"


def _cell(permission: Permission, role: Role) -> str:
    if permission.is_public:
        return "public"
    if role not in permission.roles:
        return "public locally" if permission.is_public_locally else "-"
    return "own" if role is Role.MERCHANT else "all"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), PERMISSIONS), encoding="utf-8")
