"""What keeps an instance alive: heartbeats, good answers of its health URL, or either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from registry import services
from registry.calls.health_probe import Probe
from registry.calls.targets.resolver import CallTarget, resolve
from registry.exceptions import ServiceUnavailableError
from registry.models import ServiceInstance
from registry.policies.liveness import (
    Liveness,
    expiry_after_sign,
    explain_silence,
    liveness_of,
    seconds_of_answer,
)
from registry.policies.probing import ProbePlan
from registry.services import Heartbeat, Registration
from tests import factories
from tests.support.checks import probe_due

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
URL = "http://planner:8000"
H, P, E, A = Liveness.HEARTBEAT, Liveness.PROBE, Liveness.EITHER, Liveness.AUTO


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("chosen", "has_beaten", "health_url", "found"),
    [
        (A, False, URL, E), (A, True, URL, H), (A, False, "", H), (A, True, "", H),
        (H, False, URL, H), (P, True, "", P), (E, True, URL, E),
    ],
)  # fmt: skip
def test_what_an_instance_lives_by(
    chosen: Liveness, has_beaten: bool, health_url: str, found: Liveness
) -> None:
    assert liveness_of(chosen, has_beaten=has_beaten, health_url=health_url) is found


@pytest.mark.parametrize(
    ("liveness", "before", "answered", "expiry"),
    [
        (H, 10, 500, 90), (E, 10, 500, 500), (E, 10, 20, 90), (E, 10, None, 90),
        (P, 10, 500, 10), (P, None, None, 90),
    ],
)  # fmt: skip
def test_until_when_a_heartbeat_keeps_alive(
    liveness: Liveness, before: float | None, answered: float | None, expiry: float
) -> None:
    found = expiry_after_sign(
        liveness,
        at=NOW,
        ttl_seconds=90,
        before=None if before is None else at(before),
        answered_until=None if answered is None else at(answered),
    )
    assert found == at(expiry)


def test_an_answer_holds_longer_than_it_takes_to_believe_bad_ones() -> None:
    plan = ProbePlan(failure_threshold=3, interval_seconds=30)
    assert seconds_of_answer(plan, ttl_seconds=10) == 120
    assert seconds_of_answer(plan, ttl_seconds=300) == 300


@pytest.mark.parametrize(
    ("liveness", "said"),
    [
        (H, "No heartbeat for 95 s."),
        (P, "No good answer of its health URL for 20 s (answered 500)."),
        (E, "No heartbeat for 95 s, and no good answer of its health URL for 20 s (answered 500)."),
    ],
)
def test_silence_is_told_as_what_is_lacking(liveness: Liveness, said: str) -> None:
    found = explain_silence(
        liveness, now=NOW, beaten_at=at(-95), answered_at=at(-20), error="answered 500"
    )
    assert found == said


@pytest.mark.parametrize(
    ("liveness", "said"),
    [
        (H, "No heartbeat since it registered, 95 s ago."),
        (P, "No good answer of its health URL yet."),
        (
            E,
            "No heartbeat since it registered, 95 s ago, and no good answer of its health URL yet.",
        ),
    ],
)
def test_a_registration_is_not_told_as_a_heartbeat(liveness: Liveness, said: str) -> None:
    found = explain_silence(
        liveness, now=NOW, beaten_at=at(-95), answered_at=None, has_beaten=False
    )
    assert found == said


# --- As it happens ---


class Life:
    """One instance through time, in steps of five seconds like those of the sweeps."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.answers: bool | None = None
        self.beats = False

    def make(self, liveness: str = "AUTO", *, health_url: str = f"{URL}/up", ttl: int = 90) -> None:
        fields = {"health_url": health_url, "ttl_seconds": ttl}
        services.register_service(
            Registration(
                name="planner", url=URL, fields={"liveness": liveness}, instance_fields=fields,
                actions=[{"name": "plan"}],
            )
        )  # fmt: skip

    def live(self, seconds: int) -> str:
        """Let so much time pass; the status that it has then."""
        for step in range(seconds // 5):
            self.clock.shift(5)
            if self.beats and step % 4 == 0:
                services.beat_service("planner", Heartbeat())
            probe_due(now=timezone.now(), prober=self._ask)
            services.expire_instances(now=timezone.now())
        return self.status

    @property
    def status(self) -> str:
        return services.get_service("planner").status

    def _ask(self, urls: Sequence[str]) -> list[Probe]:
        said = "" if self.answers else "answered 500"
        return [Probe(url, bool(self.answers), 200, 1.0, said) for url in urls]


@pytest.fixture
def life(db: None) -> Iterator[Life]:
    with time_machine.travel(NOW, tick=False) as clock:
        yield Life(clock)


@pytest.mark.parametrize("liveness", ["AUTO", "EITHER", "PROBE"])
def test_a_health_url_that_answers_keeps_alive_what_never_beat(life: Life, liveness: str) -> None:
    life.make(liveness)
    life.answers = True
    assert life.live(250) == "ONLINE"
    life.answers = False
    assert life.live(95) == "DEGRADED"
    assert life.live(60) == "OFFLINE"
    assert "No good answer" in reason() or "no good answer" in reason()
    life.answers = True
    assert life.live(95) == "ONLINE"


def reason() -> str:
    api = factories.caller("VIEWER")
    return api.get("/registry/services/planner").json()["instances"][0]["status_reason"]


def test_heartbeats_only_means_that_answers_do_not_count(life: Life) -> None:
    life.make("HEARTBEAT")
    life.answers = True
    assert life.live(85) == "ONLINE"
    assert life.live(15) == "OFFLINE"
    assert reason() == "No heartbeat since it registered, 100 s ago."
    assert life.live(300) == "OFFLINE"
    life.beats = True
    assert life.live(5) == "ONLINE"


def test_answers_only_means_that_heartbeats_do_not_count(life: Life) -> None:
    life.make("PROBE")
    life.answers, life.beats = False, True
    assert life.live(100) == "OFFLINE"
    assert life.live(100) == "OFFLINE"
    assert reason() == "No good answer of its health URL yet (answered 500)."
    life.answers = True
    assert life.live(70) == "ONLINE"


def test_either_is_enough(life: Life) -> None:
    life.make("EITHER")
    life.answers, life.beats = True, True
    assert life.live(100) == "ONLINE"
    life.beats = False
    assert life.live(300) == "ONLINE"
    life.answers, life.beats = False, True
    assert life.live(200) == "DEGRADED"


def test_what_beats_goes_by_its_heartbeats_unless_it_is_said(life: Life) -> None:
    life.make(ttl=30)
    life.answers, life.beats = True, True
    assert life.live(100) == "ONLINE"
    life.beats = False
    assert life.live(35) == "OFFLINE"
    assert reason().startswith("No heartbeat for ")


def test_what_signed_off_is_not_brought_back_by_an_answer(life: Life) -> None:
    life.make("EITHER")
    life.answers = True
    life.live(100)
    services.beat_service("planner", Heartbeat(status="offline"))
    assert life.live(200) == "OFFLINE"
    assert reason() == "It signed off, or was set OFFLINE."
    life.beats = True
    assert life.live(5) == "ONLINE"


def test_under_maintenance_answers_keep_alive_for_afterwards(life: Life) -> None:
    life.make("PROBE")
    life.answers = True
    life.live(60)
    services.set_service_status(services.get_service("planner"), "MAINTENANCE", reason="Disks.")
    assert life.live(250) == "MAINTENANCE"
    assert reason() == "Its service is under maintenance: Disks."
    assert services.lift_maintenance(services.get_service("planner")).status == "ONLINE"


def test_what_lives_by_answers_is_not_forgotten_for_lack_of_heartbeats(life: Life) -> None:
    life.make()
    life.answers = True
    life.live(35)
    ServiceInstance.objects.update(last_heartbeat_at=at(-30 * 86400), status="OFFLINE")
    week = timedelta(days=7)
    assert services.forget_gone_instances(now=timezone.now(), age=week) == 0
    assert services.forget_gone_instances(now=timezone.now() + week + week, age=week) == 1


def test_a_refused_call_says_why_nobody_can_be_called(life: Life) -> None:
    life.make(health_url="")
    life.live(100)
    with pytest.raises(
        ServiceUnavailableError, match=r"OFFLINE\. No heartbeat since it registered, 100 s ago\.$"
    ):
        resolve(CallTarget("service", "planner"), "plan").selection()


@pytest.mark.django_db
def test_liveness_is_set_and_shown_over_the_api() -> None:
    api = factories.caller()
    body = {"name": "planner", "url": URL, "liveness": "probe"}
    assert api.post("/registry/services", body).json()["liveness"] == "PROBE"
    assert api.post("/registry/services", {"name": "other"}).json()["liveness"] == "AUTO"
    changed = api.patch("/registry/services/planner", {"liveness": "EITHER"})
    assert changed.json()["liveness"] == "EITHER"
    refused = api.patch("/registry/services/planner", {"liveness": "always"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["liveness"])
