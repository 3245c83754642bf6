"""The lines of a layered graph as paths of SVG, and the texts beside them (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.safestring import SafeString

# The head of every line, in the colour of the line.
ARROW = SafeString(
    '<defs><marker id="hub-arrow" viewBox="0 0 8 8" refX="7" refY="4"'
    ' markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
    '<path d="M0 0 L8 4 L0 8 z" fill="context-stroke"/></marker></defs>'
)


def path_of(points: Sequence[tuple[float, float]]) -> str:
    """Return a smooth line downwards: each bend leaves and arrives vertically."""
    x, y = points[0]
    parts = [f"M{x:.1f} {y:.1f}"]
    for next_x, next_y in points[1:]:
        middle = (y + next_y) / 2
        parts.append(
            f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}"
            if next_x != x
            else f"L{next_x:.1f} {next_y:.1f}"
        )
        x, y = next_x, next_y
    return " ".join(parts)


def detour_path(points: Sequence[tuple[float, float]]) -> str:
    (x1, y1), (lane, _), _lower, (x2, y2) = points
    return (
        f"M{x1:.1f} {y1:.1f} H{lane - 8:.1f} Q{lane:.1f} {y1:.1f} {lane:.1f} {y1 - 8:.1f}"
        f" V{y2 + 8:.1f} Q{lane:.1f} {y2:.1f} {lane - 8:.1f} {y2:.1f} H{x2:.1f}"
    )


def px(value: float) -> str:
    return f"{value:.1f}"


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
