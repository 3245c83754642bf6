"""Every page of the console in a real browser: access, room on the screen, names of buttons.

The pages are those that the admin site routes, with a row of everything: a new page is among them
by itself, and a new model makes `make_hub` fail until it makes a row of it. A page that is made of
nothing but what pages before are made of too is looked at with `--slow`.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.http import HttpRequest
from django.test import Client

from core.models import AuditEntry
from registry.models import CircuitBreakerState
from tests import factories
from tests.support.browser import (
    DESKTOP,
    PHONE,
    check,
    find_browser,
    leave_new,
    narrow_and_dark,
    open_browser,
    run_axe,
    run_contrast,
    run_rules,
)
from tests.support.console import addresses, make_hub
from tests.support.page_shapes import shapes_of

pytestmark = [
    pytest.mark.once,
    pytest.mark.usefixtures("_orm_beside_the_browser", "_static_files_are_kept"),
]
# Beside those that the site routes: no such page, no such row, and not allowed.
TROUBLE = (
    "/admin/nope/",
    "/admin/workflows/workflowexecution/00000000-0000-0000-0000-000000000000/change/",
    "/admin/workflows/worker/add/",
)
# Empty on purpose: these texts are in no row.
NOTHING_FOUND = "/admin/registry/service/?q=nothing-has-this-name"
# What is in the answer of an address that has one.
MARKS = {"dialog": b'id="dialog"', "page": b"<main"}
FILTERS = "#changelist-filter"
DIALOG = "#modal-content"


@pytest.fixture
def _orm_beside_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser's driver runs an event loop in this thread, in which Django refuses to query."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture
def _static_files_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the browser, as in production: it asks for each once, and compiles it once."""
    serve = StaticFilesHandler.serve

    def serve_to_keep(self: StaticFilesHandler, request: HttpRequest) -> Any:
        answer = serve(self, request)
        answer["Cache-Control"] = "max-age=3600"
        return answer

    monkeypatch.setattr(StaticFilesHandler, "serve", serve_to_keep)


@pytest.fixture
def operator(transactional_db: None) -> Client:
    find_browser()
    make_hub()
    client = Client()
    client.force_login(User.objects.create_superuser("root", "root@example.com", "-"))
    return client


# A page with fewer that no page before had is looked at with --slow alone: each takes a second.
FEWEST_NEW_SHAPES = 7


