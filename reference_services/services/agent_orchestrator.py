"""Keeps agents, gives tasks to them, and carries their questions to people."""

from __future__ import annotations

from collections import Counter

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

FIRST_NAMES = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Ken", "Radia", "Donald", "Frances")
TASK_STATUSES = ["ASSIGNED", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED"]

AGENT = record({"agent_id": IDENTIFIER, "name": NAME, "skill": NAME}, required="agent_id skill")
NEW_TASK = record(
    {"task_id": IDENTIFIER, "title": TEXT, "description": TEXT, "skill": nullable(TEXT)},
    required="task_id",
)
TASK = record(
    {"task_id": IDENTIFIER, "agent_id": IDENTIFIER, "status": {"enum": TASK_STATUSES}},
    required="task_id agent_id status",
)
INTERACTION = record(
    {
        "interaction_id": IDENTIFIER,
        "question": TEXT,
        "status": {"enum": ["OPEN", "ANSWERED"]},
        "answer": TEXT,
    },
    required="interaction_id question status",
)

SERVICE = Service(
    name="agent-orchestrator",
    type="AGENT_ORCHESTRATOR",
    description="Keeps agents, gives tasks to them, and carries their questions to people.",
)


@SERVICE.action(
    "POST",
    "/agents",
    "Create one agent for each skill.",
    input_schema=record(
        {"project_id": nullable(IDENTIFIER), "skills": list_of(NAME, maxItems=100)},
        required="skills",
    ),
    output_schema=record({"agents": list_of(AGENT)}, required="agents"),
)
def create_agents(call: Call) -> JsonObject:
    """Create one agent per skill; names go on where the service's last agent ended."""
    agent_count = call.store.count("agent")
    agents = []
    for number, skill in enumerate(dict.fromkeys(call.input["skills"]), start=agent_count):
        turn, index = divmod(number, len(FIRST_NAMES))
        name = FIRST_NAMES[index] + (f" {turn + 1}" if turn else "")
        agents.append({"agent_id": call.new_id("agent"), "name": name, "skill": skill})
    for agent in agents:
        call.keep("agent", {**agent, "project_id": call.get("project_id")})
    return {"agents": agents}


@SERVICE.action(
    "POST",
    "/assignments",
    "Give each task to an agent of its skill, and keep the tasks.",
    input_schema=record(
        {
            "project_id": nullable(IDENTIFIER),
            "tasks": list_of(NEW_TASK, maxItems=1000),
            "agents": list_of(AGENT, minItems=1, maxItems=1000),
        },
        required="tasks agents",
    ),
    output_schema=record(
        {
            "assignments": list_of(
                record(
                    {"task_id": IDENTIFIER, "agent_id": IDENTIFIER},
                    required="task_id agent_id",
                )
            )
        },
        required="assignments",
    ),
)
def assign_tasks(call: Call) -> JsonObject:
    """Give each task to the agent of its skill with least to do, or to whoever has least to do."""
    agents: list[JsonObject] = call.input["agents"]
    load: Counter[str] = Counter()
    assignments = []
    for task in call.input["tasks"]:
        agent_id = _chosen_agent(task, agents, load=load)
        load[agent_id] += 1
        assignments.append({"task_id": task["task_id"], "agent_id": agent_id})
        state = {"status": "ASSIGNED", "assigned_at": call.now.isoformat()}
        owners = {"agent_id": agent_id, "project_id": call.get("project_id")}
        call.keep("task", {**task, **owners, **state})
    return {"assignments": assignments}


def _chosen_agent(task: JsonObject, agents: list[JsonObject], *, load: Counter[str]) -> str:
    skilled = [agent for agent in agents if agent["skill"] == task.get("skill")]
    chosen = min(skilled or agents, key=lambda agent: load[agent["agent_id"]])
    return str(chosen["agent_id"])


@SERVICE.action(
    "GET",
    "/tasks/{task_id}",
    "A task, whom it is assigned to, and how it stands.",
    input_schema=record({"task_id": IDENTIFIER}, required="task_id"),
    output_schema=TASK,
)
def get_task(call: Call) -> JsonObject:
    return call.stored("task")


@SERVICE.action(
    "PUT",
    "/tasks/{task_id}",
    "Keep a task's new status and its result.",
    input_schema=record(
        {
            "task_id": IDENTIFIER,
            "status": nullable({"enum": TASK_STATUSES}),
            "result": described({}, "Whatever the task produced."),
        },
        required="task_id",
    ),
    output_schema=TASK,
)
def update_task(call: Call) -> JsonObject:
    changes = {
        name: call.input[name] for name in ("status", "result") if call.get(name) is not None
    }
    now = call.now.isoformat()
    return call.keep("task", {**call.stored("task"), **changes, "updated_at": now})


@SERVICE.action(
    "POST",
    "/interactions",
    "Keep a question that an agent has for a person.",
    input_schema=record(
        {
            "question": {"type": "string", "minLength": 1},
            "task_id": nullable(IDENTIFIER),
            "context": nullable(OBJECT),
        },
        required="question",
    ),
    output_schema=INTERACTION,
)
def request_interaction(call: Call) -> JsonObject:
    interaction = {
        "interaction_id": call.new_id("interaction"),
        "question": call.input["question"],
        "task_id": call.get("task_id"),
        "context": call.get("context", {}),
        "status": "OPEN",
        "asked_at": call.now.isoformat(),
    }
    return call.keep("interaction", interaction)


@SERVICE.action(
    "PUT",
    "/interactions/{interaction_id}",
    "Keep a person's answer to an agent's question.",
    input_schema=record(
        {"interaction_id": IDENTIFIER, "answer": {"type": "string", "minLength": 1}},
        required="interaction_id answer",
    ),
    output_schema=INTERACTION,
)
def answer_interaction(call: Call) -> JsonObject:
    now = call.now.isoformat()
    answer = {"answer": call.input["answer"], "status": "ANSWERED", "answered_at": now}
    return call.keep("interaction", {**call.stored("interaction"), **answer})
