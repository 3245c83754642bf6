"""What the worker says when it starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

AS_ROOT = """
import os
for name in ("getuid", "geteuid", "getgid", "getegid"):
    setattr(os, name, lambda: 0)
from integration_site.celery import app, say_if_root
from celery.platforms import check_privileges
app.finalize()
check_privileges(["json"])
say_if_root()
"""


@pytest.mark.once
def test_root_is_warned_in_one_line(tmp_path: Path, project_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_ROOT],
        cwd=project_root,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines() == [
        "The worker runs as root: give it a user of its own for more than a try."
    ]
