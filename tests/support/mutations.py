"""Faults planted in the real code: a function is compiled again with one piece of it replaced."""

import contextlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest


@contextlib.contextmanager
def mutated(owner: Any, name: str, old: str, new: str) -> Iterator[None]:
    """Let `owner.name`, a function of a module or class, say `new` where it says `old`."""
    function = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{name} does not say it once: {old}"
    scope: dict[str, Any] = {}
    code = compile(source.replace(old, new), inspect.getfile(function), "exec")
    exec(code, sys.modules[function.__module__].__dict__, scope)
    with pytest.MonkeyPatch.context() as patch:
        is_static = isinstance(inspect.getattr_static(owner, name), staticmethod)
        patch.setattr(owner, name, staticmethod(scope[name]) if is_static else scope[name])
        yield
