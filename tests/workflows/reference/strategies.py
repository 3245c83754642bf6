"""Random cases: whole definitions that the validator accepts, and what the world does to them.

Every list of steps is a chain with branches off it: each step leads to the next one on some way, so
nothing is unreachable and whatever stands earlier may be read. Ways back bound their target's
visits. What would make the outcome depend on luck is left out: inside of a MAP nothing waits for
people or signals, and in branches each EVENT has a name of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from tests.workflows.reference.cases import FAILURES, Case, Decision, Document, Reply, Script

SCALARS = st.sampled_from([0, 1, 2, -1.5, "a", "b", "", True, False, None])
ELEMENT = st.one_of(st.fixed_dictionaries({"x": SCALARS, "flag": st.booleans()}), SCALARS)
ELEMENTS: st.SearchStrategy[list[Any]] = st.one_of(
    st.lists(ELEMENT, min_size=2, max_size=3),
    st.lists(ELEMENT, min_size=2, max_size=2),
    st.just([]),
)
OUTPUTS = st.fixed_dictionaries(
    {}, optional={"x": SCALARS, "n": st.integers(0, 3), "flag": st.booleans(), "list": ELEMENTS}
)
INPUTS = st.fixed_dictionaries(
    {"n": st.integers(0, 3), "flag": st.booleans(), "items": ELEMENTS}, optional={"x": SCALARS}
)
CODES = (
    "service_timeout", "service_unavailable", "circuit_open", "service_error", "branch_failed",
    "expression_error", "schema_violation", "event_timeout", "rejected", "child_failed",
)  # fmt: skip
REASONS = ("TIMEOUT", "CONNECTION", "UNAVAILABLE", "RESPONSE", "OTHER", "429", "5XX", "4XX", "501",
           "CIRCUIT_OPEN", "SERVICE_ERROR")  # fmt: skip
CALLS = ("ACTION",) * 5
INLINE = ("TRANSFORM", "TRANSFORM", "CHOICE")
BLOCKS = ("PARALLEL", "PARALLEL", "MAP", "MAP")
PAUSES = ("WAIT", "EVENT", "EVENT", "EVENT", "APPROVAL", "WORKFLOW")


@dataclass(frozen=True)
class Place:
    """Where a list of steps stands: what may be read there, and what may stand there."""

    earlier: tuple[str, ...] = ()
    depth: int = 0
    in_map: bool = False
    in_branch: bool = False
    in_child: bool = False

    def kinds(self) -> tuple[str, ...]:
        kinds = CALLS + INLINE + (BLOCKS if self.depth < 3 else ())
        if self.in_map or self.in_child:
            return (*kinds, "WAIT", "WAIT", *(() if self.in_child else ("WORKFLOW",)))
        return kinds + PAUSES


@dataclass
class Author:
    """Writes one case. `unhurried` waits take a clock that the test can move."""

    draw: Any
    unhurried: bool
    replies: dict[str, list[list[Reply]]] = field(default_factory=dict)
    signals: list[tuple[str, Any]] = field(default_factory=list)
    decisions: dict[str, tuple[Decision, ...]] = field(default_factory=dict)
    written: int = 0
    endless: bool = False

    def chance(self, percent: int) -> bool:
        # Shrinks towards False: fewer features.
        return bool(self.draw(st.integers(0, 99)) >= 100 - percent)

    def pick(self, options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    # Expressions

    def reference(self, place: Place) -> str:
        """Something to read, without the mark of an expression."""
        options = ["input.n", "input.x", "input.items", "input.flag"]
        for name in place.earlier[-4:]:
            known = f'"{name}"' if "-" in name and self.written % 2 else name.replace("-", "_")
            options += [
                f"steps.{known}.output.x",
                f"steps.{known}.output",
                f"steps.{known}.status",
                f"steps.{known}.error.code",
            ]
        if place.in_map:
            options += ["item", "index", "item.x"]
        return str(self.pick(options))

    def condition(self, place: Place, *, own: bool = False) -> str:
        read = self.reference(place)
        options = [read, f"!({read})", f"{read} == `1`", f"{read} == 'COMPLETED'", "input.flag"]
        if own:
            options += ["output.flag", "output.n > `1`"]
        if self.chance(3):
            return f"add({read}, `1`) > `1`"  # an error, unless it is a number
        return str(self.pick(options))

    def value(self, place: Place) -> Any:
        if self.chance(30):
            return self.draw(SCALARS)
        read = self.reference(place)
        if self.chance(4):
            return f"$.add({read}, `1`)"
        return f"$.{read}"

    def object(self, place: Place) -> Any:
        if self.chance(4):
            return f"$.{self.reference(place)}"  # an error, unless it is an object
        keys = self.pick([("x",), ("x", "n"), ("flag", "x"), ("list",)])
        return {key: self.value(place) for key in keys}

    # Steps

    def steps(self, place: Place, sizes: tuple[int, ...] = (1, 2, 2, 3)) -> list[Document]:
        count = self.pick(sizes)
        names = [self.name() for _ in range(count)]
        made: list[Document] = []
        for index, name in enumerate(names):
            inner = replace(place, earlier=(*place.earlier, *names[:index]))
            made.append(self.step(name, inner, last=index == count - 1))
            self.lead_on(made, names, inner)
        return made

    def name(self) -> str:
        self.written += 1
        return f"s-{self.written}" if self.written % 3 == 0 else f"s{self.written}"

    def step(self, name: str, place: Place, *, last: bool) -> Document:
        kind = self.pick(place.kinds())
        if last and self.chance(15):
            kind = self.pick(("FAIL", "SUCCEED"))
        step: Document = {"id": name, "type": kind} if kind != "ACTION" else {"id": name}
        if self.chance(15):
            step["when"] = self.condition(place)
        step |= getattr(self, f"say_{kind.lower()}")(name, place)
        return step

    def lead_on(self, made: list[Document], names: list[str], place: Place) -> None:
        """Say where the last step of those made leads, on failures too."""
        index = len(made) - 1
        step, later = made[index], names[index + 1 :]
        kind = step.get("type", "ACTION")
        if kind in ("FAIL", "SUCCEED"):
            return
        following = later[0] if later else None
        step["next"] = following
        if kind == "CHOICE" or self.chance(30):
            step["next"] = self.routes(made, later, place)
        if kind not in ("TRANSFORM", "CHOICE"):
            self.handle_failures(step, later, place)

    def routes(self, made: list[Document], later: list[str], place: Place) -> list[Document]:
        following = later[0] if later else None
        if self.chance(25):
            back = self.pick(made)
            back["max_visits"] = self.draw(st.integers(1, 3))
            target: str | None = back["id"]
        else:
            target = self.pick([following, None, *later])
        way = {"when": self.condition(place, own=True), "step": target}
        if self.chance(10):
            return [{**way, "step": following}]
        return [way, {"step": following}]

    def handle_failures(self, step: Document, later: list[str], place: Place) -> None:
        if self.chance(30):
            codes = ["*"]
            if self.chance(60):
                some = st.lists(st.sampled_from(CODES), min_size=1, max_size=4, unique=True)
                codes = self.draw(some)
            step["on_error"] = [{"match": codes, "step": self.pick([None, *later])}]
        if self.chance(20):
            own = replace(place, earlier=(*place.earlier, step["id"]))
            step["fallback"] = {"output": self.object(own)}
            if later and self.chance(40):
                step["fallback"] = {"step": self.pick(later)}
        if self.chance(15):
            step["optional"] = True

    # What each kind says

    def say_action(self, name: str, place: Place) -> Document:
        step: Document = {"service": "s", "action": "a"}
        if self.chance(50):
            step["input"] = self.object(place)
        if self.chance(40):
            step["retry"] = self.retry()
        if place.depth == 0 and not place.in_child and self.chance(15):
            # Elsewhere the order in which steps completed, and so that of undoing, is not promised.
            step["compensate"] = self.compensation(name, place)
        self.script(name)
        return step

    def compensation(self, name: str, place: Place) -> Document:
        call: Document = {"service": "s", "action": "undo"}
        if self.chance(50):
            call["input"] = self.object(place)
        if self.chance(40):
            call["retry"] = self.retry()
        self.script(f"~{name}")
        return call

    def script(self, name: str) -> None:
        replies = st.lists(OUTPUTS, min_size=1, max_size=1)
        if self.chance(35):
            failures = st.sampled_from(sorted(FAILURES))
            replies = st.lists(st.one_of(OUTPUTS, failures), min_size=1, max_size=3)
        self.replies[name] = self.draw(st.lists(replies, min_size=1, max_size=2))

    def retry(self) -> Document:
        policy: Document = {"base_delay": 0}
        if self.chance(80):
            policy["max_attempts"] = self.draw(st.integers(1, 4))
        elif self.chance(30):
            policy["max_attempts"] = None
            self.endless = True
        if self.chance(30):
            policy["on"] = self.draw(st.lists(st.sampled_from(REASONS), max_size=3, unique=True))
        if self.chance(15):
            policy["except"] = self.draw(st.lists(st.sampled_from(REASONS), max_size=2))
        if self.chance(10):
            policy["max_elapsed"] = self.pick((0, 86_400))
        if self.unhurried and self.chance(30):
            policy |= {"base_delay": 5, "backoff": self.pick(("FIXED", "LINEAR", "EXPONENTIAL"))}
        return policy

    def say_transform(self, name: str, place: Place) -> Document:
        return {"output": self.object(place)}

    def say_choice(self, name: str, place: Place) -> Document:
        return {}

    def say_succeed(self, name: str, place: Place) -> Document:
        return {"output": self.object(place)} if self.chance(60) else {}

    def say_fail(self, name: str, place: Place) -> Document:
        if self.chance(50):
            return {"error": {"code": "no_good", "message": "It is no good."}}
        return {"error": "It is no good."}

    def say_wait(self, name: str, place: Place) -> Document:
        return {"seconds": self.pick((0, 60, "$.input.n") if self.unhurried else (0, 0.001))}

    def say_event(self, name: str, place: Place) -> Document:
        event = f"event-{name}" if place.in_branch else "event"
        for _ in range(self.draw(st.integers(0, 2))):
            payload = self.draw(st.one_of(SCALARS, st.fixed_dictionaries({"x": SCALARS})))
            self.signals.append((event, payload))
        step: Document = {"event": event}
        if self.chance(30):
            step["match"] = "event.x == `1`"
        if self.chance(50):
            step["timeout"] = 30 if self.unhurried else 0.001
        return step

    def say_approval(self, name: str, place: Place) -> Document:
        step: Document = {}
        timed = self.chance(50)
        if timed:
            step["timeout"] = 30 if self.unhurried else 0.001
            if self.chance(70):
                step["on_timeout"] = self.pick(("FAIL", "APPROVE", "REJECT"))
        if self.chance(30):
            step["minimum"] = 2
        if self.chance(30):
            step["input"] = self.object(place)
        if self.unhurried or not timed:
            approvals = self.draw(st.lists(st.integers(0, 3), max_size=2))
            self.decisions[name] = tuple(
                Decision(approve=value > 0, by=f"person-{index}")
                for index, value in enumerate(approvals)
            )
        return step

    def say_workflow(self, name: str, place: Place) -> Document:
        step: Document = {"workflow": self.pick(("child-a", "child-a", "child-b", "child-none"))}
        if self.chance(50):
            step["input"] = self.object(place)
        return step

    def say_parallel(self, name: str, place: Place) -> Document:
        inner = replace(place, depth=place.depth + 1, in_branch=True)
        count = self.pick((1, 2, 2, 3))
        step: Document = {"branches": [self.steps(inner) for _ in range(count)]}
        if count > 1 and self.chance(60) and not place.in_child:
            step["join"] = self.pick(("ALL", "ANY", "ANY", *range(1, count + 1)))
        return step

    def say_map(self, name: str, place: Place) -> Document:
        inner = replace(place, depth=place.depth + 1, in_map=True)
        over: Any = "$.input.items"
        if self.chance(40):
            over = self.draw(ELEMENTS)
        elif self.chance(20):
            over = f"$.{self.reference(place)}"
        step: Document = {"over": over, "steps": self.steps(inner, (1, 2, 3, 3))}
        if self.chance(50):
            step["max_concurrency"] = self.draw(st.integers(1, 2))
        if self.chance(40):
            step["tolerate_failures"] = self.draw(st.integers(1, 2))
        return step

    # The whole

    def definition(self, place: Place, sizes: tuple[int, ...]) -> Document:
        document: Document = {"steps": self.steps(place, sizes)}
        if self.chance(20):
            document["defaults"] = {"retry": self.retry()}
        if self.chance(30):
            names = tuple(step["id"] for step in document["steps"])
            document["output"] = self.object(Place(names))
            if self.chance(30):
                document["output"] = {"all": "$.output"}
        return document

    def case(self) -> Case:
        document = self.definition(Place(), (1, 2, 3, 4, 5, 6))
        child = Place(in_child=True, depth=2)
        used = str(document)
        children = {
            name: self.definition(child, (1, 2, 3))
            for name in ("child-a", "child-b")
            if name in used
        }
        if self.endless:  # else a policy without a limit never ends
            for variants in self.replies.values():
                for variant in variants:
                    variant.append({})
        early = [not self.unhurried or self.chance(50) for _ in self.signals]
        return Case(
            document,
            self.draw(INPUTS),
            Script(self.replies),
            early=tuple(s for s, is_early in zip(self.signals, early, strict=True) if is_early),
            late=tuple(s for s, is_early in zip(self.signals, early, strict=True) if not is_early),
            decisions=self.decisions,
            children=children,
        )


@st.composite
def cases(draw: Any, *, unhurried: bool) -> Case:
    """One case; an `unhurried` one has waits and delays that only a moved clock gets through."""
    return Author(draw, unhurried).case()
