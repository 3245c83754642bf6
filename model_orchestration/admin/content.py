"""Content policies: what is kept of what projects say to models and are told."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from unfold.decorators import display

from core.admin.base import HubAdmin
from core.admin.columns import column
from core.admin.formatting import NOTHING
from core.admin.forms import StrictJSONField, description_field
from model_orchestration.admin.saving import ServicedMixin
from model_orchestration.models import ContentKept, ContentPolicy
from model_orchestration.models.content import OTHERS
from model_orchestration.services.models import assign_policy


class ContentPolicyForm(forms.ModelForm):
    """A content policy as a person makes or changes it."""

    description = description_field(rows=2)
    patterns = StrictJSONField(
        expected=list,
        required=False,
        rows=4,
        help_text="What is taken out besides keys, e-mail addresses, phone, card and IBAN numbers:"
        ' [{"name": "CUSTOMER", "pattern": "KD-[0-9]{6}"}].',
    )

    class Meta:
        model = ContentPolicy
        fields = ("name", "description", "keeps", "retention_days", "patterns")
        labels = {"name": "Project", "keeps": "Keeps"}
        help_texts = {
            "name": f"The project, as callers name it, in any case; {OTHERS} is for all others."
        }


@admin.register(ContentPolicy)
class ContentPolicyAdmin(ServicedMixin, HubAdmin):
    """The list of content policies, and the page of one."""

    assign = staticmethod(assign_policy)
    form = ContentPolicyForm
    empty_words = "Without one, sizes and parameters of requests are kept, and no text."
    list_display = ("project", "keeps_label", "retention", "patterns_label")
    list_filter = ("keeps",)
    search_fields = ("name", "description")
    search_help_text = "Project or description"
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "description", "keeps", "retention_days", "patterns")}),
    )
    conditional_fields = {
        "retention_days": "keeps == 'REDACTED' || keeps == 'FULL'",
        "patterns": "keeps != 'FULL' && keeps != 'NONE'",
    }

    keeps_label = column("Keeps", lambda row: row.get_keeps_display(), ordering="keeps")
    patterns_label = column(
        "Own patterns", lambda row: ", ".join(each["name"] for each in row.patterns) or NOTHING
    )

    @display(description="Project", ordering="name")
    def project(self, row: ContentPolicy) -> str:
        return "All others" if row.name.lower() == OTHERS else row.name

    @display(description="For")
    def retention(self, row: ContentPolicy) -> str:
        if row.keeps not in (ContentKept.REDACTED, ContentKept.FULL):
            return NOTHING
        days = row.retention_days
        return f"{days} day{'' if days == 1 else 's'}"
