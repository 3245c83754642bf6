"""A mailbox for alerts: takes messages signed as Standard Webhooks, and shows them on a page."""

from __future__ import annotations

import hmac
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from aiohttp import web

from service_integration_client.strict_json import parse_json
from service_integration_client.webhook_signature import sign_webhook

# No secret: mailbox and hub of the demo are on one machine, and it guards made-up messages.
KEY = "whsec_" + b64encode(b"the demo's mailbox has this key").decode()
HOOK = "/hook"
MOST_MESSAGES = 200
LONGEST_SKEW_SECONDS = 300
MAX_BODY_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class ArrivedAlert:
    """An alert as it came."""

    id: str
    kind: str
    severity: str
    title: str
    text: str
    link: str
    came_at: float

    @property
    def word(self) -> str:
        """Return how bad it is in a word, also for what is over."""
        return "Resolved" if self.kind == "alert.resolved" else self.severity.capitalize()


class Mailbox:
    """The last messages, newest first. One that comes twice, by its id, is kept once."""

    def __init__(self, *, key: str = KEY, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock
        self._messages: OrderedDict[str, ArrivedAlert] = OrderedDict()

    @property
    def messages(self) -> list[ArrivedAlert]:
        return list(reversed(self._messages.values()))

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self._is_signed(request, body):
            return web.json_response({"detail": "The signature does not fit."}, status=401)
        try:
            message = _alert_of(parse_json(body, unique_keys=True), self._clock())
        except (ValueError, KeyError, TypeError) as error:
            return web.json_response({"detail": f"No alert: {error}"}, status=400)
        if message.id not in self._messages:
            self._messages[message.id] = message
        while len(self._messages) > MOST_MESSAGES:
            self._messages.popitem(last=False)
        return web.Response(status=204)

    def _is_signed(self, request: web.Request, body: bytes) -> bool:
        identifier = request.headers.get("Webhook-Id", "")
        sent_at = request.headers.get("Webhook-Timestamp", "")
        if not identifier or not sent_at.isdecimal():
            return False
        if abs(self._clock() - int(sent_at)) > LONGEST_SKEW_SECONDS:
            return False
        wanted = sign_webhook(self._key, body, message_id=identifier, timestamp=int(sent_at))
        signatures = request.headers.get("Webhook-Signature", "").split()
        return any(
            hmac.compare_digest(each.encode(), wanted["Webhook-Signature"].encode())
            for each in signatures
        )

    async def list(self, request: web.Request) -> web.Response:
        items = [
            {"id": each.id, "type": each.kind, "severity": each.severity, "title": each.title}
            for each in self.messages
        ]
        return web.json_response({"items": items})

    async def show(self, request: web.Request) -> web.Response:
        return web.Response(text=page_of(self.messages, self._clock()), content_type="text/html")


def _alert_of(value: Any, now: float) -> ArrivedAlert:
    parts = {name: str(value[name]) for name in ("id", "severity", "title", "text", "link")}
    return ArrivedAlert(kind=str(value["type"]), came_at=now, **parts)


def build_mailbox(mailbox: Mailbox | None = None) -> web.Application:
    """Return the mailbox's application: its page, its hook and its health."""
    box = mailbox or Mailbox()
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_get("/", box.show)
    app.router.add_get("/messages", box.list)
    app.router.add_post(HOOK, box.take)
    app.router.add_get("/health", _health)
    return app


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"status": "healthy", "service": "mailbox"})


_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 46rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.25rem; }
article { border: 1px solid color-mix(in srgb, currentColor 18%, transparent);
  border-left: .35rem solid var(--colour); border-radius: .5rem; padding: .7rem 1rem;
  margin: .8rem 0; overflow-wrap: anywhere; }
.word { background: var(--colour); color: #fff; border-radius: 1rem; padding: .1rem .6rem;
  font-size: .8rem; font-weight: 600; }
.when { float: right; opacity: .7; font-size: .85rem; }
h2 { font-size: 1rem; margin: .5rem 0 .2rem; }
p { margin: 0; white-space: pre-line; }
.critical { --colour: #c62828; } .warning { --colour: #b26a00; } .info { --colour: #33689a; }
.resolved { --colour: #2e7d32; }
"""


def page_of(messages: list[ArrivedAlert], now: float) -> str:
    """Return the page; it asks for itself again every five seconds."""
    items = "".join(_item(message, now) for message in messages)
    empty = (
        "<p>No message yet. Open a service in the hub's admin, choose <b>Call action</b> and"
        " <b>stop_for_a_while</b>: within a minute there is one here.</p>"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="refresh" content="5"><title>Mailbox of the demo</title>'
        f"<style>{_STYLE}</style></head><body><h1>Mailbox of the demo</h1>"
        f"{items or empty}</body></html>"
    )


def _item(message: ArrivedAlert, now: float) -> str:
    link = ""
    if message.link.startswith(("http://", "https://")):
        link = f'<a href="{escape(message.link)}">Open in the hub</a>'
    return (
        f'<article class="{escape(message.word.lower())}">'
        f'<span class="word">{escape(message.word)}</span>'
        f'<span class="when">{_ago(now - message.came_at)}</span>'
        f"<h2>{escape(message.title)}</h2><p>{escape(message.text)}</p>{link}</article>"
    )


def _ago(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s ago"
    return f"{whole // 60} min ago" if whole < 3600 else f"{whole // 3600} h ago"
