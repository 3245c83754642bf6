"""What is wrong becomes an incident, once, and ends with it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone

from model_orchestration import catalog
from model_orchestration.models import ModelBudget, QuotaWindow
from model_orchestration.periods import day_of
from monitoring import findings
from monitoring.findings import MOST_APART, sources
from monitoring.handling import acknowledge_incident
from monitoring.incidents import REOPENED_WITHIN, watch_fleet
from monitoring.models import AlertChannel, CheckState, Incident, Slo, SloMinute, Subject
from registry.models import CircuitBreakerState, Connection, Credential, Service, ServiceInstance
from registry.services import refresh_status
from tests import factories
from tests.support.alerts import make_channel
from tests.support.checks import make_check
from tests.support.connections import make_connection
from tests.support.credentials import make_credential
from workflows.models import (
    Worker,
    WorkflowExecution,
    WorkflowSchedule,
    WorkflowScheduleRun,
    WorkflowStep,
)
from workflows.services import create_schedule

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def make_services(*names: str) -> list[Service]:
    return [factories.make_service(name, urls=(f"http://{name}.example",)) for name in names]


def silence(*names: str, now: datetime = NOW) -> None:
    rows = ServiceInstance.objects.filter(service__name__in=names)
    rows.update(status="OFFLINE", expired_at=now)
    refresh_all(*names)


def revive(*names: str) -> None:
    rows = ServiceInstance.objects.filter(service__name__in=names)
    later = NOW + timedelta(days=1)
    rows.update(status="ONLINE", expired_at=None, expires_at=later)
    refresh_all(*names)


def refresh_all(*names: str) -> None:
    for service in Service.objects.filter(name__in=names):
        refresh_status(service)


def unresolved() -> list[tuple[str, str, str]]:
    rows = Incident.objects.unresolved().order_by("about")
    return [(str(each.subject), each.about, str(each.severity)) for each in rows]


def test_a_service_that_falls_silent_is_an_incident_until_it_is_back() -> None:
    make_services("billing", "mail")
    silence("billing")
    for _ in range(2):
        watch_fleet(now=NOW)
    assert unresolved() == [("SERVICE_DOWN", "billing", "CRITICAL")]
    incident = Incident.objects.get()
    assert incident.service == Service.objects.get(name="billing")
    assert incident.cause.startswith("Every instance fell silent, the last at ")
    revive("billing")
    watch_fleet(now=NOW + timedelta(seconds=5))
    incident.refresh_from_db()
    assert (incident.status, incident.resolved_by) == ("RESOLVED", "")


def test_one_that_signed_off_or_is_under_maintenance_is_not_down() -> None:
    make_services("gone", "kept")
    ServiceInstance.objects.filter(service__name="gone").update(status="OFFLINE")
    silence("kept")
    Service.objects.filter(name="kept").update(maintenance_since=NOW)
    refresh_all("gone", "kept")
    watch_fleet(now=NOW)
    assert unresolved() == []


def test_what_comes_back_soon_is_the_same_outage_and_later_another() -> None:
    make_services("billing")
    moments = [NOW, NOW + timedelta(minutes=2), NOW + timedelta(hours=1)]
    for moment in moments:
        silence("billing", now=moment)
        watch_fleet(now=moment)
        revive("billing")
        watch_fleet(now=moment + timedelta(seconds=30))
    counts = list(Incident.objects.order_by("id").values_list("reopened_count", flat=True))
    assert moments[1] - moments[0] < REOPENED_WITHIN < moments[2] - moments[1]
    assert counts == [1, 0]


def test_somebody_who_sees_to_it_still_does_when_it_comes_back() -> None:
    make_services("billing")
    silence("billing")
    watch_fleet(now=NOW)
    acknowledge_incident(Incident.objects.get(), actor="ann")
    revive("billing")
    watch_fleet(now=NOW + timedelta(seconds=5))
    silence("billing", now=NOW + timedelta(seconds=9))
    watch_fleet(now=NOW + timedelta(seconds=10))
    incident = Incident.objects.get()
    assert (incident.status, incident.acknowledged_by) == ("ACKNOWLEDGED", "ann")


def test_many_services_are_one_incident() -> None:
    names = [f"s{number:03}" for number in range(MOST_APART + 10)]
    make_services(*names)
    silence("s000")
    watch_fleet(now=NOW)
    silence(*names)
    watch_fleet(now=NOW + timedelta(seconds=5))
    together = f"{MOST_APART + 9} services"
    assert unresolved() == [
        ("SERVICE_DOWN", together, "CRITICAL"),
        ("SERVICE_DOWN", "s000", "CRITICAL"),
    ]
    cause = Incident.objects.get(about=together).cause
    assert cause.endswith(f"s001, s002, s003, s004, s005 and {MOST_APART + 4} more.")


def degraded() -> None:
    make_services("billing")
    ServiceInstance.objects.update(
        status="DEGRADED", unhealthy_since=NOW, probe_error="answered 503"
    )
    refresh_status(Service.objects.get())


def circuit() -> None:
    make_services("billing")
    instance = ServiceInstance.objects.get()
    CircuitBreakerState.objects.create(instance=instance, state="OPEN", cause="5 of 6 failed")


def connection() -> None:
    make_connection(name="bank", criticality="CRITICAL")
    Connection.objects.update(status="ERROR", last_error="It refused the key.")


def credential(**after: float) -> None:
    make_credential(name="bank-key")
    Credential.objects.update(expires_at=NOW + timedelta(**after))


def schedule() -> None:
    workflow = factories.make_workflow("flow")
    nightly = create_schedule({"name": "nightly", "workflow": workflow, "cron": "0 9 * * *"})
    for hours, status in ((2, "COMPLETED"), (1, "FAILED")):
        run = factories.make_execution(workflow, status=status)
        tick = NOW - timedelta(hours=hours)
        nightly.runs.create(tick=tick, outcome="STARTED", execution=run)


def review() -> None:
    factories.make_execution(factories.make_workflow("flow"), status="NEEDS_REVIEW")


def worker() -> None:
    Worker.objects.create(name="w1@host", seen_at=NOW - timedelta(minutes=1))


def step(**columns: Any) -> None:
    Worker.objects.create(name="w1@host", seen_at=NOW)
    execution = factories.make_execution(factories.make_workflow("flow"), status="RUNNING")
    execution.steps.update(**columns)


def check(conditions: Any = None, **columns: Any) -> None:
    CheckState.objects.filter(health_check=make_check("shop", conditions=conditions or {})).update(
        **columns
    )


def objective() -> None:
    slo = Slo.objects.create(name="well", service=factories.make_service("shop"))
    SloMinute.objects.create(slo=slo, starts_at=NOW - timedelta(minutes=2), good=20, total=40)


def model_budget() -> None:
    window = day_of("ALL:", "UTC", NOW)
    QuotaWindow.objects.create(
        pk=window.id, series=window.series, starts_at=window.starts_at, ends_at=window.ends_at,
        used_requests=8,
    )  # fmt: skip
    ModelBudget.objects.create(name="all", scope="ALL", period="DAY", request_limit=10)
    catalog.forget()


EACH = [
    ("CHECK_FAILING", "shop", "CRITICAL", "answered 503",
     lambda: check(state="DOWN", down_since=NOW, error="answered 503")),
    ("CHECK_FLAPPING", "shop", "WARNING", "up and down",
     lambda: check(state="DOWN", down_since=NOW, flapping=True)),
    ("CERTIFICATE_EXPIRY", "shop", "WARNING", "in less than 14 days",
     lambda: check(certificate_expires_at=NOW + timedelta(days=13))),
    ("CERTIFICATE_EXPIRY", "shop", "CRITICAL", "Its certificate ended",
     lambda: check(certificate_expires_at=NOW - timedelta(days=1))),
    ("CHECKS_BLIND", "", "CRITICAL", "1 check could not tell",
     lambda: check(outcome="INCONCLUSIVE", error_kind="DNS")),
    ("SERVICE_DEGRADED", "billing", "WARNING", "answered 503", degraded),
    ("CIRCUIT_OPEN", "billing", "WARNING", "5 of 6 failed", circuit),
    ("CONNECTION_ERROR", "bank", "CRITICAL", "refused the key", connection),
    ("CREDENTIAL_EXPIRY", "bank-key", "WARNING", "It ends on", lambda: credential(days=3)),
    ("CREDENTIAL_EXPIRY", "bank-key", "CRITICAL", "It ended on", lambda: credential(days=-1)),
    ("SCHEDULE_FAILED", "nightly", "CRITICAL", "failed: execution", schedule),
    ("NEEDS_REVIEW", "flow", "WARNING", "1 execution waits for a person", review),
    ("NO_WORKER", "", "CRITICAL", "w1@host", worker),
    ("BACKLOG", "", "WARNING", "more than 1 minute,",
     lambda: step(status="PENDING", wake_at=NOW - timedelta(minutes=2))),
    ("BACKLOG", "", "CRITICAL", "more than 10 minutes",
     lambda: step(status="WAITING", wake_at=NOW - timedelta(minutes=11))),
    ("EXECUTIONS_STUCK", "flow", "CRITICAL", "1 execution is held",
     lambda: step(status="RUNNING", lease_until=NOW - timedelta(minutes=3))),
    ("BUDGET_BURNING", "well", "CRITICAL", "20 of 40 looks at shop", objective),
    ("MODEL_BUDGET", "all", "WARNING", "80 % of its requests is used", model_budget),
    ("CHANNEL_FAILING", "on-call", "CRITICAL", "It answered 404",
     lambda: make_channel(failures=5, last_error="It answered 404.")),
]  # fmt: skip


# What the trouble of each hangs on.
TROUBLED: tuple[Any, ...] = (
    CheckState, Slo, CircuitBreakerState, WorkflowScheduleRun, Worker, Service, Connection,
    Credential, ModelBudget, AlertChannel,
)  # fmt: skip


@pytest.mark.parametrize(("subject", "about", "severity", "cause", "make"), EACH)
def test_each_kind_of_trouble(
    subject: str, about: str, severity: str, cause: str, make: Any
) -> None:
    make()
    watch_fleet(now=NOW)
    assert unresolved() == [(subject, about, severity)]
    assert cause in Incident.objects.get().cause
    for model in TROUBLED:
        model.objects.all().delete()
    WorkflowStep.objects.update(status="COMPLETED", wake_at=None, lease_until=None)
    WorkflowExecution.objects.update(status="COMPLETED")
    catalog.forget()
    watch_fleet(now=NOW + timedelta(seconds=5))
    assert unresolved() == []


def test_every_subject_has_a_source_and_a_test() -> None:
    assert {source.subject for source in sources} == set(Subject) - {Subject.MANUAL}
    elsewhere = {"MASS_EXPIRY", "DISCOVERY_BACKEND", "SERVICE_DOWN", "MANUAL"}
    assert {each[0] for each in EACH} | elsewhere == set(Subject.values)


def test_a_schedule_whose_run_nobody_started_is_late_until_it_is_decided_on() -> None:
    workflow = factories.make_workflow("flow")
    nightly = create_schedule({"name": "nightly", "workflow": workflow, "cron": "0 9 * * *"})
    for minutes, found in ((4, []), (6, [("SCHEDULE_FAILED", "nightly", "CRITICAL")]), (-60, [])):
        due = NOW - timedelta(minutes=minutes)
        type(nightly).objects.filter(pk=nightly.pk).update(next_run_at=due)
        watch_fleet(now=NOW)
        assert unresolved() == found
    assert "is late: it was not started" in Incident.objects.get().cause


def test_a_schedule_whose_next_run_goes_well_is_well_again() -> None:
    schedule()
    watch_fleet(now=NOW)
    nightly = WorkflowSchedule.objects.get()
    run = factories.make_execution(nightly.workflow, status="COMPLETED")
    nightly.runs.create(tick=NOW, outcome="STARTED", execution=run)
    watch_fleet(now=NOW + timedelta(seconds=5))
    assert unresolved() == []


def test_one_that_becomes_worse_is_nobodys_again() -> None:
    credential(days=3)
    watch_fleet(now=NOW)
    acknowledge_incident(Incident.objects.get(), actor="ann")
    watch_fleet(now=NOW + timedelta(days=4))
    incident = Incident.objects.get()
    assert (incident.status, incident.severity) == ("OPEN", "CRITICAL")


def test_a_source_that_cannot_be_asked_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make_services("billing")
    silence("billing")
    watch_fleet(now=NOW)

    def fail(*_: Any) -> Any:
        raise DatabaseError("gone away")

    broken = [findings.Source(each.subject, fail, each.ended) for each in sources]
    monkeypatch.setattr("monitoring.incidents.sources", broken)
    watch_fleet(now=NOW + timedelta(seconds=5))
    assert unresolved() == [("SERVICE_DOWN", "billing", "CRITICAL")]


def test_a_quiet_sweep_asks_for_all_kinds_at_once(django_assert_num_queries: Any) -> None:
    make_services("billing")
    always = [each for each in sources if not each.sign]
    assert [str(each.subject) for each in always] == ["NO_WORKER", "MODEL_BUDGET"]
    Worker.objects.create(name="w1@host", seen_at=NOW)
    watch_fleet(now=NOW)  # reads the budgets, which are kept for a while
    with django_assert_num_queries(3):
        watch_fleet(now=NOW)
