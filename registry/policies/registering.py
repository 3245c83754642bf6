"""Who may register what: by owner, by the patterns of a key, and by policy (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from core.db.vocabulary import Vocabulary
from core.name_patterns import matches_any
from registry.exceptions import RegistrationDenied

# What calls are shared by: beyond, an instance draws calls from the others of its type.
USUAL_WEIGHT = 100
# The type of services that have no role among the others: they are called by their names.
COMMON_TYPE = "CUSTOM"


class RegistrationPolicy(Vocabulary):
    """Who may come in under a type that calls are sent to."""

    OPEN = "OPEN", "Open"
    KEYED = "KEYED", "Keyed"
    APPROVED = "APPROVED", "Approved"


class Acceptance(Vocabulary):
    """Whether a service may be discovered and called."""

    ACCEPTED = "ACCEPTED", "Accepted"
    PENDING = "PENDING", "Pending"
    REFUSED = "REFUSED", "Refused"


@dataclass(frozen=True, kw_only=True)
class Registrant:
    """Who registers or changes services, and with which rights; all of them unless told.

    `names` and `types` are the patterns of its key. With `operates` it decides for others too.
    """

    name: str = ""
    only_own: bool = False
    operates: bool = True
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Company:
    """Whether accepted services of a type are there already: of the registrant, and of others."""

    own: bool = False
    others: bool = False


def check_may_change(
    registrant: Registrant, *, owner: str, name: str, type_name: str, acceptance: str
) -> None:
    """Refuse who may not change, or beat for, this service as it is.

    Raises:
        RegistrationDenied
    """
    if registrant.only_own and owner != registrant.name:
        raise RegistrationDenied(
            f"The service '{name}' belongs to another owner. This key may change only what"
            " it registered itself."
        )
    if acceptance == Acceptance.REFUSED and not registrant.operates:
        raise RegistrationDenied(
            f"The service '{name}' was refused by an operator. Only a caller with"
            " registry:operate may accept it after all, or change it."
        )
    check_carried(registrant, name=name, type_name=type_name)


def check_carried(registrant: Registrant, *, name: str, type_name: str) -> None:
    """Refuse a name or type that the patterns of a key leave out.

    Raises:
        RegistrationDenied
    """
    for noun, value, patterns in (
        ("named", name, registrant.names),
        ("of type", type_name, registrant.types),
    ):
        if patterns and not matches_any(patterns, value):
            field = "service_names" if noun == "named" else "service_types"
            raise RegistrationDenied(
                f"This key may not register services {noun} '{value}': its {field} are"
                f" {', '.join(patterns)}."
            )


def asks_company(registrant: Registrant, policy: str, type_name: str) -> bool:
    """Return whether `admit` has to know who serves the type already."""
    if registrant.operates or policy == RegistrationPolicy.OPEN:
        return False
    return policy == RegistrationPolicy.APPROVED or not _carries(registrant, type_name)


def admit(
    registrant: Registrant, *, policy: str, name: str, type_name: str, company: Company
) -> Acceptance:
    """Return whether a service that comes in under a type is accepted, or has to wait.

    Raises:
        RegistrationDenied: the key does not carry the name or the type.
    """
    check_carried(registrant, name=name, type_name=type_name)
    if registrant.operates or policy == RegistrationPolicy.OPEN:
        return Acceptance.ACCEPTED
    if policy == RegistrationPolicy.APPROVED:
        return Acceptance.PENDING if company.others else Acceptance.ACCEPTED
    if not _carries(registrant, type_name) and not company.own:
        raise RegistrationDenied(
            f"This key does not carry the type {type_name}, and REGISTRATION_POLICY is KEYED. Have"
            f" {type_name} added to the service_types of the key, or register the service as"
            f" {COMMON_TYPE}."
        )
    return Acceptance.ACCEPTED


def check_weight(registrant: Registrant, weight: int | None, *, before: int = USUAL_WEIGHT) -> None:
    """Refuse a share of calls above the usual one, or above the one that the instance has.

    Raises:
        RegistrationDenied
    """
    if weight is not None and weight > max(before, USUAL_WEIGHT) and not registrant.operates:
        raise RegistrationDenied(
            f"A weight of {weight} is beyond {USUAL_WEIGHT}, which takes the scope"
            " registry:operate: have an operator set it."
        )


def _carries(registrant: Registrant, type_name: str) -> bool:
    return type_name == COMMON_TYPE or bool(registrant.types)
