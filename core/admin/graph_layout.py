"""Lays out what leads to what as a layered graph, from top to bottom (pure).

The layout follows Sugiyama, Tagawa and Toda (1981): break cycles, layer by the longest path, order
each layer by the barycentres of its neighbours, then place.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter

NODE_WIDTH = 208
NODE_HEIGHT = 44
LAYER_GAP = 40
NODE_GAP = 24
WAYPOINT_WIDTH = 20
LANE_WIDTH = 22
MARGIN = 6
# Between the lines of edges that lead from one node straight to the same other.
BESIDE = 56
MOST_WAYPOINTS = 2_000
SWEEPS = 4
LOOSE = 1.3
END = "\0end"


@dataclass(frozen=True)
class Node:
    """A box: such as a step, or where all ends."""

    id: str
    name: str
    detail: str = ""
    kind: str = "ACTION"


@dataclass(frozen=True)
class Edge:
    """A way from one box to another; `kind` says how it is drawn."""

    source: str
    target: str
    kind: str = "NEXT"
    label: str = ""


@dataclass(frozen=True)
class Diagram:
    """Boxes and the ways between them; the first one is where it starts."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True)
class PlacedNode:
    """A node and its upper left corner."""

    node: Node
    x: float
    y: float


@dataclass(frozen=True)
class PlacedEdge:
    """An edge and the points that it passes; `is_back` when it leads up again.

    `is_left` when another edge between the same nodes is right of it.
    """

    edge: Edge
    points: tuple[tuple[float, float], ...]
    is_back: bool = False
    is_left: bool = False


@dataclass(frozen=True)
class Layout:
    """Where everything is, in pixels."""

    width: float = 0
    height: float = 0
    nodes: tuple[PlacedNode, ...] = ()
    edges: tuple[PlacedEdge, ...] = ()


def lay_out(
    graph: Diagram, *, widest: int | None = None, most_waypoints: int = MOST_WAYPOINTS
) -> Layout:
    """Place every node and edge; an empty layout for an empty graph. What is END is lowest.

    With `widest` no layer has more nodes than that: what is too many goes below (Coffman, Graham).
    Edges that need more than `most_waypoints` to be led around what they pass are drawn straight.
    """
    if not graph.nodes:
        return Layout()
    back = _back_edges(graph)
    forward = [edge for edge in graph.edges if edge not in back]
    canvas = _Canvas(_layers(graph, forward, widest or len(graph.nodes)))
    short = _within_budget(forward, canvas.layer_of, most_waypoints)
    for edge in forward:
        canvas.thread(edge, direct=edge not in short)
    canvas.order()
    canvas.place()
    if widest and canvas.is_loose:
        canvas.centre_rows()
    places = {edge: place for place, edge in enumerate(graph.edges)}
    return _finish(graph, canvas, sorted(back, key=places.__getitem__))


def _within_budget(edges: Sequence[Edge], layer_of: Mapping[str, int], most: int) -> set[Edge]:
    """Return the edges that are led around what they pass, the shortest of them first.

    The others are drawn straight: some thousand edges over some hundred layers would have a
    million waypoints, and who looks at a page waits for them.
    """
    within, spent = set(), 0
    spans = [(layer_of[edge.target] - layer_of[edge.source] - 1, edge) for edge in edges]
    for span, edge in sorted(spans, key=itemgetter(0)):
        spent += span
        if spent > most:
            break
        within.add(edge)
    return within


def _back_edges(graph: Diagram) -> set[Edge]:
    """Return the edges that close a cycle, found by a depth-first walk without recursion."""
    followers = defaultdict(list)
    for edge in graph.edges:
        followers[edge.source].append(edge)
    back: set[Edge] = set()
    open_, left = set(), set()
    for root in graph.nodes:
        todo = [(root.id, False)]
        while todo:
            name, leaving = todo.pop()
            if leaving:
                open_.discard(name)
                left.add(name)
            elif name not in left and name not in open_:
                open_.add(name)
                todo.append((name, True))
                for edge in followers[name]:
                    if edge.target in open_:
                        back.add(edge)
                    elif edge.target not in left:
                        todo.append((edge.target, False))
    return back


