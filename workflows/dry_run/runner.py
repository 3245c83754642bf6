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
    ChildExecution,
    ExecutionState,
    Facts,
    Finish,
    Row,
    Signal,
    Transition,
)
from workflows.definition import Definition, Step
from workflows.dry_run.fake_calls import Calls
from workflows.dry_run.memory import RowMemory
from workflows.dry_run.mocks import error_of
from workflows.dry_run.model import DryRunLimits, DryRunResult, DryRunStep
from workflows.dry_run.samples import sample_of
from workflows.models import ExecutionStatus

_STANDS_IN = "dry-run"
# Jitter's draw: retries wait for the middle of what they may.
_FRACTION = 0.5


def execute_in_memory(
    definition: Definition,
    *,
    workflow: str,
    input: Mapping[str, Any],
    context: Mapping[str, Any],
    calls: Calls,
    now: datetime,
    limits: DryRunLimits | None = None,
) -> DryRunResult:
    """Run a definition to its end in memory. Calls take no virtual time, waits pass at once.

    `now` is when it begins. Where a limit is reached it is stopped and not complete.
    """
    return _Driver(
        definition, workflow, dict(input), dict(context), calls, now, limits or DryRunLimits()
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
        limits: DryRunLimits,
    ) -> None:
        self._definition = definition
        self._workflow, self._input, self._context = workflow, input, context
        self._calls, self._limits = calls, limits
        self._id = str(uuid7())
        self._started_at = self._now = now
        self._memory = RowMemory()
        self._ready: deque[Row] = deque()
        self._facts: dict[str, Facts] = {}
        self._finish: Finish | None = None
        self._size = 0
        self._stopped = ""

    def run(self) -> DryRunResult:
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
        row = decide.new_row(step, step.id, scope="", now=self._now)
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
            self._end(
                Finish(ExecutionStatus.FAILED, errors=({"step": None, **decide.describe(error)},))
            )
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
        execution, taken = self._state_at(row), row
        while True:
            _claim(taken, self._now)
            step = self._definition.steps[taken.step_id]
            transition = decide.resume(execution, taken, now=self._now)
            if transition is None:
                outcome = self._calls.call(step, taken)
                transition = decide.settle(
                    execution, taken, outcome, now=self._now, fraction=_FRACTION
                )
            else:
                transition = self._stand_in(execution, step, taken, transition)
            follower = self._record(execution, transition)
            if follower is None:
                return
            taken = follower

    def _state_at(self, row: Row) -> ExecutionState:
        """Return the state of the execution as a claim of this row loads it."""
        execution = ExecutionState(
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
            execution,
            self._memory.outcomes_in,
            lambda path: self._memory.at(path).input["over"],
            step_id=row.step_id,
            path=row.path,
        )
        if row.total:
            execution.facts = Facts(results=self._memory.results_of(row))
        elif row.id in self._facts:
            execution.facts = self._facts[row.id]
        return execution

    # What people and other executions would do

    def _stand_in(
        self, execution: ExecutionState, step: Step, row: Row, transition: Transition
    ) -> Transition:
        """Let a row that waits for somebody have its mock at once."""
        if row.status != "WAITING" or step.kind not in ("EVENT", "APPROVAL", "WORKFLOW"):
            return transition
        if row.id in self._facts:
            return transition  # it has had it, and waits nevertheless
        mock = self._calls.mocks.take(step.id)
        if mock is None:
            self._calls.sampled.add(row.id)
            self._calls.doubt(step, _ASSUMED[step.kind])
        else:
            self._calls.mocked.add(row.id)
        self._facts[row.id] = execution.facts
        _claim(row, self._now)
        if mock is not None and mock.error is not None:
            outcome = decide.CallFailure(error_of(mock.error, step, ""))
            return decide.settle(execution, row, outcome, now=self._now, fraction=_FRACTION)
        execution.facts = self._facts[row.id] = self._tell(
            step, row, _sample_for(step) if mock is None else mock.output
        )
        resumed = decide.resume(execution, row, now=self._now)
        assert resumed is not None
        for signal in resumed.set_aside:
            self._calls.doubt(step, f"Its signal would be set aside: {signal.reason}")
        if row.status == "WAITING":
            self._calls.doubt(step, "It waits on: what it was given is not what it waits for.")
        return resumed

    def _tell(self, step: Step, row: Row, output: Any) -> Facts:
        if step.kind == "EVENT":
            return Facts(signals=[Signal(1, row.input["event"], output)])
        if step.kind == "WORKFLOW":
            return Facts(child=ChildExecution(str(uuid7()), "COMPLETED", output, []))
        fields = output if isinstance(output, dict) else {}
        rejected = str(fields.get("decision") or "").upper().startswith("REJECT")
        problems = Schema(step.form).problems(fields.get("form")) if step.form is not None else {}
        for path, sentences in () if rejected else problems.items():
            self._calls.doubt(step, f"The form would be refused: {first_of({path: sentences})}")
        decision = {
            "decision": "REJECTED" if rejected else "APPROVED",
            "by": _STANDS_IN,
            "at": self._now.isoformat(),
            "comment": str(fields.get("comment") or ""),
            "form": fields.get("form"),
        }
        row.input = {**row.input, "decisions": [decision] * step.minimum}
        return Facts()

    # What a commit does

    def _record(self, execution: ExecutionState, transition: Transition) -> Row | None:
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
            elif row.unclaimed or row.scope != execution.scope:
                self._ready.append(row)
            else:
                onward = row
        if transition.abandons:
            self._memory.cancel(f"{transition.abandons}/", now=self._now)
        if transition.leaves is not None:
            self._leave(execution, transition.leaves)
        if transition.finish is not None:
            self._end(transition.finish)
        return onward

    def _leave(self, execution: ExecutionState, finish: Finish) -> None:
        """Count an ended branch at its container; begin the next elements, or wake it."""
        container = self._memory.at(execution.scope.rpartition("/")[0])
        if container.status != "WAITING":
            return
        container.done += finish.status == "COMPLETED"
        container.failed += finish.status != "COMPLETED"
        step = self._definition.steps[container.step_id]
        if decide.has_ended(container):
            container.status = "PENDING"
            self._ready.append(container)
        elif container.begun < container.total and step.body is not None:
            indexes = decide.next_branches(container, step)
            for index in indexes:
                first = decide.first_of_branch(
                    execution, container, step.body.first, index, now=self._now
                )
                self._memory.insert(first)
                self._ready.append(first)
            container.begun = indexes.stop

    def _end(self, finish: Finish) -> None:
        """Stop at the end; the compensation of a failed execution would begin here."""
        self._finish = finish
        self._memory.cancel("", now=self._now)

    # The answer

    def _result(self) -> DryRunResult:
        warnings = list(self._calls.warnings)
        if self._stopped:
            warnings.append(self._stopped)
        finish = self._finish
        waits = finish is None and not self._stopped
        if waits:
            paths = ", ".join(r.path for r in self._memory.rows.values() if r.status == "WAITING")
            warnings.append(f"It would wait for ever at {paths}.")
        return DryRunResult(
            status=finish.status if finish else "WAITING" if waits else "RUNNING",
            output=finish.output if finish else None,
            errors=finish.errors if finish else (),
            steps=tuple(self._shown()),
            warnings=tuple(warnings),
            complete=not self._stopped,
            started_at=self._started_at,
            ended_at=self._now,
        )

    def _shown(self) -> Iterator[DryRunStep]:
        after = self._memory.followers()
        for row in list(self._memory.rows.values())[: self._limits.steps]:
            yield DryRunStep(
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
