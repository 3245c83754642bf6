"""The request that each operation makes, and all of its arguments in it."""

import inspect
import json
from datetime import UTC, datetime

import pytest

from service_integration_client import (
    REMOVE,
    AsyncServiceIntegrationClient,
    ServiceIntegrationClient,
    SyncServiceIntegrationClient,
)
from service_integration_client.requests import make_request
from tests.client.fake_hub import OPERATIONS, FakeHub, answer

STEPS = [{"id": "a", "service": "s", "action": "x", "next": None}]
TARGET = {"service": "project-coordinator", "action": "create_project"}
SECRET = {"key": "s3cret"}

# The operation, its arguments, the request without /api, and its body; ... is any body.
CALLS = [
    # Workflows and executions
    ("create_workflow", ["w", "d", STEPS, {"version": "1.0.0"}], {}, "POST /workflows",
     {"name": "w", "description": "d", "steps": STEPS, "metadata": {"version": "1.0.0"}}),
    ("update_workflow", ["w"], {"name": "v2", "status": "ACTIVE"}, "PATCH /workflows/w",
     {"name": "v2", "status": "ACTIVE"}),
    ("update_workflow", ["w"], {"definition": {"concurrency": None, "timeout": 5}},
     "PATCH /workflows/w", {"concurrency": None, "timeout": 5}),
    ("get_workflows", [], {"status": "ACTIVE", "page": 2, "per_page": 10},
     "GET /workflows?status=ACTIVE&page=2&per_page=10", None),
    ("get_workflow_executions", [], {"workflow_id": "a/b", "status": "COMPLETED"},
     "GET /workflows/a%2Fb/executions?status=COMPLETED&include=input%2Coutput%2Cresult%2Ccontext",
     None),
    ("get_executions", ["FAILED"], {"include": None}, "GET /executions?status=FAILED", None),
    ("get_execution_step", ["e", "s"], {}, "GET /executions/e/steps/s", None),
    ("get_execution_event", ["e", 3], {}, "GET /executions/e/events/3", None),
    ("compare_versions", ["w", 1, 2], {}, "GET /workflows/w/versions/1/compare/2", None),
    ("dry_run_workflow", ["w", {"x": 1}, {"a": {"output": 2}}], {}, "POST /workflows/dry-run",
     {"workflow": "w", "input_data": {"x": 1}, "context": {}, "mocks": {"a": {"output": 2}}}),
    ("get_execution_steps", ["e1"], {},
     "GET /executions/e1/steps?include=input%2Coutput&per_page=50", None),
    ("cancel_execution", ["e"], {}, "POST /executions/e/cancel", {}),
    ("retry_execution", ["e"], {}, "POST /executions/e/retry", {}),
    # Services
    ("register_service", ["s", "d", "http://s:1", [{"name": "a"}], {"version": "1"}], {},
     "POST /registry/services",
     {"name": "s", "description": "d", "url": "http://s:1", "actions": [{"name": "a"}],
      "metadata": {"version": "1"}}),
    ("update_service", ["s"], {"endpoint": "http://s:2", "status": "ACTIVE"},
     "PATCH /registry/services/s", {"url": "http://s:2", "status": "ACTIVE"}),
    ("update_service", ["s"], {"description": None, "tags": REMOVE, "metadata": {"team": None}},
     "PATCH /registry/services/s", {"tags": None, "metadata": {"team": None}}),
    ("heartbeat", ["s"], {"url": "http://s:2", "status": "ONLINE"},
     "POST /registry/services/s/heartbeat", {"url": "http://s:2", "status": "ONLINE"}),
    ("execute_service_action", ["s", "a", {"x": 1}, {"project_id": "p"}], {},
     "POST /registry/services/s/actions/a/execute",
     {"input_data": {"x": 1}, "context": {"project_id": "p"}}),
    ("set_service_status", ["s", "MAINTENANCE"], {"until": datetime(2030, 1, 1, tzinfo=UTC)},
     "PUT /registry/services/s/status",
     {"status": "MAINTENANCE", "until": "2030-01-01T00:00:00+00:00"}),
    ("discover", ["CUSTOM"], {"metadata": {"team": "x"}, "include_offline": False},
     "GET /discovery/services?type=CUSTOM&metadata.team=x&include_offline=false", None),
    ("find_service", ["PLANNING_SYSTEM"], {}, "GET /discovery/services/type/PLANNING_SYSTEM", None),
    ("get_integration_health", [], {}, "GET /health/system", None),
    ("get_service_health", ["s 1"], {}, "GET /registry/services/s%201/health", None),
    # Credentials
    ("create_credential", ["c", "API_KEY"], {"secret": SECRET, "allowed_origins": ["https://a"]},
     "POST /registry/credentials",
     {"name": "c", "type": "API_KEY", "secret": SECRET, "allowed_origins": ["https://a"]}),
    ("update_credential", ["c"], {"description": "d"}, "PATCH /registry/credentials/c",
     {"description": "d"}),
    ("update_credential", ["k"], {"expires_at": REMOVE}, "PATCH /registry/credentials/k",
     {"expires_at": None}),
    ("rotate_credential", ["c", SECRET], {"never_expires": True},
     "POST /registry/credentials/c/rotate", {"secret": SECRET, "expires_at": None}),
    ("get_credentials", ["API_KEY"], {"expiring": 7},
     "GET /registry/credentials?type=API_KEY&expiring=7", None),
    ("get_credential", ["c"], {}, "GET /registry/credentials/c", None),
    ("delete_credential", ["c"], {}, "DELETE /registry/credentials/c", None),
    # Connections
    ("create_connection", ["c", "HTTP", "http://a"], {"credential": "t", "limits": {"a": 2}},
     "POST /registry/connections",
     {"name": "c", "type": "HTTP", "base_url": "http://a", "credential": "t", "limits": {"a": 2}}),
    ("create_connection", ["d", "DATABASE"], {"driver": "MYSQL", "host": "db", "port": 3306},
     "POST /registry/connections",
     {"name": "d", "type": "DATABASE", "driver": "MYSQL", "host": "db", "port": 3306}),
    ("update_connection", ["c"], {"config": {"test_path": "/health"}, "credential": ""},
     "PATCH /registry/connections/c", {"config": {"test_path": "/health"}, "credential": ""}),
    ("update_connection", ["c"], {"limits": REMOVE}, "PATCH /registry/connections/c",
     {"limits": None}),
    ("test_connection", ["c"], {}, "POST /registry/connections/c/test", {}),
    ("disable_connection", ["c", "Too dear."], {}, "POST /registry/connections/c/disable",
     {"reason": "Too dear."}),
    ("enable_connection", ["c"], {}, "POST /registry/connections/c/enable", {}),
    ("get_connections", ["HTTP", "ERROR"], {"search": "or"},
     "GET /registry/connections?type=HTTP&status=ERROR&search=or", None),
    ("get_connection", ["c"], {}, "GET /registry/connections/c", None),
    ("delete_connection", ["c"], {}, "DELETE /registry/connections/c", None),
    ("delete_connection", ["c"], {"force": True}, "DELETE /registry/connections/c?force=true",
     None),
    # Alerts
    ("create_alert_channel", ["team", "NTFY"], {"config": {"topic": "a"}, "services": ["pay-*"]},
     "POST /monitoring/channels",
     {"name": "team", "type": "NTFY", "config": {"topic": "a"}, "services": ["pay-*"]}),
    ("update_alert_channel", ["team"], {"enabled": False}, "PATCH /monitoring/channels/team",
     {"enabled": False}),
    ("test_alert_channel", ["team"], {}, "POST /monitoring/channels/team/test", {}),
    ("get_alert_channels", ["NTFY"], {"search": "te"},
     "GET /monitoring/channels?type=NTFY&search=te", None),
    ("get_alert_channel", ["team"], {}, "GET /monitoring/channels/team", None),
    ("delete_alert_channel", ["team"], {}, "DELETE /monitoring/channels/team", None),
    ("get_alert_messages", ["DEAD"], {"channel": "team"},
     "GET /monitoring/deliveries?state=DEAD&channel=team", None),
    ("get_alert_message", ["m"], {}, "GET /monitoring/deliveries/m", None),
    ("retry_alert_message", ["m"], {}, "POST /monitoring/deliveries/m/retry", {}),
    # Escalation
    ("create_escalation_policy", ["p", [{"after_minutes": 10, "channels": ["boss"]}]],
     {"services": ["pay-*"]}, "POST /monitoring/escalations",
     {"name": "p", "levels": [{"after_minutes": 10, "channels": ["boss"]}],
      "services": ["pay-*"]}),
    ("update_escalation_policy", ["p"], {"enabled": False}, "PATCH /monitoring/escalations/p",
     {"enabled": False}),
    ("delete_escalation_policy", ["p"], {}, "DELETE /monitoring/escalations/p", None),
    ("get_escalation_policy", ["p"], {}, "GET /monitoring/escalations/p", None),
    ("get_escalation_policies", [True], {}, "GET /monitoring/escalations?enabled=true", None),
    # Silences
    ("create_silence", ["move", "2026-12-01T06:00:00Z"], {"services": ["mail-*"]},
     "POST /monitoring/silences",
     {"name": "move", "ends_at": "2026-12-01T06:00:00Z", "services": ["mail-*"]}),
    ("update_silence", ["move"], {"tags": ["db"]}, "PATCH /monitoring/silences/move",
     {"tags": ["db"]}),
    ("expire_silence", ["move"], {}, "POST /monitoring/silences/move/expire", {}),
    ("delete_silence", ["move"], {}, "DELETE /monitoring/silences/move", None),
    ("preview_silence", [], {"about": ["shop"]}, "POST /monitoring/silences/preview",
     {"about": ["shop"]}),
    ("get_silence", ["move"], {}, "GET /monitoring/silences/move", None),
    ("get_silenced_incidents", ["move"], {}, "GET /monitoring/silences/move/incidents", None),
    ("get_silences", [True], {}, "GET /monitoring/silences?active=true", None),
    ("silence_incident", ["i", 30], {"comment": "Known."},
     "POST /monitoring/incidents/i/silence", {"minutes": 30, "comment": "Known."}),
    # Checks
    ("create_check", ["shop", "TCP"], {"url": "tcp://a:1"}, "POST /monitoring/checks",
     {"name": "shop", "kind": "TCP", "url": "tcp://a:1"}),
    ("update_check", ["shop"], {"severity": "WARNING"}, "PATCH /monitoring/checks/shop",
     {"severity": "WARNING"}),
    ("delete_check", ["shop"], {}, "DELETE /monitoring/checks/shop", None),
    ("run_check", ["shop"], {}, "POST /monitoring/checks/shop/run", {}),
    ("rotate_check_token", ["shop"], {}, "POST /monitoring/checks/shop/rotate-token", {}),
    ("pause_check", ["shop"], {}, "POST /monitoring/checks/shop/pause", {}),
    ("resume_check", ["shop"], {}, "POST /monitoring/checks/shop/resume", {}),
    ("preview_check", [200, "x"], {}, "POST /monitoring/preview", {"status": 200, "body": "x"}),
    ("get_check", ["shop"], {}, "GET /monitoring/checks/shop", None),
    ("get_checks", ["TLS"], {"service": "a"}, "GET /monitoring/checks?kind=TLS&service=a", None),
    ("get_check_results", ["shop", "FAIL"], {},
     "GET /monitoring/checks/shop/results?outcome=FAIL", None),
    # Uptime
    ("get_service_uptime", ["shop", "30d"], {"maintenance": "COUNT_UP"},
     "GET /monitoring/services/shop/uptime?window=30d&maintenance=COUNT_UP", None),
    ("get_service_spans", ["shop", "OFFLINE"], {},
     "GET /monitoring/services/shop/spans?status=OFFLINE", None),
    ("get_service_response_times", ["shop", "7d"], {},
     "GET /monitoring/services/shop/response-times?window=7d", None),
    ("get_check_response_times", ["c", "1h"], {},
     "GET /monitoring/checks/c/response-times?window=1h", None),
    # Dependencies
    ("create_dependency", ["shop", "db"], {"kind": "SOFT"}, "POST /monitoring/dependencies",
     {"service": "shop", "depends_on": "db", "kind": "SOFT"}),
    ("delete_dependency", ["d"], {}, "DELETE /monitoring/dependencies/d", None),
    ("get_learned_dependencies", [], {}, "GET /monitoring/dependencies/learned", None),
    ("get_dependency", ["d"], {}, "GET /monitoring/dependencies/d", None),
    ("get_dependencies", ["shop"], {"kind": "HARD"},
     "GET /monitoring/dependencies?service=shop&kind=HARD", None),
    # Files
    ("apply_manifests", [[{"name": "a.yaml", "text": "kind: Slo"}]],
     {"owner": "shop", "prune": True, "secrets": {"A": "b"}}, "POST /manifests/apply",
     {"files": [{"name": "a.yaml", "text": "kind: Slo"}], "owner": "shop", "prune": True,
      "secrets": {"A": "b"}}),
    ("export_manifests", [["Slo"]], {"name": ["a"]}, "GET /manifests/export?kind=Slo&name=a", None),
    # Objectives
    ("create_slo", ["fast", "shop"], {"kind": "LATENCY", "threshold_ms": 300},
     "POST /monitoring/slos",
     {"name": "fast", "service": "shop", "kind": "LATENCY", "threshold_ms": 300}),
    ("update_slo", ["fast"], {"target": 99.5}, "PATCH /monitoring/slos/fast", {"target": 99.5}),
    ("delete_slo", ["fast"], {}, "DELETE /monitoring/slos/fast", None),
    ("get_slo", ["fast"], {}, "GET /monitoring/slos/fast", None),
    ("get_slo_status", ["fast"], {}, "GET /monitoring/slos/fast/status", None),
    ("get_slos", ["LATENCY"], {"service": "shop"},
     "GET /monitoring/slos?kind=LATENCY&service=shop", None),
    # Status pages
    ("create_status_page", ["shop"], {"visibility": "PUBLIC", "components": [{"service": "a"}]},
     "POST /monitoring/status-pages",
     {"name": "shop", "visibility": "PUBLIC", "components": [{"service": "a"}]}),
    ("update_status_page", ["shop"], {"title": "Ours"}, "PATCH /monitoring/status-pages/shop",
     {"title": "Ours"}),
    ("delete_status_page", ["shop"], {}, "DELETE /monitoring/status-pages/shop", None),
    ("get_status_page", ["shop"], {}, "GET /monitoring/status-pages/shop", None),
    ("get_status_pages", ["PUBLIC"], {"search": "sh"},
     "GET /monitoring/status-pages?visibility=PUBLIC&search=sh", None),
    # Maintenance
    ("plan_maintenance", ["disks"], {"tags": ["db"], "cron": "0 2 * * 0", "duration_minutes": 60},
     "POST /monitoring/maintenance",
     {"name": "disks", "tags": ["db"], "cron": "0 2 * * 0", "duration_minutes": 60}),
    ("update_maintenance_window", ["w"], {"public": True}, "PATCH /monitoring/maintenance/w",
     {"public": True}),
    ("delete_maintenance_window", ["w"], {}, "DELETE /monitoring/maintenance/w", None),
    ("extend_maintenance", ["w", 5], {}, "POST /monitoring/maintenance/w/extend", {"minutes": 5}),
    ("cancel_maintenance", ["w"], {"reason": "Rain."}, "POST /monitoring/maintenance/w/cancel",
     {"reason": "Rain."}),
    ("begin_maintenance", [["pay"], 5], {"reason": "Disk."}, "POST /monitoring/maintenance/now",
     {"services": ["pay"], "minutes": 5, "reason": "Disk."}),
    ("finish_maintenance", ["w"], {}, "POST /monitoring/maintenance/w/finish", {}),
    ("get_maintenance_window", ["w"], {}, "GET /monitoring/maintenance/w", None),
    ("get_maintenance_windows", ["IN_PROGRESS"], {},
     "GET /monitoring/maintenance?status=IN_PROGRESS", None),
    # Incidents
    ("open_incident", ["Slow"], {"service": "pay", "impact": "MINOR"}, "POST /monitoring/incidents",
     {"title": "Slow", "service": "pay", "impact": "MINOR"}),
    ("add_incident_update", ["i", "Found."], {"page_status": "IDENTIFIED", "public": True},
     "POST /monitoring/incidents/i/updates",
     {"text": "Found.", "page_status": "IDENTIFIED", "public": True}),
    ("describe_incident", ["i"], {"severity": "CRITICAL"},
     "POST /monitoring/incidents/i/describe", {"severity": "CRITICAL"}),
    ("assign_incident", ["i", "ann"], {}, "POST /monitoring/incidents/i/assign", {"to": "ann"}),
    ("merge_incident", ["i", "j"], {}, "POST /monitoring/incidents/i/merge", {"into": "j"}),
    ("resolve_incident", ["i", "Done."], {}, "POST /monitoring/incidents/i/resolve",
     {"resolution": "Done."}),
    ("unacknowledge_incident", ["i"], {}, "POST /monitoring/incidents/i/unacknowledge", {}),
    ("get_incident_updates", ["i"], {"per_page": 5},
     "GET /monitoring/incidents/i/updates?per_page=5", None),
    # Integrations
    ("create_integration", ["chat", TARGET, {"a": "$.input.b"}], {"unknown_fields": "STRIP"},
     "POST /registry/integrations",
     {"name": "chat", "target": TARGET, "request_mapping": {"a": "$.input.b"},
      "unknown_fields": "STRIP"}),
    ("update_integration", ["chat"], {"status": "INACTIVE"}, "PATCH /registry/integrations/chat",
     {"status": "INACTIVE"}),
    ("update_integration", ["i"], {"request_mapping": REMOVE}, "PATCH /registry/integrations/i",
     {"request_mapping": None}),
    ("execute_integration", ["chat", {"title": "a"}, {"user": "b"}], {},
     "POST /registry/integrations/chat/execute",
     {"payload": {"title": "a"}, "context": {"user": "b"}}),
    ("get_integrations", ["SERVICE_CALL", "ACTIVE"], {"source": "web-dashboard"},
     "GET /registry/integrations?type=SERVICE_CALL&status=ACTIVE&source=web-dashboard", None),
    ("get_integration", ["chat"], {}, "GET /registry/integrations/chat", None),
    ("get_integration_executions", ["chat", "FAILED"], {"per_page": 5},
     "GET /registry/integrations/chat/executions?status=FAILED&per_page=5", None),
    ("delete_integration", ["chat"], {}, "DELETE /registry/integrations/chat", None),
    # Models
    ("chat_with_model", ["fast", [{"role": "user", "content": "Hi."}]], {"max_tokens": 9},
     "POST /models/chat",
     {"model": "fast", "messages": [{"role": "user", "content": "Hi."}], "max_tokens": 9}),
    ("embed_with_model", ["e", ["a"]], {"project_id": "p"}, "POST /models/embedding",
     {"model": "e", "texts": ["a"], "project_id": "p"}),
    ("get_model", ["a/b"], {}, "GET /models/a%2Fb", None),
    ("get_models", ["OLLAMA"], {"capability": "CHAT"},
     "GET /models?provider=OLLAMA&capability=CHAT", None),
    ("create_prompt", ["p", [{"role": "user", "content": "{{a}}"}], [{"name": "a"}]], {},
     "POST /models/prompts",
     {"name": "p", "messages": [{"role": "user", "content": "{{a}}"}],
      "variables": [{"name": "a"}]}),
    ("update_prompt", ["p"], {"description": "d"}, "PATCH /models/prompts/p", {"description": "d"}),
    ("delete_prompt", ["p"], {}, "DELETE /models/prompts/p", None),
    ("render_prompt", ["p", {"a": 1}], {"version": 2}, "POST /models/prompts/p/render",
     {"variables": {"a": 1}, "version": 2}),
    ("get_prompt", ["p"], {}, "GET /models/prompts/p", None),
    ("get_prompts", ["sum"], {}, "GET /models/prompts?search=sum", None),
    ("get_model_usage", ["day,model"], {"since": datetime(2030, 1, 1, tzinfo=UTC)},
     "GET /models/usage?group_by=day%2Cmodel&from=2030-01-01T00%3A00%3A00%2B00%3A00", None),
    ("get_model_budgets", ["PROJECT"], {"period": "DAY"},
     "GET /models/budgets?scope=PROJECT&period=DAY", None),
    ("get_model_budget_standing", ["b"], {}, "GET /models/budgets/b/standing", None),
    ("get_model_routes", ["FASTEST"], {}, "GET /models/routes?strategy=FASTEST", None),
    # Webhooks and schedules
    ("create_webhook", ["orders", "shop", "fulfil", {"id": "$.input.id"}], {}, "POST /webhooks",
     {"name": "orders", "credential": "shop", "workflow": "fulfil",
      "mapping": {"id": "$.input.id"}}),
    ("update_webhook", ["orders"], {"enabled": False}, "PATCH /webhooks/orders",
     {"enabled": False}),
    ("update_webhook", ["orders"], {"credential": "shop-2", "old_credential": "shop"},
     "PATCH /webhooks/orders", {"credential": "shop-2", "old_credential": "shop"}),
    ("update_webhook", ["orders"], {"old_credential": ""}, "PATCH /webhooks/orders",
     {"old_credential": ""}),
    ("update_webhook", ["w"], {"old_credential": REMOVE}, "PATCH /webhooks/w",
     {"old_credential": None}),
    ("get_webhooks", ["SIGNAL"], {}, "GET /webhooks?effect=SIGNAL", None),
    ("get_webhook", ["orders"], {}, "GET /webhooks/orders", None),
    ("get_webhook_deliveries", ["orders", "REFUSED"], {},
     "GET /webhooks/orders/deliveries?outcome=REFUSED", None),
    ("delete_webhook", ["orders"], {}, "DELETE /webhooks/orders", None),
    ("update_schedule", ["s"], {"ends_at": None, "priority": 3}, "PATCH /schedules/s",
     {"ends_at": None, "priority": 3}),
]  # fmt: skip
# They change nothing, though they are sent as POST: no key keeps them from being done twice.
QUESTIONS = {
    "run_check",
    "preview_check",
    "test_alert_channel",
    "preview_silence",
    "test_connection",
    "validate_workflow",
    "search_services",
}


