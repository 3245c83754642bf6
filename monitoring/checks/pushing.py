"""Takes the calls of jobs: what they say is written at once, and they are told nothing."""

from __future__ import annotations

import re
from datetime import datetime
from time import time

from django.views.decorators.debug import sensitive_variables

from core.db.pipeline import pipelined_transaction
from core.exceptions import IntegrationError, NotFound
from core.request_rates.counter import request_counter
from core.vault import Secret
from core.vault.secret import HIDDEN
from monitoring.checks import jobs
from monitoring.checks.looks import Look, Seen
from monitoring.checks.push_tokens import LONGEST_TOKEN, digest_of
from monitoring.checks.reading import spec_by_id
from monitoring.checks.store import ENDED, claim_job, facts_of, write
from monitoring.models import CheckErrorKind, CheckSignal
from registry.calls.redaction import Mask

LARGEST_MESSAGE = 10_000
MOST_A_MINUTE = 120
# As jobs print them: password=…, "token": "…", Authorization: Bearer …, https://user:…@host.
_SECRETS = re.compile(
    r"""(?ix) ( [\w-]* (?: passw(?:or)?d | secret | token | api[_-]?key | private[_-]?key ) [\w-]*
    ["']? \s* [=:] \s* ["']? | authorization ["']? \s* [=:] \s* ["']? (?: (?:bearer|basic) \s+ )?
    | :// [^\s:/@]* : ) [^\s"',;&@]+"""
)
_WORDS = {"start": CheckSignal.START, "fail": CheckSignal.FAIL, "log": CheckSignal.LOG}


class CalledTooOften(IntegrationError):
    """A job calls more often than any job has reason to."""

    code = "rate_limited"
    status_code = 429


def read_signal(word: str) -> tuple[CheckSignal, str]:
    """Return what the last part of an address says, and what is wrong by that.

    It is empty, `start`, `fail`, `log` or an exit code. Raises: NotFound.
    """
    if not word:
        return CheckSignal.SUCCESS, ""
    if word in _WORDS:
        signal = _WORDS[word]
        return signal, "the job said that it failed" if signal == CheckSignal.FAIL else ""
    if not re.fullmatch(r"[0-9]{1,3}", word, re.ASCII) or int(word) > 255:
        raise NotFound("Use /start, /fail, /log or an exit code from 0 to 255.")
    code = int(word)
    return (CheckSignal.FAIL, f"exit code {code}") if code else (CheckSignal.SUCCESS, "")


@sensitive_variables()
def read_message(body: bytes, token: str) -> str:
    """Return what a job said, cut, and without what looks like a secret."""
    text = body[:LARGEST_MESSAGE].decode("utf-8", "replace").replace("\0", "")
    masked = Mask([Secret(token)]).text(text)
    return _SECRETS.sub(rf"\1{HIDDEN}", masked)[:LARGEST_MESSAGE].strip()


@sensitive_variables()
def receive_call(token: str, word: str, body: bytes, *, now: datetime) -> None:
    """Write what a job says: its state changes with it, and the call is kept.

    Raises:
        NotFound: no check has that token, or the address ends otherwise.
        CalledTooOften: there were 120 calls within a minute.
    """
    signal, error = read_signal(word)
    if len(token) > LONGEST_TOKEN:
        raise NotFound("There is nothing here.")
    message = read_message(body, token) if body else ""
    digest = digest_of(token)
    with pipelined_transaction():
        row = claim_job(digest)
        spec = spec_by_id(row["health_check_id"]) if row else None
        if row is None or spec is None:
            raise NotFound("There is nothing here.")
        if not request_counter().admit(f"push:{digest[:32]}", MOST_A_MINUTE, time()).allowed:
            raise CalledTooOften("This check is called too often: at most 120 times a minute.")
        look = Look(
            spec, row["id"], row["fence"], None, "", "", now, facts_of(row),
            started_at=row["started_at"], ended={name: row[name] for name in ENDED},
        )  # fmt: skip
        first_line = message.partition("\n")[0].strip()
        seen = Seen(
            look,
            now,
            jobs.outcome_of_signal(signal),
            str(CheckErrorKind.STATUS) if error else "",
            f"{error}: {first_line}" if error and first_line else error,
            jobs.duration_of(row["started_at"], signal, at=now),
            signal=str(signal),
            message=message,
        )
        write([seen])
