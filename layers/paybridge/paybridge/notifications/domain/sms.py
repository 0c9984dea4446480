"""The length of an SMS: 160 septets of the GSM alphabet or 70 units of UCS-2, and less for each of several segments.

The alphabet is that of GSM 03.38 (3GPP TS 23.038) without national tables, as Amazon SNS sends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from paybridge.notifications.domain.texts import ELLIPSIS

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
# Each is an escape and a second septet.
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")


@dataclass(frozen=True, slots=True)
class SmsAlphabet:
    """How much one SMS holds, how much each segment of a longer one, and how many segments we pay for at most."""

    name: str
    single_max: int
    segment_max: int
    segments_max: int


GSM_7 = SmsAlphabet("GSM-7", 160, 153, segments_max=1)
# Half of the text fits, so twice the segments keep the same information.
UCS_2 = SmsAlphabet("UCS-2", 70, 67, segments_max=2)


def alphabet_of(text: str) -> SmsAlphabet:
    """Return the alphabet in which the text is sent."""
    return GSM_7 if set(text) <= GSM_BASIC | GSM_EXTENSION else UCS_2


def units_of(text: str) -> int:
    """Return the septets of a text in the GSM alphabet, otherwise its UTF-16 code units."""
    return sum(map(_width(alphabet_of(text)), text))


def segments_of(text: str) -> int:
    """Return how many segments the text is sent in. No character is split between two."""
    alphabet = alphabet_of(text)
    widths = [*map(_width(alphabet), text)]
    return 1 if sum(widths) <= alphabet.single_max else _packed(widths, alphabet.segment_max)


def is_sendable(text: str) -> bool:
    """Return whether the text keeps to the segments of its alphabet."""
    return segments_of(text) <= alphabet_of(text).segments_max


def fit(name: str, message: str) -> str:
    """Return `name: message` in as many segments as its alphabet allows.

    The name is shortened first, then left out, and the end of the message is cut last.
    """
    for length in range(len(name), 0, -1):
        text = f"{_cut(name, length)}: {message}"
        if is_sendable(text):
            return text
    return next(text for length in range(len(message), -1, -1) if is_sendable(text := _cut(message, length)))


def _cut(text: str, length: int) -> str:
    return text if length == len(text) else f"{text[:length].rstrip()}{ELLIPSIS}"


def _width(alphabet: SmsAlphabet) -> Callable[[str], int]:
    if alphabet is UCS_2:
        return lambda character: 2 if ord(character) > 0xFFFF else 1
    return lambda character: 2 if character in GSM_EXTENSION else 1


def _packed(widths: Iterable[int], segment_max: int) -> int:
    segments, used = 1, 0
    for width in widths:
        if used + width > segment_max:
            segments, used = segments + 1, 0
        used += width
    return segments
