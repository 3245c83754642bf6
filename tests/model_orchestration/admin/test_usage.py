"""Charts and levels: right sums, in few queries."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from integration_site.admin_groups import create_roles
from model_orchestration.admin import usage as usage_module
from model_orchestration.admin.levels import levels_of
from model_orchestration.admin.usage import read_usage
from model_orchestration.admin.usage_page import SPANS, page_of_usage
from model_orchestration.catalog import limit_of_budget
from model_orchestration.models import Model, ModelBudget, QuotaWindow, Request
from model_orchestration.periods import piece_of
from tests.support.admin_pages import count_queries
from tests.support.connections import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.once]
NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
USAGE = "admin:model_usage"


def ask(*, ago: timedelta = timedelta(0), **fields: Any) -> Request:
    defaults = {
        "request_id": f"r{Request.objects.count()}", "request_type": "CHAT", "model_id": "small",
        "model_asked": "small", "provider": "CUSTOM", "state": "SETTLED", "success": True,
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
        "cost_nanousd": 1_000_000_000, "latency_ms": 500.0,
    }  # fmt: skip
    row = Request.objects.create(**{**defaults, **fields})
    Request.objects.filter(pk=row.pk).update(created_at=NOW - ago)
    return row


def make_model(name: str) -> Model:
    return Model.objects.create(
        name=name, provider="CUSTOM", capabilities=["CHAT"], connection=make_connection()
    )


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_requests_are_summed_by_part_and_group():
    ask(project_id="shop")
    ask(project_id="shop", latency_ms=20_000.0)
    ask(project_id="", ago=timedelta(hours=2))
    ask(ago=timedelta(hours=25))
    failed = {"success": False, "cost_nanousd": 0, "prompt_tokens": None, "completion_tokens": None}
    ask(project_id="shop", state="FAILED", error_code="request_timeout", **failed)
    ask(project_id="shop", state="REFUSED", error_code="insufficient_quota", **failed)

    usage = read_usage(SPANS["day"], group="project_id", now=NOW)

    shop = usage.by_part[NOW.replace(minute=0), "shop"]
    assert (shop.requests, shop.errors, shop.refused) == (4, 1, 1)
    assert (shop.input_tokens, shop.output_tokens, shop.nanousd) == (20, 10, 2 * 10**9)
    assert shop.latencies == [0, 1, 0, 0, 1]
    assert set(usage.groups()) == {"shop", ""}
    assert {code for _, code in usage.errors} == {"request_timeout", "insufficient_quota"}
    assert [row[2] for row in usage.table()] == ["requests", 1, 4]


def test_page_draws_what_was_summed():
    ask(model_id="dear")
    for number in range(7):
        ask(model_id=f"cheap-{number}", cost_nanousd=1000)

    page = page_of_usage(
        read_usage(SPANS["week"], group="model_id", now=NOW), span="week", group="model_id"
    )

    cost = page["charts"][0]
    assert cost.total == "$1.00"
    assert [tone for _, tone, _ in cost.legend][-1] == "neutral"
    assert cost.legend[0][0] == "dear"
    assert cost.legend[-1][0] == "3 others"
    assert "4 Mar: dear $1.00" in cost.picture
    assert cost.picture.count("<title>") == 7


def test_charts_read_no_further_back_than_they_may(monkeypatch):
    monkeypatch.setattr(usage_module, "MOST_READ", 3)
    for _ in range(3):
        ask()
    assert not read_usage(SPANS["day"], group="model_id", now=NOW).is_capped
    ask()
    usage = read_usage(SPANS["day"], group="model_id", now=NOW)
    assert usage.is_capped
    assert usage.groups()["small"].requests == 3


def test_usage_page_takes_few_queries_and_any_query_string(root):
    Request.objects.all().delete()
    for odd in ("", "?span=year&by=password", "?by=held"):
        assert root.get(reverse(USAGE) + odd).status_code == 200
    before = count_queries(root, reverse(USAGE))
    for number in range(5):
        Request.objects.create(
            request_id=f"n{number}", request_type="CHAT", model_id=f"m{number}", model_asked="x",
            provider="CUSTOM", cost_nanousd=5, prompt_tokens=1, completion_tokens=1,
        )  # fmt: skip
    assert count_queries(root, reverse(USAGE)) <= before
    exported = root.get(reverse(USAGE) + "?format=csv")
    assert exported["Content-Type"].startswith("text/csv")
    assert len(exported.content.decode().splitlines()) == 6


def test_rolling_levels_count_all_pieces_of_their_time():
    budget = ModelBudget.objects.create(
        name="hour", scope="ALL", period="ROLLING", rolling_seconds=3600, cost_limit=Decimal(1),
        request_limit=10,
    )  # fmt: skip
    limit = limit_of_budget(budget)
    for minutes in (0, 30, 90):
        piece = piece_of("ALL:", 3600, NOW - timedelta(minutes=minutes))
        QuotaWindow.objects.create(
            id=piece.id, series=piece.series, starts_at=piece.starts_at, ends_at=piece.ends_at,
            used_nanousd=10**8, used_requests=1,
        )  # fmt: skip

    (found,) = levels_of([limit], now=NOW)

    assert [(level.kind, level.used) for level in found.levels] == [
        ("cost", 2 * 10**8),
        ("requests", 2),
    ]


def test_list_of_budgets_reads_all_levels_at_once(root):
    url = reverse("admin:model_orchestration_modelbudget_changelist")
    ModelBudget.objects.create(name="one", scope="ALL", cost_limit=1)
    before = count_queries(root, url)
    for number in range(8):
        ModelBudget.objects.create(
            name=f"p{number}", scope="PROJECT", subject=f"p{number}", token_limit=5
        )
    assert count_queries(root, url) == before


def test_list_of_requests_filters_and_exports(root):
    ask(project_id="shop", request_id="first")
    ask(state="FAILED", success=False, error_code="x", error_message="<b>Down</b>", model_id="big")
    listed = reverse("admin:model_orchestration_request_changelist")
    export = reverse("admin:model_requests_csv")

    assert "Down" not in root.get(listed + "?q=shop").content.decode()
    assert "&lt;b&gt;Down" in root.get(listed + "?state__exact=FAILED").content.decode()
    for query, count in (("", 2), ("?state__exact=FAILED", 1), ("?model=big", 1), ("?q=shop", 1)):
        lines = root.get(export + query).content.decode().splitlines()
        assert len(lines) == count + 1
    assert root.get(listed + "?since=hour").status_code == 200
    assert root.get(f"{listed}?q=%00").status_code in (200, 302)


def test_overview_names_the_budgets_that_are_nearly_used_up(root):
    model = make_model("small")
    page = root.get(reverse("admin:index")).content.decode()
    assert f"Usage of 1 {model._meta.verbose_name}" in page
    assert "No budget is nearly used up." in page
    for name, used in (("tight", 85), ("roomy", 10), ("gone", 100)):
        budget = ModelBudget.objects.create(
            name=name, scope="PROJECT", subject=name, period="DAY", token_limit=100
        )
        window = limit_of_budget(budget).window(timezone.now())
        QuotaWindow.objects.create(
            id=window.id, series=window.series, starts_at=window.starts_at, ends_at=window.ends_at,
            used_tokens=used,
        )  # fmt: skip
    page = root.get(reverse("admin:index")).content.decode()
    assert page.index("<strong>gone</strong>") < page.index("<strong>tight</strong>")
    assert "roomy" not in page


def test_what_was_said_is_shown_to_who_may_see_the_audit_trail(client):
    create_roles()
    row = ask(request_data={"messages": ["a secret plan"]})
    page = reverse("admin:model_orchestration_request_change", args=(row.pk,))
    for role, sees in (("viewer", False), ("auditor", True)):
        user = User.objects.create_user(role, is_staff=True)
        user.groups.set(Group.objects.filter(name=role))
        client.force_login(user)
        assert ("a secret plan" in client.get(page).content.decode()) is sees
