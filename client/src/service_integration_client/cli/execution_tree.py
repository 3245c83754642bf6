"""Draws an execution in a terminal as a tree of its steps (pure)."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from service_integration_client.cli.tables import STYLES, seconds, status
from service_integration_client.cli.timeline import (
    BAR,
    CELLS,
    FOLD,
    Scale,
    Span,
    row_of,
    scale_of,
    span_of,
)

_MARKS = {
    "COMPLETED": "✔", "FAILED": "✘", "RUNNING": "▶", "PENDING": "·", "WAITING": "◷",
    "SKIPPED": "↷", "CANCELLED": "■", "COMPENSATED": "↩", "NEEDS_REVIEW": "?",
}  # fmt: skip


def execution_tree(execution: dict[str, Any], *, now: datetime | None = None) -> RenderableType:
    """Return an execution as a tree of its steps with their times, and how it came out."""
    title = Text.assemble(
        (str(execution.get("workflow_name") or "execution"), "bold"), " ",
        status(execution.get("status")), (f"  {_took(execution)}  {execution.get('id')}", "dim"),
    )  # fmt: skip
    tree = Tree(title, guide_style="dim")
    steps = list(execution.get("steps") or ())
    now = now or datetime.now(timezone.utc)
    scale = scale_of(steps, idle=execution.get("idle_steps") or (), now=now)
    labelled = [(step, _label(step), 4 * _depth(step)) for step in steps]
    width = max((len(label) + indent for _, label, indent in labelled), default=0)
    nodes: dict[str, Tree] = {}
    for step, label, indent in labelled:
        label.pad_right(width - indent - len(label) + 1)
        path = _path(step)
        parent = _parent(nodes, path) or tree
        nodes[path] = parent.add(_line(step, label, scale=scale, now=now))
    return Group(tree, *_error_lines(execution))


def _took(execution: dict[str, Any]) -> str:
    whole, active = execution.get("execution_time"), execution.get("active_time")
    if whole is None or active is None or whole - active < 1:
        return seconds(whole)
    return f"took {seconds(whole)}, active {seconds(active)}"


def _path(step: dict[str, Any]) -> str:
    return str(step.get("path") or step.get("step_id"))


def _depth(step: dict[str, Any]) -> int:
    return _path(step).count("/") // 2


def _parent(nodes: dict[str, Tree], path: str) -> Tree | None:
    """Return the node of the PARALLEL or MAP that a step lies in: `each/3/book` lies in `each`."""
    parts = path.split("/")
    return nodes.get("/".join(parts[:-2])) if len(parts) > 2 else None


def _label(step: dict[str, Any]) -> Text:
    word, path = str(step.get("status")), _path(step)
    attempt = int(step.get("attempt") or 1)
    return Text.assemble(
        (f"{_MARKS.get(word, ' ')} ", STYLES.get(word, "dim")),
        "/".join(path.split("/")[-2:]) if "/" in path else path,
        (f" ×{attempt}" if attempt > 1 else "", "yellow"), " ", status(word),
    )  # fmt: skip


def _line(step: dict[str, Any], line: Text, *, scale: Scale | None, now: datetime) -> Text:
    word = str(step.get("status"))
    if scale and (span := span_of(step, now=now)):
        line.append_text(_bar(span, scale, style=STYLES.get(word)))
        taken = (span[1] - span[0]).total_seconds() if step.get("completed_at") else None
        line.append(f" {seconds(taken)}", "dim")
    if message := (step.get("error") or {}).get("message"):
        line.append(f"\n  {message}", "red" if word == "FAILED" else "yellow")
    return line


def _bar(span: Span, scale: Scale, *, style: str | None) -> Text:
    """Return the line of the execution with the part of it in which a step ran."""
    left, wide = row_of(span, scale)
    folds = set(scale.folds())
    cells = "".join(FOLD if cell in folds else " " for cell in range(CELLS))
    return Text.assemble(
        (cells[:left], "dim"), (BAR * wide, style or "dim"), (cells[left + wide :], "dim")
    )


def _error_lines(execution: dict[str, Any]) -> list[Text]:
    lines = []
    for error in execution.get("errors") or ():
        where = f"{error.get('step')}: " if error.get("step") else ""
        lines.append(Text(f"{where}{error.get('message')} ({error.get('code')})", style="red"))
    return lines
