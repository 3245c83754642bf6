"""How fast a service or a check answered, for its page in the admin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.utils import timezone

from monitoring.models import HealthCheck
from monitoring.uptime.happenings import read_happenings
from monitoring.uptime.response_chart import chart_of
from monitoring.uptime.response_times import (
    CHECK_WINDOWS,
    RESPONSE_WINDOWS,
    times_of_check,
    times_of_service,
)
from registry.models import Service

register = template.Library()


@register.inclusion_tag("console/response_card.html", takes_context=True)
def response_card(context: Mapping[str, Any], row: Service | HealthCheck) -> dict[str, Any]:
    """Show how fast a service or a check answered, and what happened meanwhile."""
    request = context.get("request")
    user = getattr(request, "user", None)
    if request is None or user is None or not user.has_perm("monitoring.view_healthcheck"):
        return {}
    is_check = isinstance(row, HealthCheck)
    offered = CHECK_WINDOWS if is_check else tuple(RESPONSE_WINDOWS)
    asked = request.GET.get("response_times", "24h")
    window, now = asked if asked in offered else "24h", timezone.now()
    if isinstance(row, HealthCheck):
        times, service = times_of_check(row, window, now=now), row.service
    else:
        times, service = times_of_service(row, window, now=now), row
    may_see = user.has_perm("monitoring.view_incident")
    found = read_happenings(service, times.since, times.until) if service and may_see else []
    return {"times": times, "offered": offered, **chart_of(times, found)}
