"""The filter of error pages knows the modules that hold secrets."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from integration_site.exception_filter import SECRET_MODULES

pytestmark = pytest.mark.once
ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = (
    "core", "registry", "workflows", "monitoring", "model_orchestration", "integration_site",
)  # fmt: skip


def modules_that_reveal_secrets() -> list[str]:
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    revealing = (file for file in files if ".reveal()" in file.read_text())
    return sorted(".".join(file.relative_to(ROOT).with_suffix("").parts) for file in revealing)


def test_every_module_that_reveals_a_secret_is_hidden() -> None:
    modules = modules_that_reveal_secrets()
    assert len(modules) > 5
    assert [name for name in modules if not name.startswith(SECRET_MODULES)] == []


@pytest.mark.parametrize("name", SECRET_MODULES)
def test_hidden_module_is_there(name: str) -> None:
    assert importlib.util.find_spec(name) is not None
