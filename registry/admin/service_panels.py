"""Panels of a service: its health asked now, and its actions called by hand."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from core import audit
from core.admin.base import actor_of, find_or_404
from core.admin.pages import render_page
from core.admin.views import own_view
from core.api.suspension import once, result_of
from core.exceptions import IntegrationError
from core.models import AuditVerb
from core.roles import CALLS, may
from registry.admin.service_forms import CallForm
from registry.calls.blocking_client import begin_call, begin_probes
from registry.calls.client import CallResult
from registry.calls.headers import call_headers
from registry.calls.targets.resolver import CallTarget
from registry.models import Service
from registry.services.probes import health_url_of

MOST_PROBED = 50


@own_view("<uuid:pk>/probe/", name="service_probe", methods=["GET"])
def probe_view(admin: Any, request: HttpRequest, pk: Any) -> HttpResponse:
    """Ask the health URLs of a service now, and show what they answer; nothing is recorded of it.

    Who may see the service may ask it, as over the API.
    """
    service = _find(admin, request, pk)
    rows = service.instances.order_by("url")[:MOST_PROBED]
    instances = once(request, "probed", lambda: list(rows))
    urls = [health_url_of(instance) for instance in instances]
    probes = result_of(request, "probes", lambda: begin_probes(urls))
    answers = list(zip(instances, probes, strict=True))
    return render_page(
        admin,
        request,
        "console/service_probe.html",
        title=str(service),
        original=service,
        answers=answers,
    )


@own_view("<uuid:pk>/call/", name="service_call")
def call_view(admin: Any, request: HttpRequest, pk: Any) -> HttpResponse:
    """Call an action of a service now, and show what it answers.

    Raises:
        PermissionDenied: this person may not call actions.
    """
    service = _find(admin, request, pk)
    if not may(request.user, CALLS):
        raise PermissionDenied
    posted = request.POST if request.method == "POST" else None
    form = CallForm(service, posted, initial={"action": request.GET.get("action", "")})
    shown = _call(request, service, form) if form.is_valid() else {}
    shown["service_actions"] = list(service.actions.order_by("name"))
    shown |= {"original": service, "form": form}
    return render_page(admin, request, "console/service_call.html", title=str(service), **shown)


def _find(admin: Any, request: HttpRequest, pk: Any) -> Service:
    service = find_or_404(Service.objects.all(), str(pk))
    if not admin.has_view_permission(request, service):
        raise PermissionDenied
    return service


def _call(request: HttpRequest, service: Service, form: CallForm) -> dict[str, Any]:
    fields = form.cleaned_data
    started = once(request, "started", time.perf_counter)

    def begin() -> Future[CallResult]:
        audit.record_use(AuditVerb.CALLED, service, changes={"action": fields["action"]})
        return begin_call(
            CallTarget("service", service.name),
            fields["action"],
            fields["input_data"],
            headers=call_headers({}),
            timeout_seconds=fields["timeout"],
            actor=actor_of(request),
        )

    try:
        result = result_of(request, "call", begin)
    except IntegrationError as error:
        return {"called": fields["action"], "failure": error}
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    return {"called": fields["action"], "result": result, "took_ms": milliseconds}
