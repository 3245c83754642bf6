"""Keeps secrets out of Django's error pages and error mails, with DEBUG too."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

# Frames of these modules, and those they call, hold secrets in their variables.
SECRET_MODULES = (
    "core.vault",
    "registry.credentials",
    "registry.calls",
    "registry.network",
    "registry.connections.drivers",
    "registry.api.credentials",
    "registry.admin.credential",
    "workflows.webhooks.signature",
    "model_orchestration.content_store",
    "monitoring.alerts",
    "monitoring.api.checks",
    "monitoring.api.push_views",
    "monitoring.checks.push_tokens",
    "monitoring.checks.pushing",
    "monitoring.admin.alert_forms",
    "integration_site.api.manifests",
    "integration_site.manifests",
)
# Parts of the addresses to which secrets are posted.
_WORDS_OF_SECRET_PAGES = (
    "credential", "alertchannel", "monitoring/channels", "model/connect", "manifests",
)  # fmt: skip
_HIDDEN_VARIABLE = "(not shown: this may hold secrets)"


class SecretKeepingFilter(SafeExceptionReporterFilter):
    """Hides what is marked as sensitive also with DEBUG, and everything of credential requests."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_post_parameters(self, request: HttpRequest | None) -> Any:
        parameters = super().get_post_parameters(request)
        if request is None or not _is_about_credentials(request):
            return parameters
        return dict.fromkeys(parameters, self.cleansed_substitute)

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> Any:
        variables = super().get_traceback_frame_variables(request, tb_frame)
        if (request is not None and _is_about_credentials(request)) or _is_secret(tb_frame):
            return [(name, _HIDDEN_VARIABLE) for name, _ in variables]
        return variables


def _is_about_credentials(request: HttpRequest) -> bool:
    path = request.path.lower()
    return any(word in path for word in _WORDS_OF_SECRET_PAGES)


def _is_secret(frame: Any) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith(SECRET_MODULES):
            return True
        frame = frame.f_back
    return False
