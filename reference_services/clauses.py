"""Splits a project's description into clauses and says what kind of work each is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reference_services.words import STOP_WORDS, sentences, words

PHASES = ("Discovery", "Design", "Build", "Verification", "Launch")
VERBS: dict[str, str] = {
    verb: phase
    for phase, row in {
        "Discovery": "analyse analyze assess clarify collect compare define evaluate explore find"
        " gather identify interview investigate research study survey understand",
        "Design": "design draft model outline plan prototype sketch specify wireframe",
        "Build": "add automate build change connect convert create develop extend fix implement"
        " import improve integrate make migrate move optimise optimize port redesign rewrite"
        " replace set support translate update upgrade write",
        "Verification": "audit benchmark check inspect measure review test validate verify",
        "Launch": "announce deploy document hand introduce launch monitor onboard operate publish"
        " release roll run ship teach train",
    }.items()
    for verb in row.split()
}
SKILLS: dict[str, str] = {
    word: skill
    for skill, row in {
        "quality": "audit benchmark check quality test tests validate verify",
        "operations": "backup backups cluster deploy hosting launch monitor monitoring operate"
        " production release roll server servers ship",
        "frontend": "app dashboard form forms frontend html interface mobile page pages portal"
        " screen screens site ui website",
        "design": "brand branding design layout logo prototype sketch wireframe wireframes",
        "data": "analytics data dataset forecast import metrics migrate report reporting reports"
        " statistics warehouse",
        "backend": "account accounts api auth authentication backend catalogue database"
        " gateway integrate integration invoice invoices login order orders payment payments"
        " search service services system",
        "writing": "announce article content document documentation guide handbook manual"
        " onboard publish teach train training tutorial",
        "analysis": "analyse analyze assess clarify collect compare define evaluate gather"
        " interview interviews investigate requirements research scope study survey understand",
    }.items()
    for word in row.split()
}
_DEMANDING_WORDS = (
    "api authentication database everything integrate integration migrate migration mobile payment"
    " payments portal production real-time secure security system warehouse"
)
DEMANDING = frozenset(_DEMANDING_WORDS.split())
DEFAULT_VERB = "Build"
LONGEST_TASK_DAYS = 10

_PART = re.compile(
    r"\s*(?:;|,\s*(?:and\s+then|then|and)?\s+|\s+and\s+then\s+|\s+then\s+|\s+and\s+)"
)
_LEAD = re.compile(
    r"^(?:we|i|you|they|the team|it|please|finally|first|next|also|then|and|to|must|should|shall|"
    r"will|can|need|needs|want|wants|have|has|would|like)\s+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Clause:
    """One piece of work."""

    text: str
    phase: str
    skill: str
    estimate_days: int


def split_clauses(description: str) -> list[Clause]:
    """Return the pieces of work that a description names, in its order, each once."""
    texts = [text for sentence in sentences(description) for text in _parts(sentence)]
    return [_clause(text) for text in dict.fromkeys(texts)]


def _parts(sentence: str) -> list[str]:
    """Split a sentence at its commas and "and"s; a part without a verb takes the verb before it."""
    parts: list[str] = []
    verb = DEFAULT_VERB
    for raw in _PART.split(sentence):
        part = _without_lead(raw.strip(" .!?:-*•\t"))
        if not words(part):
            continue
        first = words(part)[0]
        if first in VERBS:
            verb = part.split()[0].capitalize()
            parts.append(verb + part[len(verb) :])
        elif parts and set(words(part)) <= STOP_WORDS:
            parts[-1] += f" {part}"
        else:
            parts.append(f"{verb} {part[0].lower() if part[1:2].islower() else part[0]}{part[1:]}")
    return parts


def _without_lead(part: str) -> str:
    while True:
        shorter = _LEAD.sub("", part, count=1)
        if shorter == part:
            return part
        part = shorter


def _clause(text: str) -> Clause:
    clause_words = words(text)
    phase = VERBS.get(clause_words[0], "Build")
    skills = [SKILLS[word] for word in clause_words if word in SKILLS]
    demanding = sum(word in DEMANDING for word in clause_words)
    estimate = min(LONGEST_TASK_DAYS, 1 + len(clause_words) // 4 + 2 * demanding)
    return Clause(text, phase, skills[0] if skills else "general", estimate)
