"""OAuth2 tokens against a real token server: fetched once for everybody, renewed, kept sealed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models import F

from core.vault import Secret
from registry.calls.auth.loaded_credential import LoadedCredential, load_credential
from registry.calls.auth.token_cache import TokenCache
from registry.calls.database_threads import DatabaseThreads
from registry.calls.transport import Transport
from registry.credentials import token_store as store
from registry.credentials.lifecycle import rotate_credential
from registry.exceptions import CredentialError, TokenUnavailableError
from registry.models import Credential, CredentialToken
from tests.support.breakers import in_database
from tests.support.credentials import Reply, make_credential, serving
from tests.support.forking import run_forks
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "a client secret/&="


class TokenServer:
    """The token endpoint of RFC 6749: checks the grant and the client, and counts."""

    def __init__(self) -> None:
        self.url = ""
        self.fetches: list[dict[str, str]] = []
        self.greeted = 0
        self.expires_in: Any = 3600
        self.secret = SECRET
        self.reply: Reply | None = None
        self.wait_for: Callable[[], bool] = lambda: True
        self.changed = threading.Condition()

    def answer(self, request: Any, body: bytes) -> Reply:
        if request.path == "/hello":
            self.greet()
            return Reply(200, b"{}")
        form = dict(urllib.parse.parse_qsl(body.decode()))
        with self.changed:
            self.fetches.append(form)
            assert self.changed.wait_for(self.wait_for, timeout=60)
        if self.reply is not None:
            return self.reply
        scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
        client = base64.b64decode(pair).decode().split(":")
        known = ["hub", urllib.parse.quote_plus(self.secret)]
        if (scheme, client) != ("Basic", known) or form["grant_type"] != "client_credentials":
            return Reply(401, b'{"error": "invalid_client"}')
        token = {
            "access_token": f"token-number-{len(self.fetches)}",
            "token_type": "Bearer",
            "expires_in": self.expires_in,
        }
        return Reply(200, json.dumps(token).encode())

    def greet(self) -> None:
        with self.changed:
            self.greeted += 1
            self.changed.notify_all()


@pytest.fixture
def server() -> Iterator[TokenServer]:
    found = TokenServer()
    with serving(found.answer) as url:
        found.url = url
        yield found


def make_loaded(server: TokenServer) -> LoadedCredential:
    said = {"token_url": f"{server.url}/token", "client_id": "hub", "scopes": ["pay"]}
    return load_credential(
        make_credential(
            "OAUTH2_CLIENT_CREDENTIALS", attributes=said, secret={"client_secret": SECRET}
        )
    )


async def asking(act: Any, clock: Any = time.monotonic) -> Any:
    threads, transport = DatabaseThreads(1), Transport()
    tokens = TokenCache(threads, transport.post_form, clock=clock)
    try:
        return await act(tokens)
    finally:
        await tokens.close()
        await transport.close()
        threads.close()


def ask(credential: LoadedCredential) -> str:
    """The token, as a process of its own would get it: nothing is in memory."""

    async def act(tokens: TokenCache) -> str:
        return (await tokens.get(credential, seconds=20)).token.reveal()

    return asyncio.run(asking(act))


def test_a_token_is_fetched_once_and_kept_sealed(server: TokenServer) -> None:
    credential = make_loaded(server)
    assert [ask(credential) for _ in range(3)] == ["token-number-1"] * 3
    assert server.fetches == [{"grant_type": "client_credentials", "scope": "pay"}]
    row = CredentialToken.objects.get()
    assert row.key_id == "tests"
    assert "token-number-1" not in str(vars(row))
    assert base64.b64encode(b"token-number-1").decode() not in row.ciphertext


def test_twenty_threads_fetch_once(server: TokenServer) -> None:
    credential = make_loaded(server)
    server.wait_for = lambda: server.greeted == 20
    found: list[str] = []

    def run() -> None:
        server.greet()
        found.append(ask(credential))

    workers = [threading.Thread(target=run) for _ in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=PATIENCE)
    assert found == ["token-number-1"] * 20
    assert len(server.fetches) == 1
    connections.close_all()


def test_callers_of_one_loop_fetch_once(server: TokenServer) -> None:
    credential = make_loaded(server)

    async def act(tokens: TokenCache) -> list[str]:
        held = await asyncio.gather(*(tokens.get(credential, seconds=20) for _ in range(50)))
        return [each.token.reveal() for each in held]

    assert asyncio.run(asking(act)) == ["token-number-1"] * 50
    assert len(server.fetches) == 1


def test_processes_fetch_once(server: TokenServer) -> None:
    credential = make_loaded(server)
    server.wait_for = lambda: server.greeted == 4
    database = str(connection.settings_dict["NAME"])
    arguments = [database, credential.id, f"{server.url}/hello"]
    told = run_forks("tests.support.token_process", 4, *arguments)
    assert told == [hashlib.sha256(b"token-number-1").hexdigest()] * 4
    assert len(server.fetches) == 1


def age(seconds: float) -> None:
    """Let time pass for the token in the database."""
    CredentialToken.objects.update(expires_at=F("expires_at") - timedelta(seconds=seconds))


def test_a_token_is_renewed_before_it_ends(server: TokenServer) -> None:
    credential = make_loaded(server)
    server.expires_in = 100  # replaced in its last 20 s
    ask(credential)
    age(70)
    assert ask(credential) == "token-number-1"
    age(15)
    assert ask(credential) == "token-number-2"


def test_a_token_in_memory_is_used_until_its_margin(server: TokenServer) -> None:
    credential = make_loaded(server)
    server.expires_in = 100
    now = [1000.0]

    async def act(tokens: TokenCache) -> list[str]:
        found = []
        for passed in (0, 79, 5):
            now[0] += passed
            if passed == 5:
                await in_database(age, 84)
            found.append((await tokens.get(credential, seconds=20)).token.reveal())
        return found

    told = asyncio.run(asking(act, clock=lambda: now[0]))
    assert told == ["token-number-1", "token-number-1", "token-number-2"]


def test_while_one_renews_the_others_use_what_still_holds(server: TokenServer) -> None:
    credential = make_loaded(server)
    server.expires_in = 100
    ask(credential)
    age(90)
    assert store.acquire(credential.id, credential.version, "somebody", 60).is_claimed
    assert ask(credential) == "token-number-1"
    assert len(server.fetches) == 1


def test_a_claim_whose_holder_died_ends_by_itself(server: TokenServer) -> None:
    credential = make_loaded(server)
    assert store.acquire(credential.id, 1, "dead", 60).is_claimed
    assert not store.acquire(credential.id, 1, "next", 60).is_claimed
    CredentialToken.objects.update(owner_until=F("owner_until") - timedelta(seconds=61))
    assert store.acquire(credential.id, 1, "next", 60).is_claimed
    assert store.store(credential.id, "dead", 1, Secret("late"), 60) is None
    assert store.store(credential.id, "next", 1, Secret("mine"), 60) is not None
    grant = store.acquire(credential.id, 1, "x", 60)
    assert grant.token == Secret("mine")


def test_a_renewal_that_fails_leaves_the_token_that_still_holds(server: TokenServer) -> None:
    credential = make_loaded(server)
    server.expires_in = 100
    ask(credential)
    age(90)
    server.reply = Reply(500, b"{}")
    assert ask(credential) == "token-number-1"
    assert len(server.fetches) == 2
    assert ask(credential) == "token-number-1"
    assert len(server.fetches) == 2  # the failure is fresh: nobody asks again at once


def test_a_wrong_secret_is_told_clearly_and_not_tried_by_everybody(server: TokenServer) -> None:
    credential = make_loaded(server)
    server.secret = "changed over there"
    for _ in range(3):
        with pytest.raises(CredentialError, match="answered 401: invalid_client") as caught:
            ask(credential)
        assert caught.value.permanent
        assert SECRET not in str(caught.value)
    assert len(server.fetches) == 1
    CredentialToken.objects.update(retry_at=F("retry_at") - timedelta(seconds=60))
    server.secret = SECRET
    assert ask(credential) == "token-number-2"


def test_a_server_that_is_down_is_told_as_such(server: TokenServer) -> None:
    credential = make_loaded(server)
    moved = {**credential.attributes, "token_url": "http://127.0.0.1:9/token"}
    CredentialToken.objects.all().delete()
    with pytest.raises(TokenUnavailableError, match=r"no connection to http://127\.0\.0\.1:9"):
        ask(replace(credential, attributes=moved))


def test_a_caller_waits_no_longer_than_it_has_time(server: TokenServer) -> None:
    credential = make_loaded(server)
    server.wait_for = lambda: server.greeted == 1

    async def act(tokens: TokenCache) -> str:
        with pytest.raises(TokenUnavailableError, match="in time"):
            await tokens.get(credential, seconds=0.05)
        server.greet()
        return (await tokens.get(credential, seconds=20)).token.reveal()

    assert asyncio.run(asking(act)) == "token-number-1"
    assert len(server.fetches) == 1


def test_nobody_asks_for_a_token_who_has_no_time_for_it(server: TokenServer) -> None:
    credential = make_loaded(server)

    async def act(tokens: TokenCache) -> None:
        with pytest.raises(TokenUnavailableError, match="in time"):
            await tokens.get(credential, seconds=0)

    asyncio.run(asking(act))
    assert not server.fetches


def test_rotating_the_client_secret_fetches_another_token(server: TokenServer) -> None:
    credential = make_loaded(server)
    ask(credential)
    row = Credential.objects.get()
    rotate_credential(row, {"secret": {"client_secret": "the next one"}}, actor="x")
    server.secret = "the next one"
    assert not CredentialToken.objects.exists()
    row.refresh_from_db()
    assert ask(load_credential(row)) == "token-number-2"
    row.delete()
    with pytest.raises(CredentialError, match="deleted meanwhile"):
        ask(credential)


def test_a_refused_token_is_forgotten_unless_another_came(server: TokenServer) -> None:
    credential = make_loaded(server)
    ask(credential)
    store.forget(credential.id, None)
    assert ask(credential) == "token-number-1"
    store.forget(credential.id, CredentialToken.objects.get().fetched_at)
    assert ask(credential) == "token-number-2"


def test_a_token_under_a_lost_key_is_fetched_again(server: TokenServer, settings: Any) -> None:
    credential = make_loaded(server)
    ask(credential)
    settings.CREDENTIAL_KEYS = "other:" + "B" * 43 + "="
    assert ask(credential) == "token-number-2"
