"""Workflows that between them have a step of every kind, for the places where workers die."""

from __future__ import annotations

from typing import Any

SERVICE = "receiver"
QUICK_RETRY = {"max_attempts": 12, "base_delay": 0.02, "max_delay": 0.5}


def act(step_id: str, *, do: str = "", ms: int = 0, **more: Any) -> dict[str, Any]:
    """A call that says who and where it is, so that the receiver can tell."""
    told = {"execution": "$.execution.id", "place": step_id, "do": do, "ms": ms}
    if more.pop("element", False):
        told["index"] = "$.index"
    return {
        "id": step_id,
        "service": SERVICE,
        "action": "act",
        "input": told,
        "retry": QUICK_RETRY,
        **more,
    }


def chain(*steps: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps one after the other."""
    ids = [step["id"] for step in steps[1:]]
    return [{**s, "next": n} for s, n in zip(steps, [*ids, None], strict=True)]


KINDS: dict[str, list[dict[str, Any]]] = {
    "calls": chain(act("one"), act("two"), act("three")),
    "retries": chain(act("one", do="fail_first"), act("two", do="fail_first")),
    "parallel": chain(
        act("before"),
        {
            "id": "fork",
            "type": "PARALLEL",
            "join": "ALL",
            "branches": [chain(act("l1"), act("l2")), chain(act("r1"), act("r2"))],
        },
        act("after"),
    ),
    "any": chain(
        {
            "id": "race",
            "type": "PARALLEL",
            "join": "ANY",
            "branches": [[act("quick")], [act("slow", ms=300)]],
        },
        act("after"),
    ),
    "map": chain(
        {
            "id": "each",
            "type": "MAP",
            "over": "$.input.items",
            "max_concurrency": 2,
            "steps": [act("element", element=True)],
        },
        act("after"),
    ),
    "wait": chain(act("before"), {"id": "pause", "type": "WAIT", "seconds": 0.1}, act("after")),
    "event": chain(act("before"), {"id": "hear", "type": "EVENT", "event": "go"}, act("after")),
    "approval": chain(act("before"), {"id": "ask", "type": "APPROVAL"}, act("after")),
    "workflow": chain(
        act("before"), {"id": "child", "type": "WORKFLOW", "workflow": "calls"}, act("after")
    ),
    "transform": chain(
        act("before"),
        {"id": "shape", "type": "TRANSFORM", "output": {"n": "$.input.n"}},
        {"id": "done", "type": "SUCCEED", "output": {"well": True}},
    ),
    "choice": [
        act("before", next="which"),
        {
            "id": "which",
            "type": "CHOICE",
            "next": [{"when": "input.n > `-1`", "step": "yes"}, {"step": "no"}],
        },
        act("yes", next=None),
        act("no", next=None),
    ],
    "fallback": chain(act("refused", do="refuse", fallback={"output": {"n": 0}}), act("after")),
    "optional": chain(act("refused", do="refuse", optional=True), act("after")),
    "routed": [
        act("refused", do="refuse", on_error=[{"match": ["*"], "step": "rescue"}], next="rescue"),
        act("rescue", next=None),
    ],
    "failing": chain(act("before"), {"id": "end", "type": "FAIL", "error": "on purpose"}),
}
INPUT = {"n": 1, "items": [{"i": i} for i in range(3)]}
