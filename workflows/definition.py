"""What a workflow definition says: its JSON document, read into frozen values.

`parse` checks the form of a document: keys, types, ranges, expressions, and that every step that is
named exists. What needs the whole graph or the registry is checked by `workflows.validation`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from registry.exceptions import ValidationFailed
from workflows.expressions import (
    MAX_TEMPLATE_DEPTH,
    Expression,
    ExpressionError,
    Template,
    compile_expression,
    compile_template,
    did_you_mean,
    join_path,
    json_size,
)

MAX_STEPS = 500
MAX_BYTES = 256 * 1024
MAX_NESTING = MAX_TEMPLATE_DEPTH + 16
MAX_ROUTES = 100
MAX_TIMEOUT_SECONDS = 3_600
MAX_RETRY_AFTER_SECONDS = 24 * 3_600
MAX_ELAPSED_SECONDS = 30 * 24 * 3_600

DOCUMENT_KEYS = ("steps", "output", "retry", "timeout")
TARGET_KINDS = ("service", "service_type", "connection", "integration")
BACKOFFS = ("EXPONENTIAL", "LINEAR", "FIXED")
RETRY_KINDS = ("TIMEOUT", "CONNECTION", "UNAVAILABLE", "RESPONSE", "OTHER")

_STEP_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")
_RETRY_ENTRY = re.compile(r"([1-5]XX|[1-5][0-9][0-9]|[A-Z][A-Z0-9_.-]{0,99})\Z")


class DefinitionError(ValidationFailed):
    """A definition that cannot be used; `errors` maps each path to its sentences."""


# --- Values ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, when and after which errors a step is tried again."""

    max_attempts: int = 3
    base_delay: float = 0.5
    max_delay: float = 30.0
    backoff: str = "EXPONENTIAL"
    jitter: bool = True
    on: tuple[str, ...] = ("TIMEOUT", "CONNECTION", "UNAVAILABLE", "429", "5XX")
    max_elapsed: float | None = None

    def delay(self, attempt: int, *, retry_after: float | None, fraction: float) -> float:
        """Give the seconds to wait after failed attempt number `attempt`, which counts from 1.

        `fraction` in [0, 1) is the jitter's draw, spread over the upper half of the delay. A longer
        Retry-After wins, up to 24 hours.
        """
        if self.backoff == "EXPONENTIAL":
            # Beyond 2^62 every delay is at its maximum, and a float would overflow.
            planned = math.ldexp(self.base_delay, min(attempt - 1, 62))
        elif self.backoff == "LINEAR":
            planned = self.base_delay * attempt
        else:
            planned = self.base_delay
        planned = min(planned, self.max_delay)
        if self.jitter:
            planned = planned / 2 + planned / 2 * fraction
        if retry_after is None:
            return planned
        return max(planned, min(retry_after, MAX_RETRY_AFTER_SECONDS))

    def allows(
        self, attempt: int, *, kind: str, status_code: int | None, code: str, elapsed: float
    ) -> bool:
        """Say whether attempt number `attempt`, which failed thus, may be followed by another."""
        if attempt >= self.max_attempts:
            return False
        if self.max_elapsed is not None and elapsed >= self.max_elapsed:
            return False
        names = {kind.upper(), code.upper()}
        if status_code is not None:
            names |= {str(status_code), f"{status_code // 100}XX"}
        return not names.isdisjoint(self.on)


NO_RETRY = RetryPolicy(max_attempts=1)


@dataclass(frozen=True, slots=True)
class Target:
    """Who is called: a registered name, a type for discovery, a connection or an integration."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where to go on: to `step` (None ends the workflow) if `when` is true or absent."""

    when: Expression | None
    step: str | None


@dataclass(frozen=True, slots=True)
class Fallback:
    """What stands in for a failed step: an output, or another step."""

    output: Template | None
    step: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `next` is empty where the workflow ends."""

    id: str
    name: str
    kind: str = "ACTION"
    target: Target | None = None
    action: str | None = None
    input: Template | None = None
    when: Expression | None = None
    retry: RetryPolicy = NO_RETRY
    timeout: float | None = None
    optional: bool = False
    fallback: Fallback | None = None
    next: tuple[Route, ...] = ()
    output: Template | None = None
    error: Template | None = None
    max_visits: int | None = None

    @property
    def followers(self) -> tuple[str, ...]:
        """The steps that may come right after this one, its fallback step included."""
        names = [route.step for route in self.next if route.step is not None]
        if self.fallback is not None and self.fallback.step is not None:
            names.append(self.fallback.step)
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Definition:
    """A workflow's steps in their order, where it starts, and the document it was read from."""

    steps: dict[str, Step]
    first: str
    output: Template | None
    document: dict[str, Any] = field(repr=False)


