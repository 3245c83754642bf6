"""Calls with credentials to real servers: what arrives, what is refused, recorded and hidden."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import ssl
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from registry.calls.auth import usage_counter
from registry.calls.auth.client_tls import certificate_file, tls_context
from registry.calls.auth.loaded_credential import load_credential
from registry.calls.client import ServiceClient
from registry.calls.targets.resolver import CallTarget
from registry.credentials.lifecycle import create_credential, rotate_credential
from registry.exceptions import (
    CredentialError,
    ServiceNotReachedError,
    ServiceResponseError,
    ServiceUnavailableError,
    TokenUnavailableError,
)
from registry.models import (
    CircuitBreakerState,
    Credential,
    CredentialEvent,
    Service,
    ServiceAction,
)
from tests import factories
from tests.support.credentials import SECRETS, Pair, Reply, fields_of, make_certificate, serving

pytestmark = pytest.mark.django_db(transaction=True)


class EchoServer:
    """Answers what arrived, like careless services do; remembers it all."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.status = 200

    def answer(self, request: Any, body: bytes) -> Reply:
        headers = dict(request.headers.items())
        self.requests.append((request.command, request.path, headers, body))
        said = {"path": request.path, "headers": headers}
        if self.status != 200:
            said = {"detail": f"Refused: {json.dumps(said)}"}
        return Reply(self.status, json.dumps(said).encode())

    @property
    def headers(self) -> dict[str, str]:
        return self.requests[-1][2]


@pytest.fixture
def echo() -> EchoServer:
    return EchoServer()


@pytest.fixture
def base(echo: EchoServer) -> Iterator[str]:
    with serving(echo.answer) as found:
        yield found


def link(
    url: str, type: str, *, origin: str = "", service: str = "echo", **more: Any
) -> Credential:
    """A service at the URL that carries a credential of this type."""
    fields = fields_of(type, allowed_origins=[origin or url], **more)
    credential = create_credential(fields, actor="tester")
    factories.make_service(service, urls=(url,), actions=("echo",), credential=credential)
    return credential


def call(*documents: dict[str, Any], action: str = "echo") -> list[Any]:
    """The answers of one client, which is then closed: what it counted is written."""

    async def run() -> list[Any]:
        client = ServiceClient()
        try:
            return [
                (
                    await client.call(CallTarget("service", "echo"), action, each, actor="caller")
                ).output
                for each in documents or ({},)
            ]
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.mark.parametrize("type", ["API_KEY", "BEARER_TOKEN", "BASIC_AUTH", "CUSTOM_HEADERS"])
def test_the_credential_arrives_and_its_echo_is_masked(
    base: str, echo: EchoServer, type: str
) -> None:
    link(base, type)
    [output] = call({"a": 1})
    sent = json.dumps(echo.headers, ensure_ascii=False)
    shown = json.dumps(output, ensure_ascii=False)
    for value in SECRETS[type].values():
        pair = base64.b64encode(f"robot:{value}".encode()).decode()
        assert value in sent or pair in sent
        assert value not in shown
        assert pair not in shown
    assert "***" in shown


def test_a_key_in_the_query_arrives_and_is_masked_in_errors(base: str, echo: EchoServer) -> None:
    link(base, "API_KEY", attributes={"query_parameter": "key"})
    echo.status = 400
    with pytest.raises(ServiceResponseError) as caught:
        call({})
    assert echo.requests[-1][1] == "/echo?key=api-key-0123456789"
    assert "api-key-0123456789" not in str(caught.value) + str(caught.value.details)
    assert "***" in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 502, 503])
@pytest.mark.parametrize("type", ["BEARER_TOKEN", "BASIC_AUTH", "CUSTOM_HEADERS"])
def test_no_error_repeats_a_secret(base: str, echo: EchoServer, type: str, status: int) -> None:
    link(base, type)
    echo.status = status
    with pytest.raises((ServiceResponseError, ServiceUnavailableError)) as caught:
        call({})
    text = str(caught.value) + repr(caught.value.details)
    for value in SECRETS[type].values():
        assert value not in text
        assert base64.b64encode(f"robot:{value}".encode()).decode() not in text


def test_a_signature_can_be_checked_by_who_has_the_key(base: str, echo: EchoServer) -> None:
    link(base, "HMAC_SIGNATURE", attributes={"key_name": "k1"})
    call({"amount": 5}, {"amount": 6})
    assert len({request[2]["X-Signature-Id"] for request in echo.requests}) == 2
    for method, path, headers, body in echo.requests:
        text = "\n".join(
            (
                headers["X-Signature-Id"],
                headers["X-Signature-Timestamp"],
                method,
                path,
                hashlib.sha256(body).hexdigest(),
            )
        )
        key = SECRETS["HMAC_SIGNATURE"]["key"].encode()
        assert headers["X-Signature"] == hmac.new(key, text.encode(), "sha256").hexdigest()
        assert abs(int(headers["X-Signature-Timestamp"]) - timezone.now().timestamp()) < 3600


