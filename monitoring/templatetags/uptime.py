"""How a service was, for its page in the admin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.utils import timezone

from monitoring.uptime.board import explain
from registry.models import Service

register = template.Library()


@register.inclusion_tag("console/uptime_card.html", takes_context=True)
def uptime_card(context: Mapping[str, Any], service: Service) -> dict[str, Any]:
    """Show the last 90 days of a service, its figures, and why they are what they are."""
    user = getattr(context.get("request"), "user", None)
    if user is None or not user.has_perm("monitoring.view_statusspan"):
        return {}
    return explain(service, now=timezone.now())
