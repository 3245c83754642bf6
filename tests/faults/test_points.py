"""A few kills at every failpoint, as `./dev failpoints` does them by the hundred."""

import os
import re
import subprocess
import sys

import pytest

from tests.faults.hub_under_test import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.on_servers]


def test_nothing_is_lost_or_done_twice_wherever_a_process_is_killed(in_full):
    times = 2 if in_full else 1
    embedded = [] if "POSTGRES_HOST" in os.environ else ["--embedded"]
    result = subprocess.run(
        [sys.executable, "-m", "tests.faults.failpoint_campaign", "--times", str(times), *embedded],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert re.search(rf"^{11 * times} kills, 0 problems$", said, re.MULTILINE), said
    assert set(re.findall(rf"^(C\d+) .* {times} kills", said, re.MULTILINE)) == {
        f"C{n}" for n in range(11)
    }
