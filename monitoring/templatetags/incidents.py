"""The incidents that are open now, for the top of every page of the admin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.db.models import Q

from monitoring.models import Incident, IncidentStatus, Severity

register = template.Library()
MOST = 3


@register.inclusion_tag("console/incident_banner.html", takes_context=True)
def incident_banner(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the urgent incidents for who may see them: those of the hub, then the latest."""
    request = context.get("request")
    user = getattr(request, "user", None)
    if user is None or not user.has_perm("monitoring.view_incident"):
        return {"incidents": [], "has_more": False}
    # Who sees to a service knows; what the whole fleet suffers from concerns everybody.
    urgent = Incident.objects.unresolved().filter(severity=Severity.CRITICAL)
    urgent = urgent.filter(Q(status=IncidentStatus.OPEN) | Q(about=""))
    shown = list(urgent.order_by("about", "-opened_at")[: MOST + 1])
    return {
        "incidents": shown[:MOST],
        "has_more": len(shown) > MOST,
        "may_decide": user.has_perm("monitoring.change_incident"),
        "csrf_token": context.get("csrf_token"),
    }
