"""Makes a database as the earlier system left it, in any of its shapes, from a seed.

    python -m tests.support.earlier_database postgres://postgres:x@127.0.0.1/mine --executions 10000

`--shape` is one of SHAPES; all but `newer` have every oddity that a database without constraints
collects. PostgreSQL, MySQL or MariaDB, and SQLite.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sqlite3
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pymysql

from integration_site.adoption.shapes import BY_NAME, check_name

Row = dict[str, Any]
BEGIN = datetime(2025, 3, 1, 8, 0)  # noqa: DTZ001 (as the earlier system wrote them)
SECRET = "earlier-secret-0123456789"


@dataclass(frozen=True)
class Shape:
    """How the tables are made. `is_odd` leaves out every constraint, and has rows that need it."""

    plural: bool = False
    native_enums: bool = False
    upper: bool = True
    uuid_keys: bool = True
    aware: bool = False
    updated_at: bool = True
    is_odd: bool = False
    lacks: tuple[str, ...] = ()


SHAPES = {
    "newer": Shape(),
    "newer-odd": Shape(is_odd=True),
    "older": Shape(plural=True, native_enums=True, upper=False, uuid_keys=False, is_odd=True),
    "renamed": Shape(native_enums=True, aware=True, updated_at=False, is_odd=True),
}
# Column, type by kind: T text, J json, D time, F float, I integer, B boolean, E enum, A texts.
TABLES: dict[str, str] = {
    "registered_service": (
        "service_id:T! name:T! type:E! version:T! base_url:T! health_check_url:T! status:E!"
        " last_heartbeat:D! registered_at:D! endpoints:J service_metadata:J"
    ),
    "circuit_breaker_state": (
        "service_id:T! state:E! failure_count:I! last_failure_time:D half_open_call_count:I!"
    ),
    "workflow_execution": (
        "workflow_id:T! workflow_type:E! service_id:T status:E! data:J! options:J result:J errors:J"
        " start_time:D! end_time:D execution_time:F"
    ),
    "workflow_step": (
        "workflow_id:T! step_id:T! name:T! description:T status:E! start_time:D! end_time:D"
        " execution_time:F result:J errors:J"
    ),
    "service_integration_config": "key:T! value:J! description:T",
    "credential": "name:T! type:T secret:T username:T description:T",
    "connection": "name:T! type:T status:T base_url:T credential_id:T config:J",
    "integration": (
        "name:T! source_service_id:T target_service_id:T integration_type:T status:T config:J"
        " description:T metadata:J"
    ),
    "model": (
        "model_id:T! provider:E! display_name:T description:T capabilities:A! status:E!"
        " max_tokens:I token_limit:I cost_per_token:F configuration:J model_metadata:J"
    ),
    "request": (
        "request_id:T! request_type:E! model_id:T! provider:E! user_id:T project_id:T task_id:T"
        " request_data:J! response_data:J prompt_tokens:I completion_tokens:I total_tokens:I"
        " latency_ms:F cost:F success:B! error_message:T error_code:T completed_at:D"
    ),
    "provider_quota": (
        "provider:E! daily_token_limit:I monthly_token_limit:I daily_cost_limit:F"
        " monthly_cost_limit:F daily_tokens_used:I! monthly_tokens_used:I! daily_cost_used:F!"
        " monthly_cost_used:F! daily_reset_at:D monthly_reset_at:D"
    ),
    "ai_model": (
        "provider:T version:T capabilities:J context_window:I cost_per_1k_input:F"
        " cost_per_1k_output:F is_local:B status:T"
    ),
    "model_budget": (
        "project_id:T monthly_limit:F current_usage:F last_reset:D alert_percentage:I"
    ),
    "model_performance": (
        "model_id:T! task_type:T! quality_score:F! success_rate:F! sample_count:I! metrics:J"
    ),
    "model_performance_history": (
        "model_id:T! task_type:T! quality_score:F! success_rate:F! sample_count:I! metrics:J"
        " period_start:D! period_end:D! period_type:T!"
    ),
    "model_feedback": (
        "request_id:T! model_id:T! task_type:T quality_rating:F success:B! feedback_text:T"
        " original_content:T corrected_content:T has_corrections:B! user_id:T"
    ),
}
TEXT_KEYS = ("ai_model", "model_budget")
NAMED_AS_THE_HUBS = (
    "model_budget", "model_performance", "model_performance_history", "model_feedback",
)  # fmt: skip
UNIQUE = {
    "registered_service": "service_id", "circuit_breaker_state": "service_id",
    "workflow_execution": "workflow_id", "service_integration_config": "key",
    "model": "model_id", "request": "request_id",
}  # fmt: skip
REFERENCES = {
    "circuit_breaker_state": ("service_id", "registered_service"),
    "workflow_execution": ("service_id", "registered_service"),
    "workflow_step": ("workflow_id", "workflow_execution"),
}
_TYPES = {
    "postgresql": {"A": "varchar[]", "T": "varchar", "J": "json", "F": "double precision",
                   "I": "integer", "B": "boolean", "E": "varchar(40)"},
    "mysql": {"A": "text", "T": "varchar(300)", "J": "longtext", "F": "double", "I": "integer",
              "B": "boolean", "E": "varchar(40)", "D": "datetime(6)"},
    "sqlite": {"A": "text", "T": "varchar", "J": "json", "F": "float", "I": "integer",
               "B": "boolean", "E": "varchar(40)", "D": "timestamp"},
}  # fmt: skip


def table_name(kind: str, shape: Shape) -> str:
    return BY_NAME[kind].plural if shape.plural and BY_NAME[kind].plural else kind


def definitions(shape: Shape, dialect: str) -> Iterator[str]:
    """Yield the statements that make the tables."""
    for kind, text in TABLES.items():
        if kind in shape.lacks:
            continue
        for name, values in BY_NAME[kind].enums.items():
            if shape.native_enums and dialect == "postgresql":
                listed = ", ".join(f"'{v}'" for v in _labels(values, shape))
                yield f"CREATE TYPE {kind}_{name} AS ENUM ({listed})"
        columns = list(_columns(kind, text, shape, dialect))
        yield f"CREATE TABLE {table_name(kind, shape)} ({', '.join(columns)})"


def _labels(values: Sequence[str], shape: Shape) -> list[str]:
    labels = [v if shape.upper else v.lower() for v in values]
    return [*labels, "mystery"] if shape.is_odd else labels


def _columns(kind: str, text: str, shape: Shape, dialect: str) -> Iterator[str]:
    types = _TYPES[dialect]
    has_uuid = shape.uuid_keys and dialect == "postgresql" and kind not in TEXT_KEYS
    key = "uuid" if has_uuid else "varchar(100)"
    yield f"id {key} NOT NULL PRIMARY KEY"
    for part in text.split():
        name, _, letter = part.partition(":")
        needed = " NOT NULL" if letter.endswith("!") and not shape.is_odd else ""
        type_ = _moment(shape, dialect) if letter[0] == "D" else types[letter[0]]
        if letter[0] == "E" and shape.native_enums and dialect == "postgresql":
            type_ = f"{kind}_{name}"
        quoted = f"`{name}`" if dialect == "mysql" else f'"{name}"'
        yield f"{quoted} {type_}{needed}"
    moment = _moment(shape, dialect)
    yield f"created_at {moment} NOT NULL"
    if shape.updated_at:
        yield f"updated_at {moment} NOT NULL"
    if not shape.is_odd:
        yield from _constraints(kind, shape, dialect)


def _moment(shape: Shape, dialect: str) -> str:
    if dialect == "postgresql":
        return f"timestamp with{'' if shape.aware else 'out'} time zone"
    return _TYPES[dialect]["D"]


def _constraints(kind: str, shape: Shape, dialect: str) -> Iterator[str]:
    if (name := UNIQUE.get(kind)) is not None:
        quoted = f"`{name}`" if dialect == "mysql" else name
        yield f"CONSTRAINT {table_name(kind, shape)}_{name}_key UNIQUE ({quoted})"
    for column, values in BY_NAME[kind].enums.items():
        listed = ", ".join(f"'{value}'" for value in values)
        yield f"CONSTRAINT {check_name(kind, column)} CHECK ({column} IN ({listed}))"
    if kind in REFERENCES:
        column, table = REFERENCES[kind]
        yield f"FOREIGN KEY ({column}) REFERENCES {table_name(table, shape)} ({column})"


# --- What is in them ------------------------------------------------------------------------------


class Maker:
    """Makes rows from a seed: plain ones, and of every oddity at least one."""

    def __init__(self, shape: Shape, *, seed: int, services: int, executions: int) -> None:
        self.shape, self.random = shape, random.Random(seed)
        self.services, self.executions = services, executions
        self.clock = BEGIN

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Yield table and row of the tables that there are, those first that others refer to."""
        return ((kind, row) for kind, row in self._rows() if kind not in self.shape.lacks)

    def _rows(self) -> Iterator[tuple[str, Row]]:
        yield from (("registered_service", row) for row in self._services())
        yield from self._circuits()
        for number in range(self.executions):
            yield from self._execution(number)
        yield "service_integration_config", self._row(key="retries", value='{"most": 3}')
        yield from self._connected()
        yield from self._models()
        yield from self._figures()
        if self.shape.is_odd:
            yield from self._oddities()

    def _row(self, **values: Any) -> Row:
        stamps = {"created_at": self.clock, "updated_at": self.clock}
        if not self.shape.updated_at:
            del stamps["updated_at"]
        return {"id": self._uuid(), **stamps, **values}

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def _word(self, value: str) -> str:
        return value if self.shape.upper else value.lower()

    def _service_id(self, number: int) -> str:
        # Some gave ids of their own, which are no UUIDs.
        if number % 10 == 3:
            return f"svc-{number}"
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"service-{number}"))

    def _services(self) -> Iterator[Row]:
        types = BY_NAME["registered_service"].enums["type"]
        for number in range(self.services):
            name = f"service-{number - number % 4 if number % 4 == 3 else number}"
            yield self._row(
                service_id=self._service_id(number), name=name,
                type=self._word(types[number % len(types)]), version=f"1.{number}",
                base_url=f"http://service-{number}.internal:8000",
                health_check_url=f"http://service-{number}.internal:8000/health",
                status=self._word(("ONLINE", "ONLINE", "OFFLINE", "DEGRADED")[number % 4]),
                last_heartbeat=self.clock, registered_at=self.clock,
                endpoints=json.dumps([{
                    "path": "/projects/{project_id}", "method": "GET",
                    "description": "One project", "required_permissions": [],
                }]),
                service_metadata=json.dumps({"team": f"team-{number % 5}"}),
            )  # fmt: skip

    def _circuits(self) -> Iterator[tuple[str, Row]]:
        for number in range(0, self.services, 5):
            state = ("CLOSED", "OPEN", "HALF_OPEN")[number // 5 % 3]
            yield "circuit_breaker_state", self._row(
                service_id=self._service_id(number), state=self._word(state),
                failure_count=number % 7, last_failure_time=self.clock, half_open_call_count=0,
            )  # fmt: skip

    def _execution(self, number: int) -> Iterator[tuple[str, Row]]:
        types = BY_NAME["workflow_execution"].enums["workflow_type"]
        key = f"run-{number:07}" if number % 10 == 7 else self._uuid()
        status = ("COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "CANCELLED")[number % 5]
        if number % 50 == 49:
            status = "RUNNING"
        began = self.clock + timedelta(seconds=number * 3)
        names = ("get-project", "strategic-plan", "tactical-plan")[: 2 + number % 2]
        end = began + timedelta(seconds=2 * len(names))
        open_ = status == "RUNNING"
        service = self._service_id(number % self.services) if self.services else None
        yield "workflow_execution", self._row(
            workflow_id=key, workflow_type=self._word(types[number // 5 % len(types)]),
            service_id=service, status=self._word(status),
            data=json.dumps({"project_id": f"p{number}"}), options=json.dumps({"timeout": 30}),
            result=json.dumps({"plan": number}) if status == "COMPLETED" else None,
            errors=json.dumps(["The planner refused."]) if status == "FAILED" else None,
            start_time=began, end_time=None if open_ else end,
            execution_time=None if open_ else float(2 * len(names)),
        )  # fmt: skip
        for place, name in enumerate(names):
            is_last = place == len(names) - 1
            start = began + timedelta(seconds=2 * place)
            yield "workflow_step", self._row(
                workflow_id=key, step_id=name, name=name.replace("-", " "),
                description="A step.", status=self._word(status if is_last else "COMPLETED"),
                start_time=start,
                end_time=None if open_ and is_last else start + timedelta(seconds=2),
                execution_time=2.0, result=json.dumps({"step": place}),
                errors=json.dumps(["The planner refused."]) if is_last and status == "FAILED"
                else None,
            )  # fmt: skip

    def _connected(self) -> Iterator[tuple[str, Row]]:
        credential = self._row(name="planner key", type="api_key", secret=SECRET)
        yield "credential", credential
        yield "connection", self._row(
            name="planner", type="rest", status="active", base_url="https://planner.example.org/v1",
            credential_id=credential["id"], config='{"timeout": 5}',
        )  # fmt: skip
        yield "integration", self._row(
            name="plans", source_service_id=self._service_id(0),
            target_service_id=self._service_id(1), integration_type="REST", status="active",
            config='{"endpoint": "/projects/{project_id}", "method": "GET"}', metadata="{}",
        )  # fmt: skip

    def _models(self) -> Iterator[tuple[str, Row]]:
        yield "model", self._row(
            model_id="gpt-4", provider=self._word("OPENAI"), display_name="GPT-4",
            capabilities='{chat}', status=self._word("ACTIVE"), max_tokens=8192,
            configuration="{}", model_metadata="{}",
        )  # fmt: skip
        yield "request", self._row(
            request_id="req-1", request_type=self._word("CHAT"), model_id="gpt-4",
            provider=self._word("OPENAI"), request_data='{"messages": []}', prompt_tokens=3,
            completion_tokens=4, total_tokens=7, latency_ms=12.5, cost=0.001, success=True,
        )  # fmt: skip
        yield "provider_quota", self._row(
            provider=self._word("OPENAI"), daily_token_limit=1000, daily_tokens_used=7,
            monthly_tokens_used=7, daily_cost_used=0.1, monthly_cost_used=0.1,
        )  # fmt: skip
        yield "ai_model", self._row(
            id="llama-3", provider="ollama", version="3", capabilities='["chat"]',
            context_window=8192, cost_per_1k_input=0.01, cost_per_1k_output=0.03, is_local=True,
            status="active",
        )  # fmt: skip
        yield "model_budget", self._row(
            project_id=self._uuid(), monthly_limit=50, current_usage=5, alert_percentage=80,
            last_reset=self.clock,
        )  # fmt: skip

    def _figures(self) -> Iterator[tuple[str, Row]]:
        figures = {"model_id": "gpt-4", "task_type": "reasoning", "quality_score": 0.75,
                   "success_rate": 0.9, "sample_count": 20,
                   "metrics": '{"quality_sum": 15, "confidence_sum": 18}'}  # fmt: skip
        yield "model_performance", self._row(**figures)
        for period, days in (("day", 1), ("week", 7), ("month", 31)):
            ends_at = self.clock + timedelta(days=days)
            yield (
                "model_performance_history",
                self._row(
                    **figures, period_type=period, period_start=self.clock, period_end=ends_at
                ),
            )
        yield "model_feedback", self._row(
            request_id="req-1", model_id="gpt-4", task_type="reasoning", quality_rating=0.5,
            success=True, feedback_text="Too long.", has_corrections=False, user_id="u",
        )  # fmt: skip

    def _oddities(self) -> Iterator[tuple[str, Row]]:
        first = self._service_id(0)
        plain = {"type": self._word("API_GATEWAY"), "version": "1", "health_check_url": "",
                 "status": self._word("ONLINE"), "registered_at": self.clock}  # fmt: skip
        odd_services: list[Row] = [
            {"service_id": first, "name": "again", "base_url": "http://again:1"},
            {"service_id": "dup-1", "name": "twin", "base_url": "http://twin:80/"},
            {"service_id": "dup-2", "name": "twin", "base_url": "http://TWIN"},
            {"service_id": "bad-url", "name": "no address", "base_url": "nowhere"},
            {"service_id": "bad-name", "name": "Ünïcode / name!", "base_url": "http://odd:1"},
            {"service_id": None, "name": "nameless id", "base_url": "http://null:1", "type": None},
            {"service_id": "mystery", "name": "mystery", "base_url": "http://m:1",
             "type": "mystery", "status": "mystery", "endpoints": '{"no": "list"}'},
        ]  # fmt: skip
        for row in odd_services:
            yield "registered_service", self._row(**{**plain, **row})
        yield "circuit_breaker_state", self._row(service_id="gone", state=self._word("OPEN"))
        yield from self._odd_executions()
        yield "credential", self._row(name="planner key", type="token", secret="second")
        for name in ("twin", "Twin"):
            yield "model", self._row(model_id=name, provider=None, capabilities="{chat,dance}")
        yield "model", self._row(model_id="claude 3/x", provider="mystery", capabilities="{chat}")
        yield "ai_model", self._row(id="gpt-4", provider="nobody", is_local=False)
        yield "model_budget", self._row(project_id=None, monthly_limit=None)
        yield "model_performance", self._row(model_id="gpt-4", task_type="reasoning")
        yield "model_performance", self._row(model_id="x", task_type="y", success_rate=7)
        yield "model_performance_history", self._row(model_id="x", task_type="y")
        yield "model_feedback", self._row(model_id="x", quality_rating=-1)
        yield "request", self._row(request_id="req-1", model_id="gpt-4", success=False)
        yield "request", self._row(request_id="req-2", model_id=None, cost=-1, total_tokens=-2)
        yield "provider_quota", self._row(provider=self._word("OPENAI"), daily_tokens_used=9)
        yield "integration", self._row(name="dangling", target_service_id="gone", status="ACTIVE")

    def _odd_executions(self) -> Iterator[tuple[str, Row]]:
        running, type_ = self._word("RUNNING"), self._word("PROJECT_PLANNING")
        done = self._word("COMPLETED")
        odd: list[Row] = [
            {"workflow_id": "twice", "status": done, "data": '{"n": 1}'},
            {"workflow_id": "twice", "status": done, "data": '{"n": 2}'},
            {"workflow_id": None, "status": done, "data": "{}"},
            {"workflow_id": "unknown", "status": "mystery", "workflow_type": "mystery"},
            {"workflow_id": "null-status", "status": None, "data": None},
            {"workflow_id": "list-data", "status": done, "data": "[1, 2]", "errors": '"alone"'},
            {"workflow_id": "no-service", "status": done, "service_id": "gone"},
            {"workflow_id": "backwards", "status": done, "end_time": BEGIN - timedelta(days=1)},
            {"workflow_id": "open", "status": running, "result": '{"nul": "a\\u0000b"}'},
        ]
        for row in odd:
            values = {"workflow_type": type_, "start_time": self.clock, "data": "{}", **row}
            yield "workflow_execution", self._row(**values)
        for key, step in itertools.product(("twice", "gone", None), ("a", "a", self._uuid())):
            yield (
                "workflow_step",
                self._row(
                    workflow_id=key, step_id=step, name="A step", status=done, start_time=self.clock
                ),
            )


# --- Where they go --------------------------------------------------------------------------------


def fill(url: str, shape: Shape, *, seed: int = 1, services: int = 4, executions: int = 20) -> None:
    """Make the tables in the database of a URL, and fill them."""
    maker = Maker(shape, seed=seed, services=services, executions=executions)
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        _fill_sqlite(url.partition(":")[2], shape, maker)
    elif scheme.startswith("postgres"):
        _fill_postgres(url, shape, maker)
    else:
        _fill_mysql(url, shape, maker)


def _fill_sqlite(path: str, shape: Shape, maker: Maker) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for statement in definitions(shape, "sqlite"):
            connection.execute(statement)
        for kind, row in maker.rows():
            names = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join("?" * len(row))
            values = [str(v) if isinstance(v, datetime) else v for v in row.values()]
            connection.execute(
                f"INSERT INTO {table_name(kind, shape)} ({names}) VALUES ({marks})", values
            )
    connection.close()


def _fill_postgres(url: str, shape: Shape, maker: Maker) -> None:
    with psycopg.connect(url) as connection:
        for statement in definitions(shape, "postgresql"):
            connection.execute(statement)
        rows = maker.rows()
        # In parts, so that a large database is never held whole.
        while part := list(itertools.islice(rows, 20_000)):
            _copy(connection, shape, part)


def _copy(connection: Any, shape: Shape, part: Sequence[tuple[str, Row]]) -> None:
    waiting: dict[tuple[str, tuple[str, ...]], list[list[Any]]] = {}
    for kind, row in part:
        waiting.setdefault((kind, tuple(row)), []).append(list(row.values()))
    order = [*TABLES]  # those first that others refer to
    for (kind, columns), rows in sorted(waiting.items(), key=lambda each: order.index(each[0][0])):
        names = ", ".join(f'"{name}"' for name in columns)
        statement = f"COPY {table_name(kind, shape)} ({names}) FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for values in rows:
                copy.write_row(values)


def _fill_mysql(url: str, shape: Shape, maker: Maker) -> None:
    parts = urlsplit(url)
    connection = pymysql.connect(
        host=parts.hostname, port=parts.port or 3306, user=unquote(parts.username or ""),
        password=unquote(parts.password or ""), database=parts.path.lstrip("/"), charset="utf8mb4",
    )  # fmt: skip
    with connection, connection.cursor() as cursor:
        for statement in definitions(shape, "mysql"):
            cursor.execute(statement.replace('"', "`"))
        for kind, row in maker.rows():
            names = ", ".join(f"`{name}`" for name in row)
            marks = ", ".join(["%s"] * len(row))
            cursor.execute(
                f"INSERT INTO `{table_name(kind, shape)}` ({names}) VALUES ({marks})",
                list(row.values()),
            )
        connection.commit()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--shape", choices=SHAPES, default="newer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--executions", type=int, default=10_000)
    given = parser.parse_args(arguments)
    fill(
        given.url, SHAPES[given.shape], seed=given.seed, services=given.services,
        executions=given.executions,
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
