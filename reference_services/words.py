"""Sentences and words of English text."""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])|\n\s*\n|\n(?=\s*[-*•])")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|Mr|Mrs|Ms|Dr|Prof|vs|No|Inc|Ltd|St)\.$")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")

_STOP_WORDS = """
    a about above after again against all also am an and any are as at be because been before
    being below between both but by can could did do does doing down during each few for from
    further had has have having he her here hers him his how i if in into is it its itself just
    me more most my no nor not now of off on once only or other our out over own same she should
    so some such than that the their them then there these they this those through to too under
    until up very was we were what when where which while who whom why will with would you
    your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def sentences(text: str) -> list[str]:
    """Return the sentences, blanks folded; an abbreviation does not end one."""
    folded: list[str] = []
    for part in _SENTENCE_END.split(text):
        sentence = " ".join(part.split())
        if not sentence:
            continue
        if folded and _ABBREVIATION.search(folded[-1]):
            folded[-1] += " " + sentence
        else:
            folded.append(sentence)
    return folded


def words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def content_words(text: str) -> list[str]:
    return [word for word in words(text) if word not in STOP_WORDS and len(word) > 2]
