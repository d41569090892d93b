from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from openai_stub import Reply, run_stub

from vapo.data.image_files import Folder, download_image, find_image, is_url
from vapo.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A data folder with one file in it, one beside it, and links."""
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / "inside.png").write_bytes(b"in")
    (tmp_path / "outside.png").write_bytes(b"out")
    (data / "link.png").symlink_to(tmp_path / "outside.png")
    (data / "parent").symlink_to(tmp_path)
    (data / "good-link.png").symlink_to(data / "inside.png")
    return Folder(data, data)


def test_paths_inside_the_folder_are_found(folder: Folder) -> None:
    inside = (folder.root / "inside.png").resolve()
    for path in ("inside.png", "./sub/../inside.png", str(inside), "good-link.png"):
        assert find_image(path, folder) == inside


@pytest.mark.parametrize(
    "path", ["../outside.png", "link.png", "parent/outside.png", "/etc/hostname", "sub/../../outside.png"]
)
def test_a_path_that_leaves_the_folder_is_refused(folder: Folder, path: str) -> None:
    with pytest.raises(DataError, match=r"leads out of the data folder .* image_folder"):
        find_image(path, folder)


@pytest.mark.parametrize("path", ["none.png", "sub", "."])
def test_what_is_no_file_is_refused(folder: Folder, path: str) -> None:
    with pytest.raises(DataError, match="is not a file in"):
        find_image(path, folder)


def test_where_a_missing_image_is_near_by_its_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, elsewhere = tmp_path / "sets" / "data", tmp_path / "elsewhere"
    for place in (data / "img", elsewhere / "photos"):
        place.mkdir(parents=True)
    (data / "img" / "a.png").write_bytes(b"")
    (tmp_path / "b.png").write_bytes(b"")
    (elsewhere / "photos" / "c.png").write_bytes(b"")
    monkeypatch.chdir(elsewhere)
    for path, start in (("a.png", data / "img"), ("b.png", tmp_path), ("photos/c.png", Path())):
        with pytest.raises(DataError, match=re.escape(f"but one in {start.resolve()}: name that folder")) as refused:
            find_image(path, Folder(data, data))
        assert str(refused.value).endswith(f"(--image-folder {start})")
    with pytest.raises(DataError, match="if its path starts elsewhere, name that folder"):
        find_image("d.png", Folder(data, data))


@pytest.mark.parametrize("path", ["a\0b.png", "a" * 5000])
def test_an_impossible_path_is_refused(folder: Folder, path: str) -> None:
    with pytest.raises(DataError, match="cannot be followed"):
        find_image(path, folder)


def test_relative_paths_start_from_the_base(folder: Folder) -> None:
    deeper = Folder(folder.root / "sub", folder.root)
    assert find_image("../inside.png", deeper).name == "inside.png"
    with pytest.raises(DataError, match="leads out"):
        find_image("../../outside.png", deeper)


def test_data_without_a_folder_has_no_paths() -> None:
    with pytest.raises(DataError, match="this data has no folder; name one with image_folder"):
        find_image("a.png", None)


def test_urls_are_known_from_paths() -> None:
    assert is_url("https://example.org/a.png")
    assert is_url("file:///etc/passwd")
    assert not is_url("a/b.png")
    assert not is_url("C:/a.png")


def test_a_url_is_refused_unless_allowed() -> None:
    with pytest.raises(DataError, match=r"is a URL; download it into the data folder, or pass --allow-urls"):
        download_image("https://example.org/a.png", allow_urls=False)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a.png", "s3://bucket/a.png"])
def test_only_web_addresses_are_fetched(url: str) -> None:
    with pytest.raises(DataError, match="only http:// and https://"):
        download_image(url, allow_urls=True)


class _Images(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/a.png" else 404)
        self.end_headers()
        self.wfile.write(b"image")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("VAPO_IMAGE_HOSTS", "127.0.0.1")
    with HTTPServer(("127.0.0.1", 0), _Images) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_allowed_url_is_fetched(server: str) -> None:
    assert download_image(f"{server}/a.png", allow_urls=True) == b"image"


def test_a_failed_download_says_so(server: str) -> None:
    with pytest.raises(DataError, match="could not be fetched: HTTP Error 404"):
        download_image(f"{server}/b.png", allow_urls=True)


def test_a_huge_download_is_cut_off(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vapo.data.image_files.MAX_DOWNLOAD_BYTES", 3)
    with pytest.raises(DataError, match="has more than"):
        download_image(f"{server}/a.png", allow_urls=True)


def test_an_address_of_this_machine_is_refused_with_the_remedy(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAPO_IMAGE_HOSTS")
    with pytest.raises(DataError, match=r"of a private network or of this machine; .* VAPO_IMAGE_HOSTS"):
        download_image(f"{server}/a.png", allow_urls=True)


def test_a_slow_download_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAPO_IMAGE_HOSTS", "127.0.0.1")
    monkeypatch.setattr("vapo.data.image_files.DOWNLOAD_TIMEOUT_S", 0.3)
    with run_stub() as stub:
        stub.script["/a.png"] = [Reply(b"", fault="body")]
        with pytest.raises(DataError, match=r"could not be fetched: it was not whole within 0\.3 s"):
            download_image(f"{stub.url}/a.png", allow_urls=True)
