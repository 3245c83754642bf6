"""Labels made of names: `health_url` is "Health URL" wherever it is shown (pure)."""

from __future__ import annotations

import re

ACRONYMS = {
    name.lower(): name
    for name in (
        "API", "CPU", "CSV", "DNS", "GraphQL", "HMAC", "HTML", "HTTP", "HTTPS", "ID", "IP", "JSON",
        "OAuth", "SQL", "SSL", "TLS", "TTL", "URI", "URL", "UTC", "UUID",
    )
}  # fmt: skip
_PLURALS = {f"{name}s": f"{word}s" for name, word in ACRONYMS.items()}
_WORD = re.compile(r"[A-Za-z]+")


def with_acronyms(text: str) -> str:
    """Return a text with its acronyms as they are written."""
    return _WORD.sub(lambda word: _written(word.group()), text)


def label_of(name: str) -> str:
    """Return the label of a field of that name."""
    words = with_acronyms(name.replace("_", " ").strip())
    return words[:1].upper() + words[1:]


def _written(word: str) -> str:
    lower = word.lower()
    return ACRONYMS.get(lower) or _PLURALS.get(lower) or word
