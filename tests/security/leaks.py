"""Planted secrets, looked for in every form wherever the hub shows or keeps anything."""

from __future__ import annotations

import base64
import io
import json
import secrets
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.urls import reverse

from tests import factories
from tests.security.findings import Findings
from tests.security.matrix import Subjects
from tests.security.receiver import receiving
from tests.security.world import Caller, Identity, by_session
from tests.support.authority import effects
from tests.support.canary import forms_of
from tests.support.real_hub import Hub

SECTION = "secrets, in every form and place"
PATHS = ("plain", "hex", "base64", "number", "refuse", "header")


HEARD: list[str] = []


def echo(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
    """Answer with what was sent, written in the way that the path says."""
    HEARD.append(f"{request.path} {dict(request.headers)}")
    told = [value for name, value in request.headers.items() if name.lower() in SENT]
    told += [part for value in told for part in value.split() if part != value]
    body = json.dumps({"echo": [_written(request.path, text) for text in told]}).encode()
    in_header = "header" in request.path and told
    headers = {"X-Echo": base64.b64encode(told[-1].encode()).decode()} if in_header else {}
    return (500 if "refuse" in request.path else 200), headers, body


SENT = ("authorization", "x-key", "x-canary", "x-api-key")


def _written(path: str, text: str) -> Any:
    if "hex" in path:
        return text.encode().hex()
    if "base64" in path:
        return base64.b64encode(text.encode()).decode()
    if "number" in path and text.isdigit():
        return int(text)
    return f"Refused {text}" if "refuse" in path else text


def run(caller: Caller, findings: Findings, hub: Hub) -> None:
    """Plant secrets, use them in every way, and look for them everywhere."""
    from core.roles import SCOPES

    text = factories.make_key(name="of-leaks", scopes=sorted(SCOPES))[1]
    root = User.objects.create_superuser("of-leaks-root")
    person = by_session("superuser", root, frozenset(SCOPES))
    planted = dict(_planted())
    hay: dict[str, list[bytes]] = {"answers": []}
    with receiving(echo) as base:
        for number, (kind, secret) in enumerate(planted.values()):
            key, name = {"X-API-Key": text}, f"leak-{number}"
            plant_and_use(caller, key, name, kind, secret, base, hay["answers"])
    hay["API"] = list(read_api(caller, {"X-API-Key": text}))
    hay["admin"] = list(read_admin(caller, person))
    hay["tables"] = [repr(list(model._default_manager.values())).encode() for model in _models()]
    hay["logs"] = [(hub.directory / "hub.log").read_bytes()]
    hay["exports"] = [_export()]
    hay["files"] = [path.read_bytes() for path in hub.directory.rglob("*")
                    if path.is_file() and path.suffix in ("", ".db", ".sqlite3", ".log", ".json")
                    and path.name not in ("access.env",)]  # fmt: skip
    check_itself(planted)
    look(findings, planted, hay)
    key_secret = text.split("_", 2)[2]
    look(findings, {"an API key": ("KEY", key_secret)}, hay)


def _planted() -> Iterator[tuple[str, tuple[str, dict[str, Any] | str]]]:
    word = secrets.token_hex(12)
    yield "a token", ("BEARER_TOKEN", f"token+/={word}")
    yield "a token of digits", ("BEARER_TOKEN", str(10**20 + secrets.randbelow(10**20)))
    yield "a key", ("API_KEY", f'key"<&{secrets.token_hex(12)}')
    yield "a key of digits", ("API_KEY", str(10**18 + secrets.randbelow(10**18)))
    yield "a password", ("BASIC_AUTH", f"pass word{secrets.token_hex(12)}%")
    yield "a header", ("CUSTOM_HEADERS", f"tenant-{secrets.token_hex(12)}")
    yield "a signing key", ("HMAC_SIGNATURE", f"sign-{secrets.token_hex(16)}")


PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "BEARER_TOKEN": ("token", {}),
    "API_KEY": ("key", {"header": "X-Key"}),
    "BASIC_AUTH": ("password", {"username": "robot"}),
    "CUSTOM_HEADERS": ("X-Canary", {}),
    "HMAC_SIGNATURE": ("key", {}),
}


