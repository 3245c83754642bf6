"""The form of a workflow with its definition, and the dialog that runs one."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from registry.admin.base import is_id
from registry.admin.forms import StrictJSONField
from workflows import services
from workflows.models import Workflow, WorkflowStatus

SMALLEST: dict[str, Any] = {
    "steps": [{"id": "first", "service": "", "action": "", "input": {}, "next": None}]
}
MAX_SUGGESTED = 10_000


class WorkflowForm(forms.ModelForm):
    """A workflow and what it says; every error of the definition is shown at its path."""

    definition = StrictJSONField(rows=28, help_text="Saving a change makes a new version.")
    description = forms.CharField(
        required=False, max_length=5000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3})
    )
    metadata = StrictJSONField(required=False, rows=3, help_text="A JSON object.")
    base_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Workflow
        fields = ("name", "type", "status", "description")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        version = self.instance.current_version if self.instance.pk else None
        if "definition" in self.fields:
            self.initial["definition"] = version.document if version else SMALLEST
            self.initial["base_version"] = version.number if version else None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        self._check_base(cleaned)
        if "definition" in cleaned:
            draft = cleaned.get("status") == WorkflowStatus.DRAFT
            found = services.validate_document(cleaned["definition"], draft=draft)
            for path, sentences in found.errors.items():
                for sentence in sentences:
                    self.add_error("definition", f"{path}: {sentence}" if path else sentence)
        return cleaned

    def _check_base(self, cleaned: dict[str, Any]) -> None:
        version = self.instance.current_version if self.instance.pk else None
        number = version.number if version else None
        if cleaned.get("base_version") != number and "definition" in self.changed_data:
            self.add_error(
                "definition",
                f"Version {number} was saved while you were editing. Copy your text, load this page"
                " again and apply your change to the new version.",
            )


class RunForm(BaseDialogForm):
    """What an execution is started with; the latest input is suggested."""

    input = StrictJSONField(required=False, rows=12, help_text="A JSON object.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_bound:
            self.initial["input"] = _latest_input(self.object_id)


def _latest_input(workflow_id: Any) -> str:
    field = RunForm.base_fields["input"]
    workflow = Workflow.objects.filter(pk=workflow_id).first() if is_id(workflow_id) else None
    latest = workflow.executions.order_by("-created_at").first() if workflow else None
    text = field.prepare_value(latest.input if latest else {})
    return text if len(text) <= MAX_SUGGESTED else "{}"
