"""Rotate a login in the four steps of Secrets Manager.

Secrets Manager calls the steps in order, each with the id of the version that will become current, and starts over if
one fails. So every step checks what is done already, and may be killed anywhere.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from paybridge.core.errors import RotationRefused
from paybridge.secrets.ports import CURRENT, PENDING, Login, RotatedLogin, SecretVersions


@dataclass(frozen=True, slots=True)
class Rotation:
    """One secret and the login in it."""

    versions: SecretVersions
    login: RotatedLogin
    new_password: Callable[[], str]


def rotate(rotation: Rotation, step: str, version: str) -> None:
    """Take one step toward making the version current. Do nothing if it is current already.

    Raises RotationRefused for a step, a secret or a version that is not in rotation, and Unavailable if something is
    down: Secrets Manager then retries.
    """
    take = _STEPS.get(step)
    if take is None:
        raise RotationRefused(f"A rotation has no step {step!r}.")
    if not _is_current(rotation.versions, version):
        take(rotation, version)


def _is_current(versions: SecretVersions, version: str) -> bool:
    stages = versions.stages().get(version)
    if stages is None:
        raise RotationRefused(f"The secret has no version {version}: start a rotation with RotateSecret.")
    if CURRENT in stages:
        return True
    if PENDING not in stages:
        raise RotationRefused(f"The version {version} is not at {PENDING}: its rotation was cancelled.")
    return False


def _create(rotation: Rotation, version: str) -> None:
    if rotation.versions.login_of(version) is None:
        current = _current(rotation)
        login = Login(rotation.login.next_username(current.username), rotation.new_password())
        rotation.versions.keep_pending(version, login)


def _set(rotation: Rotation, version: str) -> None:
    rotation.login.change(_current(rotation), _pending(rotation, version))


def _test(rotation: Rotation, version: str) -> None:
    # Secrets Manager takes only this step when a schedule is created, to check that the function works. AWS does not
    # say whether the version then holds anything. Without a new login, the current one proves it as well.
    rotation.login.test(rotation.versions.login_of(version) or _current(rotation))


def _finish(rotation: Rotation, version: str) -> None:
    # A login that does not work must not become current, whichever steps came before.
    rotation.login.test(_pending(rotation, version))
    rotation.versions.make_current(version)


def _current(rotation: Rotation) -> Login:
    [version] = [version for version, stages in rotation.versions.stages().items() if CURRENT in stages]
    login = rotation.versions.login_of(version)
    if login is None:
        raise RotationRefused("The secret's current version is empty: put a username and a password into it.")
    return login


def _pending(rotation: Rotation, version: str) -> Login:
    login = rotation.versions.login_of(version)
    if login is None:
        raise RotationRefused(f"The version {version} is empty: createSecret comes first.")
    return login


_STEPS: dict[str, Callable[[Rotation, str], None]] = {
    "createSecret": _create,
    "setSecret": _set,
    "testSecret": _test,
    "finishSecret": _finish,
}
