"""Registrations in the admin: a person accepts or refuses what waits, and is held to the rules."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from core.admin.base import HubAdmin, actor_of, find_or_404, run_on_one
from core.admin.dialogs import back_to, dialog_action
from core.admin.pages import page_of
from core.models.audit import MAX_REASON
from core.roles import may
from registry import services
from registry.models import Service
from registry.policies.registering import Acceptance, Registrant
from registry.services.acceptance import registrant_with

OPERATE = "registry:operate"


def registrant_of(request: HttpRequest) -> Registrant:
    """Return the person as who registers and changes services."""
    return registrant_with(actor_of(request), partial(may, request.user))


class DecisionForm(BaseDialogForm):
    """Why."""

    reason = forms.CharField(
        required=False,
        max_length=MAX_REASON,
        widget=UnfoldAdminTextInputWidget,
        help_text="Kept in the audit trail for those who ask later.",
    )


class AcceptanceMixin(HubAdmin):
    """Two actions on the page of a service that waits, or was refused."""

    def has_operate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may accept registrations, as over the API."""
        return may(request.user, OPERATE)

    def hidden_actions(self, request: HttpRequest, object_id: str) -> tuple[str, ...]:
        acceptance = (
            Service.objects.filter(pk=object_id).values_list("acceptance", flat=True).first()
        )
        usual = tuple(super().hidden_actions(request, object_id))
        if acceptance == Acceptance.PENDING:
            return usual
        return (
            (*usual, "refuse") if acceptance == Acceptance.REFUSED else (*usual, "accept", "refuse")
        )

    @dialog_action(
        "Accept",
        icon="check",
        title="Accept this service?",
        explanation="It is discovered and called from now on, also by its type.",
        form=DecisionForm,
        permission="operate",
    )
    def accept(self, request: HttpRequest, form: DecisionForm, object_id: str) -> HttpResponse:
        return self._decide(request, form, object_id, services.accept_service, done="accepted")

    @dialog_action(
        "Refuse",
        icon="block",
        title="Refuse this service?",
        explanation="It is not called, and what it registers and beats is refused, until somebody"
        " accepts it after all or deletes it.",
        form=DecisionForm,
        permission="operate",
    )
    def refuse(self, request: HttpRequest, form: DecisionForm, object_id: str) -> HttpResponse:
        return self._decide(request, form, object_id, services.refuse_service, done="refused")

    def _decide(
        self, request: HttpRequest, form: DecisionForm, object_id: str, act: Any, *, done: str
    ) -> HttpResponse:
        row = find_or_404(Service.objects.all(), object_id)
        run_on_one(request, row, partial(act, reason=form.cleaned_data["reason"]), done=done)
        return back_to(page_of(row))
