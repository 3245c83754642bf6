"""Planted secrets, used and misused, and then looked for wherever anything is kept.

Two of each type, one over the API and one in the admin, or two hundred in all with `--slow`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from django.conf import settings as configuration
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.urls import reverse
from django.views.debug import ExceptionReporter

from core.exceptions import IntegrationError
from integration_site.log_config import RENDERERS
from registry.calls.client import ServiceClient
from registry.calls.targets.resolver import CallTarget
from registry.credentials.grants import grant_actions
from registry.models import Credential, CredentialEvent, Service, ServiceAction
from registry.tasks import sweep_credentials
from tests import factories
from tests.support import servers
from tests.support.canary import TYPES, Cage, Canary, hatch, needles, sightings
from tests.support.credentials import serving
from tests.support.engine import ended, make_workflow, running_engine, start

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("shared_client"),
    pytest.mark.on_servers,
]
ACTIONS = ("/echo", "/refuse", "/refuse-text", "/twice")
AT_ONCE = 20


@dataclass(frozen=True)
class Numbers:
    """How many canaries there are, and how many of them do and show what takes long."""

    planted: int
    connected: int
    in_workflows: int
    pages: int


FEW, MANY = Numbers(14, 7, 7, 7), Numbers(200, 28, 14, 14)


class Haystack:
    """All that was found anywhere, by where."""

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}

    def add(self, place: str, text: str | bytes) -> None:
        data = text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")
        self.parts[place] = self.parts.get(place, b"") + data + b"\n"


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """Everything that is logged, down to DEBUG, as production writes it and as people read it."""
    stream, handlers = io.StringIO(), []
    before = configuration.LOGGING["formatters"]["structured"]["foreign_pre_chain"]
    for renderer in RENDERERS.values():
        handler = logging.StreamHandler(stream)
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=before,
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
            )
        )
        handlers.append(handler)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    for handler in handlers:
        root.addHandler(handler)
    yield stream
    root.setLevel(level)
    for handler in handlers:
        root.removeHandler(handler)


def test_planted_secrets_are_found_nowhere(
    tmp_path: Path, logs: io.StringIO, monkeypatch: pytest.MonkeyPatch, settings: Any, in_full: bool
) -> None:
    numbers = MANY if in_full else FEW
    planted, connected = numbers.planted, numbers.connected
    cage, hay = Cage(tmp_path), Haystack()
    connection.force_debug_cursor = True  # so that every statement is logged with its values
    with serving(cage.answer) as plain, serving(cage.answer, tls=cage.tls) as tls:
        canaries = [
            hatch(number, root=cage.root, token_url=f"{plain}/token") for number in range(planted)
        ]
        browser, keeper = Client(raise_request_exception=False), factories.caller("SECRET_ADMIN")
        browser.force_login(User.objects.create_superuser("root"))
        for canary in canaries:
            base = tls if canary.type == "CLIENT_CERTIFICATE" else plain
            plant(canary, base, keeper, browser, hay)
        operator = factories.caller("OPERATOR")
        for canary in canaries[:connected]:
            base = tls if canary.type == "CLIENT_CERTIFICATE" else plain
            connect(canary, base, operator, hay)
        use(canaries, hay, connected=connected)
        run_workflows(canaries[: numbers.in_workflows], hay)
        misuse(canaries, plain, keeper, browser, hay, monkeypatch, settings)
    sweep_credentials.delay()
    look_at_api(hay, pages=numbers.pages)
    look_at_admin(browser, hay, pages=numbers.pages)
    look_at_storage(hay)
    hay.add("log", logs.getvalue())
    connection.force_debug_cursor = False

    wanted = needles(canaries, cage.tokens)
    # They were really sent, and a search would really find them.
    heard = "\n".join(cage.heard).encode()
    for type in ("BEARER_TOKEN", "CUSTOM_HEADERS", "API_KEY", "BASIC_AUTH"):
        sent = needles([c for c in canaries if c.type == type], [])
        owners = {sighting.partition(":")[0] for sighting in sightings(heard, sent)}
        assert len(owners) >= planted // len(TYPES)
    assert len(cage.tokens) >= planted // len(TYPES)
    for disguise in (str, lambda v: base64.b64encode(f"x{v}".encode()).decode()):
        assert sightings(disguise(canaries[0].value).encode(), wanted)
    assert Credential.objects.count() == planted
    assert CredentialEvent.objects.filter(kind="USED").count() >= planted
    subjects = CredentialEvent.objects.filter(kind="USED", subject__startswith="connection ")
    assert subjects.values("credential_id").distinct().count() >= connected
    for place in ("log", "database", "broker", "API", "admin", "traceback", "export", "answers"):
        assert len(hay.parts[place]) > 100, place
    assert {place: sightings(text, wanted) for place, text in hay.parts.items()} == {
        place: [] for place in hay.parts
    }


def plant(canary: Canary, base: str, keeper: Any, browser: Client, hay: Haystack) -> None:
    """Half of them over the API, half in the admin after one form with an error."""
    body = {
        "name": canary.name,
        "type": canary.type,
        "attributes": canary.attributes,
        "allowed_origins": [base, *servers_at(base)],
        "secret": canary.secret,
    }
    if canary.number % 2:
        hay.add("answers", keeper.post("/registry/credentials", {**body, "name": "/"}).content)
        made = keeper.post("/registry/credentials", body)
        assert made.status_code == 201, made.content
    else:
        form = admin_form(body)
        url = reverse("admin:registry_credential_add")
        hay.add("admin", browser.post(url, {**form, "allowed_origins": "nonsense"}).content)
        made = browser.post(url, form)
        assert made.status_code == 302, canary
    hay.add("answers", made.content)
    credential = Credential.objects.get(name=canary.name)
    with transaction.atomic():
        service = factories.make_service(canary.name, urls=(base,), credential=credential)
        ServiceAction.objects.bulk_create(
            ServiceAction(service=service, name=path[1:], path=path) for path in ACTIONS
        )
        grant_actions(service, actor="tester")


def servers_at(base: str) -> list[str]:
    """The origins of what is no server of HTTP, at the same port."""
    return [f"{driver}://{base.partition('://')[2]}" for driver in ("redis", "amqp", "postgresql")]


def connect(canary: Canary, base: str, operator: Any, hay: Haystack) -> None:
    """Connections that carry the credential, tested and called; some at a server of another kind,

    which says what it was sent in its refusal.
    """
    host, _, port = base.rpartition("//")[2].partition(":")
    fields: list[dict[str, Any]] = [
        {"type": "HTTP", "base_url": base, "config": {"test_path": "/echo"}},
        {"type": "HTTP", "base_url": base, "config": {"test_path": "/refuse"}},
        {"type": "GRAPHQL", "base_url": f"{base}/refuse-text"},
        {"type": "WEBHOOK", "base_url": f"{base}/echo",
         "config": {"test_method": "POST", "test_body": {"a": 1}}},
    ]  # fmt: skip
    if canary.type == "BASIC_AUTH":
        for type in ("CACHE", "MESSAGE_BROKER", "DATABASE"):
            fields.append({"type": type, "host": host, "port": int(port)})
            fields[-1]["config"] = {"timeout_seconds": 1}
    for number, each in enumerate(fields):
        name = f"{canary.name}-{number}" if number else canary.name
        made = operator.post(
            "/registry/connections", {"name": name, "credential": canary.name, **each}
        )
        assert made.status_code == 201, made.content
        tested = operator.post(f"/registry/connections/{name}/test")
        assert tested.status_code == 200, tested.content
        hay.add("answers", made.content + tested.content)


def admin_form(body: dict[str, Any]) -> dict[str, Any]:
    prefix = body["type"].lower()
    form = {
        "name": body["name"],
        "type": body["type"],
        "allowed_origins": ", ".join(body["allowed_origins"]),
        "description": "",
        "expires_at_0": "",
        "expires_at_1": "",
    }
    form |= {f"{prefix}__attributes__{k}": v for k, v in body["attributes"].items()}
    if body["type"] == "CUSTOM_HEADERS":
        lines = "\n".join(f"{name}: {value}" for name, value in body["secret"].items())
        return form | {f"{prefix}__secret__headers": lines}
    return form | {f"{prefix}__secret__{k}": v for k, v in body["secret"].items()}


def use(canaries: list[Canary], hay: Haystack, *, connected: int) -> None:
    """Call every service in every way; what comes back is what would be recorded."""

    async def call(client: ServiceClient, canary: Canary) -> None:
        for action in ACTIONS:
            try:
                target = CallTarget("service", canary.name)
                result = await client.call(target, action[1:], {"note": "x"})
                hay.add("answers", repr(result))
            except IntegrationError as error:
                hay.add("answers", f"{error} {error.details}")
        if canary.number < connected:
            for path in ACTIONS:
                try:
                    called = await client.call_connection(canary.name, {"note": "x"}, path=path)
                    hay.add("answers", repr(called))
                except IntegrationError as error:
                    hay.add("answers", f"{error} {error.details}")

    async def run() -> None:
        client = ServiceClient()
        for first in range(0, len(canaries), AT_ONCE):
            await asyncio.gather(*(call(client, c) for c in canaries[first : first + AT_ONCE]))
        await client.close()

    asyncio.run(run())


def run_workflows(canaries: list[Canary], hay: Haystack) -> None:
    """Executions with a step that succeeds and one that fails, run by the engine."""
    begun = []
    for canary in canaries:
        steps = [
            {"id": action[1:], "type": "ACTION", "service": canary.name, "action": action[1:],
             "next": following, "retry": {"max_attempts": 1}}
            for action, following in (("/echo", "refuse"), ("/refuse", None))
        ]  # fmt: skip
        begun.append(start(make_workflow(steps, name=canary.name)))
    with running_engine(ServiceClient()):
        for execution in begun:
            found = ended(execution)
            assert found.status == "FAILED", found.errors
            hay.add("answers", repr(vars(found)))


def misuse(
    canaries: list[Canary],
    plain: str,
    keeper: Any,
    browser: Client,
    hay: Haystack,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> None:
    """Break the hub in the middle of handling secrets, with DEBUG on."""
    settings.DEBUG = True

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("It broke in the middle.")

    by_type = {canary.type: canary for canary in canaries}
    for place in ("registry.credentials.lifecycle.record", "registry.credentials.sealing.seal",
                  "core.vault.envelope._wrap"):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)
            for canary in by_type.values():
                body = {
                    "name": f"{canary.name}-again",
                    "type": canary.type,
                    "attributes": canary.attributes,
                    "allowed_origins": [plain],
                    "secret": canary.secret,
                }
                url = reverse("admin:registry_credential_add")
                broken = browser.post(url, admin_form(body))
                assert broken.status_code == 500
                assert b"It broke in the middle." in broken.content
                hay.add("traceback", broken.content)
                answer = keeper.post("/registry/credentials", body)
                assert answer.status_code == 500
                hay.add("traceback", answer.content)
    for place in ("registry.calls.transport._read", "registry.calls.auth.authenticator.secrets_of",
                  "registry.calls.auth.authenticator.authenticate_request"):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)
            for canary in by_type.values():
                hay.add("traceback", broken_call(canary.name))
    settings.DEBUG = False


def broken_call(name: str) -> str:
    """The error pages, in HTML and as text, of a request that called with this credential."""

    async def run() -> None:
        client = ServiceClient()
        try:
            await client.call(CallTarget("service", name), "echo", {})
        finally:
            await client.close()

    request = RequestFactory().get("/somewhere")
    try:
        asyncio.run(run())
    except RuntimeError:
        logging.getLogger("canary").exception("A call broke")
        reporter = ExceptionReporter(request, *sys.exc_info())
        return reporter.get_traceback_html() + reporter.get_traceback_text()
    raise AssertionError("It did not break.")


def include_all(operation: dict[str, Any]) -> dict[str, str]:
    """Return the query that asks a list for all that it leaves out otherwise."""
    parameters = {each["name"]: each["schema"] for each in operation.get("parameters", ())}
    names = parameters.get("include", {}).get("items", {}).get("enum", [])
    return {"include": ",".join(names)} if names else {}


def look_at_api(hay: Haystack, *, pages: int) -> None:
    """Everything that can be read over the API, of several of each kind."""
    document = yaml.safe_load(Client().get("/schema").content)
    caller = factories.caller(
        scopes=["registry:read", "workflows:read", "credentials:read", "audit:read"]
    )
    executions = [str(row["id"]) for row in caller.get("/executions").json()["items"]]
    ids = {"executions": executions[:5], "workflows": ["canary-1"]}
    names = [f"canary-{number}" for number in range(pages)]
    for path, methods in document["paths"].items():
        if "get" not in methods or path in ("/discovery/watch", "/health/alive"):
            continue
        resource = path.strip("/").split("/")[0]
        for name in ids.get(resource, names) if "{id}" in path else [""]:
            url = path.replace("{id}", name).replace("{service_type}", "custom")
            answer = caller.get(url, include_all(methods["get"]))
            assert answer.status_code < 500 or "health" in path, (path, answer.content)
            hay.add("API", answer.content)
    for page in (1, 2):
        for path in ("/registry/credentials", "/registry/services"):
            hay.add("API", caller.get(f"{path}?per_page=200&page={page}").content)


def look_at_admin(browser: Client, hay: Haystack, *, pages: int) -> None:
    """Every list, and the pages, the histories and the forms of several rows of each model."""
    for model in admin.site._registry:
        where = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        hay.add("admin", browser.get(reverse(f"{where}_changelist")).content)
        rows = model._default_manager.all()[: pages if model is Credential else 3]
        for row in rows:
            for view in ("change", "history"):
                answer = browser.get(reverse(f"{where}_{view}", args=(row.pk,)))
                assert answer.status_code == 200, (where, view)
                hay.add("admin", answer.content)
            if model is Credential:
                rotate = browser.get(reverse(f"{where}_rotate", args=(row.pk,)))
                hay.add("admin", rotate.content)
    hay.add("admin", browser.get(reverse("admin:index")).content)
    assert Service.objects.count() == Credential.objects.count()


def look_at_storage(hay: Haystack) -> None:
    """The database, the broker and what `dumpdata` exports."""
    hay.add("database", dump_database())
    out = io.StringIO()
    call_command(
        "dumpdata",
        "core",
        "registry",
        "workflows",
        "monitoring",
        "model_orchestration",
        "admin",
        stdout=out,
    )
    hay.add("export", out.getvalue())
    hay.add("broker", dump_broker())


def dump_database() -> bytes:
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        with contextlib.closing(sqlite3.connect(name)) as file:
            return "\n".join(file.iterdump()).encode()
    program = servers.find_binary("pg_dump")
    assert program is not None
    config = connection.settings_dict
    url = f"postgresql://{config['USER']}:{config['PASSWORD']}@{config['HOST']}:{config['PORT']}/{name}"
    return subprocess.run([program, url], capture_output=True, check=True, timeout=120).stdout


def dump_broker() -> bytes:
    """Every message and every key of the broker."""
    if not configuration.REDIS_URL:
        files = [file for file in configuration.BROKER_DIR.rglob("*") if file.is_file()]
        return b"\n".join(file.read_bytes() for file in files)
    import redis

    server = redis.Redis.from_url(configuration.REDIS_URL)
    read: dict[Any, Any] = {
        b"string": server.get,
        b"list": lambda key: server.lrange(key, 0, -1),
        b"hash": server.hgetall,
        b"set": server.smembers,
        b"zset": lambda key: server.zrange(key, 0, -1, withscores=True),
    }
    found = [(key, read[server.type(key)](key)) for key in server.scan_iter()]
    return repr(found).encode()
