"""Files are applied in one piece, written, and applied again without a change."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin import site
from django.urls import reverse
from rest_framework.test import APIClient

from core.models import AuditEntry, ManagedObject
from integration_site.manifests.kinds import KINDS
from monitoring.models import AlertChannel, HealthCheck, ServiceDependency, Slo
from registry.credentials.sealing import open_parts
from tests import factories
from workflows.models import Workflow, WorkflowVersion

pytestmark = pytest.mark.django_db

HOOK = "http://127.0.0.1:9/services/T0/B0/hidden"
EVERYTHING = """
kind: Check
name: home
spec:
  kind: HTTP
  url: http://127.0.0.1:9/
  interval_seconds: 60
  conditions: {statuses: [200-299], json: ["body.status == 'ok'"]}
  tags: [shop, "on"]
---
kind: Check
name: nightly
spec: {kind: PUSH, cron: "0 3 * * *", timezone: Europe/Berlin, enabled: false}
---
kind: Channel
name: team
spec:
  type: SLACK
  min_severity: CRITICAL
  secret: {url: {env: HOOK}}
---
kind: EscalationPolicy
name: nights
spec:
  services: ["sh*"]
  levels: [{after_minutes: 10, channels: [team]}, {after_minutes: 30, channels: [team]}]
---
kind: MaintenanceWindow
name: sundays
spec: {services: ["sh*"], cron: "0 2 * * 0", duration_minutes: 60, public: true}
---
kind: MaintenanceWindow
name: move
spec: {everything: true, starts_at: 2099-01-01T00:00:00Z, ends_at: 2099-01-01T02:00:00Z}
---
kind: StatusPage
name: public
spec: {visibility: PUBLIC, components: [{service: shop, name: Shop, group: Store}]}
---
kind: Slo
name: shop-answers
spec: {service: shop, target: 99.5, window_days: 7}
---
kind: Dependency
spec: {service: shop, depends_on: pay, kind: SOFT}
---
kind: Workflow
name: outer
spec:
  steps: [{id: inner, type: WORKFLOW, workflow: inner}]
  metadata: {team: shop, limits: {a: 1}}
---
kind: Workflow
name: inner
spec:
  steps: [{id: act, service: shop, action: act}]
  output: {done: true}
