"""Makes models, requests and quotas of those of the earlier system (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from core.db.names import fit_name
from core.identifiers import id_of_text
from integration_site.adoption.bulk_rows import NewRow
from integration_site.adoption.conversion.executions import ordered_id
from integration_site.adoption.conversion.values import Cells, dump
from model_orchestration.models import (
    BudgetPeriod,
    BudgetScope,
    Model,
    ModelBudget,
    ModelPrice,
    ModelProvider,
    ModelStatus,
    OnExceed,
    ProviderQuota,
    RequestState,
    RequestType,
    UsageSource,
)
from model_orchestration.models.fields import nanos_of

# Where providers answer, up to /v1; one of its own has an address that only its operators know.
ADDRESSES = {
    ModelProvider.OPENAI: "https://api.openai.com/v1",
    ModelProvider.ANTHROPIC: "https://api.anthropic.com/v1",
    ModelProvider.OLLAMA: "http://ollama:11434/v1",
    ModelProvider.CUSTOM: "https://models.invalid/v1",
}
_UNFIT = re.compile(r"[^A-Za-z0-9._:@-]+")
_CAPABILITY = re.compile(r"[A-Za-z_]+")
_MOST_COST = Decimal(10) ** 6
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def convert_models(rows: Iterable[Cells]) -> dict[str, tuple[Model, Cells]]:
    """Return models by their ids in lower case, without connections."""
    models: dict[str, tuple[Model, Cells]] = {}
    for cells in rows:
        text = cells.text("model_id")
        name = _UNFIT.sub("-", text.strip()).lstrip("._:@-")[:100]
        if not name:
            cells.notes.left("it has no model_id")
        elif name.lower() in models:
            cells.notes.left(f"another row has the model_id '{name}' (ids ignore case)")
        else:
            if name != text:
                cells.notes.mended("model_id", f"'{text[:60]}' is no id; taken as '{name}'")
            models[name.lower()] = _model(cells, name), cells
    return models


def as_model(cells: Cells) -> Cells:
    """Return a row of `ai_model` as one of `model`, under the notes that it has."""
    more = {name: cells.text(name) for name in ("version", "is_local") if cells.text(name)}
    row = {
        **{name: cells.row.get(name) for name in ("id", "provider", "capabilities", "status")},
        "model_id": cells.row.get("id"),
        "token_limit": cells.row.get("context_window"),
        "model_metadata": dump(more) if more else None,
    }
    return Cells(row, cells.notes, cells.zone)


def convert_price(cells: Cells, model: Model) -> ModelPrice | None:
    """Return what a row of `ai_model` says that a model costs; it says so for 1,000 tokens."""
    prices = {
        name: _amount(cells, f"cost_per_1k_{name}") or Decimal(0) for name in ("input", "output")
    }
    if not any(prices.values()):
        return None
    return ModelPrice(
        model=model,
        valid_from=cells.time("created_at") or _BEGINNING,
        **{name: min(price * 1000, _MOST_COST) for name, price in prices.items()},
    )


def _model(cells: Cells, name: str) -> Model:
    configuration = cells.object("configuration")
    more = {"earlier_configuration": configuration} if configuration else {}
    return Model(
        id=id_of_text(cells.row.get("id") or name),
        name=name,
        provider=cells.enum("provider", ModelProvider, ModelProvider.CUSTOM),
        display_name=cells.text("display_name", most=100),
        description=cells.text("description", most=5000),
        capabilities=_capabilities(cells),
        status=cells.enum("status", ModelStatus, ModelStatus.INACTIVE),
        max_tokens=cells.count("max_tokens") or None,
        token_limit=cells.count("token_limit") or None,
        cost_per_token=_amount(cells, "cost_per_token"),
        metadata={**cells.object("model_metadata"), **more},
    )


def _capabilities(cells: Cells) -> list[str]:
    """Return capabilities of a list, in JSON or as PostgreSQL writes an array."""
    words = [word.upper() for word in _CAPABILITY.findall(cells.text("capabilities"))]
    known = list(dict.fromkeys(word for word in words if word in RequestType.values))
    if len(known) < len(set(words)) or not known:
        shown = cells.text("capabilities")[:60]
        cells.notes.mended("capabilities", f"'{shown}' has others than {', '.join(RequestType)}")
    return known or [RequestType.CHAT.value]


def _amount(cells: Cells, column: str) -> Decimal | None:
    text = cells.text(column)
    try:
        amount = Decimal(text) if text else None
    except InvalidOperation:
        amount = Decimal("NaN")
    if amount is None or (amount.is_finite() and 0 <= amount < _MOST_COST):
        return None if amount is None else round(amount, 9)
    cells.notes.mended(column, f"'{text[:60]}' is no amount; left empty")
    return None


def convert_request(cells: Cells) -> NewRow:
    """Return the row of a request that was answered or failed."""
    key = cells.text("request_id", most=128)
    began = cells.time("created_at") or cells.time("completed_at") or _BEGINNING
    tokens = [_tokens(cells, name) for name in ("prompt_tokens", "completion_tokens")]
    total = _tokens(cells, "total_tokens")
    is_success = cells.text("success").lower() in ("t", "true", "1")
    model = cells.text("model_id", most=100)
    return {
        "id": ordered_id(began, id_of_text(key), 0),
        "request_id": key,
        "request_type": cells.enum("request_type", RequestType, RequestType.CHAT),
        "model_id": model,
        "model_asked": model,
        "provider": cells.enum("provider", ModelProvider, ModelProvider.CUSTOM),
        **{n: cells.text(n, most=100) for n in ("user_id", "project_id", "task_id")},
        "state": RequestState.SETTLED.value if is_success else RequestState.FAILED.value,
        "prompt_tokens": tokens[0],
        "completion_tokens": tokens[1],
        "total_tokens": total,
        "usage_source": UsageSource.NONE.value if total is None else UsageSource.PROVIDER.value,
        "cost_nanousd": nanos_of(_amount(cells, "cost") or Decimal(0)),
        "latency_ms": cells.number("latency_ms"),
        "success": is_success,
        "error_code": cells.text("error_code", most=50),
        "error_message": cells.text("error_message", most=1000),
        "request_data": dump(cells.object("request_data")),
        "response_data": _dumped(cells.json("response_data")),
        "completed_at": cells.time("completed_at"),
        "created_at": began,
        "updated_at": cells.time("updated_at") or began,
    }


def _tokens(cells: Cells, column: str) -> int | None:
    return cells.count(column) if cells.row.get(column) is not None else None


def _dumped(value: Any) -> str | None:
    return None if value is None else dump(value)


def convert_quotas(rows: Iterable[Cells]) -> dict[str, tuple[ProviderQuota, Cells]]:
    """Return a quota for each provider; a provider has one, so other rows of it are left.

    Of several rows, one that limits something is the quota.
    """
    quotas: dict[str, tuple[ProviderQuota, Cells]] = {}
    for cells in sorted(rows, key=_limits_nothing):
        provider = cells.enum("provider", ModelProvider, ModelProvider.CUSTOM)
        if provider in quotas:
            cells.notes.left(f"another row is the quota of {provider}")
            continue
        limits = {n: cells.count(n) or None for n in ("daily_token_limit", "monthly_token_limit")}
        costs = {n: _amount(cells, n) for n in ("daily_cost_limit", "monthly_cost_limit")}
        quota = ProviderQuota(
            id=id_of_text(cells.row.get("id") or provider), provider=provider, **limits, **costs
        )
        quotas[provider] = (quota, cells)
    return quotas


def _limits_nothing(cells: Cells) -> bool:
    return all(value is None for name, value in cells.row.items() if name.endswith("_limit"))


def convert_budgets(rows: Iterable[Cells]) -> dict[str, tuple[ModelBudget, Cells]]:
    """Return a budget for each project, or for all; it warns, as the earlier one refused nobody."""
    budgets: dict[str, tuple[ModelBudget, Cells]] = {}
    for cells in rows:
        project = cells.text("project_id", most=80)
        limit = _amount(cells, "monthly_limit")
        if project in budgets:
            cells.notes.left(f"another row is the budget of {project or 'all'}")
        elif not limit:
            cells.notes.left("it has no limit")
        else:
            percent = cells.count("alert_percentage")
            budget = ModelBudget(
                id=id_of_text(cells.row.get("id") or project),
                name=f"earlier-{fit_name(project) if project else 'all'}",
                scope=BudgetScope.PROJECT if project else BudgetScope.ALL,
                subject=project,
                period=BudgetPeriod.MONTH,
                cost_limit=limit,
                on_exceed=OnExceed.WARN,
                warn_at=[percent] if 0 < percent <= 100 else [],
            )
            budgets[project] = budget, cells
    return budgets


def spent(cells: Cells) -> int:
    """Return how many nanodollars of a budget were used in its month."""
    return nanos_of(_amount(cells, "current_usage") or Decimal(0))


def used(cells: Cells, period: str) -> tuple[int, int]:
    """Return how many tokens and nanodollars of a quota were used in its DAY or MONTH."""
    word = "daily" if period == "DAY" else "monthly"
    cost = _amount(cells, f"{word}_cost_used") or Decimal(0)
    return cells.count(f"{word}_tokens_used"), nanos_of(cost)
