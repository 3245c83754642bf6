"""Holds packages to the private attributes of theirs that the product uses.

Each row of the table is one attribute. Where an upgrade takes it away or changes how it is called,
its test says so in one sentence; and what is used without being in the table is found too.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "core", "integration_site", "monitoring", "registry", "workflows", "reference_services",
    "service_integration_client",
)  # fmt: skip
# Begin with an underscore, and are documented all the same.
DOCUMENTED = {
    "_meta": "Django: Model _meta API",
    "_default_manager": "Django: managers",
    "_state": "Django: Model instance reference",
    "_replace": "Python: namedtuple",
    "_exit": "Python: os._exit",
}


@dataclass(frozen=True)
class Private:
    """An attribute of a class or module; `signature` is that of a method, None of a value."""

    package: str
    owner: str
    name: str
    reason: str
    signature: str | None = None

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}"


PRIVATE = (
    Private(
        "aiohttp",
        "aiohttp.TCPConnector",
        "_factory",
        "to put a response parser in place that knows where answers end",
    ),
    Private(
        "aiohttp",
        "aiohttp.TCPConnector",
        "_loop",
        "to make that parser on the loop of its connector",
    ),
    Private(
        "aiohttp",
        "aiohttp.client_proto.ResponseHandler",
        "_skip_payload",
        "to know that an answer has no body",
    ),
    Private(
        "aiohttp",
        "aiohttp.client_proto.ResponseHandler",
        "_payload",
        "to know whether a body was read to its end",
    ),
    Private(
        "aiohttp",
        "aiohttp.client_proto.ResponseHandler",
        "_exception",
        "to tell a reader why a body cannot be read",
    ),
    Private(
        "amqp",
        "amqp.transport.TCPTransport",
        "_connect",
        "to connect over a socket whose address was judged",
        "(self, host, port, timeout)",
    ),
    Private(
        "amqp",
        "amqp.transport.TCPTransport",
        "_init_socket",
        "to leave the options of that socket alone",
        "(self, socket_settings, read_timeout, write_timeout)",
    ),
    Private(
        "amqp",
        "amqp.transport.TCPTransport",
        "_setup_transport",
        "to begin the protocol on that socket",
        "(self)",
    ),
    Private(
        "amqp",
        "amqp.transport.TCPTransport",
        "_write",
        "to begin the protocol on that socket",
        "(self, s)",
    ),
    Private(
        "redis",
        "redis.Connection",
        "_connect",
        "to connect over a socket whose address was judged",
        "(self)",
    ),
    Private(
        "PyMySQL", "pymysql.connections.Connection", "_secure", "to know whether TLS was agreed on"
    ),
    Private(
        "drf-spectacular",
        "drf_spectacular.openapi.AutoSchema",
        "_map_serializer",
        "to describe a serializer before adding to it",
        "(self, serializer, direction, bypass_extensions=False)",
    ),
    Private(
        "jmespath",
        "jmespath.functions.Functions",
        "_create_key_func",
        "to count the steps of sorting by a key",
        "(self, expref, allowed_types, function_name)",
    ),
    Private(
        "jmespath",
        "jmespath.functions.Functions",
        "_func_to_number",
        "to bound what a function makes",
        "(self, arg)",
    ),
    Private(
        "jmespath",
        "jmespath.functions.Functions",
        "_func_to_string",
        "to bound what a function makes",
        "(self, arg)",
    ),
    Private(
        "jmespath",
        "jmespath.functions.Functions",
        "_func_contains",
        "to bound what a function makes",
        "(self, subject, search)",
    ),
    Private(
        "jmespath",
        "jmespath.functions.Functions",
        "_func_join",
        "to bound what a function makes",
        "(self, separator, array)",
    ),
    Private(
        "jmespath",
        "jmespath.functions.Functions",
        "_func_sort",
        "to bound what a function makes",
        "(self, arg)",
    ),
    Private(
        "jmespath",
        "jmespath.functions.Functions",
        "_func_max",
        "to bound what a function makes",
        "(self, arg)",
    ),
    Private(
        "jmespath",
        "jmespath.functions.Functions",
        "_func_min",
        "to bound what a function makes",
        "(self, arg)",
    ),
    Private(
        "jmespath",
        "jmespath.lexer.Lexer",
        "_consume_literal",
        "to read literals as strict JSON",
        "(self)",
    ),
    Private("jmespath", "jmespath.visitor", "_Expression", "to tell an expression from a value"),
    Private(
        "psycopg",
        "psycopg.Cursor",
        "_query",
        "to log the text of a statement when only the name of its plan is sent",
    ),
    Private(
        "Django",
        "django.forms.ModelForm",
        "_post_clean",
        "to show what the service refused beside the field that it is about",
        "(self)",
    ),
    Private(
        "Django",
        "django.forms.ModelForm",
        "_save_m2m",
        "to give a new person the chosen role",
        "(self)",
    ),
    Private(
        "Django",
        "django.contrib.admin.ModelAdmin",
        "_get_obj_does_not_exist_redirect",
        "to answer as Django does for a row that is not there",
        "(self, request, opts, object_id)",
    ),
    Private(
        "Django",
        "django.db.models.QuerySet",
        "_result_cache",
        "to hand over rows that were read already, as a prefetch does",
    ),
    Private(
        "Django",
        "django.db.models.QuerySet",
        "_prefetch_done",
        "to hand over rows that were read already, as a prefetch does",
    ),
    Private(
        "Django",
        "django.db.backends.base.base.BaseDatabaseWrapper",
        "autocommit",
        "to run a transaction within a pipeline",
    ),
    Private(
        "Django",
        "django.db.backends.base.base.BaseDatabaseWrapper",
        "in_atomic_block",
        "to run a transaction within a pipeline",
    ),
    Private(
        "Django",
        "django.db.backends.base.base.BaseDatabaseWrapper",
        "make_debug_cursor",
        "to log the statements of a cursor of our own",
        "(self, cursor)",
    ),
    Private(
        "Django",
        "django.db.backends.base.base.BaseDatabaseWrapper",
        "run_and_clear_commit_hooks",
        "to run a transaction within a pipeline",
        "(self)",
    ),
    Private(
        "Django",
        "django.db.backends.base.base.BaseDatabaseWrapper",
        "wrap_database_errors",
        "to run a transaction within a pipeline",
    ),
    Private(
        "Django",
        "django.db.backends.postgresql.base",
        "ServerBindingCursor",
        "to plan a statement once that comes again and again",
    ),
    *(
        Private("kombu", "kombu.transport.virtual.Channel", name, reason, signature)
        for name, reason, signature in (
            (
                "_put",
                "to write messages whole, and no more than wait for a look",
                "(self, queue, message)",
            ),
            ("_get", "to take messages by renaming", "(self, queue, timeout=None)"),
            ("_purge", "to empty a queue", "(self, queue)"),
        )
    ),
)


def resolved(path: str) -> Any:
    """Return the class or module of a dotted path."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        return attrgetter(".".join(parts[count:]))(module) if parts[count:] else module
    raise ImportError(path)