# --- Kinds -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """What a step of this kind says besides the keys of every step."""

    keys: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


_COMMON_KEYS = ("id", "name", "type", "when", "next", "max_visits")

KINDS: Mapping[str, Kind] = {
    "ACTION": Kind(
        keys=(*TARGET_KINDS, "action", "input", "retry", "timeout", "optional", "fallback")
    ),
    "TRANSFORM": Kind(keys=("output",), required=("output",)),
    "CHOICE": Kind(required=("next",)),
    "FAIL": Kind(keys=("error",), required=("error",)),
    "SUCCEED": Kind(keys=("output",)),
}
ENDING_KINDS = frozenset({"FAIL", "SUCCEED"})

# Of the language, and refused until the engine runs them.
LATER_KINDS = frozenset({"PARALLEL", "MAP", "WAIT", "EVENT", "APPROVAL", "WORKFLOW"})
LATER_KEYS = frozenset({"on_error", "compensate", "concurrency"})


# --- Reading ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read of a document, and what is wrong with it.

    `definition` holds every step that has a usable id, also where something else in it is wrong;
    `positions` maps such an id to its place in the list.
    """

    definition: Definition | None
    errors: dict[str, list[str]]
    warnings: list[str]
    positions: dict[str, int]


def parse(document: Any) -> Definition:
    """Read a list of steps, or an object with `steps`, `output`, `retry` and `timeout`.

    `retry` and `timeout` there are the defaults of the steps that say nothing.
    Raises DefinitionError with everything that is wrong.
    """
    reading = read(document)
    if reading.errors or reading.definition is None:
        path, sentences = next(iter(reading.errors.items()))
        more = f" (and {len(reading.errors) - 1} more)" if len(reading.errors) > 1 else ""
        raise DefinitionError(
            f"The definition is not valid: {path}: {sentences[0]}{more}", errors=reading.errors
        )
    return reading.definition


def read(document: Any) -> Reading:
    """Read as much of a document as makes sense. Never raises, whatever JSON it is given."""
    reader = _Reader()
    definition = reader.definition(document)
    return Reading(definition, reader.errors, reader.warnings, reader.positions)


def is_too_deep(value: Any, limit: int) -> bool:
    """Whether lists and objects nest in more than `limit` levels; without recursion."""
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for part in level
            if isinstance(part, (dict, list))
            for child in (part.values() if isinstance(part, dict) else part)
        ]
        if not level:
            return False
    return True


class _Reader:
    """Reads a document and collects errors at their paths, going on with defaults."""

    def __init__(self) -> None:
        self.errors: dict[str, list[str]] = {}
        self.warnings: list[str] = []
        self.positions: dict[str, int] = {}

    def refuse(self, path: str, sentence: str) -> None:
        self.errors.setdefault(path, []).append(sentence)

    # The document

    def definition(self, document: Any) -> Definition | None:
        document = {"steps": document} if isinstance(document, list) else document
        if not self._has_usable_form(document):
            return None
        self._keys(document, "", DOCUMENT_KEYS, "A definition")
        retry, timeout = NO_RETRY, None
        if document.get("retry") is not None:
            retry = self.retry(document["retry"], "retry", RetryPolicy())
        if document.get("timeout") is not None:
            timeout = self._seconds(document["timeout"], "timeout", 0.001, MAX_TIMEOUT_SECONDS)
        steps = self._steps(document["steps"], retry, timeout)
        output = self._output(document, "") if document.get("output") is not None else None
        self._check_followers(document["steps"], steps)
        if not steps:
            return None
        return Definition(steps, next(iter(steps)), output, document)

    def _has_usable_form(self, document: Any) -> bool:
        if not isinstance(document, dict):
            self.refuse("steps", "A definition is a list of steps, or an object with 'steps'.")
        elif not isinstance(document.get("steps"), list):
            self.refuse("steps", "'steps' must be a list of steps.")
        elif not document["steps"]:
            self.refuse("steps", "A definition needs at least one step.")
        elif len(document["steps"]) > MAX_STEPS:
            self.refuse(
                "steps", f"There are {len(document['steps'])} steps; {MAX_STEPS} is the most."
            )
        elif is_too_deep(document, MAX_NESTING):
            self.refuse("steps", f"The definition nests deeper than {MAX_NESTING} levels.")
        elif json_size(document, MAX_BYTES) > MAX_BYTES:
            self.refuse("steps", f"The definition is larger than {MAX_BYTES // 1024} KiB.")
        else:
            return True
        return False

    def _steps(
        self, documents: list[Any], retry: RetryPolicy, timeout: float | None
    ) -> dict[str, Step]:
        steps: dict[str, Step] = {}
        # Expressions may write dashes as underscores, so ids must differ in more than that.
        spelled: dict[str, str] = {}
        for position, document in enumerate(documents):
            path = f"steps[{position}]"
            step = self.step(document, path, retry, timeout)
            if step is None:
                continue
            known = spelled.setdefault(step.id.replace("-", "_"), step.id)
            if step.id in steps:
                first = self.positions[step.id]
                self.refuse(f"{path}.id", f"The id '{step.id}' is already that of steps[{first}].")
                continue
            if known != step.id:
                self.refuse(
                    f"{path}.id",
                    f"The ids '{step.id}' and '{known}' differ only in dashes and underscores.",
                )
            steps[step.id] = step
            self.positions[step.id] = position
            self._warn_of_silent_end(document, step, position, len(documents))
        return steps

    def _warn_of_silent_end(
        self, document: dict[str, Any], step: Step, position: int, count: int
    ) -> None:
        if "next" not in document and step.kind not in ENDING_KINDS and position < count - 1:
            self.warnings.append(
                f"steps[{position}]: '{step.id}' has no 'next', so the workflow ends after it; "
                'write "next": null if that is meant.'
            )

    def _check_followers(self, documents: list[Any], steps: dict[str, Step]) -> None:
        for step in steps.values():
            path = f"steps[{self.positions[step.id]}]"
            written = documents[self.positions[step.id]].get("next")
            for index, route in enumerate(step.next):
                place = f".next[{index}].step" if isinstance(written, list) else ".next"
                self._check_follower(route.step, f"{path}{place}", steps)
            if step.fallback is not None:
                self._check_follower(step.fallback.step, f"{path}.fallback.step", steps)

    def _check_follower(self, name: str | None, path: str, steps: Collection[str]) -> None:
        if name is not None and name not in steps:
            self.refuse(path, f"There is no step '{name[:100]}'{did_you_mean(name, steps)}")

    # A step

    def step(
        self, document: Any, path: str, retry: RetryPolicy, timeout: float | None
    ) -> Step | None:
        if not isinstance(document, dict):
            self.refuse(path, "A step must be an object with an 'id'.")
            return None
        kind = self._kind(document, path)
        if kind is not None:
            self._step_keys(document, path, kind)
        step_id = self._step_id(document, path)
        if step_id is None:
            return None
        step = Step(
            id=step_id,
            name=self._text(document, "name", path, longest=200) or step_id,
            kind=kind or "ACTION",
            when=self._expression(document.get("when"), f"{path}.when"),
            next=self._next(document.get("next"), f"{path}.next"),
            max_visits=self._max_visits(document, path),
        )
        if kind is None:
            return step
        complete: Callable[..., Step] = getattr(self, f"_complete_{kind.lower()}")
        return complete(step, document, path, retry=retry, timeout=timeout)

    def _kind(self, document: dict[str, Any], path: str) -> str | None:
        written = document.get("type")
        kind = "ACTION" if written is None else written
        supported = ", ".join(KINDS)
        if isinstance(kind, str) and kind.strip().upper() in KINDS:
            return kind.strip().upper()
        if isinstance(kind, str) and kind.strip().upper() in LATER_KINDS:
            sentence = f"{kind.strip().upper()} steps are not supported yet; use {supported}."
        else:
            sentence = f"{_show(kind)} is not a type of step; use {supported}."
        self.refuse(f"{path}.type", sentence)
        return None

    def _step_keys(self, document: dict[str, Any], path: str, kind: str) -> None:
        allowed = (*_COMMON_KEYS, *KINDS[kind].keys)
        self._keys(document, path, allowed, f"A step of type {kind}")
        for key in KINDS[kind].required:
            if key not in document:
                self.refuse(join_path(path, key), f"A step of type {kind} needs '{key}'.")

    def _step_id(self, document: dict[str, Any], path: str) -> str | None:
        step_id = document.get("id")
        if step_id is None:
            self.refuse(f"{path}.id", "Every step needs an 'id'.")
        elif not isinstance(step_id, str) or not _STEP_ID.match(step_id):
            self.refuse(
                f"{path}.id",
                f"{_show(step_id)} is not an id; use 1 to 100 letters, digits, dashes, underscores "
                "and dots.",
            )
        else:
            return step_id
        return None

    def _max_visits(self, document: dict[str, Any], path: str) -> int | None:
        value = document.get("max_visits")
        if value is None:
            return None
        return self._whole_number(value, f"{path}.max_visits", 1, 10_000)

    # Kinds

    def _complete_action(
        self,
        step: Step,
        document: dict[str, Any],
        path: str,
        *,
        retry: RetryPolicy,
        timeout: float | None,
    ) -> Step:
        if document.get("retry") is not None:
            base = RetryPolicy() if retry is NO_RETRY else retry
            retry = self.retry(document["retry"], f"{path}.retry", base)
        if document.get("timeout") is not None:
            timeout = self._seconds(
                document["timeout"], f"{path}.timeout", 0.001, MAX_TIMEOUT_SECONDS
            )
        return replace(
            step,
            target=self._target(document, path),
            action=self._action(document, path),
            input=self._input(document, path),
            retry=retry,
            timeout=timeout,
            optional=self._flag(document, "optional", path),
            fallback=self._fallback(document.get("fallback"), f"{path}.fallback"),
        )

    def _complete_transform(
        self, step: Step, document: dict[str, Any], path: str, **_: Any
    ) -> Step:
        if "output" not in document:
            return step
        return replace(step, output=self._output(document, path))

    def _complete_choice(self, step: Step, document: dict[str, Any], path: str, **_: Any) -> Step:
        if "next" in document and not isinstance(document["next"], list):
            self.refuse(
                f"{path}.next",
                'A CHOICE needs a list such as [{"when": "input.urgent", "step": "call"}, '
                '{"step": "wait"}].',
            )
        return step

    def _complete_fail(self, step: Step, document: dict[str, Any], path: str, **_: Any) -> Step:
        self._check_ending(step, path)
        error = document.get("error")
        place = f"{path}.error"
        if isinstance(error, dict):
            self._keys(error, place, ("code", "message"), "An error")
            if "message" not in error:
                self.refuse(f"{place}.message", "An error needs a 'message'.")
            for key in ("code", "message"):
                if key in error and not isinstance(error[key], str):
                    self.refuse(f"{place}.{key}", f"'{key}' must be a text.")
        elif not isinstance(error, str):
            if "error" in document:
                self.refuse(
                    place, "'error' must be a text, or an object with 'code' and 'message'."
                )
            return step
        return replace(step, error=self._template(document, "error", path))

    def _complete_succeed(self, step: Step, document: dict[str, Any], path: str, **_: Any) -> Step:
        self._check_ending(step, path)
        if document.get("output") is None:
            return step
        return replace(step, output=self._output(document, path))

    def _check_ending(self, step: Step, path: str) -> None:
        if step.when is None and any(route.step is not None for route in step.next):
            self.refuse(
                f"{path}.next",
                f"A {step.kind} step ends the workflow; without a 'when' nothing follows it.",
            )

    # Parts of a step

    def _target(self, document: dict[str, Any], path: str) -> Target | None:
        named = [kind for kind in TARGET_KINDS if document.get(kind) is not None]
        if not named:
            self.refuse(
                f"{path}.service", "A step needs 'service' or 'service_type': who is called."
            )
            return None
        for extra in named[1:]:
            self.refuse(
                f"{path}.{extra}", f"'{named[0]}' already says who is called; keep one of them."
            )
        name = self._text(document, named[0], path, longest=255)
        if name is None:
            return None
        return Target(named[0], name.upper() if named[0] == "service_type" else name)

    def _action(self, document: dict[str, Any], path: str) -> str | None:
        if document.get("action") is None and document.get("integration") is None:
            self.refuse(f"{path}.action", "A step needs 'action': what is called there.")
            return None
        return self._text(document, "action", path, longest=255)

    def _input(self, document: dict[str, Any], path: str) -> Template | None:
        value = document.get("input")
        if value is None:
            return None
        if not isinstance(value, dict) and not (isinstance(value, str) and value.startswith("$.")):
            self.refuse(
                f"{path}.input", "'input' must be an object, or an expression such as $.input."
            )
            return None
        return self._template(document, "input", path)

    def _fallback(self, value: Any, path: str) -> Fallback | None:
        if value is None:
            return None
        if not isinstance(value, dict) or len({"output", "step"} & value.keys()) != 1:
            self.refuse(path, 'A fallback is {"output": ...} or {"step": "id"}.')
            return None
        self._keys(value, path, ("output", "step"), "A fallback")
        if "output" in value:
            return Fallback(self._output(value, path), None)
        step = self._text(value, "step", path, longest=None)
        if step is None and value["step"] is None:
            self.refuse(f"{path}.step", "'step' must be the id of a step.")
        return None if step is None else Fallback(None, step)

    def _next(self, value: Any, path: str) -> tuple[Route, ...]:
        if value is None:
            return ()
        if isinstance(value, str):
            return (Route(None, value.strip()),)
        if not isinstance(value, list):
            self.refuse(path, "'next' must be the id of a step, null, or a list of routes.")
            return ()
        if not 0 < len(value) <= MAX_ROUTES:
            self.refuse(path, f"A list of routes has 1 to {MAX_ROUTES} entries.")
            return ()
        routes = []
        for index, entry in enumerate(value):
            route = self._route(entry, f"{path}[{index}]")
            routes.append(route)
            if route.when is None and index < len(value) - 1 and _is_default(entry):
                self.refuse(
                    f"{path}[{index}]", "A route without 'when' is always taken; put it last."
                )
        if not _is_default(value[-1]):
            self.warnings.append(
                f"{path}: no entry without 'when' ends the list, so the workflow fails where none "
                "of the conditions is true."
            )
        return tuple(routes)

    def _route(self, entry: Any, path: str) -> Route:
        if not isinstance(entry, dict):
            self.refuse(path, 'A route is an object such as {"when": "output.ok", "step": "id"}.')
            return Route(None, None)
        self._keys(entry, path, ("when", "step"), "A route")
        if "step" not in entry:
            self.refuse(f"{path}.step", "A route needs 'step': the id of a step, or null to end.")
        when = self._expression(entry.get("when"), f"{path}.when")
        return Route(when, self._text(entry, "step", path, longest=None))

    def retry(self, value: Any, path: str, base: RetryPolicy) -> RetryPolicy:
        """Read a policy; what it does not say is as in `base`."""
        if not isinstance(value, dict):
            self.refuse(path, 'A retry is an object such as {"max_attempts": 3}.')
            return base
        self._keys(value, path, tuple(part.name for part in fields(RetryPolicy)), "A retry")
        said: dict[str, Any] = {}
        for key, given in value.items():
            if given is not None and hasattr(self, f"_retry_{key}"):
                said[key] = getattr(self, f"_retry_{key}")(given, f"{path}.{key}")
        said = {key: given for key, given in said.items() if given is not None}
        policy = replace(base, **said)
        if policy.base_delay > policy.max_delay:
            if "max_delay" in said:
                self.refuse(f"{path}.max_delay", "'max_delay' must not be below 'base_delay'.")
            policy = replace(policy, max_delay=policy.base_delay)
        return policy

    def _retry_max_attempts(self, value: Any, path: str) -> int | None:
        return self._whole_number(value, path, 1, 1_000)

    def _retry_base_delay(self, value: Any, path: str) -> float | None:
        return self._seconds(value, path, 0, MAX_RETRY_AFTER_SECONDS)

    def _retry_max_delay(self, value: Any, path: str) -> float | None:
        return self._seconds(value, path, 0, MAX_RETRY_AFTER_SECONDS)

    def _retry_max_elapsed(self, value: Any, path: str) -> float | None:
        return self._seconds(value, path, 0, MAX_ELAPSED_SECONDS)

    def _retry_backoff(self, value: Any, path: str) -> str | None:
        if isinstance(value, str) and value.strip().upper() in BACKOFFS:
            return value.strip().upper()
        self.refuse(path, f"{_show(value)} is not a backoff; use {', '.join(BACKOFFS)}.")
        return None

    def _retry_jitter(self, value: Any, path: str) -> bool | None:
        return self._boolean(value, path)

    def _retry_on(self, value: Any, path: str) -> tuple[str, ...] | None:
        if not isinstance(value, list) or len(value) > 50:
            self.refuse(path, "'on' must be a list of at most 50 entries.")
            return None
        names = []
        for index, entry in enumerate(value):
            name = str(entry).strip().upper() if type(entry) in (str, int) else ""
            if _RETRY_ENTRY.match(name):
                names.append(name)
            else:
                self.refuse(
                    f"{path}[{index}]",
                    f"{_show(entry)} is not a reason to retry; use {', '.join(RETRY_KINDS)}, a "
                    "status such as 429, a class such as 5XX, or an error code.",
                )
        return tuple(dict.fromkeys(names))

    # Values

    def _keys(
        self, document: dict[str, Any], path: str, allowed: tuple[str, ...], what: str
    ) -> None:
        for key in document:
            if key in allowed:
                continue
            if key in LATER_KEYS:
                sentence = f"'{key}' is not supported yet; {what[:1].lower()}{what[1:]} takes "
                sentence += f"{', '.join(allowed)}."
            else:
                sentence = f"{what} has no '{str(key)[:100]}'{did_you_mean(key, allowed)}"
            self.refuse(join_path(path, key), sentence)

    def _text(
        self, document: dict[str, Any], key: str, path: str, *, longest: int | None
    ) -> str | None:
        value = document.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            self.refuse(f"{path}.{key}", f"'{key}' must be a text, not {_show(value)}.")
        elif longest is not None and len(value) > longest:
            self.refuse(f"{path}.{key}", f"'{key}' is longer than {longest} characters.")
        else:
            return value.strip()
        return None

    def _flag(self, document: dict[str, Any], key: str, path: str) -> bool:
        value = document.get(key)
        return bool(value is not None and self._boolean(value, f"{path}.{key}"))

    def _boolean(self, value: Any, path: str) -> bool | None:
        if isinstance(value, bool):
            return value
        self.refuse(path, f"This must be true or false, not {_show(value)}.")
        return None

    def _whole_number(self, value: Any, path: str, least: int, most: int) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.refuse(path, f"This must be a whole number from {least} to {most}.")
        return None

    def _seconds(self, value: Any, path: str, least: float, most: float) -> float | None:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and least <= value <= most:
            return float(value)
        self.refuse(path, f"This must be a number of seconds from {least:g} to {most:g}.")
        return None

    def _expression(self, value: Any, path: str) -> Expression | None:
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(
                path, f"This must be an expression such as input.urgent, not {_show(value)}."
            )
            return None
        try:
            return compile_expression(value)
        except ExpressionError as error:
            self.refuse(path, error.message)
            return None

    def _output(self, document: dict[str, Any], path: str) -> Template | None:
        """Read what becomes an output: an object, a list, or an expression that gives one."""
        value = document["output"]
        if isinstance(value, (dict, list)) or (isinstance(value, str) and value.startswith("$.")):
            return self._template(document, "output", path)
        self.refuse(
            join_path(path, "output"),
            f"'output' must be an object, a list, or an expression such as $.input, not "
            f"{_show(value)}.",
        )
        return None

    def _template(self, document: dict[str, Any], key: str, path: str) -> Template | None:
        place = join_path(path, key)
        try:
            return compile_template(document[key])
        except ExpressionError as error:
            for inner, sentence in error.details["errors"].items():
                self.refuse(extend_path(place, inner), sentence)
            return None


def extend_path(path: str, inner: str) -> str:
    """Put the path of a part of a template behind the template's own."""
    return f"{path}{inner}" if not inner or inner.startswith("[") else f"{path}.{inner}"


def _is_default(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("when") is None


def _show(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a very large number"
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= 100 else f"{text[:97]}...'"
