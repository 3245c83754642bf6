"""Says whether a text sounds positive, negative or neutral."""

from __future__ import annotations

import math
import re

from reference_services.schemas import TEXT, JsonObject, described, record
from reference_services.service import Call, Service
from reference_services.words import words

POSITIVE = {
    3.0: "amazing brilliant excellent fantastic outstanding perfect superb wonderful love loved",
    2.0: "best delighted delight enjoy enjoyed great happy impressive impressed praise success"
    " successful thrilled win winner glad thanks thankful grateful recommend recommended",
    1.0: "accurate agree benefit better calm clear comfortable easy effective fast friendly good"
    " growth helpful improve improved improvement improves like liked nice pleasant pleased quick"
    " reliable safe satisfied smooth stable strong support useful valuable warm welcome well",
}
NEGATIVE = {
    -3.0: "abysmal appalling awful catastrophic disaster disastrous dreadful hate hated horrible"
    " terrible worst unacceptable",
    -2.0: "angry bad broken complain complained complaint complaints crash crashed damage damaged"
    " disappointed disappointing fail failed failing failure fails frustrated frustrating lost"
    " outage sad unhappy useless waste wasted worse",
    -1.0: "annoying bug bugs concern concerned confusing delay delayed delays difficult dirty"
    " error errors expensive hard incident late lack missing noisy poor problem problems risk"
    " slow unclear unreliable unstable weak worried worry wrong",
}
LEXICON = {
    word: value
    for table in (POSITIVE, NEGATIVE)
    for value, row in table.items()
    for word in row.split()
}
NEGATIONS = frozenset(
    {"cannot", "hardly", "never", "no", "nobody", "none", "nor", "not", "nothing"}
)
STRONGER = ("absolutely", "completely", "extremely", "highly", "incredibly", "really", "so", "very")
WEAKER = ("fairly", "little", "partly", "rather", "slightly", "somewhat")
INTENSIFIERS = {**dict.fromkeys(STRONGER, 1.4), **dict.fromkeys(WEAKER, 0.6)}
REACH = 3
NEGATED = -0.74
EXPECTED_SUM_SQUARED = 15.0
NEUTRAL_BELOW = 0.05

_CLAUSE_END = re.compile(r"[.!?;:,\n]+|\bbut\b|\bhowever\b", re.IGNORECASE)

SERVICE = Service(
    name="sentiment-analysis",
    type="CUSTOM",
    description="Says whether an English text sounds positive, negative or neutral.",
    tags=("reference", "text"),
)


def sentiment_score(text: str) -> float:
    """Return -1 (negative) to 1 (positive).

    A lexicon sum with negation and intensifiers inside each clause, brought into -1..1 as VADER
    does it (C. J. Hutto and E. Gilbert, 2014): sum / sqrt(sum² + 15).
    """
    total = sum(_clause_score(words(clause)) for clause in _CLAUSE_END.split(text))
    return round(total / math.sqrt(total * total + EXPECTED_SUM_SQUARED), 4)


def _clause_score(clause: list[str]) -> float:
    total = 0.0
    for index, word in enumerate(clause):
        value = LEXICON.get(word, 0.0)
        if value:
            before = clause[max(0, index - REACH) : index]
            total += value * _factor(before)
    return total


def _factor(before: list[str]) -> float:
    factor = 1.0
    for word in before:
        if word in NEGATIONS or word.endswith(("n't", "n\u2019t")):
            factor *= NEGATED
        factor *= INTENSIFIERS.get(word, 1.0)
    return factor


@SERVICE.action(
    "POST",
    "/analyze",
    "The sentiment of a text, by a small lexicon with negation.",
    input_schema=record({"text": described(TEXT, "Text to analyze.")}, required="text"),
    output_schema=record(
        {
            "sentiment": {"enum": ["positive", "negative", "neutral"]},
            "score": {"type": "number", "minimum": -1, "maximum": 1},
        },
        required="sentiment score",
    ),
)
def analyze(call: Call) -> JsonObject:
    score = sentiment_score(call.input["text"])
    if abs(score) < NEUTRAL_BELOW:
        return {"sentiment": "neutral", "score": score}
    return {"sentiment": "positive" if score > 0 else "negative", "score": score}