@pytest.mark.parametrize(
    ("operation", "arguments", "options", "request_line", "body"),
    CALLS,
    ids=[f"{call[0]}-{call[3]}" for call in CALLS],
)
def test_operation_makes_its_documented_request(operation, arguments, options, request_line, body):
    hub = FakeHub(answer(200, {"id": "x"}))
    getattr(hub.client(), operation)(*arguments, **options)

    method, _, target = request_line.partition(" ")
    assert hub.paths() == [f"{method} /api{target}"]
    assert hub.bodies == ([] if body is None else [body])
    has_key = "idempotency-key" in hub.requests[0].headers
    assert has_key is (method != "GET" and operation not in QUESTIONS)


# Arguments that say how the client waits, or stand for another: they are not sent as they are.
UNSENT = {"wait", "timeout", "raise_on_failure", "idempotency_key", "endpoint", "never_expires"}


def value_for(parameter, number):
    """Return a value of the parameter's type, and the text by which it is known when sent."""
    kind = str(parameter.annotation)
    if parameter.name == "steps" or "list[JsonObject]" in kind:
        return [{"id": f"value-{number}", "type": "WAIT"}], f"value-{number}"
    if "bool" in kind:
        return True, parameter.name
    if "int" in kind or "float" in kind:
        return number, str(number)
    if "list[str]" in kind:
        return [f"value-{number}"], f"value-{number}"
    if "JsonObject" in kind or "dict[" in kind:
        return {"key": f"value-{number}"}, f"value-{number}"
    return f"value-{number}", f"value-{number}"


