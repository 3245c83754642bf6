"""How long recordings are, and how they are sent (pure)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

# What no codec for speech goes below, and what recordings have as a rule.
LOWEST_BITS_A_SECOND, USUAL_BITS_A_SECOND = 6_000, 64_000
# What a second of audio is at most, and about, where tokens are charged; and of what is said in it.
MOST_TOKENS_A_SECOND, USUAL_TOKENS_A_SECOND, SPOKEN_TOKENS_A_SECOND = 50, 17, 10
_PCM = 1


def most_seconds(content: bytes) -> float:
    """Return the most seconds that a recording can be."""
    exact = _seconds_of_wave(content)
    return len(content) * 8 / LOWEST_BITS_A_SECOND if exact is None else exact


def likely_seconds(content: bytes) -> float:
    """Return about how many seconds a recording is."""
    exact = _seconds_of_wave(content)
    return len(content) * 8 / USUAL_BITS_A_SECOND if exact is None else exact


def _seconds_of_wave(content: bytes) -> float | None:
    """Return how long a WAV file of plain samples is; None where it is none.

    All that follows its head counts as samples, whatever the head says of its length.
    """
    if content[:4] != b"RIFF" or content[8:16] != b"WAVEfmt " or len(content) < 36:
        return None
    form, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", content, 20)
    if form != _PCM or not channels or not rate or bits % 8 or block != channels * bits // 8:
        return None
    return (len(content) - 36) / (rate * block) if block else None


def encode_form(
    fields: Mapping[str, Any], *, name: str, media_type: str, content: bytes, boundary: str
) -> bytes:
    """Return a form with one file as multipart/form-data (RFC 7578); lists are fields of a name."""
    parts: list[bytes] = []
    for key, value in fields.items():
        for each in value if isinstance(value, list) else [value]:
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(key)}"\r\n\r\n'
            parts += [head.encode(), _text(each).encode(), b"\r\n"]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_quoted(name)}"'
        f"\r\nContent-Type: {media_type}\r\n\r\n"
    )
    return b"".join(_all(parts, head.encode(), content, f"\r\n--{boundary}--\r\n".encode()))


def _all(parts: Iterable[bytes], *more: bytes) -> Iterable[bytes]:
    yield from parts
    yield from more


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
