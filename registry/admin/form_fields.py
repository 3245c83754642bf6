"""Fields that several forms of the registry have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from core.admin.forms import StrictJSONField
from registry.policies.type_parts import Part


def breaker_field(subject: str) -> StrictJSONField:
    """Return the field of the rules of a circuit breaker; `subject` is who does as they say."""
    return StrictJSONField(
        required=False,
        rows=3,
        help_text=f"What its {subject} otherwise than its criticality says, such as"
        ' {"failure_threshold": 10, "recovery_seconds": 15}.',
    )


def limits_field() -> StrictJSONField:
    """Return the field of the limits of what is called."""
    return StrictJSONField(
        required=False,
        rows=3,
        help_text="How it is called at most, by all workers together, such as"
        ' {"per_second": 5, "burst": 10, "max_concurrency": 4}.',
    )


def text_area(rows: int, **attrs: str) -> UnfoldAdminTextareaWidget:
    """Return the widget of a long text that is no prose, such as PEM."""
    base = {"rows": rows, "class": "hub-code", "spellcheck": "false"}
    return UnfoldAdminTextareaWidget(attrs={**base, **attrs})


def part_field(
    part: Part, *, rows: int, empty_choices: Sequence[tuple[str, str]] = (), initial: Any = None
) -> forms.Field:
    """Return the field of a part of a type: a choice, or a text on one line or on several."""
    about: Any = {
        "label": part.label, "required": False, "help_text": part.help, "initial": initial,
    }  # fmt: skip
    if part.choices:
        choices = [*empty_choices, *((word, word) for word in part.choices)]
        return forms.ChoiceField(**about, choices=choices, widget=UnfoldAdminSelectWidget)
    widget = text_area(rows) if part.long else UnfoldAdminTextInputWidget
    return forms.CharField(**about, widget=widget)
