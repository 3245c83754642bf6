import pytest

from service_integration_client import (
    AsyncServiceIntegrationClient,
    InvalidStepsError,
    ServiceIntegrationClient,
    SyncServiceIntegrationClient,
)
from tests.client.fake_hub import FakeHub, answer, problem


def two_pages():
    first = answer(200, {"items": [{"id": 1}, {"id": 2}], "next": "more"})
    return FakeHub(first, answer(200, {"items": [{"id": 3}], "next": None}))


@pytest.mark.parametrize("kind", [SyncServiceIntegrationClient, ServiceIntegrationClient])
def test_all_pages_are_read_where_reads_are_plain(kind):
    hub = two_pages()
    items = list(hub.client(kind).iter_workflows(status="ACTIVE"))
    assert [item["id"] for item in items] == [1, 2, 3]
    assert hub.paths() == [
        "GET /api/workflows?status=ACTIVE&page=1&per_page=100",
        "GET /api/workflows?status=ACTIVE&page=2&per_page=100",
    ]


async def test_all_pages_are_awaited_where_reads_are():
    client = two_pages().client(AsyncServiceIntegrationClient)
    assert [each["id"] async for each in client.iter_services()] == [1, 2, 3]


def test_pages_are_read_only_as_far_as_needed():
    hub = two_pages()
    assert next(hub.client().iter_services())["id"] == 1
    assert len(hub.requests) == 1


def test_reading_may_begin_at_a_later_page():
    hub = two_pages()
    list(hub.client().iter_executions(page=4, per_page=2, include=None))
    assert hub.paths()[0] == "GET /api/executions?page=4&per_page=2"


@pytest.mark.parametrize(
    ("iterator", "path"),
    [
        ("iter_execution_events", "/api/executions/e/events?include=payload&"),
        ("iter_integration_executions", "/api/registry/integrations/e/executions?"),
        ("iter_webhook_deliveries", "/api/webhooks/e/deliveries?"),
    ],
)
def test_growing_lists_are_read_by_cursor(iterator, path):
    last = answer(200, {"items": [{"id": 3}], "cursor": None})
    hub = FakeHub(answer(200, {"items": [{"id": 1}], "cursor": "abc"}), last)
    items = list(getattr(hub.client(), iterator)("e"))
    assert [item["id"] for item in items] == [1, 3]
    assert hub.paths()[1] == f"GET {path}per_page=100&cursor=abc"


STEPS = [{"id": "a", "service": "s", "action": "x"}, {"id": "b", "type": "WAIT"}]
SERVICE = answer(200, {"name": "s", "actions": [{"name": "x"}]})


def validate(hub, steps):
    return hub.client().validate_workflow_steps(steps)


def test_valid_steps_are_answered_with_what_the_hub_says():
    hub = FakeHub(SERVICE, answer(200, {"valid": True, "errors": {}, "warnings": ["slow"]}))
    assert validate(hub, STEPS)["warnings"] == ["slow"]
    assert "idempotency-key" not in hub.requests[-1].headers


@pytest.mark.parametrize(
    ("hub", "steps", "sentence", "path"),
    [
        (FakeHub(problem(404, "not_found", "No.")), STEPS, "^Service 's' not found$",
         "steps[0].service"),
        (FakeHub(SERVICE), [{"service": "s", "action": "y"}],
         "^Action 'y' not found in service 's'$", "steps[0].action"),
        (FakeHub(answer(200, {"valid": False, "errors": {"steps[0].next": ["No such step."]}})),
         [...], r"^steps\[0\].next: No such step.$", "steps[0].next"),
        (FakeHub(answer(200, {"valid": False})), [], "does not accept", "steps"),
    ],
)  # fmt: skip
def test_fault_of_a_step_is_a_value_error_that_names_it(hub, steps, sentence, path):
    steps = [{} if step is ... else step for step in steps]
    with pytest.raises(ValueError, match=sentence) as caught:
        validate(hub, steps)
    assert isinstance(caught.value, InvalidStepsError)
    assert list(caught.value.validation_errors) == [path]
