"""The credentials that a version reaches: shown on its page, allowed there, and taken back."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from core.admin.base import actor_of, find_or_404
from core.admin.dialogs import back_to, dialog_action, telling_refusals
from core.admin.pages import page_of
from registry.admin.circuit import ReasonForm
from registry.admin.grants import PERMISSION, GrantingMixin, allow_action, grants_shown
from registry.policies.credential_grants import GrantState
from workflows import services
from workflows.models import CredentialGrant, WorkflowVersion


class VersionGrantsMixin(GrantingMixin):
    """The page of a version with what it may use, and the actions `allow` and `withdraw`."""

    change_form_outer_before_template = "console/version_grants.html"

    def summary(self, request: HttpRequest, row: WorkflowVersion) -> dict[str, Any]:
        """Return the credentials that the version reaches."""
        return grants_shown(request, services.lines_of_version(row))

    def hidden_grant_actions(self, object_id: str) -> list[str]:
        """Return which of the actions make no sense for a version as it is."""
        rows = WorkflowVersion.objects.select_related("workflow")
        version = find_or_404(rows, object_id)
        uses = services.uses_of_version(version)
        is_open = not all(use.is_granted for use in uses)
        holds = CredentialGrant.objects.valid().filter(version=version).exists()
        return [*([] if is_open else ["allow"]), *([] if holds else ["withdraw"])]

    @allow_action(
        "Its steps may make the calls that its page lists with the credentials there, with whatever"
        " input an execution has. Executions that go on may too."
    )
    def allow(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        version = find_or_404(WorkflowVersion.objects.select_related("workflow"), object_id)
        with telling_refusals(request):
            granted = services.allow_version(version, actor=actor_of(request))
            messages.success(request, f"Version {version.number}: {len(granted)} allowed.")
            for line in services.lines_of_version(version):
                if line.state != GrantState.GRANTED:
                    messages.warning(request, f"{line.subject}: {line.note}")
        return back_to(page_of(version))

    @dialog_action(
        "Withdraw",
        icon="key_off",
        permission=PERMISSION,
        title="Take back what this version may use?",
        explanation="Its calls with credentials are refused from now on, those of executions that"
        " go on too. Older versions that may use the same are retired.",
        form=ReasonForm,
    )
    def withdraw(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        version = find_or_404(WorkflowVersion.objects.select_related("workflow"), object_id)
        with telling_refusals(request):
            reason = form.cleaned_data["reason"]
            count = services.withdraw_version(version, actor=actor_of(request), reason=reason)
            messages.success(request, f"Version {version.number}: {count} withdrawn.")
        return back_to(page_of(version))
