"""Collects errors and warnings of a definition, each at its path."""

from __future__ import annotations

from collections.abc import Iterable

from core.suggestions import did_you_mean

# Comparing a name with hundreds of others takes a millisecond, and a document may hold thousands.
MAX_SUGGESTIONS = 100


class Findings:
    """Errors by path, and warnings."""

    def __init__(
        self, errors: dict[str, list[str]] | None = None, warnings: list[str] | None = None
    ) -> None:
        self.errors = {} if errors is None else errors
        self.warnings = [] if warnings is None else warnings
        self._suggestions = 0

    def refuse(self, path: str, sentence: str) -> None:
        self.errors.setdefault(path, []).append(sentence)

    def doubt(self, path: str, sentence: str) -> None:
        self.warnings.append(f"{path}: {sentence}")

    def suggest(self, name: str, names: Iterable[str]) -> str:
        """End a sentence: with names that are close, for as many as time allows, or a full stop."""
        self._suggestions += 1
        return did_you_mean(name, names) if self._suggestions <= MAX_SUGGESTIONS else "."
