import pytest

from reference_services.pdf_text import PdfError, read_pdf
from reference_services.runner import SAMPLES
from reference_services.services.text_extraction import SERVICE
from tests.reference_services.pdf_builder import build_pdf


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


@pytest.mark.parametrize("compress", [True, False])
def test_pdf_text_layer_is_read_line_by_line(compress):
    lines = ["First (very) odd \\ line", "moved words here", "BT and ET are words too"]
    data = build_pdf(pages=[lines, ["Page two"]], title="T (1)", compress=compress)

    text, metadata = read_pdf(data)

    assert text == "\n".join(lines) + "\n\nPage two"
    assert metadata == {"pages": 2, "title": "T (1)"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello", "does not begin like a PDF"),
        (b"%PDF-1.4\n/Encrypt 3 0 R", "encrypted"),
        (b"%PDF-1.4\n", "no text layer"),
        (b"%PDF-1.4\n<< /Filter /FlateDecode >>\nstream\nxx\nendstream", "damaged"),
    ],
)
def test_pdf_without_readable_text_is_refused_with_a_reason(data, reason):
    with pytest.raises(PdfError, match=reason):
        read_pdf(data)


def test_pdf_that_unpacks_to_too_much_is_refused():
    import zlib

    bomb = zlib.compress(b"BT (x) Tj ET " + b" " * 30_000_000)
    data = b"%PDF-1.4\n<< /Filter /FlateDecode >>\nstream\n" + bomb + b"\nendstream"

    with pytest.raises(PdfError, match="bytes once unpacked"):
        read_pdf(data)


def test_description_says_that_nothing_is_fetched():
    assert "Nothing is fetched" in SERVICE.description