def test_another_origin_is_refused_and_the_refusal_is_in_the_trail(
    base: str, echo: EchoServer
) -> None:
    credential = link(base, "BEARER_TOKEN", origin="https://api.example.org")
    with pytest.raises(CredentialError, match="none of its allowed origins"):
        call({})
    assert echo.requests == []
    denied = CredentialEvent.objects.get(kind="DENIED")
    assert (denied.actor, denied.subject, denied.count) == ("caller", "echo", 1)
    assert base in denied.detail
    credential.refresh_from_db()
    assert credential.last_used_at is None
    # That is nothing the instance did.
    assert not CircuitBreakerState.objects.exclude(failure_count=0).exists()


def test_an_instance_elsewhere_is_not_given_the_credential(base: str, echo: EchoServer) -> None:
    link(base, "BEARER_TOKEN")
    elsewhere = EchoServer()
    with serving(elsewhere.answer) as other:
        service = Service.objects.get()
        service.instances.update(status="OFFLINE")
        factories.make_instance(service, other)
        with pytest.raises(CredentialError):
            call({})
    assert elsewhere.requests == []


def test_broken_and_ended_credentials_say_so(base: str, settings: Any, echo: EchoServer) -> None:
    link(base, "BEARER_TOKEN", expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(CredentialError, match="It expired on"):
        call({})
    Credential.objects.update(expires_at=None)
    settings.CREDENTIAL_KEYS = "other:" + "B" * 43 + "="
    with pytest.raises(CredentialError, match="not among CREDENTIAL_KEYS"):
        call({})
    assert echo.requests == []


def test_uses_are_counted_without_a_write_for_each(base: str) -> None:
    credential = link(base, "BEARER_TOKEN")
    call(*({"n": n} for n in range(25)))
    uses = CredentialEvent.objects.filter(kind="USED")
    assert [(use.actor, use.subject, use.count) for use in uses] == [("caller", "echo", 25)]
    call({})
    assert [use.count for use in uses.all()] == [26]
    credential.refresh_from_db()
    assert credential.last_used_at is not None
    assert credential.version == 1


async def test_the_first_use_is_written_at_once_and_the_rest_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[int] = []
    done = asyncio.Event()
    monkeypatch.setattr(usage_counter, "record_uses", lambda _, count, **__: written.append(count))

    class Threads:
        def run(self, function: Any, *args: Any) -> asyncio.Future[Any]:
            future = asyncio.get_running_loop().create_future()
            future.set_result(function(*args))
            done.set()
            return future

    counter = usage_counter.UsageCounter(Threads())  # type: ignore[arg-type]
    row = Credential(name="a", type="BEARER_TOKEN")
    credential = load_credential(row)
    counter.count(credential, "USED", actor="x", subject="s")
    await done.wait()
    for _ in range(9):
        counter.count(credential, "USED", actor="x", subject="s")
    assert written == [1]
    await counter.close()
    assert written == [1, 9]


def test_the_api_names_the_caller_and_the_error(base: str, echo: EchoServer) -> None:
    link(base, "BEARER_TOKEN", origin="https://api.example.org", service="refused")
    answer = factories.caller("OPERATOR", name="alice").post(
        "/registry/services/refused/actions/echo/execute", {"input_data": {}}
    )
    assert (answer.status_code, answer.json()["code"]) == (502, "credential_error")
    assert answer.json()["credential"] == "bearer-token-1"


# --- Tokens ---


def test_a_token_that_is_refused_is_replaced_once(echo: EchoServer) -> None:
    fetched: list[str] = []
    good = {"token-2"}

    def answer(request: Any, body: bytes) -> Reply:
        if request.path == "/token":
            fetched.append(f"token-{len(fetched) + 1}")
            token = {"access_token": fetched[-1], "token_type": "Bearer", "expires_in": 3600}
            return Reply(200, json.dumps(token).encode())
        is_good = request.headers["Authorization"].removeprefix("Bearer ") in good
        echo.status = 200 if is_good else 401
        return echo.answer(request, body)

    with serving(answer) as base:
        said = {"token_url": f"{base}/token", "client_id": "hub"}
        link(base, "OAUTH2_CLIENT_CREDENTIALS", attributes=said)
        [output] = call({})
        assert output["headers"]["Authorization"] == "Bearer ***"
        assert fetched == ["token-1", "token-2"]
        good.clear()
        with pytest.raises(ServiceResponseError, match="answered 401"):
            call({})
    assert len(fetched) == 3
    assert len(echo.requests) == 4


def test_a_token_server_that_is_down_counts_not_against_the_service(
    base: str, echo: EchoServer
) -> None:
    said = {"token_url": "http://127.0.0.1:9/token", "client_id": "hub"}
    link(base, "OAUTH2_CLIENT_CREDENTIALS", attributes=said)
    with pytest.raises(TokenUnavailableError) as caught:
        call({})
    assert (caught.value.status_code, caught.value.code) == (503, "token_unavailable")
    assert echo.requests == []
    assert not CircuitBreakerState.objects.exclude(failure_count=0).exists()


# --- Client certificates ---


class Authorities:
    """Two authorities, and a server that asks for a certificate of the first."""

    def __init__(self, folder: Path) -> None:
        self.root = make_certificate("root")
        self.other = make_certificate("other")
        self.server = make_certificate("localhost", issuer=self.root)
        chain = folder / "server.pem"
        chain.write_text(self.server.certificate + self.server.key)
        self.context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cadata=self.root.certificate
        )
        self.context.load_cert_chain(chain)
        self.context.verify_mode = ssl.CERT_REQUIRED

    def client(self, issuer: Pair | None = None) -> Pair:
        return make_certificate("hub", issuer=issuer or self.root)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return Authorities(tmp_path_factory.mktemp("tls"))


