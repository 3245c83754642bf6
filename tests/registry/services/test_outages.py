"""One outage is one thing, whoever asks and by whatever name: what exists and is not up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.exceptions import IntegrationError
from registry import services
from registry.calls.blocking_client import call_service, on_shared_loop
from registry.calls.targets.resolver import CallTarget
from registry.exceptions import CallError
from registry.integrations.execution import IntegrationCall, execute_integration, run_integration
from registry.models import Integration, RegistryChange, Service, ServiceAction
from registry.services import Heartbeat
from tests import factories
from tests.support.credentials import Reply, serving
from tests.support.integrations import own_client

pytestmark = pytest.mark.django_db(transaction=True)
URL = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _client() -> Iterator[None]:
    with own_client():
        yield


@pytest.fixture
def base() -> Iterator[str]:
    with serving(lambda *_: Reply(200, b'{"plan": 1}')) as url:
        yield url


def register(*urls: str, name: str = "planner") -> Service:
    service = factories.make_service(name, urls=urls, type="PLANNING_SYSTEM")
    ServiceAction.objects.create(service=service, name="plan", path="/plan")
    return service


def integrate(kind: str, target: str) -> Integration:
    return Integration.objects.create(
        name=f"by-{kind}".lower(), target_kind=kind, target=target, action="plan", status="ACTIVE"
    )


def by_name() -> Any:
    return call_service(CallTarget("service", "planner"), "plan", {})


def by_type() -> Any:
    return call_service(CallTarget("service_type", "PLANNING_SYSTEM"), "plan", {})


def by_integration(kind: str = "SERVICE", target: str = "planner") -> Any:
    integration = Integration.objects.filter(target_kind=kind).first() or integrate(kind, target)
    return execute_integration(integration, IntegrationCall(payload={}))


def by_integration_of_type() -> Any:
    return by_integration("SERVICE_TYPE", "PLANNING_SYSTEM")


def as_a_step() -> Any:
    """As the engine calls, by the newest change that its claim saw."""
    newest = RegistryChange.objects.order_by("-index").values_list("index", flat=True).first() or 0
    target = CallTarget("service", "planner")
    return on_shared_loop(lambda c: c.call(target, "plan", {}, as_of=newest)).result()


def as_a_step_of_an_integration() -> Any:
    integration = Integration.objects.first() or integrate("SERVICE", "planner")
    return on_shared_loop(
        lambda c: run_integration(c, integration.name, IntegrationCall(payload={}))
    ).result()


def over_the_api() -> Any:
    answer = factories.caller().post("/registry/services/planner/actions/plan/execute", {})
    if answer.status_code != 200:
        raise CallError(answer.json()["detail"], code=answer.json()["code"])
    return answer


WAYS: list[Callable[[], Any]] = [
    by_name,
    by_type,
    by_integration,
    by_integration_of_type,
    as_a_step,
    as_a_step_of_an_integration,
    over_the_api,
]


def outcome(way: Callable[[], Any]) -> str:
    try:
        way()
    except IntegrationError as error:
        return str(error.details.get("code") or error.code)
    return "called"


def sign_off(service: Service) -> None:
    services.record_heartbeat(services.get_service(service.name), Heartbeat(status="OFFLINE"))


def set_maintenance(service: Service) -> None:
    services.set_service_status(service, "MAINTENANCE")


def remove_the_instance(service: Service) -> None:
    services.remove_instance(service, str(service.instances.get().pk))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("take_down", [sign_off, set_maintenance, remove_the_instance])
def test_what_went_down_is_unavailable_at_once(
    way: Callable[[], Any], take_down: Callable[[Service], None], base: str
) -> None:
    service = register(base)
    assert outcome(way) == "called"
    take_down(service)
    assert outcome(way) == "service_unavailable"


@pytest.mark.parametrize("way", [by_name, by_type, by_integration_of_type])
def test_what_never_was_is_not_found(way: Callable[[], Any]) -> None:
    assert outcome(way) == "service_not_found"


def test_instance_that_signed_off_beside_others_is_not_called_any_more(base: str) -> None:
    with serving(lambda *_: Reply(200, b'{"plan": 2}')) as other:
        service = register(base, other)
        assert {by_name().instance for _ in range(30)} == {base, other}
        beat = Heartbeat(url=other, status="OFFLINE")
        services.record_heartbeat(services.get_service(service.name), beat)
        assert {by_name().instance for _ in range(30)} == {base}


def test_of_a_type_the_one_that_is_up_is_called(base: str) -> None:
    sign_off(register(URL, name="first"))
    register(base, name="second")
    assert by_type().service == "second"


def test_service_that_is_up_without_the_action_does_not_hide_one_that_is_down(base: str) -> None:
    sign_off(register(base))
    factories.make_service("idle", urls=(base,), type="PLANNING_SYSTEM")
    assert outcome(by_type) == "service_unavailable"


def test_look_up_is_kept_while_nothing_changed(base: str) -> None:
    register(base)
    by_name()
    client = on_shared_loop(_itself).result()
    kept = dict(client.resolver_cache._cache)
    by_name()
    assert client.resolver_cache._cache == kept


async def _itself(client: Any) -> Any:
    return client
