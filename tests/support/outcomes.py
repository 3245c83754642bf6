"""A pytest plugin that notes how each test ended, and can run some of them alone.

`-p tests.support.outcomes --outcomes=FILE` writes a report of the run; `--only=FILE` runs just the
tests whose ids a file lists, one a line, out of those that the other arguments choose.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Outcomes:
    """How the tests of a run ended: the ids of those that passed, and why the others did not."""

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    not_loaded: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path) -> Outcomes:
        """Return what a run wrote; nothing, where it was stopped before."""
        return cls(**json.loads(file.read_text())) if file.exists() else cls()


class Recorder:
    """Notes what tests say, of all workers."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.outcomes = Outcomes()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.outcomes.not_loaded.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.outcomes.failed.setdefault(report.nodeid, report.longreprtext)
        elif report.passed and report.when == "call":
            self.outcomes.passed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        failed = self.outcomes.failed
        self.outcomes.passed = [each for each in self.outcomes.passed if each not in failed]
        self.file.write_text(json.dumps(asdict(self.outcomes)))


class Chooser:
    """Leaves out what is not to run."""

    def __init__(self, ids: set[str], root: Path, by_folders: bool) -> None:
        self.ids = ids
        self.files = {root / each.split("::")[0] for each in ids} if by_folders else None

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        is_other = self.files is not None and collection_path not in self.files
        return True if is_other and collection_path.is_file() else None

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        left_out = [item for item in items if item.nodeid not in self.ids]
        items[:] = [item for item in items if item.nodeid in self.ids]
        config.hook.pytest_deselected(items=left_out)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", help="write to this file how each test ended")
    parser.addoption("--only", help="run just the tests whose ids this file lists")


def pytest_configure(config: pytest.Config) -> None:
    outcomes: Any = config.getoption("outcomes")
    if outcomes and "PYTEST_XDIST_WORKER" not in os.environ:  # their parent hears of everything
        config.pluginmanager.register(Recorder(Path(outcomes)))
    if config.getoption("only"):
        ids = set(Path(config.getoption("only")).read_text().splitlines())
        # Who asks for a file by name, and not for a folder, is not told that it is not there.
        by_folders = all(Path(each.split("::")[0]).is_dir() for each in config.args)
        config.pluginmanager.register(Chooser(ids, config.rootpath, by_folders))
