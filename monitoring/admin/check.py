"""Checks: what is looked at, how it is, what was seen, and what a look says now."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin.base import (
    HubAdmin,
    LifecycleMixin,
    UnreadPartsMixin,
    actor_of,
    find_or_404,
    run_on_each,
)
from core.admin.columns import column, json_column
from core.admin.dialogs import dialog_action
from core.admin.filters import RelatedFilter
from core.admin.formatting import NOTHING, milliseconds, moment, tone_of
from core.admin.pages import page_of, render_page
from core.admin.views import own_view
from core.api.suspension import result_of
from core.exceptions import Conflict
from monitoring.admin.check_form import (
    JOB_TIMES,
    OFFERED,
    SHOWN_WHEN,
    TIMES,
    CheckForm,
    fields_of,
)
from monitoring.admin.job_runs import draw_runs, due_in_words
from monitoring.checks import lifecycle, trials
from monitoring.checks.push_tokens import push_url_of
from monitoring.checks.reading import plan_of
from monitoring.checks.runs import RUN_DAYS, read_runs
from monitoring.checks.standing import WORST_FIRST, in_state, state_of, with_place, worst_of
from monitoring.models import CheckKind, CheckOutcome, CheckState, CheckStatus, HealthCheck
from monitoring.uptime.bars import first_day
from registry.models import Service

CHANGE = "monitoring.change_healthcheck"
SHOWN_STATES = 50
SHOWN_RESULTS = 30
_MORE = ("More", {"fields": ("severity", "owner", "tags")})
SHOWN = (
    "name", "kind", "service", "url", "description", "request_shown", "conditions_shown", *TIMES,
    "severity", "owner", "tags_shown",
)  # fmt: skip


def state_badge(state: str) -> SafeString:
    """Return a state of a check as a colour and a word; one that nobody looks at is grey."""
    return _badge(state, CheckStatus(state).label)


def outcome_badge(outcome: str) -> SafeString:
    """Return what a look came to as a colour and a word."""
    return _badge(outcome, CheckOutcome(outcome).label)


def _badge(value: str, word: Any) -> SafeString:
    tone = "neutral" if value == CheckStatus.PAUSED else tone_of(value)
    return format_html('<span class="hub-status" data-tone="{}">{}</span>', tone, word)


def _worst(row: HealthCheck) -> CheckState | None:
    return worst_of(row.states.all())


def _last_look(row: HealthCheck) -> str:
    looks = [each.last_result_at for each in row.states.all() if each.last_result_at]
    return moment(max(looks)) if looks else "not yet"


def _latency(row: HealthCheck) -> str:
    known = [each.latency_ms for each in row.states.all() if each.latency_ms is not None]
    return milliseconds(max(known)) if known else NOTHING


def _target(row: HealthCheck) -> str:
    if row.kind == CheckKind.PUSH:
        return "Waits for its calls"
    if row.service is None:
        return row.url or NOTHING
    count = len(row.states.all())
    return f"{row.service.name}, {count} instance{'' if count == 1 else 's'}"


def _times_of(row: HealthCheck) -> list[str]:
    if row.kind == CheckKind.PUSH:
        return ["interval_seconds", *JOB_TIMES]
    return ["timeout_seconds"] if row.is_automatic else [*TIMES]


def _since(row: HealthCheck) -> str:
    worst = _worst(row)
    return moment(worst.since) if worst else NOTHING


class StateFilter(admin.SimpleListFilter):
    """The state of the whole check: the worst of its subjects."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(state), str(state.label)) for state in WORST_FIRST]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet | None:
        chosen = self.value()
        return in_state(queryset, chosen) if chosen else None


class CheckedServiceFilter(RelatedFilter):
    """Those of one service."""

    title = "service"
    parameter_name = "service"
    model = Service


