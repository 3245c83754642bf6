"""Summarises by picking sentences that hold the text's most frequent words."""

from __future__ import annotations

from collections import Counter

from reference_services.schemas import INTEGER, TEXT, JsonObject, described, nullable, record
from reference_services.service import Call, Service
from reference_services.words import content_words, sentences

DEFAULT_SENTENCES = 3

SERVICE = Service(
    name="text-summarization",
    type="CUSTOM",
    description="Summarises a text by picking its most telling sentences.",
    tags=("reference", "text"),
)


def summarize_text(text: str, *, max_sentences: int) -> list[str]:
    """Return the sentences with the highest mean word frequency, in the order of the text.

    Extractive summarisation by word frequency after H. P. Luhn, 1958. Earlier sentences win ties.
    """
    ordered = sentences(text)
    frequency = Counter(word for sentence in ordered for word in content_words(sentence))

    def weight(index: int) -> tuple[float, int]:
        words = content_words(ordered[index])
        mean = sum(frequency[word] for word in words) / max(len(words), 5)
        return -mean, index

    chosen = sorted(range(len(ordered)), key=weight)[:max_sentences]
    return [ordered[index] for index in sorted(chosen)]


@SERVICE.action(
    "POST",
    "/summarize",
    "The text's most telling sentences, in their order.",
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
)
def summarize(call: Call) -> JsonObject:
    chosen = summarize_text(
        call.input["text"], max_sentences=call.get("max_sentences", DEFAULT_SENTENCES)
    )
    return {"summary": " ".join(chosen), "sentences": len(chosen)}
