"""Kills between an incident and its message, as `python -m tests.faults.alert_kills` does them."""

import os
import re
import subprocess
import sys

import pytest

from tests.faults.hub_under_test import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.on_servers, pytest.mark.slow]


def test_each_change_is_told_under_one_key_wherever_a_process_is_killed():
    embedded = [] if "POSTGRES_HOST" in os.environ else ["--embedded"]
    result = subprocess.run(
        [sys.executable, "-m", "tests.faults.alert_kills", "--times", "20", *embedded],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert re.search(r"^200 kills, .* 0 problems$", said, re.MULTILINE), said
