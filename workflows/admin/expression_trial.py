"""Shows the page that evaluates an expression over what an execution knew."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from core.admin.formatting import json_text
from core.admin.pages import render_page
from core.admin.views import own_view
from core.exceptions import IntegrationError
from core.expressions import json_type
from core.json import strict
from workflows import services
from workflows.models import WorkflowExecution

MAX_PLACES = 500
EXPRESSION, TEMPLATE = "expression", "template"


class ExpressionForm(forms.Form):
    """An expression or a template, and the place at which it is evaluated."""

    kind = forms.ChoiceField(
        label="It is",
        choices=((EXPRESSION, "an expression, such as input.name"), (TEMPLATE, "a template, JSON")),
    )
    step = forms.ChoiceField(label="After the step", required=False)
    text = forms.CharField(
        label="Text",
        strip=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 6, "class": "hub-code", "spellcheck": "false"}),
    )

    def __init__(self, execution: WorkflowExecution, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = execution.steps.exclude(path__startswith="~").order_by("id")
        paths = dict.fromkeys(rows.values_list("path", flat=True)[:MAX_PLACES])
        last = [("", "the last, as the definition's output")]
        self.fields["step"].choices = [*last, *((p, p) for p in paths)]  # type: ignore[attr-defined]


@own_view("<uuid:pk>/evaluate/", name="execution_evaluate", permissions=["view"])
def evaluate_view(admin: Any, request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show the form, and on POST what the text comes to."""
    rows = WorkflowExecution.objects.select_related("version")
    execution = get_object_or_404(rows, pk=pk)
    form = ExpressionForm(execution, request.POST if request.method == "POST" else None)
    result = _result_of(execution, form.cleaned_data) if form.is_valid() else {}
    return render_page(
        admin,
        request,
        "console/evaluate.html",
        title="Try an expression",
        execution=execution,
        form=form,
        result=result,
    )


def _result_of(execution: WorkflowExecution, values: dict[str, Any]) -> dict[str, Any]:
    step = values["step"] or None
    try:
        if values["kind"] == EXPRESSION:
            value = services.evaluate_expression(execution, values["text"], step=step)
        else:
            source = strict.parse(values["text"])
            value = services.evaluate_template(execution, source, step=step)
    except strict.JSONRefused as error:
        return {"error": f"Not JSON: {error}"}
    except IntegrationError as error:
        return {"error": error.message}
    return {"value": json_text(value), "type": json_type(value)}
