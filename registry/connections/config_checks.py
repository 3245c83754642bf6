"""Checks of single settings of a connection (pure): each answers the value as it is kept.

They raise ValueError with a sentence that says what would be right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from core.json import strict
from registry.credentials.certificates import certificates
from registry.credentials.config_checks import header_name
from registry.policies.request_paths import check_path

MOST_HEADERS = 30
MOST_STATUSES = 50
LONGEST_QUERY = 10_000
LONGEST_PATH = 500
# What says who calls: a header whose name has one of these words, or both of a pair.
_SECRET_WORDS = frozenset(
    (
        "apikey", "auth", "authorization", "cookie", "cookies", "credential", "credentials", "jwt",
        "passwd", "password", "secret", "session", "sessionid", "signature", "token",
    )
)  # fmt: skip
_SECRET_PAIRS = (("api", "key"), ("access", "key"), ("subscription", "key"), ("private", "key"))
# What is set for every call.
_OWN = ("accept-encoding", "idempotency-key", "x-request-id", "x-correlation-id", "traceparent")
_TEXT = re.compile(r"[\x20-\x7e]{0,1000}\Z")


def seconds(least: float, most: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        number = _number(value)
        if not least <= number <= most:
            raise ValueError(f"Must be a number of seconds from {least:g} to {most:g}.")
        return number

    return check


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("Must be a number of seconds.")
    try:
        return float(value)
    except ValueError:
        raise ValueError("Must be a number of seconds.") from None


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("Must be true or false.")
    return value


def headers(value: Any) -> dict[str, str]:
    """Return headers of every call; those that say who calls belong into a credential."""
    if not isinstance(value, dict) or len(value) > MOST_HEADERS:
        raise ValueError(f"Must be an object of at most {MOST_HEADERS} headers.")
    named = [(header_name(name), text) for name, text in value.items()]
    kept = {name: _header_value(name, text) for name, text in named}
    if len({name.lower().replace("_", "-") for name in kept}) < len(named):
        raise ValueError("A header is there twice (names ignore case).")
    return kept


def _header_value(name: str, value: Any) -> str:
    if _says_who_calls(name):
        raise ValueError(f"'{name}' says who calls: put it into a credential and link that.")
    if name.lower().replace("_", "-") in _OWN:
        raise ValueError(f"'{name}' is set for every call and cannot be set here.")
    if not isinstance(value, str) or not _TEXT.match(value):
        raise ValueError(f"The value of '{name}' must be printable ASCII, 1000 characters at most.")
    return value.strip()


def _says_who_calls(name: str) -> bool:
    """Return whether a header of this name would carry a secret: `X-Access-Token`, `apikey`."""
    words = re.split(r"[-_.]", name.lower())
    return bool(_SECRET_WORDS & set(words)) or any(
        set(pair) <= set(words) for pair in _SECRET_PAIRS
    )


def path(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > LONGEST_PATH or set(text) & {"{", "}"}:
        raise ValueError(f"Must have at most {LONGEST_PATH} characters and no braces: /health.")
    check_path(text)
    return text


def statuses(value: Any) -> list[int]:
    """Return HTTP status codes, read from a list or from one text with commas between them."""
    words = re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(words, list) or not 0 < len(words) <= MOST_STATUSES:
        raise ValueError(f"Must be a list of 1 to {MOST_STATUSES} status codes, such as [200].")
    codes = [int(w) if isinstance(w, str) and re.fullmatch(r"\d{3}", w) else w for w in words]
    if not all(isinstance(c, int) and not isinstance(c, bool) and 100 <= c <= 599 for c in codes):
        raise ValueError("Every status code must be from 100 to 599.")
    return sorted(set(codes))


def query(value: Any) -> str:
    """Return a document of GraphQL that asks one query and changes nothing."""
    import graphql  # takes as long to load as the rest of this app, and few ever need it

    text = value.strip() if isinstance(value, str) else ""
    if not 0 < len(text) <= LONGEST_QUERY or "\x00" in text:
        raise ValueError(f"Must be a query of GraphQL of 1 to {LONGEST_QUERY} characters.")
    try:
        definitions = graphql.parse(text, no_location=True, max_tokens=LONGEST_QUERY).definitions
    except graphql.GraphQLError as error:
        raise ValueError(f"Must be a query of GraphQL: {error.message}") from None
    operations = [d.operation for d in definitions if hasattr(d, "operation")]
    if operations != [graphql.OperationType.QUERY]:
        raise ValueError("Must be one query: a test must not change anything.")
    return text


def document(value: Any) -> dict[str, Any]:
    """Return a JSON object, also read from its text."""
    if isinstance(value, str):
        try:
            value = strict.parse(value)
        except strict.JSONRefused as error:
            raise ValueError(f"Must be a JSON object: {error}") from None
    if not isinstance(value, dict) or len(json.dumps(value)) > LONGEST_QUERY:
        raise ValueError(f"Must be a JSON object of at most {LONGEST_QUERY} characters.")
    return value


def word(longest: int) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        text = value.strip() if isinstance(value, str) else ""
        if not 0 < len(text) <= longest or not text.isprintable():
            raise ValueError(f"Must be 1 to {longest} printable characters.")
        return text

    return check


def authorities(value: Any) -> str:
    """Return the PEM of the authorities that sign the server's certificate."""
    return certificates(value)
