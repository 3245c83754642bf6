"""Reads where the hub is, the API key and the timeout."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

DEFAULT_TIMEOUT_SECONDS = 30.0
URL_VARIABLE = "SERVICE_INTEGRATION_URL"
KEY_VARIABLE = "SERVICE_INTEGRATION_API_KEY"


@dataclass(frozen=True)
class Configuration:
    """The API key does not appear in `repr`."""

    base_url: str
    api_key: str | None = field(repr=False)
    timeout: float


def configuration(
    *,
    base_url: str | None,
    api_key: str | None,
    timeout: float,
    environ: Mapping[str, str] = os.environ,
) -> Configuration:
    """Return the arguments, or the environment's values for those left out. Raises: ValueError."""
    url = (base_url or environ.get(URL_VARIABLE, "")).rstrip("/")
    key = api_key or environ.get(KEY_VARIABLE) or None
    if not url:
        raise ValueError(
            f"Give a base_url such as http://localhost:8090/api, or set {URL_VARIABLE}."
        )
    parts = urlsplit(url)
    if "@" in url:  # first, as the next error repeats the URL
        raise ValueError("base_url has no user name or password in it; give an api_key.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"base_url must look like http://localhost:8090/api, not {url!r}.")
    if not 0 < timeout < math.inf:
        raise ValueError("timeout is a number of seconds greater than 0.")
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError("api_key holds characters that no API key has.")
    # What depends on the scheme, such as whether certificates are checked, asks in lower case.
    return Configuration(parts.scheme + url[len(parts.scheme) :], key, timeout)
