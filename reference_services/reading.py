"""Reads documents in a process of their own: a hostile one costs that process, not the service.

What a parser does with a file cannot be bounded from within: deep trees, patterns and unpacking
take what they take. So it has so many seconds and so much memory, and then it is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from reference_services.documents import Document, DocumentError, read_document

MOST_SECONDS = 10.0
MOST_MEMORY_BYTES = 512 * 1024 * 1024
_TITLE_CHARACTERS = 500
_ROOT = Path(__file__).resolve().parents[1]


async def read_apart(path: Path) -> Document:
    """Return what `read_document` does of a file, read by a process with limits.

    Raises:
        DocumentError: it cannot be read, or not within the limits.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-B", "-m", __name__, str(path),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, cwd=_ROOT, env={},
    )  # fmt: skip
    try:
        async with asyncio.timeout(MOST_SECONDS):
            told, _ = await process.communicate()
    except TimeoutError:
        raise _too_slow() from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return _document(process.returncode, told)


def _document(code: int | None, told: bytes) -> Document:
    """Return what a process told of a file. Raises: DocumentError."""
    if code == -signal.SIGXCPU:
        raise _too_slow()
    try:
        found = json.loads(told)
    except ValueError:
        raise DocumentError(f"the process that read it ended with code {code}.") from None
    if "error" in found:
        raise DocumentError(found["error"])
    return Document(found["text"], found["media_type"], found["metadata"])


def _too_slow() -> DocumentError:
    return DocumentError(f"it cannot be read within {MOST_SECONDS:g} seconds.")


def _too_large() -> DocumentError:
    mebibytes = MOST_MEMORY_BYTES // 1024 // 1024
    return DocumentError(f"it cannot be read within {mebibytes} MiB of memory.")


def tell(path: Path) -> dict[str, Any]:
    """Return what is told of a file: its text, or why it has none."""
    try:
        document = read_document(path)
    except DocumentError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": f"the file cannot be read: {error.strerror}."}
    except MemoryError:
        return {"error": str(_too_large())}
    except RecursionError:
        return {"error": "it is nested too deeply."}
    metadata = {
        name: value[:_TITLE_CHARACTERS] if isinstance(value, str) else value
        for name, value in document.metadata.items()
    }
    return {"text": document.text, "media_type": document.media_type, "metadata": metadata}


def limit_this_process() -> None:
    """Bound what this process may take, for good."""
    seconds = int(MOST_SECONDS) + 1
    for kind, most in (
        (resource.RLIMIT_AS, MOST_MEMORY_BYTES),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        # Not every system has each of them; the deadline holds anyhow.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    limit_this_process()
    sys.stdout.write(json.dumps(tell(Path(sys.argv[1]))))
