"""Services: what they are, where they run and what they can do."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Max, Q, QuerySet
from django.db.models.functions import Coalesce, Greatest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import action, display

from core.admin.base import actor_of, find_or_404, run_on_each
from core.admin.columns import column
from core.admin.dialogs import back_to, telling_refusals
from core.admin.formatting import NOTHING, moment
from core.admin.pages import page_of
from core.roles import CALLS, may
from registry import services
from registry.admin.acceptance import AcceptanceMixin, registrant_of
from registry.admin.credential import may_use_credentials
from registry.admin.grants import (
    CredentialUsersMixin,
    allow_action,
    are_complete,
    choice_of,
    grants_shown,
    tell_awaiting,
    use_view,
    users_shown,
)
from registry.admin.maintenance import (
    LIFTED,
    MAINTENANCE,
    SET,
    MaintainedAdmin,
    describe_maintenance,
)
from registry.admin.service_forms import NewServiceForm, ServiceForm
from registry.admin.service_panels import call_view, probe_view
from registry.credentials.dependants import settle_dependants
from registry.credentials.grants import grant_actions, lines_of_actions
from registry.credentials.links import note_link
from registry.models import (
    Credential,
    RegistryChangeKind,
    Service,
)
from registry.models.status import explain_status
from registry.services.probes import describe_probing
from registry.services.uptime import measure_uptime

FORM_FIELDS = (
    "name", "type", "criticality", "description", "version", "owner", "tags", "breaker", "limits",
    "probing", "liveness", "metadata", "credential",
)  # fmt: skip
MORE = ("version", "owner", "tags", "breaker", "limits", "probing", "liveness", "metadata")
MAX_INSTANCES = 50
MAX_ACTIONS = 100


@admin.register(Service)
class ServiceAdmin(AcceptanceMixin, CredentialUsersMixin, MaintainedAdmin):
    """One service with its instances and actions."""

    form = ServiceForm
    list_display = ("name", "status_label", "type", "instance_count", "sign_of_life", "tags_label")
    list_filter = ("status", "type", "criticality")
    search_fields = ("name", "description", "owner")
    search_help_text = "Name, description or owner"
    ordering = ("name",)
    change_form_outer_before_template = "console/service_summary.html"
    readonly_fields = ("created_at", "updated_at")
    autocomplete_fields = ("credential",)
    fieldsets = (
        (None, {"fields": ("name", "type", "criticality", "credential", "description")}),
        ("More", {"fields": (*MORE, "created_at", "updated_at")}),
    )
    add_fieldsets = (
        (None, {"fields": ("name", "type", "url", "health_url", "credential", "description")}),
        ("More", {"fields": ("criticality", *MORE)}),
    )
    actions = ("start_maintenance_of_selected", "lift_maintenance_of_selected")
    actions_detail = (
        "accept", "refuse", "probe_now", "call_action", "allow", *MaintainedAdmin.actions_detail,
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Service]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                found_instances=Count("instances"),
                latest_beat=Max(
                    "instances__last_heartbeat_at", filter=Q(instances__has_beaten=True)
                ),
                latest_answer=Max("instances__last_answer_at"),
                latest_registration=Max("instances__last_heartbeat_at"),
                latest_sign=Greatest(
                    Coalesce("latest_registration", "latest_answer"),
                    Coalesce("latest_answer", "latest_registration"),
                ),
            )
        )

    instance_count = column(
        "Instances", lambda row: row.found_instances, ordering="found_instances"
    )

    @display(description="Last sign of life", ordering="latest_sign")
    def sign_of_life(self, service: Any) -> str:
        signs = [("beat", service.latest_beat), ("answered", service.latest_answer)]
        latest = [(at, word) for word, at in signs if at is not None]
        if not latest and service.latest_registration is not None:
            latest = [(service.latest_registration, "registered")]
        if not latest:
            return NOTHING
        at, word = max(latest)
        return format_html("{} {}", word, moment(at))

    tags_label = column("Tags", lambda row: ", ".join(row.tags) or NOTHING)

    def summary(self, request: HttpRequest, row: Service) -> dict[str, Any]:
        lines = lines_of_actions(row)
        title = {"grants_title": "Actions that may use its credential"}
        users = users_shown(request, row)
        return {**_summary(row), **users, **grants_shown(request, lines), **title}

    decide_use = use_view("service_use")

    def hidden_actions(self, request: HttpRequest, object_id: str) -> tuple[str, ...]:
        row = Service.objects.filter(pk=object_id).prefetch_related("actions", "instances").first()
        complete = row is None or are_complete(lines_of_actions(row))
        return (*super().hidden_actions(request, object_id), *(("allow",) if complete else ()))

    @allow_action(
        "Its actions may use the credential for what they are called at now, as its page lists it."
    )
    def allow(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        service = find_or_404(Service.objects.all(), object_id)
        with telling_refusals(request):
            granted = services.allow_actions(service, actor=actor_of(request))
            messages.success(request, f"{service}: {len(granted)} allowed.")
        return back_to(page_of(service))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show the credential read-only to those who may not use credentials."""
        names = super().get_readonly_fields(request, obj)
        return names if may_use_credentials(request) else (*names, "credential")

    def save_model(self, request: HttpRequest, obj: Service, form: Any, change: bool) -> None:
        if "credential" in form.changed_data:
            before = form.initial.get("credential")
            note_link(
                obj,
                before=Credential.objects.filter(pk=before).first() if before else None,
                after=obj.credential,
                actor=actor_of(request),
            )
        registrant = registrant_of(request)
        was = (form.initial.get("name", ""), form.initial.get("type", "")) if change else ("", "")
        services.admit_changed(obj, registrant, was=was)
        if change:
            # The status follows the heartbeats that arrive meanwhile, so it is not written back.
            acceptance = ("acceptance",) if "type" in form.changed_data else ()
            obj.save(update_fields=(*FORM_FIELDS, *acceptance, "updated_at"))
            self._grant_linked(request, obj, form)
            services.refresh_status(obj)
            services.record_change(obj, RegistryChangeKind.UPDATED)
            return
        obj.owner = obj.owner or actor_of(request)
        services.check_share(obj.owner)
        super().save_model(request, obj, form, change)
        services.refresh_status(obj)
        services.record_change(obj, RegistryChangeKind.REGISTERED)
        if fields := form.instance_fields():
            services.add_instance(obj, url=fields.pop("url"), fields=fields)

    @staticmethod
    def _grant_linked(request: HttpRequest, service: Service, form: Any) -> None:
        """Let the actions use a credential that was linked just now."""
        if "credential" in form.changed_data and service.credential_id is not None:
            grant_actions(service, actor=actor_of(request))
            settle_dependants(service, actor=actor_of(request), choice=choice_of(request))
            tell_awaiting(request, service)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Ask for the first instance with a new service."""
        if obj is None:
            kwargs["form"] = NewServiceForm
        return super().get_form(request, obj, change=change, **kwargs)

    def response_add(
        self, request: HttpRequest, obj: Service, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Say what is next where nothing can be called yet."""
        if not obj.instances.exists():
            url = reverse("admin:registry_serviceinstance_add") + f"?service={obj.pk}"
            words = "{} has no instance yet, so it cannot be called until one registers."
            sentence = words + ' <a class="hub-link" href="{}">Add an instance</a>'
            messages.warning(request, format_html(sentence, obj.name, url))
        return super().response_add(request, obj, post_url_continue)

    def delete_model(self, request: HttpRequest, obj: Service) -> None:
        services.unregister_service(obj, actor=actor_of(request))

    # Asking and calling it

    probe_page = probe_view
    call_page = call_view

    def has_call_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may call actions, as over the API."""
        return may(request.user, CALLS)

    @action(description="Probe now", icon="monitor_heart", permissions=["view"])
    def probe_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to what the health URLs answer now."""
        return redirect(reverse("admin:service_probe", args=(object_id,)))

    @action(description="Call action", icon="send", permissions=["call"])
    def call_action(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the panel."""
        return redirect(reverse("admin:service_call", args=(object_id,)))

    def parts_of(self, obj: Service) -> list[Any]:
        """Return its instances, their circuits and its actions: its page shows their acts too."""
        instances = obj.instances.select_related("circuit")[:MAX_INSTANCES]
        circuits = [i.circuit for i in instances if getattr(i, "circuit", None)]
        return [*instances, *circuits, *obj.actions.all()[:MAX_ACTIONS]]

    # Maintenance

    def set_status(self, row: Service, status: str, **order: Any) -> object:
        return services.set_service_status(row, status, **order)

    def lift(self, row: Service, *, actor: str) -> object:
        return services.lift_maintenance(row)

    @admin.action(description="Set maintenance", permissions=["change"])
    def start_maintenance_of_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        act = partial(self.set_status, status=MAINTENANCE, actor=actor_of(request))
        run_on_each(request, queryset, act, done=SET)

    @admin.action(description="Lift maintenance", permissions=["change"])
    def lift_maintenance_of_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        act = partial(self.lift, actor=actor_of(request))
        run_on_each(request, queryset.filter(status=MAINTENANCE), act, done=LIFTED)


def _summary(service: Service) -> dict[str, Any]:
    """Return where it runs and what it can do."""
    instances = list(service.instances.select_related("circuit").order_by("url")[:MAX_INSTANCES])
    for instance in instances:
        instance.probe_streak = describe_probing(instance, service)  # type: ignore[attr-defined]
        instance.status_reason = explain_status(instance, now=timezone.now())  # type: ignore[attr-defined]
    return {
        "instances": instances,
        "maintenance": describe_maintenance(service),
        "uptime": measure_uptime(service, now=timezone.now()),
        "service_actions": list(service.actions.order_by("name")[:MAX_ACTIONS]),
    }
