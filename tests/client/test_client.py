import asyncio
import inspect

import httpx2
import pytest

import service_integration_client
from service_integration_client import (
    REMOVE,
    AsyncServiceIntegrationClient,
    ServiceIntegrationClient,
    SyncServiceIntegrationClient,
    get_request_id,
    request_id,
)
from service_integration_client.configuration import configuration
from service_integration_client.requests import make_request
from tests.client.fake_hub import BASE_URL, FakeHub, answer

WRITES = (
    "create_workflow update_workflow delete_workflow execute_workflow register_service"
    " update_service deregister_service execute_service_action"
)
READS = (
    "get_workflow get_workflows get_workflow_execution_status get_workflow_executions get_service"
    " get_services get_integration_health get_service_health"
)
STEPS = [{"id": "a", "service": "s", "action": "x", "next": None}]


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


def test_operations_keep_their_documentation():
    assert "Register a service" in (ServiceIntegrationClient.register_service.__doc__ or "")


async def test_create_workflow_sends_what_the_guide_gives():
    hub = FakeHub(answer(201, {"id": "w1"}))
    client = ServiceIntegrationClient(**hub.options(), api_key="key-1")

    workflow = await client.create_workflow(
        name="w", description="d", steps=STEPS, metadata={"version": "1.0.0"}
    )

    assert workflow == {"id": "w1"}
    assert hub.paths() == ["POST /api/workflows"]
    assert hub.bodies == [
        {"name": "w", "description": "d", "steps": STEPS, "metadata": {"version": "1.0.0"}}
    ]
    sent = hub.requests[0].headers
    assert sent["authorization"] == "Bearer key-1"
    assert len(sent["idempotency-key"]) == 32


async def test_next_null_of_a_step_is_sent():
    hub = FakeHub(answer(201, {}))

    await ServiceIntegrationClient(**hub.options()).create_workflow(name="w", steps=STEPS)

    assert hub.bodies[0]["steps"][0]["next"] is None


def test_reads_build_path_and_query():
    hub = FakeHub(answer(200, {"items": []}))
    client = SyncServiceIntegrationClient(**hub.options())

    client.get_workflows(status="ACTIVE", page=2, per_page=10)
    client.get_workflow_executions(workflow_id="a/b", status="COMPLETED")
    client.discover("CUSTOM", metadata={"team": "x"}, include_offline=False)
    client.find_service("PLANNING_SYSTEM")
    client.get_integration_health()
    client.get_service_health("s 1")
    client.get_execution_steps("e1")

    assert hub.paths() == [
        "GET /api/workflows?status=ACTIVE&page=2&per_page=10",
        "GET /api/workflows/a%2Fb/executions?status=COMPLETED",
        "GET /api/discovery/services?type=CUSTOM&metadata.team=x&include_offline=false",
        "GET /api/discovery/services/type/PLANNING_SYSTEM",
        "GET /api/health/system",
        "GET /api/registry/services/s%201/health",
        "GET /api/executions/e1/steps?per_page=50",
    ]
    assert all("idempotency-key" not in request.headers for request in hub.requests)


def test_writes_use_the_documented_methods_and_paths():
    hub = FakeHub(answer(200, {"id": "x"}))
    client = SyncServiceIntegrationClient(**hub.options())

    client.register_service("s", "d", "http://s:1", [{"name": "a"}], {"version": "1"})
    client.update_service("s", endpoint="http://s:2", status="ACTIVE")
    client.heartbeat("s", url="http://s:2", status="ONLINE")
    client.execute_service_action("s", "a", {"x": 1}, {"project_id": "p"})
    client.update_workflow("w", name="v2", status="ACTIVE")
    client.cancel_execution("e")
    client.retry_execution("e")

    assert hub.paths() == [
        "POST /api/registry/services",
        "PATCH /api/registry/services/s",
        "POST /api/registry/services/s/heartbeat",
        "POST /api/registry/services/s/actions/a/execute",
        "PATCH /api/workflows/w",
        "POST /api/executions/e/cancel",
        "POST /api/executions/e/retry",
    ]
    assert hub.bodies[0]["url"] == "http://s:1"
    assert hub.bodies[3] == {"input_data": {"x": 1}, "context": {"project_id": "p"}}


def test_a_change_sends_null_for_what_it_takes_away():
    hub = FakeHub(answer(200, {"id": "x"}))
    client = SyncServiceIntegrationClient(**hub.options())

    client.update_service("s", description=None, tags=REMOVE, metadata={"team": None})
    client.update_connection("c", limits=REMOVE)
    client.update_integration("i", request_mapping=REMOVE)
    client.update_credential("k", expires_at=REMOVE)
    client.update_webhook("w", old_credential=REMOVE)
    client.update_workflow("w", definition={"concurrency": None, "timeout": 5})
    client.update_schedule("s", ends_at=None, priority=3)

    assert hub.bodies == [
        {"tags": None, "metadata": {"team": None}},
        {"limits": None},
        {"request_mapping": None},
        {"expires_at": None},
        {"old_credential": None},
        {"concurrency": None, "timeout": 5},
        {"ends_at": None, "priority": 3},
    ]


