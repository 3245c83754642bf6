"""Bodies and headers that are no request of anybody honest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests import factories
from tests.security.findings import Findings
from tests.security.matrix import Subjects
from tests.security.world import Caller
from tests.support.authority import effects
from tests.support.real_hub import Hub

BODIES, FORGED, SMUGGLED = "hostile bodies", "forged headers", "credentials in plain headers"
DEEP = 5_000
HOSTILE: dict[str, bytes] = {
    "nothing that parses": b"{", "a text": b'"x"', "a list": b"[]", "null": b"null",
    "no UTF-8": b'{"name": "\xff\xfe"}', "a null character": b'{"name": "\\u0000"}',
    "half a pair": b'{"name": "\\ud800"}', "a member twice": b'{"name": "a", "name": "b"}',
    "not a number": b'{"name": NaN}', "an endless number": b'{"name": 1e999999}',
    "a long number": b'{"name": ' + b"9" * 5000 + b"}",
    "a deep list": b'{"name": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "a deep object": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a proto": b'{"__proto__": {"role": "OPERATOR"}, "name": "x"}',
    "a long name": json.dumps({"name": "x" * 100_000}).encode(),
    "many members": json.dumps({f"m{n}": n for n in range(20_000)}).encode(),
    "a byte order mark": b"\xef\xbb\xbf{}", "two documents": b"{}{}",
    "an id for a name": b'{"name": "01a22a09-3a97-7d90-b2e1-dcd9989a4370"}',
    "a number for a name": b'{"name": 7}', "an object for a name": b'{"name": {"a": 1}}',
    "a path for a name": b'{"name": "../../keys"}', "markup": b'{"name": "<script>1</script>"}',
    "a quote": b'{"name": "x\' OR 1=1 --"}', "a line break": b'{"name": "x\\r\\nX-A: 1"}',
}  # fmt: skip
TYPES = ("application/json", "application/json; charset=utf-16", "text/plain", "",
         "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")  # fmt: skip


def run(caller: Caller, findings: Findings, hub: Hub) -> None:
    from core.roles import SCOPES

    text = factories.make_key(name="of-requests", scopes=sorted(SCOPES))[1]
    key = {"Authorization": f"Bearer {text}"}
    send_bodies(caller, findings, key)
    forge_headers(caller, findings)
    put_credentials_into_headers(caller, findings, key)


def send_bodies(caller: Caller, findings: Findings, key: dict[str, str]) -> None:
    """Send each body to whatever takes one; nothing may answer 500, or do what makes no sense."""
    for effect in effects():
        if effect.method not in ("POST", "PUT", "PATCH") or effect.name == "start":
            continue
        path = effect.filled(dict.fromkeys(Subjects.PLACES, "nothing") | {"version": "1"})
        for title, body in HOSTILE.items():
            headers = key | {"Content-Type": "application/json"}
            answer = caller.send(effect.method, path, headers=headers, content=body)
            sentence = f"{effect}, {title}: {answer.status_code} {answer.text[:200]}"
            # What is taken whatever is in it, such as a test that has no fields, is no harm.
            findings.hold(BODIES, answer.status_code < 500, sentence)
    for content_type in TYPES:
        headers = key | ({"Content-Type": content_type} if content_type else {})
        answer = caller.send("POST", "/registry/services", headers=headers, content=b"\xff{")
        findings.hold(BODIES, 400 <= answer.status_code < 500, f"{content_type}: {answer}")


def forge_headers(caller: Caller, findings: Findings) -> None:
    """Say to be somebody, or somewhere, else; nobody may be believed."""
    text = factories.make_key(name="of-forgers", scopes=["registry:read"], networks=["10.9.9.9"])[1]
    away, reader = {"X-API-Key": text}, factories.make_key("VIEWER", name="of-readers")[1]
    for name, value in _forged():
        answer = caller.send("GET", "/registry/services", headers=away | {name: value})
        findings.hold(FORGED, answer.status_code in (400, 401), f"{name}: {value}: {answer}")
        answer = caller.send("GET", "/keys", headers={"X-API-Key": reader, name: value})
        findings.hold(FORGED, answer.status_code in (400, 403), f"{name}: {value}: {answer}")


ADDRESS_HEADERS = (
    "X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP",
    "CF-Connecting-IP", "X-Forwarded-Host", "X_Forwarded_For", "Remote-Addr",
)  # fmt: skip
ADDRESSES = ("10.9.9.9", "10.9.9.9, 127.0.0.1", "::ffff:10.9.9.9", "10.9.9.9:80", "unix:")


def _forged() -> Iterator[tuple[str, str]]:
    for name in ADDRESS_HEADERS:
        for address in ADDRESSES:
            yield name, f"for={address}" if name == "Forwarded" else address
    yield from (
        ("X-Forwarded-Proto", "https"), ("X-HTTP-Method-Override", "DELETE"),
        ("X-Original-URL", "/health/alive"), ("X-Rewrite-URL", "/health/alive"),
        ("X-Remote-User", "superuser"), ("Remote-User", "superuser"),
        ("X-Auth-User", "superuser"), ("X-Role", "OPERATOR"), ("X-Scopes", "keys:write"),
        ("Cookie", "sessionid=superuser"), ("X-CSRFToken", "x"), ("Origin", "null"),
        ("X-Legacy-Api", "true"), ("Authorization", "Basic cm9vdDpyb290"),
    )  # fmt: skip


NAMES = ("Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-API-Key", "apikey",
         "Api-Key", "X-Auth-Token", "X-Access-Token", "Private-Token", "X-Vault-Token",
         "X-Amz-Security-Token", "X-Secret", "X-Session-Token", "Ocp-Apim-Subscription-Key",
         "X-Gitlab-Token", "X-Auth-Key", "X-Api-Secret", "Access-Token", "Token",
         "X-CSRF-Token", "X-Client-Secret", "X-Password")  # fmt: skip


def put_credentials_into_headers(caller: Caller, findings: Findings, key: dict[str, str]) -> None:
    """Put a secret where no secret belongs, under each name in each spelling."""
    base = {"type": "HTTP", "base_url": "http://127.77.0.1:9"}
    for number, name in enumerate(NAMES):
        for written in _spellings(name):
            body: dict[str, Any] = {**base, "name": f"smuggler-{number}"}
            body["config"] = {"headers": {written: "s3cret-0123456789"}}
            answer = caller.send("POST", "/registry/connections", headers=key, json=body)
            findings.hold(SMUGGLED, answer.status_code == 400, f"{written!r}: {answer.text[:150]}")
            if answer.status_code < 300:
                caller.send("DELETE", f"/registry/connections/smuggler-{number}", headers=key)


def _spellings(name: str) -> list[str]:
    swapped = (name.replace("-", "_"), name.replace("-", "--"), f" {name}", f"{name} ")
    return list(dict.fromkeys((name, name.lower(), name.upper(), *swapped)))
