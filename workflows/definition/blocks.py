"""Reads lists of steps: those of the definition, and those inside of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from workflows.definition.fields import FieldReader, show
from workflows.definition.kinds import ENDING_KINDS
from workflows.definition.model import Block, Step
from workflows.definition.retry import Defaults
from workflows.definition.steps import read_step

MAX_CONTAINERS = 5


@dataclass(frozen=True, slots=True)
class StepList:
    """Which list a step is in: that of the definition, or one inside of another step."""

    container: str | None = None
    branch: int | None = None
    depth: int = 0


@dataclass(slots=True)
class BlockReader:
    """Reads lists of steps, and holds every step that has a usable id, its path and document."""

    reader: FieldReader
    defaults: Defaults
    steps: dict[str, Step] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Expressions may write dashes as underscores, so ids must differ in more than that.
    _spelled: dict[str, str] = field(default_factory=dict)

    def read(self, documents: list[Any], path: str, own_list: StepList) -> Block | None:
        """Read a list of steps; None where none of them has a usable id."""
        names = []
        for position, document in enumerate(documents):
            inner = f"{path}[{position}]"
            step = read_step(self.reader, document, inner, self.defaults)
            if step is None or not self._add(step, document, inner, own_list):
                continue
            names.append(step.id)
            if position < len(documents) - 1:
                _warn_of_silent_end(self.reader, document, self.steps[step.id], inner)
        return Block(names[0], tuple(names)) if names else None

    def check_followers(self) -> None:
        """Refuse what leads to no step of the same list."""
        peers: dict[tuple[str | None, int | None], list[str]] = {}
        for step in self.steps.values():
            peers.setdefault((step.container, step.branch), []).append(step.id)
        for step in self.steps.values():
            own = peers[step.container, step.branch]
            for path, name in _named_followers(step, self.documents[step.id], self.paths[step.id]):
                if name not in own:
                    self.reader.refuse(path, self._wrong_follower(name, own))

    def _add(self, step: Step, document: dict[str, Any], path: str, own_list: StepList) -> bool:
        """Take up a step and those inside of it; False where another one has its id."""
        step = replace(step, container=own_list.container, branch=own_list.branch)
        if step.id in self.steps:
            self.reader.refuse(
                f"{path}.id", f"The id '{step.id}' is already that of {self.paths[step.id]}."
            )
            # What is inside is read for its errors only: its container cannot be named.
            BlockReader(self.reader, self.defaults)._read_inside(step, document, path, own_list)
            return False
        spelled_alike = self._spelled.setdefault(step.id.replace("-", "_"), step.id)
        if spelled_alike != step.id:
            self.reader.refuse(
                f"{path}.id",
                f"The ids '{step.id}' and '{spelled_alike}' differ only in dashes and underscores.",
            )
        self.steps[step.id], self.paths[step.id] = step, path
        self.documents[step.id] = document
        self.steps[step.id] = self._read_inside(step, document, path, own_list)
        return True

    def _read_inside(
        self, step: Step, document: dict[str, Any], path: str, own_list: StepList
    ) -> Step:
        if step.kind not in ("PARALLEL", "MAP"):
            return step
        if own_list.depth >= MAX_CONTAINERS:
            self.reader.refuse(
                path, f"PARALLEL and MAP steps are nested more than {MAX_CONTAINERS} levels deep."
            )
            return step
        inside = StepList(step.id, 0, own_list.depth + 1)
        if step.kind == "PARALLEL":
            return replace(step, branches=self._branches(document.get("branches"), path, inside))
        if document.get("steps") is None:
            return step
        return replace(step, body=self._block(document["steps"], f"{path}.steps", inside))

    def _branches(self, value: Any, path: str, inside: StepList) -> tuple[Block, ...]:
        path = f"{path}.branches"
        if value is None:
            return ()
        if not isinstance(value, list) or not value:
            self.reader.refuse(path, "'branches' must be a list of lists of steps, at least one.")
            return ()
        blocks = [
            self._block(part, f"{path}[{index}]", replace(inside, branch=index))
            for index, part in enumerate(value)
        ]
        return tuple(block for block in blocks if block is not None)

    def _block(self, value: Any, path: str, own_list: StepList) -> Block | None:
        if not isinstance(value, list):
            self.reader.refuse(path, f"This must be a list of steps, not {show(value)}.")
        elif not value:
            self.reader.refuse(path, "A list of steps needs at least one.")
        else:
            return self.read(value, path, own_list)
        return None

    def _wrong_follower(self, name: str, own: list[str]) -> str:
        other = self.steps.get(name)
        if other is None:
            return f"There is no step '{name[:100]}'{self.reader.suggest(name, own)}"
        if other.container is not None:
            return (
                f"'{name}' is inside of '{other.container}': only steps of the same list lead to "
                "it."
            )
        return (
            f"'{name}' is not in the same list of steps; a step leads only to those beside it, and "
            "null ends the list."
        )


def _named_followers(step: Step, document: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Give the steps that this one names to go on at, each with the path of the name."""
    listed = isinstance(document.get("next"), list)
    for index, route in enumerate(step.next):
        if route.step is not None:
            yield f"{path}.next[{index}].step" if listed else f"{path}.next", route.step
    for index, error_route in enumerate(step.on_error):
        if error_route.step is not None:
            yield f"{path}.on_error[{index}].step", error_route.step
    if step.fallback is not None and step.fallback.step is not None:
        yield f"{path}.fallback.step", step.fallback.step


def _warn_of_silent_end(
    reader: FieldReader, document: dict[str, Any], step: Step, path: str
) -> None:
    if "next" not in document and step.kind not in ENDING_KINDS:
        ends = "workflow" if step.container is None else "branch"
        reader.doubt(
            path,
            f"'{step.id}' has no 'next', so the {ends} ends after it; "
            'write "next": null if that is meant.',
        )
