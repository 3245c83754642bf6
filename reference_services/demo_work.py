"""The workflow and the inputs of the demo, and its progress, which outlives a restart."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reference_services.runner import SAMPLES
from service_integration_client import WorkflowResult

JsonObject = dict[str, Any]

REMEMBERED = 50
ASKING_WORKFLOW = "human-interaction"
OPEN_STATUSES = ("PENDING", "RUNNING", "WAITING", "PAUSED")

DOCUMENT_WORKFLOW: JsonObject = {
    "name": "document-processing",
    "description": "Process documents through multiple services",
    "steps": [
        {
            "id": "extract-text",
            "service": "text-extraction",
            "action": "extract",
            "next": "analyze-sentiment",
        },
        {
            "id": "analyze-sentiment",
            "service": "sentiment-analysis",
            "action": "analyze",
            "next": "generate-summary",
        },
        {
            "id": "generate-summary",
            "service": "text-summarization",
            "action": "summarize",
            "next": None,
        },
    ],
    "metadata": {"version": "1.0.0", "author": "Reference services"},
}
PROJECTS = (
    (
        "Web shop",
        "Research what customers want. Design the checkout pages, then build a shop with login,"
        " payments and invoices. Test everything and deploy it to production.",
    ),
    (
        "Support handbook",
        "Interview the support team and collect the most frequent questions. Write a handbook,"
        " review it with two teams, and train new colleagues.",
    ),
    (
        "Data warehouse",
        "Analyse the reports in use. Design the data model, migrate sales and stock data, automate"
        " the nightly import, then validate the numbers and publish a dashboard.",
    ),
    (
        "Mobile app",
        "Prototype the screens, implement the app with offline search and notifications, integrate"
        " the payment service, test it on old phones and release it to a pilot group.",
    ),
    (
        "Office move",
        "Compare three buildings, plan the floor layout and the network, set up the servers, check"
        " the safety rules, and announce the new address.",
    ),
)
QUESTIONS = (
    "May the release go out this afternoon?",
    "Should we use PostgreSQL or SQLite?",
    "May I delete the backups of last year?",
    "The conference costs 1,800 euros. May I book it?",
    "The customer asks for a call on Friday. Shall I accept?",
)


def document_url(turn: int) -> str:
    """Return the URL of a sample: that of its file, or a web address with its name."""
    paths = sorted(path for path in SAMPLES.iterdir() if path.is_file())
    path = paths[turn % len(paths)]
    return path.as_uri() if turn % 2 else f"https://example.com/{path.name}"


def project(turn: int) -> JsonObject:
    name, description = PROJECTS[turn % len(PROJECTS)]
    return {"name": f"{name} {turn}", "description": description}


def question(turn: int) -> str:
    return QUESTIONS[turn % len(QUESTIONS)]


def outline(steps: list[JsonObject]) -> list[tuple[Any, ...]]:
    """Return the parts of steps that make two definitions the same for the demo."""
    return [tuple(step.get(name) for name in ("id", "service", "action", "next")) for step in steps]


def report(title: str, result: WorkflowResult) -> str:
    """Return one line on an execution."""
    seconds = result.execution.get("execution_time")
    took = f" in {float(seconds):.2f} s" if isinstance(seconds, int | float) else ""
    return f"{result.status:<10} {title}{took}: {_gist(result)} [{result.execution_id}]"


def _gist(result: WorkflowResult) -> str:
    """Return the one thing in an output, or an error, that a person would want to see."""
    if result.status != "COMPLETED":
        first = next(iter(result.errors), {})
        return f"{first.get('step', 'it')}: {first.get('message', 'no reason given')}"
    for name in ("summary", "answer"):
        if result.get(name):
            return shortened(str(result[name]))
    named: JsonObject = result.get("project") or {}
    tasks, agents = len(result.get("tasks") or ()), len(result.get("agents") or ())
    return f"{named.get('name', 'project')}, {tasks} tasks for {agents} agents"


def shortened(text: str, limit: int = 70) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 2].rstrip() + " …"


@dataclass
class Progress:
    """Kept in a file, so that a restarted demo goes on with the projects that it made."""

    path: Path
    turn: int = 0
    projects: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Progress:
        """Read the file; start anew when there is none, or none that can be read."""
        try:
            kept = json.loads(path.read_text())
            return cls(path, int(kept["turn"]), list(kept["projects"]), list(kept["tasks"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls(path)

    def save(self) -> None:
        kept = {name: value for name, value in asdict(self).items() if name != "path"}
        unfinished = self.path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(kept))
        unfinished.replace(self.path)

    def next_turn(self) -> int:
        self.turn += 1
        return self.turn

    def remember(self, result: WorkflowResult) -> None:
        if result.get("project_id"):
            self.projects = [*self.projects, str(result["project_id"])][-REMEMBERED:]

    def remember_tasks(self, result: WorkflowResult) -> None:
        ids = [str(task["task_id"]) for task in result.get("tasks") or ()]
        self.tasks = [*self.tasks, *ids][-REMEMBERED:]

    def take_project(self) -> str | None:
        return self.projects.pop(0) if self.projects else None

    def take_task(self) -> str | None:
        return self.tasks.pop(0) if self.tasks else None
