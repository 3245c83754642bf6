"""How amounts of money, tokens and quotas look (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from model_orchestration.models.fields import usd_of

WARNING_PERCENT = 80
SIGNIFICANT = 3


def dollars(amount: Decimal | float) -> str:
    """Return an amount of US dollars; small ones with as many digits as tell something."""
    value = Decimal(amount)
    if not value or abs(value) >= 1:
        return f"${value:,.2f}"
    digits = max(SIGNIFICANT - 1 - value.adjusted(), 2)
    whole, _, parts = f"{round(value, digits):f}".partition(".")
    return f"${whole}.{parts.rstrip('0').ljust(2, '0')}"


def dollars_of_nanos(nanos: int) -> str:
    return dollars(usd_of(nanos))


def count_in_words(count: float) -> str:
    """Return a number as a person says it: 950, 12.4k, 3.1M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if count >= size:
            scale = 1e3 if unit == "k" else size
            return f"{count / scale:.1f}{unit}".replace(".0", "")
    return f"{count:,.0f}"


@dataclass(frozen=True)
class Level:
    """How full a limit is. Amounts are billionths of a dollar, tokens or requests."""

    kind: str
    used: int
    reserved: int
    limit: int
    period: str = ""

    @property
    def percent(self) -> float:
        if self.limit <= 0:
            return 100.0
        return min((self.used + self.reserved) / self.limit * 100, 100.0)

    @property
    def tone(self) -> str:
        if self.percent >= 100:
            return "bad"
        return "warning" if self.percent >= WARNING_PERCENT else "good"

    @property
    def words(self) -> str:
        """Return the level in words: $0.82 of $1.00, $0.05 reserved."""
        show = dollars_of_nanos if self.kind == "cost" else count_in_words
        noun = "" if self.kind == "cost" else f" {self.kind}"
        held = f", {show(self.reserved)} reserved" if self.reserved else ""
        return f"{show(self.used)} of {show(self.limit)}{noun}{self.period}{held}"

    @property
    def state(self) -> str:
        """Return the level in a word, as colours say nothing to some."""
        return {"bad": "used up", "warning": "nearly used up", "good": ""}[self.tone]


def draw_level(level: Level) -> SafeString:
    """Draw a level as a bar: what is used, and what is reserved beside it."""
    total = max(level.limit, level.used + level.reserved, 1)
    used, reserved = (100 * part / total for part in (level.used, level.reserved))
    state = format_html(' <strong class="hub-level-state">{}</strong>', level.state)
    return format_html(
        '<span class="hub-level" data-tone="{}"><span class="hub-level-words">{}{}</span>'
        '<svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="hub-level-track" width="100" height="6"/>'
        '<rect class="hub-level-used" width="{}" height="6"/>'
        '<rect class="hub-level-held" x="{}" width="{}" height="6"/></svg></span>',
        level.tone,
        level.words,
        state if level.state else "",
        f"{used:.2f}",
        f"{used:.2f}",
        f"{reserved:.2f}",
    )


def draw_levels(levels: list[Level]) -> SafeString:
    """Draw levels below each other."""
    drawn = format_html_join("", "{}", ((draw_level(level),) for level in levels))
    return format_html('<span class="hub-levels">{}</span>', drawn or "no limit")
