"""Shows the page and the form that run an execution again from one of its steps."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from core.admin.base import actor_of
from core.admin.forms import StrictJSONField
from core.admin.pages import page_of, render_page
from core.admin.refusals import add_refusal
from core.admin.views import own_view
from core.exceptions import IntegrationError
from workflows import services
from workflows.models import WorkflowExecution

MAX_VERSIONS = 50
MAX_PLACES = 200
MAX_SUGGESTED = 100_000


class RerunForm(forms.Form):
    """Where a rerun begins, with what input and in which version."""

    from_step = forms.ChoiceField(label="From the step")
    version = forms.ChoiceField(label="Version")
    input = StrictJSONField(
        label="Input of the execution", required=False, rows=10, help_text="A JSON object."
    )
    step_input = StrictJSONField(
        label="Input of that step",
        required=False,
        none_if_empty=True,
        widget=forms.Textarea(attrs={"rows": 4, "class": "hub-code", "spellcheck": "false"}),
        help_text="A JSON object that its call is given instead. Empty: what the definition says.",
    )

    note = ""

    def __init__(self, execution: WorkflowExecution, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        paths = _places_of(execution)
        self.fields["from_step"].choices = [(step_path, step_path) for step_path in paths]  # type: ignore[attr-defined]
        self.fields["version"].choices = _versions_of(execution)  # type: ignore[attr-defined]
        self.initial = {
            "from_step": _stopped_at(execution) or (paths[0] if paths else ""),
            "version": str(execution.version.number) if execution.version else "",
            "input": execution.input,
        }
        text = self.fields["input"].prepare_value(execution.input)
        if len(text) > MAX_SUGGESTED:
            del self.fields["input"]
            self.note = (
                "The input of this execution is too large to edit here; it is used as it is."
            )

    def rerun(self) -> services.Rerun:
        """Return what the filled-in form asks for."""
        values = self.cleaned_data
        version = values["version"]
        return services.Rerun(
            from_step=values["from_step"],
            input=values.get("input"),
            step_input=values["step_input"],
            version=services.NEWEST if version == services.NEWEST else int(version),
        )


def _places_of(execution: WorkflowExecution) -> list[str]:
    rows = execution.steps.filter(scope="").exclude(path__startswith="~").order_by("id")
    return list(dict.fromkeys(rows.values_list("path", flat=True)[:MAX_PLACES]))


def _stopped_at(execution: WorkflowExecution) -> str:
    """Return the step that is most likely meant: the one at which it failed."""
    path = next((str(e.get("path") or "") for e in execution.errors), "")
    return path.partition("/")[0]


def _versions_of(execution: WorkflowExecution) -> list[tuple[str, str]]:
    if execution.workflow is None or execution.version is None:
        return []
    own = execution.version.number
    numbers = execution.workflow.versions.values_list("number", flat=True)
    others = [n for n in numbers.order_by("-number")[:MAX_VERSIONS] if n != own]
    newest = max((own, *others))
    return [
        (str(own), f"{own}, the same"),
        *([(services.NEWEST, f"{newest}, the newest")] if newest != own else []),
        *((str(n), str(n)) for n in others if n != newest),
    ]


def _told(rerun: WorkflowExecution) -> str:
    """Return what became of an order to run again."""
    event = rerun.events.filter(sequence=1).first()
    begin = event.payload if event else {}
    if "asked_from" not in begin:
        return "Running again, as this execution."
    return (
        f"Running again, as this execution, from '{begin['from_step']}': what people decided there"
        " does not hold for it, so they are asked again."
    )


@own_view("<uuid:pk>/rerun/", name="execution_rerun", permissions=["control"])
def rerun_view(admin: Any, request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask where to begin; on POST start the rerun and go to its page."""
    rows = WorkflowExecution.objects.select_related("workflow", "version")
    execution = get_object_or_404(rows, pk=pk)
    form = RerunForm(execution, request.POST if request.method == "POST" else None)
    if form.is_valid():
        start = services.Start(input={}, context={}, actor=actor_of(request))
        try:
            started = services.rerun_execution(execution.pk, form.rerun(), start)
        except IntegrationError as error:
            add_refusal(form, error)
        else:
            messages.success(request, _told(started.execution))
            return redirect(page_of(started.execution))
    return render_page(
        admin, request, "console/rerun.html", title="Rerun", execution=execution, form=form
    )
