"""What the specification's guides promise, over real processes."""

import pytest

import service_integration_client
from tests.support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.once]

QUESTION = {"question": "May we go live?"}


def test_call_goes_to_another_instance_when_one_cannot_be_reached(fleet):
    name = "sentiment-analysis"
    gone = "http://127.0.0.1:9"
    fleet.post(f"/registry/services/{name}/instances", {"url": gone})
    for _ in range(6):
        answer = fleet.post(
            f"/registry/services/{name}/actions/analyze/execute",
            {"input_data": {"text": "A wonderful, excellent day."}},
        )
        assert answer["sentiment"] == "positive"


@pytest.fixture(scope="module")
def project(fleet):
    """A project, created by the workflow."""
    execution = fleet.post(
        "/workflows/project-creation",
        {
            "name": "Booking portal",
            "description": "Design the database. Build the web pages, and test the payment.",
        },
    )
    assert execution["status"] == "COMPLETED", execution["errors"]
    return execution


def find_key(document, key):
    """The first value under a key, wherever it is."""
    if isinstance(document, dict):
        if key in document:
            return document[key]
        document = list(document.values())
    if isinstance(document, list):
        found = (find_key(item, key) for item in document)
        return next((value for value in found if value is not None), None)
    return None


def test_project_creation_plans_and_assigns(project):
    assert find_key(project["output"], "project_id")
    statuses = {step["step_id"]: step["status"] for step in project["steps"]}
    assert statuses == {
        "create-project": "COMPLETED",
        "plan-project": "COMPLETED",
        "keep-simple-plan": "SKIPPED",
    }
    assert project["output"]["assignments"]


CHAT = {"name": "New Project", "status": "PLANNING"}


def test_the_chat_creates_a_project_though_the_coordinator_expects_no_status(fleet):
    execution = fleet.post("/workflows/project-creation", CHAT)
    assert execution["status"] == "COMPLETED", execution["errors"]
    assert [(w["step"], w["fields"]) for w in execution["warnings"]] == [
        ("create-project", ["status"])
    ]


def test_an_integration_strips_or_rejects_the_status_of_the_chat(fleet):
    target = {"service_type": "PROJECT_COORDINATOR", "action": "create_project"}
    for policy, status in (("STRIP", 200), ("REJECT", 422)):
        made = {"name": f"chat-{policy}", "target": target, "unknown_fields": policy}
        fleet.post("/registry/integrations", made)
        path = f"/integrations/chat-{policy}/execute"
        answer = fleet.post(path, {"payload": CHAT}, status=(status,))
        [entry] = fleet.get(f"/integrations/chat-{policy}/executions")["items"]
        if policy == "STRIP":
            assert [w["fields"] for w in answer["warnings"]] == [["status"]]
            assert [w["fields"] for w in entry["warnings"]] == [["status"]]
        else:
            assert (answer["code"], list(answer["errors"])) == ("schema_violation", ["status"])
            assert entry["status"] == "REFUSED"


def test_project_planning_runs_across_the_services(fleet, project):
    execution = fleet.post(
        "/workflows/project-planning", {"project_id": find_key(project["output"], "project_id")}
    )
    assert execution["status"] == "COMPLETED", execution["errors"]
    called = {step["service"] for step in execution["steps"]}
    assert {"project-coordinator", "planning-system", "agent-orchestrator"} <= called


def test_agent_task_execution_updates_the_task(fleet, project):
    task_id = find_key(project["steps"], "task_id")
    execution = fleet.post("/workflows/agent-task-execution", {"task_id": task_id})
    assert execution["status"] == "COMPLETED", execution["errors"]
    task = fleet.post(
        "/registry/services/agent-orchestrator/actions/get_task/execute",
        {"input_data": {"task_id": task_id}},
    )
    assert task["status"].upper() == "COMPLETED"


