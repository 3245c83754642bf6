"""Small pictures as PNG: a pattern of tiles, its colours from the words of the prompt."""

from __future__ import annotations

import hashlib
import struct
import zlib

TILES = 8


def picture(prompt: str, *, width: int, height: int) -> bytes:
    """Return a PNG of this size; the same prompt gives the same pattern, mirrored at its middle."""
    palette = _palette(prompt)
    chosen = hashlib.shake_128(f"tiles {prompt}".encode(errors="replace")).digest(TILES * TILES)
    rows = [_row(chosen[TILES * y : TILES * (y + 1)], palette, width) for y in range(TILES)]
    scanlines = b"".join(b"\0" + rows[min(y * TILES // height, TILES - 1)] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(scanlines, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _palette(prompt: str) -> list[bytes]:
    colours = hashlib.shake_128(f"colours {prompt}".encode(errors="replace")).digest(12)
    return [colours[index : index + 3] for index in range(0, 12, 3)]


def _row(chosen: bytes, palette: list[bytes], width: int) -> bytes:
    mirrored = chosen[: TILES // 2] + chosen[: TILES // 2][::-1]
    return b"".join(palette[mirrored[x * TILES // width] % len(palette)] for x in range(width))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
