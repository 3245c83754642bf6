"""What was tried, and what got through."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

MOST_SHOWN = 20


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass
class Findings:
    """Counts attempts by section; one that got through is kept with a sentence."""

    attempts: Counter[str] = field(default_factory=Counter)
    # Of whom a later change befalls, one of so many is tried.
    one_in: int = 1
    through: dict[str, list[str]] = field(default_factory=dict)

    def tried(self, section: str, number: int = 1) -> None:
        self.attempts[section] += number

    def got_through(self, section: str, sentence: str) -> None:
        self.through.setdefault(section, []).append(sentence)

    def hold(self, section: str, is_held: bool, sentence: str) -> None:
        """Count an attempt, and that it got through where it was not held."""
        self.tried(section)
        if not is_held:
            self.got_through(section, sentence)

    @property
    def total(self) -> int:
        return sum(self.attempts.values())

    @property
    def total_through(self) -> int:
        return sum(len(sentences) for sentences in self.through.values())

    def report(self, sections: Iterable[str]) -> None:
        """Print a line for each of these sections, and what got through."""
        for section in sections:
            sentences = self.through.get(section, [])
            number = self.attempts[section]
            say(f"  {section:<44}{number:>7} attempts {len(sentences):>5} through")
            for sentence in sentences[:MOST_SHOWN]:
                say(f"  ! {sentence[:400]}")
            if len(sentences) > MOST_SHOWN:
                say(f"  ! and {len(sentences) - MOST_SHOWN} more")
