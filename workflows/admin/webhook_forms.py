"""The form of a webhook."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied

from core.admin.forms import description_field
from core.admin.refusals import add_refusal
from core.exceptions import ValidationFailed
from registry.admin.integration_forms import MappingFormField, code_input
from registry.models import Credential, CredentialType
from workflows import services
from workflows.models import Webhook

_SECRETS = ("credential", "old_credential")
_OF_SIGNAL = "effect == 'SIGNAL'"
SHOWN_WHEN = {"signal": _OF_SIGNAL, "find_by": _OF_SIGNAL}


class WebhookForm(forms.ModelForm):
    """A webhook, held against the same rules as over the API."""

    description = description_field(rows=2)
    signal = forms.CharField(
        required=False,
        max_length=1000,
        widget=code_input(),
        help_text="Such as payment-received, or an expression such as $.input.type.",
    )
    find = forms.CharField(
        label="Correlation id or execution id",
        required=False,
        max_length=1000,
        widget=code_input(),
        help_text="Where it stands in the message, such as $.input.order_id. Of an execution that"
        " is started it becomes the correlation id; without it, it has none.",
    )
    mapping = MappingFormField(
        required=False,
        rows=8,
        help_text='Such as {"order_id": "$.input.order.id"}. Reads input and context. Empty: the'
        " message as it came.",
    )

    class Meta:
        model = Webhook
        fields = (
            "name", "description", "enabled", "credential", "old_credential", "effect",
            "workflow", "signal", "find_by", "find", "mapping",
        )  # fmt: skip
        labels = {"old_credential": "Old credential, taken too"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        signing = Credential.objects.filter(type=CredentialType.HMAC_SIGNATURE)
        for name in _SECRETS:
            if name in self.fields:
                self.fields[name].queryset = signing  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            services.check_webhook_fields(self.instance, self.service_fields())
        except ValidationFailed as error:
            add_refusal(self, error)
        except PermissionDenied as error:
            self.add_error("credential", str(error))
        return cleaned

    def service_fields(self) -> dict[str, Any]:
        """Return the fields as the services take them: credentials only where they were chosen."""
        fields = dict(self.cleaned_data)
        for name in _SECRETS:
            is_new = name == "credential" and self.instance._state.adding
            if name not in self.changed_data and not is_new:
                fields.pop(name, None)
        return fields
