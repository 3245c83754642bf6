import asyncio
import io
import re
import subprocess
import sys

import pytest
from pypdf import PdfWriter

from reference_services.documents import MAX_INFLATED_BYTES, DocumentError, read_document
from reference_services.runner import SAMPLES
from reference_services.services.text_extraction import SERVICE
from tests.reference_services.pdf_builder import build_pdf, write_objects


async def extract(service, url, *, status=200):
    answer = await service.post("/extract", json={"document_url": url})
    content = await answer.json()
    assert answer.status == status, content
    return content


async def test_web_address_finds_the_sample_of_that_name(start_service):
    service = await start_service("text-extraction")

    answer = await extract(service, "https://example.com/a/document.pdf?version=2")

    assert answer["text"].startswith("A library for the whole town")
    assert answer["metadata"]["pages"] == 2
    assert answer["metadata"]["title"] == "A library for the whole town"
    assert answer["metadata"]["media_type"] == "application/pdf"


@pytest.mark.parametrize("path", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
async def test_every_sample_is_read(start_service, path):
    service = await start_service("text-extraction")

    answer = await extract(service, path.as_uri())

    assert answer["metadata"]["words"] > 50
    assert "<" not in answer["text"]
    assert "**" not in answer["text"]


async def test_unknown_document_names_the_known_ones(start_service):
    service = await start_service("text-extraction")

    answer = await extract(service, "https://example.com/nope.pdf", status=404)

    assert "There is no document nope.pdf." in answer["message"]
    assert "document.pdf" in answer["message"]


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", f"file://{SAMPLES}/../runner.py", f"file://{SAMPLES}/%2e%2e/app.py"],
)
async def test_files_outside_the_folders_are_refused(start_service, url):
    service = await start_service("text-extraction")

    answer = await extract(service, url, status=403)

    assert answer["code"] == "permission_denied"


async def test_link_out_of_the_folder_is_refused(start_service, tmp_path):
    service = await start_service("text-extraction")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "link.txt").symlink_to(tmp_path / "secret.txt")

    await extract(service, (tmp_path / "documents" / "link.txt").as_uri(), status=403)


async def test_document_placed_in_the_data_folder_is_read(start_service, tmp_path):
    service = await start_service("text-extraction")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "mine.txt").write_bytes("Caf\xe9 au lait.".encode("cp1252"))

    answer = await extract(service, "https://example.com/mine.txt")

    assert answer["text"] == "Café au lait."


@pytest.mark.parametrize("url", ["ftp://example.com/a.txt", "not a url", "https://x/%00.txt"])
async def test_addresses_that_cannot_be_read_are_refused(start_service, url):
    service = await start_service("text-extraction")

    await extract(service, url, status=400)


async def test_file_of_an_unknown_kind_is_refused(start_service, tmp_path):
    service = await start_service("text-extraction")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "song.mp3").write_bytes(b"ID3")

    answer = await extract(service, "https://example.com/song.mp3", status=422)

    assert "only .txt, .md" in answer["message"]


def read_pdf(folder, data):
    path = folder / "document.pdf"
    path.write_bytes(data)
    return read_document(path)


def encrypted_pdf(*, password):
    writer = PdfWriter(io.BytesIO(build_pdf(pages=[["Secret words"]])))
    writer.encrypt(password, "the owner's", algorithm="AES-256")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def damaged_pdf():
    """A PDF of two pages, of which the first cannot be unpacked."""
    data = build_pdf(pages=[["Some words"], ["and more"]])
    start = data.index(b"stream\n") + len(b"stream\n")
    end = data.index(b"\nendstream")
    return data[:start] + b"x" * (end - start) + data[end:]


@pytest.mark.parametrize("compress", [True, False])
def test_pdf_text_layer_is_read_line_by_line(tmp_path, compress):
    lines = ["First (very) odd \\ line", "moved words here", "BT and ET are words too"]
    data = build_pdf(pages=[lines, ["Page two"]], title="T (1)", compress=compress)

    document = read_pdf(tmp_path, data)

    assert document.text == "\n".join(lines) + "\n\nPage two"
    assert document.metadata == {"pages": 2, "title": "T (1)"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello", "does not begin like a PDF"),
        (encrypted_pdf(password="a password"), "encrypted"),
        (encrypted_pdf(password=""), "encrypted"),
        (build_pdf(pages=[[]]), "no text layer"),
        (b"%PDF-1.4\n", "damaged"),
        (build_pdf(pages=[["Some words"]]).replace(b"/Kids [4", b"/Kids [3"), "damaged|no text"),
        (damaged_pdf(), "damaged"),
    ],
    # Encrypted ones have other bytes in each process.
    ids=["no PDF", "password", "no password", "empty page", "header", "page tree", "objects"],
)
def test_pdf_without_readable_text_is_refused_with_a_reason(tmp_path, data, reason):
    with pytest.raises(DocumentError, match=reason):
        read_pdf(tmp_path, data)


@pytest.mark.parametrize("pages", [1, 3])
def test_pdf_that_unpacks_to_too_much_is_refused(tmp_path, pages):
    data = build_pdf(pages=[["x"]] * pages, padding=MAX_INFLATED_BYTES * 5 // 4 // pages)

    with pytest.raises(DocumentError, match="bytes once unpacked"):
        read_pdf(tmp_path, data)


def test_description_says_that_nothing_is_fetched():
    assert "Nothing is fetched" in SERVICE.description


# --- Hostile documents, each read by a process with limits ---


def deep_pdf(*, depth):
    """Return a PDF whose pages are below so many others."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    objects += [
        b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % (number + 1)
        for number in range(2, depth + 2)
    ]
    objects.append(b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 9 9] >>" % (depth + 1))
    return write_objects(objects)


HOSTILE = {
    "deep.pdf": (deep_pdf(depth=20_000), "damaged|nested|no text|within"),
    "own-child.pdf": (
        build_pdf(pages=[["x"]]).replace(b"/Kids [4", b"/Kids [2"), "damaged|nested|no text|within"
    ),
    "bomb.pdf": (build_pdf(pages=[["x"]], padding=64 * 1024 * 1024), "unpacked|within"),
    "long.pdf": (
        build_pdf(pages=[["x"]], padding=6 * 1024 * 1024, compress=False), "larger than|within"
    ),
    "slow.md": (b"\n" * 400_000 + b"x", "within 2 seconds"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_document_costs_its_own_process_only(
    start_service, tmp_path, monkeypatch, name
):
    data, reason = HOSTILE[name]
    monkeypatch.setattr("reference_services.reading.MOST_SECONDS", 2)
    service = await start_service("text-extraction")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / name).write_bytes(data)

    answer, health = await asyncio.gather(
        extract(service, f"https://example.com/{name}", status=422), service.get("/health")
    )

    assert re.search(reason, answer["message"]), answer
    assert health.status == 200


async def test_memory_of_a_reading_process_is_bounded():
    program = (
        "from reference_services import reading;"
        "reading.limit_this_process();"
        "reading.read_document = lambda path: bytes(reading.MOST_MEMORY_BYTES);"
        "print(reading.tell(None)['error'])"
    )
    told = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "within 512 MiB of memory" in told.stdout
