"""Messages as each kind of receiver takes them (pure).

Slack: incoming webhooks. Teams: an Adaptive Card to a workflow's webhook. Discord: embeds to a
webhook. Telegram: `sendMessage` of the Bot API. ntfy: publishing as JSON. PagerDuty: Events API v2.
Opsgenie: Alert API. WEBHOOK: signed as the Standard Webhooks specification says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from core.vault import Secret
from monitoring.alerts.channel_types import SERVERS
from monitoring.models import ChannelType, DeliveryReason, Severity
from registry.credentials.webhook_signature import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    signature_of,
)

_COLOURS = {Severity.CRITICAL: "#c62828", Severity.WARNING: "#b26a00"}
_RESOLVED_COLOUR = "#2e7d32"


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """What is told: its id is the same however often it is sent."""

    id: UUID
    reason: DeliveryReason
    severity: Severity
    group_key: str
    title: str
    text: str
    link: str = ""
    incidents: Sequence[Mapping[str, Any]] = ()

    @property
    def is_over(self) -> bool:
        return self.reason == DeliveryReason.RESOLVED

    @property
    def colour(self) -> str:
        return _RESOLVED_COLOUR if self.is_over else _COLOURS[self.severity]


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """A POST; its URL and headers may hold secrets, and are shown by no `repr`."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def origin(self) -> str:
        """What may be said of where it goes."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


Config = Mapping[str, Any]
Secrets = Mapping[str, Secret]
Writer = Callable[[AlertMessage, Config, Secrets, int], HttpMessage]


@sensitive_variables()
def write_http(
    type: str, message: AlertMessage, config: Config, secrets: Secrets, *, now: int
) -> HttpMessage:
    """Return the request that tells a message; `now` is in seconds since 1970."""
    return _WRITERS[type](message, config, secrets, now)


@sensitive_variables()
def _to_webhook(message: AlertMessage, config: Config, secrets: Secrets, now: int) -> HttpMessage:
    body = _json(
        {
            "type": f"alert.{message.reason.lower()}",
            "id": str(message.id),
            "severity": str(message.severity),
            "group_key": message.group_key,
            "title": message.title,
            "text": message.text,
            "link": message.link,
            "incidents": list(message.incidents),
        }
    )
    signature = signature_of(str(message.id), str(now), body, secrets["key"])
    headers = {
        ID_HEADER: str(message.id),
        TIMESTAMP_HEADER: str(now),
        SIGNATURE_HEADER: f"v1,{signature}",
    }
    return HttpMessage(config["url"], body, headers)


def _to_slack(message: AlertMessage, config: Config, secrets: Secrets, now: int) -> HttpMessage:
    # Slack's own marks in what services say would be links and mentions.
    text = _escaped(message.text)
    link = f"\n<{message.link}|Open in the hub>" if message.link else ""
    body = {
        "text": _escaped(message.title),
        "attachments": [{"color": message.colour, "text": f"{text[:30_000]}{link}"}],
    }
    return HttpMessage(secrets["url"].reveal(), _json(body))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _to_teams(message: AlertMessage, config: Config, secrets: Secrets, now: int) -> HttpMessage:
    tone = "Good" if message.is_over else "Attention"
    texts: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": message.title, "weight": "Bolder", "color": tone},
        *(
            {"type": "TextBlock", "text": each}
            for each in message.text[:20_000].split("\n")
            if each
        ),
    ]
    for text in texts:
        text["wrap"] = True
    opens = [{"type": "Action.OpenUrl", "title": "Open in the hub", "url": message.link}]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": texts,
        "actions": opens if message.link else [],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    body = {"type": "message", "attachments": [attachment]}
    return HttpMessage(secrets["url"].reveal(), _json(body))


def _to_discord(message: AlertMessage, config: Config, secrets: Secrets, now: int) -> HttpMessage:
    embed = {
        "title": message.title[:256],
        "description": message.text[:4000],
        "color": int(message.colour[1:], 16),
        **({"url": message.link} if message.link else {}),
    }
    # Nobody is mentioned, whatever a service says of itself.
    body = {"embeds": [embed], "allowed_mentions": {"parse": []}}
    return HttpMessage(secrets["url"].reveal(), _json(body))


def _to_telegram(message: AlertMessage, config: Config, secrets: Secrets, now: int) -> HttpMessage:
    url = f"{_server(config, ChannelType.TELEGRAM)}/bot{secrets['token'].reveal()}/sendMessage"
    text = "\n\n".join(part for part in (message.title, message.text, message.link) if part)
    body = {
        "chat_id": config["chat_id"],
        "text": text[:4096],
        "link_preview_options": {"is_disabled": True},
    }
    return HttpMessage(url, _json(body))


def _to_ntfy(message: AlertMessage, config: Config, secrets: Secrets, now: int) -> HttpMessage:
    urgent = message.severity == Severity.CRITICAL and not message.is_over
    body = {
        "topic": config["topic"],
        "title": message.title,
        "message": message.text[:3500],
        "priority": 5 if urgent else 3,
        "tags": ["white_check_mark" if message.is_over else "rotating_light"],
        **({"click": message.link} if message.link else {}),
    }
    token = secrets.get("token")
    headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
    return HttpMessage(_server(config, ChannelType.NTFY), _json(body), headers)


def _to_pagerduty(message: AlertMessage, config: Config, secrets: Secrets, now: int) -> HttpMessage:
    payload = {
        "summary": message.title[:1024],
        "source": "service-integration",
        "severity": "critical" if message.severity == Severity.CRITICAL else "warning",
        "custom_details": {"text": message.text[:20_000]},
    }
    body = {
        "routing_key": secrets["routing_key"].reveal(),
        "event_action": "resolve" if message.is_over else "trigger",
        "dedup_key": message.group_key[:255],
        "payload": payload,
        "links": [{"href": message.link, "text": "Open in the hub"}] if message.link else [],
    }
    return HttpMessage(f"{_server(config, ChannelType.PAGERDUTY)}/v2/enqueue", _json(body))


def _to_opsgenie(message: AlertMessage, config: Config, secrets: Secrets, now: int) -> HttpMessage:
    headers = {"Authorization": f"GenieKey {secrets['key'].reveal()}"}
    alias = message.group_key[:512]
    alerts = f"{_server(config, ChannelType.OPSGENIE)}/v2/alerts"
    if message.is_over:
        url = f"{alerts}/{quote(alias, safe='')}/close?identifierType=alias"
        return HttpMessage(url, _json({"note": message.text[:20_000]}), headers)
    body = {
        "message": message.title[:130],
        "alias": alias,
        "description": message.text[:15_000],
        "priority": "P1" if message.severity == Severity.CRITICAL else "P3",
        "source": "service-integration",
    }
    return HttpMessage(alerts, _json(body), headers)


def _server(config: Config, type: ChannelType) -> str:
    return str(config.get("server") or SERVERS[type])


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


_WRITERS: Mapping[str, Writer] = {
    ChannelType.WEBHOOK: _to_webhook,
    ChannelType.SLACK: _to_slack,
    ChannelType.TEAMS: _to_teams,
    ChannelType.DISCORD: _to_discord,
    ChannelType.TELEGRAM: _to_telegram,
    ChannelType.NTFY: _to_ntfy,
    ChannelType.PAGERDUTY: _to_pagerduty,
    ChannelType.OPSGENIE: _to_opsgenie,
}
