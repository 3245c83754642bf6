"""What a new user does: registers a service and runs a workflow. Needs nothing but the client.

`tests/installation/test_installation.py` runs it with every interpreter; where the hub is comes
from the environment.
"""

from __future__ import annotations

import asyncio
import platform
import secrets
import sys

from service_integration_client import (
    AsyncServiceIntegrationClient,
    ServiceIntegrationClient,
    ServiceRegistration,
    SyncServiceIntegrationClient,
)
from service_integration_client.http_library import NAME

WORKFLOW = f"greet-{secrets.token_hex(4)}"
STEPS = [{"id": "say", "type": "TRANSFORM", "output": {"said": "$.input.text"}, "next": None}]


async def awaited() -> str:
    async with ServiceRegistration(WORKFLOW, "http://127.0.0.1:9") as registered:
        assert registered.is_registered
        async with ServiceIntegrationClient() as client:
            await client.create_workflow(WORKFLOW, steps=STEPS)
            assert client.get_workflow(WORKFLOW)["name"] == WORKFLOW
        async with AsyncServiceIntegrationClient() as client:
            assert [each async for each in client.iter_workflows()]
            result = await client.execute_workflow(WORKFLOW, {"text": "Hello."})
            return str(result["said"])


def plain() -> str:
    with (
        SyncServiceIntegrationClient() as client,
        ServiceRegistration(WORKFLOW, "http://127.0.0.1:9"),
    ):
        assert client.get_service(WORKFLOW)["status"] == "ONLINE"
        return str(client.execute_workflow(WORKFLOW, {"text": "Hello."})["said"])


if __name__ == "__main__":
    assert asyncio.run(awaited()) == plain() == "Hello."
    sys.stdout.write(f"Python {platform.python_version()} with {NAME}: it works\n")
