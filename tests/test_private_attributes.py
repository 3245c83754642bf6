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
    "core", "integration_site", "model_orchestration", "monitoring", "registry", "workflows",
    "reference_services", "service_integration_client",
)  # fmt: skip
# Begin with an underscore, and are documented all the same.
DOCUMENTED = {
    "_meta": "Django: Model _meta API",
    "_default_manager": "Django: managers",
    "_state": "Django: Model instance reference",
    "_replace": "Python: namedtuple",
    "_asdict": "Python: namedtuple",
    "_exit": "Python: os._exit",
}

# Of the standard library, as nothing else reads a regular expression; what they give is held on
# each Python by the tests named.
OF_PYTHON = {
    "_parser": "tests/model_orchestration/test_contents.py",
    "_constants": "tests/model_orchestration/test_contents.py",
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


def used(package: str, owner: str, reason: str, **signatures: str | None) -> Iterator[Private]:
    """Attributes of one class or module that are used for one reason."""
    for name, signature in signatures.items():
        yield Private(package, owner, name, reason, signature)


PRIVATE = (
    *used(
        "aiohttp",
        "aiohttp.TCPConnector",
        "to put a response parser in place that knows where answers end",
        _factory=None,
    ),
    *used(
        "aiohttp",
        "aiohttp.TCPConnector",
        "to make that parser on the loop of its connector",
        _loop=None,
    ),
    *used(
        "aiohttp",
        "aiohttp.client_proto.ResponseHandler",
        "to know that an answer has no body",
        _skip_payload=None,
    ),
    *used(
        "aiohttp",
        "aiohttp.client_proto.ResponseHandler",
        "to know whether a body was read to its end",
        _payload=None,
    ),
    *used(
        "aiohttp",
        "aiohttp.client_proto.ResponseHandler",
        "to tell a reader why a body cannot be read",
        _exception=None,
    ),
    *used(
        "uvicorn",
        "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol",
        "to bound what a peer may leave unsaid and untaken",
        _start_asgi_task="(self, cycle, app)",
        _unset_keepalive_if_required="(self)",
        connection_made="(self, transport)",
        connection_lost="(self, exc)",
        data_received="(self, data)",
        on_message_begin="(self)",
        on_url="(self, url)",
        on_header="(self, name, value)",
        on_headers_complete="(self)",
        on_message_complete="(self)",
        on_response_complete="(self)",
        pause_writing="(self)",
        resume_writing="(self)",
        app=None,
        client=None,
        cycle=None,
        expect_100_continue=None,
        flow=None,
        pipeline=None,
        server_state=None,
        timeout_keep_alive=None,
    ),
    *used(
        "uvicorn",
        "uvicorn.protocols.http.httptools_impl.RequestResponseCycle",
        "to know how far a request is, to end it, and to write its answer at once",
        default_headers=None,
        disconnected=None,
        flow=None,
        keep_alive=None,
        message_event=None,
        more_body=None,
        on_response=None,
        response_complete=None,
        response_started=None,
        send="(self, message)",
        transport=None,
        waiting_for_100_continue=None,
    ),
    *used(
        "uvicorn",
        "uvicorn.server.Server",
        "to have those who wait answered before it stops",
        shutdown="(self, sockets=None)",
    ),
    *used(
        "uvicorn-worker",
        "uvicorn_worker.UvicornWorker",
        "to run that server",
        _serve="(self)",
        _install_sigquit_handler="(self)",
        callback_notify="(self)",
    ),
    *used(
        "amqp",
        "amqp.transport.TCPTransport",
        "to connect over a socket whose address was judged",
        _connect="(self, host, port, timeout)",
    ),
    *used(
        "amqp",
        "amqp.transport.TCPTransport",
        "to leave the options of that socket alone",
        _init_socket="(self, socket_settings, read_timeout, write_timeout)",
    ),
    *used(
        "amqp",
        "amqp.transport.TCPTransport",
        "to begin the protocol on that socket",
        _setup_transport="(self)",
        _write="(self, s)",
    ),
    *used(
        "redis",
        "redis.Connection",
        "to connect over a socket whose address was judged",
        _connect="(self)",
    ),
    *used(
        "PyMySQL",
        "pymysql.connections.Connection",
        "to know whether TLS was agreed on",
        _secure=None,
    ),
    *used(
        "drf-spectacular",
        "drf_spectacular.openapi.AutoSchema",
        "to describe a serializer before adding to it",
        _map_serializer="(self, serializer, direction, bypass_extensions=False)",
    ),
    *used(
        "jmespath",
        "jmespath.functions.Functions",
        "to count the steps of sorting by a key",
        _create_key_func="(self, expref, allowed_types, function_name)",
    ),
    *used(
        "jmespath",
        "jmespath.functions.Functions",
        "to bound what a function makes",
        _func_to_number="(self, arg)",
        _func_to_string="(self, arg)",
        _func_contains="(self, subject, search)",
        _func_join="(self, separator, array)",
        _func_sort="(self, arg)",
        _func_max="(self, arg)",
        _func_min="(self, arg)",
    ),
    *used(
        "jmespath",
        "jmespath.lexer.Lexer",
        "to read literals as strict JSON",
        _consume_literal="(self)",
    ),
    *used(
        "jmespath",
        "jmespath.visitor",
        "to tell an expression from a value",
        _Expression=None,
    ),
    *used(
        "psycopg",
        "psycopg.Cursor",
        "to log the text of a statement when only the name of its plan is sent",
        _query=None,
    ),
    *used(
        "Django",
        "django.forms.ModelForm",
        "to show what the service refused beside the field that it is about",
        _post_clean="(self)",
    ),
    *used(
        "Django",
        "django.db.models.QuerySet",
        "to hand over rows that were read already, as a prefetch does",
        _result_cache=None,
        _prefetch_done=None,
    ),
    *used(
        "Django",
        "django.db.backends.base.base.BaseDatabaseWrapper",
        "to run a transaction within a pipeline",
        autocommit=None,
        in_atomic_block=None,
        run_and_clear_commit_hooks="(self)",
        wrap_database_errors=None,
    ),
    *used(
        "Django",
        "django.db.backends.base.base.BaseDatabaseWrapper",
        "to log the statements of a cursor of our own",
        make_debug_cursor="(self, cursor)",
    ),
    *used(
        "Django",
        "django.db.backends.postgresql.base",
        "to plan a statement once that comes again and again",
        ServerBindingCursor=None,
    ),
    *used(
        "kombu",
        "kombu.transport.virtual.Channel",
        "to write messages whole, and no more than wait for a look",
        _put="(self, queue, message)",
    ),
    *used(
        "kombu",
        "kombu.transport.virtual.Channel",
        "to take messages by renaming",
        _get="(self, queue, timeout=None)",
    ),
    *used(
        "kombu",
        "kombu.transport.virtual.Channel",
        "to empty a queue",
        _purge="(self, queue)",
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
    return name.startswith("_") and not name.endswith("_") and name not in {*DOCUMENTED, *OF_PYTHON}


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