def plant_and_use(
    caller: Caller,
    key: dict[str, str],
    name: str,
    kind: str,
    secret: Any,
    base: str,
    answers: list[bytes],
) -> None:
    """Make a credential, link it, and call what repeats it; all answers are kept."""
    part, attributes = PARTS[kind]
    actions = [{"name": path, "path": f"/{path}"} for path in PATHS]
    credential = {"name": name, "type": kind, "attributes": attributes,
                  "allowed_origins": [base], "secret": {part: secret}}  # fmt: skip
    wrong = {**credential, "name": "/", "allowed_origins": ["nonsense"]}
    service = {"name": name, "url": base, "actions": actions, "credential": name}
    connection = {"name": name, "type": "HTTP", "base_url": base, "credential": name,
                  "config": {"test_path": "/plain"}}  # fmt: skip
    integration = {"name": name, "target": {"service": name, "action": "plain"}}
    for path, body in (
        ("/registry/credentials", wrong),
        ("/registry/credentials", credential),
        ("/registry/services", service),
        ("/registry/connections", connection),
        ("/registry/integrations", integration),
        (f"/registry/connections/{name}/test", {}),
        *((f"/registry/services/{name}/actions/{path}/execute", {}) for path in PATHS),
        (f"/registry/integrations/{name}/execute", {}),
        (f"/registry/credentials/{name}/rotate", {"secret": {part: secret}, "wrong": secret}),
    ):
        answer = caller.send("POST", path, headers=key, json=body)
        # What is refused may not repeat what it was given, either.
        answers.append(str(dict(answer.headers)).encode() + answer.content)


def read_api(caller: Caller, key: dict[str, str]) -> Iterator[bytes]:
    """Yield everything that can be read over the API of each planted row."""
    names = dict.fromkeys(("service", "connection", "credential", "integration"), "leak-0")
    for effect in effects():
        if effect.method != "GET" or effect.path in ("/events", "/discovery/watch"):
            continue
        for number in range(7 if "{" in effect.path else 1):
            places = dict.fromkeys(names, f"leak-{number}")
            places = dict.fromkeys(Subjects.PLACES, "of-leaks") | places
            places |= {"type": "CUSTOM", "version": "1"}
            path = effect.filled(places | {"event": "1"})
            yield caller.send("GET", path, headers=key, params={"per_page": 200}).content
            yield caller.send("GET", path, headers=key).content


def read_admin(caller: Caller, person: Identity) -> Iterator[bytes]:
    """Yield every list of the admin, and the pages and histories of what was planted."""
    reverse("admin:index")  # the routes register them
    for model in admin.site._registry:
        where = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield caller.send("GET", reverse(f"{where}_changelist"), headers=person.headers).content
        for row in model._default_manager.order_by("-pk")[:8]:
            for view in ("change", "history"):
                path = reverse(f"{where}_{view}", args=(row.pk,))
                yield caller.send("GET", path, headers=person.headers).content


def check_itself(planted: dict[str, tuple[str, Any]]) -> None:
    """See that the secrets were really sent, and that a search would find each in each form."""
    heard = " ".join(HEARD)
    for title, (kind, secret) in planted.items():
        plain = kind in ("BEARER_TOKEN", "API_KEY", "CUSTOM_HEADERS")
        assert not plain or secret in heard, f"{title} was not sent"
        for written in (secret.encode().hex(), base64.b64encode(f"x{secret}".encode()).decode()):
            found = Findings()
            look(found, {title: (kind, secret)}, {"here": [f"<{written}>".encode()]})
            assert found.total_through, f"{title} would not be found"


def _models() -> list[Any]:
    labels = ("core", "registry", "workflows", "monitoring", "admin", "sessions")
    return [model for label in labels for model in apps.get_app_config(label).get_models()]


def _export() -> bytes:
    out = io.StringIO()
    call_command("dumpdata", "core", "registry", "workflows", "monitoring", stdout=out)
    return out.getvalue().encode()


def look(
    findings: Findings, planted: dict[str, tuple[str, Any]], hay: dict[str, list[bytes]]
) -> None:
    """Look for each form of each secret in each place."""
    for title, (kind, secret) in planted.items():
        for form in forms_of(secret):
            for place, texts in hay.items():
                at = next((text for text in texts if form in text), None)
                around = b"" if at is None else at[max(at.find(form) - 80, 0) :][:200]
                sentence = f"{title} ({kind}) in {place} as {form!r}: {around!r}"
                findings.hold(SECTION, at is None, sentence)