def signature_of(function: Any) -> str:
    """Return the parameters without their types, which say nothing about how it is called."""
    parameters = inspect.signature(function).parameters.values()
    bare = (parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters)
    return f"({', '.join(map(str, bare))})"


def is_set_on_instances(owner: Any, name: str) -> bool:
    classes = [each for each in getattr(owner, "__mro__", ()) if each is not object]
    assigned = re.compile(rf"\bself\.{name}\b[^=\n]*=|\bself\.{name}\b,.*=")
    return any(assigned.search(inspect.getsource(each)) for each in classes if has_source(each))


def has_source(owner: type) -> bool:
    try:
        inspect.getsource(owner)
    except (OSError, TypeError):
        return False
    return True


def change_of(private: Private) -> str:
    """Return what is different in the installed version; empty if nothing is."""
    owner = resolved(private.owner)
    missing = object()
    value = inspect.getattr_static(owner, private.name, missing)
    if value is missing:
        return "" if is_set_on_instances(owner, private.name) else "it is gone"
    signature = signature_of(value) if inspect.isfunction(value) else None
    if signature != private.signature:
        return f"it was called as {private.signature or 'a value'}, and is now {signature}"
    return ""


@pytest.mark.parametrize("private", PRIVATE, ids=str)
def test_private_attribute_is_what_it_was(private: Private) -> None:
    change = change_of(private)
    assert not change, (
        f"{private} of {private.package} is used in {', '.join(uses()[private.name])} "
        f"{private.reason}; in version {version(private.package)} {change}."
    )


