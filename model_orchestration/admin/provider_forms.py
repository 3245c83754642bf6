"""The forms of the two steps in which a provider is added."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from core.db.names import validate_name
from model_orchestration.calls.listing import ANTHROPIC_VERSION, ListedModel
from model_orchestration.models import ModelProvider

USUAL_URLS = {
    ModelProvider.OPENAI: "https://api.openai.com/v1",
    ModelProvider.ANTHROPIC: "https://api.anthropic.com/v1",
    ModelProvider.OLLAMA: "http://localhost:11434/v1",
}
_ODD = re.compile(r"[^A-Za-z0-9._:@-]+")


class ProviderForm(forms.Form):
    """Where a provider is, and the key that it gave."""

    provider = forms.ChoiceField(
        choices=ModelProvider.choices,
        widget=UnfoldAdminSelectWidget,
        help_text="Custom: any server that speaks as OpenAI does, such as vLLM.",
    )
    name = forms.CharField(
        max_length=90,
        validators=[validate_name],
        widget=UnfoldAdminTextInputWidget,
        help_text="What the connection is called here.",
    )
    base_url = forms.CharField(
        required=False,
        label="Base URL",
        max_length=500,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "https://…/v1"}),
        help_text="Up to /v1. Empty: the usual one of the provider.",
    )
    key = forms.CharField(
        required=False,
        strip=True,
        max_length=4000,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="It is sealed, and nobody sees it again. Empty where none is needed.",
    )

    def clean(self) -> Any:
        data = super().clean()
        provider = self.cleaned_data.get("provider", "")
        if not self.cleaned_data.get("base_url"):
            if provider not in USUAL_URLS:
                self.add_error("base_url", "A custom provider has no usual one.")
            self.cleaned_data["base_url"] = USUAL_URLS.get(provider, "")
        needs_key = provider in (ModelProvider.OPENAI, ModelProvider.ANTHROPIC)
        if needs_key and not self.cleaned_data.get("key"):
            self.add_error("key", "This provider answers nobody without a key.")
        return data

    def credential_fields(self) -> dict[str, Any] | None:
        """Return the credential to make of the key; None without one."""
        key = self.cleaned_data["key"]
        if not key:
            return None
        is_anthropic = self.cleaned_data["provider"] == ModelProvider.ANTHROPIC
        kind = "API_KEY" if is_anthropic else "BEARER_TOKEN"
        return {
            "name": f"{self.cleaned_data['name']}-key",
            "type": kind,
            "secret": {"key" if is_anthropic else "token": key},
            "allowed_origins": [_origin_of(self.cleaned_data["base_url"])],
        }

    def connection_fields(self) -> dict[str, Any]:
        """Return the connection to make; its tests ask for the models, which costs nothing."""
        config: dict[str, Any] = {"test_path": "/models"}
        if self.cleaned_data["provider"] == ModelProvider.ANTHROPIC:
            config["headers"] = {"anthropic-version": ANTHROPIC_VERSION}
        return {
            "name": self.cleaned_data["name"],
            "type": "HTTP",
            "base_url": self.cleaned_data["base_url"].rstrip("/"),
            "config": config,
        }


def _origin_of(url: str) -> str:
    """Return the origin of a URL, or what there is of one: the connection says what is wrong."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def models_form(listed: Sequence[ListedModel]) -> type[forms.Form]:
    """Return the form that asks which of these models to register."""
    choices = [(each.name, _label_of(each)) for each in listed]
    fields: dict[str, forms.Field] = {
        "models": forms.MultipleChoiceField(
            choices=choices,
            widget=UnfoldAdminCheckboxSelectMultipleWidget,
            error_messages={"required": "Choose at least one."},
        ),
        "id_prefix": forms.CharField(
            required=False,
            max_length=40,
            widget=UnfoldAdminTextInputWidget,
            help_text="Put before the model ids here, to tell those of several providers apart.",
        ),
    }
    return type("ModelsForm", (forms.Form,), fields)


def _label_of(listed: ListedModel) -> str:
    return f"{listed.name} — {', '.join(listed.capabilities).replace('_', ' ').lower()}"


def model_id_of(name: str) -> str:
    """Return a provider's name of a model as an id that a model may have here."""
    return _ODD.sub("-", name).strip("-._:@")[:100]