def test_human_interaction_is_answered_by_an_operator(fleet):
    asked = fleet.post("/workflows/human-interaction/execute", {"input_data": QUESTION})
    path = f"/executions/{asked['id']}"
    until(lambda: waits_for_a_person(fleet, path), "the question is asked")
    fleet.post(f"{path}/steps/ask-a-person/approve", {"form": {"answer": "Yes, at noon."}})
    execution = fleet.ended(asked["id"])
    assert execution["status"] == "COMPLETED", execution["errors"]
    assert execution["output"]["answer"] == "Yes, at noon."
    assert execution["output"]["status"] == "ANSWERED"


def test_a_refusal_is_handed_to_the_agent(fleet):
    asked = fleet.post("/workflows/human-interaction/execute", {"input_data": QUESTION})
    path = f"/executions/{asked['id']}"
    until(lambda: waits_for_a_person(fleet, path), "the question is asked")
    fleet.post(f"{path}/steps/ask-a-person/reject", {"comment": "Not before Monday."})
    execution = fleet.ended(asked["id"])
    assert execution["status"] == "COMPLETED", execution["errors"]
    assert execution["output"]["decision"] == "REJECTED"
    assert "Not before Monday." in execution["output"]["answer"]


def waits_for_a_person(fleet, path):
    steps = fleet.get(f"{path}/steps", per_page=50)["items"]
    return any(s["step_id"] == "ask-a-person" and s["status"] == "WAITING" for s in steps)


@pytest.mark.slow
def test_the_request_for_a_person_is_answered_with_where_to_look_after_a_while(fleet):
    answer = fleet.api.post(
        "/workflows/human-interaction",
        json=QUESTION,
        headers={"X-Request-ID": "req-123"},
        timeout=60,
    )
    assert answer.status_code == 202
    assert answer.headers["Location"].endswith(f"/executions/{answer.json()['id']}")
    assert answer.headers["X-Request-ID"] == "req-123"
    assert answer.json()["context"]["request_id"] == "req-123"


def plan(fleet, project_id):
    return fleet.post("/workflows/project-planning", {"project_id": project_id})


NEVER_REGISTERED = "Service not found: No service of type PLANNING_SYSTEM found"


@pytest.mark.parametrize(
    ("change", "back", "code", "sentence"),
    [
        ({"type": "CUSTOM"}, {"type": "PLANNING_SYSTEM"}, "service_not_found", NEVER_REGISTERED),
        ({"status": "maintenance"}, {"status": "online"}, "service_unavailable", "maintenance"),
    ],
    ids=["there is none", "it is not up"],
)
def test_planning_without_a_planning_system_says_so_and_creation_falls_back(
    fleet, project, change, back, code, sentence
):
    def put(fields):
        path = "/registry/services/planning-system"
        if "status" in fields:
            return fleet.api.put(f"{path}/status", json=fields).raise_for_status()
        return fleet.api.patch(path, json=fields).raise_for_status()

    put(change)
    try:
        project_id = find_key(project["output"], "project_id")
        # Workers remember for two seconds where a service is.
        until(lambda: plan(fleet, project_id)["status"] == "FAILED", "planning fails")
        planning = plan(fleet, project_id)
        creation = fleet.post(
            "/workflows/project-creation", {"name": "Fallback", "description": "."}
        )
    finally:
        put(back)
    assert planning["errors"][0]["code"] == code
    assert sentence in planning["errors"][0]["message"]
    assert creation["status"] == "COMPLETED", creation["errors"]


def test_client_of_a_service_registers_beats_and_leaves(fleet):
    options = {"base_url": f"{fleet.url}/api", "api_key": fleet.key}
    registration = service_integration_client.ServiceRegistration(
        "short-lived", "http://127.0.0.1:9", ttl_seconds=30, **options
    )
    with registration:
        assert fleet.get("/registry/services/short-lived")["status"] == "ONLINE"
    assert fleet.get("/registry/services/short-lived")["status"] == "OFFLINE"
