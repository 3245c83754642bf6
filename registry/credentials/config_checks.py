"""Checks of single values of a credential: each answers the value as it is kept.

They raise ValueError with a sentence that says what would be right and never repeats the value.
"""

from __future__ import annotations

import re
from typing import Any

from yarl import URL

from core.addresses import LONGEST_URL, read_url
from registry.credentials.signing_key import PREFIX, key_of
from registry.network.dialer import get_policy, refusal_of

SHORTEST_SECRET = 4
LONGEST_VALUE = 8192
LONGEST_PEM = 65536
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VISIBLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
_FRAMING = frozenset(
    (
        "connection", "content-encoding", "content-length", "content-type", "expect", "host",
        "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-authorization",
        "proxy-authenticate", "proxy-connection",
    )
)  # fmt: skip


def header_name(value: Any) -> str:
    text = _text(value)
    if not _TOKEN.fullmatch(text):
        raise ValueError("Must be the name of a header, such as X-API-Key.")
    if text.lower() in _FRAMING:
        raise ValueError("This header belongs to the connection and cannot be set.")
    return text


def parameter_name(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9._~-]{1,100}", text):
        raise ValueError("Must be the name of a query parameter, such as api_key.")
    return text


def public_text(value: Any) -> str:
    """Printable ASCII of at most 500 characters, as a header or a form carries it."""
    text = _as_given(value)
    if not _VISIBLE.fullmatch(text) or len(text) > 500:
        raise ValueError("Must be 1 to 500 printable ASCII characters without blanks at its ends.")
    return text


def user_name(value: Any) -> str:
    """Return a user name as it is: a blank at an end is part of it."""
    text = _as_given(value)
    if not text or len(text) > 500 or ":" in text or not text.isprintable():
        raise ValueError("Must be 1 to 500 printable characters without a colon.")
    return text


def url(value: Any) -> str:
    """Return a URL that can be called, in its one form; it may have a query."""
    text = read_url(_text(value), with_query=True).text
    if len(text) > LONGEST_URL:
        raise ValueError(f"Must have at most {LONGEST_URL} characters.")
    if why := refusal_of(URL(text, encoded=True), get_policy()):
        raise ValueError(why)
    return text


def scopes(value: Any) -> list[str]:
    """Return words, read from a list or from one text with blanks between them."""
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list) or len(words) > 100:
        raise ValueError("Must be a list of at most 100 scopes.")
    if not all(isinstance(word, str) and _SCOPE.fullmatch(word) for word in words):
        raise ValueError("Each scope must be 1 to 200 ASCII characters without blanks or quotes.")
    return list(dict.fromkeys(words))


def choice(*allowed: str) -> Any:
    def check(value: Any) -> str:
        text = _text(value).lower()
        if text not in allowed:
            raise ValueError(f"Use one of: {', '.join(allowed)}.")
        return text

    return check


def sent_secret(value: Any) -> str:
    """Return a secret that goes into a header: printable ASCII."""
    text = made_secret(value)
    if not _VISIBLE.fullmatch(text):
        raise ValueError("Must be printable ASCII without blanks at its ends.")
    return text


def made_secret(value: Any) -> str:
    """Return a secret that a machine made: a blank at an end came with copying, and is no part."""
    text = any_secret(value)
    if not all(end.isprintable() and not end.isspace() for end in (text[0], text[-1])):
        raise ValueError("Begins or ends with a blank: take it away.")
    return text


def any_secret(value: Any) -> str:
    """Return a secret of four characters or more: shorter ones could not be redacted."""
    if not isinstance(value, str):
        raise ValueError("Must be a text.")
    if not SHORTEST_SECRET <= len(value) <= LONGEST_VALUE:
        raise ValueError(f"Must have {SHORTEST_SECRET} to {LONGEST_VALUE} characters.")
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value):
        raise ValueError("Must not contain control characters.")
    return value


def signing_key(value: Any) -> str:
    """Return a secret to sign with, that stands for a key."""
    text = made_secret(value)
    if text.lower().startswith(PREFIX) and not text.startswith(PREFIX):
        raise ValueError(
            f"Write {PREFIX} in small letters: with others it would be signed wrongly."
        )
    key_of(text)
    return text


def pem(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not text.startswith("-----BEGIN ") or not text.isascii() or len(text) > LONGEST_PEM:
        raise ValueError("Must be PEM text: -----BEGIN … -----.")
    return text.replace("\r\n", "\n") + "\n"


def _text(value: Any) -> str:
    return _as_given(value).strip()


def _as_given(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("Must be a text.")
    return value
