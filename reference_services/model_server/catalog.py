"""The models that the server has, and what each can do."""

from __future__ import annotations

from dataclasses import dataclass

CREATED = 1_764_547_200  # when the models were published: fixed, as lists are compared


@dataclass(frozen=True)
class LocalModel:
    """`kind` is chat, embedding, image or audio; sizes are in tokens."""

    name: str
    kind: str
    description: str
    context: int = 2048
    longest_answer: int = 512
    thinks: bool = False
    dimensions: int = 0


MODELS = {
    model.name: model
    for model in (
        LocalModel("tiny-1", "chat", "Short answers; 2,048 tokens of context."),
        LocalModel(
            "tiny-1-large",
            "chat",
            "The same with 32,768 tokens of context.",
            context=32_768,
            longest_answer=4096,
        ),
        LocalModel(
            "tiny-1-thinking",
            "chat",
            "Drafts before it answers; the draft counts as reasoning tokens.",
            thinks=True,
        ),
        LocalModel(
            "tiny-embed", "embedding", "Vectors of hashed n-grams.", context=8192, dimensions=256
        ),
        LocalModel("tiny-image", "image", "Patterns as PNG."),
        LocalModel("tiny-morse", "audio", "Reads Morse code from WAV files."),
    )
}