def test_credentials_are_written_and_never_shown():
    hub = FakeHub(answer(200, {"id": "x"}))
    client = SyncServiceIntegrationClient(**hub.options())

    client.create_credential(
        "c", "API_KEY", secret={"key": "s3cret"}, allowed_origins=["https://a"]
    )
    client.update_credential("c", description="d")
    client.rotate_credential("c", {"key": "s3cret"}, never_expires=True)
    client.get_credentials("API_KEY", expiring=7)
    client.get_credential("c")
    client.delete_credential("c")

    assert hub.paths() == [
        "POST /api/registry/credentials",
        "PATCH /api/registry/credentials/c",
        "POST /api/registry/credentials/c/rotate",
        "GET /api/registry/credentials?type=API_KEY&expiring=7",
        "GET /api/registry/credentials/c",
        "DELETE /api/registry/credentials/c",
    ]
    assert hub.bodies[0]["secret"] == {"key": "s3cret"}
    assert hub.bodies[2] == {"secret": {"key": "s3cret"}, "expires_at": None}
    assert "s3cret" not in repr(make_request("POST", "/x", {"secret": {"key": "s3cret"}}))


def test_connections_are_made_tested_and_switched_off():
    hub = FakeHub(answer(200, {"id": "x"}))
    client = SyncServiceIntegrationClient(**hub.options())

    client.create_connection("c", "HTTP", "http://a", credential="t", limits={"per_second": 2})
    client.create_connection("d", "DATABASE", driver="MYSQL", host="db", port=3306)
    client.update_connection("c", config={"test_path": "/health"}, credential="")
    client.test_connection("c")
    client.disable_connection("c", "Too dear.")
    client.enable_connection("c")
    client.get_connections("HTTP", "ERROR", search="or")
    client.get_connection("c")
    client.delete_connection("c")

    assert hub.paths() == [
        "POST /api/registry/connections",
        "POST /api/registry/connections",
        "PATCH /api/registry/connections/c",
        "POST /api/registry/connections/c/test",
        "POST /api/registry/connections/c/disable",
        "POST /api/registry/connections/c/enable",
        "GET /api/registry/connections?type=HTTP&status=ERROR&search=or",
        "GET /api/registry/connections/c",
        "DELETE /api/registry/connections/c",
    ]
    assert hub.bodies[0] == {
        "name": "c",
        "type": "HTTP",
        "base_url": "http://a",
        "credential": "t",
        "limits": {"per_second": 2},
    }
    assert hub.bodies[2] == {"config": {"test_path": "/health"}, "credential": ""}
    keys = ["idempotency-key" in request.headers for request in hub.requests]
    assert keys == [True, True, True, False, True, True, False, False, True]


def test_all_connections_are_read_page_by_page():
    first = answer(200, {"items": [{"id": 1}], "next": "more"})
    hub = FakeHub(first, answer(200, {"items": [{"id": 2}], "next": None}))
    found = SyncServiceIntegrationClient(**hub.options()).iter_connections(type="CACHE")
    assert [each["id"] for each in found] == [1, 2]


async def test_a_connection_is_tested_by_every_client():
    result = {"success": False, "advice": "Nothing listens there."}
    for kind in (ServiceIntegrationClient, AsyncServiceIntegrationClient):
        hub = FakeHub(answer(200, result))
        assert await kind(**hub.options()).test_connection("c") == result


def test_delete_answers_what_was_deleted():
    hub = FakeHub(answer(204))
    client = SyncServiceIntegrationClient(**hub.options())

    assert client.delete_workflow(workflow_id="w") == {"id": "w", "deleted": True}
    assert client.deregister_service(service_id="s") == {"id": "s", "deleted": True}


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_id_that_would_lead_elsewhere_is_refused(name):
    hub = FakeHub()
    with pytest.raises(ValueError, match="cannot be"):
        SyncServiceIntegrationClient(**hub.options()).get_service(name)
    assert hub.requests == []


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
    client = SyncServiceIntegrationClient(**hub.options())

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


def test_client_works_in_one_event_loop_after_another():
    hub = FakeHub(answer(200, {"id": "x"}))
    client = ServiceIntegrationClient(**hub.options())

    for _ in range(3):
        assert asyncio.run(client.update_service("s", name="n")) == {"id": "x"}

    assert len(client._awaiting._connections) == 1


def test_clients_close_and_can_be_used_again():
    hub = FakeHub()

    async def with_async():
        async with AsyncServiceIntegrationClient(**hub.options()) as client:
            await client.get_service("s")
        async with ServiceIntegrationClient(**hub.options()) as client:
            client.get_service("s")
            await client.update_service("s", name="n")

    with SyncServiceIntegrationClient(**hub.options()) as client:
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
    found = configuration(base_url="HTTPS://Hub.example/api/", api_key=None, timeout=1, environ={})
    assert found.base_url == "https://Hub.example/api"
