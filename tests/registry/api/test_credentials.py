"""Credentials over the API: they are set, changed, rotated and deleted, and never read."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.exceptions import ValidationFailed
from core.mediator import mediator
from registry.credentials.expiry import warn_expiring
from registry.credentials.lifecycle import check_secret_given
from registry.credentials.sealing import open_secret
from registry.models import Credential, CredentialEvent, CredentialType, Service
from tests import factories
from tests.support.credentials import (
    ORIGIN,
    SECRETS,
    fields_of,
    make_certificate,
    make_credential,
)

pytestmark = pytest.mark.django_db
LIST = "/registry/credentials"


@pytest.fixture
def keeper() -> Any:
    return factories.caller("SECRET_ADMIN", name="keeper")


@pytest.fixture
def operator() -> Any:
    return factories.caller("OPERATOR", name="operator")


def url(credential: Credential, *rest: str) -> str:
    return "/".join((LIST, str(credential.pk), *rest))


def kinds_of(credential: Credential) -> list[str]:
    return list(
        CredentialEvent.objects.of(credential).order_by("id").values_list("kind", flat=True)
    )


def revealed(credential: Credential) -> dict[str, str]:
    row = Credential.objects.get(pk=credential.pk)
    return {name: value.reveal() for name, value in open_secret(row).items()}


@pytest.mark.parametrize("type", CredentialType.values)
def test_every_type_is_made_and_answered_without_its_secret(keeper: Any, type: str) -> None:
    fields = fields_of(type)
    answer = keeper.post(LIST, {**fields, "type": type.lower()})
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["type"], body["has_secret"], body["state"]) == (type, True, "USABLE")
    assert len(body["fingerprint"]) == 16
    assert "secret" not in body
    assert answer["ETag"]
    for text in (answer.content.decode(), keeper.get(LIST).content.decode()):
        for value in fields["secret"].values():
            assert value not in text
            assert json.dumps(value)[1:-1] not in text
            assert base64.b64encode(value.encode()).decode() not in text
    row = Credential.objects.get(name=fields["name"])
    if type != "CLIENT_CERTIFICATE":
        assert revealed(row) == fields["secret"]
    assert kinds_of(row) == ["CREATED"]
    assert CredentialEvent.objects.get().actor == "keeper"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"type": "PASSWORD"}, "type"),
        ({"secret": {"token": "abc"}}, "secret.token"),
        ({"secret": {"token": 7}}, "secret"),
        ({"secret": "bearer"}, "secret"),
        ({"secret": {}}, "secret"),
        ({"secret": {"password": "abcdefgh"}}, "secret"),
        ({"attributes": {"x": 1}}, "attributes.x"),
        ({"attributes": []}, "attributes"),
        ({"allowed_origins": ["https://a/b"]}, "allowed_origins[0]"),
        ({"allowed_origins": ["https://a", "b"]}, "allowed_origins[1]"),
        ({"allowed_origins": "https://a"}, "allowed_origins"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_input_names_its_field_and_stores_nothing(
    keeper: Any, change: dict[str, Any], path: str
) -> None:
    answer = keeper.post(LIST, fields_of("BEARER_TOKEN") | change)
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert path in answer.json()["errors"], answer.json()
    assert "abcdefgh" not in answer.content.decode()
    assert not Credential.objects.exists()
    assert not CredentialEvent.objects.exists()


def test_names_are_unique_whatever_their_case(keeper: Any) -> None:
    keeper.post(LIST, fields_of("API_KEY", name="Billing"))
    answer = keeper.post(LIST, fields_of("API_KEY", name="billing"))
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert keeper.get(f"{LIST}/BILLING").status_code == 200


def test_a_change_leaves_what_is_not_given(keeper: Any) -> None:
    credential = make_credential("HMAC_SIGNATURE", attributes={"key_name": "k1"})
    answer = keeper.patch(url(credential), {"attributes": {"algorithm": "SHA512"}})
    assert answer.status_code == 200, answer.content
    assert answer.json()["attributes"]["key_name"] == "k1"
    assert answer.json()["attributes"]["algorithm"] == "sha512"
    assert answer.json()["fingerprint"] == credential.fingerprint
    assert revealed(credential) == SECRETS["HMAC_SIGNATURE"]
    assert kinds_of(credential) == ["CREATED", "CHANGED"]
    assert CredentialEvent.objects.of(credential).first().detail == "attributes"  # type: ignore[union-attr]


def test_the_type_of_a_credential_stays(keeper: Any) -> None:
    answer = keeper.patch(url(make_credential()), {"type": "API_KEY"})
    assert answer.status_code == 400
    assert "Make another credential" in answer.json()["errors"]["type"][0]


def test_a_secret_goes_nowhere_new_unless_it_is_given_again(keeper: Any) -> None:
    credential = make_credential()
    wider = {"allowed_origins": [ORIGIN, "https://evil.example.org"]}
    refused = keeper.patch(url(credential), wider)
    assert refused.status_code == 400
    assert "https://evil.example.org" in refused.json()["errors"]["secret"][0]
    credential.refresh_from_db()
    assert credential.allowed_origins == [ORIGIN]
    assert keeper.patch(url(credential), {"allowed_origins": []}).status_code == 200
    assert keeper.patch(url(credential), {"allowed_origins": [ORIGIN]}).status_code == 400
    given = {**wider, "secret": {"token": "the-new-secret"}}
    assert keeper.patch(url(credential), given).status_code == 200
    assert revealed(credential) == {"token": "the-new-secret"}


def test_another_token_url_takes_the_secret_again(keeper: Any) -> None:
    credential = make_credential("OAUTH2_CLIENT_CREDENTIALS")
    moved = {"attributes": {"token_url": f"{ORIGIN}/elsewhere"}}
    assert "secret" in keeper.patch(url(credential), moved).json()["errors"]
    moved |= {"secret": SECRETS["OAUTH2_CLIENT_CREDENTIALS"]}
    assert keeper.patch(url(credential), moved).status_code == 200


def test_rotating_replaces_the_secret(keeper: Any) -> None:
    credential = make_credential()
    before = credential.fingerprint
    answer = keeper.post(url(credential, "rotate"), {"secret": {"token": "another-secret"}})
    assert answer.status_code == 200, answer.content
    assert answer.json()["rotated_at"]
    assert answer.json()["fingerprint"] != before
    assert revealed(credential) == {"token": "another-secret"}
    assert kinds_of(credential) == ["CREATED", "ROTATED"]
    credential.refresh_from_db()
    assert credential.version == 2


def test_rotating_asks_for_a_secret_and_for_its_end(keeper: Any) -> None:
    end = timezone.now() + timedelta(days=3)
    credential = make_credential(expires_at=end)
    assert "secret" in keeper.post(url(credential, "rotate"), {}).json()["errors"]
    new = {"secret": {"token": "another-secret"}}
    refused = keeper.post(url(credential, "rotate"), new)
    assert "Say when the new one does" in refused.json()["errors"]["expires_at"][0]
    answer = keeper.post(url(credential, "rotate"), {**new, "expires_at": None})
    assert (answer.status_code, answer.json()["expires_at"]) == (200, None)


def test_a_certificate_ends_when_it_says_and_is_renewed_with_its_key(keeper: Any) -> None:
    credential = make_credential("CLIENT_CERTIFICATE")
    assert credential.expires_at is not None
    pair = make_certificate("client", days=700)
    alone = keeper.patch(url(credential), {"attributes": {"certificate": pair.certificate}})
    assert "not the key of the certificate" in alone.json()["errors"]["secret.private_key"][0]
    answer = keeper.post(
        url(credential, "rotate"),
        {"attributes": {"certificate": pair.certificate}, "secret": {"private_key": pair.key}},
    )
    assert answer.status_code == 200, answer.content
    credential.refresh_from_db()
    assert credential.expires_at > timezone.now() + timedelta(days=690)


@pytest.mark.parametrize("type", CredentialType.values)
def test_a_credential_without_its_secret_is_refused(keeper: Any, type: str) -> None:
    fields = fields_of(type)
    del fields["secret"]
    for given in (fields, {**fields, "draft": False}):
        refused = keeper.post(LIST, given)
        assert refused.status_code == 400, refused.content
        assert "draft" in refused.json()["errors"]["secret"][0]
    assert not Credential.objects.exists()
    assert keeper.post(LIST, {**fields, "draft": True}).status_code == 201


def test_a_draft_says_that_it_has_no_secret(keeper: Any) -> None:
    fields = {**fields_of("API_KEY"), "draft": True}
    del fields["secret"]
    body = keeper.post(LIST, fields).json()
    assert (body["has_secret"], body["state"], body["fingerprint"]) == (False, "NO_SECRET", "")
    assert body["warnings"] == [
        "It is a draft: it has no secret yet, and calls that are to carry it are refused."
    ]


def test_warnings_say_what_somebody_should_look_at(keeper: Any) -> None:
    soon = timezone.now() + timedelta(days=5)
    credential = make_credential(allowed_origins=["http://billing:8000"], expires_at=soon)
    body = keeper.get(url(credential)).json()
    assert body["state"] == "EXPIRING"
    assert len(body["warnings"]) == 2
    assert "It goes unencrypted over the network" in body["warnings"][1]


def test_an_undecryptable_row_lists_changes_and_deletes(keeper: Any, settings: Any) -> None:
    credential = make_credential()
    settings.CREDENTIAL_KEYS = "other:" + "B" * 43 + "="
    [shown] = keeper.get(LIST).json()["items"]
    assert (shown["state"], shown["has_secret"]) == ("UNREADABLE", True)
    assert "The key 'tests' is not among CREDENTIAL_KEYS" in shown["warnings"][0]
    assert keeper.get(url(credential)).status_code == 200
    assert keeper.patch(url(credential), {"description": "x"}).status_code == 200
    repaired = keeper.post(url(credential, "rotate"), {"secret": {"token": "another-secret"}})
    assert repaired.json()["state"] == "USABLE"
    Credential.objects.update(ciphertext="v1.damaged")
    assert keeper.get(LIST).json()["items"][0]["state"] == "UNREADABLE"
    assert keeper.delete(url(credential)).status_code == 204


@pytest.mark.parametrize("keys", ["", "nonsense"])
def test_without_a_key_nothing_is_stored_and_the_answer_says_why(
    keeper: Any, settings: Any, keys: str
) -> None:
    settings.CREDENTIAL_KEYS = keys
    answer = keeper.post(LIST, fields_of("API_KEY"))
    assert (answer.status_code, answer.json()["code"]) == (503, "vault_error")
    assert "CREDENTIAL_KEYS" in answer.json()["detail"]
    assert not Credential.objects.exists()


def test_a_credential_in_use_is_not_deleted(keeper: Any) -> None:
    credential = make_credential()
    factories.make_service("billing", credential=credential)
    answer = keeper.delete(url(credential))
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "used by billing" in answer.json()["detail"]
    Service.objects.update(credential=None)
    assert keeper.delete(url(credential)).status_code == 204
    assert kinds_of(credential) == ["CREATED", "DELETED"]


def test_a_stale_change_is_refused(keeper: Any) -> None:
    credential = make_credential()
    tag = keeper.get(url(credential))["ETag"]
    assert keeper.patch(url(credential), {"description": "a"}).status_code == 200
    for method in (keeper.patch, keeper.delete):
        assert method(url(credential), HTTP_IF_MATCH=tag).status_code == 412


@pytest.mark.usefixtures("keys_stay_known")
def test_lists_are_filtered_and_cost_the_same(keeper: Any) -> None:
    make_credential("API_KEY", expires_at=timezone.now() + timedelta(days=3))
    make_credential("BEARER_TOKEN")

    def names(query: str) -> list[str]:
        return [item["name"] for item in keeper.get(f"{LIST}?{query}").json()["items"]]

    assert names("type=api_key") == ["api-key-1"]
    assert names("expiring=7") == ["api-key-1"]
    assert names("expiring=1") == []
    assert names("search=bearer") == ["bearer-token-1"]
    assert names("ordering=-name") == ["bearer-token-1", "api-key-1"]
    for query in ("type=x", "expiring=soon", "expiring=-1", "colour=red", "ordering=ciphertext"):
        assert keeper.get(f"{LIST}?{query}").status_code == 400
    with CaptureQueriesContext(connection) as few:
        keeper.get(LIST)
    for number in range(20):
        make_credential("API_KEY", name=f"more-{number}")
    with CaptureQueriesContext(connection) as many:
        keeper.get(f"{LIST}?per_page=50")
    assert len(many) == len(few)


# --- Who may ---


@pytest.mark.parametrize(
    ("role", "reads", "writes", "trail"),
    [
        ("VIEWER", 403, 403, 403), ("SERVICE", 403, 403, 403), ("WORKFLOW_EDITOR", 403, 403, 403),
        ("OPERATOR", 200, 403, 403), ("SECRET_ADMIN", 200, 200, 200), ("AUDITOR", 200, 403, 200),
    ],
)  # fmt: skip
def test_each_role_may_what_it_is_for(role: str, reads: int, writes: int, trail: int) -> None:
    credential = make_credential()
    caller = factories.caller(role)
    assert caller.get(url(credential)).status_code == reads
    assert caller.get(url(credential, "events")).status_code == trail
    new = {"secret": {"token": "another-secret"}}
    assert caller.post(url(credential, "rotate"), new).status_code == writes
    assert caller.patch(url(credential), {"description": "x"}).status_code == writes
    made = caller.post(LIST, fields_of("API_KEY")).status_code
    assert made == (201 if writes == 200 else writes)


def test_linking_takes_the_permission_to_use(operator: Any) -> None:
    credential = make_credential()
    body = {"name": "billing", "url": "https://api.example.org", "credential": credential.name}
    service = factories.caller("SERVICE", name="billing-key")
    refused = service.post("/registry/services", body)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert not Service.objects.exists()
    denied = CredentialEvent.objects.get(kind="DENIED")
    assert (denied.actor, denied.subject) == ("billing-key", "billing")
    linked = operator.post("/registry/services", body)
    assert (linked.status_code, linked.json()["credential"]) == (201, credential.name)
    assert kinds_of(credential) == ["CREATED", "DENIED", "LINKED"]
    off = factories.caller(scopes=["registry:write"], name="other")
    assert off.patch("/registry/services/billing", {"credential": ""}).status_code == 403
    same = off.patch("/registry/services/billing", {"credential": credential.name, "owner": ""})
    assert same.status_code == 400  # there is no such field; the credential is not the reason
    kept = off.patch("/registry/services/billing", {"credential": credential.name})
    assert (kept.status_code, kept.json()["credential"]) == (200, credential.name)
    gone = operator.patch("/registry/services/billing", {"credential": None})
    assert gone.json()["credential"] is None
    assert kinds_of(credential)[-1] == "UNLINKED"


def test_registering_again_keeps_the_credential(operator: Any) -> None:
    credential = make_credential()
    body = {"name": "billing", "url": "https://api.example.org"}
    operator.post("/registry/services", {**body, "credential": str(credential.pk)})
    again = operator.post("/registry/services", body)
    assert again.json()["credential"] == credential.name
    operator.delete("/registry/services/billing")
    assert kinds_of(credential) == ["CREATED", "LINKED", "UNLINKED"]


def test_who_may_not_use_credentials_learns_no_names_of_them(operator: Any) -> None:
    caller = factories.caller(scopes=["registry:write"])
    make_credential()
    answers = [
        caller.post("/registry/services", {"name": "a", "credential": name})
        for name in ("unknown", "bearer-token-1")
    ]
    assert [answer.status_code for answer in answers] == [403, 403]
    unknown = operator.post("/registry/services", {"name": "a", "credential": "unknown"})
    assert unknown.json()["errors"] == {
        "credential": ["No credential with the id or name 'unknown'."]
    }


@pytest.mark.usefixtures("keys_stay_known")
def test_services_with_credentials_cost_no_query_more() -> None:
    caller = factories.caller("OPERATOR")

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert caller.get("/registry/services?per_page=50").status_code == 200
        return len(queries)

    factories.make_service("plain")
    count()  # notes the first use of the key
    few = count()
    for number in range(5):
        credential = make_credential("API_KEY", name=f"key-{number}")
        factories.make_service(f"linked-{number}", credential=credential)
    assert count() == few


def test_the_trail_pages_by_cursor(keeper: Any) -> None:
    credential = make_credential()
    for number in range(4):
        keeper.patch(url(credential), {"description": str(number)})
    first = keeper.get(url(credential, "events") + "?cursor=&per_page=3").json()
    assert [item["kind"] for item in first["items"]] == ["CHANGED"] * 3
    rest = keeper.get(url(credential, "events") + f"?cursor={first['cursor']}&per_page=3").json()
    assert [item["kind"] for item in rest["items"]] == ["CHANGED", "CREATED"]
    assert rest["items"][0]["actor"] == "keeper"
    assert rest["items"][0]["request_id"]


# --- Expiry ---


def test_each_limit_is_told_once_until_the_end_changes(
    django_capture_on_commit_callbacks: Any, keeper: Any
) -> None:
    now = timezone.now()
    credential = make_credential(expires_at=now + timedelta(days=6))
    make_credential("API_KEY", expires_at=now + timedelta(days=90))
    heard: list[dict[str, Any]] = []
    mediator.subscribe("credential_expiring", lambda **event: heard.append(event))
    with django_capture_on_commit_callbacks(execute=True):
        assert warn_expiring(now=now) == 1
        assert warn_expiring(now=now) == 0
    assert [(event["name"], event["days"]) for event in heard] == [("bearer-token-1", 7)]
    assert warn_expiring(now=now + timedelta(days=5, hours=1)) == 1
    assert warn_expiring(now=now + timedelta(days=6)) == 1
    assert warn_expiring(now=now + timedelta(days=40)) == 0
    assert kinds_of(credential) == ["CREATED", "EXPIRING", "EXPIRING", "EXPIRING"]
    keeper.patch(url(credential), {"expires_at": (now + timedelta(days=20)).isoformat()})
    assert warn_expiring(now=now) == 1


@pytest.mark.parametrize("type", CredentialType.values)
def test_a_missing_secret_is_asked_for_in_a_sentence(type: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        check_secret_given({"type": type})
    (sentence,) = refused.value.errors["secret"]
    assert sentence.startswith(f"The type {type} needs a secret (")
