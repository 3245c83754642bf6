"""Makes workflow versions of what earlier executions recorded, for their graphs (pure).

The earlier system kept no definitions: an execution is all that is known of how it went. Executions
with the same steps in the same order share a version. What is run again is the workflow of the
same name today, as a whole: what a single step once called is known to nobody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from uuid import UUID

from core.identifiers import read_id
from integration_site.adoption.conversion.values import id_for

# An execution that recorded no steps, or that ended outside of them, has this one.
WHOLE_RUN = "run"
MOST_STEPS = 200
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class RunShape:
    """A type of workflow, and the ids of the steps that executions of it recorded, in order."""

    type: str
    steps: tuple[str, ...]

    @property
    def workflow_name(self) -> str:
        return f"earlier-{self.runs_again}"

    @property
    def runs_again(self) -> str:
        """The name of the workflow that a retry runs."""
        return self.type.lower().replace("_", "-")

    @cached_property
    def workflow_id(self) -> UUID:
        return id_for(self.type, of="workflow")

    @cached_property
    def version_id(self) -> UUID:
        return id_for(f"{self.type}/{'/'.join(self.steps)}", of="workflow_version")

    def document(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return the definition: the steps as they followed each other."""
        followers = (*self.steps[1:], None)
        steps = [
            self._step(step, follower, names.get(step, ""))
            for step, follower in zip(self.steps, followers, strict=True)
        ]
        return {"steps": steps}

    def _step(self, step: str, follower: str | None, name: str) -> dict[str, Any]:
        # Nothing sets `context.recorded`: after a step that was run again, all is done.
        onward: Any = [{"when": "context.recorded", "step": follower}, {"step": None}]
        return {
            "id": step,
            **({"name": name[:200]} if name else {}),
            "type": "WORKFLOW",
            "workflow": self.runs_again,
            "input": "$.input",
            "next": onward if follower else None,
        }


def step_ids_of(steps: Sequence[tuple[str, str]]) -> list[str]:
    """Return an id for each step of (step_id, name): one that a definition takes.

    Ids that were made at random say nothing, and no two executions would have the same shape: such
    a step is called by its name.
    """
    return [_step_id(step_id, name) for step_id, name in steps]


@lru_cache(maxsize=4096)
def _step_id(step_id: str, name: str) -> str:
    chosen = name if name and (not step_id or read_id(step_id) is not None) else step_id
    text = _UNFIT.sub("-", chosen.strip()).strip("-.")[:100]
    if read_id(chosen) is not None or not text:
        return "step"
    return text.lower() if chosen is name else text
