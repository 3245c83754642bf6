"""Reads the whole environment at once, and says everything that is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from integration_site.configuration.value_types import ANYTHING
from integration_site.configuration.variables import VARIABLES, Variable
from integration_site.configuration.web_processes import has_server

ROOT = Path(__file__).resolve().parent.parent.parent
KEY_FILES = ("keys.env", "credential-keys.env")
SECRET_LENGTH = 50


class ConfigurationError(Exception):
    """All that is wrong with the environment; the text is for whoever set it."""

    def __init__(self, problems: list[str]) -> None:
        lines = "".join(f"  {problem}\n" for problem in problems)
        super().__init__(f"The configuration cannot be used:\n{lines}  See docs/configuration.md.")
        self.problems = problems


def read(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the value of every variable, those in the files of the data directory included.

    One that is not set and has no default is None.

    Raises:
        ConfigurationError: one or more cannot be used.
    """
    texts = with_key_files(environ)
    values: dict[str, Any] = {}
    problems = []
    for variable in VARIABLES.values():
        try:
            values[variable.name] = _value(variable, texts.get(variable.name, ""))
        except ValueError:
            problems.append(_problem(variable, texts[variable.name]))
    # What depends on a wrong value is not reported: it may be a consequence.
    readable = {name: values.get(name) for name in VARIABLES}
    wrong = VARIABLES.keys() - values.keys()
    problems += [text for names, text in contradictions(readable) if not names & wrong]
    if problems:
        raise ConfigurationError(problems)
    return values


def read_or_end(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the same, or end this program with all that is wrong."""
    try:
        return read(environ)
    except ConfigurationError as error:
        sys.exit(str(error))


def data_dir(environ: Mapping[str, str]) -> Path:
    """Return the absolute path of the data directory."""
    return (ROOT / (environ.get("DATA_DIR") or "var")).resolve()


def with_key_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with what the key files say; what is set wins."""
    variables: dict[str, str] = {}
    for name in KEY_FILES:
        file = data_dir(environ) / name
        lines = file.read_text().splitlines() if file.is_file() else []
        for line in lines:
            key, is_set, value = line.strip().removeprefix("export ").partition("=")
            if is_set and not key.startswith("#"):
                variables[key.strip()] = value.strip().strip("\"'")
    return variables | {name: value for name, value in environ.items() if value}


def _value(variable: Variable, text: str) -> Any:
    text = (text if variable.type is ANYTHING else text.strip()) or variable.default
    if not text:
        return variable.type.read("") if variable.type.is_list else None
    return variable.type.read(text)


def _problem(variable: Variable, text: str) -> str:
    predicate = "cannot be used" if variable.secret else f"is {text!r}"
    return f"{variable.name} {predicate}: use {variable.type.words.replace('`', '')}."


def contradictions(values: Mapping[str, Any]) -> Iterator[tuple[set[str], str]]:
    """Yield what does not go together, each with the variables that it is about (pure)."""
    if values["ENVIRONMENT"] == "production":
        yield from _missing_in_production(values)
    yield from _anonymous(values)
    yield from _discovery(values)
    yield from _processes(values)


def _missing_in_production(values: Mapping[str, Any]) -> Iterator[tuple[set[str], str]]:
    if len(values["SECRET_KEY"] or "") < SECRET_LENGTH:
        yield {"SECRET_KEY"}, f"SECRET_KEY needs {SECRET_LENGTH} random characters in production."
    if not values["ALLOWED_HOSTS"]:
        yield {"ALLOWED_HOSTS"}, "ALLOWED_HOSTS needs the public host names in production."
    for name, does in (("DEBUG", "shows code and data"), ("FAILPOINT", "kills processes")):
        if values[name]:
            yield {name}, f"{name} {does}: unset it in production."


def _anonymous(values: Mapping[str, Any]) -> Iterator[tuple[set[str], str]]:
    names = {"ANONYMOUS_API_ROLE", "ANONYMOUS_API_NETWORKS"}
    present = {name for name in names if values[name]}
    if len(present) == 1:
        (missing,) = names - present
        yield names, f"{present.pop()} does nothing without {missing}: set both or none."


def _discovery(values: Mapping[str, Any]) -> Iterator[tuple[set[str], str]]:
    backend, url = values["SERVICE_DISCOVERY_BACKEND"], values["SERVICE_DISCOVERY_URL"]
    names = {"SERVICE_DISCOVERY_BACKEND", "SERVICE_DISCOVERY_URL"}
    is_redis = urlsplit(url or "").scheme in ("redis", "rediss")
    if backend == "redis" and not url and not (values["REDIS_URL"] or values["REDIS_HOST"]):
        text = "SERVICE_DISCOVERY_BACKEND is redis: set REDIS_URL or SERVICE_DISCOVERY_URL."
        yield names | {"REDIS_URL", "REDIS_HOST"}, text
    if url and backend != "database" and is_redis != (backend == "redis"):
        schemes = "redis:// or rediss://" if backend == "redis" else "http:// or https://"
        yield names, f"SERVICE_DISCOVERY_URL begins with {schemes} where the backend is {backend}."


def _processes(values: Mapping[str, Any]) -> Iterator[tuple[set[str], str]]:
    number = values["WEB_PROCESSES"] or 1
    if number > 1 and not has_server(values):
        text = f"WEB_PROCESSES is {number}: on SQLite use 1, or set DATABASE_URL or POSTGRES_HOST."
        yield {"WEB_PROCESSES", "DATABASE_URL", "POSTGRES_HOST"}, text
