from __future__ import annotations

import httpx
import huggingface_hub
import pytest

from vapo.errors import ConfigError
from vapo.sharing.hub import Hub

SECRET = "hf_secret"


class FakeApi:
    """Stands for the hub, and keeps what was asked of it."""

    endpoint = "https://huggingface.co"
    broken: tuple[str, ...] = ()
    error: Exception = OSError(f"401 for {SECRET}")
    asked: list[tuple[str, dict]]

    def __init__(self, token):
        assert token == SECRET
        FakeApi.asked = []

    def _take(self, call, **options):
        if call in self.broken:
            raise self.error
        self.asked.append((call, options))

    def whoami(self):
        self._take("whoami")

    def create_repo(self, name, **options):
        self._take("create_repo", name=name, **options)

    def upload_folder(self, **options):
        self._take("upload_folder", **options)


@pytest.fixture(autouse=True)
def hub(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeApi)
    monkeypatch.setenv("HF_TOKEN", SECRET)


def test_a_folder_is_pushed_as_it_is(tmp_path):
    assert Hub("me/model", private=True).push(tmp_path) == "https://huggingface.co/me/model"
    assert FakeApi.asked[1:] == [
        ("create_repo", {"name": "me/model", "private": True, "exist_ok": True}),
        ("upload_folder", {"repo_id": "me/model", "folder_path": tmp_path}),
    ]


def test_nothing_is_written_before_it_is_pushed():
    Hub("me/model")
    assert [name for name, _ in FakeApi.asked] == ["whoami"]


def test_no_token_is_taken_but_the_environments(monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: SECRET)
    with pytest.raises(ConfigError, match="environment variable HF_TOKEN"):
        Hub("me/model")


@pytest.mark.parametrize("name", ["me/my/model", "me/", "a b", "../me", ""])
def test_what_is_no_name(name):
    with pytest.raises(ConfigError, match="write it as OWNER/NAME"):
        Hub(name)


@pytest.mark.parametrize("error", [FakeApi.error, httpx.ConnectError("no network")])
def test_a_token_that_is_refused_is_told_before_anything_is_done_and_not_quoted(monkeypatch, error):
    monkeypatch.setattr(FakeApi, "broken", ("whoami",))
    monkeypatch.setattr(FakeApi, "error", error)
    with pytest.raises(ConfigError, match="check the token") as refused:
        Hub("me/model")
    assert SECRET not in str(refused.value) and refused.value.__cause__ is None


@pytest.mark.parametrize("call", ["create_repo", "upload_folder"])
def test_a_push_that_fails_says_how_to_go_on(monkeypatch, tmp_path, call):
    hub = Hub("me/model")
    monkeypatch.setattr(FakeApi, "broken", (call,))
    with pytest.raises(
        ConfigError, match=f"complete but could not be pushed.*hf upload me/model {tmp_path}"
    ) as failed:
        hub.push(tmp_path)
    assert SECRET not in str(failed.value)
