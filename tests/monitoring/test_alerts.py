"""From an incident to a message that arrives: the outbox, with a real receiver."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from monitoring import tasks
from monitoring.alerts import outbox
from monitoring.alerts.channels import update_channel
from monitoring.alerts.outbox import BackgroundSender, claim_due, message_of, record_outcome
from monitoring.alerts.sending import send_message
from monitoring.alerts.telling import Teller, tell_channels
from monitoring.findings import Finding
from monitoring.handling import acknowledge_incident
from monitoring.incidents import open_incidents, resolve_incident, watch_fleet
from monitoring.models import AlertChannel, AlertDelivery, AlertNotice, Incident, Severity, Subject
from registry.models import Service, ServiceInstance
from tests import factories
from tests.support.alerts import KEY, Receiver, make_channel, make_delivery, receiver

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def taken(shared_client: Any) -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def open_one(about: str = "billing", key: str = "1", **fields: Any) -> Incident:
    finding = Finding(Subject.SERVICE_DOWN, "It fell silent.", about=about, key=key, **fields)
    open_incidents([finding], now=NOW)
    return Incident.objects.get(dedup_key=finding.dedup_key)


def send_all(**after: float) -> list[str]:
    """Tell and send as the sweep does, at a time, in this thread; the states of what was tried."""
    now = NOW + timedelta(**after)
    tell_channels(now=now)
    rows = claim_due(now=now, limit=50)
    for row in rows:
        record_outcome(row, send_message(row.channel, message_of(row)), now=now)
        row.refresh_from_db()
    return [str(row.state) for row in rows]


def test_an_outage_is_told_once_and_so_is_its_end(taken: Receiver) -> None:
    make_channel(url=taken.url + "/hook")
    incident = open_one()
    assert send_all() == ["SENT"]
    assert send_all(seconds=2) == []
    resolve_incident(incident, "It beats again.", now=NOW + timedelta(minutes=20))
    assert send_all(minutes=20) == ["SENT"]
    assert send_all(hours=9) == []
    kinds = [(path, body["type"], body["title"]) for path, _, body in taken.messages]
    assert kinds == [
        ("/hook", "alert.firing", "Critical: Service down: billing"),
        ("/hook", "alert.resolved", "Resolved: Service down: billing"),
    ]
    told = taken.messages[1][2]["incidents"][0]
    assert (told["about"], told["status"]) == ("billing", "RESOLVED")
    assert "ended after 20 min" in taken.messages[1][2]["text"]


def test_where_nothing_is_new_channels_are_looked_at_every_five_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[Any] = []
    monkeypatch.setattr("monitoring.alerts.telling.tell_channels", lambda *, now: looks.append(now))
    seconds = 0.0
    teller = Teller(clock=lambda: seconds)
    channel = make_channel()

    def looks_now(now: Any) -> bool:
        looks.clear()
        teller.tell_due(now=now)
        return bool(looks)

    now = timezone.now()
    later = now + timedelta(minutes=10)
    assert not looks_now(now)
    incident = open_one()
    assert looks_now(now)
    assert looks_now(now)  # it is news
    assert not looks_now(later)
    seconds = 5.0
    assert looks_now(later)
    assert not looks_now(later)
    AlertNotice.objects.create(channel=channel, incident=incident, state="FIRING", told_at=now)
    resolve_incident(incident, "It beats again.", now=later)
    assert looks_now(later)  # who was told is to hear that it ended


def test_messages_are_signed_as_standard_webhooks_says(taken: Receiver) -> None:
    make_channel(url=taken.url)
    open_one()
    send_all()
    _, headers, body = taken.messages[0]
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{text}".encode()
    key = base64.b64decode(KEY.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["idempotency-key"] == headers["webhook-id"] == body["id"]


def test_a_receiver_that_is_away_is_tried_until_it_is_back(taken: Receiver) -> None:
    make_channel(url=taken.url)
    taken.answers = [503, 429]
    open_one()
    assert [send_all(minutes=minute) for minute in (0, 1, 2)] == [
        ["PENDING"],
        ["PENDING"],
        ["SENT"],
    ]
    delivery = AlertDelivery.objects.get()
    assert (delivery.attempts, delivery.status_code) == (3, 200)
    assert len({headers["idempotency-key"] for _, headers, _ in taken.messages}) == 1
    assert AlertChannel.objects.get().failures == 0


def test_what_is_refused_for_good_is_given_up_and_sent_again_by_hand(taken: Receiver) -> None:
    api = factories.caller()
    make_channel(url=taken.url)
    taken.answers = [404]
    open_one()
    assert send_all() == ["DEAD"]
    listed = api.get("/monitoring/deliveries?state=dead&channel=on-call").json()["items"]
    assert [(each["state"], each["status_code"]) for each in listed] == [("DEAD", 404)]
    channel = api.get("/monitoring/channels/on-call").json()
    assert (channel["status"], channel["failures"]) == ("ERROR", 1)
    retried = api.post(f"/monitoring/deliveries/{listed[0]['id']}/retry")
    assert (retried.status_code, retried.json()["state"]) == (200, "PENDING")
    assert api.post(f"/monitoring/deliveries/{listed[0]['id']}/retry").status_code == 409
    assert send_all(hours=1) == ["SENT"]


def test_nobody_is_told_for_longer_than_a_day(taken: Receiver) -> None:
    make_channel(url=taken.url)
    taken.answers = [503, 503]
    open_one()
    assert send_all() == ["PENDING"]
    assert send_all(hours=25)[0] == "DEAD"


def test_the_end_is_not_told_before_the_beginning(taken: Receiver) -> None:
    make_channel(url=taken.url)
    taken.answers = [503]
    incident = open_one()
    send_all()
    AlertDelivery.objects.update(next_attempt_at=NOW + timedelta(minutes=9))
    resolve_incident(incident, "", now=NOW)
    assert send_all(minutes=6) == []
    assert send_all(minutes=9) == ["SENT"]
    assert send_all(minutes=9) == ["SENT"]
    assert [body["type"] for *_, body in taken.messages[1:]] == ["alert.firing", "alert.resolved"]


def test_a_process_that_dies_while_sending_loses_nothing(taken: Receiver) -> None:
    make_channel(url=taken.url)
    open_one()
    tell_channels(now=NOW)
    (row,) = claim_due(now=NOW, limit=5)
    assert claim_due(now=NOW + timedelta(seconds=59), limit=5) == []
    (again,) = claim_due(now=NOW + timedelta(seconds=61), limit=5)
    assert again.pk == row.pk
    late = send_message(row.channel, message_of(row))
    record_outcome(row, late, now=NOW)  # by who claimed it first
    assert AlertDelivery.objects.get().state == "SENDING"


def test_filters_silence_and_the_switch(taken: Receiver) -> None:
    make_channel("pays", url=taken.url, services=["pay-*"])
    make_channel("quiet", url=taken.url, send_resolved=False)
    make_channel("off", url=taken.url, enabled=False)
    service = factories.make_service("mail")
    incident = open_one(about="mail", key=str(service.pk), service_id=service.pk)
    assert send_all() == ["SENT"]
    resolve_incident(incident, "", now=NOW)
    assert send_all(minutes=6) == []
    assert AlertDelivery.objects.get().channel.name == "quiet"


def test_what_somebody_sees_to_is_not_repeated(taken: Receiver) -> None:
    make_channel(url=taken.url, repeat_seconds=3600)
    incident = open_one()
    assert [send_all(minutes=m) for m in (0, 59, 60)] == [["SENT"], [], ["SENT"]]
    assert taken.messages[-1][2]["title"] == "Still, for 1 h: Service down: billing"
    acknowledge_incident(incident, actor="ann")
    assert send_all(hours=9) == []


def test_a_channel_is_not_told_through_itself_that_it_fails(taken: Receiver) -> None:
    broken = make_channel("broken", url=taken.url)
    make_channel("other", url=taken.url)
    finding = Finding(Subject.CHANNEL_FAILING, "x", Severity.CRITICAL, "broken", str(broken.pk))
    open_incidents([finding], now=NOW)
    send_all()
    assert AlertDelivery.objects.get().channel.name == "other"


def test_no_more_a_minute_than_the_channel_takes(taken: Receiver) -> None:
    channel = make_channel(url=taken.url, per_minute=2)
    for number in range(4):
        make_delivery(channel, group_key=f"service:{number}", next_attempt_at=NOW)
    assert [len(send_all(seconds=s)) for s in (0, 30, 61)] == [2, 0, 2]


def test_a_test_says_how_it_went_and_is_not_tried_again(taken: Receiver) -> None:
    api = factories.caller()
    make_channel(url=taken.url, enabled=False)
    assert api.post("/monitoring/channels/on-call/test").json()["state"] == "SENT"
    taken.answers = [503]
    failed = api.post("/monitoring/channels/on-call/test").json()
    assert (failed["state"], failed["status_code"]) == ("DEAD", 503)
    assert "answered 503" in failed["response"]


def test_secrets_are_in_no_answer_and_in_no_record(taken: Receiver) -> None:
    api = factories.caller()
    hidden = "T0/B0/abcdefghijkl"
    fields = {"name": "chat", "type": "SLACK", "secret": {"url": f"{taken.url}/services/{hidden}"}}
    made = api.post("/monitoring/channels", fields)
    assert (made.status_code, made.json()["has_secret"]) == (201, True)
    taken.answers = [404]
    tested = api.post("/monitoring/channels/chat/test")
    assert taken.messages[0][0] == f"/services/{hidden}"
    assert tested.json()["response"] != ""
    row = AlertChannel.objects.get()
    for text in (made.content, tested.content, api.get("/monitoring/channels").content,
                 row.ciphertext.encode(), row.last_error.encode(),
                 api.get("/audit").content):  # fmt: skip
        assert b"abcdefghijkl" not in text


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"type": "SLACK"}, "secret.url"),
        ({"type": "SLACK", "secret": {"url": "hooks.slack.com/x"}}, "secret.url"),
        ({"type": "NTFY", "config": {"topic": "a b"}}, "config.topic"),
        ({"type": "NTFY", "config": {"topic": "a", "colour": "red"}}, "config.colour"),
        ({"type": "WEBHOOK", "config": {"url": "http://a"}, "secret": {"key": "whsec_"}},
         "secret.key"),
        ({"type": "WEBHOOK", "config": {"url": "http://169.254.169.254/"}, "secret": {"key": KEY}},
         "config.url"),
        ({"type": "SLACK", "secret": {"url": "http://10.250.0.1/hook"}}, "secret.url"),
        ({"type": "NTFY", "config": {"topic": "a", "server": "http://[fd00::1]"}},
         "config.server"),
        ({"type": "EMAIL", "config": {"to": "ann"}}, "config.to"),
        ({"type": "EMAIL", "config": {"to": "ann@example.org"}}, "type"),
        ({"type": "NTFY", "config": {"topic": "a"}, "subjects": ["DOWN"]}, "subjects[0]"),
        ({"type": "PIGEON"}, "type"),
        ({"type": "NTFY", "config": {"topic": "a"}, "per_minute": 0}, "per_minute"),
    ],
)  # fmt: skip
def test_what_no_channel_can_be(fields: dict[str, Any], path: str, settings: Any) -> None:
    settings.EMAIL_HOST = ""
    answer = factories.caller().post("/monitoring/channels", {"name": "on-call", **fields})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [path])


def test_mail(settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    channel = make_channel(type="EMAIL", config={"to": ["ann@example.org"]}, secret=None)
    open_one(about="billing\nBcc: eve@example.org")
    assert send_all() == ["SENT"]
    (sent,) = mail.outbox
    assert (sent.to, "\n" in sent.subject) == (["ann@example.org"], False)
    assert str(AlertDelivery.objects.get().pk) in sent.extra_headers["Message-ID"]
    settings.EMAIL_HOST = ""
    row = outbox.send_test(channel)
    assert (row.state, row.response) == (
        "DEAD", "The hub knows no mail server: set EMAIL_HOST.",
    )  # fmt: skip


def test_an_address_that_must_not_be_called(settings: Any, shared_client: Any) -> None:
    channel = make_channel()
    channel.config = {"url": "http://169.254.169.254/latest"}  # as the policy allowed it once
    channel.save()
    row = outbox.send_test(channel)
    assert (row.state, "No call to" in row.response) == ("DEAD", True)


@pytest.mark.django_db(transaction=True)
def test_what_hangs_holds_up_no_sweep(taken: Receiver) -> None:
    channel = make_channel(url=taken.url)
    for number in range(3):
        make_delivery(channel, group_key=f"service:{number}", next_attempt_at=NOW)
    sender = BackgroundSender(threads=2)
    assert sender.send_due(now=NOW) == 2
    sender.wait()
    assert sender.send_due(now=NOW) == 1
    sender.wait()
    assert list(AlertDelivery.objects.values_list("state", flat=True)) == ["SENT"] * 3


def test_a_secret_that_is_replaced_is_the_one_that_is_used(taken: Receiver) -> None:
    channel = make_channel("chat", type="SLACK", config={}, secret={"url": f"{taken.url}/first"})
    update_channel(channel, {"secret": {"url": f"{taken.url}/second"}}, actor="ann")
    outbox.send_test(AlertChannel.objects.get())
    assert taken.messages[0][0] == "/second"


def test_somebody_outside_is_called_as_long_as_all_works(
    taken: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.periodic_tasks.connections.close_all", lambda: None)
    tasks.call_outside_watcher()
    assert taken.visits == []
    settings.MONITORING_HEARTBEAT_URL = f"{taken.url}/ping/hub"
    tasks.call_outside_watcher()
    assert taken.visits == ["/ping/hub"]


@pytest.mark.slow
def test_ten_thousand_services_that_fall_together_are_one_message_in_each_channel() -> None:
    for name in ("on-call", "chat"):
        make_channel(name, group_wait_seconds=30)
    services = Service.objects.bulk_create(
        [Service(name=f"s{number:05}", status="OFFLINE") for number in range(10_000)],
        batch_size=500,
    )
    ServiceInstance.objects.bulk_create(
        [
            ServiceInstance(
                service=each,
                url=f"http://{each.name}.example",
                status="OFFLINE",
                last_heartbeat_at=NOW,
                expires_at=NOW,
                expired_at=NOW,
            )
            for each in services
        ],
        batch_size=500,
    )
    for seconds in (0, 5, 30, 35, 400):
        watch_fleet(now=NOW + timedelta(seconds=seconds))
        tell_channels(now=NOW + timedelta(seconds=seconds))
    assert Incident.objects.get().about == "10000 services"
    told = AlertDelivery.objects.order_by("channel__name").values_list("channel__name", "title")
    title = "Critical: Service down: 10000 services"
    assert list(told) == [("chat", title), ("on-call", title)]
