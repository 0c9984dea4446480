"""The functions' users on the broker of the offline stack."""

from local.broker_users import TWIN, USERNAME
from paybridge.adapters.rabbitmq.users import TWIN_SUFFIX


def test_the_second_user_has_the_name_that_rotation_looks_for() -> None:
    assert TWIN == USERNAME + TWIN_SUFFIX
