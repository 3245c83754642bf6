"""Messages to a webhook that nobody signed, or not so, or not now, or not once."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterator
from typing import Any

from service_integration_client.webhook_signature import sign_webhook
from tests import factories
from tests.security.findings import Findings
from tests.security.world import Caller
from tests.support.real_hub import Hub
from workflows.models import WorkflowExecution

SECTION, SECRETS = "webhook messages", "webhook secrets that stand for little"
Message = tuple[str, dict[str, str], bytes]


def run(caller: Caller, findings: Findings, hub: Hub) -> None:
    from core.roles import SCOPES

    text = factories.make_key(name="of-webhooks", scopes=sorted(SCOPES))[1]
    key = {"X-API-Key": text}
    secret, other = (
        f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}" for _ in range(2)
    )
    make_webhook(caller, key, "hooked", secret)
    make_webhook(caller, key, "other", other)
    for title, headers, body in hostile(secret):
        answer = caller.send("POST", "/webhooks/hooked", headers=headers, content=body)
        findings.hold(SECTION, 400 <= answer.status_code < 500, f"{title}: {answer.status_code}")
    signed = sign_webhook(secret, b"{}", message_id="msg_once")
    answers = [post(caller, "hooked", signed, b"{}") for _ in range(5)]
    statuses = [answer.status_code for answer in answers]
    findings.hold(SECTION, statuses == [202, *[200] * 4], f"the same again: {statuses}")
    answer = post(caller, "other", signed, b"{}")
    findings.hold(SECTION, answer.status_code == 401, f"at another webhook: {answer.status_code}")
    started = WorkflowExecution.objects.filter(workflow__name="hooked").count()
    findings.hold(SECTION, started == 1, f"{started} executions of one message")
    weak_secrets(caller, findings, key)


def post(caller: Caller, name: str, headers: dict[str, str], body: bytes) -> Any:
    return caller.send("POST", f"/webhooks/{name}", headers=headers, content=body)


def make_webhook(caller: Caller, key: dict[str, str], name: str, secret: str) -> None:
    factories.make_workflow(name)
    credential = {"name": name, "type": "HMAC_SIGNATURE", "allowed_origins": [],
                  "secret": {"key": secret}}  # fmt: skip
    for path, body in (
        ("/registry/credentials", credential),
        ("/webhooks", {"name": name, "workflow": name, "credential": name}),
    ):
        made = caller.send("POST", path, headers=key, json=body)
        assert made.status_code == 201, made.text


def hostile(secret: str) -> Iterator[Message]:
    """Yield messages that are not of who has the secret, or not of now."""
    now, body = int(time.time()), b'{"amount": 10}'
    good = sign_webhook(secret, body)
    yield "without headers", {}, body
    for name in good:
        yield f"without {name}", {k: v for k, v in good.items() if k != name}, body
    yield "another body", good, b'{"amount": 1000000}'
    yield "a blank more", good, body + b" "
    yield "another id", good | {"Webhook-Id": "msg_other"}, body
    yield "another time", good | {"Webhook-Timestamp": str(now + 1)}, body
    yield "a zero before the time", good | {"Webhook-Timestamp": f"0{now}"}, body
    for away in (-301, 360, -86_400, 10**9):  # sent a while later
        yield f"{away} s away", sign_webhook(secret, body, timestamp=now + away), body
    for text in ("", "whsec_", "guess", secret[:-1], secret.lower(), secret[6:]):
        try:
            yield f"signed with {text[:8]!r}", sign_webhook(text, body), body
        except ValueError:
            continue
    signature = good["Webhook-Signature"]
    for wrong in ("v1,", "v1,=", "v2," + signature[3:], signature[:-2], signature[3:], "v1a,x",
                  "v1," + "A" * 44, " ".join(["v1,x"] * 10 + [signature]), signature.lower(),
                  "x" * 3000):  # fmt: skip
        yield f"signature {wrong[:12]!r}", good | {"Webhook-Signature": wrong}, body
    for wrong in ("-1", "1e9", "0x5", f"{now}.5", "", "٣", str(10**13)):
        headers = {k: v.encode() for k, v in (good | {"Webhook-Timestamp": wrong}).items()}
        yield f"time {wrong!r}", headers, body  # type: ignore[misc]
    for wrong in ("a.b", "a b", "x" * 300, ""):
        yield (
            f"id {wrong[:5]!r}",
            sign_webhook(secret, body, message_id=wrong or None) | {"Webhook-Id": wrong},
            body,
        )


def weak_secrets(caller: Caller, findings: Findings, key: dict[str, str]) -> None:
    """Set secrets that stand for nothing, or for less than 16 bytes; and one without padding."""
    short = base64.b64encode(b"fifteen bytes..").decode()
    for secret in ("whsec_", "whsec_=", "whsec_AA==", f"whsec_{short}", "fifteen bytes..", " ", "x",
                   "whsec_no base64", "whsec_" + "=" * 24, "\t" * 20, " " * 30):  # fmt: skip
        body = {"name": "weak", "type": "HMAC_SIGNATURE", "allowed_origins": [],
                "secret": {"key": secret}}  # fmt: skip
        answer = caller.send("POST", "/registry/credentials", headers=key, json=body)
        findings.hold(SECRETS, answer.status_code == 400, f"{secret!r}: {answer.status_code}")
        if answer.status_code < 300:
            caller.send("DELETE", "/registry/credentials/weak", headers=key)
    bare = base64.b64encode(secrets.token_bytes(16)).decode().rstrip("=")
    make_webhook(caller, key, "bare", f"whsec_{bare}")
    answer = post(caller, "bare", sign_webhook(f"whsec_{bare}", b"{}"), b"{}")
    findings.hold(SECRETS, answer.status_code == 202, f"without padding: {answer.status_code}")