def _topological(graph: Diagram, edges: Sequence[Edge], widest: int) -> dict[str, int]:
    """Return each node's layer, one below its lowest predecessor; nodes in cycles are left out.

    Where a layer is full already, it is the next that has room.
    """
    waiting: dict[str, int] = dict.fromkeys((node.id for node in graph.nodes), 0)
    followers = defaultdict(list)
    for edge in edges:
        waiting[edge.target] += 1
        followers[edge.source].append(edge.target)
    ready = [name for name, count in waiting.items() if count == 0]
    layer = dict.fromkeys(ready, 0)
    filled: Counter[int] = Counter()
    for name in ready:
        while filled[layer[name]] >= widest:
            layer[name] += 1
        filled[layer[name]] += 1
        for target in followers[name]:
            layer[target] = max(layer.get(target, 0), layer[name] + 1)
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    return {name: layer[name] for name in ready}


def _layers(graph: Diagram, forward: Sequence[Edge], widest: int) -> dict[str, int]:
    layers = _topological(graph, forward, widest)
    if END in layers:
        layers[END] = max(layers.values(), default=0)
        if any(name != END and layer == layers[END] for name, layer in layers.items()):
            layers[END] += 1
    return layers


@dataclass
class _Canvas:
    """The layers while they are filled, ordered and placed. Items are nodes and waypoints."""

    layer_of: dict[str, int]
    rows: list[list[str]] = field(init=False)
    above: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    below: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    threads: dict[Edge, list[str]] = field(default_factory=dict)
    centre: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = [[] for _ in range(max(self.layer_of.values(), default=0) + 1)]
        for name, layer in self.layer_of.items():
            self.rows[layer].append(name)

    def thread(self, edge: Edge, *, direct: bool = False) -> None:
        """Lead an edge through a waypoint in each layer that it passes; a `direct` one past all."""
        if direct:
            self.threads[edge] = [edge.source, edge.target]
            return
        chain = [edge.source]
        for layer in range(self.layer_of[edge.source] + 1, self.layer_of[edge.target]):
            waypoint = f"\0{len(self.threads)}:{layer}"
            self.rows[layer].append(waypoint)
            chain.append(waypoint)
        chain.append(edge.target)
        for upper, lower in pairwise(chain):
            self.below[upper].append(lower)
            self.above[lower].append(upper)
        self.threads[edge] = chain

    def order(self) -> None:
        """Order each layer by where its neighbours are, down and up in turn."""
        for _ in range(SWEEPS):
            for upper, row in zip(self.rows, self.rows[1:], strict=False):
                _sort_by_neighbours(row, self.above, upper)
            for lower, row in zip(self.rows[:0:-1], self.rows[-2::-1], strict=False):
                _sort_by_neighbours(row, self.below, lower)

    def place(self) -> None:
        """Give every item a horizontal centre near its neighbours', without overlap."""
        for row in self.rows:
            self._spread(row, [0.0] * len(row))
        for _ in range(SWEEPS):
            for row in self.rows[1:]:
                self._spread(row, [self._wanted(item, self.above) for item in row])
            for row in self.rows[-2::-1]:
                self._spread(row, [self._wanted(item, self.below) for item in row])

    @property
    def is_loose(self) -> bool:
        """Whether what is near its neighbours takes much more room than its widest layer does."""
        taken = max(self.centre.values()) - min(self.centre.values())
        return taken > LOOSE * max(_room(row) for row in self.rows)

    def centre_rows(self) -> None:
        """Put the items of each layer side by side about one middle line."""
        for row in self.rows:
            x = -_room(row) / 2
            for item in row:
                self.centre[item] = x + _width(item) / 2
                x += _width(item) + NODE_GAP

    def _wanted(self, item: str, neighbours: Mapping[str, list[str]]) -> float:
        names = neighbours.get(item)
        if not names:
            return self.centre[item]
        return sum(self.centre[name] for name in names) / len(names)

    def _spread(self, row: list[str], wanted: list[float]) -> None:
        centres: list[float] = []
        for item, wish in zip(row, wanted, strict=True):
            if centres:
                gap = (_width(row[len(centres) - 1]) + _width(item)) / 2 + NODE_GAP
                wish = max(wish, centres[-1] + gap)
            centres.append(wish)
        if centres:
            drift = sum(c - w for c, w in zip(centres, wanted, strict=True)) / len(centres)
            self.centre.update(zip(row, (c - drift for c in centres), strict=True))


