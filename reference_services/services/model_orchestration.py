"""Plans and carries out agents' tasks by rules: no model is called, every answer is computed."""

from __future__ import annotations

from collections import Counter
from typing import Any

from reference_services.clauses import VERBS, split_clauses
from reference_services.schemas import (
    INTEGER,
    TEXT,
    TEXTS,
    JsonObject,
    described,
    list_of,
    nullable,
    record,
)
from reference_services.service import Call, Service
from reference_services.words import content_words, words

APPROACH = {
    "Discovery": (
        "Collect what is known about {it}",
        "Compare the findings",
        "Write down the gaps",
    ),
    "Design": ("List what {it} must do", "Sketch two ways", "Choose one and say why"),
    "Build": ("Write down when {it} is done", "Do the smallest working version", "Complete it"),
    "Verification": ("List the cases of {it}", "Run each case", "Report what failed"),
    "Launch": ("Prepare {it}", "Try it with few people", "Make it available to all"),
}
TOOLS = {
    "web-search": "analyse analyze compare evaluate find investigate research study",
    "diagram-editor": "architecture design diagram draft layout outline prototype sketch wireframe",
    "code-editor": "add api app build code develop fix implement integrate page portal program"
    " rewrite service website",
    "test-runner": "benchmark check test tests validate verify",
    "document-editor": "announce article clarify document guide handbook manual publish teach train"
    " write",
    "spreadsheet": "budget cost forecast measure metrics report reporting statistics",
    "database-client": "data database import migrate query warehouse",
    "deployment-pipeline": "deploy launch monitor operate release roll ship",
    "calendar": "interview interviews meeting onboard survey workshop",
    "translator": "language languages translate translation",
}
LONG_TASK_DAYS = 8
CROWDED_SKILL_SHARE = 0.5

TASK = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "object"}]}
LISTED = {"type": "array", "items": {"anyOf": [TEXT, {"type": "object"}]}, "maxItems": 1000}

SERVICE = Service(
    name="model-orchestration",
    type="MODEL_ORCHESTRATION",
    description="Plans and carries out tasks by fixed rules. No language model is called.",
)


@SERVICE.action(
    "POST",
    "/plans/execution",
    "Steps and tools for a task, computed from its words; no model is called.",
    input_schema=record({"task": TASK}, required="task"),
    output_schema=record(
        {"steps": TEXTS, "required_tools": TEXTS}, required="steps required_tools"
    ),
)
def generate_execution_plan(call: Call) -> JsonObject:
    text = _task_text(call.input["task"])
    return {"steps": plan_steps(text), "required_tools": tools_for(text)}


def plan_steps(text: str) -> list[str]:
    """Return the steps for each clause of the task, by the kind of work it is."""
    steps: list[str] = []
    for clause in split_clauses(text):
        first, *rest = clause.text.split()
        matter = " ".join(rest) if first.lower() in VERBS and rest else clause.text
        steps += [step.format(it=matter) for step in APPROACH[clause.phase]]
    return list(dict.fromkeys(steps))


def tools_for(text: str) -> list[str]:
    text_words = set(words(text))
    return [tool for tool, row in TOOLS.items() if text_words & set(row.split())]


@SERVICE.action(
    "POST",
    "/tasks/execute",
    "A report on each step of a task, computed; no model is called.",
    input_schema=record(
        {"task": TASK, "steps": nullable(LISTED), "tools": nullable(LISTED)},
        required="task",
    ),
    output_schema=record(
        {
            "result": TEXT,
            "summary": TEXT,
            "tokens": described(INTEGER, "Words read and written."),
        },
        required="result summary tokens",
    ),
)
def execute_task(call: Call) -> JsonObject:
    """Go through the steps and report on each, with the tool that fits it."""
    text = _task_text(call.input["task"])
    steps = [_label(step) for step in call.get("steps", [])] or plan_steps(text)
    tools = [_label(tool) for tool in call.get("tools", [])]
    topics = [word for word, _ in Counter(content_words(text)).most_common(5)]
    lines = [f"{number}. {_report(step, tools)}" for number, step in enumerate(steps, start=1)]
    result = "\n".join([f"Task: {text}", *lines, f"Topics: {', '.join(topics) or 'none'}."])
    summary = f"Went through {len(steps)} steps with {len(tools)} tools: {_first_words(text)}."
    return {"result": result, "summary": summary, "tokens": len(words(text)) + len(words(result))}


