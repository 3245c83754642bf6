import asyncio
import gc
import inspect
import weakref

import httpx2
import pytest

import service_integration_client
from service_integration_client import (
    AsyncServiceIntegrationClient,
    ServiceIntegrationClient,
    SyncServiceIntegrationClient,
    get_request_id,
    request_id,
)
from service_integration_client.configuration import configuration
from service_integration_client.hub import run_blocking
from tests.client.fake_hub import BASE_URL, FakeHub, answer

WRITES = (
    "create_workflow update_workflow delete_workflow execute_workflow register_service"
    " update_service deregister_service execute_service_action"
)
READS = (
    "get_workflow get_workflows get_workflow_execution_status get_workflow_executions get_service"
    " get_services get_integration_health get_service_health"
)


def test_everything_in_all_can_be_imported():
    for name in service_integration_client.__all__:
        assert getattr(service_integration_client, name)


def test_guide_client_awaits_writes_and_not_reads():
    client = ServiceIntegrationClient(BASE_URL)
    assert all(inspect.iscoroutinefunction(getattr(client, name)) for name in WRITES.split())
    assert not any(inspect.iscoroutinefunction(getattr(client, name)) for name in READS.split())


def test_async_client_awaits_everything_and_sync_client_nothing():
    names = [*WRITES.split(), *READS.split()]
    awaiting, plain = (
        AsyncServiceIntegrationClient(BASE_URL),
        SyncServiceIntegrationClient(BASE_URL),
    )
    assert all(inspect.iscoroutinefunction(getattr(awaiting, name)) for name in names)
    assert not any(inspect.iscoroutinefunction(getattr(plain, name)) for name in names)


def test_url_and_key_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("SERVICE_INTEGRATION_URL", BASE_URL + "/")
    monkeypatch.setenv("SERVICE_INTEGRATION_API_KEY", "from-env")
    hub = FakeHub()

    SyncServiceIntegrationClient(transport=hub.transport).get_service("s")

    assert str(hub.requests[0].url) == f"{BASE_URL}/registry/services/s"
    assert hub.requests[0].headers["authorization"] == "Bearer from-env"


def test_key_is_not_in_the_representation():
    client = ServiceIntegrationClient(BASE_URL, api_key="very-secret")
    assert repr(client) == f"ServiceIntegrationClient('{BASE_URL}', api_key='***')"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "Give a base_url"),
        ({"base_url": "localhost:8090"}, "must look like"),
        ({"base_url": BASE_URL, "timeout": 0}, "timeout"),
        ({"base_url": BASE_URL, "api_key": "a\nb"}, "api_key"),
    ],
)
def test_wrong_settings_are_refused_with_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        ServiceIntegrationClient(**options)


def test_request_id_of_the_context_is_sent_with_every_call():
    hub = FakeHub()
    client = hub.client()

    with request_id("req-123") as current:
        client.get_service("s")
        assert get_request_id() == current == "req-123"
    client.get_service("s")

    first, second = (request.headers["x-request-id"] for request in hub.requests)
    assert first == "req-123"
    assert second != "req-123"


def test_request_id_is_made_once_for_a_context():
    async def twice():
        return get_request_id(), get_request_id()

    first, second = asyncio.run(twice())
    assert first == second


def test_request_id_that_no_header_can_carry_is_refused():
    with pytest.raises(ValueError, match="visible ASCII"), request_id("a\r\nb"):
        pass


def test_client_works_in_one_event_loop_after_another_and_keeps_none():
    hub, loops = FakeHub(answer(200, {"id": "x"})), []
    client = hub.client(ServiceIntegrationClient)

    async def update():
        loops.append(weakref.ref(asyncio.get_running_loop()))
        return await client.update_service("s", name="n")

    for _ in range(3):
        assert asyncio.run(update()) == {"id": "x"}

    gc.collect()
    assert [loop() for loop in loops[:-1]] == [None, None]


def test_clients_close_and_can_be_used_again():
    hub = FakeHub()

    async def with_async():
        async with hub.client(AsyncServiceIntegrationClient) as client:
            await client.get_service("s")
        async with hub.client(ServiceIntegrationClient) as client:
            client.get_service("s")
            await client.update_service("s", name="n")

    with hub.client() as client:
        client.get_service("s")
    client.get_service("s")
    asyncio.run(with_async())

    assert len(hub.requests) == 5


def test_concurrent_calls_keep_their_own_request_ids():
    async def answering(request):
        await asyncio.sleep(0)
        return httpx2.Response(200, json={"id": request.headers["x-request-id"]})

    async def one(client, value):
        with request_id(value):
            return await client.get_service("s")

    async def many():
        transport = httpx2.MockTransport(answering)
        async with AsyncServiceIntegrationClient(BASE_URL, transport=transport) as client:
            return await asyncio.gather(*(one(client, f"r{n}") for n in range(50)))

    assert [each["id"] for each in asyncio.run(many())] == [f"r{n}" for n in range(50)]


def test_certificates_are_checked_however_the_scheme_is_written() -> None:
    read = configuration(base_url="HTTPS://Hub.example/api/", api_key=None, timeout=1, environ={})
    assert read.base_url == "https://Hub.example/api"


@pytest.mark.parametrize("begin", ["http://", "ftp://", ""])
def test_password_in_the_url_is_refused_and_not_repeated(begin):
    with pytest.raises(ValueError, match="no user name") as caught:
        ServiceIntegrationClient(f"{begin}user:hidden@hub:1/api")
    assert "hidden" not in str(caught.value)


def test_operation_that_would_suspend_says_so():
    with pytest.raises(RuntimeError, match="event loop"):
        run_blocking(asyncio.sleep(0))
