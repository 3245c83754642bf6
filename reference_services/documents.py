"""The text of a file, by its kind."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from reference_services.pdf_text import PdfError, read_pdf

MAX_FILE_BYTES = 5 * 1024 * 1024
MAX_TEXT_CHARACTERS = 200_000
MEDIA_TYPES = {
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": "application/pdf",
}


class DocumentError(Exception):
    """The file cannot be read as a document; the message says why."""


@dataclass(frozen=True)
class Document:
    """A document's text, and what its file says about it."""

    text: str
    media_type: str
    metadata: dict[str, Any] = field(default_factory=dict)


def read_document(path: Path) -> Document:
    media_type = MEDIA_TYPES.get(path.suffix.lower())
    if media_type is None:
        raise DocumentError(f"only {', '.join(MEDIA_TYPES)} files are read.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise DocumentError(f"the file is larger than {MAX_FILE_BYTES} bytes.")
    text, metadata = _READERS[media_type](path.read_bytes())
    if len(text) > MAX_TEXT_CHARACTERS:
        text, metadata = text[:MAX_TEXT_CHARACTERS], {**metadata, "truncated": True}
    return Document(text, media_type, metadata)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _read_plain(data: bytes) -> tuple[str, dict[str, Any]]:
    return _decoded(data).strip(), {}


_MARKDOWN = (
    (re.compile(r"^```.*$|^~~~.*$|^\s*(?:[-*_]\s*){3,}$|^\s*\|?[\s:|-]+\|[\s:|-]*$", re.M), ""),
    (re.compile(r"^\s{0,3}#{1,6}\s+(.*?)\s*#*\s*$", re.M), r"\1\n"),
    (re.compile(r"^\s{0,3}>\s?", re.M), ""),
    (re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"(\*\*|__|\*|`)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"\n{3,}"), "\n\n"),
)


def _read_markdown(data: bytes) -> tuple[str, dict[str, Any]]:
    text = _decoded(data)
    title = re.search(r"^#\s+(.+?)\s*#*\s*$", text, re.M)
    for pattern, replacement in _MARKDOWN:
        text = pattern.sub(replacement, text)
    return text.strip(), {"title": title.group(1)} if title else {}


_BLOCK_TAGS = (
    "address article aside blockquote br dd div dl dt footer form h1 h2 h3 h4 h5 h6 header hr"
    " li main nav ol p pre section table td th tr ul"
)


class _VisibleText(HTMLParser):
    """Gathers what a browser would show; blocks end a paragraph."""

    HIDDEN = frozenset({"script", "style", "template", "noscript", "title"})
    BLOCKS = frozenset(_BLOCK_TAGS.split())

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title = ""
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.HIDDEN:
            self._hidden.append(tag)
        elif tag in self.BLOCKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            del self._hidden[self._hidden.index(tag) :]
        elif tag in self.BLOCKS:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(re.sub(r"\s+", " ", data))
        elif self._hidden[-1] == "title":
            self.title += data


def _read_html(data: bytes) -> tuple[str, dict[str, Any]]:
    parser = _VisibleText()
    parser.feed(_decoded(data))
    parser.close()
    paragraphs = (" ".join(part.split()) for part in "".join(parser.parts).split("\n\n"))
    title = " ".join(parser.title.split())
    return "\n\n".join(part for part in paragraphs if part), {"title": title} if title else {}


def _read_pdf(data: bytes) -> tuple[str, dict[str, Any]]:
    try:
        return read_pdf(data)
    except PdfError as error:
        raise DocumentError(str(error)) from error


_READERS = {
    "text/plain": _read_plain,
    "text/markdown": _read_markdown,
    "text/html": _read_html,
    "application/pdf": _read_pdf,
}
