"""What a service needs and what needs it, for its page in the admin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.utils import timezone

from monitoring.dependencies.learned import read_learned
from monitoring.models import ServiceDependency
from registry.models import Service

register = template.Library()
MOST = 50


@register.inclusion_tag("console/dependency_card.html", takes_context=True)
def dependency_card(context: Mapping[str, Any], service: Service) -> dict[str, Any]:
    """Show what a service needs, and what needs it, each with how it is."""
    user = getattr(context.get("request"), "user", None)
    if user is None or not user.has_perm("monitoring.view_servicedependency"):
        return {}
    rows = ServiceDependency.objects.select_related("service", "depends_on")
    learned = read_learned(now=timezone.now())
    return {
        "service": service,
        "needs": rows.filter(service=service).order_by("depends_on__name")[:MOST],
        "needed_by": rows.filter(depends_on=service).order_by("service__name")[:MOST],
        "calls": [each for each in learned if each.service == service],
        "called_by": [each for each in learned if each.depends_on == service],
        "may_add": user.has_perm("monitoring.add_servicedependency"),
    }
