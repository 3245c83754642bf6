"""API keys: shown once when made, never again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from core import api_keys
from core.admin.base import HubAdmin, find_or_404, run_on_each, run_on_one
from core.admin.columns import moment_column
from core.admin.dialogs import back_to, dialog_action
from core.admin.formatting import moment
from core.admin.forms import ApiKeyForm
from core.admin.pages import page_of, render_page
from core.models import ApiKey, KeyState
from core.roles import Role, scopes_of_user

WRITABLE = (
    "name", "role", "expires_at", "networks", "requests_per_minute", "service_names",
    "service_types", "scopes",
)  # fmt: skip
_TONES = {KeyState.USABLE: "good", KeyState.EXPIRED: "warning", KeyState.REVOKED: "neutral"}


@admin.register(ApiKey)
class ApiKeyAdmin(HubAdmin):
    """Who may call the API, and what each key may do."""

    form = ApiKeyForm
    list_display = ("name", "state_label", "rights", "beginning", "last_used", "expires", "created")
    list_filter = ("role", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "prefix")
    search_help_text = "Name, or the eight characters after si_"
    ordering = ("name",)
    actions = ("revoke_selected",)
    actions_detail = ("revoke",)
    readonly_fields = ("state_label", "beginning", "last_used_at", "created_at", "revoked_at")
    add_fieldsets = ((None, {"fields": WRITABLE}),)
    fieldsets = (
        (None, {"fields": ("name", "state_label", *WRITABLE[1:])}),
        ("Use", {"fields": ("beginning", "last_used_at", "created_at", "revoked_at")}),
    )

    @display(description="State")
    def state_label(self, key: ApiKey) -> str:
        state = key.state_at(timezone.now())
        tone = _TONES[state]
        return format_html('<span class="hub-status" data-tone="{}">{}</span>', tone, state.label)

    @display(description="Role or scopes", ordering="role")
    def rights(self, key: ApiKey) -> str:
        """Return its scopes where it has some of its own, as they stand instead of the role's."""
        return ", ".join(key.scopes) or Role(key.role).label

    @display(description="Begins with")
    def beginning(self, key: ApiKey) -> str:
        return f"si_{key.prefix}_…"

    last_used = moment_column("Last used", "last_used_at", ordering="last_used_at")
    created = moment_column("Made", "created_at", ordering="created_at")

    @display(description="Expires", ordering="expires_at")
    def expires(self, key: ApiKey) -> str:
        return moment(key.expires_at) if key.expires_at else "never"

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        fields = {name: form.cleaned_data[name] for name in WRITABLE}
        if change:
            api_keys.update_key(obj, fields, may_grant=_grantable_by(request.user))
            return
        made, text = api_keys.issue_key(fields, may_grant=_grantable_by(request.user))
        obj.__dict__.update(made.__dict__)
        # Lives on this request only; a message would put it into a cookie or the session.
        request.issued_key = text  # type: ignore[attr-defined]

    def delete_model(self, request: HttpRequest, obj: ApiKey) -> None:
        api_keys.delete_key(obj)

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the key, this once."""
        return render_page(
            self,
            request,
            "console/api_key_created.html",
            title=f"API key {obj.name}",
            original=obj,
            key=request.issued_key,  # type: ignore[attr-defined]
            list_url=reverse("admin:core_apikey_changelist"),
        )

    # Revoking

    def hidden_actions(self, request: HttpRequest, object_id: str) -> tuple[str, ...]:
        is_usable = ApiKey.objects.filter(pk=object_id, revoked_at=None).exists()
        return () if is_usable else ("revoke",)

    @admin.action(description="Revoke", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        run_on_each(request, queryset, api_keys.revoke_key, done="revoked")

    @dialog_action(
        "Revoke",
        icon="block",
        title="Revoke this key?",
        explanation="Programs that use it are refused from now on. This cannot be undone.",
    )
    def revoke(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        key = find_or_404(ApiKey.objects.all(), object_id)
        run_on_one(request, key, api_keys.revoke_key, done="revoked")
        return back_to(page_of(key))


def _grantable_by(user: Any) -> api_keys.Grantable:
    """Return what a person may give a key: what the person may do, all as a superuser."""
    scopes = scopes_of_user(user)
    return api_keys.Grantable(scopes, types=("*",) if "registry:operate" in scopes else ())
