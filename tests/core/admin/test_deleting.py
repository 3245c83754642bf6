"""What may be deleted in the admin goes with all that hangs on it, from its page and from lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, User
from django.db.models import CASCADE, Model
from django.test import Client
from django.utils import timezone

from core.db.models import NamedModel
from integration_site.admin_groups import create_roles
from model_orchestration.models import ModelPrice
from monitoring.checks.subjects import first_state
from monitoring.models import AlertNotice, Incident, StatusSpan, UptimeRollup
from registry.models import (
    CircuitBreakerState,
    CredentialToken,
    IntegrationExecution,
    IntegrationOutcome,
)
from tests import factories
from tests.core.admin import test_audit as acts
from tests.support.alerts import make_delivery
from tests.support.checks import make_check
from tests.support.connections import make_connection
from tests.support.credentials import make_credential
from tests.support.people import in_groups
from workflows.models import CredentialGrant, DeliveryOutcome, WebhookDelivery, WorkflowScheduleRun

pytestmark = [pytest.mark.django_db, pytest.mark.once]
root = acts.root

# What can hang on a row and goes with it, by the relation; rows with names of their own refuse.
PARTS: dict[str, Callable[[Any], object]] = {
    "ServiceInstance.service": lambda row: factories.make_instance(row, "http://127.0.0.1:7"),
    "ServiceAlias.instance": lambda row: row.aliases.create(alias="planning-7"),
    "ServiceAction.service": lambda row: row.actions.create(name="act"),
    "CircuitBreakerState.instance": lambda row: CircuitBreakerState.objects.create(instance=row),
    "CircuitBreakerState.connection": lambda row: CircuitBreakerState.objects.create(
        connection=row
    ),
    "CredentialToken.credential": lambda row: CredentialToken.objects.create(credential=row),
    "IntegrationExecution.integration": lambda row: IntegrationExecution.objects.create(
        integration=row, status=IntegrationOutcome.COMPLETED, started_at=timezone.now()
    ),
    "AlertNotice.channel": lambda row: AlertNotice.objects.create(
        channel=row, incident=_incident(), state="FIRING", told_at=timezone.now()
    ),
    "AlertEscalation.policy": lambda row: row.escalations.create(
        incident=_incident(), level=1, since=timezone.now()
    ),
    "AlertDelivery.channel": make_delivery,
    "ServiceDependency.service": lambda row: row.needs.create(
        depends_on=factories.make_service("base")
    ),
    "ServiceDependency.depends_on": lambda row: row.needed_by.create(
        service=factories.make_service("needy")
    ),
    "CheckState.instance": lambda row: first_state(
        make_check(f"of {row.pk}"), row.pk, now=timezone.now()
    ).save(),
    "CheckState.health_check": lambda row: first_state(row, None, now=timezone.now()).save(),
    "HealthCheckResult.health_check": lambda row: row.results.create(
        checked_at=timezone.now(), outcome="OK"
    ),
    "SloMinute.slo": lambda row: row.minutes.create(starts_at=timezone.now(), good=1, total=1),
    "CallMinute.service": lambda row: row.call_minutes.create(
        action="act", starts_at=timezone.now(), is_good=True, at_most_ms=100, total=1
    ),
    "StatusSpan.service": lambda row: StatusSpan.objects.create(
        service=row, status="ONLINE", started_at=timezone.now()
    ),
    "UptimeRollup.service": lambda row: UptimeRollup.objects.create(
        service=row, period="DAY", starts_at=timezone.now()
    ),
    "MaintenanceOccurrence.window": lambda row: row.occurrences.create(
        starts_at=timezone.now(), ends_at=timezone.now(), planned_at=timezone.now()
    ),
    "ModelPrice.model": lambda row: ModelPrice.objects.create(
        model=row, input=1, valid_from=timezone.now()
    ),
    "CredentialGrant.version": lambda row: CredentialGrant.objects.create(
        version=row, step="a", target_id=uuid4(), credential=make_credential(), granted_by="x"
    ),
    "WebhookDelivery.webhook": lambda row: WebhookDelivery.objects.create(
        webhook=row, outcome=DeliveryOutcome.ACCEPTED
    ),
    "WorkflowScheduleRun.schedule": lambda row: WorkflowScheduleRun.objects.create(
        schedule=row, tick=timezone.now()
    ),
    "WorkflowVersion.workflow": lambda row: row.versions.create(number=1, steps=[]),
    "LogEntry.user": lambda row: LogEntry.objects.create(user=row, action_flag=CHANGE),
}
NOT_OF_OPERATORS = {"ApiKey", "Credential", "User", "Group"}


@pytest.fixture
def operator() -> Client:
    return in_groups("operator")


def _incident() -> Incident:
    return Incident.objects.create(subject="MASS_EXPIRY", cause="x", opened_at=timezone.now())


def hang_everything_on(row: Model) -> None:
    """Make one of everything that goes with a row, and of what goes with that."""
    for relation in row._meta.related_objects:
        kind: Any = relation.related_model
        if relation.on_delete is not CASCADE or issubclass(kind, NamedModel):
            continue
        of_row = kind._default_manager.filter(**{relation.field.name: row})
        if not of_row.exists():
            PARTS[f"{kind.__name__}.{relation.field.name}"](row)
        for part in of_row:
            hang_everything_on(part)


def check_deletion(name: str, page: str, client: Client) -> None:
    kind = dict(acts._admins())[name].model
    row = kind._default_manager.get(pk=acts.ROWS[name]())
    hang_everything_on(row)
    key = str(row.pk)
    if page == "delete":
        url, chosen = acts._url(name, page, key), {}
        asked = client.get(url)
    else:
        url = acts._url(name, page)
        chosen = {"action": "delete_selected", "_selected_action": [key]}
        asked = client.post(url, chosen)
    assert asked.status_code == 200
    assert not asked.context["perms_lacking"]
    assert not asked.context["protected"]
    assert client.post(url, {**chosen, "post": "yes"}).status_code == 302
    assert not kind._default_manager.filter(pk=row.pk).exists()


@pytest.mark.parametrize("page", ["delete", "changelist"])
@pytest.mark.parametrize("name", sorted(acts.ROWS))
def test_superuser_deletes_a_row_with_all_that_hangs_on_it(
    name: str, page: str, root: Client
) -> None:
    check_deletion(name, page, root)


@pytest.mark.parametrize("page", ["delete", "changelist"])
@pytest.mark.parametrize("name", sorted(acts.ROWS.keys() - NOT_OF_OPERATORS))
def test_operator_deletes_a_row_with_all_that_hangs_on_it(
    name: str, page: str, operator: Client
) -> None:
    check_deletion(name, page, operator)


@pytest.mark.parametrize("page", ["delete", "changelist"])
def test_what_is_in_the_way_is_listed_whoever_may_delete_it(page: str, client: Client) -> None:
    create_roles()
    user = User.objects.create_user("sue", is_staff=True)
    user.groups.add(Group.objects.get(name="secret-admin"))
    client.force_login(user)
    credential = make_credential()
    make_connection(name="carrier", credential=credential)
    key = str(credential.pk)
    if page == "delete":
        asked = client.get(acts._url("Credential", page, key))
    else:
        chosen = {"action": "delete_selected", "_selected_action": [key]}
        asked = client.post(acts._url("Credential", page), chosen)
    assert not asked.context["perms_lacking"]
    assert "carrier" in str(asked.context["protected"])
