"""Moving secrets to another key: resumable, bounded, harmless twice at once, provably complete."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from core.vault import Secret, get_key_ring, new_key
from registry.credentials import rekeying, token_store
from registry.credentials.lifecycle import rotate_credential
from registry.credentials.sealing import open_secret
from registry.models import Credential, CredentialToken
from tests.support.credentials import make_credential
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.django_db
OLD = "tests:" + "A" * 43 + "="
NEW = new_key("next")
NEW_ID = NEW.partition(":")[0]


def run(**options: Any) -> str:
    out = io.StringIO()
    call_command("rotate_credential_keys", stdout=out, stderr=out, **options)
    return out.getvalue()


def fill(count: int) -> None:
    for number in range(count):
        make_credential("API_KEY", name=f"key-{number}", secret={"key": f"the-secret-{number}"})


def revealed() -> list[str]:
    rows = Credential.objects.order_by("created_at")
    return [open_secret(row)["key"].reveal() for row in rows]


def test_every_secret_is_moved_and_stays_what_it_was(settings: Any) -> None:
    fill(7)
    fingerprints = set(Credential.objects.values_list("fingerprint", "updated_at"))
    oauth = make_credential("OAUTH2_CLIENT_CREDENTIALS")
    assert token_store.acquire(str(oauth.pk), 1, "me", 60).is_claimed
    token_store.store(str(oauth.pk), "me", 1, Secret("a-token"), 60)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    said = run(batch=3)
    assert f"{NEW_ID} (current): 0 secrets" in said
    assert "tests (older): 9 secrets" in said
    assert "Every secret is on the current key" in said
    assert rekeying.count_by_key() == {NEW_ID: 9}
    oauth.delete()
    # Nothing of the old key is needed any more, and nothing else of the rows has changed.
    settings.CREDENTIAL_KEYS = NEW
    assert revealed() == [f"the-secret-{number}" for number in range(7)]
    assert set(Credential.objects.values_list("fingerprint", "updated_at")) == fingerprints
    assert not CredentialToken.objects.exists()


def test_a_dry_run_changes_nothing_and_fails_while_there_is_something_to_do(settings: Any) -> None:
    fill(2)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    with pytest.raises(CommandError, match="2 secrets are not on the current key"):
        run(dry_run=True)
    assert rekeying.count_by_key() == {"tests": 2}
    run()
    assert "Every secret" in run(dry_run=True)


def test_a_run_that_was_stopped_goes_on_where_it_was(settings: Any) -> None:
    fill(7)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    batches = rekeying.rewrap_all(batch=3)
    assert next(batches).moved == 3
    del batches
    assert rekeying.count_by_key() == {"tests": 4, NEW_ID: 3}
    assert rekeying.count_remaining() == 4
    assert [done.moved for done in rekeying.rewrap_all(batch=3)] == [3, 1]
    assert rekeying.count_remaining() == 0


def test_batches_are_bounded(settings: Any) -> None:
    fill(12)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    batches = rekeying.rewrap_all(batch=4)
    with CaptureQueriesContext(connection) as queries:
        next(batches)
    reads = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    assert len(reads) == 1
    assert "LIMIT 4" in reads[0]
    for size in (0, 1001):
        with pytest.raises(CommandError, match="1 to 1000"):
            run(batch=size)


def test_what_cannot_be_read_is_named_and_holds_nobody_up(settings: Any) -> None:
    fill(4)
    Credential.objects.filter(name="key-1").update(ciphertext="v1.damaged")
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    out = io.StringIO()
    with pytest.raises(CommandError, match="1 secrets are not on the current key"):
        call_command("rotate_credential_keys", batch=1, stdout=out, stderr=out)
    assert "key-1: The stored secret cannot be decrypted" in out.getvalue()
    assert rekeying.count_by_key() == {"tests": 1, NEW_ID: 3}
    rotate_credential(
        Credential.objects.get(name="key-1"), {"secret": {"key": "abcd-efgh"}}, actor="x"
    )
    assert "Every secret" in run()


def test_a_secret_that_was_set_meanwhile_wins(settings: Any) -> None:
    fill(1)
    row = Credential.objects.get()
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    rotate_credential(Credential.objects.get(), {"secret": {"key": "set-meanwhile"}}, actor="x")
    ring = get_key_ring()
    assert rekeying._rewrap_batch(Credential, [row], ring).moved == 0
    assert revealed() == ["set-meanwhile"]


def test_without_usable_keys_the_command_says_why(settings: Any) -> None:
    settings.CREDENTIAL_KEYS = ""
    with pytest.raises(CommandError, match="CREDENTIAL_KEYS is not set"):
        rekeying.count_by_key()
        call_command("rotate_credential_keys", skip_checks=True)
    settings.CREDENTIAL_KEYS = "broken"
    assert [found.id for found in run_checks()] == ["registry.E001"]


def test_production_is_told_that_keys_are_missing(settings: Any) -> None:
    settings.CREDENTIAL_KEYS = ""
    found = [each.id for each in run_checks(include_deployment_checks=True)]
    assert "registry.W001" in found


@pytest.mark.django_db(transaction=True)
def test_runs_at_once_move_every_secret_exactly_once(settings: Any) -> None:
    fill(40)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    moved: list[int] = []

    def work() -> None:
        moved.append(sum(done.moved for done in rekeying.rewrap_all(batch=5)))
        connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=PATIENCE)
    assert sum(moved) == 40
    assert rekeying.count_remaining() == 0
    settings.CREDENTIAL_KEYS = NEW
    assert sorted(revealed()) == sorted(f"the-secret-{number}" for number in range(40))
