"""Turns a project's description into phases, and phases into dated tasks that depend on another."""

from __future__ import annotations

from datetime import date

from reference_services.clauses import PHASES, Clause, split_clauses
from reference_services.problems import InvalidInputError
from reference_services.schemas import (
    DATE,
    IDENTIFIER,
    INTEGER,
    NAME,
    TEXT,
    TEXTS,
    JsonObject,
    list_of,
    nullable,
    record,
)
from reference_services.service import Call, Service
from reference_services.workdays import first_workday_after, workday_after

PHASE = record(
    {
        "name": NAME,
        "objective": nullable(TEXT),
        "deliverables": nullable(TEXTS),
        "duration_days": nullable({"type": "integer", "minimum": 1, "maximum": 1000}),
        "start_date": nullable(DATE),
        "end_date": nullable(DATE),
    },
    required="name",
)
TASK = record(
    {
        "task_id": IDENTIFIER,
        "title": TEXT,
        "description": TEXT,
        "phase": TEXT,
        "skill": TEXT,
        "depends_on": list_of(IDENTIFIER),
        "start_date": DATE,
        "end_date": DATE,
        "estimate_days": INTEGER,
    },
    required="task_id title phase skill depends_on start_date end_date estimate_days",
)

SERVICE = Service(
    name="planning-system",
    type="PLANNING_SYSTEM",
    description="Plans projects: objectives and phases first, then dated, dependent tasks.",
)


@SERVICE.action(
    "POST",
    "/plans/strategic",
    "Objectives and phases, read out of the project's description.",
    input_schema=record(
        {"project_id": nullable(IDENTIFIER), "name": NAME, "description": nullable(TEXT)},
        required="name",
    ),
    output_schema=record(
        {
            "plan_id": IDENTIFIER,
            "objectives": TEXTS,
            "phases": list_of(PHASE),
            "start_date": DATE,
            "end_date": DATE,
            "source": TEXT,
        },
        required="plan_id objectives phases start_date end_date source",
    ),
)
def generate_strategic_plan(call: Call) -> JsonObject:
    name = call.input["name"]
    clauses = split_clauses(call.get("description", "")) or split_clauses(f"Build {name}")
    start = first_workday_after(call.now.date())
    phases = _dated(_phases(name, clauses), start=start)
    plan = {
        "plan_id": call.new_id("plan"),
        "project_id": call.get("project_id"),
        "objectives": [clause.text for clause in clauses],
        "phases": phases,
        "start_date": phases[0]["start_date"],
        "end_date": phases[-1]["end_date"],
        "source": "planning-system",
    }
    return call.keep("strategic_plan", plan, id_field="plan_id")


def _phases(name: str, clauses: list[Clause]) -> list[JsonObject]:
    """Return the phases with clauses; what is built is also checked, and begins with its goals."""
    grouped = {phase: [c for c in clauses if c.phase == phase] for phase in PHASES}
    if not grouped["Discovery"]:
        grouped["Discovery"] = split_clauses(f"Clarify goals and scope of {name}")
    if grouped["Build"] and not grouped["Verification"]:
        grouped["Verification"] = split_clauses(f"Test {name} against its objectives")
    return [_phase(phase, members) for phase, members in grouped.items() if members]


def _phase(name: str, clauses: list[Clause]) -> JsonObject:
    return {
        "name": name,
        "objective": "; ".join(clause.text for clause in clauses),
        "deliverables": [clause.text for clause in clauses],
        "duration_days": sum(clause.estimate_days for clause in clauses),
    }


def _dated(phases: list[JsonObject], *, start: date) -> list[JsonObject]:
    """Date the phases one after the other, on working days."""
    dated = []
    for phase in phases:
        end = workday_after(start, phase["duration_days"] - 1)
        dated.append({**phase, "start_date": start.isoformat(), "end_date": end.isoformat()})
        start = workday_after(end, 1)
    return dated


@SERVICE.action(
    "POST",
    "/plans/tactical",
    "Tasks for the phases, with skills, dependencies and dates.",
    input_schema=record(
        {
            "project_id": nullable(IDENTIFIER),
            "name": nullable(TEXT),
            "phases": list_of(PHASE, minItems=1, maxItems=50),
        },
        required="phases",
    ),
    output_schema=record(
        {"plan_id": IDENTIFIER, "tasks": list_of(TASK), "skills": TEXTS},
        required="plan_id tasks skills",
    ),
)
def generate_tactical_plan(call: Call) -> JsonObject:
    phases = call.input["phases"]
    tasks = _schedule(call, phases)
    if not tasks:
        raise InvalidInputError(
            "phases: none of them has an objective to plan for.",
            errors={"phases": ["None of them has an objective to plan for."]},
        )
    plan = {
        "plan_id": call.new_id("plan"),
        "project_id": call.get("project_id"),
        "tasks": tasks,
        "skills": list(dict.fromkeys(task["skill"] for task in tasks)),
    }
    return call.keep("tactical_plan", plan, id_field="plan_id")


def _schedule(call: Call, phases: list[JsonObject]) -> list[JsonObject]:
    """Return tasks, phase by phase: each waits for the whole phase before, and for its skill."""
    tasks: list[JsonObject] = []
    before: list[JsonObject] = []
    project_start = first_workday_after(call.now.date())
    for phase in phases:
        current: list[JsonObject] = []
        for clause in _clauses_of(phase):
            same_skill = [task for task in current if task["skill"] == clause.skill]
            waits_for = same_skill[-1:] or before
            task = _task(call.new_id("task"), clause, phase=phase["name"])
            task["depends_on"] = [other["task_id"] for other in waits_for]
            current.append(_placed(task, waits_for, project_start=project_start))
        tasks += current
        before = current or before
    return tasks


def _clauses_of(phase: JsonObject) -> list[Clause]:
    texts = phase.get("deliverables") or [phase.get("objective") or phase["name"]]
    return [clause for text in texts for clause in split_clauses(text)]


def _task(task_id: str, clause: Clause, *, phase: str) -> JsonObject:
    return {
        "task_id": task_id,
        "title": clause.text,
        "description": f"{clause.text}. Part of the {phase} phase; needs {clause.skill}.",
        "phase": phase,
        "skill": clause.skill,
        "estimate_days": clause.estimate_days,
    }


def _placed(task: JsonObject, waits_for: list[JsonObject], *, project_start: date) -> JsonObject:
    ends = [date.fromisoformat(other["end_date"]) for other in waits_for]
    start = workday_after(max(ends), 1) if ends else project_start
    end = workday_after(start, task["estimate_days"] - 1)
    return {**task, "start_date": start.isoformat(), "end_date": end.isoformat()}
