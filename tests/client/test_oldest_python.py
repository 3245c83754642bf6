"""The client keeps to what its oldest Python knows. `test_installation.py` runs it there."""

import ast
import re
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent.parent / "client"
FILES = sorted((SOURCE / "src").rglob("*.py"))
OLDEST = (3, 9)
# Names that came later, where they would be looked up when the module runs.
NEWER = {
    "UTC",
    "Self",
    "ParamSpec",
    "Concatenate",
    "TaskGroup",
    "StrEnum",
    "assert_never",
    "override",
}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def test_oldest_python_is_the_one_that_is_promised():
    promised = re.search(
        r'requires-python = ">=(\d+)\.(\d+)"', (SOURCE / "pyproject.toml").read_text()
    )
    assert promised
    assert tuple(map(int, promised.groups())) == OLDEST


@each_file
def test_syntax_is_that_of_the_oldest_python(path):
    tree = ast.parse(path.read_text(), feature_version=OLDEST)
    lazy = any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body
    )
    assert lazy or not any(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in tree.body)


@each_file
def test_nothing_newer_is_imported_where_it_runs(path):
    tree = ast.parse(path.read_text())
    for guarded in [n for n in ast.walk(tree) if isinstance(n, ast.If)]:
        if ast.unparse(guarded.test) == "TYPE_CHECKING":
            guarded.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not NEWER & {alias.name for alias in node.names}, ast.unparse(node)
            top = (node.module or "").partition(".")[0]
            assert top in sys.stdlib_module_names | {"service_integration_client", "click", "rich"}
