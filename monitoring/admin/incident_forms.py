"""What people type in about incidents: one by hand, and the dialogs on its page."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from core.admin.dialogs import minutes_field
from core.models.audit import MAX_ACTOR
from monitoring.models import Impact, Incident, PageStatus, Severity

SAME = [("", "As it is")]


class NewIncidentForm(forms.ModelForm):
    """An incident that a person knows of."""

    title = forms.CharField(
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="In a few words; status pages call it so.",
    )
    cause = forms.CharField(
        label="What is wrong", max_length=1000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3})
    )

    class Meta:
        model = Incident
        fields = ("title", "cause", "service", "severity", "impact", "public")
        labels = {"public": "On status pages"}


class AcknowledgeForm(BaseDialogForm):
    """For how long somebody sees to it."""

    minutes = minutes_field("Others are called again after so many minutes. Empty: not at all.")


class UpdateForm(BaseDialogForm):
    """A note, or how far it is."""

    text = forms.CharField(max_length=10_000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}))
    page_status = forms.ChoiceField(
        label="How far it is",
        required=False,
        choices=[("", "Only a note"), *PageStatus.choices],
        widget=UnfoldAdminSelectWidget,
        help_text="Resolved ends it. A post-mortem is for what is over.",
    )
    public = forms.BooleanField(
        label="On status pages", required=False, widget=UnfoldBooleanSwitchWidget
    )


class AssignForm(BaseDialogForm):
    """Whose it is."""

    to = forms.CharField(
        label="To",
        required=False,
        max_length=MAX_ACTOR,
        widget=UnfoldAdminTextInputWidget,
        help_text="A person or a team. Empty: nobody.",
    )


class DescribeForm(BaseDialogForm):
    """Its severity and impact, and what status pages say of it."""

    severity = forms.ChoiceField(
        required=False, choices=[*SAME, *Severity.choices], widget=UnfoldAdminSelectWidget
    )
    impact = forms.ChoiceField(
        required=False, choices=[*SAME, *Impact.choices], widget=UnfoldAdminSelectWidget
    )
    title = forms.CharField(
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="What status pages call it. Empty: as it is.",
    )
    public = forms.ChoiceField(
        label="On status pages",
        required=False,
        choices=[*SAME, ("yes", "Yes"), ("no", "No")],
        widget=UnfoldAdminSelectWidget,
    )

    def changes(self) -> dict[str, Any]:
        """Return what was chosen, as the service takes it."""
        given = {name: value for name, value in self.cleaned_data.items() if value}
        if "public" in given:
            given["public"] = given["public"] == "yes"
        return given


class SilenceForm(BaseDialogForm):
    """For how long nobody is told, and why."""

    minutes = minutes_field("Nobody is told of it for so many minutes.", initial=60)
    comment = forms.CharField(
        label="Why",
        required=False,
        max_length=5000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )


class MergeForm(BaseDialogForm):
    """The incident that it becomes a part of."""

    into = forms.ModelChoiceField(
        queryset=Incident.objects.unresolved().filter(merged_into=None),
        widget=UnfoldAdminSelectWidget,
    )


class ResolveForm(BaseDialogForm):
    """How it ended."""

    resolution = forms.CharField(
        required=False, max_length=500, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2})
    )
