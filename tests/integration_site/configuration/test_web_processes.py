from typing import Any

import pytest

from integration_site.configuration import web_processes as module
from integration_site.configuration.web_processes import default_number, default_web_processes

MIB = 1024 * 1024
SERVER = {"DATABASE_URL": "postgres://a@b/c", "POSTGRES_HOST": None}
FILE = {"DATABASE_URL": None, "POSTGRES_HOST": None}


@pytest.mark.parametrize(
    ("cores", "memory", "number"),
    [
        (2, 8000, 2), (64, 64_000, 8), (4, 512, 2), (4, 100, 1), (0.5, 8000, 1), (2.5, 8000, 2),
    ],
)  # fmt: skip
def test_default_suits_cores_and_memory(cores: float, memory: int, number: int) -> None:
    assert default_number(cores=cores, memory=memory * MIB) == number


@pytest.mark.parametrize(
    ("values", "number"),
    [
        (SERVER, 3),
        (FILE, 1),
        ({**FILE, "DATABASE_URL": "sqlite:///a"}, 1),
        ({**FILE, "POSTGRES_HOST": "db"}, 3),
    ],
)
def test_number_follows_the_database(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], number: int
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: 3.0)
    monkeypatch.setattr(module, "usable_memory", lambda: 64_000 * MIB)
    assert default_web_processes(values) == number


def test_limits_of_the_cgroup_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(module, "CGROUP", tmp_path)
    free = module.usable_cores(), module.usable_memory()
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert (module.usable_cores(), module.usable_memory()) == free
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("1048576\n")
    assert (module.usable_cores(), module.usable_memory()) == (0.5, MIB)
