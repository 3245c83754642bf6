"""The text layer of simple PDF files (ISO 32000): content streams, plain or FlateDecode.

Strings are read as single bytes in the Windows encoding, which is what standard fonts use. Files
that are encrypted, or whose fonts map glyphs by tables of their own, are refused with a sentence.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

MAX_INFLATED_BYTES = 20 * 1024 * 1024
WORD_GAP = -180
NEW_LINE = frozenset({"'", '"', "T*", "Tm", "BT"})

_STREAM = re.compile(rb"(<<(?:(?!endobj).)*?>>)\s*stream\r?\n(.*?)\r?\n?endstream", re.S)
_TITLE = re.compile(rb"/Title\s*(\((?:\\.|[^\\()])*\))", re.S)
_PAGE = re.compile(rb"/Type\s*/Page\b(?!s)")
_TEXT_OBJECT = re.compile(rb"\bBT\b.*?(?:Tj|TJ|'|\")", re.S)
_TOKEN = re.compile(
    rb"(?P<string>\()|(?P<hex><[0-9A-Fa-f\s]*>)|(?P<mark>[\[\]])|"
    rb"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))|(?P<name>/[^\s<>\[\](){}/%]*)|"
    rb"(?P<operator>[A-Za-z'\"][A-Za-z0-9*'\"]*)|(?P<other>\S)"
)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


class PdfError(Exception):
    """No text can be read; the message says why."""


def read_pdf(data: bytes) -> tuple[str, dict[str, Any]]:
    """Text and metadata (`pages`, `title`). Raises: PdfError."""
    if not data.lstrip()[:5] == b"%PDF-":
        raise PdfError("the file does not begin like a PDF.")
    if b"/Encrypt" in data:
        raise PdfError("the PDF is encrypted.")
    pages = [_text_of(content) for content in _content_streams(data)]
    text = "\n\n".join(page for page in pages if page)
    if not text or sum(char.isprintable() or char.isspace() for char in text) < 0.8 * len(text):
        raise PdfError("the PDF has no text layer that can be read.")
    metadata: dict[str, Any] = {"pages": len(_PAGE.findall(data)) or len(pages)}
    title = _TITLE.search(data)
    if title:
        metadata["title"] = _decoded(_literal(title.group(1), 1)[0])
    return text, metadata


def _content_streams(data: bytes) -> Iterator[bytes]:
    left = MAX_INFLATED_BYTES
    for match in _STREAM.finditer(data):
        dictionary, content = match.groups()
        if b"/FlateDecode" in dictionary:
            content = _inflated(content, limit=left)
            left -= len(content)
        elif b"/Filter" in dictionary:
            continue
        if _TEXT_OBJECT.search(content):
            yield content


def _inflated(content: bytes, *, limit: int) -> bytes:
    if limit <= 0:
        raise PdfError(f"the PDF holds more than {MAX_INFLATED_BYTES} bytes once unpacked.")
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(content, limit)
    except zlib.error as error:
        raise PdfError("a compressed part of the PDF is damaged.") from error
    if unpacker.unconsumed_tail:
        raise PdfError(f"the PDF holds more than {MAX_INFLATED_BYTES} bytes once unpacked.")
    return unpacked


def _text_of(content: bytes) -> str:
    lines = (" ".join(line.split()) for line in _shown(content).splitlines())
    return "\n".join(line for line in lines if line)


def _shown(content: bytes) -> str:
    """Runs the operators of a content stream and gathers what they show."""
    shown: list[str] = []
    operands: list[Any] = []
    for kind, value in _tokens(content):
        if kind != "operator":
            operands.append(value)
            continue
        strings = [operand for operand in operands if isinstance(operand, bytes)]
        if value in NEW_LINE or (value in ("Td", "TD") and _moves_down(operands)):
            shown.append("\n")
        if value in ("Tj", "'", '"'):
            shown += [_decoded(string) for string in strings]
        elif value == "TJ":
            shown += [_element(operand) for operand in operands]
        operands = []
    return "".join(shown)


def _moves_down(operands: list[Any]) -> bool:
    return bool(operands) and isinstance(operands[-1], float) and operands[-1] != 0


def _element(operand: Any) -> str:
    """One element of a TJ array: a string, or a move that is a blank when it is wide."""
    if isinstance(operand, bytes):
        return _decoded(operand)
    return " " if isinstance(operand, float) and operand < WORD_GAP else ""


def _tokens(block: bytes) -> Iterator[tuple[str, Any]]:
    position = 0
    while match := _TOKEN.search(block, position):
        position = match.end()
        kind, raw = str(match.lastgroup), match.group()
        if kind == "string":
            string, position = _literal(block, position)
            yield kind, string
        elif kind == "hex":
            digits = b"".join(raw[1:-1].split())
            yield kind, bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode())
        elif kind == "number":
            yield kind, float(raw)
        else:
            yield kind, raw.decode("latin-1")


def _literal(block: bytes, position: int) -> tuple[bytes, int]:
    """A string in round brackets from behind its opening one; and where it ends."""
    found = bytearray()
    depth = 1
    while position < len(block):
        char = block[position : position + 1]
        position += 1
        if char == b"\\":
            escaped, position = _escape(block, position)
            found += escaped
            continue
        depth += (char == b"(") - (char == b")")
        if depth == 0:
            break
        found += char
    return bytes(found), position


def _escape(block: bytes, position: int) -> tuple[bytes, int]:
    octal = re.compile(rb"[0-7]{1,3}").match(block, position)
    if octal:
        return bytes([int(octal.group(), 8) & 0xFF]), octal.end()
    char = block[position : position + 1]
    if char == b"\n":
        return b"", position + 1
    return _ESCAPES.get(char, char), position + 1


def _decoded(string: bytes) -> str:
    if string.startswith(b"\xfe\xff"):
        return string[2:].decode("utf-16-be", errors="replace")
    return string.decode("cp1252", errors="replace")
