"""Warns of waits that a definition's own bounds cut off, as far as both are written in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from core.expressions import Template
from workflows.definition import Definition, Findings, RetryPolicy, Step


def warn_of_crossed_bounds(
    definition: Definition, paths: Mapping[str, str], findings: Findings
) -> None:
    """Doubt what can never happen, since something else ends before it."""
    for step in definition.steps.values():
        path = paths[step.id]
        _check_retry(step.retry, f"{path}.retry", findings)
        if step.compensate is not None:
            _check_retry(step.compensate.retry, f"{path}.compensate.retry", findings)
        due = _seconds_in(step.due)
        if due is not None and step.timeout is not None and due >= step.timeout:
            findings.doubt(
                f"{path}.due",
                f"It is due after {due:g} s, and its `timeout` of {step.timeout:g} s ends before"
                " that: nobody of `escalate_to` will ever be asked.",
            )
        for key, seconds in _waits_of(step):
            if definition.timeout is not None and seconds >= definition.timeout:
                findings.doubt(
                    f"{path}.{key}",
                    f"{seconds:g} s are not over before the `timeout` of the workflow,"
                    f" {definition.timeout:g} s.",
                )


def _check_retry(retry: RetryPolicy, path: str, findings: Findings) -> None:
    if retry.max_attempts == 1 or not retry.max_elapsed:
        return
    pause = retry.delay(1, retry_after=None, fraction=0.0)
    if pause >= retry.max_elapsed:
        findings.doubt(
            path,
            f"There is never a second attempt: it would begin after {pause:g} s, and `max_elapsed`"
            f" is {retry.max_elapsed:g} s.",
        )


def _waits_of(step: Step) -> Iterator[tuple[str, float]]:
    if step.timeout is not None and step.kind != "ACTION":
        yield "timeout", step.timeout
    seconds = _seconds_in(step.seconds)
    if seconds is not None:
        yield "seconds", seconds


def _seconds_in(template: Template | None) -> float | None:
    """Return the seconds that are written; None for a time or an expression."""
    value = template.source if template is not None else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
