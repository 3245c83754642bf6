"""Sends one message, and says how that went."""

from __future__ import annotations

import smtplib
import time
from dataclasses import dataclass

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.views.decorators.debug import sensitive_variables

from core.exceptions import VaultError
from monitoring.alerts.wire import AlertMessage, write_http
from monitoring.models import AlertChannel, ChannelType
from registry.calls.blocking_client import post
from registry.calls.redaction import Mask
from registry.calls.request import OutboundRequest
from registry.credentials.sealing import open_parts
from registry.exceptions import CallError

SEND_SECONDS = 10.0
# What another try would be answered with, too.
PERMANENT = frozenset({400, 401, 403, 404, 405, 410, 413, 415, 422})
# A mailbox, or a login, that there is not: RFC 5321 says 5xx of what stays so.
FIRST_PERMANENT_REPLY = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went; `text` is what was answered, without secrets."""

    is_sent: bool
    text: str = ""
    status_code: int | None = None
    is_permanent: bool = False
    retry_after_seconds: float | None = None


def send_message(channel: AlertChannel, message: AlertMessage) -> Outcome:
    """Send a message now, and wait for the answer."""
    if channel.type == ChannelType.EMAIL:
        return _send_mail(channel, message)
    try:
        return _send_http(channel, message)
    except VaultError as error:
        return Outcome(False, error.message)
    except CallError as error:
        status = error.upstream_status
        return Outcome(
            False,
            error.message,
            status,
            is_permanent=error.permanent or status in PERMANENT,
            retry_after_seconds=error.retry_after,
        )


@sensitive_variables()
def _send_http(channel: AlertChannel, message: AlertMessage) -> Outcome:
    secrets = open_parts(channel) if channel.has_secret else {}
    http = write_http(channel.type, message, channel.config, secrets, now=int(time.time()))
    headers = {"Idempotency-Key": str(message.id), **http.headers}
    mask = Mask(secrets.values())
    request = OutboundRequest("POST", http.url, http.body, headers, mask=mask)
    status = post(channel.name, request, origin=http.origin, seconds=SEND_SECONDS)
    return Outcome(True, "", status)


def _send_mail(channel: AlertChannel, message: AlertMessage) -> Outcome:
    if not settings.EMAIL_HOST:
        return Outcome(False, "The hub knows no mail server: set EMAIL_HOST.")
    mail = EmailMessage(
        " ".join(message.title.split()),
        message.text + (f"\n\n{message.link}" if message.link else ""),
        to=channel.config["to"],
        # Who gets it twice can see that it is the same.
        headers={"Message-ID": f"<{message.id}@{settings.SERVICE_NAME}>"},
        connection=get_connection(timeout=SEND_SECONDS),
    )
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        code = max((reply[0] for reply in error.recipients.values()), default=0)
        return _refused(code, "The mail server takes none of the recipients.")
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        return _refused(error.smtp_code, f"The mail server answered {error.smtp_code}: {text}")
    except (OSError, smtplib.SMTPException) as error:
        return Outcome(False, f"No mail was sent: {str(error)[:300] or type(error).__name__}.")
    return Outcome(True)


def _refused(code: int, text: str) -> Outcome:
    return Outcome(False, text[:400], code, is_permanent=code >= FIRST_PERMANENT_REPLY)
