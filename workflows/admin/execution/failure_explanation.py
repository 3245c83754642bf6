"""Explains in a sentence why an execution failed, and what a person can do about it (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.definition.step_paths import is_compensation

_RETRY = "then retry from the failed step"
_ANEW = "then start a new execution"
_ADVICE = {
    "service_not_found": f"Start or register {{service}}, {_RETRY}.",
    "service_unavailable": f"Bring {{service}} back up, {_RETRY}.",
    "service_timeout": f"See why {{service}} answers slowly, or give the step a longer timeout;"
    f" {_RETRY}.",
    "circuit_open": f"Recent calls to {{service}} failed. Bring it back up, {_RETRY}.",
    "outcome_unknown": "Find out from {service} whether it happened. Then complete or fail the step"
    " below, or retry to send it again.",
    "worker_died": "See in the workers' logs why they died. Then complete or fail the step below,"
    " or retry.",
    "schema_violation": "What the step sent does not fit the action's schema. Correct the step's"
    " input in the workflow or start again with other input: the same input is refused again.",
}
_REFUSED = (
    "{service} refused the request. Read the step's input below and correct it in the workflow or"
    " in the service: the same input is likely to be refused again."
)
_BROKEN = f"{{service}} failed on its side. Look at its logs, {_RETRY}."
_BUSY = f"{{service}} answered that it cannot do this now. See why, {_RETRY}."
_OTHER = f"Read the failed step below; correct the workflow or the service, {_RETRY}."
_UNDO = (
    "Put right what kept it from being undone, then go on undoing. Or undo it by hand, and say so"
    " below: the rest is undone after that."
)


@dataclass(frozen=True)
class Explanation:
    """Where it went wrong, why, and what to do."""

    step: str
    attempt: int | None
    sentence: str
    code: str
    advice: str
    undoing: str = ""
    """The path of the row that was to undo the step."""


def explain(
    errors: Any, *, names: Mapping[str, str] | None = None, was_compensated: bool = False
) -> Explanation | None:
    """Explain the last error of an execution; `names` maps ids to names. None without.

    One that `was_compensated` cannot be retried.
    """
    entry = last_error(errors)
    if entry is None:
        return None
    step = str(entry.get("step") or "")
    name = (names or {}).get(step, step)
    return Explanation(
        step=f"Undoing {name}" if _undoes(entry) else name,
        attempt=entry.get("attempt"),
        sentence=sentence_of(entry),
        code=str(entry.get("code") or ""),
        advice=_advice(entry).replace(_RETRY, _ANEW) if was_compensated else _advice(entry),
        undoing=str(entry["path"]) if _undoes(entry) else "",
    )


def last_error(errors: Any) -> Mapping[str, Any] | None:
    """Return the error that ended an execution."""
    if isinstance(errors, Mapping):
        return errors
    if not isinstance(errors, Sequence) or not errors:
        return None
    last = errors[-1]
    return last if isinstance(last, Mapping) else {"message": str(last)}


def sentence_of(entry: Mapping[str, Any]) -> str:
    return str(entry.get("message") or entry.get("detail") or "No reason was recorded.")


def _undoes(entry: Mapping[str, Any]) -> bool:
    return is_compensation(str(entry.get("path") or ""))


def _advice(entry: Mapping[str, Any]) -> str:
    if _undoes(entry):
        return _UNDO
    code = str(entry.get("code") or "")
    status = entry.get("upstream_status")
    if code == "service_error" and isinstance(status, int):
        template = _REFUSED if 400 <= status < 500 else _BROKEN
    elif code == "service_unavailable" and isinstance(status, int):
        template = _BUSY
    else:
        template = _ADVICE.get(code, _OTHER)
    service = entry.get("service")
    text = template.format(service=f"‘{service}’" if service else "the service")
    return text[0].upper() + text[1:]
