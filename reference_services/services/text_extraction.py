"""Reads the text of documents: plain text, Markdown, HTML, and PDF files with a text layer."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from reference_services.documents import Document, DocumentError
from reference_services.problems import (
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    UnprocessableError,
)
from reference_services.reading import read_apart
from reference_services.schemas import OBJECT, TEXT, JsonObject, described, nullable, record
from reference_services.service import Call, Service
from reference_services.words import sentences, words

SERVICE = Service(
    name="text-extraction",
    type="CUSTOM",
    description=(
        "Reads the text of documents: plain text, Markdown, HTML and simple PDF. Files come from"
        " file:// URLs below its folders; of an http(s):// URL only the file name is used, to find"
        " a document in the same folders. Nothing is fetched."
    ),
    tags=("reference", "text"),
)


async def read(call: Call) -> Document:
    """Return the document that an input names. Raises: ServiceError."""
    path = locate(call.input["document_url"], folders=call.folders)
    try:
        return await read_apart(path)
    except DocumentError as error:
        raise UnprocessableError(f"{path.name}: {error}") from error


@SERVICE.action(
    "POST",
    "/extract",
    "Extract text from a document.",
    input_schema=record(
        {
            "document_url": {
                "type": "string",
                "format": "uri",
                "description": "URL of the document to extract text from.",
            },
            "language": described(nullable(TEXT), "Language of the document."),
        },
        required="document_url",
    ),
    output_schema=record(
        {
            "text": described(TEXT, "Extracted text."),
            "metadata": described(OBJECT, "Metadata about the extraction."),
        },
        required="text",
    ),
    prepare=read,
)
def extract(call: Call) -> JsonObject:
    document: Document = call.prepared
    metadata = {
        **document.metadata,
        "file_name": locate(call.input["document_url"], folders=call.folders).name,
        "media_type": document.media_type,
        "language": call.get("language", "en"),
        "characters": len(document.text),
        "words": len(words(document.text)),
        "sentences": len(sentences(document.text)),
    }
    return {"text": document.text, "metadata": metadata}


def locate(url: str, *, folders: tuple[Path, ...]) -> Path:
    """Return the file that a URL means.

    ``file://`` must lie below one of the folders. For ``http(s)://`` nothing is fetched: the last
    part of the path is looked up by name in the folders.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)
    if "\0" in path:
        raise InvalidInputError("document_url: the path holds a NUL character.")
    if parts.scheme == "file":
        return _below_folders(Path(path), folders=folders)
    if parts.scheme in ("http", "https"):
        return _by_name(Path(path).name, folders=folders)
    raise InvalidInputError(
        f"document_url: {parts.scheme}:// is not read; use file:// or https://."
    )


def _below_folders(path: Path, *, folders: tuple[Path, ...]) -> Path:
    resolved = path.resolve()
    if not any(resolved.is_relative_to(folder.resolve()) for folder in folders):
        raise NotAllowedError("document_url: this service may not read files in that folder.")
    if not resolved.is_file():
        raise NotFoundError(f"There is no document {resolved.name}. {_known(folders)}")
    return resolved


def _by_name(name: str, *, folders: tuple[Path, ...]) -> Path:
    for path in _documents(folders):
        if path.name == name:
            return path
    raise NotFoundError(f"There is no document {name or '(no name)'}. {_known(folders)}")


def _documents(folders: tuple[Path, ...]) -> list[Path]:
    existing = [folder for folder in folders if folder.is_dir()]
    return [path for folder in existing for path in sorted(folder.iterdir()) if path.is_file()]


def _known(folders: tuple[Path, ...]) -> str:
    return f"There are {', '.join(path.name for path in _documents(folders)) or 'none'}."
