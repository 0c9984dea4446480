"""Keys: how they are written, and what happens without one."""

from __future__ import annotations

from collections.abc import Iterator

from ..api import Api, listed, new_key, new_marker
from ..counting import made
from ..links import leads_somewhere
from ..rules import Finding, judged, not_applicable


def check_keys(api: Api) -> Iterator[Finding]:
    """See which spellings of a key are taken."""
    if api.is_bare:
        yield judged("quoted-key", False, "a key in double quotes was refused, the same without them accepted")
    else:
        yield judged("quoted-key", True, "accepted")
    yield _escaped(api)
    yield _malformed(api)
    yield _repeated(api)


def _escaped(api: Api) -> Finding:
    if api.is_bare or not api.settings.takes_escapes:
        reason = "keys in double quotes are refused" if api.is_bare else "by the settings, keys have no such characters"
        return not_applicable("escaped-key", reason)
    key = f'a"b\\c-{new_key()}'
    answer = api.create(key, new_marker())
    return judged("escaped-key", answer.is_success, f"{api.spelled(key)} was answered {answer}")


def _malformed(api: Api) -> Finding:
    marker = new_marker()
    answers = [api.create_raw(field, marker) for field in api.settings.malformed_keys]
    api.errors += answers
    seen = "; ".join(
        f"{field} was answered {answer}" for field, answer in zip(api.settings.malformed_keys, answers, strict=True)
    )
    count = api.count(marker)
    is_kept = all(answer.is_refusal for answer in answers) and not count
    return judged("malformed-key", is_kept, seen + (f"; {made(count)}" if count else ""))


def _repeated(api: Api) -> Finding:
    if not api.settings.key_required:
        return not_applicable("repeated-header", "the key is optional, and a field that is no String is ignored")
    marker = new_marker()
    answer = api.create([new_key(), new_key()], marker)
    count = api.count(marker)
    seen = f"two headers were answered {answer}" + (f"; {made(count)}" if count else "")
    return judged("repeated-header", answer.is_refusal and not count, seen)


def check_missing_key(api: Api) -> Iterator[Finding]:
    """Leave the key out."""
    if not api.settings.key_required:
        for rule_id in ("key-required", "key-required-link"):
            yield not_applicable(rule_id, "by the settings, the key is optional")
        return
    marker = new_marker()
    answer = api.create(None, marker)
    count = api.count(marker)
    seen = f"answered {answer}" + (f"; {made(count)}" if count else "")
    yield judged("key-required", answer.status == 400 and not count, seen)
    if not answer.is_refusal:
        yield not_applicable("key-required-link", f"a request without the key was answered {answer}")
        return
    api.errors.append(answer)
    yield judged("key-required-link", *leads_somewhere(api, answer))


def check_new_keys(api: Api) -> Iterator[Finding]:
    """Send one request under two keys."""
    marker = new_marker()
    answers = [api.create(new_key(), marker) for _ in range(2)]
    ids = {api.id_of(answer) for answer in answers} - {None}
    count = api.count(marker)
    is_kept = all(answer.is_success for answer in answers) and len(ids) == 2 and count in (None, 2)
    seen = f"{listed(answers)}; {made(len(ids) if count is None else count)}"
    yield judged("new-key", is_kept, seen)
