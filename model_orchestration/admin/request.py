"""Requests to models: who asked for what, which model served it, what it used and cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from core.admin.base import GrowingAdmin, ReadOnlyMixin
from core.admin.columns import column, json_column, moment_column, status_column
from core.admin.formatting import NOTHING, milliseconds
from core.admin.pages import render_page
from core.admin.views import own_view
from core.exceptions import NotFound, VaultError
from core.identifiers import read_id
from core.roles import may
from model_orchestration.admin.amounts import count_in_words, dollars_of_nanos
from model_orchestration.admin.csv_rows import MOST_EXPORTED, csv_lines
from model_orchestration.admin.usage import read_usage
from model_orchestration.admin.usage_page import GROUPS, SPANS, page_of_usage
from model_orchestration.content_store import read_content
from model_orchestration.models import Model, Request, RequestState

PERIODS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
PERIOD_WORDS = (("hour", "The last hour"), ("day", "The last day"), ("week", "The last week"))
SHORTCUTS = (
    ("All", ""), ("Failed", RequestState.FAILED), ("Refused", RequestState.REFUSED),
    ("Cut", RequestState.CUT), ("Expired", RequestState.EXPIRED),
)  # fmt: skip
MOST_MODELS = 50
EXPORTED = (
    "request_id", "created_at", "request_type", "model_asked", "model_id", "provider", "route",
    "state", "project_id", "user_id", "caller", "task_id", "prompt_tokens", "completion_tokens",
    "total_tokens", "cached_tokens", "reasoning_tokens", "usage_source", "cost", "latency_ms",
    "first_token_ms", "error_code",
)  # fmt: skip


class ServedByFilter(admin.SimpleListFilter):
    """Requests that one model served."""

    title = "model"
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = list(Model.objects.order_by("name").values_list("name", flat=True)[:MOST_MODELS])
        chosen = request.GET.get("model", "")
        # What is gone has a past too.
        return [(name, name) for name in dict.fromkeys([*names, *([chosen] if chosen else [])])]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet | None:
        return queryset.filter(model_id=self.value()) if self.value() else None


class SinceFilter(admin.SimpleListFilter):
    """Requests since a while; by their ids, which grow with the time."""

    title = "when"
    parameter_name = "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> tuple[tuple[str, str], ...]:
        return PERIOD_WORDS

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet | None:
        period = PERIODS.get(self.value() or "")
        return queryset.filter(created_at__gte=timezone.now() - period) if period else None


def tokens_of(row: Request) -> str:
    if row.total_tokens is None:
        return NOTHING
    mark = "~" if row.usage_source == "ESTIMATED" else ""
    return f"{mark}{count_in_words(row.total_tokens)}"


@admin.register(Request)
class RequestAdmin(ReadOnlyMixin, GrowingAdmin):
    """The list of requests, the page of one, and charts of all."""

    empty_words = "They come as soon as a model is asked, over the API or with Try it."
    list_display = (
        "when", "state_label", "type_label", "served", "project_label", "who", "tokens",
        "cost_label", "took", "why",
    )  # fmt: skip
    list_filter = ("state", "request_type", "provider", ServedByFilter, SinceFilter)
    list_before_template = "console/model_request_shortcuts.html"
    search_fields = ("request_id",)
    search_help_text = "Request id, or the whole name of a project, user, task or caller"
    ordering = ("-id",)
    change_form_outer_before_template = "console/model_request_summary.html"
    fieldsets = (
        (
            "Asked",
            {
                "fields": (
                    "request_id", "request_type", "model_asked", "route", "stream", "project_id",
                    "user_id", "caller", "task_id", "task_type",
                )
            },
        ),
        (
            "Used",
            {
                "fields": (
                    "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens",
                    "reasoning_tokens", "images", "audio_seconds", "usage_source",
                )
            },
        ),
        ("Parameters and sizes", {"fields": ("data_label",)}),
    )  # fmt: skip
    data_label = json_column("Of what was said", "told_data")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("data_label",)

    # The list

    when = moment_column("When", "created_at")
    state_label = status_column("State", "state")
    type_label = column("Type", lambda row: row.get_request_type_display())
    project_label = column("Project", lambda row: row.project_id or NOTHING)
    who = column("Who", lambda row: row.user_id or row.caller or NOTHING)
    tokens = column("Tokens", tokens_of)
    cost_label = column("Cost", lambda row: dollars_of_nanos(row.cost_nanousd))
    took = column(
        "Took", lambda row: NOTHING if row.latency_ms is None else milliseconds(row.latency_ms)
    )

    @display(description="Model")
    def served(self, row: Request) -> str:
        if row.model_asked.lower() == row.model_id.lower():
            return row.model_id
        words = '<span class="hub-nowrap">{}</span> <span class="hub-dim">for {}</span>'
        return format_html(words, row.model_id, row.model_asked)

    @display(description="Why")
    def why(self, row: Request) -> str:
        if not row.error_message:
            return NOTHING
        text = row.error_message
        return format_html('<span class="hub-why" title="{}">{}</span>', text, text)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Request]:
        return super().get_queryset(request).defer("request_data", "response_data", "held")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Look only for whole names: nothing else has an index."""
        term = search_term.strip()[:200]
        if not term:
            return queryset, False
        if read_id(term) is not None:
            return queryset.filter(Q(request_id=term) | Q(pk=read_id(term))), False
        names = ("request_id", "project_id", "user_id", "task_id", "caller")
        wanted = Q()
        for name in names:
            wanted |= Q(**{name: term})
        return queryset.filter(wanted), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        current = request.GET.get("state__exact", "")
        shortcuts = [(word, state, state == current) for word, state in SHORTCUTS]
        more = {"shortcuts": shortcuts, "query": request.GET.urlencode()}
        return super().changelist_view(request, {**(extra_context or {}), **more})

    # The page of one

    def summary(self, request: HttpRequest, row: Request) -> dict[str, Any]:
        return {
            "attempts": attempts_of(row),
            "cost": dollars_of_nanos(row.cost_nanousd),
            "reserved": dollars_of_nanos(row.reserved_nanousd),
            "tokens": tokens_of(row),
            **_said_to(request.user, row),
        }

    # Charts and exports

    @own_view("usage/", name="model_usage", methods=["GET"], permissions=["view"])
    def usage_view(self, request: HttpRequest) -> HttpResponse:
        """Show what was used, by the model, project, or whoever else."""
        span, group = _chosen(request)
        usage = read_usage(SPANS[span], group=group, now=timezone.now())
        context = page_of_usage(usage, span=span, group=group)
        if request.GET.get("format") == "csv":
            return _as_csv(f"usage-by-{group}-{span}.csv", usage.table())
        template = "console/model_usage.html"
        return render_page(self, request, template, title="Usage of models", **context)

    @own_view("export.csv", name="model_requests_csv", methods=["GET"], permissions=["view"])
    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Export the requests of a list as it is filtered, the latest first."""
        rows = self.get_changelist_instance(request).get_queryset(request)
        latest = rows.order_by("-id")[:MOST_EXPORTED].iterator(chunk_size=1000)
        return _as_csv("requests.csv", _exported(latest))


def _said_to(user: Any, row: Request) -> dict[str, Any]:
    """Return what is kept of what was said, for those who may see the audit trail."""
    if not may(user, "audit:read"):
        return {}
    try:
        kept = read_content(row.pk, now=timezone.now())
    except NotFound:
        return {}
    except VaultError as error:
        return {"unreadable": error.message}
    return {"said": lines_of(kept["request"], kept["answer"]), "kept": kept}


def lines_of(question: Any, answer: Any) -> list[tuple[str, str]]:
    """Return what was said as pairs of who and what; whatever has no text is told as JSON."""
    question = question if isinstance(question, dict) else {}
    said = [
        (str(each.get("role") or "") if isinstance(each, dict) else "", _text_of(each))
        for each in question.get("messages") or ()
    ]
    others = (name for name in ("prompt", "input", "file") if name in question)
    said.extend((name, _text_of(question[name])) for name in others)
    choices = answer.get("choices") if isinstance(answer, dict) else None
    for choice in choices or ():
        message = choice.get("message")
        said.append(("answer", _text_of(message if message else choice.get("text") or "")))
    if answer and not choices:
        said.append(("answer", _text_of(answer)))
    return said


def _text_of(value: Any) -> str:
    """Return the text of a message, or of anything else in one."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("content"), str):
        calls = value.get("tool_calls")
        return f"{value['content']}\n{json.dumps(calls, indent=2)}" if calls else value["content"]
    return json.dumps(value, ensure_ascii=False, indent=2)


