import stat
from pathlib import Path

import pytest

from integration_site.management.commands.bootstrap import tighten


@pytest.mark.parametrize(
    ("mode", "after"), [(0o755, 0o700), (0o770, 0o700), (0o701, 0o700), (0o700, 0o700)]
)
def test_a_folder_that_others_could_read_is_its_owners_alone(
    tmp_path: Path, mode: int, after: int
) -> None:
    tmp_path.chmod(mode)
    assert (str(tmp_path) in tighten(tmp_path)) == (mode != after)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == after
    assert tighten(tmp_path) == ""
