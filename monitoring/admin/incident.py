"""Incidents: what is wrong, what was, and what people do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from unfold.decorators import display

from core.admin.base import GrowingAdmin, ReadOnlyMixin, actor_of, find_or_404
from core.admin.columns import column, moment_column, status_column, text_column
from core.admin.dialogs import dialog_action, telling_refusals
from core.admin.formatting import NOTHING, duration
from core.admin.pages import page_of
from core.admin.views import own_view
from monitoring import handling
from monitoring.admin.incident_forms import (
    AcknowledgeForm,
    AssignForm,
    DescribeForm,
    MergeForm,
    NewIncidentForm,
    ResolveForm,
    SilenceForm,
    UpdateForm,
)
from monitoring.alerts.silencing import silence_incident
from monitoring.incidents import Verdict, decide_suspects
from monitoring.models import AlertChannel, AlertDelivery, Incident, IncidentStatus

DECIDE = "monitoring.change_incident"
NEW = ("title", "cause", "service", "severity", "impact", "public")
SHOWN_UPDATES = 100
SHOWN_DELIVERIES = 20
# Messages say in JSON which incidents they tell of: so many are looked through.
MOST_READ = 500
TOLD_WITHIN = timedelta(days=1)


_ACTS: dict[str, Callable[..., Any]] = {
    "acknowledge": handling.acknowledge_incident,
    "expire": lambda incident, actor: decide_suspects(incident, Verdict.EXPIRE, actor=actor),
    "keep": lambda incident, actor: decide_suspects(incident, Verdict.KEEP, actor=actor),
}


def _deliveries_on(incident: Incident) -> list[AlertDelivery]:
    """Return the messages that told of it, of those since it opened."""
    since = AlertDelivery.objects.filter(created_at__gte=incident.opened_at)
    if incident.resolved_at:
        since = since.filter(created_at__lte=incident.resolved_at + TOLD_WITHIN)
    rows = since.select_related("channel").defer("text").order_by("id")[:MOST_READ]
    key = str(incident.pk)
    told = [row for row in rows if any(each.get("id") == key for each in row.incidents)]
    return told[:SHOWN_DELIVERIES]


@admin.register(Incident)
class IncidentAdmin(ReadOnlyMixin, GrowingAdmin):
    """The latest first; an unresolved one is also shown at the top of every page."""

    list_display = (
        "subject_label", "status_label", "severity_label", "whose", "opened", "lasted", "how",
    )  # fmt: skip
    list_filter = ("status", "severity", "impact", "public", "subject")
    search_fields = ("about__istartswith", "title__icontains")
    search_help_text = "The beginning of what it is about, or a part of its title"
    ordering = ("-id",)
    autocomplete_fields = ("service",)
    change_form_outer_before_template = "console/incident_summary.html"
    fields = ("lasted", "how")
    readonly_fields = fields
    actions_detail = (
        "acknowledge", "give_back", "add_update", "assign", "describe", "silence",
        "merge", "resolve",
    )  # fmt: skip

    subject_label = column("What", str)
    severity_label = status_column("Severity", "severity")
    whose = text_column("Whose", "assigned_to")
    opened = moment_column("Opened", "opened_at")

    lasted = column("Lasted", lambda row: duration(row.opened_at, row.resolved_at))

    @display(description="How it ended")
    def how(self, incident: Incident) -> str:
        if not incident.is_resolved:
            return NOTHING
        by = f"{incident.resolved_by}: " if incident.resolved_by else ""
        return f"{by}{incident.resolution}"

    # Opened by hand

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(DECIDE)

    def has_decide_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may say something about incidents."""
        return request.user.has_perm(DECIDE)

    def has_silence_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may silence what it is about."""
        return request.user.has_perm("monitoring.add_alertsilence")

    def get_fields(self, request: HttpRequest, obj: Incident | None = None) -> Any:
        return self.fields if obj else NEW

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else ()

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = NewIncidentForm
        return super().get_form(request, obj, change=change, **kwargs)

    def save_model(self, request: HttpRequest, obj: Incident, form: Any, change: bool) -> None:
        given = form.cleaned_data
        service = given["service"]
        fields = {**given, "text": given["cause"], "service": service.name if service else ""}
        saved = handling.open_by_hand(fields, actor=actor_of(request))
        obj.__dict__.update(saved.__dict__)

    # The page

    def summary(self, request: HttpRequest, row: Incident) -> dict[str, Any]:
        """Return its timeline, who was told of it, and whether this person may decide on it."""
        return {
            "updates": list(row.updates.order_by("-id")[:SHOWN_UPDATES]),
            "notices": list(row.notices.select_related("channel").order_by("channel__name")),
            "has_channels": AlertChannel.objects.filter(enabled=True).exists(),
            "merged": list(row.merged.order_by("id")[:SHOWN_DELIVERIES]),
            "held_back": list(row.suppressed.order_by("id")[:SHOWN_DELIVERIES]),
            "deliveries": _deliveries_on(row),
            "may_decide": request.user.has_perm(DECIDE),
        }

    @own_view("<str:object_id>/<str:decision>", name="incident_decide", methods=["POST"])
    def decide(self, request: HttpRequest, object_id: str, decision: str) -> HttpResponse:
        """Do what a button of the page or of the banner asks for."""
        if not request.user.has_perm(DECIDE):
            raise PermissionDenied("This needs the permission to change incidents.")
        incident = find_or_404(Incident.objects.all(), object_id)
        act = _ACTS.get(decision)
        with telling_refusals(request):
            if act is None:
                messages.error(request, f"Use one of: {', '.join(_ACTS)}.")
            else:
                decided = act(incident, actor=actor_of(request))
                messages.success(request, decided.resolution or "Acknowledged.")
        return HttpResponseRedirect(page_of(incident))

    # Dialogs

    def hidden_actions(self, request: HttpRequest, object_id: str) -> Iterable[str]:
        row = Incident.objects.filter(pk=object_id).first()
        if row is None or row.is_resolved:
            return ("acknowledge", "give_back", "assign", "silence", "merge", "resolve")
        return ("give_back",) if row.status == IncidentStatus.OPEN else ("acknowledge",)

    @dialog_action(
        "I see to it",
        icon="visibility",
        title="Do you see to it?",
        explanation="Nobody else is called meanwhile, unless it becomes worse.",
        form=AcknowledgeForm,
        permission="decide",
    )
    def acknowledge(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        minutes = form.cleaned_data["minutes"]
        until = timezone.now() + timedelta(minutes=float(minutes)) if minutes else None
        act = partial(handling.acknowledge_incident, until=until)
        return self.run_on_page(request, object_id, act, done="you see to it")

    @dialog_action(
        "Give it back",
        icon="undo",
        title="Does nobody see to it any more?",
        explanation="Others are called again.",
        permission="decide",
    )
    def give_back(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.run_on_page(
            request, object_id, handling.unacknowledge_incident, done="given back"
        )

    @dialog_action(
        "Add an update",
        icon="add_comment",
        title="What is to be said of it?",
        explanation="It is in the timeline, and on status pages if you say so.",
        form=UpdateForm,
        permission="decide",
    )
    def add_update(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        act = partial(handling.add_update, fields=form.cleaned_data)
        return self.run_on_page(request, object_id, act, done="added")

    @dialog_action(
        "Assign",
        icon="person",
        title="Whose is it?",
        explanation="It is shown, and nobody is called for it.",
        form=AssignForm,
        permission="decide",
    )
    def assign(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        act = partial(handling.assign_incident, to=form.cleaned_data["to"])
        return self.run_on_page(request, object_id, act, done="assigned")

    @dialog_action(
        "Describe",
        icon="edit",
        title="How bad is it, and what do status pages say?",
        explanation="The severity of what was found by itself stays.",
        form=DescribeForm,
        permission="decide",
    )
    def describe(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        act = partial(handling.describe_incident, fields=form.changes())
        return self.run_on_page(request, object_id, act, done="described")

    @dialog_action(
        "Silence",
        icon="notifications_off",
        title="For how long is nobody told?",
        explanation="It is of this kind about the same, also if it ends and comes back.",
        form=SilenceForm,
        permission="silence",
    )
    def silence(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        act = partial(
            silence_incident,
            minutes=float(form.cleaned_data["minutes"]),
            comment=form.cleaned_data["comment"],
        )
        return self.run_on_page(request, object_id, act, done="silenced")

    @dialog_action(
        "Merge",
        icon="merge",
        title="What is it a part of?",
        explanation="Nobody is told of it alone while that is open.",
        form=MergeForm,
        permission="decide",
    )
    def merge(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        act = partial(handling.merge_incident, into=str(form.cleaned_data["into"].pk))
        return self.run_on_page(request, object_id, act, done="merged")

    @dialog_action(
        "Resolve",
        icon="check_circle",
        title="Is it over?",
        explanation="What is still wrong opens another.",
        form=ResolveForm,
        permission="decide",
    )
    def resolve(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        act = partial(handling.end_incident, resolution=form.cleaned_data["resolution"])
        return self.run_on_page(request, object_id, act, done="resolved")
