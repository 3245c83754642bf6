"""Checks the graph of the steps: what nothing leads to, and what goes round."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from workflows.definition import PAUSING_KINDS, Definition, Findings, Step

# The list of the definition itself; see list_of().
TOP = (None, None)


@dataclass(slots=True)
class StepGraph:
    """The steps, which follows which, and which can have run before which.

    Ways never leave a list of steps: what is inside of a step is a graph of its own.
    """

    definition: Definition
    followers: dict[str, tuple[str, ...]] = field(init=False)
    reachable: set[str] = field(init=False)
    """The steps that some way through their own list leads to."""
    torn: set[tuple[str | None, int | None]] = field(default_factory=set)
    """The lists in which a way could not be read: what it would lead to is not known."""
    _aliases: dict[str, str] = field(init=False)
    _before: dict[str, set[str]] = field(default_factory=dict)
    _leaders: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps = self.definition.steps
        self.followers = {
            step.id: tuple(
                name
                for name in step.followers
                if name in steps and list_of(steps[name]) == list_of(step)
            )
            for step in steps.values()
        }
        self._aliases = {name.replace("-", "_"): name for name in steps}
        starts = [block.first for step in steps.values() for block in step.blocks]
        self.reachable = _closure([self.definition.first, *starts], self.followers)
        for name in self.reachable:
            for follower in self.followers[name]:
                self._leaders.setdefault(follower, []).append(name)

    def resolve(self, written: str) -> str | None:
        """Give the id that an expression means: as written, or with underscores for its dashes."""
        return written if written in self.definition.steps else self._aliases.get(written)

    def before(self, name: str) -> set[str]:
        """Return the steps on some way to this one; itself only if it can be visited again."""
        if name not in self._before:
            self._before[name] = _closure(self._leaders.get(name, []), self._leaders)
        return self._before[name]

    def around(self, name: str) -> list[str]:
        """This step and those that it is inside of, from the inside out."""
        steps = self.definition.steps
        names = [name]
        while (container := steps[names[-1]].container) is not None:
            names.append(container)
        return names

    def is_reached(self, name: str) -> bool:
        """Return whether some way leads to this step, and to those that it is inside of."""
        return all(outer in self.reachable for outer in self.around(name))

    def is_visible(self, name: str, at: str) -> bool:
        """Return whether a step can have run before another, in its list or in one around it."""
        return any(name in self.before(outer) for outer in self.around(at))


def torn_lists(
    definition: Definition, paths: Mapping[str, str], errors: Collection[str]
) -> set[tuple[str | None, int | None]]:
    """Return the lists of steps with errors about where a step leads to."""
    torn = set()
    for step in definition.steps.values():
        keys = tuple(f"{paths[step.id]}.{key}" for key in ("next", "fallback", "on_error"))
        if any(path.startswith(keys) for path in errors):
            torn.add(list_of(step))
    return torn


def list_of(step: Step) -> tuple[str | None, int | None]:
    """Return which list a step is in: the id of the step around it, and the branch there."""
    return step.container, step.branch


def _closure(starts: Collection[str], edges: Mapping[str, Collection[str]]) -> set[str]:
    seen = set(starts)
    waiting = list(starts)
    while waiting:
        for name in edges.get(waiting.pop(), ()):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return seen


def check_graph(graph: StepGraph, paths: Mapping[str, str], findings: Findings) -> None:
    """Refuse steps that nothing leads to, and cycles that nothing bounds."""
    unreached = _first_unreached(graph)
    for name, step in graph.definition.steps.items():
        if name in unreached and list_of(step) not in graph.torn:
            findings.refuse(
                paths[name],
                f"No step leads to '{name}'; name it in the 'next' of another, or remove it.",
            )
    for cycle in _unbounded_cycles(graph):
        findings.refuse(
            f"{paths[cycle[-1]]}.next",
            f"The steps go round in a circle ({' -> '.join([*cycle, cycle[0]])}); give one of them "
            "'max_visits', or wait on the way: WAIT, EVENT, APPROVAL.",
        )


def _first_unreached(graph: StepGraph) -> set[str]:
    """Return the steps that nothing leads to, without those that only such steps lead to."""
    lost = [name for name in graph.definition.steps if name not in graph.reachable]
    first: list[str] = []
    covered: set[str] = set()
    led_to = {name for other in lost for name in graph.followers[other] if name != other}
    # Those without any way to them first; of a circle one stands for all.
    for name in sorted(lost, key=lambda name: name in led_to):
        if name not in covered:
            first.append(name)
            covered |= _closure([name], graph.followers)
    return set(first)


def _unbounded_cycles(graph: StepGraph) -> Iterator[list[str]]:
    """Find cycles in which nothing bounds the visits; disjoint ones."""
    steps = graph.definition.steps
    free = {name for name in graph.reachable if not _is_bound(steps[name])}
    edges = {
        name: [other for other in followers if other in free]
        for name, followers in graph.followers.items()
        if name in free
    }
    seen: set[str] = set()
    for start in edges:
        cycle = _find_cycle(start, edges, seen)
        if cycle:
            seen.update(cycle)
            yield cycle


def _is_bound(step: Step) -> bool:
    return step.max_visits is not None or step.kind in PAUSING_KINDS


def _find_cycle(start: str, edges: Mapping[str, list[str]], seen: set[str]) -> list[str]:
    """Walk depth first from `start`; give the first way that meets itself. Marks what it left."""
    if start in seen:
        return []
    way = {start: iter(edges[start])}
    while way:
        name = next(reversed(way))
        follower = next((other for other in way[name] if other not in seen), None)
        if follower is None:
            seen.add(name)
            del way[name]
        elif follower in way:
            names = list(way)
            return names[names.index(follower) :]
        else:
            way[follower] = iter(edges[follower])
    return []
