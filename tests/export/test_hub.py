from __future__ import annotations

import base64
import json

import huggingface_hub
import pytest
from hub_stub import COMMIT, CREATE, PREUPLOAD, WHOAMI, asking, closed_port, run_hub

from vapo.cli import main
from vapo.errors import ConfigError
from vapo.export.hub import Hub

SECRET = "hf_secret"


@pytest.fixture(autouse=True)
def hub(monkeypatch):
    """A hub of this machine, asked by the real client."""
    monkeypatch.setenv("HF_TOKEN", SECRET)
    with run_hub() as stub, asking(stub.url):
        yield stub


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("card\n" * 1000)
    return tmp_path / "out"


def test_a_folder_is_pushed_as_it_is(hub, folder):
    assert Hub("me/model", private=True).push(folder) == f"{hub.url}/me/model"
    made = json.loads(hub.body_of(CREATE))
    assert (made["name"], made["organization"]) == ("model", "me")
    assert made.get("private") is True or made["visibility"] == "private"  # as releases of the client say it
    _, file = [json.loads(line)["value"] for line in hub.body_of(COMMIT).splitlines()]
    assert file["path"] == "README.md" and base64.b64decode(file["content"]) == b"card\n" * 1000


def test_nothing_is_written_before_it_is_pushed(hub):
    Hub("me/model")
    paths = {path for path, _ in hub.asked}
    assert WHOAMI in paths and paths.isdisjoint({CREATE, PREUPLOAD, COMMIT})


def test_no_token_is_taken_but_the_environments(monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: SECRET)
    with pytest.raises(ConfigError, match="environment variable HF_TOKEN"):
        Hub("me/model")


@pytest.mark.parametrize("name", ["me/my/model", "me/", "a b", "../me", ""])
def test_what_is_no_name(name):
    with pytest.raises(ConfigError, match="write it as OWNER/NAME"):
        Hub(name)


@pytest.mark.parametrize("fault", [401, 403, 404, 429, 500, b"<html>log in</html>", b"", "hang up", "cut off"])
def test_a_hub_that_refuses_the_token_is_told_before_anything_is_done_and_not_quoted(hub, fault):
    hub.faults[WHOAMI] = fault
    with pytest.raises(ConfigError, match="check the token and the network") as refused:
        Hub("me/model")
    assert SECRET not in str(refused.value) and refused.value.__cause__ is None


@pytest.mark.parametrize("url", [None, "https://hub.invalid", "no address"])
def test_a_hub_that_is_not_there(url):
    with asking(url or closed_port()), pytest.raises(ConfigError, match="check the token and the network"):
        Hub("me/model")


@pytest.mark.parametrize("token", ["hf_ü", "hf_a\nb"])
def test_a_token_that_no_request_can_carry(monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ConfigError, match="check the token") as refused:
        Hub("me/model")
    assert token not in str(refused.value)


@pytest.mark.parametrize("fault", [401, 403, 500, b"<html>log in</html>", b"[]", "hang up", "cut off"])
@pytest.mark.parametrize("path", [CREATE, PREUPLOAD, COMMIT])
def test_a_push_that_fails_says_how_to_go_on(hub, folder, path, fault):
    place = Hub("me/model")
    hub.faults[path] = fault
    with pytest.raises(ConfigError, match=f"complete but could not be pushed.*hf upload me/model {folder}") as failed:
        place.push(folder)
    assert SECRET not in str(failed.value)


def test_a_network_that_is_lost_before_the_push(folder):
    place = Hub("me/model")
    place._api.endpoint = closed_port()
    with pytest.raises(ConfigError, match="is complete but could not be pushed"):
        place.push(folder)


def test_the_command_ends_in_a_sentence(capsys, tmp_path):
    with asking(closed_port()):
        assert main(["export", "lab", "--out", str(tmp_path / "out"), "--push-to-hub", "me/model"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("vapo: the hub cannot be asked") and not (tmp_path / "out").exists()
