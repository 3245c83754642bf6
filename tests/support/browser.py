"""A real browser on the console, and what every page in it has to keep to."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# As the distributions name it.
BINARIES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--no-first-run", "--disable-extensions",
)  # fmt: skip
DESKTOP: Any = {"width": 1400, "height": 900}
PHONE: Any = {"width": 390, "height": 800}

MENU = "#nav-sidebar"
OPTIONS = {"resultTypes": ["violations"], "preload": False, "elementRef": False}
FAILING = ("moderate", "serious", "critical")

CHECKS = Path(__file__).with_name("page_checks.js")


def find_browser() -> str:
    """The browser's program.

    Raises:
        Skipped: none is installed.
    """
    found = next(filter(None, map(shutil.which, BINARIES)), None)
    return found or pytest.skip("no browser is installed: apt-get install chromium")


def axe_script() -> str:
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "axe.min.js").read_text()


@contextmanager
def open_browser(url: str, *, session: str = "") -> Iterator[Any]:
    """A page of a browser that is logged in with a session."""
    program = find_browser()
    from playwright.sync_api import sync_playwright  # it takes its time to load

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        context = browser.new_context(viewport=DESKTOP, reduced_motion="reduce")
        context.add_init_script(axe_script())
        context.add_init_script(path=CHECKS)
        if session:
            context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
        yield context.new_page()
        browser.close()


@contextmanager
def narrow_and_dark(page: Any) -> Iterator[None]:
    """The page as on a phone, in the dark theme."""
    page.set_viewport_size(PHONE)
    page.evaluate("document.documentElement.classList.add('dark')")
    yield
    page.evaluate("document.documentElement.classList.remove('dark')")
    page.set_viewport_size(DESKTOP)


def check(page: Any, name: str, *arguments: str) -> Any:
    """What a function of page_checks.js gives."""
    return page.evaluate(f"hubChecks.{name}(...{json.dumps(arguments)})")


def run_axe(page: Any, *, within: str = "html", **options: Any) -> list[str]:
    """Return what axe finds on a page but for its menu and its contrast, one line each."""
    rules = {"rules": {"color-contrast": {"enabled": False}}}
    return _axe(page, {"include": [[within]], "exclude": [[MENU]]}, {**rules, **options})


def leave_new(page: Any, within: str) -> bool:
    """Take out of a part of the page what no page before had otherwise; whether anything is left.

    Contrast takes axe most of its time, and follows from tags and classes.
    """
    return bool(check(page, "leaveNew", within))


def run_contrast(page: Any, *, within: str = "body") -> list[str]:
    """Return the texts that are hard to read."""
    return run_rules(page, ["color-contrast"], within=[within])


def run_rules(page: Any, rules: list[str], *, within: list[str]) -> list[str]:
    """Return what these rules of axe find in parts of a page."""
    options = {"runOnly": {"type": "rule", "values": rules}}
    return _axe(page, {"include": [[part] for part in within]}, options)


def _axe(page: Any, context: dict[str, Any], options: dict[str, Any]) -> list[str]:
    # Only this of the result: all of it is long.
    script = """async ([context, options]) => (await axe.run(context, options)).violations.map(
      ({ id, impact, nodes }) => [id, impact, nodes.map((node) => node.html)])"""
    return [
        f"{rule}: {' '.join(html.split())[:160]}"
        for rule, impact, found in page.evaluate(script, [context, {**OPTIONS, **options}])
        if impact in FAILING
        for html in found
    ]
