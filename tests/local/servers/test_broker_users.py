"""The functions' users on the broker of the offline stack."""

from __future__ import annotations

from local.servers import broker_users
from paybridge.secrets import broker_users as users


def test_the_second_user_has_the_name_that_rotation_looks_for() -> None:
    assert broker_users.TWIN_SUFFIX == users.TWIN_SUFFIX
