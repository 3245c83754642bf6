"""How values look, for the templates of the admin."""

from __future__ import annotations

from django import template

from core.admin import formatting
from core.durations import in_words

register = template.Library()

register.filter("status_badge", formatting.status_badge)
register.filter("status_word", formatting.status_word)
register.filter("tone", formatting.tone_of)
register.filter("event_badge", formatting.event_badge)
register.filter("moment", formatting.moment)
register.filter("in_words", in_words)
register.filter("json_block", formatting.json_block)
register.simple_tag(formatting.duration, name="duration")
register.simple_tag(formatting.milliseconds, name="duration_ms")
