"""Language models: asked through the hub, and what they may cost and did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from service_integration_client.hub import Hub
from service_integration_client.operations.collection import Collection
from service_integration_client.requests import JsonObject

MODELS = Collection("/models", "model")
# The longest that the hub waits for a model, unless the route says otherwise.
LONGEST_ANSWER_SECONDS = 120.0


async def chat_with_model(
    hub: Hub,
    model: str,
    messages: list[JsonObject] | None = None,
    *,
    prompt: JsonObject | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    stop: list[str] | None = None,
    tools: list[JsonObject] | None = None,
    tool_choice: Any = None,
    response_format: JsonObject | None = None,
    requirements: JsonObject | None = None,
    project_id: str | None = None,
    user_id: str | None = None,
    task_type: str | None = None,
) -> JsonObject:
    """Have a model go on with a conversation. Answers ``{"response", "request_id", "model_id",
    "provider", "model_reason", "latency_ms", "cost"}``; the message is in
    ``response["choices"]``.

    `model` is an id, an alias, a route, or `auto` for any that meets the `requirements`, such as
    ``{"max_price": 5, "prefer": "QUALITY"}``; ``model_reason`` says why it was that one. `prompt`
    names one of the library, ``{"name", "version", "variables"}``, whose messages go before those
    that are given. The answer is waited for, for two minutes at most; for streams use OpenAI's own
    library with the address and the key of the hub.
    Raises: ValidationError, ResourceNotFoundError; RateLimitedError when a budget is used up or the
    provider wants a pause, with `retry_after`; ServiceUnavailableError when no model answers.
    """
    return await MODELS.call(hub, "POST /chat", locals(), wait_seconds=LONGEST_ANSWER_SECONDS)


async def embed_with_model(
    hub: Hub,
    model: str,
    texts: list[str],
    *,
    project_id: str | None = None,
    user_id: str | None = None,
    task_type: str | None = None,
) -> JsonObject:
    """Have a model turn `texts` into vectors, which are in ``response["data"]``.

    `model` is an id, an alias or a route. Raises: as `chat_with_model` does.
    """
    return await MODELS.call(hub, "POST /embedding", locals(), wait_seconds=LONGEST_ANSWER_SECONDS)


async def get_model(hub: Hub, model_id: str) -> JsonObject:
    """A model by its id. Raises: ResourceNotFoundError."""
    return await MODELS.call(hub, "GET /{model_id}", locals())


async def get_models(
    hub: Hub,
    provider: str | None = None,
    *,
    status: str | None = None,
    capability: str | None = None,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the models, by id. Raises: ValidationError."""
    return await MODELS.call(hub, "GET", locals())


async def get_prompt(hub: Hub, prompt_id: str) -> JsonObject:
    """A prompt of the library by its id or name: its latest version.

    Raises: ResourceNotFoundError.
    """
    return await MODELS.call(hub, "GET /prompts/{prompt_id}", locals())


async def get_prompts(
    hub: Hub,
    search: str | None = None,
    *,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the prompts of the library, by name. Raises: ValidationError."""
    return await MODELS.call(hub, "GET /prompts", locals())


async def create_prompt(
    hub: Hub,
    name: str,
    messages: list[JsonObject],
    variables: list[JsonObject] | None = None,
    *,
    description: str | None = None,
) -> JsonObject:
    """Store a prompt: messages with ``{{name}}`` where the value of a variable goes.

    Raises: ValidationError, also for variables that no message uses; ConflictError.
    """
    return await MODELS.call(hub, "POST /prompts", locals())


async def update_prompt(
    hub: Hub,
    prompt_id: str,
    *,
    name: str | None = None,
    messages: list[JsonObject] | None = None,
    variables: list[JsonObject] | None = None,
    description: str | None = None,
) -> JsonObject:
    """Change what is given; other messages or variables are the next version.

    Raises: ResourceNotFoundError, ValidationError, ConflictError.
    """
    return await MODELS.call(hub, "PATCH /prompts/{prompt_id}", locals())


async def delete_prompt(hub: Hub, prompt_id: str) -> JsonObject:
    """Forget a prompt with all its versions. Answers ``{"id", "deleted"}``.

    Raises: ResourceNotFoundError.
    """
    return await MODELS.delete(hub, "/prompts/{prompt_id}", locals())


async def render_prompt(
    hub: Hub, prompt_id: str, variables: JsonObject | None = None, *, version: int | None = None
) -> JsonObject:
    """The messages that a model would be sent; none is asked. Answers ``{"name", "version",
    "messages"}``.

    `variables` are the values by name; `version` is the latest unless given.
    Raises: ResourceNotFoundError; ValidationError when there is no such version, and names the
    variable that has no value.
    """
    return await MODELS.call(hub, "POST /prompts/{prompt_id}/render", locals())


async def get_model_usage(
    hub: Hub,
    group_by: str | None = None,
    *,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
) -> JsonObject:
    """Requests, tokens and cost of a time. Answers ``{"from", "to", "items"}``.

    `group_by` names groups by commas: day, model, project, user, provider, caller, type. `since`
    and `until` are RFC 3339 times; without them it is of the last 30 days. Raises: ValidationError.
    """
    query = {"group_by": group_by, "from": since, "to": until}
    return await MODELS.call(hub, "GET /usage", query)


async def get_model_budgets(
    hub: Hub,
    scope: str | None = None,
    *,
    period: str | None = None,
    subject: str | None = None,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the budgets, by name: what a `subject` may use of models.

    `scope` is ALL, KEY, PROJECT, USER or MODEL. Raises: ValidationError.
    """
    return await MODELS.call(hub, "GET /budgets", locals())


async def get_model_budget_standing(hub: Hub, budget_id: str) -> JsonObject:
    """What is used, reserved and left of a budget now. Answers ``{"cost", "tokens", "requests",
    "reset_at"}``.

    Raises: ResourceNotFoundError.
    """
    return await MODELS.call(hub, "GET /budgets/{budget_id}/standing", locals())


async def get_model_routes(
    hub: Hub,
    strategy: str | None = None,
    *,
    search: str | None = None,
    ordering: str | None = None,
    page: int | None = None,
    per_page: int | None = None,
) -> JsonObject:
    """One page of the routes, by name: names behind which several models stand.

    `strategy` is PRIORITY, WEIGHTED, CHEAPEST or FASTEST. Raises: ValidationError.
    """
    return await MODELS.call(hub, "GET /routes", locals())
