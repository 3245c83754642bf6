"""Forms of models and routes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextareaWidget

from core.admin.forms import StrictJSONField, WordsField, description_field
from model_orchestration.models import Model, ModelRoute, RequestType
from model_orchestration.models.route import ErrorClass


class ModelForm(forms.ModelForm):
    """A model as a person makes or changes it."""

    description = description_field(rows=2)
    capabilities = forms.MultipleChoiceField(
        choices=RequestType.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    aliases = WordsField(
        required=False, help_text="Other ids by which it may be asked for, separated by commas."
    )
    configuration = StrictJSONField(
        required=False,
        rows=4,
        help_text='Of its requests: {"defaults": {"temperature": 0}, "timeout_seconds": 120}.',
    )
    metadata = StrictJSONField(required=False, rows=3)

    class Meta:
        model = Model
        fields = (
            "name", "display_name", "description", "provider", "connection", "provider_model",
            "capabilities", "status", "replacement", "aliases", "token_limit", "max_tokens",
            "cost_per_token", "rpm", "tpm", "configuration", "metadata",
        )  # fmt: skip


class TargetsField(forms.Field):
    """The models of a route, one on a line in their order, with a weight behind each if wanted."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 4, "class": "hub-code"})

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return "\n".join(_line_of(target) for target in value)

    def to_python(self, value: Any) -> list[dict[str, Any]]:
        lines = (line.split() for line in str(value or "").splitlines())
        return [_target_of(words) for words in lines if words]

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool((initial or []) != self.to_python(data))
        except ValidationError:
            return True


def _line_of(target: dict[str, Any]) -> str:
    weight = target.get("weight", 1)
    return str(target.get("model", "")) + (f" {weight}" if weight != 1 else "")


def _target_of(words: list[str]) -> dict[str, Any]:
    """Return a target of its line: a model id, and a weight if there is one."""
    if len(words) > 2 or (len(words) == 2 and not words[1].isdecimal()):
        raise ValidationError(f"'{' '.join(words)[:80]}': write a model id, then its weight.")
    target: dict[str, Any] = {"model": words[0]}
    return target | ({"weight": int(words[1])} if len(words) == 2 else {})


class RouteForm(forms.ModelForm):
    """A route as a person makes or changes it."""

    description = description_field(rows=2)
    targets = TargetsField(
        help_text="One model id on a line, the first choice first; of a WEIGHTED route with its"
        " weight behind it: gpt-4o 3."
    )
    fallback_on = forms.MultipleChoiceField(
        required=False,
        choices=ErrorClass.choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="After which errors the next model is asked.",
    )

    class Meta:
        model = ModelRoute
        fields = (
            "name", "description", "strategy", "targets", "fallback_on", "max_attempts",
            "deadline_seconds",
        )  # fmt: skip
