"""Knows the tools that agents may use."""

from __future__ import annotations

from reference_services.schemas import NAME, TEXT, TEXTS, JsonObject, list_of, nullable, record
from reference_services.service import Call, Service

TOOLS: dict[str, tuple[str, str]] = {
    "web-search": ("Finds pages and documents by words.", "2.3.0"),
    "code-editor": ("Reads and changes source files.", "4.1.2"),
    "test-runner": ("Runs test suites and reports failures.", "3.0.1"),
    "diagram-editor": ("Draws flow charts and wireframes.", "1.8.0"),
    "document-editor": ("Writes and formats documents.", "5.2.0"),
    "spreadsheet": ("Tables, sums and charts.", "2.9.4"),
    "database-client": ("Reads and changes database tables.", "3.5.0"),
    "deployment-pipeline": ("Builds, releases and rolls back.", "6.0.3"),
    "issue-tracker": ("Keeps tasks and their discussion.", "1.4.7"),
    "calendar": ("Finds dates and sends invitations.", "1.2.0"),
    "translator": ("Translates text between languages.", "0.9.1"),
}
TOOL = record({"name": NAME, "description": TEXT, "version": TEXT}, required="name version")

SERVICE = Service(
    name="tool-integration",
    type="TOOL_INTEGRATION",
    description="Knows the tools that agents may use.",
)


@SERVICE.action(
    "POST",
    "/tools/discover",
    "Which of the required tools exist, and which are missing.",
    input_schema=record({"required_tools": nullable(TEXTS)}),
    output_schema=record({"tools": list_of(TOOL), "missing": TEXTS}, required="tools missing"),
)
def discover_tools(call: Call) -> JsonObject:
    """Return the asked-for tools that exist, in the order asked for; all when none is named."""
    asked_for = [_normal(name) for name in call.get("required_tools", [])] or list(TOOLS)
    names = list(dict.fromkeys(asked_for))
    return {
        "tools": [_tool(name) for name in names if name in TOOLS],
        "missing": [name for name in names if name not in TOOLS],
    }


def _normal(name: str) -> str:
    return "-".join(name.lower().replace("_", " ").replace("-", " ").split())


def _tool(name: str) -> JsonObject:
    description, version = TOOLS[name]
    return {"name": name, "description": description, "version": version}