---
kind: Schedule
name: early
spec: {workflow: outer, cron: "0 4 * * *", timezone: Europe/Berlin}
"""


@pytest.fixture
def operator() -> APIClient:
    factories.make_service("shop", actions=("act",))
    factories.make_service("pay")
    return factories.caller()


def apply(client: APIClient, *texts: str, **options: Any) -> Any:
    files = [{"name": f"{n}.yaml", "text": text} for n, text in enumerate(texts)]
    body = {"files": files, "secrets": {"HOOK": HOOK}, **options}
    return client.post("/manifests/apply", body, format="json")


def actions(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.json()["errors"]
    return [f"{each['action']} {each['kind']} {each['name']}" for each in answer.json()["changes"]]


def test_every_kind_is_applied_written_and_applied_again_without_a_change(
    operator: APIClient,
) -> None:
    made = apply(operator, EVERYTHING)
    assert {each.split()[0] for each in actions(made)} == {"created"}
    assert {each["kind"] for each in made.json()["changes"]} == KINDS.keys()
    # Not one of the kinds is left out of what is written, and no secret is in it.
    written = operator.get("/manifests/export").json()["files"]
    texts = [file["text"] for file in written]
    assert len(texts) == len(KINDS)
    assert "hidden" not in "".join(texts)
    assert "env: TEAM_URL" in "".join(texts)
    versions, entries = WorkflowVersion.objects.count(), AuditEntry.objects.count()
    for again in (apply(operator, EVERYTHING), apply(operator, *texts)):
        assert {each.split()[0] for each in actions(again)} == {"unchanged"}
    assert (WorkflowVersion.objects.count(), AuditEntry.objects.count()) == (versions, entries)
    channel = AlertChannel.objects.get()
    assert open_parts(channel)["url"].reveal() == HOOK
    assert HealthCheck.objects.get(name="home").tags == ["shop", "on"]
    # Written where nothing is, they make the same.
    specs = {kind.name: [kind.spec_of(row) for row in kind.rows()] for kind in KINDS.values()}
    for kind in reversed([*KINDS.values()]):
        kind.all_rows().delete()
    secrets = {"TEAM_URL": HOOK}
    remade = apply(operator, *texts, secrets=secrets)
    assert {each.split()[0] for each in actions(remade)} == {"created"}
    for kind in KINDS.values():
        assert [kind.spec_of(row) for row in kind.rows()] == specs[kind.name]


def test_a_change_tells_what_was_and_a_dry_run_leaves_it(operator: APIClient) -> None:
    apply(operator, EVERYTHING)
    text = "kind: Check\nname: home\nspec: {kind: HTTP, url: 'http://127.0.0.1:9/', tags: [new]}"
    planned = apply(operator, text, dry_run=True)
    entries = AuditEntry.objects.count()
    assert HealthCheck.objects.get(name="home").interval_seconds == 60
    assert AuditEntry.objects.count() == entries
    done = apply(operator, text)
    assert done.json()["changes"] == planned.json()["changes"]
    (change, *left) = done.json()["changes"]
    assert change["fields"] == {
        "interval_seconds": [60, None],
        "conditions": [{"statuses": ["200-299"], "json": ["body.status == 'ok'"]}, None],
        "tags": [["shop", "on"], ["new"]],
    }
    assert {each["action"] for each in left} == {"left"}
    row = HealthCheck.objects.get(name="home")
    assert (row.interval_seconds, row.conditions, row.tags) == (None, {}, ["new"])
    entry = AuditEntry.objects.latest("id")
    assert (entry.object_name, entry.reason) == ("home", "Applied from 0.yaml.")


def test_what_is_refused_is_named_and_nothing_is_done(operator: APIClient) -> None:
    good = "kind: Check\nname: fine\nspec: {kind: HTTP, url: 'http://127.0.0.1:9/'}\n---\n"
    refused = {
        "kind: Slo\nname: a\nspec: {service: nobody}": "document 2, Slo a, service",
        "kind: Slo\nname: a\nspec: {service: shop, traget: 9}": "document 2, Slo a, traget",
        "kind: Slo\nname: a\nspec: {service: shop, target: 200}": "document 2, Slo a, target",
        "kind: Slo\nname: a\nspec: {service: shop, name: b}": "document 2, Slo a, spec.name",
        "kind: Slo\nspec: {service: shop}": "document 2, Slo, name",
        "kind: Slot\nname: a\nspec: {}": "document 2, Slot a, kind",
        "kind: Slo\nname: a": "document 2, spec",
        "kind: Check\nname: fine\nspec: {kind: PUSH, cron: 0 3 * * *}":
            "document 2, Check fine, kind",
        "kind: Channel\nname: c\nspec: {type: SLACK, secret: {url: http://127.0.0.1:9/x}}":
            "document 2, Channel c, spec.secret.url",
        "kind: Channel\nname: c\nspec: {type: SLACK, secret: {url: {env: NONE}}}":
            "document 2, Channel c, spec.secret.url",
        "kind: Workflow\nname: w\nspec: {steps: [{id: a, service: shop, action: no}]}":
            "document 2, Workflow w, steps[0].action",
    }  # fmt: skip
    for text, path in refused.items():
        answer = apply(operator, good + text)
        assert answer.status_code == 400, text
        assert list(answer.json()["errors"]) == [f"0.yaml, {path}"]
    assert not HealthCheck.objects.exists()
    assert not ManagedObject.objects.exists()


def test_what_no_file_has_is_left_or_pruned_and_only_of_its_owner(operator: APIClient) -> None:
    apply(operator, EVERYTHING, owner="shop")
    by_hand = HealthCheck.objects.create(name="by-hand", kind="HTTP", url="http://127.0.0.1:9/")
    assert actions(apply(operator, prune=True, owner="other")) == []
    turned = "kind: Dependency\nspec: {service: pay, depends_on: shop}"
    # The one that goes would close a circle with the one that comes.
    pruned = actions(apply(operator, turned, owner="shop", prune=True))
    assert "created Dependency pay needs shop" in pruned
    assert "deleted Dependency shop needs pay" in pruned
    assert len(pruned) == len(EVERYTHING.split("\n---\n")) + 1
    assert list(HealthCheck.objects.all()) == [by_hand]
    assert not Workflow.objects.exists()
    assert ServiceDependency.objects.get().service.name == "pay"
    assert ManagedObject.objects.get().owner == "shop"


def test_files_of_another_owner_are_not_overwritten_but_taken_over(operator: APIClient) -> None:
    text = "kind: Slo\nname: a\nspec: {service: shop}"
    apply(operator, text, owner="one")
    refused = apply(operator, text, owner="two")
    assert "managed by 'one'" in refused.json()["detail"]
    assert actions(apply(operator, text, owner="two", take_over=True)) == ["unchanged Slo a"]
    assert ManagedObject.objects.get().owner == "two"
    twice = apply(operator, text, text, owner="two")
    assert "0.yaml, document 1, Slo a too" in twice.json()["detail"]


def test_each_kind_says_in_the_admin_that_files_manage_it() -> None:
    reverse("admin:index")  # which has the pages of all kinds registered
    admins: dict[str, Any] = {
        kind.name: site.get_model_admin(kind.model) for kind in KINDS.values()
    }
    assert [name for name, each in admins.items() if not each.is_managed_by_files] == []


def test_a_switch_that_no_file_names_stays_as_people_set_it(operator: APIClient) -> None:
    text = "kind: Check\nname: a\nspec: {kind: HTTP, url: 'http://127.0.0.1:9/'}"
    apply(operator, text)
    operator.post("/monitoring/checks/a/pause")
    assert actions(apply(operator, text)) == ["unchanged Check a"]
    assert not HealthCheck.objects.get().enabled


def test_only_who_may_change_a_kind_applies_it(operator: APIClient) -> None:
    slo = "kind: Slo\nname: a\nspec: {service: shop}"
    workflow = "kind: Workflow\nname: w\nspec: {steps: [{id: act, service: shop, action: act}]}"
    editor = factories.caller("WORKFLOW_EDITOR")
    assert actions(apply(editor, workflow)) == ["created Workflow w"]
    refused = apply(editor, workflow, slo)
    assert (refused.status_code, Slo.objects.count()) == (403, 0)
    assert "registry:write" in refused.json()["detail"]
    apply(operator, slo)
    assert apply(factories.caller("VIEWER"), slo).status_code == 403
    assert apply(editor, workflow, prune=True).status_code == 400  # the objective is of this owner


def test_a_file_may_say_that_a_secret_is_another(operator: APIClient) -> None:
    text = "kind: Channel\nname: c\nspec: {type: SLACK, secret: {url: {env: HOOK}}}"
    apply(operator, text)
    other = {"HOOK": "http://127.0.0.1:9/other-hidden"}
    answer = apply(operator, text, secrets=other)
    assert answer.json()["changes"][0]["fields"] == {"secret": ["(another)", "(given)"]}
    assert open_parts(AlertChannel.objects.get())["url"].reveal() == other["HOOK"]
    # Without its value, the secret stays.
    assert actions(apply(operator, text, secrets={"NONE": "x"})) == ["unchanged Channel c"]
    assert open_parts(AlertChannel.objects.get())["url"].reveal() == other["HOOK"]


def test_the_page_of_a_row_says_by_which_file_it_is_managed(
    operator: APIClient, admin_client: Any
) -> None:
    apply(operator, "kind: Slo\nname: a\nspec: {service: shop}", owner="team")
    Slo.objects.create(name="by-hand", service=Slo.objects.get().service)
    managed, by_hand = (
        admin_client.get(f"/admin/monitoring/slo/{row.pk}/change/").content.decode()
        for row in Slo.objects.order_by("name")
    )
    assert "Managed by file: 0.yaml of &#x27;team&#x27;" in managed
    assert "Managed by file" not in by_hand
