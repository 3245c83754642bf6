"""A process of its own that asks for the token of a credential.

Run as `python -m tests.support.token_process DATABASE CREDENTIAL HELLO`. It posts to the URL HELLO
before it asks, and prints the hash of its token.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
import urllib.request


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


if __name__ == "__main__":
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = sys.argv[1]
    django.setup()
    urllib.request.urlopen(sys.argv[3], data=b"").close()
    sys.stdout.write(asyncio.run(ask(sys.argv[2])))
