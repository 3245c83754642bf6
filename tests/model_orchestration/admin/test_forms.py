"""Forms of the admin: providers, models, routes, prices."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.models import AuditEntry
from integration_site.admin_groups import create_roles
from model_orchestration.calls.listing import capabilities_of, models_in
from model_orchestration.models import Model, ModelBudget, ModelPrice, ModelRoute
from registry.models import Connection, Credential
from tests.support.connections import make_connection
from tests.support.model_servers import ModelServer, running_model_server

pytestmark = [pytest.mark.django_db, pytest.mark.once]
CONNECT = "admin:model_connect"


@pytest.fixture(scope="module")
def _server():
    with running_model_server() as server:
        yield server


@pytest.fixture
def server(_server: ModelServer) -> ModelServer:
    _server.reset()
    return _server


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def small() -> Model:
    return Model.objects.create(
        name="small", provider="CUSTOM", capabilities=["CHAT"], connection=make_connection()
    )


def provider(server: ModelServer, **fields: Any) -> dict[str, Any]:
    form = {"provider": "CUSTOM", "name": "local", "base_url": server.openai_url}
    return {**form, "key": server.key, **fields}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_client")
@pytest.mark.parametrize("kind", ["CUSTOM", "ANTHROPIC"])
def test_provider_is_tried_and_its_models_registered(root, server, kind):
    shown = root.post(reverse(CONNECT), provider(server, provider=kind), follow=True)
    (url, _) = shown.redirect_chain[-1]
    offered = re.findall(r'name="models" value="([^"]+)"', shown.content.decode())
    done = root.post(url, {"models": offered[:2], "id_prefix": "local/"})

    assert done.status_code == 302
    assert offered[:2] == ["tiny-1", "tiny-1-large"]
    model = Model.objects.get(name="local-tiny-1")
    assert (model.provider, model.sent_name, model.capabilities[0]) == (kind, "tiny-1", "CHAT")
    assert Credential.objects.get().allowed_origins == [server.root]
    assert server.key not in shown.content.decode()
    made = AuditEntry.objects.filter(verb="CREATED").values_list("object_type", flat=True)
    assert sorted(made) == ["connection", "credential", "model", "model"]
    again = root.get(url).content.decode()
    assert 'value="tiny-1"' not in again


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_client")
def test_provider_that_refuses_the_key_leaves_nothing_behind(root, server):
    answer = root.post(reverse(CONNECT), provider(server, key="wrong"))

    assert answer.status_code == 200
    assert "Incorrect API key" in answer.content.decode()
    assert 'value="wrong"' not in answer.content.decode()
    assert not Connection.objects.exists()
    assert not Credential.objects.exists()


def test_provider_without_what_it_needs_is_refused_before_it_is_asked(root, server):
    no_url = root.post(reverse(CONNECT), provider(server, base_url=""))
    no_key = root.post(reverse(CONNECT), provider(server, provider="OPENAI", key=""))

    assert "A custom provider has no usual one." in no_url.content.decode()
    assert "without a key" in no_key.content.decode()
    assert server.received == []


def test_only_who_may_set_secrets_adds_providers(client):
    create_roles()
    user = User.objects.create_user("op", is_staff=True)
    user.groups.set(Group.objects.filter(name="operator"))
    client.force_login(user)
    assert client.get(reverse(CONNECT)).status_code == 403
    page = client.get(reverse("admin:model_orchestration_model_changelist")).content.decode()
    assert "Add a provider" not in page
    assert "Try a model" in page


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ({"data": [{"id": "b"}, {"id": "a"}, {"no": "id"}, 5]}, ["a", "b"]),
        ({"data": None}, []),
        (["x"], []),
        ("<html>", []),
    ],
)
def test_lists_of_models_are_read_whatever_they_are(document, names):
    assert [each.name for each in models_in(document)] == names


def test_capabilities_are_guessed_by_the_name():
    assert capabilities_of("text-embedding-3-small") == ("EMBEDDING",)
    assert capabilities_of("whisper-1") == ("AUDIO_TRANSCRIPTION", "AUDIO_TRANSLATION")
    assert capabilities_of("gpt-4o")[0] == "CHAT"


def route(**fields: Any) -> dict[str, Any]:
    form = {"name": "assistant", "strategy": "WEIGHTED", "targets": "small 3\n", "max_attempts": 2}
    return {**form, "deadline_seconds": 30, "fallback_on": ["RATE"], **fields}


def test_route_is_made_of_lines(root, small):
    url = reverse("admin:model_orchestration_modelroute_add")
    assert root.post(url, route()).status_code == 302
    row = ModelRoute.objects.get()
    assert row.targets == [{"model": "small", "weight": 3}]
    page = reverse("admin:model_orchestration_modelroute_change", args=(row.pk,))
    shown = root.get(page).content.decode()
    assert "small 3</textarea>" in shown
    for odd, words in (("small many", "then its weight"), ("gone", "gone"), ("", "required")):
        assert words in root.post(url, route(name="other", targets=odd)).content.decode()


def test_route_says_what_is_in_the_way(root, small):
    Model.objects.filter(pk=small.pk).update(status="INACTIVE")
    row = ModelRoute.objects.create(name="r", targets=[{"model": "small"}, {"model": "gone"}])
    page = reverse("admin:model_orchestration_modelroute_change", args=(row.pk,))
    shown = root.get(page).content.decode()
    assert "passed over while it is inactive" in shown
    assert "There is no such model" in shown


def test_price_for_one_token_is_noticed_and_begun_prices_stay(root, small):
    other = Model.objects.create(
        name="other", provider="CUSTOM", capabilities=["CHAT"], connection=small.connection
    )
    ModelPrice.objects.create(model=other, valid_from=timezone.now(), input=3, output=9)
    url = reverse("admin:model_orchestration_modelprice_add")
    form = {"model": small.pk, "input": "0.000003", "output": "0"}
    past = {"valid_from_0": "2026-01-01", "valid_from_1": "00:00:00"}
    assert "A price holds from now on or later" in root.post(url, {**form, **past}).content.decode()
    told = root.post(url, form, follow=True)

    assert "1,000 tokens of small cost $0.000000003 in" in told.content.decode()
    assert "a hundred times" in told.content.decode()
    price = ModelPrice.objects.get(model=small)
    assert price.input == Decimal("0.000003")
    for view in ("delete", "change"):
        page = reverse(f"admin:model_orchestration_modelprice_{view}", args=(price.pk,))
        assert root.post(page, {"post": "yes", "input": 9}).status_code == 403


def test_model_page_shows_price_and_requests(root, small):
    ModelPrice.objects.create(model=small, valid_from=timezone.now(), input=3, output=9)
    page = reverse("admin:model_orchestration_model_change", args=(small.pk,))
    assert "$3.00 in, $9.00 out per million tokens" in root.get(page).content.decode()
    form = {"name": "small", "provider": "CUSTOM", "connection": small.connection_id}
    form |= {"capabilities": ["CHAT"], "status": "DEPRECATED", "aliases": "fast, quick"}
    assert root.post(page, form).status_code == 302
    small.refresh_from_db()
    assert (small.status, small.aliases) == ("DEPRECATED", ["fast", "quick"])
    assert AuditEntry.objects.filter(object_type="model", verb="CHANGED").exists()


def test_try_page_offers_what_may_be_asked(root, small):
    Model.objects.create(
        name="off", provider="CUSTOM", capabilities=["CHAT"], status="INACTIVE",
        connection=small.connection,
    )  # fmt: skip
    page = root.get(reverse("admin:model_try") + "?model=small").content.decode()
    assert "<option selected>small</option>" in page
    assert ">off<" not in page


def test_budget_is_raised_and_keeps_nothing_of_what_it_was_before(root):
    form = {"name": "trial", "scope": "PROJECT", "subject": "shop", "period": "ROLLING",
            "rolling_seconds": 600, "time_zone": "UTC", "request_limit": 3, "on_exceed": "REJECT",
            "warn_at": "[80]"}  # fmt: skip
    add = reverse("admin:model_orchestration_modelbudget_add")
    assert "at least one limit" in root.post(add, {**form, "request_limit": ""}).content.decode()
    assert root.post(add, form).status_code == 302
    budget = ModelBudget.objects.get()
    page = reverse("admin:model_orchestration_modelbudget_change", args=(budget.pk,))
    assert "of 3 requests" in root.get(page).content.decode()
    changed = {**form, "scope": "ALL", "period": "DAY", "request_limit": 30}
    assert root.post(page, changed).status_code == 302
    budget.refresh_from_db()
    assert (budget.request_limit, budget.subject, budget.rolling_seconds) == (30, "", None)
    entry = AuditEntry.objects.filter(object_type="model_budget", verb="CHANGED").get()
    assert entry.changes["request_limit"] == [3, 30]
