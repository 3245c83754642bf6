"""Whether a path stays below the URL that it is appended to (pure).

A path is read as servers read it, some of which decode it more than once: `%2e%2e` and `%252e%252e`
are two dots, `%2f` and `%5c` part segments. RFC 3986, sections 3.3 and 5.2.4; CWE-22 lists forms.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

_FORM = re.compile(r"/[^\s\x00-\x1f\x7f?#\\]*\Z")
# Without one of these nothing can lead elsewhere.
_SUSPICIOUS = re.compile(r"//|/\.|%|\\")
_DECODINGS = 4
FORM_SENTENCE = "Must begin with / and have no blanks, query or fragment, such as /orders/{id}."
LEAVES_SENTENCE = (
    "Must lead below its base: no empty segments, no . or .. and no / or \\ inside of one, however"
    " they are written."
)


def check_path(path: str) -> None:
    """Refuse what is no path, or leads elsewhere than below its base.

    Raises:
        ValueError: with a sentence.
    """
    if not _FORM.match(path):
        raise ValueError(FORM_SENTENCE)
    if leaves_base(path):
        raise ValueError(LEAVES_SENTENCE)


def leaves_base(path: str) -> bool:
    """Return whether a server might read the path as one that is not below its base."""
    if not _SUSPICIOUS.search(path):
        return False
    *inner, last = path.split("/")[1:]
    return any(_is_elsewhere(segment) or not segment for segment in inner) or _is_elsewhere(last)


def _is_elsewhere(segment: str) -> bool:
    for _ in range(_DECODINGS):
        if segment.partition(";")[0] in (".", "..") or "/" in segment or "\\" in segment:
            return True
        segment = unquote(segment)
    return False
