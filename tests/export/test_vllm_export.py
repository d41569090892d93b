"""Exports behind a real vLLM server: what transformers merges, vLLM serves, and both answer alike."""

from __future__ import annotations

import warnings

import pytest
from export.conftest import save_adapter
from vllm_world import run_server, save_for_vllm

from vapo.errors import ModelError
from vapo.lab.shipped import shipped_checkpoint

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # TRL's configuration imports most of torch where vLLM is installed
    from vapo.export.export import check_served, export
    from vapo.export.preparation import ExportOptions

pytestmark = [pytest.mark.vllm, pytest.mark.xdist_group("vllm")]

SHORT = ExportOptions(num_questions=3, max_completion_tokens=24)


def test_an_adapter_of_the_lab_is_exported_and_served(tmp_path):
    adapter = save_adapter(shipped_checkpoint(), tmp_path / "adapter")
    options = ExportOptions(num_questions=3, max_completion_tokens=24, start_vllm=True)
    exported = export(adapter, tmp_path / "out", options=options, on_notice=print)
    opened, served = exported.agreements
    print(f"\ntransformers: {opened}\nvLLM: {served}")
    assert served.copy == "vLLM" and served.holds and served.dtype == "float32"
    assert served.same_tokens == served.num_tokens == 72
    assert "| vLLM | 72 of 72 greedy tokens" in (tmp_path / "out" / "README.md").read_text()


def test_a_server_elsewhere_is_compared_with_the_checkpoint(tmp_path):
    base = save_for_vllm("qwen2_5_vl", tmp_path / "base")
    adapter = save_adapter(base, tmp_path / "adapter")
    out = export(adapter, tmp_path / "out", options=SHORT, on_notice=print).folder
    before = (out / "README.md").read_text()
    with run_server(out, tmp_path / "log") as url:
        first, served = check_served(adapter, out, url, options=SHORT, on_notice=print).agreements
        assert (first.copy, served.copy) == ("transformers", "vLLM") and served.same_tokens == served.num_tokens
        card = (out / "README.md").read_text()
        assert "| vLLM |" in card and len(card.splitlines()) == len(before.splitlines()) + 1
        check_served(adapter, out, url, options=SHORT, on_notice=print)
        assert (out / "README.md").read_text() == card
        with pytest.raises(ModelError, match="the server's model does not answer as the checkpoint does"):
            check_served(base, out, url, options=SHORT, on_notice=print)
        assert (out / "README.md").read_text() == card
