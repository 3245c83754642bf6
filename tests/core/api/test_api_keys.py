"""API keys over the API: shown once, never worth more than who makes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from core.models import ApiKey, AuditEntry, IdempotencyRecord
from tests.factories import caller, make_key

pytestmark = pytest.mark.django_db
MAKER = ["keys:write", "registry:read", "registry:register", "workflows:read",
         "actions:execute", "workflows:execute", "models:read", "models:use"]  # fmt: skip


@pytest.fixture
def maker() -> APIClient:
    return caller(scopes=MAKER, name="maker")


def post(client: APIClient, path: str, body: Any = None, **headers: str) -> Any:
    return client.post(path, body or {}, format="json", headers=headers)


def test_key_is_answered_once_and_works(maker: APIClient) -> None:
    made = post(maker, "/keys", {"name": "billing", "role": "service"})
    assert made.status_code == 201, made.data
    assert made.headers["Cache-Control"] == "no-store"
    assert made.data["role"] == "SERVICE"
    client = APIClient()
    assert (
        client.get("/registry/services", headers={"X-API-Key": made.data["key"]}).json()["items"]
        == []
    )
    assert "key" not in maker.get("/keys/billing").data
    assert made.data["key"] not in str(maker.get("/keys").data)


def test_text_of_a_key_is_kept_nowhere_even_with_an_idempotency_key(maker: APIClient) -> None:
    headers = {"Idempotency-Key": "once"}
    made = post(maker, "/keys", {"name": "billing"}, **headers)
    again = post(maker, "/keys", {"name": "billing"}, **headers)
    assert (made.status_code, again.status_code) == (201, 409)
    secret = made.data["key"].split("_", 2)[2]
    kept = [
        *IdempotencyRecord.objects.values(),
        *AuditEntry.objects.values(),
        *ApiKey.objects.values(),
    ]
    assert secret not in str(kept)


@pytest.mark.parametrize(
    "wanted", [{"role": "OPERATOR"}, {"scopes": ["credentials:write"]}, {"role": "AUDITOR"}]
)
def test_key_is_never_given_more_than_its_maker_may_do(maker: APIClient, wanted: Any) -> None:
    refused = post(maker, "/keys", {"name": "more", **wanted})
    assert refused.status_code == 403
    assert "more than its maker may do" in refused.data["detail"]
    post(maker, "/keys", {"name": "more"})
    assert maker.patch("/keys/more", wanted, format="json").status_code == 403
    assert ApiKey.objects.get(name="more").role == "VIEWER"


def test_change_of_another_field_of_a_mightier_key_is_no_grant(maker: APIClient) -> None:
    key, _ = make_key("OPERATOR", name="mighty")
    assert maker.patch("/keys/mighty", {"name": "renamed"}, format="json").status_code == 200
    assert maker.get(f"/keys/{key.pk}").data["name"] == "renamed"


def test_end_of_a_key_lies_ahead_and_null_removes_it(maker: APIClient) -> None:
    past, ahead = (timezone.now() + timedelta(days=d) for d in (-1, 1))
    refused = post(maker, "/keys", {"name": "late", "expires_at": past.isoformat()})
    assert refused.status_code == 400
    assert "revoke it" in refused.data["errors"]["expires_at"][0]
    post(maker, "/keys", {"name": "late", "expires_at": ahead.isoformat()})
    changed = maker.patch("/keys/late", {"expires_at": None}, format="json")
    assert changed.data["expires_at"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "x", "role": "king"}, "role"),
        ({"name": "x", "scopes": ["everything"]}, "scopes"),
        ({"name": "x", "networks": ["here"]}, "networks"),
        ({"name": "x", "netwroks": []}, "netwroks"),
    ],
)
def test_bad_field_is_named(maker: APIClient, body: Any, field: str) -> None:
    refused = post(maker, "/keys", body)
    assert refused.status_code == 400
    assert field in str(refused.data["errors"])


def test_revoked_key_is_refused_at_once_and_stays_listed(maker: APIClient) -> None:
    text = post(maker, "/keys", {"name": "billing"}).data["key"]
    revoked = post(maker, "/keys/billing/revoke")
    assert (revoked.status_code, revoked.data["state"]) == (200, "REVOKED")
    assert APIClient().get("/registry/services", headers={"X-API-Key": text}).status_code == 401
    assert post(maker, "/keys/billing/revoke").status_code == 409
    assert [k["name"] for k in maker.get("/keys?state=revoked").data["items"]] == ["billing"]
    assert [k["name"] for k in maker.get("/keys?state=usable").data["items"]] == ["maker"]
    make_key(name="old", expires_at=timezone.now() - timedelta(days=1))
    assert [k["name"] for k in maker.get("/keys?state=expired").data["items"]] == ["old"]
    refused = maker.get("/keys?state=10%25")
    assert refused.status_code == 400
    assert refused.json()["errors"]["state"][0].startswith("'10%' is not allowed")


def test_operator_neither_sees_nor_makes_keys_and_an_auditor_only_sees_them() -> None:
    operator, auditor = caller("OPERATOR"), caller("AUDITOR")
    assert operator.get("/keys").status_code == 403
    assert post(operator, "/keys", {"name": "x"}).status_code == 403
    assert auditor.get("/keys").status_code == 200
    assert post(auditor, "/keys", {"name": "x"}).status_code == 403


def test_precondition_of_a_change_is_held(maker: APIClient) -> None:
    post(maker, "/keys", {"name": "billing"})
    tag = maker.get("/keys/billing").headers["ETag"]
    change = {"role": "SERVICE"}
    headers = {"If-Match": tag}
    assert maker.patch("/keys/billing", change, format="json", headers=headers).status_code == 200
    assert maker.patch("/keys/billing", change, format="json", headers=headers).status_code == 412


def test_life_of_a_key_is_in_the_audit_trail(maker: APIClient) -> None:
    post(maker, "/keys", {"name": "billing"})
    maker.patch("/keys/billing", {"role": "SERVICE"}, format="json")
    post(maker, "/keys/billing/revoke", **{"X-Request-Reason": "It leaked."})
    maker.delete("/keys/billing")
    auditor = caller("AUDITOR")
    found = auditor.get("/audit?object_type=api_key&actor=maker").data["items"]
    assert [e["verb"] for e in found] == ["DELETED", "REVOKED", "CHANGED", "CREATED"]
    assert found[2]["changes"] == {"role": ["VIEWER", "SERVICE"]}
    assert found[1]["reason"] == "It leaked."


def test_audit_list_is_filtered_and_takes_its_scope(maker: APIClient) -> None:
    for name in ("a", "b", "c"):
        post(maker, "/keys", {"name": name}, **{"X-Request-ID": f"req-{name}"})
    auditor = caller("AUDITOR")

    def names(query: str) -> list[str]:
        answer = auditor.get(f"/audit?{query}")
        assert answer.status_code == 200, answer.data
        return [entry["object_name"] for entry in answer.data["items"]]

    assert names("verb=created") == ["c", "b", "a"]
    assert names("object_name=b") == names("request_id=req-b") == ["b"]
    assert names("verb=deleted") == names("created_after=9999-12-31T23:59:59Z") == []
    assert names("created_before=0001-01-01T00:00:00Z") == []
    assert names("created_after=2020-01-01T00:00:00Z") == ["c", "b", "a"]
    assert names("cursor=&per_page=2") == ["c", "b"]
    assert auditor.get("/audit?verb=baked").status_code == 400
    assert caller("OPERATOR").get("/audit").status_code == 403
