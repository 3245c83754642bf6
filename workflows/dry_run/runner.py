"""Running a definition in memory: rows, claims and joins as the store keeps them, virtual time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from core.db.uuid7 import uuid7
from core.expressions import json_size
from core.json.schema import Schema, first_of
from workflows import decide
from workflows.decide import (
    DEFAULT_CONCURRENCY,
    Child,
    Facts,
    Finish,
    Row,
    Run,
    Signal,
    Transition,
)
from workflows.definition import Definition, Step
from workflows.dry_run.fake_calls import Calls
from workflows.dry_run.memory import Memory
from workflows.dry_run.mocks import error_of
from workflows.dry_run.model import Limits, SimulatedStep, Simulation
from workflows.dry_run.samples import sample_of

_STANDS_IN = "dry-run"
# Jitter's draw: retries wait for the middle of what they may.
_FRACTION = 0.5


def simulate(
    definition: Definition,
    *,
    workflow: str,
    input: Mapping[str, Any],
    context: Mapping[str, Any],
    calls: Calls,
    now: datetime,
    limits: Limits | None = None,
) -> Simulation:
    """Run a definition to its end in memory. Calls take no virtual time, waits pass at once.

    `now` is when it begins. Where a limit is reached it is stopped and not complete.
    """
    return _Driver(
        definition, workflow, dict(input), dict(context), calls, now, limits or Limits()
    ).run()


class _Driver:
    """The state of one dry run: what the database holds for a real one."""

    def __init__(
        self,
        definition: Definition,
        workflow: str,
        input: dict[str, Any],
        context: dict[str, Any],
        calls: Calls,
        now: datetime,
        limits: Limits,
    ) -> None:
        self._definition = definition
        self._workflow, self._input, self._context = workflow, input, context
        self._calls, self._limits = calls, limits
        self._id = str(uuid7())
        self._started_at = self._now = now
        self._memory = Memory()
        self._ready: deque[Row] = deque()
        self._facts: dict[str, Facts] = {}
        self._finish: Finish | None = None
        self._size = 0
        self._stopped = ""

    def run(self) -> Simulation:
        """Go on until it ends, nothing can happen any more, or a limit is reached."""
        until = time.monotonic() + self._limits.seconds
        self._add_first()
        while self._finish is None and not self._stopped:
            if not self._ready and not self._pass_time():
                break
            if self._ready:
                self._carry(self._ready.popleft())
            self._check_limits(until)
        return self._result()

    def _add_first(self) -> None:
        step = self._definition.steps[self._definition.first]
        row = Row(
            id=str(uuid7()),
            step_id=step.id,
            path=step.id,
            name=step.name,
            action=step.action or "",
            service=step.target.name if step.target else "",
        )
        self._memory.insert(row)
        self._ready.append(row)

    def _kind_of(self, row: Row) -> str:
        return self._definition.steps[row.step_id].kind

    def _check_limits(self, until: float) -> None:
        if len(self._memory.rows) > self._limits.steps:
            self._stopped = f"Stopped after {self._limits.steps} steps."
        elif self._size > self._limits.size:
            self._stopped = "Stopped: inputs and outputs are larger than can be shown."
        elif self._now - self._started_at > self._limits.virtual:
            self._stopped = f"Stopped after {self._limits.virtual.days} days of virtual time."
        elif time.monotonic() > until:
            self._stopped = f"Stopped after {self._limits.seconds:g} s of work."

    # Time

    def _pass_time(self) -> bool:
        """Go to the next time at which something is due; False when nothing ever will be."""
        due = self._memory.next_to_wake()
        if due is None or due.wake_at is None:
            return False
        deadline = self._deadline()
        if deadline is not None and due.wake_at > deadline:
            self._now = deadline
            error = decide.deadline_exceeded()
            self._memory.cancel("", now=self._now)
            self._end(Finish("FAILED", errors=({"step": None, **decide.describe(error)},)))
        else:
            self._now = max(self._now, due.wake_at)
            self._ready.append(due)
        return True

    def _deadline(self) -> datetime | None:
        limit = self._definition.timeout
        return self._started_at + timedelta(seconds=limit) if limit else None

    # One row

    def _carry(self, row: Row) -> None:
        """Claim a row and go on with what follows it in its branch."""
        if row.status not in ("PENDING", "WAITING"):
            return  # cancelled meanwhile
        run, taken = self._run_at(row), row
        while True:
            _claim(taken, self._now)
            step = self._definition.steps[taken.step_id]
            transition = decide.resume(run, taken, now=self._now)
            if transition is None:
                outcome = self._calls.call(step, taken)
                transition = decide.settle(run, taken, outcome, now=self._now, fraction=_FRACTION)
            else:
                transition = self._stand_in(run, step, taken, transition)
            follower = self._record(run, transition)
            if follower is None:
                return
            taken = follower

    def _run_at(self, row: Row) -> Run:
        """What is known at a row, as a claim loads it."""
        run = Run(
            id=self._id,
            workflow=self._workflow,
            started_at=self._started_at,
            input=self._input,
            context=self._context,
            definition=self._definition,
            scope=row.scope,
            deadline=self._deadline(),
        )
        decide.recall(
            run,
            self._memory.outcomes_in,
            lambda path: self._memory.at(path).input["over"],
            step_id=row.step_id,
            path=row.path,
        )
        if row.total:
            run.facts = Facts(results=self._memory.results_of(row))
        elif row.id in self._facts:
            run.facts = self._facts[row.id]
        return run

    # What people and other executions would do

    def _stand_in(self, run: Run, step: Step, row: Row, transition: Transition) -> Transition:
        """Let a row that waits for somebody have its mock at once."""
        if row.status != "WAITING" or step.kind not in ("EVENT", "APPROVAL", "WORKFLOW"):
            return transition
        if row.id in self._facts:
            return transition  # it has had it, and waits nevertheless
        given = self._calls.mocks.take(step.id)
        if given is None:
            self._calls.sampled.add(row.id)
            self._calls.doubt(step, _ASSUMED[step.kind])
        else:
            self._calls.mocked.add(row.id)
        self._facts[row.id] = run.facts
        _claim(row, self._now)
        if given is not None and given.error is not None:
            outcome = decide.Failure(error_of(given.error, step, ""))
            return decide.settle(run, row, outcome, now=self._now, fraction=_FRACTION)
        run.facts = self._facts[row.id] = self._tell(
            step, row, _sample_for(step) if given is None else given.output
        )
        told = decide.resume(run, row, now=self._now)
        assert told is not None
        for signal in told.set_aside:
            self._calls.doubt(step, f"Its signal would be set aside: {signal.reason}")
        if row.status == "WAITING":
            self._calls.doubt(step, "It waits on: what it was given is not what it waits for.")
        return told

    def _tell(self, step: Step, row: Row, output: Any) -> Facts:
        if step.kind == "EVENT":
            return Facts(signals=[Signal(1, row.input["event"], output)])
        if step.kind == "WORKFLOW":
            return Facts(child=Child(str(uuid7()), "COMPLETED", output, []))
        said = output if isinstance(output, dict) else {}
        rejected = str(said.get("decision") or "").upper().startswith("REJECT")
        problems = Schema(step.form).problems(said.get("form")) if step.form is not None else {}
        for path, sentences in () if rejected else problems.items():
            self._calls.doubt(step, f"The form would be refused: {first_of({path: sentences})}")
        decision = {
            "decision": "REJECTED" if rejected else "APPROVED",
            "by": _STANDS_IN,
            "at": self._now.isoformat(),
            "comment": str(said.get("comment") or ""),
            "form": said.get("form"),
        }
        row.input = {**row.input, "decisions": [decision] * step.minimum}
        return Facts()

    # What a commit does

    def _record(self, run: Run, transition: Transition) -> Row | None:
        """Take up a transition; give the follower that goes on here."""
        settled, onward = transition.settled, None
        assert settled is not None
        self._size += _size_of(settled)
        for row in transition.followers:
            self._memory.insert(row)
            if row.status == "WAITING" and self._kind_of(row) == "APPROVAL":
                self._ready.append(row)
            elif row.status != "PENDING":
                self._size += _size_of(row)
            elif row.unclaimed or row.scope != run.scope:
                self._ready.append(row)
            else:
                onward = row
        if transition.abandons:
            self._memory.cancel(f"{transition.abandons}/", now=self._now)
        if transition.leaves is not None:
            self._leave(run, transition.leaves)
        if transition.finish is not None:
            self._end(transition.finish)
        return onward

    def _leave(self, run: Run, finish: Finish) -> None:
        """Count an ended branch at its container; begin the next elements, or wake it."""
        container = self._memory.at(run.scope.rpartition("/")[0])
        if container.status != "WAITING":
            return
        container.done += finish.status == "COMPLETED"
        container.failed += finish.status != "COMPLETED"
        step = self._definition.steps[container.step_id]
        if decide.has_ended(container):
            container.status = "PENDING"
            self._ready.append(container)
        elif container.begun < container.total and step.body is not None:
            going = container.begun - container.done - container.failed
            room = max((step.max_concurrency or DEFAULT_CONCURRENCY) - going, 0)
            last = min(container.begun + room, container.total)
            for index in range(container.begun, last):
                first = decide.first_of_branch(run, container, step.body.first, index, self._now)
                self._memory.insert(first)
                self._ready.append(first)
            container.begun = last

    def _end(self, finish: Finish) -> None:
        """The end is reached; what undoes the steps of a failed execution would begin here."""
        self._finish = finish
        self._memory.cancel("", now=self._now)

    # The answer

    def _result(self) -> Simulation:
        warnings = list(self._calls.warnings)
        if self._stopped:
            warnings.append(self._stopped)
        finish = self._finish
        waits = finish is None and not self._stopped
        if waits:
            paths = ", ".join(r.path for r in self._memory.rows.values() if r.status == "WAITING")
            warnings.append(f"It would wait for ever at {paths}.")
        return Simulation(
            status=finish.status if finish else "WAITING" if waits else "RUNNING",
            output=finish.output if finish else None,
            errors=finish.errors if finish else (),
            steps=tuple(self._shown()),
            warnings=tuple(warnings),
            complete=not self._stopped,
            started_at=self._started_at,
            ended_at=self._now,
        )

    def _shown(self) -> Iterator[SimulatedStep]:
        after = self._memory.followers()
        for row in list(self._memory.rows.values())[: self._limits.steps]:
            yield SimulatedStep(
                row,
                self._kind_of(row),
                after.get(row.id),
                mocked=row.id in self._calls.mocked,
                sampled=row.id in self._calls.sampled,
            )


_ASSUMED = {
    "EVENT": "It has no mock: the signal is taken to come with an empty payload.",
    "APPROVAL": "It has no mock: it is taken to be approved.",
    "WORKFLOW": "It has no mock: the child is taken to complete with the output {}.",
}


def _sample_for(step: Step) -> Any:
    if step.kind != "APPROVAL":
        return {}
    return {"form": sample_of(step.form) if step.form is not None else None}


def _claim(row: Row, now: datetime) -> None:
    row.status, row.wake_at = "RUNNING", None
    row.started_at = row.started_at or now


def _size_of(row: Row) -> int:
    return json_size(row.input, 1 << 20) + json_size(row.output, 1 << 20)
