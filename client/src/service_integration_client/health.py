"""Makes the answer of a service at its health URL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

_OTHER_FIELDS = ("status", "timestamp")


def health_response(checks: Mapping[str, bool] | None = None, /, **more: bool) -> dict[str, Any]:
    """``{"status": "healthy" or "unhealthy", ...each check..., "timestamp"}``.

    Healthy when every check is: ``health_response(database=True, cache=False)``. A mapping takes
    names that are no Python names. The timestamp is ISO 8601 in UTC. The hub goes by the status
    code: answer 503 when it is unhealthy. Raises: ValueError for checks named as the other fields.
    """
    results = {name: bool(passed) for name, passed in {**(checks or {}), **more}.items()}
    if taken := sorted(set(results) & set(_OTHER_FIELDS)):
        raise ValueError(f"A check cannot be named {taken[0]!r}.")
    status = "healthy" if all(results.values()) else "unhealthy"
    return {"status": status, **results, "timestamp": datetime.now(timezone.utc).isoformat()}
