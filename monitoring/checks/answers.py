"""Decides whether an answer is well: its status, what it says, how long it took (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from core.expressions import ExpressionError, Recorded, compile_expression
from core.json import strict
from monitoring.models import CheckErrorKind, CheckKind
from registry.calls.error_responses import describe_error_response
from registry.calls.probes import Reading

Wrong = tuple[CheckErrorKind, str]
WELL = ("200-299",)


def judge(
    kind: str, reading: Reading, conditions: Mapping[str, Any], *, now: datetime
) -> tuple[str, str]:
    """Return the kind of what is wrong with an answer, and a sentence; both empty if nothing."""
    found = next(_wrongs(kind, reading, conditions, now), None)
    return (str(found[0]), found[1]) if found else ("", "")


def all_wrong(
    kind: str, reading: Reading, conditions: Mapping[str, Any], *, now: datetime
) -> list[str]:
    """Return a sentence for each condition that an answer does not meet."""
    return [sentence for _, sentence in _wrongs(kind, reading, conditions, now)]


def _wrongs(
    kind: str, reading: Reading, conditions: Mapping[str, Any], now: datetime
) -> Iterator[Wrong]:
    if kind == CheckKind.HTTP:
        yield from _of_status(reading, conditions.get("statuses") or WELL)
    yield from _of_words(reading, conditions)
    if expressions := conditions.get("json"):
        yield from _of_expressions(reading, expressions, now)
    yield from _of_addresses(reading, conditions.get("addresses") or ())
    if (days := conditions.get("min_days")) is not None:
        yield from _of_certificate(reading, days, now)
    most = conditions.get("max_latency_ms")
    if most is not None and reading.latency_ms > most:
        sentence = f"took {reading.latency_ms:,.0f} ms, more than {most:,}"
        yield CheckErrorKind.CONDITION, sentence


def _of_status(reading: Reading, statuses: Any) -> Iterator[Wrong]:
    status = reading.status or 0
    bounds = (str(each).partition("-") for each in statuses)
    if not any(int(least) <= status <= int(most or least) for least, _, most in bounds):
        sentence = f"answered {status}{describe_error_response(reading.body)}"
        yield CheckErrorKind.STATUS, sentence


def _of_words(reading: Reading, conditions: Mapping[str, Any]) -> Iterator[Wrong]:
    wanted, unwanted = conditions.get("keyword"), conditions.get("absent_keyword")
    if not wanted and not unwanted:
        return
    text = reading.body.decode("utf-8", "replace")
    if wanted and wanted not in text:
        yield CheckErrorKind.CONDITION, f"does not contain '{wanted[:80]}'"
    if unwanted and unwanted in text:
        yield CheckErrorKind.CONDITION, f"contains '{unwanted[:80]}'"


def _of_expressions(reading: Reading, expressions: Any, now: datetime) -> Iterator[Wrong]:
    try:
        body = strict.parse(reading.body) if reading.body.strip() else None
    except strict.JSONRefused:
        yield CheckErrorKind.CONDITION, "its answer is no JSON"
        return
    scope = {
        "status": reading.status,
        "headers": {name.lower(): value for name, value in reading.headers.items()},
        "body": body,
        "latency_ms": reading.latency_ms,
    }
    for text in expressions:
        try:
            holds = compile_expression(text).truth(scope, Recorded(now, "check"))
        except ExpressionError as error:
            yield CheckErrorKind.CONDITION, str(error)
            return
        if not holds:
            yield CheckErrorKind.CONDITION, f"does not hold: {text[:150]}"


def _of_addresses(reading: Reading, wanted: Any) -> Iterator[Wrong]:
    if missing := sorted(set(wanted) - set(reading.answers)):
        found = ", ".join(reading.answers[:5]) or "nothing"
        yield CheckErrorKind.CONDITION, f"does not lead to {missing[0]}, but to {found}"


def _of_certificate(reading: Reading, days: int, now: datetime) -> Iterator[Wrong]:
    ends = reading.certificate_ends_at
    if ends is not None and ends - now < timedelta(days=days):
        sentence = f"its certificate ends on {ends:%Y-%m-%d}, in less than {days} days"
        yield CheckErrorKind.CONDITION, sentence
