"""The incidents that are open now, for the top of every page of the admin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template

from monitoring.models import Incident

register = template.Library()
MOST = 3


@register.inclusion_tag("console/incident_banner.html", takes_context=True)
def incident_banner(context: Mapping[str, Any]) -> dict[str, Any]:
    """The unresolved incidents, for those who may see them."""
    request = context.get("request")
    user = getattr(request, "user", None)
    if user is None or not user.has_perm("monitoring.view_incident"):
        return {"incidents": []}
    return {
        "incidents": list(Incident.objects.unresolved().order_by("opened_at")[:MOST]),
        "may_decide": user.has_perm("monitoring.change_incident"),
        "csrf_token": context.get("csrf_token"),
    }
