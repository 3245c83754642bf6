"""Writes small PDF files with a text layer, for the tests and for the sample document."""

from __future__ import annotations

import zlib


def build_pdf(
    *, pages: list[list[str]], title: str = "", compress: bool = True, padding: int = 0
) -> bytes:
    """Return a PDF whose pages hold the given lines, and each so many blanks that nobody sees.

    The words of every other line are moved apart by TJ.
    """
    count = len(pages)
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, lines in enumerate(pages):
        objects.append(_page(content_number=5 + 2 * number))
        objects.append(_stream(_content(lines) + b" " * padding, compress=compress))
    objects.append(b"<< /Title " + _literal(title) + b" /Producer (Reference documents) >>")
    return write_objects(objects)


def _page(*, content_number: int) -> bytes:
    return (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842]"
        b" /Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R >>" % content_number
    )


def _content(lines: list[str]) -> bytes:
    shown = [b"BT /F1 11 Tf 72 770 Td 15 TL"]
    for number, line in enumerate(lines):
        if number % 2:
            words = b" -278 ".join(_literal(word) for word in line.split())
            shown.append(b"[" + words + b"] TJ T*")
        else:
            shown.append(_literal(line) + b" Tj T*")
    return b"\n".join([*shown, b"ET"])


def _literal(text: str) -> bytes:
    raw = text.encode("cp1252").replace(b"\\", b"\\\\")
    return b"(" + raw.replace(b"(", b"\\(").replace(b")", b"\\)") + b")"


def _stream(content: bytes, *, compress: bool) -> bytes:
    body = zlib.compress(content) if compress else content
    entry = b"/Filter /FlateDecode " if compress else b""
    return b"<< %s/Length %d >>\nstream\n%s\nendstream" % (entry, len(body), body)


def write_objects(objects: list[bytes]) -> bytes:
    """Return the file of numbered objects; the first is the catalog, the last tells of it."""
    data = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    data += b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        len(objects),
        start,
    )
    return bytes(data)
