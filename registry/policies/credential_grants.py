"""Which uses of credentials were granted, and whether one that is about to be made is (pure).

A grant names what is sent, not only by whom: what is sent otherwise is not granted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from core.db.vocabulary import Vocabulary

_PLACEHOLDER = re.compile(r"\{[^{}/]+\}")


class GrantState(Vocabulary):
    """Whether a use of a credential is granted as it is now."""

    GRANTED = "GRANTED", "Granted"
    MISSING = "MISSING", "Missing"
    CHANGED = "CHANGED", "Changed"


@dataclass(frozen=True, slots=True)
class OwnGrant:
    """What an action or an integration may send, with which credentials, and who said so when."""

    credentials: frozenset[str]
    calls: frozenset[str]
    by: str
    at: str

    @classmethod
    def read(cls, document: Mapping[str, Any] | None) -> OwnGrant | None:
        """Return the grant that a column holds; None where nothing is granted."""
        if not document:
            return None
        return cls(
            frozenset(document["credentials"]),
            frozenset(document["calls"]),
            document["by"],
            document["at"],
        )

    def document(self) -> dict[str, Any]:
        """Return the same as the column holds it."""
        return {
            "credentials": sorted(self.credentials),
            "calls": sorted(self.calls),
            "by": self.by,
            "at": self.at,
        }

    def covers(self, credential: str, calls: Collection[str]) -> bool:
        """Return whether every one of these calls may be made with this credential."""
        return credential in self.credentials and are_among(calls, self.calls)


def are_among(calls: Collection[str], granted: Collection[str]) -> bool:
    """Return whether all these calls were granted, however their paths name what is filled in."""
    forms = {_PLACEHOLDER.sub("{}", call) for call in granted}
    return all(_PLACEHOLDER.sub("{}", call) in forms for call in calls)


def state_of(grant: OwnGrant | None, *, credential: str, calls: Collection[str]) -> GrantState:
    """Return whether these calls with this credential are granted, or were before they changed."""
    if grant is None or credential not in grant.credentials:
        return GrantState.MISSING
    return GrantState.GRANTED if grant.covers(credential, calls) else GrantState.CHANGED


def call_at(url: str, *, method: str, path: str) -> str:
    """Return what an instance at this URL is asked for: its method, and the path from its root.

    The path of the URL is part of it: an instance that moves to another is asked for something
    else. The host is none: the origins of the credential say to which it is sent.
    """
    base = urlsplit(url).path.rstrip("/")
    return f"{method} {base}{path}"


@dataclass(frozen=True, slots=True)
class GrantLine:
    """A use of a credential as it is told: by what, what is sent to whom, and whether it may be.

    `granted_by` and `granted_at` are of the last grant, which a use that changed has no more;
    `note` says what differs, or what stands in the way beside.
    """

    subject: str
    call: str
    target: str
    credential: str
    state: GrantState
    granted_by: str = ""
    granted_at: str = ""
    note: str = ""

    @property
    def granted_time(self) -> datetime | None:
        """The time of the grant, for pages."""
        return datetime.fromisoformat(self.granted_at) if self.granted_at else None