@pytest.mark.parametrize(
    "private",
    [
        Private("Django", "django.forms.ModelForm", "_gone", "to see this test fail"),
        Private("Django", "django.forms.ModelForm", "_post_clean", "to see it fail", "(self, x)"),
        Private("aiohttp", "aiohttp.TCPConnector", "_gone", "to see this test fail"),
    ],
    ids=str,
)
def test_change_is_noticed(private: Private) -> None:
    assert change_of(private)


def test_packages_are_pinned_to_the_minor_version_that_was_tested() -> None:
    """Beside their public interface, packages change with every minor version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    ranges = {each.name: each.specifier for each in map(Requirement, project)}
    for package in sorted({private.package for private in PRIVATE}):
        installed = Version(version(package))
        following = f"{installed.major}.{installed.minor + 1}"
        assert installed in ranges[package]
        assert following not in ranges[package], f"{package} {following} is not tested"


# --- What is used ---------------------------------------------------------------------------------


@cache
def sources() -> dict[Path, ast.Module]:
    folders = [ROOT / name for name in PACKAGES] + [ROOT / "client" / "src"]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    programs = [ROOT / name for name in ("dev", "supervise.py", "gunicorn.conf.py", "manage.py")]
    return {path: ast.parse(path.read_text()) for path in (*files, *programs)}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("_") and name not in DOCUMENTED


def names_in(tree: ast.Module) -> Iterator[str]:
    """Yield the attributes, methods and imports of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


@cache
def uses() -> dict[str, list[str]]:
    """Return the files in which a name is used, by name."""
    files = defaultdict(list)
    for path, tree in sources().items():
        for name in set(names_in(tree)):
            files[name].append(str(path.relative_to(ROOT)))
    return files


def own_names() -> set[str]:
    """Return what the product defines: modules, functions, classes, variables, attributes."""
    names = {path.stem for path in sources()}
    for node in (node for tree in sources().values() for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            is_own = isinstance(node.value, ast.Name) and node.value.id == "self"
            names |= {node.attr} if is_own else set()
    return names


def foreign_attributes() -> set[str]:
    """Return private names that are read or imported, and that nothing in the product defines."""
    names: set[str] = set()
    for node in (node for tree in sources().values() for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            names.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names if is_private(alias.name)}
            names |= {part for part in (node.module or "").split(".") if is_private(part)}
    return names - own_names()


def overridden_methods() -> set[str]:
    """Return private methods of other packages' classes that classes of the product redefine."""
    names: set[str] = set()
    for own in product_classes():
        for base in own.__mro__[1:]:
            if base.__module__.split(".")[0] not in PACKAGES and base is not object:
                methods = {name for name, value in vars(own).items() if inspect.isfunction(value)}
                names |= {name for name in methods & vars(base).keys() if is_private(name)}
    return names


def product_classes() -> Iterator[type]:
    for package in PACKAGES:
        if not (ROOT / package).exists() and package != "service_integration_client":
            continue
        path = importlib.import_module(package).__path__
        for info in pkgutil.walk_packages(path, f"{package}."):
            if ".migrations" not in info.name and not info.name.endswith("__main__"):
                importlib.import_module(info.name)
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in PACKAGES:
            classes = (value for value in vars(module).values() if inspect.isclass(value))
            yield from (each for each in classes if each.__module__ == name)


def test_every_private_attribute_that_is_used_is_in_the_table() -> None:
    listed = {private.name for private in PRIVATE}
    used = foreign_attributes() | overridden_methods()
    lines = [f"{name} in {', '.join(uses()[name])}" for name in sorted(used - listed)]
    assert not lines, "Used beside a package's public interface:\n" + "\n".join(lines)


def test_every_attribute_in_the_table_is_still_used() -> None:
    assert [str(private) for private in PRIVATE if private.name not in uses()] == []


def test_uses_are_found() -> None:
    tree = ast.parse(
        textwrap.dedent("""
        from package import _imported
        class Own(Base):
            def _method(self):
                return other._attribute
    """)
    )
    assert {"_imported", "_method", "_attribute"} <= set(names_in(tree))
