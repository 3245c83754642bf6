"""The prompt library: templates that requests name, with their versions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.decorators import action
from unfold.enums import ActionVariant

from core.admin.base import HubAdmin, find_or_404
from core.admin.columns import column
from core.admin.formatting import NOTHING
from core.admin.forms import StrictJSONField, description_field
from core.configured_rows import delete_row
from core.roles import may
from model_orchestration.models import Prompt
from model_orchestration.prompting import PromptRefused, check_template
from model_orchestration.services.prompts import create_prompt, update_prompt

SHOWN_VERSIONS = 20


class PromptForm(forms.ModelForm):
    """A prompt as a person makes or changes it."""

    description = description_field(rows=2)
    messages = StrictJSONField(
        expected=list,
        rows=10,
        help_text="What a model is told, with {{name}} where the value of a variable goes:"
        ' [{"role": "user", "content": "Sum up in {{count}} words: {{text}}"}].',
    )
    variables = StrictJSONField(
        expected=list,
        required=False,
        rows=5,
        help_text="One without a default takes a value:"
        ' [{"name": "text"}, {"name": "count", "default": 50}].',
    )

    class Meta:
        model = Prompt
        fields = ("name", "description", "messages", "variables")

    def clean(self) -> Any:
        data = super().clean()
        if not self.errors:
            try:
                check_template(self.cleaned_data["messages"], self.cleaned_data["variables"])
            except PromptRefused as error:
                field = error.field.partition("[")[0]
                self.add_error(field, f"{error.field.removeprefix(field)} {error}".strip())
        return data


@admin.register(Prompt)
class PromptAdmin(HubAdmin):
    """The list of prompts, and the page of one."""

    form = PromptForm
    empty_words = "Requests name a prompt instead of writing its messages, and say its variables."
    list_display = ("name", "version_label", "variables_label", "messages_label", "description")
    search_fields = ("name", "description")
    search_help_text = "Name or description"
    ordering = ("name",)
    change_form_outer_before_template = "console/prompt_summary.html"
    actions_detail = ("try_it",)
    fieldsets = ((None, {"fields": ("name", "description", "messages", "variables")}),)

    version_label = column("Version", lambda row: str(row.version))
    variables_label = column(
        "Variables", lambda row: ", ".join(each["name"] for each in row.variables) or NOTHING
    )
    messages_label = column("Messages", lambda row: str(len(row.messages)))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Prompt]:
        return Prompt.objects.annotate(kept=Count("versions"))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            saved = update_prompt(obj, form.cleaned_data)
        else:
            saved = create_prompt(form.cleaned_data)
        obj.__dict__.update(saved.__dict__)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_row(obj)

    def summary(self, request: HttpRequest, row: Prompt) -> dict[str, Any]:
        return {
            "told": [(each["role"], each["content"]) for each in row.messages],
            "versions": list(row.versions.order_by("-number")[:SHOWN_VERSIONS]),
        }

    def has_try_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may have models answer, as over the API."""
        return may(request.user, "models:use")

    @action(
        description="Preview and try", icon="science", variant=ActionVariant.PRIMARY,
        permissions=["try"],
    )  # fmt: skip
    def try_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that fills it in, and asks a model."""
        row = find_or_404(Prompt.objects.all(), object_id)
        return redirect(f"{reverse('admin:model_try')}?prompt={row.pk}")
