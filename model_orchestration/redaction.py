"""Takes what identifies people, and what opens doors, out of text (pure).

Each thing gets a name, `[EMAIL_1]`, and the same thing the same one throughout a request, so that
what was said can still be followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from re import _constants as constants
from re import _parser as parser
from typing import Any

MOST_PATTERNS = 20
LONGEST_PATTERN = 200
# In how many ways a pattern of somebody's own may fit at one place: what bounds going back.
MOST_WAYS = 100
_KIND = re.compile(r"[A-Z][A-Z0-9_]{0,29}")


@dataclass(frozen=True, slots=True)
class RedactionPattern:
    """What is taken out, under which name; `holds` says whether what looks so is so."""

    kind: str
    expression: re.Pattern[str]
    holds: Callable[[str], bool] = bool


def _luhn(text: str) -> bool:
    """Return whether the check digit of a card's number is right."""
    digits = [int(each) for each in text if each.isdigit()][::-1]
    doubled = (sum(divmod(2 * each, 10)) for each in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _mod97(text: str) -> bool:
    """Return whether the check digits of an IBAN are right."""
    plain = text.replace(" ", "").upper()
    return int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97 == 1


# In their order: what one takes out, the next does not see.
BUILT_IN = (
    RedactionPattern(
        "PRIVATE_KEY",
        re.compile(
            r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s\\]*"
            r"(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
        ),
    ),
    RedactionPattern("JWT", re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]{5,}")),
    RedactionPattern(
        "KEY",
        re.compile(
            r"\b(?:(?:sk|pk|rk|xox[abeprs]|glpat|hf|npm|pypi)[-_]|gh[opsu]_|github_pat_|si_|AIza)"
            r"[A-Za-z0-9_-]{8,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
        ),
    ),
    RedactionPattern("KEY", re.compile(r"(?i)(?<=\bbearer )[\w.~+/-]{8,}=*")),
    RedactionPattern("KEY", re.compile(r"(?<=://)[^\s:/@]{1,100}:[^\s/@]{1,100}(?=@)")),
    RedactionPattern(
        "SECRET",
        re.compile(
            r"(?i)(?:passwor[dt]|passwd|secret|api[_-]?key|access[_-]?token)"
            r"[\"']?\s{0,3}[:=]\s{0,3}[\"']?[^\s\"',;\[\]]{4,200}"
        ),
    ),
    RedactionPattern(
        "EMAIL", re.compile(r"[\w.+%-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
    ),
    RedactionPattern(
        "IBAN",
        re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        _mod97,
    ),
    RedactionPattern("CARD", re.compile(r"(?<![\d.])[0-9](?:[ -]?[0-9]){12,18}(?![\d.])"), _luhn),
    RedactionPattern(
        "PHONE", re.compile(r"(?<![\w+])(?:\+|00)[1-9](?:[ ./()-]{0,2}[0-9]){6,14}(?!\d)")
    ),
)  # fmt: skip


class Redactor:
    """Takes out of the texts of one request what patterns find."""

    def __init__(self, own: Iterable[tuple[str, str]] = ()) -> None:
        mine = (RedactionPattern(kind, re.compile(text)) for kind, text in own)
        self._patterns = (*mine, *BUILT_IN)
        self._names: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self.redactions = 0

    def text(self, text: str) -> str:
        """Return a text with names in place of what was found."""
        for pattern in self._patterns:
            text = pattern.expression.sub(partial(self._name, pattern), text)
        return text

    def value(self, value: Any) -> Any:
        """Return the same JSON, with names in its texts and keys."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.value(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        if isinstance(value, int) and not isinstance(value, bool):
            told = self.text(str(value))
            return value if told == str(value) else told
        return value

    def _name(self, pattern: RedactionPattern, match: re.Match[str]) -> str:
        found = match[0]
        if not pattern.holds(found):
            return found
        self.redactions += 1
        key = (pattern.kind, found)
        if key not in self._names:
            count = self._counts[pattern.kind] = self._counts.get(pattern.kind, 0) + 1
            self._names[key] = f"[{pattern.kind}_{count}]"
        return self._names[key]


def refusal_of(kind: Any, text: Any) -> str:
    """Return the field and what is wrong with it, of somebody's own pattern; empty if nothing is.

    Its repetitions have to be bounded, and not inside one another: then none can go back for long.
    """
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        return "name: Use a word in capital letters, such as CUSTOMER."
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST_PATTERN:
        return f"pattern: Give a regular expression of at most {LONGEST_PATTERN} characters."
    try:
        re.compile(text)
        tree = parser.parse(text)
        ways = _ways(tree)
    except (re.error, OverflowError, RecursionError) as error:
        return f"pattern: It is no regular expression: {error}."
    except _Unbounded as error:
        return f"pattern: {error}"
    if tree.getwidth()[0] == 0:
        return "pattern: It fits where nothing is."
    if ways > MOST_WAYS:
        return (
            f"pattern: It can fit in {ways} ways at one place, and {MOST_WAYS} are allowed."
            " Make its repetitions shorter."
        )
    return ""


class _Unbounded(Exception):
    """A pattern may go back without end, or nobody can say."""


_PLAIN = frozenset(
    {constants.LITERAL, constants.NOT_LITERAL, constants.ANY, constants.IN, constants.AT}
)


def _ways(items: Any) -> int:
    """Return in how many ways a pattern can fit at one place at most. Raises: _Unbounded."""
    ways = 1
    for kind, what in items:
        if kind in _PLAIN:
            continue
        if kind in (constants.MAX_REPEAT, constants.MIN_REPEAT):
            least, most, inside = what
            if most == constants.MAXREPEAT or most > MOST_WAYS:
                raise _Unbounded(
                    f"Bound its repetitions: {{1,30}} and not + or *, {MOST_WAYS} at most."
                )
            if _ways(inside) > 1:
                raise _Unbounded("Repeat nothing that has repetitions or alternatives in it.")
            ways *= most - least + 1
        elif kind is constants.SUBPATTERN:
            ways *= _ways(what[-1])
        elif kind is constants.BRANCH:
            ways *= sum(_ways(branch) for branch in what[1])
        else:
            raise _Unbounded(
                "Use characters, classes, groups, alternatives and bounded repetitions only."
            )
    return ways