@admin.register(HealthCheck)
class HealthCheckAdmin(LifecycleMixin, UnreadPartsMixin, HubAdmin):
    """What is down first; each with its latest looks."""

    is_managed_by_files = True
    create_row = staticmethod(lifecycle.create_check)
    update_row = staticmethod(lifecycle.update_check)
    delete_row = staticmethod(lifecycle.delete_check)

    form = CheckForm
    conditional_fields = SHOWN_WHEN
    list_display = (
        "name", "state_label", "kind_label", "looks_at", "last_look", "latency", "since",
    )  # fmt: skip
    list_filter = (StateFilter, "kind", CheckedServiceFilter)
    search_fields = ("name", "description", "url", "service__name")
    search_help_text = "Name, description, URL or service"
    autocomplete_fields = ("service",)
    actions = ("pause_selected", "resume_selected")
    actions_detail = ("pause", "resume", "rotate_token")
    change_form_outer_before_template = "console/check_summary.html"

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Return the worst first: not as `ordering`, which knows the table's columns alone."""
        return ("badness", "name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[HealthCheck]:
        """With how bad each is by its state, which is not known to the model's own ordering."""
        rows = with_place(HealthCheck.objects.select_related("service"))
        return rows.prefetch_related("states").order_by(*self.get_ordering(request))

    # The list

    state_label = column("State", lambda row: state_badge(state_of(row)), ordering="badness")
    kind_label = column("Kind", lambda row: row.get_kind_display(), ordering="kind")
    looks_at = column("Looks at", _target)
    last_look = column("Last look", _last_look)
    latency = column("Latency", _latency)
    since = column("Since", _since)

    # The page

    def get_fieldsets(self, request: HttpRequest, obj: HealthCheck | None = None) -> Any:
        if obj and not self.has_change_permission(request, obj):
            return ((None, {"fields": SHOWN}),)
        if obj is None:
            # No part has a box of its own: it would stay, empty, for kinds without any.
            own = [name for kind in OFFERED for name in fields_of(kind)]
            first = ("name", "kind", "service", "url", *own, "description")
            return ((None, {"fields": first}), ("When", {"fields": (*TIMES, *JOB_TIMES)}), _MORE)
        of_service = obj.service_id is not None
        target = () if of_service or obj.kind == CheckKind.PUSH else ("url",)
        own = [*fields_of(obj.kind, of_service=of_service)]
        parts = {
            "What is asked": [name for name in own if "__request__" in name],
            "What has to hold": [name for name in own if "__conditions__" in name],
            "When": _times_of(obj),
        }
        return (
            (None, {"fields": ("name", "kind", *target, "description")}),
            *((title, {"fields": names}) for title, names in parts.items() if names),
            _MORE,
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        only_looks = obj and not self.has_change_permission(request, obj)
        return SHOWN if only_looks else super().get_readonly_fields(request, obj)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        # The settings are no columns.
        names = {name for _, about in self.get_fieldsets(request, obj) for name in about["fields"]}
        readonly = self.get_readonly_fields(request, obj)
        kwargs["fields"] = [n for n in CheckForm._meta.fields if n in names - set(readonly)]
        return super().get_form(request, obj, change=change, **kwargs)

    request_shown = json_column("What is asked", "request")
    conditions_shown = json_column("What has to hold", "conditions")
    tags_shown = column("Tags", lambda row: ", ".join(row.tags) or NOTHING)

    def summary(self, request: HttpRequest, row: HealthCheck) -> dict[str, Any]:
        """Return how it is, at each instance, and what was seen last."""
        states = list(row.states.select_related("instance__service").order_by("instance__url"))
        results = row.results.select_related("instance").order_by("-id")[:SHOWN_RESULTS]
        worst = worst_of(states)
        is_job = row.kind == CheckKind.PUSH
        return {
            **(self._job(request, row) if is_job else {}),
            "check_badge": state_badge(state_of(row)),
            "worst": worst,
            "plan": plan_of(row),
            "subjects": [(state_badge(each.state), each) for each in states[:SHOWN_STATES]],
            "more_subjects": max(len(states) - SHOWN_STATES, 0),
            "results": [(outcome_badge(each.outcome), each) for each in results],
            "may_try": request.user.has_perm(CHANGE),
        }

    def _job(self, request: HttpRequest, row: HealthCheck) -> dict[str, Any]:
        """Return where a job calls, for who may change it, and its runs."""
        now = timezone.now()
        runs = read_runs(row, since=first_day(now, RUN_DAYS), now=now)
        return {
            "push_url": push_url_of(row, request) if request.user.has_perm(CHANGE) else "",
            "due": due_in_words(row),
            "run_days": draw_runs(runs, now=now),
            "runs": [(outcome_badge(each.outcome), each) for each in runs[:SHOWN_RESULTS]],
        }

    # Looking now

    @own_view("<str:object_id>/try", name="check_try", methods=["POST"])
    def try_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Look now, and show what was seen; nothing is stored."""
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied("This needs the permission to change checks.")
        row = find_or_404(HealthCheck.objects.select_related("service"), object_id)
        try:
            tried = result_of(request, "run", partial(trials.begin_close_trial, row))
        except Conflict as error:
            messages.error(request, f"{row}: {error}")
            return HttpResponseRedirect(page_of(row))
        return render_page(
            self,
            request,
            "console/check_try.html",
            title=f"Try {row}",
            original=row,
            check_badge=state_badge(state_of(row)),
            tried=[(outcome_badge(each.seen.outcome), each.seen, each.wrong) for each in tried],
        )

    # Pausing

    @admin.action(description="Pause", permissions=["change"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        act = partial(lifecycle.pause_check, actor=actor_of(request))
        run_on_each(request, queryset, act, done="paused")

    @admin.action(description="Resume", permissions=["change"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        act = partial(lifecycle.resume_check, actor=actor_of(request))
        run_on_each(request, queryset, act, done="resumed")

    def hidden_actions(self, request: HttpRequest, object_id: str) -> tuple[str, ...]:
        row = HealthCheck.objects.filter(pk=object_id).first()
        is_job = row is not None and row.kind == CheckKind.PUSH
        off = ("pause",) if row is not None and not row.enabled else ("resume",)
        return off if is_job else (*off, "rotate_token")

    @dialog_action(
        "Pause",
        icon="pause",
        title="Pause this check?",
        explanation="Nobody looks until it is resumed, and what it opened is over.",
    )
    def pause(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.run_on_page(request, object_id, lifecycle.pause_check, done="paused")

    @dialog_action(
        "Resume",
        icon="play_arrow",
        title="Resume this check?",
        explanation="It is looked at within seconds.",
    )
    def resume(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.run_on_page(request, object_id, lifecycle.resume_check, done="resumed")

    # Jobs

    @dialog_action(
        "New address",
        icon="autorenew",
        title="Give the job another address?",
        explanation="At the one before nothing is found from then on: change it in the job too.",
    )
    def rotate_token(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.run_on_page(
            request, object_id, lifecycle.rotate_token, done="it has a new address"
        )
