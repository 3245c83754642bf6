"""Takes the secrets of a call out of its answer, before anything of it is recorded (pure)."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

from core.vault import Secret
from core.vault.secret import HIDDEN
from registry.exceptions import CallError

# Shorter secrets are taken out only where they stand alone, or "test" would spoil "latest".
STANDS_OUT = 8
# A table: it is looked at with every call, for each character of a secret.
_HEX_IN_ANY_CASE = str.maketrans({digit: f"[{digit}{digit.upper()}]" for digit in "abcdef"})


class Mask:
    """Replaces known secrets by `***`: plain, escaped, URL-encoded, in hex and base64.

    Base64 is found at any offset; a number whose digits hold a secret is replaced too.
    """

    __slots__ = ("_pattern",)

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        forms = {form for secret in secrets for form in _patterns_of(secret.reveal())}
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(ordered)) if ordered else None

    def __repr__(self) -> str:
        return "Mask()"

    def text(self, text: str) -> str:
        """Return the text without the secrets."""
        return self._pattern.sub(HIDDEN, text) if self._pattern else text

    def value(self, value: Any) -> Any:
        """Return the same JSON, its strings and keys without the secrets."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.value(key): self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            shown = str(value)
            return value if self.text(shown) == shown else HIDDEN
        return value

    def error(self, error: CallError) -> CallError:
        """Return the same error, its message and details without the secrets."""
        details = {name: self.value(value) for name, value in error.details.items()}
        return type(error)(self.text(error.message), **details)


NO_MASK = Mask()


def _patterns_of(text: str) -> set[str]:
    if not text:
        return set()
    patterns = {_bounded(form) for form in _spellings(text)}
    in_hex = text.encode().hex()
    # Upper or lower case; four characters of a secret are eight digits, which stand out.
    patterns.add(in_hex.translate(_HEX_IN_ANY_CASE))
    if len(text) >= STANDS_OUT:
        patterns |= {re.escape(form) for form in _in_base64(text)}
    else:
        patterns |= {f"{_bounded(form.rstrip('='))}={{0,2}}" for form in _whole_base64(text)}
    return patterns


def _spellings(text: str) -> set[str]:
    escaped = json.dumps(text)[1:-1]
    forms = {text, escaped, html.escape(text), quote(text), quote(text, safe=""), quote_plus(text)}
    return forms | {form.replace("/", "\\/") for form in forms}


def _bounded(form: str) -> str:
    pattern = re.escape(form)
    return pattern if len(form) >= STANDS_OUT else rf"(?<![A-Za-z0-9]){pattern}(?![A-Za-z0-9])"


def _whole_base64(text: str) -> set[str]:
    """Return the base64 of this text alone, in both alphabets."""
    data = text.encode()
    return {base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()}


def _in_base64(text: str) -> set[str]:
    """Return the part of the base64 of any text around this one that depends on this one alone."""
    data = text.encode()
    forms = _whole_base64(text)
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + data).decode().rstrip("=")
        start = (offset * 8 + 5) // 6
        end = (offset + len(data)) * 8 // 6
        core = encoded[start:end]
        forms |= {core, core.replace("+", "-").replace("/", "_"), quote(core, safe="")}
    return forms
