"""A row of each resource for the matrix to ask about, made anew where an effect ended it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from core.models import AuditEntry
from core.roles import SCOPES
from core.vault import Secret
from model_orchestration.models import ModelFeedback, ProviderQuota, Request
from model_orchestration.models.content import ContentKept, RequestContent
from monitoring.models import AlertChannel, Incident, ServiceDependency
from monitoring.models.incident import Subject
from registry.credentials.sealing import hold_parts
from registry.models import CircuitBreakerState, Connection, Service
from tests import factories
from tests.security.world import ALLOWED, Caller
from tests.support.alerts import make_delivery
from tests.support.connections import make_connection
from tests.support.resources import RESOURCES, Resource

NAME = "of-somebody"


class Rows:
    """Gives the name of a row for a place of a path; "nothing" where there can be none."""

    def __init__(self, caller: Caller) -> None:
        text = factories.make_key(name="maker-of-rows", scopes=sorted(SCOPES))[1]
        self._caller, self._headers = caller, {"Authorization": f"Bearer {text}"}
        # What a model and a route go with, where the hub may call.
        make_connection(name="provider", base_url=f"http://{ALLOWED}:9")
        self._resources = {_place_of(resource): resource for resource in RESOURCES}
        self._resources["window"] = self._resources.pop("maintenance")
        self._resources["policy"] = self._resources.pop("escalation")

    def name(self, place: str) -> str:
        """Return what stands in a place of a path."""
        if place in self._resources:
            resource = self._resources[place]
            name = f"{NAME}-{place}"  # models and routes share their names
            if not resource.model._default_manager.filter(name=name).exists():
                resource.make(self, name)  # type: ignore[arg-type]
            return name
        return str(_OTHERS[place](self)) if place in _OTHERS else "nothing"

    def patch(self, path: str, fields: dict[str, Any]) -> None:
        """Change a row."""
        answer = self._caller.send("PATCH", path, headers=self._headers, json=fields)
        assert answer.status_code < 300, answer.text

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send what makes a row, where the hub may call."""
        content = json.dumps(body, cls=DjangoJSONEncoder).replace("127.0.0.1", ALLOWED).encode()
        headers = self._headers | {"Content-Type": "application/json"}
        return self._caller.send("POST", path, headers=headers, content=content)


def _place_of(resource: Resource) -> str:
    plural = resource.path.rpartition("/")[2].replace("-", "_")
    return re.sub("ies$", "y", plural) if plural.endswith("ies") else plural.removesuffix("s")


def _delivery(rows: Rows) -> Any:
    channel = AlertChannel.objects.get(name=rows.name("channel"))
    return (channel.deliveries.first() or make_delivery(channel)).pk


def _entry(_: Rows) -> Any:
    found = AuditEntry.objects.filter(verb="CREATED").first()
    return found.pk if found is not None else "nothing"


def _incident(_: Rows) -> Any:
    found = Incident.objects.first()
    given = {"subject": Subject.values[0], "cause": "Of somebody.", "opened_at": timezone.now()}
    return (found or Incident.objects.create(dedup_key=NAME, **given)).pk


def _dependency(_: Rows) -> Any:
    found = ServiceDependency.objects.first()
    if found is None:
        needing, needed = (
            Service.objects.get_or_create(name=f"{NAME}-{word}")[0]
            for word in ("needing", "needed")
        )
        found = ServiceDependency.objects.create(service=needing, depends_on=needed)
    return found.pk


def _breaker(_: Rows) -> Any:
    provider = Connection.objects.get(name="provider")
    return CircuitBreakerState.objects.get_or_create(connection=provider)[0].pk


def _request(_: Rows) -> Any:
    given = {"request_type": "CHAT", "model_id": NAME, "model_asked": NAME, "provider": "OPENAI"}
    key = Request.objects.get_or_create(request_id=NAME, defaults=given)[0].pk
    if not RequestContent.objects.filter(pk=key).exists():
        end = timezone.now() + timedelta(days=1)
        content = RequestContent(id=key, keeps=ContentKept.FULL, expires_at=end)
        hold_parts(content, {"question": Secret('"Why?"'), "answer": Secret('"So."')})
        content.save()
    return key


def _feedback(_: Rows) -> Any:
    return ModelFeedback.objects.get_or_create(request_id=NAME, model_id=NAME)[0].pk


def _quota(_: Rows) -> Any:
    return ProviderQuota.objects.get_or_create(provider="OPENAI")[0].provider


_OTHERS: dict[str, Callable[[Rows], Any]] = {
    "delivery": _delivery,
    "entry": _entry,
    "incident": _incident,
    "dependency": _dependency,
    "breaker": _breaker,
    "request": _request,
    "feedback": _feedback,
    "quota": _quota,
}
