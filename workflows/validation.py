"""Whether a workflow definition can work: all errors at once, each at its path, and warnings.

Besides the form of the document (`workflows.definition`) this looks at the graph of its steps, at
what its expressions refer to, and at the actions that a directory knows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import jsonschema_rs

from registry.schemas import compile_schema
from workflows.definition import Definition, Step, Target, extend_path, read
from workflows.expressions import ROOT_NAMES, Expression, Template, did_you_mean, join_path

STEP_FIELDS = ("output", "status", "error")
EXECUTION_FIELDS = ("id", "workflow", "started_at")
MAX_INPUT_ERRORS = 20

# Errors that hold for an object or list whatever the parts of it that are not known yet.
_SURE_KINDS = frozenset(
    {
        "AdditionalProperties",
        "FalseSchema",
        "MaxItems",
        "MaxProperties",
        "MinItems",
        "MinProperties",
        "PropertyNames",
        "Required",
        "Type",
    }
)
# Below these, whether a keyword applies depends on values.
_CONDITIONAL_KEYWORDS = frozenset({"if", "then", "else", "contains"})


@dataclass(frozen=True, slots=True)
class ActionInfo:
    """What is known of an action."""

    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None


class ActionNotFoundError(LookupError):
    """The service exists and has no such action: the error belongs to the `action` key."""


class UnknownTypeError(LookupError):
    """The type is none of the vocabulary: no service can ever have it."""


class Directory(Protocol):
    """Knows services and their actions."""

    def find_action(self, target: Target, action: str) -> ActionInfo:
        """Describe an action of a target.

        Raises LookupError(sentence) when there is no such service, or none of that type now, and
        ActionNotFoundError(sentence) when there is one and it has no such action.
        """


@dataclass(frozen=True, slots=True)
class Validation:
    """What is wrong with a definition, by path, and what may be meant otherwise."""

    errors: dict[str, list[str]]
    warnings: list[str]

    @property
    def valid(self) -> bool:
        """Whether the definition can be used."""
        return not self.errors


def validate(document: Any, *, directory: Directory | None, draft: bool = False) -> Validation:
    """Check a definition's document. Never raises, whatever JSON it is given.

    Without a directory, services and actions are not looked up; for a draft, missing ones and
    inputs that do not fit are warnings. That no service of a type is there now is always a warning.
    """
    reading = read(document)
    findings = _Findings(reading.errors, reading.warnings)
    if reading.definition is not None:
        graph = _Graph(reading.definition)
        _check_graph(graph, reading.positions, findings)
        uses = list(_uses(reading.definition, reading.positions))
        _check_references(uses, graph, findings)
        if directory is not None:
            actions = _look_up(reading.definition, reading.positions, directory, findings, draft)
            _warn_of_unknown_outputs(uses, reading.definition, actions, findings)
    return Validation(findings.errors, findings.warnings)


@dataclass(slots=True)
class _Findings:
    errors: dict[str, list[str]]
    warnings: list[str]

    def refuse(self, path: str, sentence: str) -> None:
        self.errors.setdefault(path, []).append(sentence)

    def doubt(self, path: str, sentence: str) -> None:
        self.warnings.append(f"{path}: {sentence}")


# --- The graph -------------------------------------------------------------------------------


@dataclass(slots=True)
class _Graph:
    """The steps, which follows which, and which can have run before which."""

    definition: Definition
    followers: dict[str, tuple[str, ...]] = field(init=False)
    reachable: set[str] = field(init=False)
    _before: dict[str, set[str]] = field(default_factory=dict)
    _leaders: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps = self.definition.steps
        self.followers = {
            step.id: tuple(name for name in step.followers if name in steps)
            for step in steps.values()
        }
        self.reachable = _closure(self.definition.first, self.followers)
        for name in self.reachable:
            for follower in self.followers[name]:
                self._leaders.setdefault(follower, []).append(name)

    def before(self, name: str) -> set[str]:
        """The steps on some way to this one; itself only if it can be visited again."""
        if name not in self._before:
            leaders = self._leaders.get(name, [])
            self._before[name] = _closure_of_all(leaders, self._leaders)
        return self._before[name]


def _closure(start: str, edges: Mapping[str, Collection[str]]) -> set[str]:
    return _closure_of_all([start], edges)


def _closure_of_all(starts: list[str], edges: Mapping[str, Collection[str]]) -> set[str]:
    seen = set(starts)
    waiting = list(starts)
    while waiting:
        for name in edges.get(waiting.pop(), ()):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return seen


def _check_graph(graph: _Graph, positions: Mapping[str, int], findings: _Findings) -> None:
    steps = graph.definition.steps
    for name in steps:
        if name not in graph.reachable:
            findings.refuse(
                f"steps[{positions[name]}]",
                f"No step leads to '{name}'; name it in the 'next' of another, or remove it.",
            )
    for cycle in _unbounded_cycles(graph):
        findings.refuse(
            f"steps[{positions[cycle[-1]]}].next",
            f"The steps go round in a circle ({' -> '.join([*cycle, cycle[0]])}); give one of them "
            "'max_visits'.",
        )


def _unbounded_cycles(graph: _Graph) -> Iterator[list[str]]:
    """Find cycles of which no step bounds its visits; disjoint ones."""
    steps = graph.definition.steps
    edges = {
        name: [other for other in followers if steps[other].max_visits is None]
        for name, followers in graph.followers.items()
        if steps[name].max_visits is None and name in graph.reachable
    }
    done: set[str] = set()
    for start in edges:
        cycle = _find_cycle(start, edges, done)
        if cycle:
            done.update(cycle)
            yield cycle


def _find_cycle(start: str, edges: Mapping[str, list[str]], done: set[str]) -> list[str]:
    """Walk depth first from `start`; give the first way that meets itself. Marks what it left."""
    if start in done:
        return []
    way = {start: iter(edges[start])}
    while way:
        name = next(reversed(way))
        follower = next((other for other in way[name] if other not in done), None)
        if follower is None:
            done.add(name)
            del way[name]
        elif follower in way:
            names = list(way)
            return names[names.index(follower) :]
        elif follower in edges:
            way[follower] = iter(edges[follower])
    return []


# --- References ------------------------------------------------------------------------------


class _Use(NamedTuple):
    """An expression, where it stands, and whose it is.

    `after` says that the step's own outcome is among `steps` by then, `has_output` that `output` is
    in scope.
    """

    path: str
    expression: Expression
    step: Step | None
    after: bool = False
    has_output: bool = False


def _uses(definition: Definition, positions: Mapping[str, int]) -> Iterator[_Use]:
    for step in definition.steps.values():
        path = f"steps[{positions[step.id]}]"
        if step.when is not None:
            yield _Use(f"{path}.when", step.when, step)
        for index, route in enumerate(step.next):
            if route.when is not None:
                yield _Use(f"{path}.next[{index}].when", route.when, step, True, True)
        for key in ("input", "output", "error"):
            for place, expression in _leaves(getattr(step, key), f"{path}.{key}"):
                yield _Use(place, expression, step)
        if step.fallback is not None:
            for place, expression in _leaves(step.fallback.output, f"{path}.fallback.output"):
                yield _Use(place, expression, step, after=True)
    for place, expression in _leaves(definition.output, "output"):
        yield _Use(place, expression, None, has_output=True)


def _leaves(template: Template | None, path: str) -> Iterator[tuple[str, Expression]]:
    for inner, expression in template.expressions if template is not None else ():
        yield extend_path(path, inner), expression


def _check_references(uses: list[_Use], graph: _Graph, findings: _Findings) -> None:
    for use in uses:
        for reference in sorted(use.expression.references):
            root = reference[0]
            if root not in ROOT_NAMES:
                findings.refuse(
                    use.path,
                    f"There is no '{root[:100]}' to read{did_you_mean(root, ROOT_NAMES)} "
                    f"An expression reads {', '.join(ROOT_NAMES)}.",
                )
            elif root in ("item", "index"):
                findings.refuse(use.path, f"'{root}' is only there inside a MAP step.")
            elif root == "output":
                _check_own_output(use, findings)
            elif root == "execution" and len(reference) > 1:
                _check_field(reference[1], EXECUTION_FIELDS, use.path, "execution", findings)
            elif root == "steps" and len(reference) > 1:
                _check_step_reference(reference, use, graph, findings)


def _check_own_output(use: _Use, findings: _Findings) -> None:
    if not use.has_output:
        findings.refuse(
            use.path,
            "'output' is a step's own and is only there in the conditions of its 'next', and in "
            "the definition's 'output'; elsewhere write steps.<id>.output.",
        )


def _check_field(
    name: str, known: tuple[str, ...], path: str, owner: str, findings: _Findings
) -> None:
    if name not in known:
        findings.refuse(
            path,
            f"'{owner}' has {', '.join(known)}, not '{name[:100]}'{did_you_mean(name, known)}",
        )


def _check_step_reference(
    reference: tuple[str, ...], use: _Use, graph: _Graph, findings: _Findings
) -> None:
    steps = graph.definition.steps
    name = resolve_step_id(reference[1], steps)
    if name is None:
        findings.refuse(
            use.path,
            f"There is no step '{reference[1][:100]}'{did_you_mean(reference[1], steps)}",
        )
        return
    if len(reference) > 2:
        _check_field(reference[2], STEP_FIELDS, use.path, f"steps.{name}", findings)
    if not _can_have_run(name, use, graph):
        findings.refuse(
            use.path,
            f"The step '{name}' cannot have run by then: no way through the steps comes from it to "
            "here.",
        )


def resolve_step_id(written: str, steps: Collection[str]) -> str | None:
    """Give the id that an expression means: as written, or with underscores for its dashes."""
    if written in steps:
        return written
    return next((name for name in steps if name.replace("-", "_") == written), None)


def _can_have_run(name: str, use: _Use, graph: _Graph) -> bool:
    if use.step is None:
        return name in graph.reachable
    if use.step.id not in graph.reachable:
        return True
    return name in graph.before(use.step.id) or (use.after and name == use.step.id)


# --- Services and actions --------------------------------------------------------------------


def _look_up(
    definition: Definition,
    positions: Mapping[str, int],
    directory: Directory,
    findings: _Findings,
    draft: bool,
) -> dict[str, ActionInfo]:
    """Check targets and inputs; gives what is known of each step's action."""
    report = findings.doubt if draft else findings.refuse
    known: dict[str, ActionInfo] = {}
    for step in definition.steps.values():
        if step.target is None or (step.action is None and step.target.kind != "integration"):
            continue
        path = f"steps[{positions[step.id]}]"
        try:
            known[step.id] = directory.find_action(step.target, step.action or "")
        except ActionNotFoundError as error:
            report(f"{path}.action", _sentence(error))
            continue
        except UnknownTypeError as error:
            findings.refuse(f"{path}.service_type", _sentence(error))
            continue
        except LookupError as error:
            # Discovery picks among what is up when the step runs: services of a type come and go.
            by_type = step.target.kind == "service_type"
            missing = findings.doubt if by_type else report
            missing(f"{path}.{step.target.kind}", _sentence(error))
            continue
        for place, sentence in _input_problems(step, known[step.id].input_schema):
            report(extend_path(f"{path}.input", place), sentence)
    return known


