"""The form that a new service is made with, and that of the panel that calls an action."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminURLInputWidget,
)

from registry import services
from registry.admin.forms import ServiceForm, StrictJSONField
from registry.exceptions import ValidationFailed
from registry.models import Service

MAX_TIMEOUT_SECONDS = 60
MAX_URL = 500


class NewServiceForm(ServiceForm):
    """A service with its first instance, which may also be added later."""

    url = forms.CharField(
        required=False,
        max_length=MAX_URL,
        label="URL",
        help_text="Where its first instance answers, such as http://10.0.0.7:9321. Empty: it cannot"
        " be called until an instance is added, or registers itself.",
        widget=UnfoldAdminURLInputWidget,
    )
    health_url = forms.CharField(
        required=False,
        max_length=MAX_URL,
        label="Health URL",
        help_text="Asked now and then; 2XX says that it is well. Empty: it is not asked.",
        widget=UnfoldAdminURLInputWidget,
    )

    def clean(self) -> Any:
        data = super().clean()
        given = self.instance_fields()
        if given.get("health_url") and not given.get("url"):
            self.add_error("url", "Say where the instance answers whose health URL this is.")
        elif given and not self.errors:
            try:
                services.check_new_instance(given)
            except ValidationFailed as error:
                for name, sentences in error.errors.items():
                    self.add_error(name if name in self.fields else "url", list(sentences))
        return data

    def instance_fields(self) -> dict[str, str]:
        """Return what was given of the first instance; empty when nothing was."""
        given = {name: self.cleaned_data.get(name) for name in ("url", "health_url")}
        return {name: text for name, text in given.items() if text}


class CallForm(forms.Form):
    """Which action is called, and with what."""

    action = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    input_data = StrictJSONField(
        label="Input", required=False, rows=8, help_text="A JSON object, as the action takes it."
    )
    timeout = forms.FloatField(
        required=False,
        min_value=0.1,
        max_value=MAX_TIMEOUT_SECONDS,
        label="Timeout",
        help_text="Seconds. Empty: that of the action.",
        widget=UnfoldAdminDecimalFieldWidget,
    )

    def __init__(self, service: Service, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = service.actions.order_by("name").values_list("name", flat=True)
        self.fields["action"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]
