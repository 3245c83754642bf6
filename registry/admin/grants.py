"""Uses of credentials: on the pages of what makes them, and on those of what they lead to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from core.admin.base import actor_of, find_or_404
from core.admin.dialogs import dialog_action, telling_refusals
from core.admin.pages import page_of
from core.admin.views import own_view
from core.models.audit import MAX_REASON
from registry.admin.credential import may_use_credentials
from registry.credentials.dependants import (
    GrantChoice,
    GrantsUnanswered,
    dependants_of,
    mark_of,
)
from registry.policies.credential_grants import GrantLine, GrantState

# The name of the permission as `permissions` of an action name it.
PERMISSION = "use_credentials"
MOST_TOLD = 20
MOST_SHOWN = 50


class GrantingMixin:
    """Pages with the action `allow`, which only who may use credentials is shown."""

    def has_use_credentials_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may let something use credentials, as over the API."""
        return may_use_credentials(request)


def allow_action(explanation: str) -> Any:
    """Make a method the action that allows what is not granted."""
    return dialog_action(
        "Allow",
        icon="key",
        permission=PERMISSION,
        title="Let it use these credentials?",
        explanation=explanation,
    )


def tell_awaiting(request: HttpRequest, row: Any) -> None:
    """Say on the next page what calls a row and waits for the credential that was linked to it."""
    awaiting = getattr(row, "awaiting_grant", None) or []
    if awaiting:
        more = f" and {len(awaiting) - MOST_TOLD} more" if len(awaiting) > MOST_TOLD else ""
        messages.warning(
            request,
            f"{row}: {', '.join(awaiting[:MOST_TOLD])}{more} may not use the credential yet and"
            " will be refused. Allow that on the page of each.",
        )


def are_complete(lines: Sequence[GrantLine]) -> bool:
    """Return whether each use is granted."""
    return all(line.state == GrantState.GRANTED for line in lines)


def grants_shown(request: HttpRequest, lines: Sequence[GrantLine]) -> dict[str, Any]:
    """Return what `console/grants.html` shows."""
    return {
        "grant_lines": lines,
        "grants_complete": are_complete(lines),
        "may_use_credentials": may_use_credentials(request),
    }


# --- What uses the credential of a row ---


class CredentialUsersMixin(GrantingMixin):
    """Pages of what leads to a credential: with what uses that, allowed and withdrawn one by one.

    Who links one is asked in the form which of what calls the row already may use it.
    """

    change_form_before_template = "console/grant_question.html"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        refusal = getattr(request, "refusal", None)
        if isinstance(refusal, GrantsUnanswered):
            asked = {"asked": refusal.dependants, "asked_mark": mark_of(refusal.dependants)}
            context = {**context, **asked}
        return super().render_change_form(request, context, *args, **kwargs)  # type: ignore[misc]


def choice_of(request: HttpRequest) -> GrantChoice:
    """Return what a form says to the question which of what calls a row may use its credential."""
    return GrantChoice(
        keys=frozenset(request.POST.getlist("may_use")),
        answers=request.POST.get("asked_mark", ""),
    )


def users_shown(request: HttpRequest, row: Any) -> dict[str, Any]:
    """Return what `console/credential_users.html` shows of what uses the credential of a row."""
    users = list(islice(dependants_of(row), MOST_SHOWN + 1))
    return {
        "credential_users": [(each, page_of(each.row)) for each in users[:MOST_SHOWN]],
        "more_users": len(users) > MOST_SHOWN,
        "may_use_credentials": may_use_credentials(request),
    }


class UseDecision(forms.Form):
    """What a button beside a use of a credential asks for."""

    key = forms.CharField(max_length=100)
    decision = forms.ChoiceField(choices=[("allow", "Allow"), ("withdraw", "Withdraw")])
    reason = forms.CharField(max_length=MAX_REASON, required=False)


def use_view(name: str) -> Any:
    """Return the view of an admin that allows one use of the credential of a row, or ends it."""

    @own_view("<str:object_id>/use", name=name, methods=["POST"], permissions=["use_credentials"])
    def use(admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        row = find_or_404(admin.model._default_manager.all(), object_id)
        form = UseDecision(request.POST)
        with telling_refusals(request):
            if form.is_valid():
                _decide(request, row, **form.cleaned_data)
            else:
                messages.error(request, "Say of what uses the credential whether it may.")
        return HttpResponseRedirect(page_of(row))

    return use


def _decide(request: HttpRequest, row: Any, *, key: str, decision: str, reason: str) -> None:
    found = next((each for each in dependants_of(row) if each.key == key), None)
    if found is None:
        messages.error(request, f"{row}: that does not use its credential any more.")
    elif decision == "allow":
        found.grant(actor_of(request))
        messages.success(request, f"{row}: the {found.title} may use its credential.")
    elif found.withdraw is None:
        messages.error(request, f"{row}: the {found.title} was not allowed it.")
    else:
        found.withdraw(actor_of(request), reason)
        messages.success(request, f"{row}: withdrawn from the {found.title}.")
