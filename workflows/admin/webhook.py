"""Inbound webhooks: what they do, how to call them, and what came."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from core.admin.base import (
    GrowingAdmin,
    HubAdmin,
    ReadOnlyMixin,
    SwitchedMixin,
    UnreadPartsMixin,
    actor_of,
)
from core.admin.columns import column, moment_column, status_column, text_column
from core.admin.formatting import NOTHING, flow, moment, status_badge
from core.admin.pages import page_of_id
from registry.admin.credential import may_use_credentials
from workflows import services
from workflows.admin.filters import WebhookListFilter
from workflows.admin.webhook_forms import SHOWN_WHEN, WebhookForm
from workflows.models import Webhook, WebhookDelivery, WebhookEffect, WorkflowExecution

SHOWN_DELIVERIES = 20
_CURL = """\
SECRET='whsec_…'
URL='{url}'
BODY='{{"type": "example"}}'
ID="msg_$(openssl rand -hex 12)"
AT=$(date +%s)
case "$SECRET" in whsec_*) KEY=$(printf %s "${{SECRET#whsec_}}" | base64 -d | xxd -p -c 256);;
  *) KEY=$(printf %s "$SECRET" | xxd -p -c 256);; esac
SIGNATURE=$(printf %s "$ID.$AT.$BODY" |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$KEY" -binary | base64)
curl -sS "$URL" -H 'Content-Type: application/json' -H "Webhook-Id: $ID" \\
  -H "Webhook-Timestamp: $AT" -H "Webhook-Signature: v1,$SIGNATURE" -d "$BODY"
"""


def curl_of(webhook: Webhook, request: HttpRequest) -> str:
    """Return commands for a shell that sign a message and send it."""
    path = f"/webhooks/{webhook.name.replace(' ', '%20')}"
    return _CURL.format(url=request.build_absolute_uri(path))


def arrow_of(webhook: Webhook) -> SafeString:
    """Return what a message leads to, as a picture."""
    name = webhook.workflow.name if webhook.workflow else "the execution that waits"
    words = "starts" if webhook.effect == WebhookEffect.EXECUTION else f"signals {webhook.signal}"
    return flow("Message", name, words)


@admin.register(Webhook)
class WebhookAdmin(SwitchedMixin, UnreadPartsMixin, HubAdmin):
    """The list of webhooks, and the page of one."""

    form = WebhookForm
    conditional_fields = SHOWN_WHEN
    list_display = ("name", "state_label", "arrow", "credential_name", "last_label")
    list_filter = ("enabled", "effect")
    search_fields = ("name", "description", "workflow__name")
    search_help_text = "Name, description or workflow"
    ordering = ("name",)
    autocomplete_fields = ("workflow",)
    readonly_fields = ("created_at", "updated_at")
    change_form_outer_before_template = "console/webhook_summary.html"
    actions = ("enable_selected", "disable_selected")
    fieldsets = (
        (None, {"fields": ("name", "enabled", "credential", "old_credential", "description")}),
        (
            "What a message does",
            {"fields": ("effect", "workflow", "signal", "find_by", "find", "mapping")},
        ),
        ("More", {"fields": ("created_at", "updated_at")}),
    )
    add_fieldsets = (
        (None, {"fields": ("name", "enabled", "credential", "description")}),
        fieldsets[1],
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        latest = WebhookDelivery.objects.filter(webhook=OuterRef("pk")).order_by("-id")
        return Webhook.objects.with_parts().annotate(latest=Subquery(latest.values("pk")[:1]))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        ids = [webhook.latest for webhook in changelist.result_list if webhook.latest]
        deliveries = WebhookDelivery.objects.in_bulk(ids)
        for webhook in changelist.result_list:
            webhook.last_delivery = deliveries.get(webhook.latest)
        return changelist

    state_label = status_column("State", "status", ordering="enabled")
    arrow = column("What a message does", arrow_of)

    @display(description="Signed with", ordering="credential__name")
    def credential_name(self, webhook: Webhook) -> str:
        return " or ".join(credential.name for credential in webhook.credentials)

    @display(description="Last delivery")
    def last_label(self, webhook: Any) -> str:
        row = getattr(webhook, "last_delivery", None)
        if row is None:
            return NOTHING
        return format_html("{} {}", status_badge(row.outcome), moment(row.updated_at))

    # The page of one

    def summary(self, request: HttpRequest, row: Webhook) -> dict[str, Any]:
        listed = reverse("admin:workflows_webhookdelivery_changelist")
        return {
            "flow": arrow_of(row),
            "curl": curl_of(row, request),
            "deliveries": list(row.deliveries.order_by("-id")[:SHOWN_DELIVERIES]),
            "history_url": f"{listed}?webhook={row.pk}",
        }

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether a webhook may be added: its credential takes a permission of its own."""
        return super().has_add_permission(request) and may_use_credentials(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if may_use_credentials(request) else (*fields, "credential", "old_credential")

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:
        actor, may = actor_of(request), may_use_credentials(request)
        fields = form.service_fields()
        if change:
            services.update_webhook(obj, fields, actor=actor, may_use_credentials=may)
        else:
            fields["id"] = obj.pk
            services.create_webhook(fields, actor=actor, may_use_credentials=may)
            obj._state.adding = False

    def delete_model(self, request: HttpRequest, obj: Webhook) -> None:
        services.delete_webhook(obj, actor=actor_of(request))

    def set_enabled(self, request: HttpRequest, row: Webhook, enabled: bool) -> None:
        services.update_webhook(row, {"enabled": enabled}, actor=actor_of(request))


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyMixin, GrowingAdmin):
    """What came, the latest first."""

    list_display = ("when", "webhook_name", "outcome_label", "message_id", "count", "reason")
    list_filter = ("outcome", WebhookListFilter)
    list_select_related = ("webhook",)
    search_fields = ("message_id__exact",)
    search_help_text = "Id of a message"
    ordering = ("-id",)
    fields = (
        "webhook", "outcome", "message_id", "code", "reason", "count", "execution_label",
        "request_id", "digest", "created_at", "updated_at",
    )  # fmt: skip
    readonly_fields = fields

    when = moment_column("When", "updated_at")
    webhook_name = text_column("Webhook", "webhook.name")
    outcome_label = status_column("Outcome", "outcome")

    @display(description="Execution")
    def execution_label(self, row: WebhookDelivery) -> str:
        if row.execution_id is None:
            return NOTHING
        url = page_of_id(WorkflowExecution, row.execution_id)
        return format_html('<a class="hub-link" href="{}">{}</a>', url, row.execution_id)
