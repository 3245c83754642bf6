"""Processes of their own that ask for the token of a credential.

Run as `python -m tests.support.token_process COUNT DATABASE CREDENTIAL HELLO`. Each posts to the
URL HELLO before it asks, and prints the hash of its token.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
import urllib.request

from tests.support.forking import fork, set_up


async def ask(credential_id: str) -> str:
    from registry.calls.auth.loaded_credential import load_credential
    from registry.calls.auth.token_cache import TokenCache
    from registry.calls.database_threads import DatabaseThreads
    from registry.calls.transport import Transport
    from registry.models import Credential

    threads, transport = DatabaseThreads(1), Transport()
    found = await threads.run(lambda: load_credential(Credential.objects.get(pk=credential_id)))
    tokens = TokenCache(threads, transport.post_form, clock=time.monotonic)
    held = await tokens.get(found, seconds=30)
    await tokens.close()
    await transport.close()
    threads.close()
    return hashlib.sha256(held.token.reveal().encode()).hexdigest()


def greet_and_ask(credential_id: str, hello: str) -> str:
    urllib.request.urlopen(hello, data=b"").close()
    return asyncio.run(ask(credential_id))


def main(count: int, database: str, credential_id: str, hello: str) -> None:
    set_up(database)
    from registry.calls.auth import token_cache  # noqa: F401 (loaded before the first fork)

    fork(count, lambda: greet_and_ask(credential_id, hello))


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:5])
