"""The form of a workflow with its definition, and the dialog that runs one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
)

from core.admin.base import is_id
from core.admin.dialogs import back_to, telling_refusals
from core.admin.forms import StrictJSONField, description_field
from core.admin.pages import page_of
from core.json.positions import position_of, positions_in
from workflows import services
from workflows.models import HIGHEST_PRIORITY, LOWEST_PRIORITY, Workflow, WorkflowStatus

SMALLEST: dict[str, Any] = {
    "steps": [{"id": "first", "service": "", "action": "", "input": {}, "next": None}]
}
MAX_SUGGESTED = 10_000
MAX_VERSIONS = 50


class WorkflowForm(forms.ModelForm):
    """A workflow and what it says; every error of the definition is shown at its path."""

    definition = StrictJSONField(rows=28, help_text="Saving a change makes a new version.")
    description = description_field(rows=3)
    metadata = StrictJSONField(required=False, rows=3, help_text="A JSON object.")
    base_version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    may_use_credentials = False

    class Meta:
        model = Workflow
        fields = ("name", "type", "status", "description", "retention")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        version = self.instance.current_version if self.instance.pk else None
        if "retention" in self.fields:
            # What says nothing of it changes nothing.
            self.fields["retention"].required = False
        if "definition" in self.fields:
            self.initial["definition"] = version.document if version else SMALLEST
            self.initial["base_version"] = version.number if version else None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        self._check_base(cleaned)
        if "definition" in cleaned:
            draft = cleaned.get("status") == WorkflowStatus.DRAFT
            report = services.validate_document(cleaned["definition"], draft=draft)
            self._refuse_definition(report.errors)
            if report.valid:
                self._check_connections(cleaned["definition"])
        return cleaned

    def _refuse_definition(self, errors: Mapping[str, list[str]]) -> None:
        """Say what is wrong at its line and column in the text as it was typed."""
        positions = positions_in(self.data[self.add_prefix("definition")]) if errors else {}
        located = [(position_of(path, positions) or (1, 1), path) for path in errors]
        for (line, column), path in sorted(located):
            for sentence in errors[path]:
                words = f"Line {line}, column {column}, {path}: {sentence}" if path else sentence
                self.add_error("definition", words)

    def _check_connections(self, document: Any) -> None:
        version = self.instance.current_version if self.instance.pk else None
        before, may = version.document if version else None, self.may_use_credentials
        try:
            services.check_connections(document, before, may_use_credentials=may)
        except PermissionDenied as error:
            self.add_error("definition", str(error))

    def _check_base(self, cleaned: dict[str, Any]) -> None:
        version = self.instance.current_version if self.instance.pk else None
        number = version.number if version else None
        if cleaned.get("base_version") != number and "definition" in self.changed_data:
            self.add_error(
                "definition",
                f"Version {number} was saved while you were editing. Copy your text, load this page"
                " again and apply your change to the new version.",
            )


def start_from(
    row: Model, request: HttpRequest, workflow: Workflow, start: services.Start
) -> HttpResponse:
    """Start an execution from the page of a row: go to the execution, or say there why not."""
    shown = row
    with telling_refusals(request):
        shown = services.start_execution(workflow, start).execution
    return back_to(page_of(shown))


class RunForm(BaseDialogForm):
    """What an execution is started with; the latest input and current version are suggested."""

    version = forms.TypedChoiceField(
        required=False, coerce=int, empty_value=None, widget=UnfoldAdminSelectWidget
    )
    input = StrictJSONField(required=False, rows=12, help_text="A JSON object.")
    priority = forms.IntegerField(
        required=False,
        min_value=LOWEST_PRIORITY,
        max_value=HIGHEST_PRIORITY,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="From -100 to 100; higher comes first. Empty: 0.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Workflow.objects.select_related("current_version")
        workflow = rows.filter(pk=self.object_id).first() if is_id(self.object_id) else None
        self.fields["version"].choices = version_choices(workflow)
        if not self.is_bound:
            self.initial["input"] = latest_input(workflow)
            self.initial["version"] = number_of_current(workflow)


class RunVersionForm(BaseDialogForm):
    """What an execution of a version is started with; the latest input is suggested."""

    input = StrictJSONField(required=False, rows=12, help_text="A JSON object.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_bound and is_id(self.object_id):
            workflow = Workflow.objects.filter(versions=self.object_id).first()
            self.initial["input"] = latest_input(workflow)


def number_of_current(workflow: Workflow | None) -> int:
    """Return the number of the current version of a workflow; 0 without."""
    return workflow.current_version.number if workflow and workflow.current_version else 0


def version_choices(workflow: Workflow | None) -> list[tuple[int, str]]:
    """Return the versions that may be chosen, the current one always among them."""
    current = number_of_current(workflow)
    rows = (
        workflow.versions.filter(retired_at__isnull=True)
        .order_by("-number")
        .values_list("number", flat=True)
        if workflow
        else ()
    )
    numbers = sorted({*rows[:MAX_VERSIONS], current} - {0}, reverse=True)
    return [(n, f"{n}, the current one" if n == current else str(n)) for n in numbers]


def latest_input(workflow: Workflow | None) -> dict[str, Any]:
    """Return the input of the latest execution, to start from; nothing where it is too long."""
    latest = workflow.executions.order_by("-created_at").only("input").first() if workflow else None
    suggested = latest.input if latest else {}
    return suggested if len(str(suggested)) <= MAX_SUGGESTED else {}
