"""Models: what is put into their rows, where they are found, and what becomes of their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from core import audit
from core.configured_rows import Assign
from core.db.models import renamed
from core.exceptions import Conflict, UseDenied, ValidationFailed
from core.json.merge_patch import resolved
from core.models import AuditVerb
from core.references import add_finder
from core.suggestions import no_such_row
from model_orchestration.exceptions import InvalidModelRequest
from model_orchestration.models import (
    BudgetPeriod,
    BudgetScope,
    ContentPolicy,
    Model,
    ModelBudget,
    ModelPrice,
    ModelRoute,
)
from model_orchestration.reading import check_numbers
from model_orchestration.requirements import AUTO
from registry.models import Connection, ConnectionType

# What is below `/models` beside them.
RESERVED = (
    "routes", "budgets", "quotas", "requests", "usage", "chat", "completion", "embedding", "image",
    "audio", "content-policies", "plans", "prompts", "tasks", AUTO,
)  # fmt: skip
# By which clocks may differ; what was served before costs what it cost then.
PAST = timedelta(minutes=5)


def get_model(reference: str) -> Model:
    """Return the model of that id. Raises: NotFound."""
    return Model.objects.with_parts().get_named(reference)


def assign_model(row: Any, fields: Mapping[str, Any]) -> None:
    """Put what is given into a model. Raises: ValidationFailed."""
    for name, value in resolved(row, fields).items():
        if name == "connection":
            row.connection = find_connection(value)
        elif name == "provider" and not row._state.adding and value != row.provider:
            sentence = f"It stays {row.provider}. Make another model for another provider."
            raise ValidationFailed.at("provider", sentence)
        else:
            setattr(row, name, value)
    if "connection" not in fields and row.connection_id is None:
        row.connection = _usual_connection(row.provider)
    _check_names(row)
    _check_configuration(row.configuration)


def assign_for(*, may_use_credentials: bool) -> Assign:
    """Return `assign_model` for who may, or may not, let models reach the credentials of others.

    Whoever asks a model has its connection's credential sent; so to name a connection that has one
    takes the right to use it. What is returned raises UseDenied besides.
    """

    def assign(row: Any, fields: Mapping[str, Any]) -> None:
        before = None if row._state.adding else row.connection_id
        assign_model(row, fields)
        credential = row.connection.credential
        if credential is not None and row.connection_id != before and not may_use_credentials:
            raise UseDenied(
                f"Reaching the credential '{credential.name}' through the connection"
                f" '{row.connection.name}' needs the scope credentials:use."
            )

    return assign


def find_connection(reference: str) -> Connection:
    """Return the connection of a provider. Raises: ValidationFailed."""
    connection = Connection.objects.get_given("connection", reference or "")
    if connection.type != ConnectionType.HTTP:
        sentence = f"A {connection.type} connection leads to no provider: name an HTTP connection."
        raise ValidationFailed.at("connection", sentence)
    return connection


def _usual_connection(provider: str) -> Connection:
    """Return the one connection that all models of a provider have, or that is named as it is."""
    used = list(Connection.objects.filter(models__provider=provider).distinct()[:2])
    if len(used) == 1:
        return used[0]
    named = Connection.objects.find(provider)
    if named is not None and named.type == ConnectionType.HTTP and not used:
        return named
    raise ValidationFailed.at(
        "connection", f"Name the connection that leads to {provider}, as there is no usual one."
    )


def _check_names(row: Model) -> None:
    """Refuse names that something else has already. Raises: ValidationFailed."""
    aliases = [alias.lower() for alias in row.aliases if isinstance(alias, str)]
    for field, name in [("name", row.name.lower()), *(("aliases", each) for each in aliases)]:
        if name in RESERVED:
            raise ValidationFailed.at(field, f"'{name}' is a word of the API. Use another one.")
    if len({*aliases, row.name.lower()}) <= len(aliases):
        raise ValidationFailed.at("aliases", "A name is there twice.")
    if route := ModelRoute.objects.find(row.name):
        raise ValidationFailed.at("name", f"There is a route '{route.name}'.")
    others = Model.objects.exclude(pk=row.pk).only("name", "aliases")
    taken = {name.lower(): each.name for each in others for name in (each.name, *each.aliases)}
    taken |= {route.lower(): route for route in ModelRoute.objects.values_list("name", flat=True)}
    for field, name in [("name", row.name.lower()), *(("aliases", each) for each in aliases)]:
        is_own_name_taken = field == "name" and taken.get(name, "").lower() == name
        if name in taken and not is_own_name_taken:  # that is a conflict of names
            raise ValidationFailed.at(field, f"'{name}' leads to '{taken[name]}' already.")


def _check_configuration(configuration: Any) -> None:
    """Refuse settings of the wrong type. Raises: ValidationFailed."""
    if not isinstance(configuration, dict):
        return
    seconds = configuration.get("timeout_seconds")
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (is_number and 0 < seconds <= 3600):
        sentence = "Must be a number of seconds, up to 3600."
        raise ValidationFailed.at("configuration.timeout_seconds", sentence)
    defaults = configuration.get("defaults") or {}
    if not isinstance(defaults, dict):
        raise ValidationFailed.at("configuration.defaults", "Must be an object.")
    try:
        check_numbers(defaults)
    except InvalidModelRequest as error:
        raise ValidationFailed.at("configuration.defaults", error.message) from None
    leaves = configuration.get("on_disconnect")
    if leaves is not None and leaves not in ("CANCEL", "DRAIN"):
        raise ValidationFailed.at("configuration.on_disconnect", "Use CANCEL or DRAIN.")


def add_price(model: Model, fields: Mapping[str, Any]) -> ModelPrice:
    """Say what a model costs from a time on; from now, unless told otherwise.

    Raises:
        ValidationFailed: the time is past.
        Conflict: it has a price from that time on.
    """
    now = timezone.now()
    valid_from: datetime = fields.get("valid_from") or now
    if valid_from < now - PAST:
        sentence = "A price holds from now on or later: what was served costs what it cost then."
        raise ValidationFailed.at("valid_from", sentence)
    with transaction.atomic():
        if model.prices.filter(valid_from=valid_from).exists():
            raise Conflict(f"'{model.name}' has a price from that time on.")
        row = ModelPrice(model=model, **{**fields, "valid_from": valid_from})
        row.save()
        audit.record(AuditVerb.CHANGED, model, changes={"price": [None, str(row)]})
    return row


def assign_route(row: ModelRoute, fields: Mapping[str, Any]) -> None:
    """Put what is given into a route. Raises: ValidationFailed."""
    for name, value in fields.items():
        setattr(row, name, value)
    if row.name.lower() in RESERVED:
        raise ValidationFailed.at("name", f"'{row.name}' is a word of the API. Use another one.")
    for model in Model.objects.only("name", "aliases"):
        if row.name.lower() in (name.lower() for name in (model.name, *model.aliases)):
            raise ValidationFailed.at("name", f"'{row.name}' leads to '{model.name}' already.")
    for place, target in enumerate(row.targets if isinstance(row.targets, list) else ()):
        asked = target.get("model") if isinstance(target, dict) else None
        if isinstance(asked, str) and Model.objects.find(asked) is None:
            sentence = no_such_row(Model.objects, asked)
            raise ValidationFailed.at(f"targets[{place}].model", sentence)


def assign_budget(row: ModelBudget, fields: Mapping[str, Any]) -> None:
    """Put what is given into a budget. Raises: ValidationFailed."""
    for name, value in fields.items():
        setattr(row, name, value)
    if (row.scope == BudgetScope.ALL) == bool(row.subject):
        sentence = "Of ALL there is no subject." if row.subject else "Say whose budget it is."
        raise ValidationFailed.at("subject", sentence)
    if row.period == BudgetPeriod.ROLLING and row.rolling_seconds is None:
        sentence = "Say how many seconds back are counted."
        raise ValidationFailed.at("rolling_seconds", sentence)
    if row.token_limit is None and row.cost_limit is None and row.request_limit is None:
        raise ValidationFailed.at("cost_limit", "Give at least one limit.")


def assign_policy(row: ContentPolicy, fields: Mapping[str, Any]) -> None:
    """Put what is given into a content policy."""
    for name, value in fields.items():
        setattr(row, name, value)


def watch_names() -> None:
    """Let routes and budgets follow the names of models, and tell which routes use one."""
    renamed.connect(_follow_name, sender=Model)
    add_finder(_routes_of)


def _follow_name(row: Model, before: str, **_: Any) -> None:
    for route in ModelRoute.objects.all():
        targets = [
            {**each, "model": row.name} if each["model"].lower() == before.lower() else each
            for each in route.targets
        ]
        if targets != route.targets:
            route.targets = targets
            route.save()
    budgets = ModelBudget.objects.filter(scope=BudgetScope.MODEL, subject__iexact=before)
    budgets.update(subject=row.name, updated_at=timezone.now())


def _routes_of(row: Any) -> Iterator[str]:
    if isinstance(row, Model):
        for route in ModelRoute.objects.all():
            if row.name.lower() in (each["model"].lower() for each in route.targets):
                yield f"route {route.name}"
