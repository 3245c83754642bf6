"""Who is chosen for each who asks for a type: from all, by the rules, and as Django answers it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, transaction
from django.utils import timezone

from integration_site.front.application import Front
from registry import services
from registry.api.type_choices import TypeChoices
from registry.calls.targets.load_balancing import CHANCE
from registry.discovery.change_log import record_change
from registry.models import RegistryChangeKind, Service, ServiceInstance
from tests import factories
from tests.support.asgi import Answered, ask
from tests.support.fronts import TYPE, CountedDjango, ask_anew, bearer

pytestmark = pytest.mark.django_db(transaction=True)
# Of three, the one that is asked most rarely is passed over so often once in 10^38 times.
MOST_CHOICES = 400
PATH = f"/discovery/services/type/{TYPE.lower()}"


@pytest.fixture
def planners(fleet: None) -> None:
    """Beside the one with two instances, one of another zone that is asked more rarely."""
    factories.make_service(
        "planner", urls=("http://p.test",), type=TYPE, instance={"zone": "b", "weight": 50}
    )


async def chosen_by(
    asking: Callable[..., Any],
    front: Front,
    path: str,
    *,
    times: int = 30,
    until: Collection[str] = (),
    **headers: str,
) -> dict[str, Answered]:
    """The answers of so many choices, by the URL of the instance.

    More are made until these were chosen: chance may pass over one of them for long.
    """
    chosen: dict[str, Answered] = {}
    for number in range(MOST_CHOICES):
        if number >= times and chosen.keys() >= set(until):
            break
        answer = await asking(front, path, **headers)
        chosen[json.loads(answer.body).get("url", "")] = answer
    return chosen


def set_status(name: str, status: str) -> None:
    services.set_service_status(Service.objects.get(name=name), status, actor="test")


def suspect_all() -> None:
    with transaction.atomic():
        ServiceInstance.objects.update(suspected_at=timezone.now())
        for service in Service.objects.all():
            record_change(service, RegistryChangeKind.UPDATED)


@pytest.mark.parametrize(
    ("query", "change", "expected"),
    [
        ("", None, {"a", "b", "p"}),
        ("?zone=b", None, {"p"}),
        ("?zone=", None, {"a", "b", "p"}),
        ("?zone=elsewhere&zone=a", None, {"a", "b"}),
        ("", partial(set_status, "billing", "DEGRADED"), {"p"}),
        ("", partial(set_status, "billing", "MAINTENANCE"), {"p"}),
        ("", suspect_all, {"a", "b", "p"}),
    ],
)
async def test_choices_are_those_of_django(
    front: Front,
    planners: None,
    query: str,
    change: Callable[[], None] | None,
    expected: set[str],
    in_thread: Any,
) -> None:
    headers = await in_thread(bearer)
    path = f"{PATH}{query}"
    await chosen_by(ask, front, path, times=3, **headers)
    if change is not None:
        await in_thread(change)
    urls = {f"http://{name}.test" for name in expected}
    chosen = await chosen_by(ask, front, path, until=urls, **headers)
    assert set(chosen) == urls
    assert chosen == await chosen_by(ask_anew, front, path, times=1, until=urls, **headers)


@pytest.mark.parametrize(
    "path",
    [
        "/discovery/services/type/nonsense",
        "/discovery/services/type/custom",  # there is one, and it is chosen
        "/discovery/services/type/API_GATEWAY",
        f"{PATH}?zone=" + "x" * 201,
    ],
)
async def test_what_is_no_choice_is_answered_as_by_django(
    front: Front, planners: None, path: str, in_thread: Any
) -> None:
    headers = await in_thread(bearer)
    for _ in range(2):
        answer = await ask(front, path, **headers)
        assert answer == await ask_anew(front, path, **headers)


async def test_who_went_is_not_chosen(front: Front, planners: None, in_thread: Any) -> None:
    headers = await in_thread(bearer)
    await chosen_by(ask, front, PATH, **headers)
    await in_thread(lambda: services.unregister_service(Service.objects.get(name="billing")))
    assert set(await chosen_by(ask, front, PATH, **headers)) == {"http://p.test"}
    await in_thread(lambda: services.unregister_service(Service.objects.get(name="planner")))
    assert (await ask(front, PATH, **headers)).status == 404


async def test_django_is_asked_once_for_all(
    front: Front, django: CountedDjango, planners: None, in_thread: Any
) -> None:
    headers = await in_thread(bearer)
    await chosen_by(ask, front, PATH, **headers)
    await in_thread(partial(set_status, "planner", "DEGRADED"))
    await chosen_by(ask, front, PATH, **headers)
    assert django.asked == 1


async def test_what_is_said_of_a_choice_is_a_second_old_at_most(
    front: Front, planners: None, in_thread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await in_thread(bearer)
    path = f"{PATH}?zone=b"
    for _ in range(2):
        await ask(front, path, **headers)
    beaten_at = "2026-03-01T11:59:30Z"
    await in_thread(lambda: ServiceInstance.objects.update(last_heartbeat_at=beaten_at))
    before = json.loads((await ask(front, path, **headers)).body)
    assert before["last_heartbeat"] != beaten_at
    later = time.monotonic() + 1.5
    for module in ("integration_site.front.choosing", "registry.api.type_choices"):
        monkeypatch.setattr(f"{module}.monotonic", lambda: later)
    after = json.loads((await ask(front, path, **headers)).body)
    assert (after["last_heartbeat"], after["instance"]["last_heartbeat"]) == (beaten_at,) * 2


async def test_weights_and_one_each_are_kept_to(
    front: Front, planners: None, in_thread: Any
) -> None:
    headers = await in_thread(bearer)
    CHANCE.seed(7)  # the same draws each time: one run in four hundred is further off
    answers = [await ask(front, PATH, **headers) for _ in range(1000)]
    counted = Counter(json.loads(answer.body)["url"] for answer in answers)
    share = {url.removeprefix("http://")[0]: n / 1000 for url, n in counted.items()}
    assert {name: round(part, 1) for name, part in share.items()} == {"a": 0.4, "b": 0.4, "p": 0.2}


async def test_while_the_database_fails_django_says_so(
    front: Front, planners: None, in_thread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await in_thread(bearer)
    await chosen_by(ask, front, PATH, times=3, **headers)

    def fail(*_: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(TypeChoices, "read_changes", fail)
    monkeypatch.setattr(TypeChoices, "read_all", fail)
    await in_thread(partial(set_status, "billing", "DEGRADED"))
    answer = await ask(front, PATH, **headers)
    assert json.loads(answer.body)["url"] == "http://p.test"
