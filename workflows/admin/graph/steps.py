"""Makes of a workflow the graph that its picture shows (pure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from core.admin.graph_layout import END, Diagram, Edge, Node
from workflows.definition import Definition, Step


def graph_of(definition: Definition | None) -> Diagram:
    """Return the graph of a definition, also of one that could be read only in part."""
    if definition is None:
        return Diagram()
    edges = [edge for step in definition.steps.values() for edge in _edges_of(definition, step)]
    targets = {*definition.steps, END}
    edges = [edge for edge in edges if edge.target in targets]
    nodes = [_node_of(step) for step in definition.steps.values()]
    if any(edge.target == END for edge in edges):
        nodes.append(Node(END, "End", kind="END"))
    return Diagram(tuple(nodes), _merged(edges))


def _merged(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """Make those of one kind between the same two nodes one, with the labels of all."""
    labels: dict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    for edge in edges:
        labels[edge.source, edge.target, edge.kind][edge.label] = None
    return tuple(
        Edge(*ends, label=" or ".join(filter(None, texts))) for ends, texts in labels.items()
    )


def _node_of(step: Step) -> Node:
    detail = " · ".join(part for part in (_target_in_words(step), step.action) if part)
    return Node(step.id, step.name, detail or step.kind.capitalize(), step.kind)


def _target_in_words(step: Step) -> str:
    if step.target is None:
        return ""
    if step.target.kind == "service_type":
        return f"any {step.target.name.replace('_', ' ').lower()}"
    return step.target.name


def _edges_of(definition: Definition, step: Step) -> list[Edge]:
    """Return the ways out of a step: into a container's branches, or on, and after failures."""
    edges = _edges_into(step) if step.blocks else _edges_onward(definition, step)
    if step.fallback is not None and step.fallback.step is not None:
        edges.append(Edge(step.id, step.fallback.step, "FAILURE", "on failure"))
    for way in step.on_error:
        edges.append(Edge(step.id, way.step or END, "FAILURE", f"on {', '.join(way.match)}"))
    return edges


def _edges_into(step: Step) -> list[Edge]:
    label = "for each" if step.kind == "MAP" else ""
    return [Edge(step.id, block.first, "NEXT", label) for block in step.blocks]


def _edges_onward(definition: Definition, step: Step) -> list[Edge]:
    """Return where a step's `next` leads; from the end of a branch, where its container's leads."""
    edges = []
    is_choice = len(step.next) > 1 or any(route.when is not None for route in step.next)
    for route in step.next:
        if route.step is None and not is_choice:
            continue
        kind = "CONDITION" if is_choice else "NEXT"
        label = "" if not is_choice else route.when.text if route.when else "otherwise"
        edges.append(Edge(step.id, route.step or END, kind, label))
    if edges or step.container is None or step.kind in ("FAIL", "SUCCEED"):
        return edges
    container = definition.steps.get(step.container)
    if container is None:
        return edges
    onward = _edges_onward(definition, container)
    return [Edge(step.id, edge.target, edge.kind, edge.label) for edge in onward]