def peer_answer(request: Any, body: bytes) -> Reply:
    subject = request.connection.getpeercert()["subject"]
    return Reply(200, json.dumps({"subject": subject[0][0][1]}).encode())


@pytest.fixture
def tls_base(authorities: Authorities) -> Iterator[str]:
    with serving(peer_answer, tls=authorities.context) as found:
        yield found


def certificate_fields(authorities: Authorities, pair: Pair, **secret: str) -> dict[str, Any]:
    return {
        "attributes": {"certificate": pair.certificate, "ca": authorities.root.certificate},
        "secret": secret or {"private_key": pair.key},
    }


def test_a_client_certificate_is_shown(authorities: Authorities, tls_base: str) -> None:
    link(tls_base, "CLIENT_CERTIFICATE", **certificate_fields(authorities, authorities.client()))
    assert call({}, {}) == [{"subject": "hub"}] * 2


def test_an_encrypted_key_is_opened_with_its_passphrase(
    authorities: Authorities, tls_base: str
) -> None:
    pair = authorities.client()
    locked = pair.encrypted_key("open sesame")
    fields = certificate_fields(authorities, pair, private_key=locked, passphrase="open sesame")
    link(tls_base, "CLIENT_CERTIFICATE", **fields)
    assert call({}) == [{"subject": "hub"}]


def test_a_certificate_of_somebody_else_is_refused_by_the_server(
    authorities: Authorities, tls_base: str
) -> None:
    pair = authorities.client(authorities.other)
    link(tls_base, "CLIENT_CERTIFICATE", **certificate_fields(authorities, pair))
    with pytest.raises(ServiceUnavailableError):
        call({})


def test_without_the_certificate_the_server_refuses(
    authorities: Authorities, tls_base: str
) -> None:
    credential = link(tls_base, "BEARER_TOKEN")
    assert credential.type == "BEARER_TOKEN"
    with pytest.raises(ServiceNotReachedError, match=r"(?i)certificate"):
        call({})


def test_a_server_of_an_unknown_authority_is_not_trusted(
    authorities: Authorities, tls_base: str
) -> None:
    pair = authorities.client()
    fields = certificate_fields(authorities, pair)
    fields["attributes"]["ca"] = authorities.other.certificate
    link(tls_base, "CLIENT_CERTIFICATE", **fields)
    with pytest.raises(ServiceNotReachedError, match=r"(?i)certificate"):
        call({})


def test_a_rotated_certificate_is_shown_by_the_same_client(
    authorities: Authorities, tls_base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.calls.targets.resolver_cache.CACHE_SECONDS", -1.0)
    credential = link(
        tls_base, "CLIENT_CERTIFICATE", **certificate_fields(authorities, authorities.client())
    )
    second = certificate_fields(authorities, make_certificate("hub-2", issuer=authorities.root))

    async def run() -> list[Any]:
        client, target = ServiceClient(), CallTarget("service", "echo")
        try:
            before = await client.call(target, "echo", {})
            await client.in_database(lambda: rotate_credential(credential, second, actor="x"))
            return [before.output, (await client.call(target, "echo", {})).output]
        finally:
            await client.close()

    assert asyncio.run(run()) == [{"subject": "hub"}, {"subject": "hub-2"}]


@pytest.mark.parametrize("in_memory", [True, False])
def test_the_key_is_in_no_file_that_others_can_read(
    authorities: Authorities, in_memory: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create")
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pair = authorities.client()
    fields = fields_of("CLIENT_CERTIFICATE", **certificate_fields(authorities, pair))
    credential = load_credential(create_credential(fields, actor="x"))
    with certificate_file(credential) as path:
        assert "PRIVATE KEY" in Path(path).read_text()
        if not in_memory:
            assert os.stat(path).st_mode & 0o777 == 0o600
    tls_context(credential)
    assert list(tmp_path.iterdir()) == []


def test_actions_without_a_credential_send_none(base: str, echo: EchoServer) -> None:
    service = factories.make_service("echo", urls=(base,), actions=("echo",))
    assert ServiceAction.objects.filter(service=service).exists()
    call({})
    assert "Authorization" not in echo.headers
    assert not CredentialEvent.objects.exists()
