"""What the tests of the site share."""

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _static_files_without_manifest(settings: Any) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