@pytest.mark.parametrize(
    "name", [name for name in OPERATIONS if not name.startswith(("iter_", "events"))]
)
def test_every_argument_of_an_operation_is_sent(name):
    execution = {"id": "x", "status": "COMPLETED", "valid": True, "value": 1, "actions": []}
    hub = FakeHub(answer(200, execution))
    operation = getattr(hub.client(), name)
    parameters = [
        parameter
        for parameter in inspect.signature(operation).parameters.values()
        if parameter.name not in UNSENT and parameter.kind is not parameter.VAR_KEYWORD
    ]
    values = {
        each.name: value_for(each, number) for number, each in enumerate(parameters, start=701)
    }

    operation(**{argument: value for argument, (value, _) in values.items()})

    sent = hub.paths()[-1] + json.dumps(hub.bodies)
    assert [argument for argument, (_, text) in values.items() if text not in sent] == []


async def test_next_null_of_a_step_is_sent():
    hub = FakeHub(answer(201, {}))
    await hub.client(ServiceIntegrationClient).create_workflow(name="w", steps=STEPS)
    assert hub.bodies[0]["steps"][0]["next"] is None


async def test_created_workflow_is_answered_and_the_key_is_sent():
    hub = FakeHub(answer(201, {"id": "w1"}))
    client = hub.client(ServiceIntegrationClient, api_key="key-1")
    assert await client.create_workflow(name="w", steps=STEPS) == {"id": "w1"}
    sent = hub.requests[0].headers
    assert sent["authorization"] == "Bearer key-1"
    assert len(sent["idempotency-key"]) == 32


