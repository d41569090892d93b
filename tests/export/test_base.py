from __future__ import annotations

import huggingface_hub
import pytest
from hub_stub import asking, run_hub

from vapo.export.base import Base, find_base


@pytest.fixture(autouse=True)
def hub():
    with run_hub() as stub, asking(stub.url):
        yield stub


def test_a_folder_tells_by_its_own_card(base):
    assert find_base(str(base)) == Base("Tiny-VL", False, {"license": "other", "license_name": "its-own"})
    assert find_base(str(base), licence="mit").licence == {"license": "mit"}


@pytest.mark.parametrize("fault", [401, 404, 500, b"<html>log in</html>", "hang up", "cut off"])
def test_a_hub_name_whose_card_cannot_be_had(hub, fault):
    hub.faults["/org/base-vl/"] = fault
    assert find_base("org/base-vl") == Base("org/base-vl", True, {})


def test_a_hub_name_whose_card_is_fetched(monkeypatch, tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# Another title\n")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda name, file: str(tmp_path / file))
    assert find_base("org/base-vl") == Base("org/base-vl", True, {"license": "mit"})


def test_a_copy_elsewhere_keeps_its_name(base):
    assert find_base("org/base-vl", str(base)) == Base(
        "org/base-vl", True, {"license": "other", "license_name": "its-own"}
    )


def test_a_folder_of_another_machine():
    assert find_base("/data/models/Some-VL") == Base("Some-VL", False, {})


@pytest.mark.parametrize("card", ["no front matter\n", "---\n- a list\n---\n", "---\n: : broken\n---\n", "---\nopen"])
def test_cards_that_say_nothing(tmp_path, card):
    (tmp_path / "README.md").write_text(card)
    assert find_base(str(tmp_path)) == Base(tmp_path.name, False, {})
