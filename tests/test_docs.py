"""What the documentation says of variables, files, commands and definitions holds."""

import ast
import importlib.machinery
import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands

from core.roles import Role, scopes_of_role
from workflows.validation import validate

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "client" / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
CONFIGURATION = ROOT / "docs" / "configuration.md"
WORKFLOWS = ROOT / "docs" / "workflows.md"

# What reads the environment: Python programs, and files in which a shell or compose puts values.
READERS = (
    "integration_site/settings.py",
    "integration_site/configuration/reading.py",
    "dev",
    "tests/support/backends.py",
    "supervise.py",
    "reference_services/demo.py",
    "reference_services/__main__.py",
    "client/src/service_integration_client/configuration.py",
)
TEMPLATES = ("Procfile", "compose.yaml")
OF_THE_SYSTEM = {"PATH", "PYTHONDONTWRITEBYTECODE"}

named = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def variables_read(path: Path) -> set[str]:
    """The literal names in env.xxx("NAME"), os.environ.get("NAME") and environment["NAME"]."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            key, owner = (node.args[0] if node.args else None), ast.unparse(node.func.value)
        elif isinstance(node, ast.Subscript):
            key, owner = node.slice, ast.unparse(node.value)
        else:
            continue
        is_environment = owner in ("env", "os.environ", "environ", "environment")
        name = key.value if isinstance(key, ast.Constant) else None
        if is_environment and isinstance(name, str) and re.fullmatch("[A-Z_]+", name):
            found.add(name)
    return found


def all_variables_read() -> set[str]:
    found = set().union(*(variables_read(ROOT / name) for name in READERS))
    for name in TEMPLATES:
        found |= set(re.findall(r"\$\{([A-Z_]+)", (ROOT / name).read_text()))
    return found - OF_THE_SYSTEM


def variables_documented() -> set[str]:
    """The first column of every table of configuration.md."""
    return set(re.findall(r"^\| `([A-Z_]+)` \|", CONFIGURATION.read_text(), re.MULTILINE))


def without_code(text: str) -> str:
    return re.sub(r"^(```|    ).*?(^```|$)", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The headings of a document as the fragments that lead to them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(plain.strip().replace(" ", "-"))
    return found


def code_blocks(document: Path, language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, document.read_text(), re.MULTILINE | re.DOTALL)


def dev_commands() -> set[str]:
    loader = importlib.machinery.SourceFileLoader("dev_for_docs", str(ROOT / "dev"))
    spec = importlib.util.spec_from_loader("dev_for_docs", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return set(module.COMMANDS)


def test_every_variable_that_settings_read_is_documented():
    read = variables_read(ROOT / "integration_site" / "settings.py")
    assert len(read) > 30
    assert sorted(read - variables_documented()) == []


def test_every_variable_that_anything_reads_is_documented():
    assert sorted(all_variables_read() - variables_documented()) == []


def test_every_documented_variable_is_read_somewhere():
    assert sorted(variables_documented() - all_variables_read()) == []


@named
def test_every_relative_link_leads_somewhere(document: Path):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(document.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists() or (fragment and fragment not in anchors(path)):
            broken.append(target)
    assert broken == []


@named
def test_every_command_of_dev_that_is_named_exists(document: Path):
    found = set(re.findall(r"\./dev ([a-z]+)", document.read_text()))
    assert sorted(found - dev_commands()) == []


@named
def test_every_management_command_that_is_named_exists(document: Path):
    found = set(re.findall(r"(?:manage\.py|\./dev manage) ([a-z_]+)", document.read_text()))
    assert sorted(found - set(get_commands())) == []


def test_readme_and_ci_name_the_same_test_command():
    assert "./dev test" in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("exec ./dev test")


def test_every_direct_dependency_is_explained():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    tables = (ROOT / "docs" / "dependencies.md").read_text()
    names = {re.split(r"[\[<>=]", line)[0] for line in wanted}
    assert [
        name for name in sorted(names) if not re.search(rf"^\|.*\b{name}\b", tables, re.M)
    ] == []


def test_roles_are_listed_with_their_scopes():
    table = (ROOT / "docs" / "operating.md").read_text()
    for role in Role:
        row = re.search(rf"^\| `{role.value}` \|[^|]*\|(.*)\|$", table, re.MULTILINE)
        assert row is not None, role
        assert set(re.findall(r"`([a-z:]+)`", row[1])) == scopes_of_role(role.value)


def definitions() -> Iterator[dict[str, Any]]:
    """The definitions in the documentation: JSON with `steps`, also as the body of a curl call."""
    for document in DOCUMENTS:
        texts = code_blocks(document, "json")
        for block in code_blocks(document, "bash"):
            texts += re.findall(r"-d '(\{.*?\})'", block, re.DOTALL)
        for text in texts:
            value = json.loads(text) if '"steps"' in text and '"id"' in text else None
            if isinstance(value, dict) and "workflow_id" not in value:
                yield value


def test_definitions_in_the_documentation_are_valid():
    found = list(definitions())
    assert len(found) >= 5
    names = ("steps", "output", "retry", "timeout", "defaults", "concurrency")
    documents = [{k: v for k, v in each.items() if k in names} for each in found]
    assert [validate(each, directory=None).errors for each in documents] == [{}] * len(documents)