def _chosen(request: HttpRequest) -> tuple[str, str]:
    """Return the span and the group of the charts that were chosen, or the usual ones."""
    span, group = request.GET.get("span", ""), request.GET.get("by", "")
    return (span if span in SPANS else "day"), (group if group in dict(GROUPS) else "model_id")


def _exported(rows: Iterator[Request]) -> Iterator[list[Any]]:
    yield [*EXPORTED]
    for row in rows:
        yield [getattr(row, name) for name in EXPORTED]


def _as_csv(name: str, rows: Iterator[list[Any]]) -> HttpResponse:
    answer = HttpResponse("".join(csv_lines(rows)), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def attempts_of(row: Request) -> list[dict[str, Any]]:
    """Return the attempts of a request as a waterfall: each begins where the one before ended."""
    took = [float(each.get("milliseconds") or 0) for each in row.attempts]
    total = max(sum(took), 0.001)
    lanes, begun = [], 0.0
    for attempt, ms in zip(row.attempts, took, strict=True):
        failed = bool(attempt.get("error"))
        lanes.append(
            {
                "model": attempt.get("model", ""),
                "words": milliseconds(ms),
                "tone": "bad" if failed else "good",
                "result": _result_of(attempt) if failed else "answered",
                "left": f"{begun / total * 100:.2f}",
                "width": f"{max(ms / total * 100, 0.5):.2f}",
            }
        )
        begun += ms
    return lanes


def _result_of(attempt: dict[str, Any]) -> str:
    status = f" ({attempt['status']})" if attempt.get("status") else ""
    return f"{str(attempt['error']).replace('_', ' ').lower()}{status}"
