"""Reads the text of a file, by its media type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pypdf import PdfReader

MAX_FILE_BYTES = 5 * 1024 * 1024
MAX_INFLATED_BYTES = 20 * 1024 * 1024
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
    # Imported here, as it takes 14 MB: each of the services loads this module.
    from pypdf import PdfReader
    from pypdf.errors import LimitReachedError

    if not data.lstrip().startswith(b"%PDF-"):
        raise DocumentError("the file does not begin like a PDF.")
    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted:
            raise DocumentError("the PDF is encrypted.")
        text = "\n\n".join(page for page in _page_texts(reader) if page)
        title = reader.metadata.title if reader.metadata else None
        pages = len(reader.pages)
    except (DocumentError, MemoryError, RecursionError):
        raise
    except LimitReachedError as error:
        raise DocumentError(
            f"the PDF is damaged, or holds more than {MAX_INFLATED_BYTES} bytes once unpacked."
        ) from error
    except Exception as error:  # pypdf raises whatever a damaged file makes it run into
        raise DocumentError("the PDF is damaged.") from error
    if not text or sum(char.isprintable() or char.isspace() for char in text) < 0.8 * len(text):
        raise DocumentError("the PDF has no text layer that can be read.")
    return text, {"pages": pages} if title is None else {"pages": pages, "title": title}


def _page_texts(reader: PdfReader) -> Iterator[str]:
    """Yield the lines of each page, with blanks folded. Raises: LimitReachedError."""
    from pypdf import apply_configuration

    left = MAX_INFLATED_BYTES
    for page in reader.pages:
        # An output of 0 is no limit; without recovery, a damaged page is no empty one.
        with apply_configuration(
            zlib_maximum_output_length=max(left, 1), zlib_maximum_recovery_input_length=0
        ):
            content = page.get_contents()
            left -= 0 if content is None else len(content.get_data())
            lines = (" ".join(line.split()) for line in page.extract_text().splitlines())
            yield "\n".join(line for line in lines if line)


_READERS = {
    "text/plain": _read_plain,
    "text/markdown": _read_markdown,
    "text/html": _read_html,
    "application/pdf": _read_pdf,
}
