"""Where the engine and the reference interpreter differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.workflows.reference.cases import Case
from tests.workflows.reference.interpreter import Choices, Interpreter
from tests.workflows.reference.recorded import End, Outcome, Record
from tests.workflows.reference.world import Seen, walk
from workflows.models import OPEN_STEP


def differences(case: Case, seen: Seen, *, repeated_calls: bool = False) -> list[str]:
    """Everything in which what was recorded is not what the language says; empty if nothing is.

    With `repeated_calls` a call may have been made more than once: its worker died.
    """
    try:
        expected = Interpreter(case, choices=choices_of(seen)).run()
    except AssertionError as impossible:
        return [str(impossible)]
    found = list(_compare(expected, seen, repeated_calls=repeated_calls))
    for part in walk(seen):
        found += _broken_rules(part)
    return found


def choices_of(seen: Seen) -> Choices:
    """The branches that the engine counted, by the last steps that a join's output names."""
    outputs = seen.outputs()

    def choose(path: str, able: Mapping[int, End]) -> set[int]:
        output = outputs.get(path)
        if not isinstance(output, dict):
            return set(able)
        return {index for index, end in able.items() if end.last in output}

    return choose


def _compare(expected: Outcome, seen: Seen, *, repeated_calls: bool) -> Iterator[str]:
    execution = seen.execution
    if expected.loose and execution.status == "CANCELLED":
        return
    yield from _differ("status", expected.status, execution.status)
    yield from _differ("input", expected.input, execution.input)
    yield from _differ("output", expected.output, execution.output)
    errors = [(e.get("step"), e.get("path"), e["code"]) for e in execution.errors]
    yield from _differ("errors", expected.errors, errors)
    yield from _compare_rows(expected, seen)
    yield from _compare_calls(expected, seen, repeated_calls=repeated_calls)
    for path, child in expected.children.items():
        if path in seen.children:
            for line in _compare(child, seen.children[path], repeated_calls=repeated_calls):
                yield f"child of {path}: {line}"
        elif not child.loose:
            yield f"child of {path}: missing"
    for path in seen.children.keys() - expected.children.keys():
        yield f"child of {path}: not expected"


def _compare_rows(expected: Outcome, seen: Seen) -> Iterator[str]:
    records = {(record.path, record.attempt): record for record in expected.records}
    for key, record in records.items():
        row = seen.rows.get(key)
        if row is None:
            if not record.loose:
                yield f"{key}: missing, expected {record.status} {record.code or ''}"
        elif not (record.loose and row.status == "CANCELLED"):
            yield from (f"{key}: {line}" for line in _compare_row(record, row))
    undone = [path for path, attempt in records if path.startswith("~") and attempt == 1]
    rows = sorted((row for row in seen.rows.values() if row.path.startswith("~")), key=_by_id)
    yield from _differ("order of undoing", undone, [r.path for r in rows if r.attempt == 1])
    for key in seen.rows.keys() - records.keys():
        yield f"{key}: not expected, is {seen.rows[key].status} {seen.rows[key].error}"


def _by_id(row: Any) -> str:
    return str(row.id)


def _compare_row(record: Record, row: Any) -> Iterator[str]:
    error = row.error or {}
    yield from _differ("status", record.status, row.status)
    yield from _differ("code", record.code, error.get("code"))
    yield from _differ("handled", record.handled, error.get("handled"))
    yield from _differ("output", record.output, row.output)
    if record.called_with is not None:
        yield from _differ("input", record.called_with, row.input)


def _compare_calls(expected: Outcome, seen: Seen, *, repeated_calls: bool) -> Iterator[str]:
    wanted = {(r.path, r.attempt): r for r in expected.records if r.called_with is not None}
    made = Counter((call.path, call.attempt) for call in seen.calls)
    for call in seen.calls:
        place = (call.path, call.attempt)
        if place not in wanted:
            yield f"call of {place}: not expected"
        else:
            given = wanted[place].called_with
            yield from (f"call of {place}: {d}" for d in _differ("input", given, call.document))
    for place, record in wanted.items():
        if not made[place] and not record.loose:
            yield f"call of {place}: missing"
        if made[place] > 1 and not repeated_calls:
            yield f"call of {place}: made {made[place]} times"


def _broken_rules(seen: Seen) -> Iterator[str]:
    """What holds for every execution that has ended, whatever its definition says."""
    for key, row in seen.rows.items():
        if row.status in OPEN_STEP:
            yield f"{key}: still {row.status}"
    completed = Counter(p for (p, _), row in seen.rows.items() if row.status == "COMPLETED")
    yield from (f"{path}: completed {n} times" for path, n in completed.items() if n > 1)
    keys: dict[str, set[str]] = {}
    for call in seen.calls:
        keys.setdefault(call.path, set()).add(call.idempotency_key)
    yield from (f"{path}: several idempotency keys" for path, k in keys.items() if len(k) > 1)
    if len(set().union(*keys.values())) < len(keys):
        yield "two places share an idempotency key"
    sequences = list(seen.execution.events.order_by("sequence").values_list("sequence", flat=True))
    if sequences != list(range(1, len(sequences) + 1)):
        yield f"the history has gaps: {sequences}"


def _differ(what: str, expected: Any, found: Any) -> Iterator[str]:
    if _plain(expected) != _plain(found):
        yield f"{what} is {_plain(found)!r}, expected {_plain(expected)!r}"


def _plain(value: Any) -> Any:
    """A value without the times that people's decisions carry; true and 1 are told apart."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items() if key != "at"}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return (type(value).__name__, value) if isinstance(value, bool) else value
