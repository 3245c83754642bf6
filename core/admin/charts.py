"""Stacked bars, drawn on the server (pure). They stretch with the page, so without text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

HEIGHT = 120
BAR_WIDTH = 20
BAR_GAP = 6
LOWEST_PART = 1.5


@dataclass(frozen=True)
class StackedBar:
    """One bar: its words, and its parts from the bottom up, in the order of the tones."""

    words: str
    parts: tuple[float, ...]

    @property
    def total(self) -> float:
        return sum(self.parts)


def draw_bars(bars: Sequence[StackedBar], tones: Sequence[str], *, words: str) -> SafeString:
    """Draw the bars, scaled to the highest; `words` say what they are of."""
    most = max([bar.total for bar in bars], default=0) or 1
    drawn = ((_draw(bar, tones, index, most),) for index, bar in enumerate(bars))
    return format_html(
        '<svg class="hub-bars" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
        ' aria-label="{}">{}</svg>',
        len(bars) * (BAR_WIDTH + BAR_GAP),
        HEIGHT,
        words,
        format_html_join("", "{}", drawn),
    )


def _draw(bar: StackedBar, tones: Sequence[str], index: int, most: float) -> SafeString:
    x = index * (BAR_WIDTH + BAR_GAP) + BAR_GAP / 2
    parts, y = [], float(HEIGHT)
    for tone, amount in zip(tones, bar.parts, strict=True):
        if amount:
            height = max(amount / most * HEIGHT, LOWEST_PART)
            y -= height
            parts.append((tone, f"{x:.1f}", f"{y:.1f}", BAR_WIDTH, f"{height:.1f}"))
    return format_html(
        '<g><title>{}</title><rect class="hub-hit" x="{}" y="0" width="{}" height="{}"/>{}</g>',
        bar.words,
        f"{x - BAR_GAP / 2:.1f}",
        BAR_WIDTH + BAR_GAP,
        HEIGHT,
        format_html_join(
            "",
            '<rect class="hub-fill" data-tone="{}" x="{}" y="{}" width="{}" height="{}"/>',
            parts,
        ),
    )
