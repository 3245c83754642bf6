"""Who a request is from."""

from __future__ import annotations

from dataclasses import dataclass

from core.models.audit import ActorKind


@dataclass(frozen=True)
class Caller:
    """Who a request is from, and what it may do."""

    name: str
    scopes: frozenset[str]
    kind: str = ActorKind.ANONYMOUS
    id: str = ""
    is_authenticated: bool = True
    is_active: bool = True
    # Patterns of what it may register; none where nothing is said of that.
    service_names: tuple[str, ...] = ()
    service_types: tuple[str, ...] = ()

    @property
    def pk(self) -> str:
        return self.name

    @property
    def identity(self) -> str:
        """Return whose an Idempotency-Key is: a name may be another's by tomorrow, an id not."""
        return f"key:{self.id}" if self.kind == ActorKind.API_KEY else f"user:{self.name}"

    def may(self, scope: str) -> bool:
        return scope in self.scopes

    def may_any(self, scopes: str) -> bool:
        """Return whether the caller has one of the scopes, which `|` joins."""
        return any(self.may(scope) for scope in scopes.split("|"))


def nobody() -> Caller:
    """Return a caller who gave no key and has no session."""
    return Caller("", frozenset(), is_authenticated=False)