def _report(step: str, tools: list[str]) -> str:
    fitting = [tool for tool in tools if set(words(step)) & set(TOOLS.get(tool, "").split())]
    used = (fitting or tools)[:1]
    return f"{step.rstrip('.')}: done with {used[0]}." if used else f"{step.rstrip('.')}: done."


def _first_words(text: str, count: int = 12) -> str:
    all_words = text.split()
    return " ".join(all_words[:count]).rstrip(" .") + (" …" if len(all_words) > count else "")


def _task_text(task: Any) -> str:
    """Return the words of a task that is a text, or an object with a title or a description."""
    if isinstance(task, str):
        return " ".join(task.split())
    for name in ("title", "name", "description", "task", "goal"):
        if isinstance(task.get(name), str) and task[name].strip():
            return " ".join(task[name].split())
    texts = [value for value in task.values() if isinstance(value, str)]
    return " ".join(" ".join(texts).split()) or "An unnamed task"


def _label(value: Any) -> str:
    return value if isinstance(value, str) else _task_text(value)


@SERVICE.action(
    "POST",
    "/plans/review",
    "What may go wrong with a plan's tasks, computed; no model is called.",
    input_schema=record({"tasks": list_of({"type": "object"}, maxItems=1000)}, required="tasks"),
    output_schema=record({"review": TEXT, "risks": TEXTS}, required="review risks"),
)
def review_plan(call: Call) -> JsonObject:
    tasks = [task for task in call.input["tasks"] if isinstance(task, dict)]
    risks = [
        *_broken_links(tasks),
        *(f"{_title(task)} waits for itself." for task in _in_a_circle(tasks)),
        *_long_tasks(tasks),
        *_crowded_skills(tasks),
    ]
    chain = _longest_chain(tasks)
    days = sum(_days(task) for task in tasks)
    review = (
        f"{len(tasks)} tasks, {days} days of work; the longest chain of dependent tasks takes"
        f" {chain} days. {len(risks) or 'No'} {'risk' if len(risks) == 1 else 'risks'} found."
    )
    return {"review": review, "risks": risks}


def _days(task: JsonObject) -> int:
    days = task.get("estimate_days")
    return days if isinstance(days, int) and days > 0 else 1


def _title(task: JsonObject) -> str:
    return str(task.get("title") or task.get("task_id") or "A task")


def _links(task: JsonObject) -> list[str]:
    links = task.get("depends_on")
    return [link for link in links if isinstance(link, str)] if isinstance(links, list) else []


def _broken_links(tasks: list[JsonObject]) -> list[str]:
    task_ids = {task.get("task_id") for task in tasks}
    return [
        f"{_title(task)} depends on {link}, which is not in the plan."
        for task in tasks
        for link in _links(task)
        if link not in task_ids
    ]


def _levels(tasks: list[JsonObject]) -> tuple[dict[str, int], list[JsonObject]]:
    """Return the day each task can be done by, and the tasks that wait in a circle."""
    task_ids = {str(task.get("task_id")) for task in tasks}
    done_by: dict[str, int] = {}
    left = list(tasks)
    while left:
        ready = [t for t in left if all(k in done_by for k in _links(t) if k in task_ids)]
        if not ready:
            break
        for task in ready:
            start = max((done_by.get(link, 0) for link in _links(task)), default=0)
            done_by[str(task.get("task_id"))] = start + _days(task)
        left = [task for task in left if task not in ready]
    return done_by, left


def _in_a_circle(tasks: list[JsonObject]) -> list[JsonObject]:
    return _levels(tasks)[1]


def _longest_chain(tasks: list[JsonObject]) -> int:
    return max(_levels(tasks)[0].values(), default=0)


def _long_tasks(tasks: list[JsonObject]) -> list[str]:
    return [
        f"{_title(task)} takes {_days(task)} days; split it."
        for task in tasks
        if _days(task) >= LONG_TASK_DAYS
    ]


def _crowded_skills(tasks: list[JsonObject]) -> list[str]:
    load: Counter[str] = Counter()
    for task in tasks:
        load[str(task.get("skill", "general"))] += _days(task)
    if len(load) < 2:
        return []
    return [
        f"{skill} carries {days} of {load.total()} days; a second person would shorten the plan."
        for skill, days in load.items()
        if days > CROWDED_SKILL_SHARE * load.total()
    ]
