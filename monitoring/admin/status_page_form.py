"""The form of a status page: its components are lines of text, in groups."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget

from core.admin.forms import description_field
from core.exceptions import ValidationFailed
from monitoring.models import StatusPage
from monitoring.status_pages.components import (
    from_lines,
    read_components,
    shown_components,
    to_lines,
)
from monitoring.status_pages.lifecycle import PLAIN

EXAMPLE = "[Store]\nCheckout = shop-api\nPayments = billing\n\n[Inside]\nmail"


class StatusPageForm(forms.ModelForm):
    """A status page as a person makes or changes it."""

    description = description_field(rows=2)
    lines = forms.CharField(
        label="Components",
        required=False,
        max_length=50_000,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 10, "class": "hub-code", "spellcheck": "false", "placeholder": EXAMPLE}
        ),
        help_text="One in each line: a service, or Shown name = service. A [Group] begins with"
        " its name in brackets. Visitors see the names, never where a service is.",
    )

    class Meta:
        model = StatusPage
        fields = (
            "name", "title", "visibility", "description", "show_uptime", "show_outages",
            "maintenance",
        )  # fmt: skip
        help_texts = {
            "name": "The end of its address, behind /status/.",
            "title": "What visitors read at the top. Empty: the name.",
        }
        labels = {"maintenance": "Maintenance counts as"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding and "lines" in self.fields:
            self.initial["lines"] = to_lines(shown_components(self.instance.components))

    def clean_lines(self) -> str:
        """Hold the components against their rules."""
        try:
            read_components(from_lines(self.cleaned_data["lines"]))
        except ValidationFailed as error:
            raise ValidationError(error.message) from None
        return self.cleaned_data["lines"]

    @property
    def service_fields(self) -> dict[str, Any]:
        """What the service takes."""
        fields = {name: self.cleaned_data[name] for name in PLAIN if name in self.cleaned_data}
        return {**fields, "components": from_lines(self.cleaned_data.get("lines", ""))}
