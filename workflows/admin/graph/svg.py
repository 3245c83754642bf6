"""Draws the layout of a workflow as SVG, in the colours of the page around it."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from core.admin.formatting import status_word, tone_of
from core.admin.graph_layout import (
    NODE_HEIGHT,
    NODE_WIDTH,
    Layout,
    PlacedEdge,
    PlacedNode,
    lay_out,
)
from core.admin.graph_paths import ARROW, cut, detour_path, path_of, px
from workflows.admin.graph.steps import graph_of
from workflows.definition import read

MAX_NAME = 27
MAX_DETAIL = 33
MAX_LABEL = 30
LABEL_WIDTH = 6.2
# Wider pictures take the whole width of a page instead of one of two columns.
WIDE = 520
TICKS = {
    "COMPLETED": "✓",
    "COMPENSATED": "↶",
    "COMPENSATING": "↶",
    "NEEDS_REVIEW": "!",
    "FAILED": "✕",
    "SKIPPED": "–",
    "RUNNING": "●",
    "WAITING": "…",
}


def draw_workflow(document: object, *, statuses: Mapping[str, str] | None = None) -> SafeString:
    """Draw a definition's document; `statuses` colours each step by what became of it."""
    return draw(lay_out(graph_of(read(document).definition)), statuses=statuses or {})


def draw(layout: Layout, *, statuses: Mapping[str, str]) -> SafeString:
    """Return the SVG of a layout; empty for an empty layout."""
    if not layout.nodes:
        return SafeString("")
    right = max([layout.width, *(_label_end(edge) for edge in layout.edges)])
    names = ", ".join(placed.node.name for placed in layout.nodes)
    return format_html(
        '<svg class="hub-graph{6}" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img"'
        ' style="--graph-width: {0}px" aria-label="Steps: {2}">'
        "{7}{3}{4}{5}</svg>",
        f"{right:.0f}",
        f"{layout.height:.0f}",
        names[:500],
        format_html_join("", "{}", ((_edge(edge),) for edge in layout.edges)),
        format_html_join("", "{}", ((_node(n, statuses),) for n in layout.nodes)),
        format_html_join("", "{}", ((_label(edge),) for edge in layout.edges if edge.edge.label)),
        " hub-graph-wide" if right > WIDE else "",
        ARROW,
    )


def _node(placed: PlacedNode, statuses: Mapping[str, str]) -> SafeString:
    node = placed.node
    status = statuses.get(node.id, "")
    if node.kind == "END":
        return format_html(
            '<g class="hub-node" data-kind="END"><text x="{}" y="{}">End</text></g>',
            px(placed.x + NODE_WIDTH / 2),
            px(placed.y + 16),
        )
    return format_html(
        '<g class="hub-node" data-tone="{}" data-kind="{}" transform="translate({} {})">'
        '<title>{}</title><rect width="{}" height="{}" rx="{}"/>'
        '<text class="hub-node-name" x="12" y="19">{}</text>'
        '<text class="hub-node-detail" x="12" y="35">{}</text>'
        '<text class="hub-node-tick" x="{}" y="19">{}</text></g>',
        tone_of(status) if status else "idle",
        node.kind,
        px(placed.x),
        px(placed.y),
        f"{node.name} ({node.id}): {node.detail}" + (f" — {status_word(status)}" if status else ""),
        NODE_WIDTH,
        NODE_HEIGHT,
        NODE_HEIGHT / 2 if node.kind == "CHOICE" else 6,
        cut(node.name, MAX_NAME),
        cut(node.detail, MAX_DETAIL),
        NODE_WIDTH - 12,
        TICKS.get(status, ""),
    )


def _edge(placed: PlacedEdge) -> SafeString:
    path = detour_path(placed.points) if placed.is_back else path_of(placed.points)
    return format_html(
        '<path class="hub-edge" data-kind="{}" d="{}" marker-end="url(#hub-arrow)"/>',
        placed.edge.kind,
        path,
    )


def _label(placed: PlacedEdge) -> SafeString:
    x, y, anchor = label_position(placed)
    return format_html(
        '<text class="hub-edge-label" x="{}" y="{}" text-anchor="{}"><title>{}</title>{}</text>',
        px(x),
        px(y),
        anchor,
        placed.edge.label,
        label_text(placed),
    )


def label_text(placed: PlacedEdge) -> str:
    # The backticks of JMESPath's literals are noise at this size.
    x, _y, anchor = label_position(placed)
    room = int(x / LABEL_WIDTH) if anchor == "end" else MAX_LABEL
    return cut(placed.edge.label.replace("`", ""), max(min(room, MAX_LABEL), 1))


def label_position(placed: PlacedEdge) -> tuple[float, float, str]:
    """Return where the edge's first stretch arrives, on the side that the line does not come from.

    Beside its lane for an edge that leads up; away from another edge between the same nodes.
    """
    if placed.is_back:
        _start, (lane, lower), (_lane, upper), _end = placed.points
        return lane + 6, (lower + upper) / 2 + 4, "start"
    (from_x, _), (x, y) = placed.points[:2]
    is_left = placed.is_left or from_x > x
    return (x - 6, y - 12, "end") if is_left else (x + 6, y - 12, "start")


def _label_end(placed: PlacedEdge) -> float:
    x, _y, anchor = label_position(placed)
    if not placed.edge.label or anchor == "end":
        return 0
    return x + LABEL_WIDTH * len(label_text(placed)) + 4