def test_every_page_is_accessible_and_fits_the_screen(
    operator: Client, live_server: Any, in_full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: dict[str, list[str]] = {"page": [], "dialog": [], "": []}
    seen: set[int] = set()
    for url in addresses(in_full=in_full):
        answer = operator.get(url)
        kind, shapes = kind_of(answer), shapes_of(answer.content.decode())
        if in_full or kind != "page" or len(shapes - seen) >= FEWEST_NEW_SHAPES:
            kinds[kind].append(url)
            seen |= shapes
    pages = (*TROUBLE, NOTHING_FOUND, *kinds["page"])
    found = []
    with open_browser(live_server.url, session=operator.cookies["sessionid"].value) as page:
        for url in pages:
            page.goto(live_server.url + url)
            found += [f"{url}: {line}" for line in (*look_at_filters(page), *look_at(page))]
        page.goto(live_server.url + "/admin/")
        for url in kinds["dialog"]:
            open_dialog(page, url)
            found += [f"{url}: {line}" for line in look_at_dialog(page)]
        page.context.clear_cookies()
        page.goto(live_server.url + "/admin/login/")
        found += [f"login: {line}" for line in look_at(page)]
        monkeypatch.setattr("integration_site.console.site.UnfoldAdminSite.each_context", fail)
        assert page.goto(live_server.url + "/admin/login/").status == 500
        found += [f"broken: {line}" for line in look_at(page)]
    assert not found, "\n".join(found)
    assert len(pages) > (75 if in_full else 50)
    assert len(kinds["dialog"]) > 10


def fail(*_: Any) -> None:
    raise RuntimeError("broken")


def kind_of(answer: Any) -> str:
    """Whether an address has a page, a dialog, or neither, as what only takes POST."""
    if answer.status_code != 200:
        return ""
    return next((kind for kind, mark in MARKS.items() if mark in answer.content), "")


def look_at(page: Any) -> list[str]:
    """Everything that is wrong with a page: wide and light, narrow and dark."""
    found = [*run_axe(page), *check(page, "wide")]
    with narrow_and_dark(page):
        found += check(page, "narrow")
        if not leave_new(page, "body"):
            return found
        found += run_contrast(page)
    return [*found, *run_contrast(page)]


def look_at_dialog(page: Any) -> list[str]:
    """Everything that is wrong with a dialog."""
    found = [*run_axe(page, within=DIALOG), *check(page, "own")]
    return [*found, *(run_contrast(page, within=DIALOG) if leave_new(page, DIALOG) else [])]


def look_at_filters(page: Any) -> list[str]:
    """What is wrong with the panel of a list's filters, with a choice under the pointer.

    One that is made of the same as those before is not looked at.
    """
    choices = page.locator(f"{FILTERS} a")
    if not choices.count() or not check(page, "findNew", FILTERS):
        return []
    page.evaluate(f"Alpine.$data(document.querySelector('{FILTERS}')).filterOpen = true")
    choices.last.hover()
    found = run_rules(page, ["heading-order", "color-contrast"], within=[FILTERS, "h1"])
    page.evaluate(f"Alpine.$data(document.querySelector('{FILTERS}')).filterOpen = false")
    return found


def test_lists_are_compact_on_a_phone(operator: Client, live_server: Any) -> None:
    for number in range(7):
        factories.make_service(f"more-{number}", urls=("http://127.0.0.1:9",), tags=["a", "b"])
    workflow = factories.make_workflow("a-workflow-of-a-long-name")
    for _ in range(44):
        factories.make_execution(workflow, status="COMPLETED", started_by="api:first-operator")
    for _ in range(50):
        AuditEntry.objects.create(
            actor_kind="API_KEY", actor="first-operator", verb="MAINTENANCE_STARTED",
            object_type="service", object_name="text-extraction",
            reason="The disk is replaced. " * 5,
            changes={name: {"before": 1, "after": 2} for name in ("timeout", "owner", "tags")},
        )  # fmt: skip
    rows = "[...document.querySelectorAll('tr.data-row')].map((row) => row.offsetHeight)"
    with open_browser(live_server.url, session=operator.cookies["sessionid"].value) as page:
        page.set_viewport_size(PHONE)
        lists = {
            "registry/service": 10,
            "workflows/workflowexecution": 50,
            "core/auditentry": 50,
        }
        for model, count in lists.items():
            page.goto(f"{live_server.url}/admin/{model}/")
            heights = page.evaluate(rows)
            assert len(heights) == count
            assert max(heights) <= 130
            assert sum(heights) <= 100 * count
        page.set_viewport_size(DESKTOP)
        for field in ("field-when", "field-who", "field-verb_label"):
            lines = (
                "(cell) => { const text = document.createRange(); text.selectNodeContents(cell);"
            )
            lines += " return text.getBoundingClientRect().height; }"
            assert page.locator(f".data-row .{field}").first.evaluate(lines) < 30  # one line
        page.goto(f"{live_server.url}/admin/workflows/workflowexecution/")
        who = page.locator("td.field-started_by").first.bounding_box()
        assert who["height"] < 60  # one line


def test_keys_find_a_row_and_work_a_dialog(operator: Client, live_server: Any) -> None:
    circuit = CircuitBreakerState.objects.get(state="CLOSED")
    with open_browser(live_server.url, session=operator.cookies["sessionid"].value) as page:
        page.goto(f"{live_server.url}/admin/")
        page.keyboard.press("Control+k")
        page.keyboard.type("nothing-is-called-this")
        page.get_by_text("Nothing found for").wait_for()
        field = page.locator("#search-input-command")
        field.fill("shop-error")
        page.locator("#command-results-list li").first.wait_for()
        field.press("Enter")
        page.wait_for_url("**/admin/registry/connection/*/change/")
        assert page.locator("h1").inner_text() == "shop-error"
        page.goto(f"{live_server.url}/admin/registry/circuitbreakerstate/{circuit.pk}/change/")
        page.get_by_role("link", name="Force open").press("Enter")
        page.locator("#dialog").wait_for()
        focused = "document.activeElement.name || document.activeElement.textContent.trim()"
        page.wait_for_function(f"({focused}) === 'reason'")
        page.keyboard.press("Escape")
        page.wait_for_function(f"({focused}).endsWith('Force open')")


def open_dialog(page: Any, url: str) -> None:
    """Open a dialog as the button that leads to it does."""
    page.evaluate(
        """async (url) => {
          await htmx.ajax('GET', url, {target: '#modal-content', select: '#dialog'});
          Alpine.$data(document.documentElement).openModal = true;
        }""",
        url,
    )
    page.locator("#dialog").wait_for()
