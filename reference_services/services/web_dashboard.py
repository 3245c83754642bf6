"""Stands for the people at the dashboard: a scripted duty person decides by simple rules."""

from __future__ import annotations

import re

from reference_services.schemas import IDENTIFIER, TEXT, JsonObject, nullable, record
from reference_services.service import Call, Service

DUTY_PERSON = "duty-officer"
RISKY = re.compile(
    r"\b(delete|drop|erase|wipe|purge|disable|skip (?:the )?tests|without (?:a )?review)\b", re.I
)
CHOICE = re.compile(r"\b(?:use|choose|prefer|take|pick)\s+(.+?)\s+or\s+(.+?)\s*\?", re.I)
AMOUNT = re.compile(r"(\d[\d,.]*)\s*(?:euros?|dollars?|eur|usd)\b", re.I)
SPENDING_LIMIT = 1000

QUESTION: JsonObject = {"type": "string", "minLength": 1, "maxLength": 5000}

SERVICE = Service(
    name="web-dashboard",
    type="WEB_DASHBOARD",
    description="Shows things to people and asks them; here a scripted duty person answers.",
)


def decide(question: str) -> tuple[str, str]:
    """Return the duty person's decision and answer.

    Destruction is refused, and so are costs above the limit; of two offered ways the first is
    taken; everything else is approved.
    """
    risky = RISKY.search(question)
    if risky:
        return "REJECTED", f"No: {risky.group(1).lower()} needs a second pair of eyes first."
    if _costs(question) > SPENDING_LIMIT:
        return "REJECTED", f"No: that is above the limit of {SPENDING_LIMIT} for a duty officer."
    choice = CHOICE.search(question)
    if choice:
        return "APPROVED", f"Use {choice.group(1)}."
    return "APPROVED", "Yes, go ahead."


def _costs(question: str) -> float:
    amounts = (match.rstrip(".").replace(",", "") for match in AMOUNT.findall(question))
    return max((float(text) for text in amounts if text.count(".") < 2), default=0.0)


@SERVICE.action(
    "POST",
    "/approvals",
    "Ask a person. A scripted duty person decides at once by simple rules.",
    input_schema=record(
        {
            "interaction_id": nullable(IDENTIFIER),
            "question": QUESTION,
            "assignee": nullable(IDENTIFIER),
        },
        required="question",
    ),
    output_schema=record(
        {
            "approval_id": IDENTIFIER,
            "decision": {"enum": ["APPROVED", "REJECTED"]},
            "answer": TEXT,
            "decided_by": TEXT,
        },
        required="approval_id decision answer decided_by",
    ),
)
def request_approval(call: Call) -> JsonObject:
    decision, answer = decide(call.input["question"])
    approval = {
        "approval_id": call.new_id("approval"),
        "interaction_id": call.get("interaction_id"),
        "question": call.input["question"],
        "decision": decision,
        "answer": answer,
        "decided_by": call.get("assignee", DUTY_PERSON),
        "decided_at": call.now.isoformat(),
    }
    return call.keep("approval", approval)


@SERVICE.action(
    "POST",
    "/notifications",
    "Keep a notification for the people at the dashboard.",
    input_schema=record(
        {
            "title": {"type": "string", "minLength": 1, "maxLength": 200},
            "text": nullable(TEXT),
        },
        required="title",
    ),
    output_schema=record({"notification_id": IDENTIFIER}, required="notification_id"),
)
def notify(call: Call) -> JsonObject:
    notification = {
        "notification_id": call.new_id("notification"),
        "title": call.input["title"],
        "text": call.get("text", ""),
        "sent_at": call.now.isoformat(),
    }
    return call.keep("notification", notification)
