"""The command line, against a hub that answers over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from core.roles import SCOPES
from model_orchestration import catalog
from model_orchestration.models import Model, ModelBudget, ModelRoute
from monitoring.findings import Finding
from monitoring.incidents import open_incidents
from monitoring.models import Slo, StatusPage, Subject
from registry.models import ServiceInstance
from service_integration_client.cli.app import root
from service_integration_client.cli.session import Session
from tests import factories
from tests.support.alerts import make_channel, receiver
from tests.support.connections import make_connection
from tests.support.credentials import make_credential
from tests.support.engine import ScriptedClient, running_engine
from tests.support.integrations import echoing, make_integration, own_client, serving
from tests.support.model_providers import provider_server
from workflows.services import create_webhook

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]
Run = Callable[..., Result]

GREET = {
    "name": "greet",
    "description": "Greets.",
    "steps": [
        {"id": "both", "type": "PARALLEL", "branches": [
            [{"id": "hello", "type": "TRANSFORM", "output": {"t": "$.input.name"}, "next": None}],
            [{"id": "bye", "type": "TRANSFORM", "output": {"text": "Bye."}, "next": None}],
        ], "next": "end"},
        {"id": "end", "type": "TRANSFORM", "output": {"said": "$.input.name"}, "next": None},
    ],
}  # fmt: skip
FAILING = {
    "name": "bad",
    "steps": [{"id": "no", "type": "FAIL", "error": {"message": "It cannot."}}],
}
ASKING = {
    "name": "ask",
    "steps": [{"id": "may-i", "type": "APPROVAL", "assignees": ["operators"], "next": None}],
}
LISTENING = {
    "name": "listen",
    "steps": [{"id": "ear", "type": "EVENT", "event": "word", "next": None}],
}


@pytest.fixture
def run(live_server: Any) -> Run:
    _, key = factories.make_key()

    def run_command(
        *arguments: str,
        key: str = key,
        url: str = "",
        secrets: dict[str, str] | None = None,
        **options: Any,
    ) -> Result:
        where = {"SERVICE_INTEGRATION_URL": url or live_server.url, **(secrets or {})}
        environment = {**where, "SERVICE_INTEGRATION_API_KEY": key}
        return CliRunner().invoke(root, list(arguments), env=environment, **options)

    return run_command


@pytest.fixture
def working() -> Iterator[None]:
    """A worker that looks by itself, as a hint or the sweep would make it look."""
    stop = threading.Event()
    with running_engine(ScriptedClient()) as engine:

        def look() -> None:
            while not stop.wait(0.05):
                engine.look()

        looking = threading.Thread(target=look)
        looking.start()
        try:
            yield
        finally:
            stop.set()
            looking.join()


def write(folder: Path, *documents: dict[str, Any]) -> Path:
    for document in documents:
        (folder / f"{document['name']}.json").write_text(json.dumps(document))
    return folder


def parsed(result: Result) -> Any:
    return json.loads(result.stdout)


# --- Services ---


def test_services_are_listed_and_shown(run: Run) -> None:
    factories.make_service("planner", urls=("http://planner:8000",), actions=("plan",))
    listed = run("services", "list")
    assert listed.exit_code == 0
    assert "planner" in listed.stdout
    assert "http://planner:8000" in listed.stdout
    shown = run("services", "show", "planner")
    assert "plan" in shown.stdout
    assert "SIGN OF LIFE" in shown.stdout
    assert "answered" not in shown.stdout
    ServiceInstance.objects.update(last_answer_at=datetime.now(UTC) + timedelta(seconds=1))
    assert "answered" in run("services", "show", "planner").stdout
    assert parsed(run("services", "show", "planner", "--json"))["name"] == "planner"


def test_services_are_registered_called_and_put_under_maintenance(run: Run, tmp_path: Path) -> None:
    with own_client(), echoing() as (service, _):
        url = service.instances.get().url
        actions = tmp_path / "actions.json"
        actions.write_text('[{"name": "echo", "method": "POST", "path": "/echo"}]')
        made = run(
            "services", "register", "twin", url, "--type", "custom", "--tag", "a", "--tag", "b",
            "--metadata", "size=3", "--metadata", "codename=Infinity", "--ttl", "60",
            "--actions-file", str(actions), "--version", "1.2", "--json",
        )  # fmt: skip
        registered = parsed(made)
        assert (registered["tags"], registered["version"]) == (["a", "b"], "1.2")
        assert registered["metadata"] == {"size": 3, "codename": "Infinity"}
        called = run("services", "call", "twin", "echo", "--input", "text=Hello.")
        assert called.exit_code == 0, called.output
        assert "Hello." in called.stdout
    begun = run("services", "maintenance", "twin", "--reason", "Moving.")
    assert ("MAINTENANCE" in begun.stdout, "Moving." in begun.stdout) == (True, True)
    end = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    until = run("services", "maintenance", "twin", "--until", end)
    assert f"until {end[:10]}" in until.stdout, until.output
    ended = run("services", "maintenance", "twin", "--off").stdout
    assert ("ONLINE" in ended, "Moving." in ended) == (True, False)
    both = run("services", "maintenance", "twin", "--off", "--until", "2099-01-01T00:00:00Z")
    assert both.exit_code == 2


def test_health_shows_the_unwell_first(run: Run) -> None:
    for name, status in (
        ("a-fine", "ONLINE"), ("b-kept", "MAINTENANCE"), ("c-sick", "DEGRADED"),
        ("d-gone", "OFFLINE"), ("e-new", "UNKNOWN"), ("f-gone", "OFFLINE"),
    ):  # fmt: skip
        factories.make_service(name, status=status)
    shown = run("health").stdout
    expected = ["d-gone", "f-gone", "c-sick", "e-new", "b-kept", "a-fine"]
    assert sorted(expected, key=shown.index) == expected


OPTIONS_OF_ALL = (("--url", "{url}"), ("--api-key", "{key}"), ("--timeout", "5"), ("--json",))


@pytest.mark.parametrize("position", range(3))
def test_options_of_all_commands_stand_before_or_behind_them(
    live_server: Any, position: int
) -> None:
    where = {"url": live_server.url, "key": factories.make_key()[1]}
    options = [part.format(**where) for option in OPTIONS_OF_ALL for part in option]
    line = ["services", "list"]
    wrong = {"SERVICE_INTEGRATION_URL": "http://127.0.0.1:9", "SERVICE_INTEGRATION_API_KEY": "x"}
    result = CliRunner().invoke(root, [*line[:position], *options, *line[position:]], env=wrong)
    assert (result.exit_code, result.stdout) == (0, "[]\n"), result.output


def test_an_option_behind_a_command_comes_before_those_before_it(run: Run) -> None:
    twice = ("--url", "http://127.0.0.1:9", "services", "list", "--url", "nonsense")
    assert run(*twice).exit_code == 2
    assert run("--timeout", "-1", "services", "list", "--timeout", "5").exit_code == 0
    assert run("--timeout", "nan", "services", "list").exit_code == 2


def test_a_list_says_when_there_is_more(run: Run) -> None:
    for number in range(3):
        factories.make_service(f"s{number}")
    assert "2 of 3: --limit shows more." in run("services", "list", "--limit", "2").stdout
    assert len(parsed(run("services", "list", "--limit", "2", "--json"))) == 2


def test_long_lists_are_read_page_by_page(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service_integration_client.cli.session.PAGE", 2)
    for number in range(5):
        factories.make_service(f"s{number}")
    assert len(parsed(run("services", "list", "--json"))) == 5


def test_discovery_finds_what_fits(run: Run) -> None:
    factories.make_service("planner", type="PLANNING_SYSTEM", urls=("http://planner:8000",))
    assert "planner" in run("discover", "PLANNING_SYSTEM").stdout
    assert "None." in run("discover", "--metadata", "a=b").stdout
    assert "planner" in run("discover", "planning_system", "--one").stdout
    assert run("discover", "--one").exit_code == 2
    assert run("discover", "--metadata", "nonsense").exit_code == 2
    assert run("discover", "WEB_DASHBOARD", "--one").exit_code == 1


def test_health_tells_by_its_exit_code(run: Run) -> None:
    factories.make_service("planner", urls=("http://planner:8000",))
    one = run("health", "planner")
    assert (one.exit_code, "ONLINE" in one.stdout) == (0, True)
    assert "last heartbeat or registration" in one.stdout
    factories.make_service("lonely")
    assert run("health", "lonely").exit_code == 1
    system = run("health")
    assert "planner" in system.stdout


# --- Workflows ---


def test_files_are_applied_once(run: Run, tmp_path: Path) -> None:
    folder = str(write(tmp_path, GREET, FAILING))
    assert run("workflows", "apply", folder, "--dry-run").stdout.count("created") == 2
    assert run("workflows", "list").stdout.strip() == "None."
    assert run("workflows", "apply", folder).stdout.count("created") == 2
    assert run("workflows", "apply", folder).stdout.count("unchanged") == 2
    write(tmp_path, {**GREET, "description": "Greets well."})
    (changed,) = [
        d for d in parsed(run("workflows", "apply", folder, "--json")) if d["name"] == "greet"
    ]
    assert (changed["outcome"], changed["version"]) == ("changed", 1)
    listed = run("workflows", "list").stdout
    assert "greet" in listed
    assert "ACTIVE" in listed


def test_what_a_file_no_longer_says_is_taken_away(run: Run, tmp_path: Path) -> None:
    metadata = {"team": "a", "city": "b"}
    run(
        "workflows",
        "apply",
        str(write(tmp_path, {**GREET, "concurrency": 2, "metadata": metadata})),
    )
    write(tmp_path, {**GREET, "metadata": {"team": "a"}})
    assert '-  "concurrency": 2' in run("workflows", "diff", str(tmp_path)).stdout
    assert "changed" in run("workflows", "apply", str(tmp_path)).stdout
    stored = parsed(run("workflows", "show", "greet", "--json"))
    assert (stored.get("concurrency"), stored["metadata"]) == (None, {"team": "a"})
    assert "unchanged" in run("workflows", "apply", str(tmp_path)).stdout


def test_what_is_shown_can_be_applied(run: Run, tmp_path: Path) -> None:
    run("workflows", "apply", str(write(tmp_path, GREET)))
    shown = tmp_path / "shown.json"
    shown.write_text(run("workflows", "show", "greet").stdout)
    assert "No difference." in run("workflows", "diff", str(shown)).stdout
    assert "id" in parsed(run("workflows", "show", "greet", "--json"))


def test_a_difference_is_shown_and_is_no_success(run: Run, tmp_path: Path) -> None:
    run("workflows", "apply", str(write(tmp_path, GREET)))
    write(tmp_path, {**GREET, "description": "Other."})
    result = run("workflows", "diff", str(tmp_path))
    assert result.exit_code == 1
    assert '-  "description": "Greets.",' in result.stdout
    assert '+  "description": "Other.",' in result.stdout


def test_every_fault_of_a_file_is_told(run: Run, tmp_path: Path) -> None:
    bad = {"name": "bad", "steps": [{"id": "a", "type": "NOPE", "next": "nowhere"}]}
    result = run("workflows", "validate", str(write(tmp_path, bad, GREET)))
    assert result.exit_code == 1
    assert "steps[0].type" in result.stdout
    assert "valid" in result.stdout
    applied = run("workflows", "apply", str(tmp_path / "bad.json"))
    assert applied.exit_code == 1
    assert "steps[0].type" in applied.stderr


@pytest.mark.parametrize("text", ["{", "3", "{}"])
def test_files_that_are_none_are_wrong_usage(run: Run, tmp_path: Path, text: str) -> None:
    path = tmp_path / "w.json"
    path.write_text(text)
    assert run("workflows", "apply", str(path)).exit_code == 2


def test_an_empty_folder_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    assert "no .json file" in run("workflows", "apply", str(tmp_path)).stderr


def test_a_list_of_steps_can_be_checked(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "steps.json"
    path.write_text(json.dumps(GREET["steps"]))
    assert run("workflows", "validate", str(path)).exit_code == 0


@pytest.mark.usefixtures("working")
def test_a_run_shows_its_steps_and_its_output(run: Run, tmp_path: Path) -> None:
    run("workflows", "apply", str(write(tmp_path, GREET)))
    result = run("workflows", "run", "greet", "--input", "name=Ada")
    assert result.exit_code == 0, result.output
    assert "0/hello" in result.stdout
    assert '"said": "Ada"' in result.stdout
    piped = run("workflows", "run", "greet", "--json", "--input-file", "-", input='{"name": "Bo"}')
    assert parsed(piped)["output"] == {"said": "Bo"}


@pytest.mark.usefixtures("working")
def test_a_run_that_fails_exits_with_one(run: Run, tmp_path: Path) -> None:
    run("workflows", "apply", str(write(tmp_path, FAILING)))
    result = run("workflows", "run", "bad", "--correlation-id", "c-1")
    assert result.exit_code == 1
    assert "It cannot." in result.stdout
    assert "null" not in result.stdout
    (row,) = parsed(run("executions", "list", "--correlation-id", "c-1", "--json"))
    assert run("executions", "follow", row["id"]).exit_code == 1
    assert run("executions", "retry", row["id"], "--follow").exit_code == 1
    assert run("executions", "retry", row["id"]).exit_code == 0


@pytest.mark.usefixtures("working")
def test_a_run_is_drawn_anew_for_a_person(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "is_live", True)
    run("workflows", "apply", str(write(tmp_path, GREET)))
    result = run("workflows", "run", "greet", "--input", 'name="Ada"')
    assert (result.exit_code, "COMPLETED" in result.stdout) == (0, True)


@pytest.mark.usefixtures("working")
def test_people_decide_and_signal_from_the_command_line(run: Run, tmp_path: Path) -> None:
    run("workflows", "apply", str(write(tmp_path, LISTENING)))
    started = run("workflows", "run", "listen", "--detach").stdout.strip()
    assert run("executions", "pause", started).exit_code == 0
    assert run("executions", "resume", started).exit_code == 0
    assert run("executions", "signal", started, "word", "--data", "n=3").exit_code == 0
    followed = parsed(run("executions", "follow", started, "--json"))
    assert followed["output"] == {"n": 3}


def test_decisions_of_people_reach_the_hub(run: Run, tmp_path: Path) -> None:
    run("workflows", "apply", str(write(tmp_path, ASKING)))
    started = run("workflows", "run", "ask", "--detach").stdout.strip()
    for word in ("approve", "reject"):
        result = run("executions", word, started, "may-i", "--comment", "why not")
        assert result.exit_code == 1
        assert "may-i" in result.stderr


def test_executions_are_listed_shown_and_cancelled(run: Run, tmp_path: Path) -> None:
    run("workflows", "apply", str(write(tmp_path, GREET)))
    first = run("workflows", "run", "greet", "--detach").stdout.strip()
    run("workflows", "run", "greet", "--detach")
    listed = run("executions", "list", "--workflow", "greet", "--limit", "1")
    assert "1 of 2" in listed.stdout
    assert "greet" in run("executions", "show", first).stdout
    assert "CANCELLED" in run("executions", "cancel", first, "--reason", "no need").stdout
    again = run("executions", "cancel", first)
    assert again.exit_code == 1
    assert "cannot be cancelled" in again.stderr


@pytest.mark.usefixtures("working")
def test_an_execution_is_run_again_and_tells_what_happened(run: Run, tmp_path: Path) -> None:
    run("workflows", "apply", str(write(tmp_path, GREET)))
    first = run("workflows", "run", "greet", "--input", "name=Ada", "--detach").stdout.strip()
    assert run("executions", "follow", first).exit_code == 0
    step_input = tmp_path / "step.json"
    step_input.write_text("{}")
    again = run("executions", "rerun", first, "--from-step", "end", "--input", "name=Bo", "--json")
    rerun = parsed(again)
    assert (rerun["rerun_of"], rerun["input"]) == (first, {"name": "Bo"})
    followed = run("executions", "rerun", first, "--version", "newest", "--follow", "--json")
    assert parsed(followed)["output"] == {"said": "Ada"}
    edited = run("executions", "rerun", first, "--step-input-file", str(step_input))
    assert (edited.exit_code, "only an ACTION" in edited.stderr) == (1, True)
    assert run("executions", "rerun", first, "--version", "1_0").exit_code == 2
    assert run("executions", "rerun", first, "--version", "1").exit_code == 0
    shown = run("executions", "events", first).stdout
    assert shown.index("STARTED") < shown.index("COMPLETED")
    (event,) = parsed(run("executions", "events", rerun["id"], "--limit", "1", "--json"))
    assert event["payload"]["from_step"] == "end"


@pytest.mark.usefixtures("working")
def test_a_rerun_that_fails_again_exits_with_one(run: Run, tmp_path: Path) -> None:
    run("workflows", "apply", str(write(tmp_path, FAILING)))
    first = run("workflows", "run", "bad", "--detach").stdout.strip()
    run("executions", "follow", first)
    assert run("executions", "rerun", first, "--follow").exit_code == 1


def test_many_executions_are_counted_asked_for_and_worked_off(run: Run, tmp_path: Path) -> None:
    run("workflows", "apply", str(write(tmp_path, GREET)))
    for _ in range(2):
        run("workflows", "run", "greet", "--detach")
    these = ("--workflow", "greet", "--status", "pending")
    counted = parsed(run("bulk", "run", "pause", *these, "--dry-run", "--json"))
    assert counted == {"action": "pause", "count": 2}
    refused = run("bulk", "run", "pause", *these, input="n\n")
    assert (refused.exit_code, "Pause 2 executions?" in refused.stderr) == (1, True)
    assert parsed(run("bulk", "list", "--json")) == []
    asked = run("bulk", "run", "pause", *these, "--reason", "tests", input="y\n")
    assert asked.exit_code == 0, asked.output
    started = parsed(run("bulk", "run", "cancel", *these, "--yes", "--json"))
    assert (started["action"], started["total"]) == ("CANCEL", 2)
    assert "tests" in run("bulk", "list").stdout
    assert started["id"] in run("bulk", "show", started["id"]).stdout
    assert "CANCEL" in run("bulk", "cancel", started["id"]).stdout
    assert run("bulk", "run", "delete", *these).exit_code == 2


# --- Schedules ---


def test_schedules_are_made_switched_run_and_deleted(run: Run, tmp_path: Path) -> None:
    run("workflows", "apply", str(write(tmp_path, GREET)))
    made = run(
        "schedules", "create", "daily", "greet", "--cron", "0 6 * * *",
        "--timezone", "Europe/Berlin", "--input", "name=Ada",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    listed = run("schedules", "list", "--workflow", "greet", "--enabled").stdout
    assert ("daily" in listed, "Europe/Berlin" in listed) == (True, True)
    assert parsed(run("schedules", "show", "daily", "--json"))["input"] == {"name": "Ada"}
    assert "DISABLED" in run("schedules", "disable", "daily").stdout
    assert run("schedules", "list", "--enabled").stdout.strip() == "None."
    assert "ACTIVE" in run("schedules", "enable", "daily").stdout
    assert parsed(run("schedules", "run", "daily", "--json"))["outcome"] == "STARTED"
    history = run("schedules", "history", "daily", "--outcome", "started").stdout
    assert "MANUAL" in history
    ticks = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-03T00:00:00Z")
    counted = run("schedules", "backfill", "daily", *ticks, "--dry-run", "--json")
    assert parsed(counted)["count"] == 2
    assert run("schedules", "delete", "daily").exit_code == 0
    assert run("schedules", "show", "daily").exit_code == 1
    wrong = run("schedules", "create", "x", "greet", "--cron", "nonsense")
    assert (wrong.exit_code, "cron" in wrong.stderr) == (1, True)


# --- API keys ---


def test_keys_are_issued_once_listed_and_revoked(run: Run) -> None:
    admin = factories.make_key(name="admin", scopes=sorted(SCOPES))[1]
    made = run(
        "keys", "create", "deploy", "--role", "viewer",
        "--network", "127.0.0.0/8", "--expires-at", "2099-01-01T00:00:00Z", "--json", key=admin,
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    key = parsed(made)["key"]
    assert run("services", "list", key=key).exit_code == 0
    listed = run("keys", "list", "--role", "viewer", "--state", "usable", key=admin).stdout
    assert ("deploy" in listed, key in listed) == (True, False)
    shown = parsed(run("keys", "show", "deploy", "--json", key=admin))
    assert ("key" in shown, shown["networks"]) == (False, ["127.0.0.0/8"])
    run("keys", "create", "narrow", "--scope", "workflows:read", key=admin)
    narrow = parsed(run("keys", "show", "narrow", "--json", key=admin))
    assert narrow["effective_scopes"] == ["workflows:read"]
    assert "REVOKED" in run("keys", "revoke", "deploy", key=admin).stdout
    assert run("services", "list", key=key).exit_code == 4
    assert run("keys", "delete", "deploy", key=admin).exit_code == 0
    viewer = factories.make_key("VIEWER", name="viewer")[1]
    assert run("keys", "create", "mine", "--role", "admin", key=viewer).exit_code == 4


# --- Circuit breakers ---


def test_breakers_are_listed_and_controlled(run: Run) -> None:
    service = factories.make_service("planner", urls=("http://planner:8000",))
    instance = str(service.instances.get().pk)
    assert run("breakers", "open", instance, "--reason", "tests").exit_code == 0
    assert "FORCED_OPEN" in run("breakers", "list").stdout
    for word, state in (
        ("close", "CLOSED"), ("open", "FORCED_OPEN"), ("disable", "DISABLED"), ("reset", "CLOSED"),
    ):  # fmt: skip
        result = run("breakers", word, instance, "--reason", "because")
        assert (result.exit_code, state in result.stdout) == (0, True), result.output
    assert run("breakers", "open", instance).exit_code == 2


# --- Connections, credentials, integrations, webhooks, incidents ---


def test_connections_are_listed_tested_and_switched_off(run: Run) -> None:
    with serving(web.Application) as url:
        make_connection(name="billing", base_url=url)
        make_connection(name="nobody", base_url="http://127.0.0.1:9")
        assert "billing" in run("connections", "list", "--type", "http").stdout
        assert parsed(run("connections", "show", "billing", "--json"))["base_url"] == url
        shown = run("connections", "show", "billing")
        assert (shown.exit_code, url in shown.stdout) == (0, True)
        answered = parsed(run("connections", "test", "billing", "--json"))
        assert answered["answered"]
    failed = run("connections", "test", "nobody")
    assert failed.exit_code == 1
    assert "what to do" in failed.stdout
    assert run("connections", "disable", "nobody").exit_code == 2
    assert "DISABLED" in run("connections", "disable", "nobody", "--reason", "Moving.").stdout
    refused = run("connections", "test", "nobody")
    assert (refused.exit_code, "Moving." in refused.stderr) == (1, True)
    assert "DISABLED" not in run("connections", "enable", "nobody").stdout
    assert run("connections", "show", "missing").exit_code == 1


def test_credentials_are_shown_and_rotated_without_their_secrets(run: Run, tmp_path: Path) -> None:
    make_credential("BEARER_TOKEN", name="billing-token")
    assert "USABLE" in run("credentials", "list", "--type", "bearer_token").stdout
    before = parsed(run("credentials", "show", "billing-token", "--json"))["fingerprint"]
    secret = tmp_path / "secret.json"
    secret.write_text('{"token": "another-0123456789"}')
    admin = factories.make_key("SECRET_ADMIN", name="admin")[1]
    rotate = ("credentials", "rotate", "billing-token", "--never-expires", "--secret-file")
    rotated = run(*rotate, str(secret), "--json", key=admin)
    assert rotated.exit_code == 0, rotated.output
    assert parsed(rotated)["fingerprint"] != before
    assert "another" not in rotated.output
    piped = run(*rotate, "-", key=admin, input='{"token": "a-third-one-0123456789"}')
    assert (piped.exit_code, "a-third-one" in piped.output) == (0, False)
    assert run(*rotate, "-", input="no JSON").exit_code == 2
    viewer = factories.make_key("VIEWER", name="viewer")[1]
    assert run(*rotate, str(secret), key=viewer).exit_code == 4


def test_integrations_are_executed_and_have_a_history(run: Run) -> None:
    with own_client(), echoing() as (service, behaviour):
        make_integration(
            factories.caller(), service, "echo", name="chat",
            request_mapping={"text": "$.input.title"},
        )  # fmt: skip
        assert service.name in run("integrations", "list", "--status", "active").stdout
        assert "$.input.title" in run("integrations", "show", "chat").stdout
        executed = run("integrations", "execute", "chat", "--input", "title=Hello.")
        assert executed.exit_code == 0, executed.output
        assert json.loads(executed.stdout)["got"] == {"text": "Hello."}
        behaviour["status"] = 400
        failed = run("integrations", "execute", "chat", "--input-file", "-", input='{"title": 1}')
        assert failed.exit_code == 1
    history = run("integrations", "history", "chat")
    assert ("COMPLETED" in history.stdout, "FAILED" in history.stdout) == (True, True)
    assert len(parsed(run("integrations", "history", "chat", "--limit", "1", "--json"))) == 1
    assert run("integrations", "execute", "nothing").exit_code == 1


def test_webhooks_are_listed_with_where_messages_go(run: Run) -> None:
    make_credential("HMAC_SIGNATURE", name="shop", allowed_origins=[])
    create_webhook({"name": "orders", "credential": "shop", "workflow": factories.make_workflow()})
    assert "/webhooks/orders" in run("webhooks", "list", "--effect", "execution").stdout
    assert parsed(run("webhooks", "show", "orders", "--json"))["enabled"] is True
    assert run("webhooks", "history", "orders").stdout.strip() == "None."
    assert run("webhooks", "history", "orders", "--outcome", "nonsense").exit_code == 1


def test_channels_are_seen_and_tested(run: Run) -> None:
    with receiver() as taken:
        make_channel("team", url=taken.url)
        assert "team" in run("alerts", "list").stdout
        assert "SENT" in run("alerts", "test", "team").stdout
        taken.answers = [404]
        refused = run("alerts", "test", "team")
    assert (refused.exit_code, "answered 404" in refused.stdout) == (1, True)
    dead, sent = parsed(run("alerts", "messages", "--json"))
    assert (dead["state"], sent["state"]) == ("DEAD", "SENT")
    assert run("alerts", "retry", sent["id"]).exit_code == 1
    assert "PENDING" in run("alerts", "retry", dead["id"]).stdout


def test_policies_of_escalation_are_made_and_seen(run: Run) -> None:
    make_channel("boss")
    assert "boss" in run("escalations", "create", "hours", "10:boss", "--tag", "money").stdout
    assert "10:boss" in run("escalations", "list").stdout
    assert run("escalations", "create", "other", "boss").exit_code == 2
    assert run("escalations", "create", "other", "10:nobody").exit_code == 1
    assert run("escalations", "delete", "hours").exit_code == 0


def test_silences_are_made_seen_and_ended(run: Run) -> None:
    open_incidents([Finding(Subject.MASS_EXPIRY, "7 of 7 fell silent.")], now=datetime.now(UTC))
    assert "Many instances" in run("silences", "preview", "--subject", "MASS_EXPIRY").stdout
    assert "None." in run("silences", "preview", "--about", "shop").stdout
    made = run("silences", "create", "move", "--subject", "mass_expiry", "--reason", "Known.")
    assert "ACTIVE" in made.stdout
    assert "Many instances" in run("silences", "matched", "move").stdout
    (row,) = parsed(run("incidents", "list", "--json"))
    assert "ACTIVE" in run("incidents", "silence", row["id"], "30").stdout
    assert "move" in run("silences", "list", "--active").stdout
    assert "ENDED" in run("silences", "expire", "move").stdout
    assert run("silences", "expire", "move").exit_code == 1
    assert run("silences", "create", "all").exit_code == 1


def test_uptime_objectives_and_status_pages_are_seen(run: Run) -> None:
    service = factories.make_service("shop")
    Slo.objects.create(name="answers", service=service)
    StatusPage.objects.create(name="outside", visibility="OFF", components=[])
    assert "observed" in run("services", "uptime", "shop", "--window", "7d").stdout
    days = run("services", "uptime-days", "shop", "--window", "7d")
    assert (days.exit_code, "OBSERVED" in days.stdout or "None." in days.stdout) == (0, True)
    assert run("services", "spans", "shop").exit_code == 0
    assert "99.9 %" in run("slos", "list").stdout
    told = run("slos", "status", "answers")
    assert (told.exit_code, "burn above 14.4" in told.stdout) == (0, True)
    assert "/status/outside" in run("status-pages", "list").stdout
    changed = parsed(run("status-pages", "set", "outside", "public", "--json"))
    assert changed["visibility"] == "PUBLIC"
    assert run("status-pages", "set", "outside", "all").exit_code == 2


def test_dependencies_are_said_and_taken_back(run: Run) -> None:
    for name in ("shop", "db"):
        factories.make_service(name)
    made = parsed(run("dependencies", "create", "shop", "db", "--kind", "soft", "--json"))
    assert run("dependencies", "create", "db", "shop").exit_code == 1
    assert "SOFT" in run("dependencies", "list", "--depends-on", "db").stdout
    assert run("dependencies", "list", "--kind", "hard").stdout.strip() == "None."
    assert run("dependencies", "show", made["id"]).exit_code == 0
    assert run("dependencies", "delete", made["id"]).exit_code == 0
    assert run("dependencies", "learned").stdout.strip() == "None."
    assert run("dependencies", "list").stdout.strip() == "None."


def test_incidents_are_seen_and_taken_on(run: Run) -> None:
    assert run("incidents", "list").stdout.strip() == "None."
    open_incidents([Finding(Subject.MASS_EXPIRY, "7 of 7 fell silent.")], now=datetime.now(UTC))
    (row,) = parsed(run("incidents", "list", "--status", "open", "--json"))
    assert "7 of 7 fell silent." in run("incidents", "show", row["id"]).stdout
    assert "ACKNOWLEDGED" in run("incidents", "acknowledge", row["id"]).stdout
    assert run("incidents", "acknowledge", row["id"]).exit_code == 1
    assert run("incidents", "keep", row["id"]).exit_code == 0
    assert run("incidents", "expire", "00000000-0000-0000-0000-000000000000").exit_code == 1


def test_incidents_are_opened_by_hand_and_led_to_their_end(run: Run) -> None:
    row = parsed(run("incidents", "open", "Slow", "--impact", "minor", "--public", "--json"))
    other = parsed(run("incidents", "open", "Slower", "--json"))
    acts = (
        ("update", "We found it.", "--page-status", "identified", "--public"),
        ("describe", "--severity", "critical"),
        ("assign", "ann"),
        ("acknowledge",),
        ("unacknowledge",),
    )
    for name, *arguments in acts:
        assert run("incidents", name, row["id"], *arguments).exit_code == 0
    assert "Part of: Slow" in run("incidents", "merge", other["id"], row["id"]).stdout
    assert "RESOLVED" in run("incidents", "resolve", row["id"], "--resolution", "Done.").stdout
    assert "We found it." in run("incidents", "updates", row["id"]).stdout


# --- Models ---


def test_models_are_listed_asked_and_what_they_used_is_shown(run: Run) -> None:
    with provider_server() as provider, own_client():
        model = Model.objects.create(
            name="small", provider="CUSTOM", capabilities=["CHAT"], cost_per_token="0.001",
            connection=make_connection(name="llm", base_url=provider.url),
        )  # fmt: skip
        ModelRoute.objects.create(name="fast", targets=[{"model": model.name}])
        ModelBudget.objects.create(name="all", scope="ALL", request_limit=1, period="DAY")
        catalog.forget()
        asked = run("models", "chat", "fast", "-", "--system", "Be short.", input="Hello?")
        assert (asked.exit_code, asked.stdout) == (0, "Hello.\n"), asked.output
        roles = [each["role"] for each in provider.received[-1].body["messages"]]
        assert roles == ["system", "user"]
        refused = run("models", "chat", "small", "Again?")
        assert (refused.exit_code, "all" in refused.stderr) == (1, True)
    for command, words in (
        (("list", "--provider", "custom"), ("small", "ACTIVE", "llm")),
        (("show", "small"), ("small", "0.001")),
        (("routes",), ("fast", "PRIORITY", "small")),
        (("budgets", "--scope", "all"), ("all", "DAY")),
        (("usage", "--by", "day,model"), ("DAY", "small", "USD")),
    ):
        shown = run("models", *command)
        assert [word for word in words if word not in shown.stdout] == [], shown.output


# --- Errors ---


def test_exit_codes_tell_what_went_wrong(run: Run) -> None:
    assert run("services", "show", "nobody").exit_code == 1
    assert run("services", "list", "--status", "nonsense").exit_code == 1
    assert run("services", "list", url="nonsense").exit_code == 2
    assert run("services", "list", key="si_unknown_key").exit_code == 4
    viewer = factories.make_key("VIEWER", name="viewer")[1]
    assert run("executions", "cancel", "x", key=viewer).exit_code == 4


def test_a_service_that_is_down_is_not_a_hub_that_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    service = factories.make_service("gone", urls=("http://127.0.0.1:9",), actions=("x",))
    with own_client():
        make_integration(factories.caller(), service, "x", name="lost")
        assert run("integrations", "execute", "lost").exit_code == 1


def test_a_hub_that_is_not_there_is_told_apart(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    result = run("services", "list", url="http://127.0.0.1:9")
    assert result.exit_code == 3
    assert "cannot be reached" in result.stderr


def test_errors_are_json_where_that_was_asked_for(run: Run) -> None:
    result = run("services", "show", "nobody", "--json")
    error = json.loads(result.stderr)
    assert error["code"] == "not_found"
    assert error["request_id"]


def test_no_output_is_cut_or_coloured_in_a_pipe(run: Run) -> None:
    factories.make_service("planner", urls=(f"http://{'long-' * 20}name:8000",))
    listed = run("services", "list").stdout
    assert "\x1b" not in listed
    assert "long-" * 20 in listed


def test_files_are_applied_compared_and_written(run: Run, tmp_path: Path) -> None:
    factories.make_service("shop")
    files = tmp_path / "hub"
    (files / "shop").mkdir(parents=True)
    (files / "shop" / "slos.yaml").write_text("kind: Slo\nname: fast\nspec: {service: shop}\n")
    (files / "team.yml").write_text(
        "kind: Channel\nname: team\nspec: {type: SLACK, secret: {url: {env: HOOK}}}\n"
    )
    source = ("-f", str(files))
    environment = {"HOOK": "http://127.0.0.1:9/services/T0/hidden"}
    planned = run("diff", *source, "--secret", "HOOK", secrets=environment)
    assert planned.exit_code == 1
    assert "+ Slo fast: created" in planned.stdout
    assert "2 created (nothing was done)" in planned.stdout
    assert not Slo.objects.exists()
    refused = run("apply", *source)
    assert refused.exit_code == 1
    assert "team.yml, document 1, Channel team, spec.secret.url: Give the value" in refused.stderr
    done = run("apply", *source, "--secret", "HOOK", secrets=environment)
    assert "2 created" in done.stdout
    assert run("diff", *source).exit_code == 0
    shown = run("export").stdout
    assert "service: shop" in shown
    assert "hidden" not in shown
    written = run("export", "-o", str(tmp_path / "written"), "--kind", "Slo")
    assert written.stdout.strip().endswith("slos.yaml")
    assert [path.name for path in (tmp_path / "written").iterdir()] == ["slos.yaml"]
    (files / "team.yml").unlink()
    assert "left" in run("apply", *source).stdout
    gone = run("apply", "-f", "-", "--prune", input=(files / "shop" / "slos.yaml").read_text())
    assert "- Channel team: deleted" in gone.stdout
    assert run("apply", "-f", str(tmp_path / "none.yaml")).exit_code == 2
    assert "no such variable" in run("apply", *source, "--secret", "NONE_SUCH").stderr
