"""Models: seen, asked, and what they used."""

from __future__ import annotations

import sys
from typing import Any

import click

from service_integration_client.cli.groups import HubGroup
from service_integration_client.cli.options import SEARCH
from service_integration_client.cli.session import Session
from service_integration_client.cli.tables import Columns, rows_as, status_of

models = HubGroup("models", help="Language models, what they may be asked, and what they cost.")
models.add_list(
    "get_models", "Models by their ids.",
    {
        "ID": "model_id", "STATUS": status_of(), "PROVIDER": "provider",
        "CONNECTION": "connection", "CAPABILITIES": "capabilities", "ALIASES": "aliases",
    },
    click.option("--provider", help="OPENAI, ANTHROPIC, OLLAMA or CUSTOM."),
    click.option("--status", help="ACTIVE, DEPRECATED or INACTIVE."),
    click.option("--capability", help="Such as CHAT or EMBEDDING."),
    SEARCH,
)  # fmt: skip
models.add_operation("show", "get_model", "One model, by its id.")
models.add_list(
    "get_model_routes", "Names behind which several models stand.",
    {
        "NAME": "name", "STRATEGY": "strategy",
        "MODELS": lambda row: [each["model"] for each in row["targets"]],
    },
    SEARCH,
    name="routes",
)  # fmt: skip
models.add_list(
    "get_prompts", "The prompts of the library, by name.",
    {
        "NAME": "name", "VERSION": "version",
        "VARIABLES": lambda row: [each["name"] for each in row["variables"]],
    },
    SEARCH,
    name="prompts",
)  # fmt: skip
models.add_list(
    "get_model_budgets", "What may be used of models, by the names of the budgets.",
    {
        "NAME": "name", "SCOPE": "scope", "SUBJECT": "subject", "PERIOD": "period",
        "COST": "cost_limit", "TOKENS": "token_limit", "REQUESTS": "request_limit",
    },
    click.option("--scope", help="ALL, KEY, PROJECT, USER or MODEL."),
    SEARCH,
    name="budgets",
)  # fmt: skip


@models.command("chat")
@click.argument("model")
@click.argument("text", required=False)
@click.option("--system", help="What the model is told first.")
@click.option("--max-tokens", type=click.IntRange(1), help="The longest answer.")
@click.option("--temperature", type=float)
@click.option("--prompt", help="A prompt of the library, said before the TEXT.")
@click.option("--version", type=click.IntRange(1), help="Of the prompt; the latest unless given.")
@click.option("--var", "values", multiple=True, metavar="NAME=VALUE", help="A variable of it.")
@click.option("--project", help="Whom it is for, as budgets know it.")
def chat(
    session: Session,
    model: str,
    text: str | None,
    system: str | None,
    max_tokens: int | None,
    temperature: float | None,
    prompt: str | None,
    version: int | None,
    values: tuple[str, ...],
    project: str | None,
) -> None:
    """Ask a model or a route, and print its answer; a TEXT of - is read from standard input."""
    if text is None and prompt is None:
        raise click.UsageError("Give a TEXT, or a --prompt.")
    said = sys.stdin.read() if text == "-" else text
    messages = [{"role": "system", "content": system}] if system else []
    if said is not None:
        messages.append({"role": "user", "content": said})
    answer = session.client.chat_with_model(
        model,
        messages or None,
        prompt=_reference(prompt, version, values) if prompt else None,
        max_tokens=max_tokens,
        temperature=temperature,
        project_id=project,
    )
    if session.as_json:
        session.show(answer)
    else:  # as it is, and not folded to the width of a table
        click.echo(_text_of(answer))


def _reference(name: str, version: int | None, values: tuple[str, ...]) -> dict[str, Any]:
    if unfit := next((each for each in values if "=" not in each), None):
        raise click.UsageError(f"--var {unfit}: write NAME=VALUE.")
    told: dict[str, Any] = {
        "name": name,
        "variables": {each.partition("=")[0]: each.partition("=")[2] for each in values},
    }
    return told | ({"version": version} if version else {})


def _cost(row: dict[str, Any]) -> str:
    return f"{row['cost']:.4f}"


def _text_of(answer: dict[str, Any]) -> str:
    choice = (answer["response"].get("choices") or [{}])[0]
    return str((choice.get("message") or {}).get("content") or "")


@models.command("usage")
@click.option("--by", default="model", show_default=True, help="Such as day,model or project.")
@click.option("--since", help="An RFC 3339 time; 30 days ago unless given.")
@click.option("--until", help="An RFC 3339 time; now unless given.")
def usage(session: Session, by: str, since: str | None, until: str | None) -> None:
    """Show requests, tokens and cost of a time, for each group of them."""
    used = session.client.get_model_usage(by, since=since, until=until)
    groups = [name.strip() for name in by.split(",") if name.strip()]
    columns: Columns = {
        **{name.upper(): name for name in groups},
        "REQUESTS": "requests", "ERRORS": "errors", "TOKENS": "total_tokens", "MS": "latency_ms",
        "USD": _cost,
    }  # fmt: skip
    session.show(used, lambda answer: rows_as(columns)(answer["items"]))
