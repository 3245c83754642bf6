"""Cuts text into tokens, without loss: joined again, they are the text.

A token is up to twelve letters with the blank before them, up to three digits with the blank before
them, one other character with the blank before it, or one blank.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r" ?[^\W\d_]{1,12}| ?\d{1,3}| ?[^\w\s]|\s|_")


def tokenize(text: str) -> list[str]:
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    return len(tokenize(text))
