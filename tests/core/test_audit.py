"""The audit trail: who did what, when and why, in the transaction of the act."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from core import audit
from core.db.uuid7 import uuid7_at
from core.models import AuditEntry, AuditVerb
from registry import services
from registry.calls.circuits.operator_control import Control, Order, control_circuit
from registry.models import Service, ServiceStatus
from registry.services import Registration
from tests.factories import caller, make_service

ALICE = audit.Actor(kind="USER", name="alice", id="7", reason="A planned change.")

pytestmark = pytest.mark.django_db


def entries(**wanted: Any) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(**wanted).order_by("id"))


def test_act_of_the_hub_itself_leaves_no_entry() -> None:
    services.set_service_status(make_service(), ServiceStatus.OFFLINE)
    assert not entries()


def test_entry_names_who_did_what_to_which_object_and_why() -> None:
    service = make_service("billing")
    with audit.acting(ALICE):
        services.set_service_status(service, ServiceStatus.MAINTENANCE)
    (entry,) = entries()
    assert (entry.actor_kind, entry.actor, entry.actor_id) == ("USER", "alice", "7")
    assert (entry.verb, entry.reason) == ("MAINTENANCE_STARTED", "A planned change.")
    assert (entry.object_type, entry.object_id) == ("service", str(service.pk))
    assert entry.changes == {"status": ["UNKNOWN", "MAINTENANCE"]}


def test_entry_goes_with_the_transaction_of_the_act() -> None:
    service = make_service()
    with audit.acting(ALICE), pytest.raises(ZeroDivisionError), transaction.atomic():
        services.set_service_status(service, ServiceStatus.OFFLINE)
        _ = 1 / 0
    assert not entries()


def test_order_on_a_circuit_is_recorded_with_its_own_reason() -> None:
    service = make_service(urls=("http://a.example:1",))
    order = Order(control=Control.OPEN, actor="alice", reason="It answers rubbish.", seconds=60)
    with audit.acting(ALICE):
        control_circuit(str(service.instances.get().pk), order)
    (entry,) = entries()
    assert (entry.verb, entry.reason) == ("FORCED_OPEN", "It answers rubbish.")
    assert entry.changes["state"] == ["CLOSED", "FORCED_OPEN"]


def test_registration_records_what_is_new_and_what_changed_and_nothing_for_a_refresh() -> None:
    said = Registration(
        name="billing", url="http://a.example:1", fields={"version": "1.0.0"},
        actions=[{"name": "pay", "path": "/pay"}],
    )  # fmt: skip
    with audit.acting(ALICE):
        services.register_service(said)
        services.register_service(said)
        again: dict[str, Any] = {
            "fields": {"version": "1.1.0"},
            "actions": [{"name": "pay", "path": "/pay/v2"}],
        }
        services.register_service(Registration(name="billing", url=said.url, **again))
    created, instance, changed = entries()
    assert (created.object_type, created.verb) == ("service", "CREATED")
    assert (instance.object_type, instance.verb) == ("service_instance", "CREATED")
    assert changed.changes == {
        "version": ["1.0.0", "1.1.0"], "actions.pay.path": ["/pay", "/pay/v2"],
    }  # fmt: skip


def test_deletion_keeps_the_id_and_the_name_of_what_is_gone() -> None:
    service = make_service("billing", urls=("http://a.example:1",))
    instance = service.instances.get()
    with audit.acting(ALICE):
        services.remove_instance(service, str(instance.pk))
        services.unregister_service(service)
    of_instance, of_service = entries()
    assert of_instance.object_id == str(instance.pk)
    assert (of_service.object_name, of_service.object_id) == ("billing", str(service.pk))


@pytest.mark.parametrize("name", ["password", "client_secret", "ciphertext", "access_token"])
def test_secret_is_never_copied_into_an_entry(name: str) -> None:
    with audit.acting(ALICE):
        audit.record(AuditVerb.CHANGED, make_service(), changes={
            name: ["old-hunter2", "new-hunter2"], "metadata": [{}, {name: "deep-hunter2"}],
        })  # fmt: skip
    assert "hunter2" not in str(entries()[0].changes)


def test_long_values_are_cut() -> None:
    long = {"text": "x" * 100_000, "list": ["x" * 900] * 100, "deep": {"a": ["y" * 900] * 100}}
    with audit.acting(ALICE):
        audit.record(AuditVerb.CHANGED, make_service(), changes=long)
    assert len(str(entries()[0].changes)) < 10_000


def test_entry_is_not_changed_afterwards() -> None:
    with audit.acting(ALICE):
        audit.record(AuditVerb.CREATED, make_service())
    (entry,) = entries()
    with pytest.raises(TypeError, match="not changed"):
        entry.save()
    with pytest.raises(TypeError, match="not changed"):
        AuditEntry.objects.update(actor="mallory")


def test_entries_beyond_their_days_are_dropped_and_the_others_kept(settings: Any) -> None:
    settings.AUDIT_HISTORY_DAYS = 30
    now = timezone.now()
    with audit.acting(ALICE):
        audit.record(AuditVerb.CREATED, make_service("new"))
    for days in (31, 400):
        old = uuid7_at(now - timedelta(days=days))
        AuditEntry(
            id=old, actor_kind="USER", actor="bob", verb="CREATED", object_type="service",
            object_id="1", object_name="old",
        ).save(force_insert=True)  # fmt: skip
    assert audit.forget_entries(now=now) == 2
    assert [entry.object_name for entry in entries()] == ["new"]
    settings.AUDIT_HISTORY_DAYS = 0
    assert audit.forget_entries(now=now + timedelta(days=4000)) == 0


def test_unknown_verb_meets_the_check_of_the_database() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        AuditEntry(
            actor_kind="USER", actor="bob", verb="BAKED", object_type="service", object_id="1",
            object_name="cake",
        ).save(force_insert=True)  # fmt: skip


def test_api_says_which_key_acted_and_the_reason_of_the_header() -> None:
    service = make_service("billing")
    client = caller("OPERATOR", name="deploy-bot")
    answer = client.put(
        f"/registry/services/{service.pk}/status", {"status": "maintenance"}, format="json",
        headers={"X-Request-Reason": "Größere Umbauten", "X-Request-ID": "req-1"},
    )  # fmt: skip
    assert answer.status_code == 200
    (entry,) = entries()
    assert (entry.actor_kind, entry.actor) == ("API_KEY", "deploy-bot")
    assert entry.request_id == "req-1"
    services.set_service_status(Service.objects.get(), ServiceStatus.OFFLINE)
    assert len(entries()) == 1, "the request is over"
