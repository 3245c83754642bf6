"""The types of channels: what is set of each, and its secret parts (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.views.decorators.debug import sensitive_variables
from yarl import URL

from core.exceptions import ValidationFailed
from core.vault import Secret
from monitoring.models import ChannelType
from registry.credentials.config_checks import public_text, sent_secret, signing_key
from registry.network.dialer import get_policy, refusal_of
from registry.policies.type_parts import Part, check_parts

MOST_RECIPIENTS = 50
# Where each is, unless told otherwise.
SERVERS: Mapping[str, str] = {
    ChannelType.TELEGRAM: "https://api.telegram.org",
    ChannelType.NTFY: "https://ntfy.sh",
    ChannelType.PAGERDUTY: "https://events.pagerduty.com",
    ChannelType.OPSGENIE: "https://api.opsgenie.com",
}
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class ChannelTypeSpec:
    """A type's settings, and its secret parts."""

    parts: tuple[Part, ...] = ()
    secrets: tuple[Part, ...] = ()


def _url(value: Any) -> str:
    """Return an address that messages are posted to."""
    text = sent_secret(value)
    try:
        url = URL(text, encoded=True)
    except ValueError:
        raise ValueError("This is no URL, such as https://example.org/hook.") from None
    if url.scheme not in ("https", "http") or not url.raw_host:
        raise ValueError("Must be a URL with https:// or http:// and a host.")
    if url.user or url.password or url.fragment:
        raise ValueError("Must have neither a user name, a password nor a fragment.")
    if refusal_of(url, get_policy()):  # in words of our own: the address may be a secret
        raise ValueError("The hub may not call there: ALLOWED_NETWORKS says where it may.")
    return text


def _server(value: Any) -> str:
    url = URL(_url(value))
    if url.query_string:
        raise ValueError("Must have no query.")
    return str(url).rstrip("/")


def _recipients(value: Any) -> list[str]:
    words = re.split(r"[\s,;]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(words, list) or not 0 < len(words) <= MOST_RECIPIENTS:
        raise ValueError(f"Give 1 to {MOST_RECIPIENTS} addresses, separated by commas.")
    for word in words:
        try:
            validate_email(word)
        except (ValidationError, TypeError):
            raise ValueError(f"'{str(word)[:100]}' is no e-mail address.") from None
    return words


def _topic(value: Any) -> str:
    if not isinstance(value, str) or not _TOPIC.match(value):
        raise ValueError("Must be 1 to 64 letters, digits, - and _.")
    return value


_HOOK = Part(
    "url",
    "Webhook URL",
    _url,
    "As the service shows it. Whoever has it can post there, so it is kept as a secret.",
    required=True,
)


def _server_part(type: str) -> Part:
    return Part("server", "Server", _server, f"Empty: {SERVERS[type]}.")


TYPE_SPECS: Mapping[str, ChannelTypeSpec] = {
    ChannelType.EMAIL: ChannelTypeSpec(
        parts=(Part("to", "To", _recipients, "Addresses, separated by commas.", required=True),),
    ),
    ChannelType.WEBHOOK: ChannelTypeSpec(
        parts=(Part("url", "URL", _url, "Messages are posted there.", required=True),),
        secrets=(
            Part(
                "key",
                "Signing key",
                signing_key,
                "Messages are signed with it as Standard Webhooks says: whsec_ and base64.",
                required=True,
            ),
        ),
    ),
    ChannelType.SLACK: ChannelTypeSpec(secrets=(_HOOK,)),
    ChannelType.TEAMS: ChannelTypeSpec(secrets=(_HOOK,)),
    ChannelType.DISCORD: ChannelTypeSpec(secrets=(_HOOK,)),
    ChannelType.TELEGRAM: ChannelTypeSpec(
        parts=(
            Part("chat_id", "Chat id", public_text, "Such as -1001234567890.", required=True),
            _server_part(ChannelType.TELEGRAM),
        ),
        secrets=(Part("token", "Token of the bot", sent_secret, required=True),),
    ),
    ChannelType.NTFY: ChannelTypeSpec(
        parts=(
            Part("topic", "Topic", _topic, required=True),
            _server_part(ChannelType.NTFY),
        ),
        secrets=(Part("token", "Access token", sent_secret, "Where the topic needs one."),),
    ),
    ChannelType.PAGERDUTY: ChannelTypeSpec(
        parts=(_server_part(ChannelType.PAGERDUTY),),
        secrets=(Part("routing_key", "Integration key", sent_secret, required=True),),
    ),
    ChannelType.OPSGENIE: ChannelTypeSpec(
        parts=(_server_part(ChannelType.OPSGENIE),),
        secrets=(Part("key", "API key", sent_secret, required=True),),
    ),
}


def check_config(type: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a channel as they are kept.

    Raises:
        ValidationFailed: by paths such as `config.topic`.
    """
    errors: dict[str, list[str]] = {}
    kept = check_parts(TYPE_SPECS[type].parts, values, "config", errors, noun="setting")
    if errors:
        raise ValidationFailed.by_path(errors)
    return kept


@sensitive_variables()
def check_secret(type: str, values: Mapping[str, Any]) -> dict[str, Secret]:
    """Return the secret parts of a channel as they are kept.

    Raises:
        ValidationFailed: by paths such as `secret.token`; the sentences hold no value.
    """
    errors: dict[str, list[str]] = {}
    plain = {k: v.reveal() if isinstance(v, Secret) else v for k, v in values.items()}
    kept = check_parts(TYPE_SPECS[type].secrets, plain, "secret", errors, tells_names=False)
    if errors:
        raise ValidationFailed.by_path(errors)
    return {name: Secret(value) for name, value in kept.items()}


def needs_secret(type: str) -> bool:
    return any(part.required for part in TYPE_SPECS[type].secrets)