def _width(item: str) -> float:
    is_waypoint = item.startswith("\0") and item != END
    return WAYPOINT_WIDTH if is_waypoint else NODE_WIDTH


def _room(row: Sequence[str]) -> float:
    return sum(_width(item) + NODE_GAP for item in row) - NODE_GAP


def _sort_by_neighbours(
    row: list[str], neighbours: Mapping[str, list[str]], beside: Sequence[str]
) -> None:
    position = {name: index for index, name in enumerate(beside)}
    own = {name: index for index, name in enumerate(row)}

    def barycentre(name: str) -> float:
        beside_it = neighbours.get(name)
        return sum(position[n] for n in beside_it) / len(beside_it) if beside_it else own[name]

    row.sort(key=barycentre)


def _finish(graph: Diagram, canvas: _Canvas, back: Sequence[Edge]) -> Layout:
    left = min(canvas.centre[item] - _width(item) / 2 for item in canvas.centre) - MARGIN
    right = max(canvas.centre[item] + _width(item) / 2 for item in canvas.centre) - left
    centre = {item: x - left for item, x in canvas.centre.items()}
    top = {n: MARGIN + layer * (NODE_HEIGHT + LAYER_GAP) for n, layer in canvas.layer_of.items()}
    nodes = tuple(
        PlacedNode(node, centre[node.id] - NODE_WIDTH / 2, top[node.id]) for node in graph.nodes
    )
    edges = [
        placed for beside in _beside(canvas.threads) for placed in _placed(beside, centre, top)
    ]
    for lane, edge in enumerate(back, start=1):
        points = _detour(edge, centre, top, right + lane * LANE_WIDTH)
        edges.append(PlacedEdge(edge, points, is_back=True))
    width = right + MARGIN + len(back) * LANE_WIDTH
    height = max(top.values()) + NODE_HEIGHT + MARGIN
    return Layout(width, height, nodes, tuple(edges))


def _beside(threads: Mapping[Edge, list[str]]) -> Iterable[list[tuple[Edge, list[str]]]]:
    """Take edges together that pass the same points; one without a label is the leftmost."""
    groups: dict[tuple[str, ...], list[tuple[Edge, list[str]]]] = defaultdict(list)
    for edge, chain in threads.items():
        groups[tuple(chain)].append((edge, chain))
    return (sorted(group, key=lambda item: bool(item[0].label)) for group in groups.values())


def _placed(
    beside: Sequence[tuple[Edge, list[str]]], centre: Mapping[str, float], top: Mapping[str, float]
) -> Iterable[PlacedEdge]:
    last = len(beside) - 1
    step = min(BESIDE, NODE_WIDTH / 2 / max(last, 1))
    for index, (edge, chain) in enumerate(beside):
        shift = (index - last / 2) * step
        points = tuple((x + shift, y) for x, y in _points(chain, centre, top))
        yield PlacedEdge(edge, points, is_left=index < last)


def _points(
    chain: Sequence[str], centre: Mapping[str, float], top: Mapping[str, float]
) -> tuple[tuple[float, float], ...]:
    """From below the first node, through the waypoints, to the top of the last."""
    start = top[chain[0]]
    points = [(centre[chain[0]], start + NODE_HEIGHT)]
    for index, waypoint in enumerate(chain[1:-1], start=1):
        y = start + index * (NODE_HEIGHT + LAYER_GAP)
        points += [(centre[waypoint], y), (centre[waypoint], y + NODE_HEIGHT)]
    points.append((centre[chain[-1]], top[chain[-1]]))
    return tuple(points)


def _detour(
    edge: Edge, centre: Mapping[str, float], top: Mapping[str, float], lane: float
) -> tuple[tuple[float, float], ...]:
    """From the right side of the source, along a lane beside everything, to that of the target."""
    half = NODE_WIDTH / 2
    from_y = top[edge.source] + NODE_HEIGHT * 0.7
    to_y = top[edge.target] + NODE_HEIGHT * 0.3
    return (
        (centre[edge.source] + half, from_y),
        (lane, from_y),
        (lane, to_y),
        (centre[edge.target] + half, to_y),
    )
