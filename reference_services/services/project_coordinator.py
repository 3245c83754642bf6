"""Keeps projects and the plans made for them."""

from __future__ import annotations

from reference_services.schemas import (
    IDENTIFIER,
    NAME,
    OBJECT,
    TEXT,
    JsonObject,
    described,
    list_of,
    nullable,
    record,
)
from reference_services.service import Call, Service

STATUSES = ["DRAFT", "PLANNING", "PLANNED", "IN_PROGRESS", "COMPLETED", "CANCELLED"]
PLAN_FIELDS = ("status", "strategic_plan", "tactical_plan", "tasks", "agents", "assignments")

PROJECT = record(
    {
        "project_id": IDENTIFIER,
        "name": NAME,
        "description": TEXT,
        "status": {"enum": STATUSES},
        "strategic_plan": OBJECT,
        "tactical_plan": OBJECT,
        "tasks": list_of(OBJECT),
        "agents": list_of(OBJECT),
        "assignments": list_of(OBJECT),
        "created_at": {"type": "string", "format": "date-time"},
        "updated_at": {"type": "string", "format": "date-time"},
    },
    required="project_id name description status created_at",
)

SERVICE = Service(
    name="project-coordinator",
    type="PROJECT_COORDINATOR",
    description="Keeps projects and the plans made for them.",
)


@SERVICE.action(
    "POST",
    "/projects",
    "Create a project; its id, and its status DRAFT, are in the answer.",
    input_schema=record(
        {"name": NAME, "description": nullable(TEXT)}, required="name", closed=True
    ),
    output_schema=PROJECT,
)
def create_project(call: Call) -> JsonObject:
    now = call.now.isoformat()
    project = {
        "project_id": call.new_id("project"),
        "name": call.input["name"],
        "description": call.get("description", ""),
        "status": "DRAFT",
        "created_at": now,
        "updated_at": now,
    }
    return call.keep("project", project)


@SERVICE.action(
    "GET",
    "/projects/{project_id}",
    "A project, with its plan where it has one.",
    input_schema=record({"project_id": IDENTIFIER}, required="project_id"),
    output_schema=PROJECT,
)
def get_project(call: Call) -> JsonObject:
    return call.stored("project")


@SERVICE.action(
    "PUT",
    "/projects/{project_id}",
    "Keep a project's status and planning results; absent fields stay.",
    input_schema=record(
        {
            "project_id": IDENTIFIER,
            "status": described(nullable({"enum": STATUSES}), "One of the known states."),
            "strategic_plan": nullable(OBJECT),
            "tactical_plan": nullable(OBJECT),
            "tasks": nullable(list_of(OBJECT)),
            "agents": nullable(list_of(OBJECT)),
            "assignments": nullable(list_of(OBJECT)),
        },
        required="project_id",
    ),
    output_schema=PROJECT,
)
def update_project(call: Call) -> JsonObject:
    changes = {name: call.input[name] for name in PLAN_FIELDS if call.get(name) is not None}
    now = call.now.isoformat()
    return call.keep("project", {**call.stored("project"), **changes, "updated_at": now})
