"""Credentials: how each is, where it may be sent, and what was done with it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from unfold.decorators import display

from core.admin.base import GrowingAdmin, HubAdmin, ReadOnlyMixin, actor_of, find_or_404
from core.admin.columns import column, json_column, moment_column
from core.admin.dialogs import back_to, dialog_action, telling_refusals
from core.admin.formatting import NOTHING, event_badge, status_badge
from core.admin.pages import page_of
from registry.admin.credential_forms import SHOWN_WHEN, CredentialForm, RotateForm, fields_of
from registry.credentials import lifecycle
from registry.credentials.health import state_of, warnings_of
from registry.credentials.references import users_of
from registry.models import Credential, CredentialEvent, CredentialType

MOST_EVENTS = 30
MOST_USERS = 20
SHOWN = (
    "name", "type_label", "all_origins", "public_attributes", "expires_at", "description",
)  # fmt: skip
COMMON = ("name", "type", "allowed_origins")


def may_use_credentials(request: HttpRequest) -> bool:
    """Return whether this person may link credentials, as over the API."""
    return request.user.has_perm("registry.use_credential")


@admin.register(Credential)
class CredentialAdmin(HubAdmin):
    """Secrets go in and never come out: what is typed is sealed and never rendered."""

    form = CredentialForm
    conditional_fields = SHOWN_WHEN
    list_display = ("name", "state_label", "type_label", "origins", "expires", "used")
    list_filter = ("type",)
    search_fields = ("name", "description")
    search_help_text = "Name or description"
    ordering = ("name",)
    change_form_outer_before_template = "console/credential_summary.html"
    actions_detail = ("rotate",)

    # The list

    state_label = column("State", lambda row: status_badge(state_of(row, now=timezone.now())))
    type_label = column("Type", lambda row: row.get_type_display(), ordering="type")

    @display(description="Sent to")
    def origins(self, credential: Credential) -> str:
        origins = credential.allowed_origins
        more = f" and {len(origins) - 2} more" if len(origins) > 2 else ""
        return ", ".join(origins[:2]) + more if origins else "nowhere"

    expires = moment_column("Expires", "expires_at", empty="never", ordering="expires_at")
    used = moment_column("Last used", "last_used_at", ordering="last_used_at")

    # The page

    def get_fieldsets(self, request: HttpRequest, obj: Credential | None = None) -> Any:
        if obj and not self.has_change_permission(request, obj):
            return ((None, {"fields": SHOWN}),)
        types = [obj.type] if obj else CredentialType.values
        names = [name for type in types for name in fields_of(type)]
        public = [name for name in names if "__attributes__" in name]
        secret = [name for name in names if "__secret__" in name]
        keep = "Leave it empty to keep the one that is stored." if obj and obj.has_secret else ""
        secret += [] if obj else ["draft"]
        return (
            (None, {"fields": (*COMMON, *public, "expires_at", "description")}),
            ("Secret", {"fields": secret, "description": keep}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show the public attributes as they are to those who may only look."""
        only_looks = obj and not self.has_change_permission(request, obj)
        return SHOWN if only_looks else super().get_readonly_fields(request, obj)

    public_attributes = json_column("Attributes", "attributes")
    all_origins = column("Sent to", lambda row: ", ".join(row.allowed_origins) or "nowhere")

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        # The parts of the types are no columns.
        kwargs["fields"] = ("name", "type", "description", "expires_at")
        return super().get_form(request, obj, change=change, **kwargs)

    def summary(self, request: HttpRequest, row: Credential) -> dict[str, Any]:
        return _summary(row, request)

    @method_decorator(sensitive_post_parameters())
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Keep what was typed out of reports of errors."""
        return super().changeform_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Credential, form: Any, change: bool) -> None:
        actor = actor_of(request)
        if change:
            saved = lifecycle.update_credential(obj, form.service_fields, actor=actor)
        else:
            fields = {**form.service_fields, "type": obj.type}
            saved = lifecycle.create_credential(fields, actor=actor)
        obj.__dict__.update(saved.__dict__)

    def delete_model(self, request: HttpRequest, obj: Credential) -> None:
        lifecycle.delete_credential(obj, actor=actor_of(request))

    @dialog_action(
        "Rotate secret",
        icon="autorenew",
        title="Replace the secret?",
        explanation="Calls that begin from now on carry the new one; the old one is gone.",
        form=RotateForm,
        submit="Rotate",
    )
    def rotate(self, request: HttpRequest, form: RotateForm, object_id: str) -> HttpResponse:
        credential = find_or_404(Credential.objects.all(), object_id)
        with telling_refusals(request):
            lifecycle.rotate_credential(credential, form.service_fields, actor=actor_of(request))
            messages.success(request, f"{credential}: the secret was replaced.")
        return back_to(page_of(credential))


def _summary(credential: Credential, request: HttpRequest) -> dict[str, Any]:
    """Return how it is, who uses it and what was done with it."""
    now = timezone.now()
    sees_trail = request.user.has_perm("registry.view_credentialevent")
    users = users_of(credential, most=MOST_USERS + 1)
    events = CredentialEvent.objects.of(credential)[:MOST_EVENTS] if sees_trail else []
    return {
        "state": state_of(credential, now=now),
        "warnings": warnings_of(credential, now=now),
        "users": [_shown_user(user, request) for user in users[:MOST_USERS]],
        "has_more_users": len(users) > MOST_USERS,
        "sees_trail": sees_trail,
        "events": list(events),
        "trail_url": reverse("admin:registry_credentialevent_changelist") + f"?q={credential.pk}",
    }


def _shown_user(user: Any, request: HttpRequest) -> dict[str, Any]:
    """Return a row about what uses a credential; a link only for who may look at it."""
    meta = user._meta
    may_view = request.user.has_perm(f"{meta.app_label}.view_{meta.model_name}")
    return {
        "name": str(user),
        "kind": meta.verbose_name,
        "status": getattr(user, "status", ""),
        "url": page_of(user) if may_view else "",
    }


@admin.register(CredentialEvent)
class CredentialEventAdmin(ReadOnlyMixin, GrowingAdmin):
    """The audit trail of all credentials, the latest entry first."""

    list_display = ("what", "credential_name", "actor", "about", "counted", "when")
    list_filter = ("kind",)
    search_fields = ("credential_name__istartswith", "=credential_id", "actor__istartswith")
    search_help_text = "The beginning of a credential's name or of who did it"
    ordering = ("-id",)
    fields = (
        "what", "credential_name", "credential_id", "actor", "subject", "detail", "counted",
        "request_id", "created_at", "updated_at",
    )  # fmt: skip
    readonly_fields = fields

    what = column("What", event_badge)
    about = column("About", lambda row: row.subject or row.detail or NOTHING)
    counted = column("Times", lambda row: row.count)
    when = moment_column("When", "updated_at")
