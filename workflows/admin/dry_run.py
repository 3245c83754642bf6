"""Shows a dry run of a workflow: what each step would be given, with mocks for calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from core.admin.forms import StrictJSONField
from core.admin.pages import render_page
from core.admin.refusals import add_refusal
from core.admin.views import own_view
from core.durations import in_words
from core.exceptions import IntegrationError
from workflows import services
from workflows.admin.execution.page import latest_statuses
from workflows.admin.graph.svg import draw_workflow
from workflows.admin.workflow_forms import latest_input, number_of_current, version_choices
from workflows.dry_run import MOCKED_KINDS, DryRunResult, DryRunStep
from workflows.models import Workflow, WorkflowVersion
from workflows.services import DryRun

MAX_SHOWN = 200


class DryRunForm(forms.Form):
    """The version, its input, and what its steps are taken to come to."""

    version = forms.TypedChoiceField(label="Version", coerce=int)
    input = StrictJSONField(label="Input", required=False, rows=8, help_text="A JSON object.")
    mocks = StrictJSONField(
        label="Mocks",
        required=False,
        rows=8,
        help_text='For each step {"output": ...}, {"error": {"code", "message"}}, or a list of one'
        " for each time. A step without a mock answers a sample.",
    )

    def __init__(self, workflow: Workflow, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["version"].choices = version_choices(workflow)  # type: ignore[attr-defined]
        self.initial = {
            "version": number_of_current(workflow),
            "input": latest_input(workflow),
            "mocks": _suggested_mocks(workflow.current_version),
        }


def _suggested_mocks(version: WorkflowVersion | None) -> dict[str, Any]:
    """Return an empty output for each step at the top that can be mocked, to fill in."""
    steps = version.steps if version else []
    named = [s for s in steps if str(s.get("type") or "ACTION").upper() in MOCKED_KINDS]
    return {str(step.get("id")): {"output": {}} for step in named}


@dataclass(frozen=True)
class ShownDryStep:
    """A row of the table, with the virtual time at which it began."""

    step: DryRunStep
    began: str


@own_view("<uuid:pk>/dry-run/", name="workflow_dry_run", permissions=["view"])
def dry_run_view(admin: Any, request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show the form, and on POST how the dry run went."""
    rows = Workflow.objects.select_related("current_version")
    workflow = get_object_or_404(rows, pk=pk)
    form = DryRunForm(workflow, request.POST if request.method == "POST" else None)
    result = _run(workflow, form) if form.is_valid() else None
    shown = _shown(workflow, form.cleaned_data["version"], result) if result else {}
    return render_page(
        admin,
        request,
        "console/dry_run.html",
        title="Dry run",
        workflow=workflow,
        form=form,
        **shown,
    )


def _run(workflow: Workflow, form: DryRunForm) -> DryRunResult | None:
    fields = form.cleaned_data
    dry_run = DryRun(input=fields["input"], context={}, mocks=fields["mocks"])
    try:
        return services.dry_run_workflow(workflow, dry_run, version=fields["version"])
    except IntegrationError as error:
        add_refusal(form, error)
        return None


def _shown(workflow: Workflow, number: int, result: DryRunResult) -> dict[str, Any]:
    version = workflow.versions.get(number=number)
    rows = [(s.row.step_id, s.row.path, s.row.status) for s in result.steps]
    return {
        "result": result,
        "steps": [ShownDryStep(step, _began(step, result)) for step in result.steps[:MAX_SHOWN]],
        "more": max(len(result.steps) - MAX_SHOWN, 0),
        "took": in_words(result.execution_time),
        "graph": draw_workflow(version.document, statuses=latest_statuses(rows)),
    }


def _began(step: DryRunStep, result: DryRunResult) -> str:
    if step.row.started_at is None:
        return ""
    seconds = (step.row.started_at - result.started_at).total_seconds()
    return f"after {in_words(seconds)}" if seconds else "at once"
