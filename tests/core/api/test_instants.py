"""Every time that comes from outside is read in one way: RFC 3339, with its offset from UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import django_filters
import pytest
from django import forms
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import get_resolver, reverse
from rest_framework import serializers

from core.api.instants import InstantField, InstantFilter, WallTimeField
from core.api.serializers import StrictSerializer
from core.instants import InstantRefused, parse_instant
from core.roles import SCOPES
from registry.admin.credential_forms import RotateForm
from service_integration_client.requests import make_request
from tests import factories
from workflows.admin.bulk import FilterForm
from workflows.admin.schedule_forms import BackfillForm
from workflows.definition import DefinitionError, parse

TIMES = [
    ("2026-11-29T09:18:52Z", datetime(2026, 11, 29, 9, 18, 52, tzinfo=UTC)),
    ("2026-11-29t09:18:52z", datetime(2026, 11, 29, 9, 18, 52, tzinfo=UTC)),
    ("2026-11-29 09:18:52.25+02:00", datetime(2026, 11, 29, 7, 18, 52, 250000, tzinfo=UTC)),
    ("2026-11-29T09:18:52.123456789-00:30", datetime(2026, 11, 29, 9, 48, 52, 123456, tzinfo=UTC)),
]
NAIVE = "2026-11-29T09:18:52"
REFUSED = [
    "2026-11-29", "2026-W48-7", "2026-11-29T09", "2026-11-29T09:18Z", "20261129T091852Z",
    "2026-13-29T09:18:52Z", "2026-02-30T09:18:52Z", "2026-11-29T24:18:52Z", "09:18:52Z",
    "2026-11-29T09:18:52+0200", "2026-11-29T09:18:52+25:00", "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00", "\u0662026-11-29T09:18:52Z", "", "soon", 1795943932, True, [], {},
]  # fmt: skip
# Where a time may lack its offset, and is then in the time zone of its schedule.
OF_A_SCHEDULE = {
    ("BackfillInput", "from"), ("BackfillInput", "to"),
    ("_BackfillFields", "from"), ("_BackfillFields", "to"),
    *((name, field) for name in ("ScheduleInput", "SchedulePatch", "PreviewInput")
      for field in ("starts_at", "ends_at")),
}  # fmt: skip


def bodies(kind: type[Any] = StrictSerializer) -> Iterator[type[Any]]:
    get_resolver("integration_site.api.urls").url_patterns  # noqa: B018 (loads every view)
    for each in kind.__subclasses__():
        yield each
        yield from bodies(each)


def times_in(body: type[Any]) -> list[tuple[str, Any]]:
    timely = (serializers.DateTimeField, serializers.DateField, serializers.TimeField)
    fields = body().fields.items()
    return [(name, field) for name, field in fields if isinstance(field, timely)]


def test_every_time_in_a_body_is_read_by_the_one_parser() -> None:
    found = {(body.__name__, name): field for body in bodies() for name, field in times_in(body)}
    assert len(found) >= 12
    assert all(isinstance(field, InstantField) for field in found.values())
    walls = {place for place, field in found.items() if isinstance(field, WallTimeField)}
    assert walls == OF_A_SCHEDULE
    for place, field in found.items():
        for text, instant in TIMES:
            assert field.run_validation(text) == instant, place
        for value in REFUSED:
            with pytest.raises(serializers.ValidationError):
                field.run_validation(value)
        if place not in OF_A_SCHEDULE:
            with pytest.raises(serializers.ValidationError, match="no offset from UTC"):
                field.run_validation(NAIVE)


def filters(kind: type[Any] = django_filters.FilterSet) -> Iterator[tuple[str, Any]]:
    for each in kind.__subclasses__():
        yield from ((f"{each.__name__}.{n}", f) for n, f in each.base_filters.items())
        yield from filters(each)


def test_every_time_in_a_filter_is_read_by_the_one_parser() -> None:
    get_resolver("integration_site.api.urls").url_patterns  # noqa: B018 (loads every view)
    named = {name: each for name, each in filters() if name.endswith(("_after", "_before", "_at"))}
    assert {type(each) for each in named.values()} == {InstantFilter}
    timely = (forms.DateTimeField, forms.DateField, forms.TimeField, forms.SplitDateTimeField)
    assert not [name for name, each in filters() if isinstance(each.field, timely)]


@pytest.mark.django_db
@pytest.mark.once
@pytest.mark.parametrize("path", ["/executions", "/audit", "/workflows/flow/executions"])
def test_a_list_says_which_filter_is_no_time(path: str) -> None:
    factories.make_workflow("flow")
    api = factories.caller("OPERATOR", scopes=list(SCOPES))
    for name in ("created_after", "created_before"):
        assert api.get(path, {name: "2026-11-29t09:18:52z"}).status_code == 200
        for text in (NAIVE, "2026-11-29", "2026-W48-7"):
            answer = api.get(path, {name: text})
            assert (answer.status_code, [*answer.json()["errors"]]) == (400, [name]), text


# --- The admin: what is typed in has a zone beside it ---


def forms_of_the_admin() -> Iterator[tuple[str, Any]]:
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_active=True, is_staff=True)
    for model, admin in site._registry.items():
        if admin.has_add_permission(request) or admin.has_change_permission(request):
            yield model.__name__, admin.get_form(request, None, change=False)
    yield from ((form.__name__, form) for form in (RotateForm, BackfillForm))


@pytest.mark.django_db
def test_every_time_in_a_form_of_the_admin_says_its_zone() -> None:
    timely = (forms.DateTimeField, forms.DateField, forms.TimeField, forms.SplitDateTimeField)
    found = [
        (f"{where}.{name}", f"{field.label} {field.help_text}")
        for where, form in forms_of_the_admin()
        for name, field in form.base_fields.items()
        if isinstance(field, timely)
    ]
    assert len(found) >= 6
    assert not [where for where, words in found if "UTC" not in words and "time zone" not in words]
    # What a page hands on, a person does not type.
    assert FilterForm({"created_after": NAIVE}).errors.keys() == {"created_after"}


@pytest.mark.django_db
@pytest.mark.once
def test_the_admin_reads_the_times_of_a_schedule_in_its_zone(client: Client) -> None:
    workflow = factories.make_workflow("flow")
    client.force_login(User.objects.create_superuser("root"))
    typed = {
        "name": "nightly", "workflow": str(workflow.pk), "cron": "0 9 * * *",
        "timezone": "Europe/Berlin", "overlap_policy": "SKIP", "catch_up_policy": "LAST",
        "catch_up_limit": "10", "priority": "0", "enabled": "on", "input": "{}", "context": "{}",
        "starts_at_0": "2031-07-01", "starts_at_1": "08:00:00",
    }  # fmt: skip
    answer = client.post(reverse("admin:workflows_workflowschedule_add"), typed)
    assert answer.status_code == 302, answer.context["errors"]
    schedule = workflow.schedules.get()
    assert schedule.starts_at == datetime(2031, 7, 1, 6, tzinfo=UTC)
    page = client.get(
        reverse("admin:workflows_workflowschedule_change", args=(schedule.pk,))
    ).content.decode()
    assert 'value="08:00:00"' in page
    preview = client.get(reverse("admin:schedule_preview"), typed).content.decode()
    assert "01 Jul 2031, 09:00 CEST" in preview


@pytest.mark.django_db
@pytest.mark.once
def test_the_times_of_a_schedule_are_in_its_zone_over_the_api() -> None:
    factories.make_workflow("flow")
    api = factories.caller("OPERATOR", scopes=list(SCOPES))
    body = {"name": "n", "workflow": "flow", "cron": "0 9 * * *", "timezone": "Europe/Berlin"}
    naive = {"starts_at": "2031-07-01T08:00:00", "ends_at": "2031-12-01T08:00:00+03:00"}
    made = api.post("/schedules", {**body, **naive}, format="json").json()
    assert made["starts_at"] == "2031-07-01T06:00:00Z"
    assert made["ends_at"] == "2031-12-01T05:00:00Z"
    times = {"cron": "0 9 * * *", "timezone": "Europe/Berlin", **naive}
    shown = api.post("/schedules/preview", times, format="json").json()
    assert shown["next_runs"][0] == "2031-07-01T07:00:00Z"
    span = {"from": "2026-07-01T09:00:00", "to": "2026-07-02T09:00:00", "dry_run": True}
    planned = api.post("/schedules/n/backfill", span, format="json").json()
    assert (planned["first"], planned["count"]) == ("2026-07-01T07:00:00Z", 2)


# --- Definitions and the client ---


def waiting(until: str) -> list[dict[str, Any]]:
    return [{"id": "a", "type": "WAIT", "until": until, "next": None}]


def test_a_literal_time_of_a_wait_is_read_by_the_one_parser() -> None:
    for text, _ in TIMES:
        assert parse(waiting(text))
    for text in (NAIVE, *(each for each in REFUSED if isinstance(each, str) and each)):
        with pytest.raises(DefinitionError) as refused:
            parse(waiting(text))
        assert [*refused.value.errors] == ["steps[0].until"], text


@pytest.mark.parametrize("value", [NAIVE, "2026-11-29", "2026-W48-7", 1795943932, None])
def test_a_computed_time_of_a_wait_is_read_by_the_one_parser(value: Any) -> None:
    from core.expressions import ExpressionError
    from workflows.decide.waits import read_time

    step = parse(waiting("$.input.at")).steps["a"]
    assert read_time("2026-11-29t09:18:52z", step) == TIMES[1][1]
    with pytest.raises(ExpressionError, match="write it such as 2030-07-01T09:00:00Z"):
        read_time(value, step)


def test_the_client_sends_times_with_their_offset() -> None:
    zone = timezone(timedelta(hours=2))
    sent = make_request("POST", "/x", {"until": datetime(2026, 11, 29, 9, tzinfo=zone)}).body
    assert sent == {"until": "2026-11-29T09:00:00+02:00"}
    with pytest.raises(ValueError, match="'until' needs a time zone"):
        make_request("POST", "/x", {"until": datetime(2026, 11, 29, 9)})  # noqa: DTZ001 (refused)


def test_a_time_is_read_as_rfc_3339_says() -> None:
    for text, instant in TIMES:
        assert parse_instant(text) == instant
    for value in (*REFUSED, NAIVE, None):
        with pytest.raises(InstantRefused):
            parse_instant(value)
