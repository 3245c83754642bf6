import httpx2
import pytest

from registry.models import CredentialEvent
from service_integration_client import (
    AsyncServiceIntegrationClient,
    MaxRetriesExceededError,
    ServiceCallError,
    ServiceUnavailableError,
    SyncServiceIntegrationClient,
)
from tests import factories
from tests.client.fake_hub import FakeHub, answer, problem
from tests.support.dropping_proxy import dropping

DOWN = httpx2.ConnectError("connection refused")


@pytest.mark.parametrize(
    ("operation", "arguments", "delays"),
    [
        ("create_workflow", {"name": "w"}, [0.5, 1.0, 2.0]),
        ("update_workflow", {"workflow_id": "w"}, [0.5, 1.0, 2.0]),
        ("delete_workflow", {"workflow_id": "w"}, [1.0, 2.0]),
        ("get_workflow", {"workflow_id": "w"}, [0.5, 1.0]),
    ],
)
def test_unreachable_hub_is_tried_as_often_as_documented(operation, arguments, delays):
    hub = FakeHub(DOWN)
    client = hub.client()

    with pytest.raises(MaxRetriesExceededError) as caught:
        getattr(client, operation)(**arguments)

    assert hub.slept == delays
    assert caught.value.attempts == len(delays) + 1
    assert isinstance(caught.value.last_error, ServiceUnavailableError)
    assert caught.value.last_error.service_name == "service-integration"
    assert "connection refused" in str(caught.value)


def test_backoff_is_capped():
    from service_integration_client.retries import READ, WRITE, BackoffPolicy

    long = BackoffPolicy(retries=9, base_delay=0.5, max_delay=4.0)
    assert [long.delay(n) for n in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    assert WRITE.delay(4) is None
    assert READ.delay(3) is None


async def test_awaited_call_sleeps_and_succeeds_at_last():
    hub = FakeHub(DOWN, answer(503), answer(200, {"id": "w"}))
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    async with hub.client(AsyncServiceIntegrationClient, sleep=sleep) as client:
        assert await client.create_workflow("w") == {"id": "w"}

    assert slept == [0.5, 1.0]


def test_every_attempt_carries_the_same_key_and_request_id():
    hub = FakeHub(DOWN, httpx2.RemoteProtocolError("cut"), answer(201, {}))

    hub.client().create_workflow("w")

    assert len({request.headers["idempotency-key"] for request in hub.requests}) == 1
    assert len({request.headers["x-request-id"] for request in hub.requests}) == 1


def test_two_writes_have_two_keys():
    hub = FakeHub(answer(201, {}))
    client = hub.client()

    client.create_workflow("w")
    client.create_workflow("w")

    assert len({request.headers["idempotency-key"] for request in hub.requests}) == 2


def test_retry_after_is_honoured():
    busy = problem(503, "circuit_open", "Open.", service="s", headers={"retry_after": "9"})
    hub = FakeHub(busy, answer(200, {}))

    hub.client().get_service("s")

    assert hub.slept == [9.0]


def test_retry_after_of_more_than_a_minute_is_not_waited_for():
    hub = FakeHub(problem(503, "circuit_open", "Open.", service="s", headers={"retry_after": "61"}))

    with pytest.raises(ServiceUnavailableError) as caught:
        hub.client().get_service("s")

    assert (caught.value.service_name, caught.value.retry_after) == ("s", 61.0)
    assert hub.slept == []


@pytest.mark.parametrize("status", [400, 401, 404, 409, 429, 500, 504])
def test_what_another_attempt_cannot_mend_is_not_retried(status):
    hub = FakeHub(answer(status))

    with pytest.raises(Exception, match="status"):
        hub.client().create_workflow("w")

    assert len(hub.requests) == 1


def test_error_of_the_called_service_is_not_an_outage_of_the_hub():
    hub = FakeHub(problem(502, "service_error", "It answered 500.", service="planner"))

    with pytest.raises(ServiceCallError) as caught:
        hub.client().execute_service_action("planner", "plan")

    assert caught.value.service_name == "planner"
    assert len(hub.requests) == 1


def test_repeated_delete_that_finds_nothing_has_done_its_work():
    hub = FakeHub(httpx2.ReadError("cut"), problem(404, "not_found", "No."))

    answered = hub.client().delete_workflow("w")

    assert answered["deleted"] is True


@pytest.mark.django_db(transaction=True)
def test_secrets_whose_answers_are_lost_are_set_once(live_server):
    """A hub that commits and then loses its answer: the retry is told the first answer."""
    _, key = factories.make_key("SECRET_ADMIN")
    with (
        dropping(live_server.url) as (url, writes),
        SyncServiceIntegrationClient(url, api_key=key, sleep=lambda _: None) as client,
    ):
        made = client.create_credential("shop", "HMAC_SIGNATURE", secret={"key": "k" * 20})
        client.rotate_credential("shop", {"key": "l" * 20})
        kinds = list(CredentialEvent.objects.order_by("id").values_list("kind", flat=True))
        assert client.delete_credential("shop")["deleted"]
    assert (made["name"], kinds) == ("shop", ["CREATED", "ROTATED"])
    assert list(writes.values()) == [2, 2, 2]
