from reference_services.faults import FaultSwitch
from reference_services.services import SERVICES


async def test_health_has_the_documented_shape(start_service):
    service = await start_service("planning-system")

    answer = await service.get("/health")

    assert answer.status == 200
    body = await answer.json()
    assert body["status"] == "healthy"
    assert body["database"] is True
    assert body["dependencies"] is True
    assert body["timestamp"] == "2026-11-20T12:00:00+00:00"


async def test_health_of_a_service_without_its_store_is_503(start_service):
    from reference_services.app import STORE

    service = await start_service("planning-system")
    service.app[STORE].close()

    answer = await service.get("/health")

    assert answer.status == 503
    assert (await answer.json())["status"] == "unhealthy"


async def test_missing_field_is_named_in_a_sentence(start_service):
    service = await start_service("project-coordinator")

    answer = await service.post("/projects", json={"description": "nothing else"})

    body = await answer.json()
    assert answer.status == 400
    assert answer.content_type == "application/problem+json"
    assert body["code"] == "validation_error"
    assert body["errors"] == {"name": ["name is required."]}
    assert body["message"] == body["detail"] == "name is required."


async def test_unexpected_field_is_refused_where_the_schema_is_closed(start_service):
    service = await start_service("project-coordinator")

    answer = await service.post("/projects", json={"name": "Shop", "status": "PLANNING"})

    assert answer.status == 400
    assert (await answer.json())["errors"] == {
        "status": ["This action does not know the field status."]
    }


async def test_body_that_is_not_an_object_is_refused(start_service):
    service = await start_service("sentiment-analysis")

    for raw in (b"[1]", b"{", b'{"text": NaN}', b"[" * 100_000):
        answer = await service.post("/analyze", data=raw)
        assert answer.status == 400
        assert (await answer.json())["code"] == "malformed_json"


async def test_body_over_the_limit_is_refused(start_service):
    service = await start_service("sentiment-analysis")

    answer = await service.post("/analyze", json={"text": "x" * 2_000_000})

    assert answer.status == 413
    assert (await answer.json())["code"] == "payload_too_large"


async def test_unknown_path_and_method_are_explained(start_service):
    service = await start_service("sentiment-analysis")

    nowhere = await service.get("/nowhere")
    wrong_method = await service.get("/analyze")

    assert (nowhere.status, (await nowhere.json())["code"]) == (404, "not_found")
    assert wrong_method.status == 405
    assert "/analyze takes POST, not GET." in (await wrong_method.json())["message"]


async def test_request_id_of_the_caller_comes_back(start_service):
    service = await start_service("sentiment-analysis")

    answer = await service.post("/analyze", json={}, headers={"X-Request-ID": "req-1"})

    assert answer.headers["X-Request-ID"] == "req-1"
    assert (await answer.json())["request_id"] == "req-1"


async def test_repeated_idempotency_key_answers_the_recorded_answer(start_service):
    service = await start_service("project-coordinator")
    key = {"Idempotency-Key": "abc"}

    first = await service.post("/projects", json={"name": "Shop"}, headers=key)
    second = await service.post("/projects", json={"name": "Shop"}, headers=key)
    other = await service.post("/projects", json={"name": "Shop"}, headers={})

    assert (await first.json()) == (await second.json())
    assert (await other.json())["project_id"] != (await first.json())["project_id"]


async def test_idempotency_key_with_another_input_is_refused(start_service):
    service = await start_service("project-coordinator")
    key = {"Idempotency-Key": "abc"}
    await service.post("/projects", json={"name": "Shop"}, headers=key)

    answer = await service.post("/projects", json={"name": "Other"}, headers=key)

    assert answer.status == 422
    assert (await answer.json())["code"] == "idempotency_key_reused"


async def test_failed_call_is_not_recorded_under_its_key(start_service):
    service = await start_service("agent-orchestrator")
    key = {"Idempotency-Key": "abc"}
    body = {"status": "COMPLETED"}
    missing = await service.put("/tasks/task-1", json=body, headers=key)
    agents = [{"agent_id": "a", "name": "Ada", "skill": "backend"}]
    await service.post("/assignments", json={"tasks": [{"task_id": "task-1"}], "agents": agents})

    found = await service.put("/tasks/task-1", json=body, headers=key)

    assert missing.status == 404
    assert found.status == 200


async def test_switched_failure_hits_its_actions_only(start_service):
    service = await start_service("model-orchestration")
    fault = {"fail_rate": 1, "status": 503, "actions": ["review_plan"], "message": "Out of order."}

    switched = await service.post("/_fault", json=fault)
    failing = await service.post("/plans/review", json={"tasks": []})
    working = await service.post("/plans/execution", json={"task": "Write a guide"})

    assert (await switched.json())["fail_rate"] == 1
    assert failing.status == 503
    assert (await failing.json())["message"] == "Out of order."
    assert working.status == 200


async def test_empty_fault_switches_back(start_service):
    service = await start_service("sentiment-analysis")
    await service.post("/_fault", json={"fail_rate": 1})

    await service.post("/_fault", json={})

    assert (await service.post("/analyze", json={"text": "fine"})).status == 200
    assert (await (await service.get("/_fault")).json())["fail_rate"] == 0


async def test_fault_with_unknown_action_or_field_is_refused(start_service):
    service = await start_service("sentiment-analysis")

    unknown = await service.post("/_fault", json={"actions": ["sing"]})
    misspelt = await service.post("/_fault", json={"fail_rat": 1})

    assert unknown.status == misspelt.status == 400
    assert "there are analyze" in (await unknown.json())["errors"]["actions"][0]


async def test_latency_is_waited_before_the_answer(start_service):
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    service = await start_service("sentiment-analysis", faults=FaultSwitch(sleep=sleep))
    await service.post("/_fault", json={"latency_ms": 1500})

    answer = await service.post("/analyze", json={"text": "fine"})

    assert answer.status == 200
    assert waited == [1.5]


async def test_fault_ends_by_itself_after_its_seconds(start_service):
    now = [0.0]
    faults = FaultSwitch(clock=lambda: now[0])
    service = await start_service("sentiment-analysis", faults=faults)
    await service.post("/_fault", json={"fail_rate": 1, "for_seconds": 60})
    before = await service.post("/analyze", json={"text": "fine"})

    now[0] = 60.0
    after = await service.post("/analyze", json={"text": "fine"})

    assert (before.status, after.status) == (503, 200)


def test_every_action_registers_with_both_schemas():
    assert len(SERVICES) == 11
    for service in SERVICES.values():
        for action in service.actions:
            registered = action.registration()
            assert registered["method"] in {"GET", "POST", "PUT"}
            assert registered["path"].startswith("/")
            assert registered["input_schema"]["type"] == "object"
            assert registered["output_schema"]["type"] == "object"
