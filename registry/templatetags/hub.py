"""How values look, for the templates of the admin."""

from __future__ import annotations

from django import template

from registry.admin import display

register = template.Library()

register.filter("status_badge", display.status_badge)
register.filter("status_word", display.status_word)
register.filter("tone", display.tone_of)
register.filter("event_badge", display.event_badge)
register.filter("moment", display.moment)
register.filter("in_words", display.in_words)
register.filter("json_block", display.json_block)
register.simple_tag(display.duration, name="duration")
register.simple_tag(display.milliseconds, name="duration_ms")
