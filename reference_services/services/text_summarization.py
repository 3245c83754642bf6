"""Summarises by picking sentences that hold the text's most frequent words."""

from __future__ import annotations

from collections import Counter

from reference_services.schemas import INTEGER, TEXT, JsonObject, described, nullable, record
from reference_services.service import Action, Call, Service
from reference_services.words import content_words, sentences

DEFAULT_SENTENCES = 3


def summarize_text(text: str, *, max_sentences: int) -> list[str]:
    """The sentences with the highest mean word frequency, in the order of the text.

    Extractive summarisation by word frequency after H. P. Luhn, 1958. Earlier sentences win ties.
    """
    found = sentences(text)
    frequency = Counter(word for sentence in found for word in content_words(sentence))

    def weight(place: int) -> tuple[float, int]:
        words = content_words(found[place])
        mean = sum(frequency[word] for word in words) / max(len(words), 5)
        return -mean, place

    chosen = sorted(range(len(found)), key=weight)[:max_sentences]
    return [found[place] for place in sorted(chosen)]


def summarize(call: Call) -> JsonObject:
    chosen = summarize_text(
        call.input["text"], max_sentences=call.get("max_sentences", DEFAULT_SENTENCES)
    )
    return {"summary": " ".join(chosen), "sentences": len(chosen)}


SERVICE = Service(
    name="text-summarization",
    type="CUSTOM",
    description="Summarises a text by picking its most telling sentences.",
    tags=("reference", "text"),
    actions=(
        Action(
            name="summarize",
            method="POST",
            path="/summarize",
            description="The text's most telling sentences, in their order.",
            input_schema=record(
                {
                    "text": described(TEXT, "The text to summarise."),
                    "max_sentences": described(
                        nullable({"type": "integer", "minimum": 1, "maximum": 50}),
                        f"How many sentences at most; {DEFAULT_SENTENCES} when absent.",
                    ),
                },
                required="text",
            ),
            output_schema=record(
                {"summary": TEXT, "sentences": described(INTEGER, "How many were picked.")},
                required="summary sentences",
            ),
            handler=summarize,
        ),
    ),
)
