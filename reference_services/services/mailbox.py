"""Where the alerts of the demo arrive: a signed webhook, and a page that shows them."""

from __future__ import annotations

from aiohttp import web

from reference_services.service import Service


def _build() -> web.Application:
    from reference_services.mailbox import build_mailbox

    return build_mailbox()


SERVICE = Service(
    name="mailbox",
    type="CUSTOM",
    description="A mailbox for alerts: open its address in a browser to read what came.",
    tags=("reference", "alerts"),
    build=_build,
)
