"""Who may call: keys, roles, networks, sessions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from core.api.known_keys import known_keys
from core.models import ApiKey
from core.roles import Role, scopes_of_groups, scopes_of_role
from integration_site.admin_groups import create_roles
from tests import factories

pytestmark = pytest.mark.django_db
LIST = "/registry/services"


def answer_to(client: Any, **headers: str) -> Any:
    return client.get(LIST, **headers)


def test_without_a_key_the_answer_says_how_to_give_one() -> None:
    answer = APIClient().get(LIST)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert "Authorization: Bearer <key>, or X-API-Key: <key>" in answer.json()["detail"]
    assert answer["WWW-Authenticate"] == 'Bearer realm="service-integration"'


def test_a_key_comes_in_either_header() -> None:
    _, text = factories.make_key("VIEWER")
    for headers in (
        {"HTTP_AUTHORIZATION": f"Bearer {text}"},
        {"HTTP_AUTHORIZATION": f"bearer  {text} "},
        {"HTTP_X_API_KEY": text},
    ):
        assert answer_to(APIClient(), **headers).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        "", "x", "si_", "si__", "si_abc", "si_abcdefgh_x", "{text}x", "{other}", "si_\x00_x",
        "si_ä_ö", "si_" + "x" * 5000 + "_y",
    ],
)  # fmt: skip
@pytest.mark.parametrize("header", ["HTTP_AUTHORIZATION", "HTTP_X_API_KEY"])
def test_wrong_keys_are_refused(wrong: str, header: str) -> None:
    key, text = factories.make_key("VIEWER")
    sent = wrong.format(text=text, other=text.replace(key.prefix, "00000000"))
    value = f"Bearer {sent}" if header == "HTTP_AUTHORIZATION" else sent
    answer = answer_to(APIClient(), **{header: value})
    assert answer.status_code == 401
    assert text not in answer.content.decode()


def test_expired_and_revoked_keys_are_refused() -> None:
    now = timezone.now()
    for fields in ({"expires_at": now - timedelta(seconds=1)}, {"revoked_at": now}):
        answer = answer_to(factories.caller("VIEWER", **fields))
        assert answer.status_code == 401
        assert answer.json()["detail"] == "This API key is not known, was revoked or has expired."
    assert answer_to(factories.caller(expires_at=now + timedelta(hours=1))).status_code == 200


def test_a_key_is_bound_to_its_networks() -> None:
    client = factories.caller("VIEWER", networks=["10.0.0.0/8", "fd00::/8"])
    for address, status in (
        ("10.9.9.9", 200),
        ("::ffff:10.0.0.1", 200),
        ("fd00::1", 200),
        ("127.0.0.1", 401),
        ("", 401),
    ):
        assert answer_to(client, REMOTE_ADDR=address).status_code == status


def test_the_last_use_of_a_key_is_noted_by_the_minute() -> None:
    key, text = factories.make_key("VIEWER")
    client = APIClient()
    client.credentials(HTTP_X_API_KEY=text)
    client.get(LIST)
    first = ApiKey.objects.get(pk=key.pk).last_used_at
    client.get(LIST)
    assert first is not None
    assert ApiKey.objects.get(pk=key.pk).last_used_at == first
    ApiKey.objects.update(last_used_at=first - timedelta(minutes=2))
    known_keys().forget()
    client.get(LIST)
    assert ApiKey.objects.filter(pk=key.pk, last_used_at__gte=first).exists()


def test_scopes_of_a_key_stand_instead_of_those_of_its_role() -> None:
    client = factories.caller("OPERATOR", scopes=["workflows:read"])
    assert client.get("/workflows").status_code == 200
    answer = client.get(LIST)
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        "This needs the scope registry:read.",
    )


def test_keys_refuse_unknown_scopes_networks_and_roles() -> None:
    for fields in ({"scopes": ["all"]}, {"networks": ["10.0.0.0/99"]}, {"role": "KING"}):
        with pytest.raises(ValidationError):
            factories.make_key(**fields)
    assert factories.make_key("workflow_editor")[0].role == "WORKFLOW_EDITOR"
    assert factories.make_key("Workflow-Editor")[0].role == "WORKFLOW_EDITOR"


def test_methods_that_do_not_exist_are_405_with_what_does() -> None:
    answer = factories.caller().delete("/registry/services")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert set(answer["Allow"].split(", ")) >= {"GET", "POST"}


def test_head_is_answered_like_get() -> None:
    client = factories.caller("VIEWER")
    for path in ("/registry/services", "/discovery/services", "/health/system", "/workflows"):
        assert client.head(path).status_code == 200
        assert APIClient().head(path).status_code == 401


def test_roles_have_their_scopes() -> None:
    assert scopes_of_role(Role.VIEWER) == {"registry:read", "workflows:read", "models:read"}
    assert "registry:write" not in scopes_of_role(Role.SERVICE)
    assert "credentials:write" not in scopes_of_role(Role.OPERATOR)
    assert scopes_of_role("nonsense") == frozenset()
    assert scopes_of_groups({"viewer", "secret-admin", "other"}) == scopes_of_role(
        Role.SECRET_ADMIN
    )


# --- Sessions ---


def staff(*groups: str) -> User:
    create_roles()
    user = User.objects.create_user("person", is_staff=True)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


def test_a_session_has_the_rights_of_its_groups() -> None:
    client = Client()
    client.force_login(staff("viewer"))
    assert client.get(LIST).status_code == 200
    answer = client.post(LIST, {"name": "a"}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_a_superuser_may_everything_and_others_without_staff_nothing() -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    created = client.post(LIST, {"name": "a"}, content_type="application/json")
    assert (created.status_code, created.json()["owner"]) == (201, "root")
    client.force_login(User.objects.create_user("guest"))
    assert client.get(LIST).status_code == 401


def test_a_session_that_writes_needs_the_csrf_token() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff("operator"))
    refused = client.post(LIST, {"name": "a"}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert "CSRF" in refused.json()["detail"]
    client.get("/admin/")
    token = client.cookies["csrftoken"].value if "csrftoken" in client.cookies else "x" * 32
    client.cookies["csrftoken"] = token
    taken = client.post(
        LIST, {"name": "a"}, content_type="application/json", headers={"X-CSRFToken": token}
    )
    assert taken.status_code == 201


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/models/chat", "/v1/messages", LIST])
@pytest.mark.parametrize("media_type", ["application/json", "multipart/form-data", "text/plain"])
def test_a_body_is_read_of_who_may_send_it_only(path: str, media_type: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    client.cookies["csrftoken"] = token = "x" * 32
    for headers, told in (({"X-CSRFToken": token}, "needs the scope"), ({}, "CSRF")):
        refused = client.post(path, b"{no body", content_type=media_type, headers=headers)
        assert refused.status_code == 403
        assert told in refused.content.decode()


def test_the_csrf_token_of_a_form_is_none() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff("operator"))
    client.cookies["csrftoken"] = token = "x" * 32
    assert client.post("/v1/audio/translations", {"csrfmiddlewaretoken": token}).status_code == 403


def test_a_key_needs_no_csrf_token() -> None:
    _, text = factories.make_key()
    client = APIClient(enforce_csrf_checks=True)
    assert client.post(LIST, {"name": "a"}, HTTP_X_API_KEY=text).status_code == 201


# --- Callers without a key ---


def test_nobody_is_let_in_without_a_key_unless_configured(settings: Any) -> None:
    settings.ANONYMOUS_API_ROLE = "service"
    assert APIClient().get(LIST).status_code == 401
    settings.ANONYMOUS_API_ROLE, settings.ANONYMOUS_API_NETWORKS = "", ["0.0.0.0/0"]
    assert APIClient().get(LIST).status_code == 401


def test_known_networks_have_the_anonymous_role(settings: Any) -> None:
    settings.ANONYMOUS_API_ROLE = "service"
    settings.ANONYMOUS_API_NETWORKS = ["10.0.0.0/8"]
    client: Any = APIClient()
    inside = {"REMOTE_ADDR": "10.1.1.1"}
    assert client.post(LIST, {"name": "a"}, **inside).json()["owner"] == "anonymous"
    assert client.post("/workflows", {}, **inside).status_code == 403
    for outside in ("11.0.0.1", "", "unix:", "::1"):
        assert client.get(LIST, REMOTE_ADDR=outside).status_code == 401
    assert client.get(LIST, HTTP_X_API_KEY="si_wrong_key", **inside).status_code == 401