def test_secret_is_not_in_the_representation_of_a_request():
    assert "s3cret" not in repr(make_request("POST", "/x", {"secret": SECRET}))


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ("test_connection", {"success": False, "advice": "Nothing listens there."}),
        ("execute_integration", {"output": {"a": 1}, "warnings": []}),
    ],
)
@pytest.mark.parametrize("kind", [ServiceIntegrationClient, AsyncServiceIntegrationClient])
async def test_write_is_awaited_by_every_awaiting_client(kind, operation, result):
    hub = FakeHub(answer(200, result))
    assert await getattr(hub.client(kind), operation)("c") == result


def test_value_of_an_expression_is_the_answer():
    hub = FakeHub(answer(200, {"value": [1], "type": "array"}))
    assert hub.client().evaluate_expression("e1", "input.x", step="a") == [1]
    assert hub.paths() == ["POST /api/executions/e1/evaluate"]
    assert hub.bodies == [{"expression": "input.x", "step": "a"}]


@pytest.mark.parametrize(
    ("operation", "argument"),
    [
        ("delete_workflow", "workflow_id"),
        ("deregister_service", "service_id"),
        ("delete_schedule", "schedule_id"),
    ],
)
def test_delete_answers_what_was_deleted(operation, argument):
    client = FakeHub(answer(204)).client()
    assert getattr(client, operation)(**{argument: "w"}) == {"id": "w", "deleted": True}


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_id_that_would_lead_elsewhere_is_refused(name):
    hub = FakeHub()
    with pytest.raises(ValueError, match="cannot be"):
        hub.client().get_service(name)
    assert hub.requests == []


def test_time_without_a_zone_is_refused():
    hub = FakeHub()
    with pytest.raises(ValueError, match="'until' needs a time zone"):
        hub.client().set_service_status("s", "MAINTENANCE", until=datetime(2030, 1, 1))  # noqa: DTZ001
    assert hub.requests == []


def test_method_of_the_class_takes_the_client_first():
    hub = FakeHub(answer(200, {"id": "w"}))
    assert SyncServiceIntegrationClient.get_workflow(hub.client(), "w") == {"id": "w"}
