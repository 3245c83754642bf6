"""A reference interpreter of the workflow language: small, sequential, obvious.

Written from docs/workflows.md alone. It reads the raw JSON, runs one branch after the other to its
end, knows neither time nor workers nor a database, and shares nothing with the engine but the
expressions. It says what has to be recorded:

- the execution's status, output, and its errors as (step, path, code);
- for every path the attempts, each with its status, the code of its error, how the error was
  handled, its output, and for a call the input that it was given;
- the child executions, likewise, by the path of the step that started them.

Branches end in any order, so three things are not promised, and `Choices` and `Record.loose` leave
them open: which branches a join of fewer than all counted, how far the others came before they were
cancelled, and which elements of a failing MAP had begun.

What waits for something that never comes hangs; then the execution counts as cancelled by a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from core.expressions import (
    ExpressionError,
    Recorded,
    build_scope,
    compile_expression,
    compile_template,
)
from tests.workflows.reference.cases import FAILURES, Case, Document, FailedCall
from tests.workflows.reference.recorded import End, Outcome, Record, View

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RETRIED_UNLESS_TOLD = ("TIMEOUT", "CONNECTION", "UNAVAILABLE", "429", "5XX")


class EndedError(Exception):
    """A step ended its list of steps."""

    def __init__(self, end: End) -> None:
        self.end = end


class StepError(Exception):
    """A step failed with a code."""

    def __init__(self, code: str, call: FailedCall | None = None) -> None:
        self.code, self.call = code, call


# Which of the branches that could complete were counted: by the path, and their last steps.
Choices = Callable[[str, Mapping[int, End]], set[int]]


def all_of_them(_: str, able: Mapping[int, End]) -> set[int]:
    """Count every branch that could complete."""
    return set(able)


class Interpreter:
    """Runs one case."""

    def __init__(self, case: Case, *, choices: Choices = all_of_them) -> None:
        self.case = case
        self.choices = choices
        self.records: list[Record] = []
        self.children: dict[str, Outcome] = {}
        self.signals = [*case.early, *case.late]
        self.defaults = case.document.get("defaults") or {}
        self.undo: list[tuple[Record, Document, View]] = []

    def run(self) -> Outcome:
        """Run the whole definition."""
        view = View(dict(self.case.input))
        end = self.run_list(self.case.document["steps"], "", view)
        outcome = Outcome("CANCELLED" if end.status == "HANGS" else end.status)
        if end.error:
            outcome.errors = [end.error]
        if end.status == "COMPLETED":
            self.shape_output(outcome, view)
        if outcome.status != "COMPLETED":
            self.compensate(outcome)
        outcome.records, outcome.children = self.records, self.children
        outcome.input = self.case.input
        return outcome

    def shape_output(self, outcome: Outcome, view: View) -> None:
        """The definition's `output`, or what the last completed step gave."""
        template = self.case.document.get("output")
        outcome.output = view.last_output
        if template is None:
            return
        try:
            outcome.output = self.object_of(template, view, output=view.last_output)
        except StepError as error:
            outcome.status, outcome.output = "FAILED", None
            outcome.errors = [(None, None, error.code)]

    # Lists of steps

    def run_list(self, steps: list[Document], scope: str, view: View) -> End:
        """From the first step to the end of the list."""
        by_id = {step["id"]: step for step in steps}
        visits: Counter[str] = Counter()
        at: str | None = steps[0]["id"]
        last = ""
        try:
            while at is not None:
                step, last = by_id[at], at
                visits[at] += 1
                path = at if visits[at] == 1 else f"{at}#{visits[at]}"
                path = f"{scope}/{path}" if scope else path
                if visits[at] > step.get("max_visits", visits[at]):
                    self.end_failed(self.note(step, path, "FAILED"), "max_visits")
                at = self.run_step(step, path, view)
        except EndedError as ended:
            return ended.end
        return End("COMPLETED", view.last_output, last)

    def run_step(self, step: Document, path: str, view: View) -> str | None:
        """Run one step; give the next one, or None at the end of the list."""
        kind = step.get("type", "ACTION")
        try:
            if step.get("when") is not None and not self.truth(step["when"], view):
                view.learn(step["id"], "SKIPPED")
                return self.route(step, self.note(step, path, "SKIPPED"), view)
            if kind == "ACTION":
                return self.run_action(step, path, view)
            output = getattr(self, f"run_{kind.lower()}")(step, path, view)
        except StepError as error:
            return self.handle(step, self.note(step, path, "FAILED"), error, view)
        record = self.note(step, path, "COMPLETED", output=output)
        view.learn(step["id"], "COMPLETED", output)
        if kind == "SUCCEED":
            raise EndedError(End("COMPLETED", view.last_output, step["id"]))
        return self.go_on(step, record, view)

    def go_on(self, step: Document, record: Record, view: View) -> str | None:
        """Go where `next` leads after a success, which may have to be undone one day."""
        if step.get("compensate"):
            self.undo.append((record, step["compensate"], deepcopy(view)))
        return self.route(step, record, view)

    def route(self, step: Document, record: Record, view: View) -> str | None:
        """Where `next` leads."""
        following = step.get("next")
        if not isinstance(following, list):
            return following
        try:
            for way in following:
                if way.get("when") is None or self.truth(way["when"], view, output=record.output):
                    return way["step"]
        except StepError as error:
            self.end_failed(record, error.code)
        return self.end_failed(record, "no_route")

    def handle(self, step: Document, record: Record, error: StepError, view: View) -> str | None:
        """What holds for a failure: `on_error`, then `fallback`, then `optional`, else the end."""
        record.code = error.code
        seen = {"code": error.code}
        for way in step.get("on_error") or ():
            if "*" in way["match"] or error.code in way["match"]:
                record.handled = "ROUTED"
                view.learn(step["id"], "FAILED", error=seen)
                return way["step"]
        if fallback := step.get("fallback"):
            record.handled = "FALLBACK"
            view.learn(step["id"], "FAILED", error=seen)
            if "step" in fallback:
                return fallback["step"]
            try:
                record.output = self.object_of(fallback["output"], view)
            except StepError as broken:
                return self.end_failed(record, broken.code)
            record.status = "COMPLETED"
            view.learn(step["id"], "COMPLETED", record.output, seen)
            return self.go_on(step, record, view)
        if step.get("optional"):
            record.status, record.handled = "SKIPPED", "OPTIONAL"
            view.learn(step["id"], "SKIPPED", error=seen)
            return self.route(step, record, view)
        return self.end_failed(record, error.code)

    def end_failed(self, record: Record, code: str) -> Any:
        """End the list of steps with an error that nothing handles."""
        record.status, record.code, record.handled = "FAILED", code, None
        raise EndedError(End("FAILED", None, record.step, (record.step, record.path, code)))

    def note(self, step: Document, path: str, status: str, **more: Any) -> Record:
        """Record an attempt."""
        attempt = 1 + sum(record.path == path for record in self.records)
        record = Record(step["id"], path, attempt, status, **more)
        self.records.append(record)
        return record

    # Kinds: each gives the output of the step

    def run_action(self, step: Document, path: str, view: View) -> str | None:
        """Call until it answers, or may not be tried again."""
        given = self.input_of(step, view)
        while True:
            record = self.note(step, path, "COMPLETED", called_with=given)
            reply = self.case.script.reply(step["id"], path, record.attempt)
            if not isinstance(reply, str):
                record.output = reply
                view.learn(step["id"], "COMPLETED", reply)
                return self.go_on(step, record, view)
            failed = FAILURES[reply]
            record.status, record.code = "FAILED", failed.code
            if not self.may_retry(step, record.attempt, failed):
                return self.handle(step, record, StepError(failed.code, failed), view)
            record.handled = "RETRIED"

    def may_retry(self, call: Document, attempt: int, failed: FailedCall) -> bool:
        """Whether the policy has another attempt after this one."""
        inherited = self.defaults.get("retry") or self.case.document.get("retry")
        said = call.get("retry")
        if inherited is None and said is None:
            return False
        policy = {"max_attempts": 3, **(inherited or {}), **(said or {})}
        if policy["max_attempts"] is not None and attempt >= policy["max_attempts"]:
            return False
        if policy.get("max_elapsed") == 0 or failed.reasons & set(policy.get("except") or ()):
            return False
        return bool(failed.reasons & set(policy.get("on", RETRIED_UNLESS_TOLD)))

    def run_transform(self, step: Document, path: str, view: View) -> Any:
        return self.object_of(step["output"], view)

    def run_choice(self, step: Document, path: str, view: View) -> None:
        return None

    def run_succeed(self, step: Document, path: str, view: View) -> Any:
        return None if step.get("output") is None else self.object_of(step["output"], view)

    def run_fail(self, step: Document, path: str, view: View) -> None:
        error = self.render(step["error"], view)
        raise StepError((error.get("code") if isinstance(error, dict) else None) or "failed")

    def run_wait(self, step: Document, path: str, view: View) -> None:
        seconds = self.render(step["seconds"], view)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise StepError("expression_error")

    def run_event(self, step: Document, path: str, view: View) -> Any:
        """Take the first signal that matches, early or late; each is taken once."""
        name = self.render(step["event"], view)
        if not isinstance(name, str) or not name:
            raise StepError("expression_error")
        for place, signal in enumerate(self.signals):
            matches = step.get("match") is None or signal[0] != name
            if signal[0] == name and (matches or self.truth(step["match"], view, event=signal[1])):
                del self.signals[place]  # `remove` takes true for 1
                return signal[1] if isinstance(signal[1], dict | list) else {"value": signal[1]}
        if step.get("timeout"):
            raise StepError("event_timeout")
        return self.hang(step, path)

    def run_approval(self, step: Document, path: str, view: View) -> Any:
        """Wait until one person rejects, or enough approve."""
        self.input_of(step, view)
        made: list[Document] = []
        for decision in self.case.decisions.get(step["id"], ()):
            said = "APPROVED" if decision.approve else "REJECTED"
            made.append({"decision": said, "by": decision.by, "comment": "", "form": None})
            if not decision.approve:
                raise StepError("rejected")
            if len(made) >= step.get("minimum", 1):
                return {"decision": "APPROVED", "decisions": made, "form": None}
        if not step.get("timeout"):
            return self.hang(step, path)
        if step.get("on_timeout") == "APPROVE":
            return {"decision": "APPROVED", "decisions": made, "form": None}
        raise StepError("rejected" if step.get("on_timeout") == "REJECT" else "approval_timeout")

    def run_workflow(self, step: Document, path: str, view: View) -> Any:
        """Run another definition to its end."""
        given = self.input_of(step, view)
        if step["workflow"] not in self.case.children:
            raise StepError("not_found")
        document = self.case.children[step["workflow"]]
        case = Case(document, given, self.case.script, children=self.case.children)
        child = Interpreter(case, choices=self.choices).run()
        self.children[path] = child
        if child.status != "COMPLETED":
            raise StepError(f"child_{child.status.lower()}")
        return child.output

    def hang(self, step: Document, path: str) -> Any:
        """Wait for what never comes."""
        self.note(step, path, "CANCELLED")
        raise EndedError(End("HANGS", last=step["id"]))

    # Branches and elements

    def run_parallel(self, step: Document, path: str, view: View) -> Any:
        """Run each branch to its end, then see what the join makes of the ends."""
        total = len(step["branches"])
        join = step.get("join", "ALL")
        needed = total if join == "ALL" else 1 if join == "ANY" else int(join)
        ends = {
            index: self.run_list(branch, f"{path}/{index}", view.inside())
            for index, branch in enumerate(step["branches"])
        }
        able = {index: end for index, end in ends.items() if end.status == "COMPLETED"}
        failed = [index for index, end in ends.items() if end.status == "FAILED"]
        if len(failed) > total - needed:
            self.loosen(path, ends if total > 1 else ())
            raise StepError("branch_failed")
        if len(able) < needed:
            return self.hang(step, path)
        counted = self.choices(path, able) if len(able) > needed else set(able)
        assert counted <= set(able), f"{path}: {counted} cannot all have completed"
        assert len(counted) >= needed, f"{path}: {counted} are fewer than {needed}"
        self.loosen(path, [index for index in ends if index not in counted])
        return {ends[index].last: ends[index].output for index in sorted(counted)}

    def run_map(self, step: Document, path: str, view: View) -> Any:
        """Run the steps once for each element; past the tolerated failures no other begins."""
        elements = self.render(step["over"], view)
        if not isinstance(elements, list):
            raise StepError("expression_error")
        in_turn = step.get("max_concurrency") == 1
        ends: list[End] = []
        failed = 0
        for index, item in enumerate(elements):
            inner = view.inside(item=item, index=index)
            ends.append(self.run_list(step["steps"], f"{path}/{index}", inner))
            failed += ends[-1].status == "FAILED"
            if in_turn and failed > step.get("tolerate_failures", 0):
                raise StepError("branch_failed")
        if failed > step.get("tolerate_failures", 0):
            self.loosen(path, range(len(ends) if len(ends) > 1 else 0))
            raise StepError("branch_failed")
        return [end.output if end.status == "COMPLETED" else None for end in ends]

    def loosen(self, path: str, indexes: Any) -> None:
        """Say that branches may have been cancelled on their way, or never begun."""
        prefixes = tuple(f"{path}/{index}/" for index in indexes)
        for record in self.records:
            record.loose = record.loose or record.path.startswith(prefixes)
        for place, child in self.children.items():
            child.loose = child.loose or place.startswith(prefixes)

    # Undoing

    def compensate(self, outcome: Outcome) -> None:
        """Undo what completed, the last first; the first that cannot be undone needs a person."""
        for record, call, view in reversed(self.undo):
            row = self.undo_step(record, call, view)
            if row.status == "FAILED":
                outcome.status = "NEEDS_REVIEW"
                outcome.errors.append((row.step, row.path, str(row.code)))
                return
            record.status = "COMPENSATED"

    def undo_step(self, record: Record, call: Document, view: View) -> Record:
        """Undo one step, trying again as the policy says; give the last attempt."""
        step, path = {"id": record.step}, f"~{record.path}"
        given = record.output if isinstance(record.output, dict) else {"output": record.output}
        try:
            if call.get("input") is not None:
                given = self.input_of(call, view, output=record.output)
        except StepError as error:
            row = self.note(step, path, "FAILED")
            row.code = error.code
            return row
        while True:
            row = self.note(step, path, "COMPLETED", called_with=given)
            reply = self.case.script.reply(f"~{record.step}", record.path, row.attempt)
            if not isinstance(reply, str):
                row.output = reply
                return row
            row.status, row.code = "FAILED", FAILURES[reply].code
            if not self.may_retry(call, row.attempt, FAILURES[reply]):
                return row
            row.handled = "RETRIED"

    # Expressions

    def input_of(self, step: Document, view: View, **more: Any) -> Document:
        """The running document, or what the template `input` gives: an object."""
        if step.get("input") is None:
            return view.document
        made = self.render(step["input"], view, **more)
        if not isinstance(made, dict):
            raise StepError("expression_error")
        return made

    def object_of(self, template: Any, view: View, **more: Any) -> Any:
        made = self.render(template, view, **more)
        if not isinstance(made, dict | list):
            raise StepError("expression_error")
        return made

    def render(self, template: Any, view: View, **more: Any) -> Any:
        try:
            return compile_template(template).render(self.scope(view, **more), _RECORDED)
        except ExpressionError:
            raise StepError("expression_error") from None

    def truth(self, expression: str, view: View, **more: Any) -> bool:
        try:
            return compile_expression(expression).truth(self.scope(view, **more), _RECORDED)
        except ExpressionError:
            raise StepError("expression_error") from None

    def scope(self, view: View, *, event: Any = None, **more: Any) -> dict[str, Any]:
        about = {"id": "", "workflow": "", "started_at": NOW.isoformat()}
        built = build_scope(
            input=self.case.input,
            context={},
            steps=view.steps,
            execution=about,
            item=view.item,
            index=view.index,
            **more,
        )
        return built if event is None else {**built, "event": event}


_RECORDED = Recorded(NOW, "reference")
