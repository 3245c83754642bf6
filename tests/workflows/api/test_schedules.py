"""Schedules over the API."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from registry.models import ServiceAction
from tests import factories
from workflows.models import WorkflowExecution, WorkflowSchedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def workflow():
    return factories.make_workflow("report")


def make(api, name="nightly", **fields):
    body = {"name": name, "workflow": "report", "cron": "0 9 * * 1-5", **fields}
    return api.post("/schedules", body)


def test_a_schedule_is_stored_and_says_when_it_runs(api, workflow):
    answer = make(api, timezone="Europe/Berlin", overlap_policy="queue", priority=5)
    assert answer.status_code == 201
    found = answer.json()
    assert (found["workflow_name"], found["version"]) == ("report", None)
    assert (found["overlap_policy"], found["state"], found["priority"]) == ("QUEUE", "ACTIVE", 5)
    assert found["words"] == "At 09:00 on Monday through Friday"
    assert len(found["next_runs"]) == 5
    assert found["next_runs"][0] == found["next_run_at"] > datetime.now(UTC).isoformat()
    assert api.get("/schedules/NIGHTLY").json()["id"] == found["id"]
    assert answer["ETag"] == api.get(f"/schedules/{found['id']}")["ETag"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"cron": "0 9 * *"}, "cron"),
        ({"cron": None}, "cron"),
        ({"timezone": "Berlin"}, "timezone"),
        ({"workflow": "nothing"}, "workflow"),
        ({"version": 7}, "version"),
        ({"priority": -101}, "priority"),
        ({"overlap_policy": "maybe"}, "overlap_policy"),
        ({"name": "preview"}, "name"),
        ({"crom": "x"}, "crom"),
    ],
)
def test_what_is_wrong_is_named(api, workflow, fields, path):
    answer = make(api, **fields)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [path])
    assert not WorkflowSchedule.objects.exists()


def test_a_schedule_is_changed_switched_and_deleted(api, workflow):
    etag = make(api)["ETag"]
    changed = api.patch("/schedules/nightly", {"cron": "30 6 * * *"}, HTTP_IF_MATCH=etag)
    assert changed.json()["words"] == "At 06:30 every day"
    assert api.put("/schedules/nightly", {"priority": 1}, HTTP_IF_MATCH=etag).status_code == 412
    off = api.post("/schedules/nightly/disable").json()
    assert (off["state"], off["next_runs"], off["next_run_at"]) == ("DISABLED", [], None)
    assert api.post("/schedules/nightly/enable").json()["state"] == "ACTIVE"
    assert make(api).status_code == 409
    assert api.delete("/schedules/nightly").status_code == 204
    assert api.get("/schedules/nightly").status_code == 404


def test_a_preview_stores_nothing(api):
    body = {"cron": "*/10 8 * * *", "timezone": "Asia/Tokyo"}
    found = api.post("/schedules/preview", body).json()
    assert len(found["next_runs"]) == 5
    assert found["words"].startswith("Every 10 minutes")
    refused = api.post("/schedules/preview", {"cron": "x"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["cron"])


def test_run_now_answers_the_run_and_lists_it(api, workflow):
    make(api)
    run = api.post("/schedules/nightly/run")
    assert (run.status_code, run.json()["outcome"], run.json()["kind"]) == (
        201,
        "STARTED",
        "MANUAL",
    )
    assert run.json()["execution_id"] == str(WorkflowExecution.objects.get().pk)
    assert api.post("/schedules/nightly/run").status_code == 409
    listed = api.get("/schedules/nightly/runs?outcome=started").json()
    assert [r["execution_status"] for r in listed["items"]] == ["PENDING"]
    assert api.get("/schedules/nightly/runs?cursor=&per_page=1").json()["cursor"] is None


def test_a_run_of_an_inactive_workflow_says_why_it_failed(api):
    factories.make_workflow("report", status="INACTIVE")
    make(api)
    run = api.post("/schedules/nightly/run").json()
    assert (run["outcome"], run["execution_id"]) == ("FAILED", None)
    assert "INACTIVE" in run["reason"]


def test_a_backfill_is_counted_then_made_then_given_up(api, workflow):
    make(api, cron="0 * * * *")
    last = datetime.now(UTC) - timedelta(hours=1)
    body = {"from": (last - timedelta(hours=5)).isoformat(), "to": last.isoformat()}
    counted = api.post("/schedules/nightly/backfill", {**body, "dry_run": True})
    assert (counted.status_code, counted.json()["count"]) == (200, 5)
    assert api.get("/schedules/nightly/runs").json()["total"] == 0
    assert api.post("/schedules/nightly/backfill", body).status_code == 201
    again = api.post("/schedules/nightly/backfill", {**body, "dry_run": True}).json()
    assert (again["count"], again["already_done"], again["first"]) == (0, 5, None)
    assert api.post("/schedules/nightly/backfill/cancel").json() == {"cancelled": 5}
    refused = api.post("/schedules/nightly/backfill", {"from": "soon"})
    assert (refused.status_code, sorted(refused.json()["errors"])) == (400, ["from", "to"])


@pytest.mark.usefixtures("keys_stay_known")
def test_lists_are_filtered_and_cost_the_same_however_long(api, workflow):
    other = factories.make_workflow("other")
    make(api, "a")
    with CaptureQueriesContext(connection) as few:
        api.get("/schedules?per_page=50")
    for number in range(8):
        make(api, f"b{number}", workflow=str(other.pk), enabled=False)
    with CaptureQueriesContext(connection) as many:
        found = api.get("/schedules?per_page=50").json()
    assert (found["total"], len(many)) == (9, len(few))
    assert api.get("/schedules?workflow=other").json()["total"] == 8
    assert api.get("/schedules?enabled=true").json()["total"] == 1
    assert api.get("/schedules?search=B3").json()["total"] == 1


def test_priority_and_the_queue_are_part_of_an_execution(api):
    limited = factories.make_workflow("one")
    limited.current_version.options = {"concurrency": 1}
    limited.current_version.save()
    first = api.post("/workflows/one/execute", {"priority": 7}).json()
    assert first["priority"] == 7
    second = api.post(
        "/workflows/execute", {"workflow": "one", "options": {"priority": 9, "wait": 0}}
    )
    found = second.json()
    assert (found["priority"], found["queued"]) == (9, True)
    assert (found["status"], found["queue_position"]) == ("PENDING", 1)
    for body in ({"priority": 101}, {"priority": "high"}):
        refused = api.post("/workflows/one/execute", body)
        assert (refused.status_code, list(refused.json()["errors"])) == (400, ["priority"])


def test_the_limit_is_part_of_a_definition(api):
    body = {"name": "w", "steps": factories.SIMPLE_STEPS, "concurrency": 3}
    assert api.post("/workflows", body).json()["concurrency"] == 3
    assert api.get("/workflows/w").json()["concurrency"] == 3
    refused = api.put("/workflows/w", {"concurrency": 0})
    assert list(refused.json()["errors"]) == ["concurrency"]


# --- The input that the workflow needs ---

NEEDS_URL = {
    "type": "object",
    "properties": {"url": {"type": "string"}},
    "required": ["url"],
}
EXTRACT = {"id": "extract", "service": "extractor", "action": "extract", "next": None}
SEEN = {"type": "TRANSFORM", "id": "seen", "next": "extract", "output": {"n": 1}}


@pytest.fixture
def extractor():
    service = factories.make_service("extractor")
    answer = {"type": "object", "properties": {"text": {"type": "string"}}}
    for name, needs in (("extract", NEEDS_URL), ("list", {})):
        ServiceAction.objects.create(
            service=service, name=name, path=f"/{name}", input_schema=needs, output_schema=answer
        )


@pytest.mark.parametrize(
    "steps",
    [
        [EXTRACT],
        [SEEN, EXTRACT],
        [{**EXTRACT, "input": {"url": "$.input.url"}}],
        [{"id": "t", "type": "TRANSFORM", "output": {"n": "$.length(input.url)"}, "next": None}],
        [{"id": "p", "type": "PARALLEL", "branches": [[EXTRACT]], "next": None}],
    ],
)
def test_schedule_without_the_input_that_the_workflow_needs_is_refused(api, extractor, steps):
    factories.make_workflow("report", steps)
    refused = make(api, input={"n": 5})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["input"])
    sentence = refused.json()["errors"]["input"][0]
    assert ". Give what the workflow needs" in sentence
    assert "$:" not in sentence
    draft = make(api, input={"n": 5}, enabled=False)
    assert draft.status_code == 201
    assert api.patch("/schedules/nightly", {"enabled": True}).status_code == 400
    given = {"input": {"url": "https://a", "n": "5", "list": [{"host": {"name": "a"}}]}}
    assert api.patch("/schedules/nightly", {"enabled": True, **given}).status_code == 200


@pytest.mark.parametrize(
    "steps",
    [
        # What an earlier step answers may bring it.
        [{**EXTRACT, "id": "first", "action": "list", "next": "extract"}, EXTRACT],
        [{**EXTRACT, "when": "input.url"}],
        [{**EXTRACT, "fallback": {"output": {"text": ""}}}],
        [{**EXTRACT, "service": "not-registered-yet"}],
    ],
)
def test_schedule_is_taken_where_its_input_may_be_enough(api, extractor, steps):
    factories.make_workflow("report", steps)
    assert make(api).status_code == 201


def test_workflow_may_not_come_to_need_what_its_schedules_do_not_give(api, extractor):
    factories.make_workflow("report", [{**EXTRACT, "action": "list"}])
    assert make(api).status_code == 201
    refused = api.patch("/workflows/report", {"steps": [EXTRACT]})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["steps"])
    assert "The schedule 'nightly' gives too little." in refused.json()["detail"]
    assert api.get("/workflows/report").json()["version"] == 1
    api.patch("/schedules/nightly", {"enabled": False})
    assert api.patch("/workflows/report", {"steps": [EXTRACT]}).status_code == 200
    assert api.patch("/workflows/report", {"description": "Needs a url."}).status_code == 200


def test_version_that_needs_more_is_not_made_current_under_a_schedule(api, extractor):
    factories.make_workflow("report", [EXTRACT])
    api.patch("/workflows/report", {"steps": [{**EXTRACT, "action": "list"}]})
    make(api)
    refused = api.post("/workflows/report/versions/1/activate", {})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["steps"])
