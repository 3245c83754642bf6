"""The kinds of checks: what is asked, and what has to hold of the answer, of each (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from core.addresses import BadAddress, read_url
from core.exceptions import ValidationFailed
from core.expressions import ExpressionError, compile_expression
from monitoring.models import CheckKind
from registry.network.dialer import get_policy
from registry.policies.type_parts import Part, check_parts

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MOST_HEADERS, MOST_EXPRESSIONS, LONGEST_TEXT = 20, 20, 1000
# A header by which one is let in is a secret: those are kept by credentials alone.
SECRET_HEADERS = re.compile(
    r"(proxy-)?authorization|cookie|.*(api-?key|token|secret|password).*", re.IGNORECASE
)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
_RANGE = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?\Z")
# Schemes, with the port where none is given; 0 is one that has to be.
SCHEMES: Mapping[str, Mapping[str, int]] = {
    CheckKind.HTTP: {"http": 80, "https": 443},
    CheckKind.TCP: {"tcp": 0},
    CheckKind.TLS: {"tls": 443, "https": 443},
    CheckKind.DNS: {"dns": 53},
}
_EXAMPLES = {
    CheckKind.HTTP: "https://shop.example.org/health",
    CheckKind.TCP: "tcp://mail.example.org:25",
    CheckKind.TLS: "tls://shop.example.org:443",
    CheckKind.DNS: "dns://shop.example.org",
}


@dataclass(frozen=True, slots=True)
class KindSpec:
    """What is set of a kind: of the request, and of what has to hold."""

    request: tuple[Part, ...] = ()
    conditions: tuple[Part, ...] = ()


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT:
        raise ValueError(f"Must be a text of 1 to {LONGEST_TEXT:,} characters.")
    return value


def _path(value: Any) -> str:
    text = _text(value)
    if not text.startswith("/") or re.search(r"[\s#\\]", text) or not text.isprintable():
        raise ValueError("Must begin with / and have no blanks, such as /health?deep=1.")
    return text


def _number(least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"Must be a whole number from {least} to {most:,}.")
        return value

    return check


def _method(value: Any) -> str:
    text = str(value).upper()
    if text not in METHODS:
        raise ValueError(f"Use one of: {', '.join(METHODS)}.")
    return text


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MOST_HEADERS:
        raise ValueError(f"Must be an object of at most {MOST_HEADERS} headers.")
    for name, text in value.items():
        if not _HEADER.match(name):
            raise ValueError(f"'{name[:100]}' is no name of a header.")
        if SECRET_HEADERS.fullmatch(name):
            raise ValueError(
                f"'{name}' carries a secret, which only credentials keep: test a connection"
                " with a credential instead."
            )
        if not isinstance(text, str) or not text.isprintable() or len(text) > LONGEST_TEXT:
            raise ValueError(f"The header '{name}' must be one line of text.")
    return value


def _statuses(value: Any) -> list[str]:
    words = re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(words, list) or not 0 < len(words) <= 20:
        raise ValueError("Give statuses or ranges of them, such as 200-299 or 401.")
    kept = [str(word) for word in words]
    for word in kept:
        match = _RANGE.match(word)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise ValueError(f"'{word[:20]}' is no status, such as 204, and no range: 200-299.")
    return kept


def _expressions(value: Any) -> list[str]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not 0 < len(given) <= MOST_EXPRESSIONS:
        raise ValueError(f"Give 1 to {MOST_EXPRESSIONS} JMESPath expressions.")
    for text in given:
        try:
            compile_expression(text)
        except ExpressionError as error:
            raise ValueError(str(error)) from None
    return given


def _days(value: Any) -> list[int]:
    words = re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value
    try:
        days = sorted({int(word) for word in words}, reverse=True)
    except (TypeError, ValueError):
        days = []
    if not days or not 0 < days[-1] <= days[0] <= 365 or len(days) > 10:
        raise ValueError("Give 1 to 10 numbers of days from 1 to 365, such as 30, 14, 7, 3, 1.")
    return days


def _addresses(value: Any) -> list[str]:
    words = re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value
    try:
        if not 0 < len(words) <= 20:
            raise ValueError
        return [str(ip_address(word)) for word in words]
    except (TypeError, ValueError):
        raise ValueError("Give 1 to 20 addresses, such as 192.0.2.7.") from None


_LATENCY = Part("max_latency_ms", "Answers within (ms)", _number(1, 60_000))
_CERTIFICATE = Part(
    "certificate_days",
    "Tell of the certificate, days before its end",
    _days,
    "Empty: 30, 14, 7, 3, 1.",
)
_KEYWORD = Part("keyword", "Contains", _text, "A text that has to be in what is answered.")

KINDS: Mapping[str, KindSpec] = {
    CheckKind.HTTP: KindSpec(
        request=(
            Part("path", "Path", _path, "Of a check of a service, below the URL of each instance."),
            Part("method", "Method", _method, choices=METHODS),
            Part("headers", "Headers", _headers, "A JSON object of them.", long=True),
            Part("body", "Body", _text, long=True),
            Part("redirects", "Redirects followed", _number(0, 10), "Empty: none."),
        ),
        conditions=(
            Part("statuses", "Statuses", _statuses, "Such as 200-299, 401. Empty: 200-299."),
            _KEYWORD,
            Part("absent_keyword", "Does not contain", _text),
            Part(
                "json",
                "JSON conditions",
                _expressions,
                "JMESPath over status, headers, body and latency_ms, each has to be true:"
                " body.status == 'ok'",
                long=True,
            ),
            _LATENCY,
            _CERTIFICATE,
        ),
    ),
    CheckKind.TCP: KindSpec(conditions=(_KEYWORD, _LATENCY)),
    CheckKind.DNS: KindSpec(
        conditions=(
            Part("addresses", "Addresses", _addresses, "All of which it has to lead to."),
            _LATENCY,
        )
    ),
    CheckKind.TLS: KindSpec(
        conditions=(
            Part("min_days", "Fails below (days)", _number(0, 365), "Days before its end."),
            _LATENCY,
            _CERTIFICATE,
        )
    ),
    CheckKind.HEARTBEAT: KindSpec(),
    CheckKind.PUSH: KindSpec(),  # it is said by calling, and when by the check's own columns
}


def check_request(kind: str, values: Any) -> dict[str, Any]:
    """Return what is asked, as it is kept. Raises: ValidationFailed, by paths."""
    return _checked(KINDS[kind].request, values, "request")


def check_conditions(kind: str, values: Any) -> dict[str, Any]:
    """Return what has to hold, as it is kept. Raises: ValidationFailed, by paths."""
    return _checked(KINDS[kind].conditions, values, "conditions")


def _checked(parts: tuple[Part, ...], values: Any, section: str) -> dict[str, Any]:
    errors: dict[str, list[str]] = {}
    kept = check_parts(
        parts, values or {}, section, errors, noun="setting", empty=(None, "", [], {})
    )
    if errors:
        raise ValidationFailed.by_path(errors)
    return kept


def check_url(kind: str, text: str) -> str:
    """Return what a check looks at, in its one form. Raises: ValidationFailed."""
    ports = SCHEMES[kind]
    example = f"Use a URL such as {_EXAMPLES[CheckKind(kind)]}."
    try:
        parts = read_url(text, with_query=kind == CheckKind.HTTP, ports=dict(ports))
    except BadAddress as error:
        if str(error).startswith(("Must be an http", "The port")):
            raise ValidationFailed.at("url", f"It cannot be used. {example}") from None
        raise ValidationFailed.at("url", str(error)) from None
    if parts.path not in ("", "/") and kind != CheckKind.HTTP:
        raise ValidationFailed.at("url", f"A check of this kind has no path. {example}")
    try:
        get_policy().check_host(parts.host)
    except OSError as refusal:
        raise ValidationFailed.at("url", str(refusal)) from None
    return parts.text
