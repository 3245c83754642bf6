"""The form that a new service is made with, and that of the panel that calls an action."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminURLInputWidget,
)

from core.admin.forms import StrictJSONField, WordsField, description_field
from core.exceptions import ValidationFailed
from registry import services
from registry.admin.form_fields import breaker_field, limits_field
from registry.models import Service, ServiceAction, ServiceInstance
from registry.policies.liveness import Liveness

MAX_TIMEOUT_SECONDS = 60
MAX_URL = 500


def _check_instance(form: forms.ModelForm, instance: dict[str, Any]) -> None:
    """Refuse in a form what adding the instance would refuse."""
    try:
        services.check_new_instance(instance)
    except ValidationFailed as error:
        for name, sentences in error.errors.items():
            form.add_error(name if name in form.fields else "url", list(sentences))


class ServiceForm(forms.ModelForm):
    """A service as a person prepares or corrects it."""

    description = description_field(rows=3)
    tags = WordsField(required=False, help_text="Words, separated by commas.")
    metadata = StrictJSONField(required=False, help_text="A JSON object.")
    breaker = breaker_field("circuit breakers do")
    limits = limits_field()
    probing = StrictJSONField(
        required=False,
        rows=3,
        help_text="How its health URLs are asked otherwise than the settings say, such as"
        ' {"failure_threshold": 5, "interval_seconds": 10}.',
    )

    # A page that does not have it leaves it.
    liveness = forms.ChoiceField(
        required=False,
        choices=Liveness.choices,
        widget=UnfoldAdminSelectWidget,
        help_text="What keeps its instances alive.",
    )

    def clean_liveness(self) -> str:
        return self.cleaned_data["liveness"] or self.instance.liveness

    class Meta:
        model = Service
        fields = (
            "name", "type", "criticality", "credential", "description", "version", "owner", "tags",
            "liveness",
        )  # fmt: skip


class InstanceForm(forms.ModelForm):
    """An instance; its service and URL are what it is, and stay."""

    metadata = StrictJSONField(required=False, help_text="A JSON object.")

    class Meta:
        model = ServiceInstance
        fields = ("service", "url", "health_url", "version", "zone", "weight", "ttl_seconds")

    def clean(self) -> Any:
        """Refuse here what `add_instance` would refuse."""
        super().clean()
        instance = {name: self.cleaned_data.get(name) for name in ("url", "health_url")}
        if self.instance._state.adding and not self.errors:
            _check_instance(self, instance)
        return self.cleaned_data


class ActionForm(forms.ModelForm):
    """An action with its JSON Schemas."""

    input_schema = StrictJSONField(
        required=False, rows=12, help_text="JSON Schema of what it takes; empty: anything."
    )
    output_schema = StrictJSONField(
        required=False, rows=12, help_text="JSON Schema of what it answers; empty: anything."
    )

    class Meta:
        model = ServiceAction
        fields = (
            "service", "name", "description", "method", "path", "timeout_seconds",
            "unknown_fields",
        )  # fmt: skip


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
        instance = self.instance_fields()
        if instance.get("health_url") and not instance.get("url"):
            self.add_error("url", "Say where the instance answers whose health URL this is.")
        elif instance and not self.errors:
            _check_instance(self, instance)
        return data

    def instance_fields(self) -> dict[str, str]:
        """Return the fields of the first instance that were filled in; empty when none was."""
        fields = {name: self.cleaned_data.get(name) for name in ("url", "health_url")}
        return {name: text for name, text in fields.items() if text}


class CallForm(forms.Form):
    """The action to call, and its input."""

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
