"""Logins are slowed down where they fail, so that nobody guesses and nobody is locked out.

What is known of guessing is its name and its address. A stranger who guesses a name must not keep
its owner out, so a browser in which that person logged in before is counted on its own: it carries
a signed cookie (device cookies, OWASP, "Slow Down Online Guessing Attacks with Device Cookies").

An attempt is counted before the password is looked at and taken back when it was right, so that
many at once get no more tries than one after the other. The counts are in the database: all web
processes share them, and a restart forgives nothing.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from django.core import signing
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from core.models.login import LoginFailure

# A count is forgotten when nothing failed for so long.
MEMORY = timedelta(hours=1)
_SALT = "core.logins.device"


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many failures cost nothing; then each doubles the delay, up to the longest."""

    free: int
    longest_seconds: int


# A name from one address; an address with all names; a name from all addresses, which only a
# person without a known browser ever waits for; and a known browser.
PAIR, ADDRESS = Allowance(5, 900), Allowance(50, 900)
NAME, DEVICE = Allowance(100, 60), Allowance(10, 900)


def delay_after(failures: int, allowance: Allowance) -> timedelta:
    """Return how long nobody may try again after so many failures."""
    beyond = failures - allowance.free
    if beyond < 0:
        return timedelta()
    return timedelta(seconds=min(2 ** min(beyond, 20), allowance.longest_seconds))


def keys_of(name: str, address: str, device: str) -> Mapping[str, Allowance]:
    """Return what an attempt counts for: its browser alone if it is known to be the person's.

    `device` is the id of that browser, empty for any other.
    """
    if device:
        return {_digest("device", device): DEVICE}
    folded, network = _fold(name), _network_of(address)
    return {
        _digest("pair", folded, network): PAIR,
        _digest("address", network): ADDRESS,
        _digest("name", folded): NAME,
    }


def _fold(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()


def _network_of(address: str) -> str:
    """Return the address, or the network of 64 bits that one subscriber has of IPv6."""
    try:
        literal = ip_address(address)
    except ValueError:
        return address
    mapped = getattr(literal, "ipv4_mapped", None)
    if isinstance(literal, IPv6Address) and mapped is None:
        return str(ip_network((literal.packed[:8] + bytes(8), 64)))
    return str(mapped or literal)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class LoginDelayed(Exception):
    """Too many logins failed; the password was not looked at."""

    def __init__(self, delay: timedelta) -> None:
        super().__init__(delay)
        self.delay = delay


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """An attempt that is counted as a failure until it is known to be none."""

    keys: frozenset[str]
    # Whether the next one has to wait, and this is the first of its kind.
    begins_delay: bool


def begin_attempt(name: str, address: str, *, device: str = "") -> LoginAttempt:
    """Count an attempt to log in.

    Raises:
        LoginDelayed: it comes too soon, and was not counted.
    """
    now, allowances = timezone.now(), keys_of(name, address, device)
    with transaction.atomic():
        rows = _lock(allowances, now)
        ends = [row.delayed_until for row in rows if row.delayed_until]
        if (delay := max(ends, default=now) - now) > timedelta():
            raise LoginDelayed(delay)
        for row in rows:
            row.failures = 1 if row.failed_at < now - MEMORY else row.failures + 1
            row.failed_at = now
            row.delayed_until = now + delay_after(row.failures, allowances[row.key])
        LoginFailure.objects.bulk_update(rows, ("failures", "failed_at", "delayed_until"))
    begins = any(row.failures == allowances[row.key].free for row in rows)
    return LoginAttempt(frozenset(allowances), begins)


def _lock(keys: Mapping[str, Allowance], now: datetime) -> list[LoginFailure]:
    """Return the rows of these keys, locked; always in one order, so that none wait in a ring."""
    made = [LoginFailure(key=key, failed_at=now) for key in sorted(keys)]
    LoginFailure.objects.bulk_create(made, ignore_conflicts=True)
    rows = LoginFailure.objects.select_for_update().filter(key__in=list(keys))
    return list(rows.order_by("key"))


def take_back(attempt: LoginAttempt, *, name: str, address: str) -> None:
    """Have an attempt that succeeded not count, and what this person failed with before either.

    What counts for others too, an address and a name, keeps their failures.
    """
    own = attempt.keys - {_digest("address", _network_of(address)), _digest("name", _fold(name))}
    LoginFailure.objects.filter(key__in=own).delete()
    shared = LoginFailure.objects.filter(key__in=attempt.keys - own, failures__gt=0)
    shared.update(failures=F("failures") - 1)


def read_device(cookie: str, name: str) -> str:
    """Return the id of a browser in which this person logged in before; empty for any other."""
    try:
        owner, device = signing.loads(cookie, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(device) if owner == _digest("name", _fold(name)) else ""


def write_device(name: str, device: str = "") -> str:
    """Return the cookie that makes a browser known as the person's; `device` is its id so far."""
    owner = _digest("name", _fold(name))
    return signing.dumps([owner, device or secrets.token_urlsafe(16)], salt=_SALT)


def forget_failures(*, now: datetime) -> int:
    """Drop the counts that are forgotten anyway; return how many."""
    return LoginFailure.objects.filter(failed_at__lt=now - MEMORY).delete()[0]
