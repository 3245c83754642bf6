import asyncio
import threading

import httpx2
import pytest

from service_integration_client import AuthenticationError, ServiceRegistration
from tests.client.fake_hub import BASE_URL, FakeHub, answer, problem
from tests.support.waiting import PATIENCE

KNOWN = answer(201, {"id": "s1"})
LOST = problem(404, "not_found", "No such service.")
DOWN = httpx2.ConnectError("refused")


class Beats:
    """Lets a registration sleep so many times, and then holds it until it is left."""

    def __init__(self, count):
        self.left = count
        self.slept = []
        self.held = asyncio.Event()

    async def __call__(self, seconds):
        self.slept.append(seconds)
        if self.left == 0:
            self.held.set()
            await asyncio.Event().wait()
        self.left -= 1


def registration(hub, sleep, **options):
    options = {"ttl_seconds": 90, "chance": lambda: 0.5, **options}
    return ServiceRegistration(
        "planner",
        "http://planner:1",
        base_url=BASE_URL,
        transport=hub.transport,
        sleep=sleep,
        **options,
    )


async def beat(hub, count, **options):
    """Be registered for so many pauses; answers the pauses."""
    beats = Beats(count)
    async with registration(hub, beats, **options):
        await asyncio.wait_for(beats.held.wait(), 5)
    return beats.slept


async def test_registers_beats_and_signs_off():
    hub = FakeHub(KNOWN, answer(200, {"id": "s1"}))

    slept = await beat(hub, 2, type="PLANNING_SYSTEM", actions=[{"name": "plan"}])

    assert hub.paths() == [
        "POST /api/registry/services",
        *["POST /api/registry/services/s1/heartbeat"] * 3,
    ]
    assert hub.bodies[0]["url"] == "http://planner:1"
    assert hub.bodies[0]["ttl_seconds"] == 90
    assert hub.bodies[1] == {"url": "http://planner:1"}
    assert hub.bodies[-1] == {"url": "http://planner:1", "status": "OFFLINE"}
    assert slept == [30.0, 30.0, 30.0]


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 27.0), (1.0, 33.0)])
async def test_pauses_vary_by_a_tenth(chance, pause):
    assert await beat(FakeHub(KNOWN), 0, chance=lambda: chance) == pytest.approx([pause])


async def test_hub_that_is_down_does_not_stop_the_service():
    hub = FakeHub(DOWN, DOWN, DOWN, KNOWN)

    slept = await beat(hub, 3)

    assert slept == [1.0, 1.0, 2.0, 30.0]
    assert hub.paths()[:4] == ["POST /api/registry/services"] * 4


async def test_backoff_grows_to_the_interval_at_most():
    slept = await beat(FakeHub(DOWN), 9)

    assert max(slept) == 30.0
    assert slept[1:7] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]


async def test_service_that_the_hub_forgot_is_registered_again():
    hub = FakeHub(KNOWN, LOST, answer(201, {"id": "s2"}))

    await beat(hub, 2)

    assert hub.paths()[1:4] == [
        "POST /api/registry/services/s1/heartbeat",
        "POST /api/registry/services",
        "POST /api/registry/services/s2/heartbeat",
    ]


async def test_missed_beats_are_made_up_soon():
    hub = FakeHub(KNOWN, DOWN, DOWN, answer(200, {"id": "s1"}))

    assert await beat(hub, 3) == [30.0, 1.0, 2.0, 30.0]


async def test_wrong_key_is_raised_at_the_start():
    hub = FakeHub(problem(401, "unauthenticated", "The key is not known."))

    with pytest.raises(AuthenticationError):
        await beat(hub, 0)


async def test_leaving_does_not_fail_when_the_hub_is_gone():
    hub = FakeHub(KNOWN, DOWN)

    await beat(hub, 0)

    assert hub.paths()[-1].endswith("/heartbeat")


def test_plain_context_beats_from_a_thread_until_left():
    hub = FakeHub(KNOWN, answer(200, {"id": "s1"}))
    enough, left = threading.Event(), threading.Event()

    def sleep(seconds):
        if len(hub.requests) > 2:
            enough.set()
            left.wait(PATIENCE)

    registered = registration(hub, sleep)
    with registered:
        assert enough.wait(PATIENCE)
        assert registered.is_registered
        left.set()

    assert not registered.is_registered
    assert hub.bodies[-1]["status"] == "OFFLINE"


def test_plain_context_is_left_at_once():
    hub = FakeHub(KNOWN)
    with registration(hub, None):
        assert "heartbeat of planner" in [thread.name for thread in threading.enumerate()]

    assert "heartbeat of planner" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("options", [{"ttl_seconds": 0}, {"heartbeat_interval": -1}])
def test_intervals_must_be_positive(options):
    with pytest.raises(ValueError, match="greater than 0"):
        registration(FakeHub(), None, **options)
