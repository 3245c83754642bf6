"""Credentials in the admin: secrets are typed in and never rendered."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from core.models import AuditEntry
from registry.credentials.sealing import open_secret
from registry.models import Credential, CredentialEvent, CredentialType, Service
from tests import factories
from tests.support.credentials import ORIGIN, fields_of, make_certificate, make_credential
from tests.support.people import in_groups

pytestmark = [pytest.mark.django_db, pytest.mark.once]
ADD = reverse("admin:registry_credential_add")
LIST = reverse("admin:registry_credential_changelist")


@pytest.fixture
def keeper() -> Client:
    return in_groups("secret-admin")


def page(credential: Credential) -> str:
    return reverse("admin:registry_credential_change", args=(credential.pk,))


def form_of(type: str, **more: Any) -> dict[str, Any]:
    """What a person types into the form for a credential of this type."""
    fields = fields_of(type)
    found: dict[str, Any] = {
        "name": fields["name"],
        "type": type,
        "allowed_origins": ORIGIN,
        "description": "",
        "expires_at_0": "",
        "expires_at_1": "",
    }
    for section in ("attributes", "secret"):
        for part, value in fields[section].items():
            found[f"{type.lower()}__{section}__{part}"] = value
    if type == "CUSTOM_HEADERS":
        lines = "\n".join(f"{name}: {value}" for name, value in fields["secret"].items())
        found["custom_headers__secret__headers"] = lines
    return found | more


def revealed(credential: Credential) -> dict[str, str]:
    row = Credential.objects.get(pk=credential.pk)
    return {name: value.reveal() for name, value in open_secret(row).items()}


@pytest.mark.parametrize("type", CredentialType.values)
def test_every_type_is_made_and_its_page_shows_no_secret(keeper: Client, type: str) -> None:
    form = form_of(type)
    answer = keeper.post(ADD, form)
    assert answer.status_code == 302, re.findall(r"errorlist.*?</ul>", answer.content.decode())
    credential = Credential.objects.get()
    secrets = [value for name, value in form.items() if "__secret__" in name]
    if type == "CUSTOM_HEADERS":
        assert revealed(credential) == fields_of(type)["secret"]
        secrets = list(fields_of(type)["secret"].values())
    elif type != "CLIENT_CERTIFICATE":
        assert revealed(credential) == fields_of(type)["secret"]
    pages = [
        LIST,
        page(credential),
        reverse("admin:registry_credential_history", args=(credential.pk,)),
    ]
    for url in pages:
        shown = keeper.get(url)
        assert shown.status_code == 200
        assert not any(secret in shown.content.decode() for secret in secrets)
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.actor, entry.object_id) == (
        "CREATED",
        "secret-admin",
        str(credential.pk),
    )
    assert not any(secret in str(entry.changes) for secret in secrets)
    event = CredentialEvent.objects.get()
    assert (event.kind, event.actor) == ("CREATED", "secret-admin")


def test_a_credential_without_its_secret_is_refused_by_the_form_unless_it_is_a_draft(
    keeper: Client,
) -> None:
    url = reverse("admin:registry_credential_add")
    form = {"name": "later", "type": "BEARER_TOKEN"}
    refused = keeper.post(url, form)
    assert refused.status_code == 200
    errors = refused.context["adminform"].form.errors
    assert "make it a draft" in errors["bearer_token__secret__token"][0]
    assert not Credential.objects.exists()
    assert keeper.post(url, {**form, "draft": "on"}).status_code == 302
    shown = keeper.get(page(Credential.objects.get())).content.decode()
    assert "It is a draft: it has no secret yet" in shown


def test_a_form_with_an_error_does_not_render_the_secret_back(keeper: Client) -> None:
    for type, secret in (
        ("BEARER_TOKEN", {"bearer_token__secret__token": "typed-in-secret"}),
        ("CUSTOM_HEADERS", {"custom_headers__secret__headers": "X-A: typed-in-secret"}),
        ("CLIENT_CERTIFICATE", {"client_certificate__secret__private_key": "typed-in-secret"}),
    ):
        answer = keeper.post(ADD, form_of(type, allowed_origins="nonsense", **secret))
        assert answer.status_code == 200
        assert "Must be an origin such as" in answer.content.decode()
        assert "typed-in-secret" not in answer.content.decode()
    assert not Credential.objects.exists()


@pytest.mark.parametrize(
    ("type", "change", "sentence"),
    [
        ("BASIC_AUTH", {"basic_auth__attributes__username": ""}, "This is needed."),
        ("BASIC_AUTH", {"basic_auth__secret__password": "abc"}, "Must have 4 to 8192 characters."),
        ("CUSTOM_HEADERS", {"custom_headers__secret__headers": "nonsense"}, "Line 1 must be"),
        (
            "CUSTOM_HEADERS",
            {"custom_headers__secret__headers": "Host: abcd"},
            "This header",
        ),
        ("API_KEY", {"api_key__attributes__header": "a b"}, "Must be the name of a header"),
        ("API_KEY", {"name": ""}, "This field is required."),
        ("API_KEY", {"type": "NONSENSE"}, "is not allowed"),
    ],
)
def test_errors_stand_at_their_fields(
    keeper: Client, type: str, change: dict[str, str], sentence: str
) -> None:
    answer = keeper.post(ADD, form_of(type) | change)
    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    assert not Credential.objects.exists()


def test_a_change_keeps_the_secret_unless_one_is_typed_in(keeper: Client) -> None:
    credential = make_credential()
    form = form_of("BEARER_TOKEN", description="For billing.", bearer_token__secret__token="")
    assert keeper.post(page(credential), form).status_code == 302
    assert revealed(credential) == {"token": "bearer-0123456789"}
    form["bearer_token__secret__token"] = "another-secret"
    assert keeper.post(page(credential), form).status_code == 302
    assert revealed(credential) == {"token": "another-secret"}
    kinds = CredentialEvent.objects.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["CREATED", "CHANGED", "ROTATED"]
    wider = {**form, "bearer_token__secret__token": "", "allowed_origins": "https://evil.org"}
    refused = keeper.post(page(credential), wider)
    assert "Give the secret again" in refused.content.decode()


def test_rotating_asks_for_the_parts_of_the_type(keeper: Client) -> None:
    credential = make_credential("BASIC_AUTH", expires_at=timezone.now() + timedelta(days=3))
    url = reverse("admin:registry_credential_rotate", args=(credential.pk,))
    shown = keeper.get(url).content.decode()
    assert 'name="basic_auth__secret__password"' in shown
    assert "bearer_token__secret__token" not in shown
    empty = keeper.post(url, {"_form_submitted": "True"})
    assert "Type the new secret in." in empty.content.decode()
    short = {"_form_submitted": "True", "basic_auth__secret__password": "abc"}
    assert "Must have 4 to 8192" in keeper.post(url, short).content.decode()
    new = {"_form_submitted": "True", "basic_auth__secret__password": "another-secret"}
    answer = keeper.post(url, {**new, "expires_at": "2030-01-02T03:04"})
    assert answer["HX-Redirect"] == page(credential)
    assert revealed(credential) == {"password": "another-secret"}
    credential.refresh_from_db()
    assert credential.expires_at is not None
    assert credential.expires_at.year == 2030


def test_a_certificate_is_rotated_with_its_key(keeper: Client) -> None:
    credential = make_credential("CLIENT_CERTIFICATE")
    url = reverse("admin:registry_credential_rotate", args=(credential.pk,))
    pair = make_certificate("next", days=700)
    form = {
        "_form_submitted": "True",
        "client_certificate__secret__private_key": pair.key,
        "client_certificate__attributes__certificate": pair.certificate,
    }
    assert "HX-Redirect" in keeper.post(url, form).headers
    credential.refresh_from_db()
    assert credential.attributes["certificate"] == pair.certificate
    assert credential.expires_at is not None
    assert credential.expires_at > timezone.now() + timedelta(days=690)


def test_an_undecryptable_row_lists_opens_and_is_deleted(keeper: Client, settings: Any) -> None:
    credential = make_credential()
    settings.CREDENTIAL_KEYS = "other:" + "B" * 43 + "="
    assert "Unreadable" in keeper.get(LIST).content.decode()
    shown = keeper.get(page(credential)).content.decode()
    assert "is not among CREDENTIAL_KEYS" in shown.replace("&#x27;", "'")
    delete = reverse("admin:registry_credential_delete", args=(credential.pk,))
    assert keeper.post(delete, {"post": "yes"}).status_code == 302
    assert not Credential.objects.exists()


def test_a_credential_in_use_is_not_deleted(keeper: Client) -> None:
    credential = make_credential()
    factories.make_service("billing", credential=credential)
    delete = reverse("admin:registry_credential_delete", args=(credential.pk,))
    keeper.post(delete, {"post": "yes"})
    selected = {"action": "delete_selected", "_selected_action": [credential.pk], "post": "yes"}
    keeper.post(LIST, selected)
    assert Credential.objects.exists()


@pytest.mark.parametrize(
    ("group", "sees", "sets", "trail"),
    [
        ("viewer", 403, 403, 403), ("operator", 200, 403, 403), ("secret-admin", 200, 200, 200),
        ("auditor", 200, 403, 200),
    ],
)  # fmt: skip
def test_each_group_may_what_its_role_may(group: str, sees: int, sets: int, trail: int) -> None:
    credential = make_credential()
    client = in_groups(group)
    assert client.get(LIST).status_code == sees
    assert client.get(page(credential)).status_code == sees
    assert client.get(ADD).status_code == sets
    rotate = reverse("admin:registry_credential_rotate", args=(credential.pk,))
    assert client.get(rotate).status_code == sets
    events = reverse("admin:registry_credentialevent_changelist")
    assert client.get(events).status_code == trail
    if sees == 200:
        assert ORIGIN in client.get(page(credential)).content.decode()
        shown = client.get(page(credential)).content.decode()
        assert ('aria-label="Credential trail"' in shown) is (trail == 200)


def test_linking_a_service_takes_the_permission_to_use() -> None:
    credential = make_credential()
    service = factories.make_service("billing")
    url = reverse("admin:registry_service_change", args=(service.pk,))
    form = {
        "name": "billing", "type": "CUSTOM", "criticality": "NON_CRITICAL", "description": "",
        "version": "", "owner": "", "tags": "", "breaker": "", "metadata": "",
        "credential": str(credential.pk),
    }  # fmt: skip
    operator = in_groups("operator")
    assert operator.post(url, form).status_code == 302
    assert Service.objects.get().credential == credential
    event = CredentialEvent.objects.get(kind="LINKED")
    assert (event.actor, event.subject) == ("operator", "billing")
    without = User.objects.get(username="operator")
    without.groups.clear()
    without.user_permissions.set(
        Permission.objects.filter(codename__in=("view_service", "change_service"))
    )
    assert operator.post(url, {**form, "credential": ""}).status_code == 302
    assert Service.objects.get().credential == credential


def test_lists_cost_the_same_with_many_rows(keeper: Client) -> None:
    events = reverse("admin:registry_credentialevent_changelist")

    def count(url: str) -> int:
        keeper.get(url)
        with CaptureQueriesContext(connection) as queries:
            assert keeper.get(url).status_code == 200
        return len(queries)

    make_credential("API_KEY")
    few = [count(LIST), count(events)]
    for number in range(15):
        make_credential("API_KEY", name=f"more-{number}")
    assert [count(LIST), count(events)] == few
    assert keeper.get(f"{events}?q=more-1").status_code == 200
    assert keeper.get(f"{events}?q={Credential.objects.first().pk}").status_code == 200  # type: ignore[union-attr]