def _sentence(error: LookupError) -> str:
    return str(error.args[0]) if error.args else "It does not exist."


def _input_problems(step: Step, schema: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Give what the schema surely refuses in a step's input, with the place in the input."""
    if step.input is None or not schema or "" in dict(step.input.expressions):
        return
    try:
        validator = compile_schema(json.dumps(schema, sort_keys=True))
    except (ValueError, TypeError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
        return  # A broken schema is reported where the action is registered.
    unknown: set[tuple[str | int, ...]] = set()
    sample = _sample(step.input.source, (), unknown)
    count = 0
    for error in validator.iter_errors(sample):
        if _is_sure(error, unknown):
            count += 1
            yield _place(error.instance_path), f"{error.message[:300]}."
        if count >= MAX_INPUT_ERRORS:
            return


def _sample(value: Any, path: tuple[str | int, ...], unknown: set[tuple[str | int, ...]]) -> Any:
    """What a template renders to, with null where that depends on the execution."""
    if isinstance(value, dict):
        return {key: _sample(part, (*path, key), unknown) for key, part in value.items()}
    if isinstance(value, list):
        return [_sample(part, (*path, index), unknown) for index, part in enumerate(value)]
    if isinstance(value, str) and value.startswith("$$."):
        return value[1:]
    if isinstance(value, str) and value.startswith("$."):
        unknown.add(path)
        return None
    return value


def _is_sure(error: Any, unknown: set[tuple[str | int, ...]]) -> bool:
    """Whether an error in the sample stays, whatever the unknown parts turn out to be."""
    path = tuple(error.instance_path)
    if any(path[: len(place)] == place for place in unknown):
        return False
    if unknown and not _CONDITIONAL_KEYWORDS.isdisjoint(error.evaluation_path):
        return False
    holds_unknown = any(place[: len(path)] == path for place in unknown)
    return not holds_unknown or type(error.kind).__name__ in _SURE_KINDS


def _place(parts: list[str | int]) -> str:
    path = ""
    for part in parts:
        path = f"{path}[{part}]" if isinstance(part, int) else join_path(path, part)
    return path


def _warn_of_unknown_outputs(
    uses: list[_Use],
    definition: Definition,
    actions: Mapping[str, ActionInfo],
    findings: _Findings,
) -> None:
    """Doubt what reads a property that the action's output schema does not name."""
    for use in uses:
        for reference in sorted(use.expression.references):
            if len(reference) < 4 or reference[0] != "steps" or reference[2] != "output":
                continue
            name = resolve_step_id(reference[1], definition.steps)
            if name is not None and name in actions:
                known = _output_names(definition.steps[name], actions[name])
                if known and reference[3] not in known:
                    findings.doubt(
                        use.path,
                        f"The output of '{name}' names {', '.join(sorted(known))}, not "
                        f"'{reference[3][:100]}'{did_you_mean(reference[3], known)}",
                    )


def _output_names(step: Step, action: ActionInfo) -> set[str]:
    """The properties that a step's output may have; empty where they cannot be told."""
    properties = (action.output_schema or {}).get("properties")
    if not isinstance(properties, dict):
        return set()
    stand_in = step.fallback.output if step.fallback is not None else None
    if stand_in is None:
        return set(properties)
    return set(properties) | set(stand_in.source) if isinstance(stand_in.source, dict) else set()
