from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from export.conftest import make_checkpoint, make_run, save_adapter
from export.made_evaluation import make_evaluation
from PIL import Image
from safetensors import safe_open
from tiny_models import save_tiny
from transformers import AutoModelForImageTextToText, AutoProcessor, Qwen2Config

from vapo.diagnosis.fingerprint import fingerprint_weights
from vapo.errors import ConfigError, DataError, ModelError
from vapo.export import export as export_module
from vapo.export.export import check_served, export
from vapo.export.preparation import ExportOptions
from vapo.lab.shipped import shipped_checkpoint
from vapo.models.policy.checkpoint import load_policy
from vapo.types import Sample

SHORT = ExportOptions(num_questions=2, max_completion_tokens=12)


def quietly(_: str) -> None:
    pass


def logits_of(model, processor) -> torch.Tensor:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (28, 28, 3)).astype("uint8"))
    turn = {"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": "What is it?"}]}
    inputs = processor.apply_chat_template(
        [turn], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    with torch.no_grad():
        return model(**inputs).logits.float()


def open_plainly(folder):
    return AutoModelForImageTextToText.from_pretrained(folder, dtype="auto"), AutoProcessor.from_pretrained(folder)


def test_an_adapter_becomes_a_plain_model(adapter, base, tmp_path):
    exported = export(adapter, tmp_path / "deep" / "out", options=SHORT, on_notice=quietly)
    adapted, unadapted = load_policy(adapter), load_policy(base)
    expected = logits_of(adapted.model, adapted.processor)
    (agreement,) = exported.agreements
    assert agreement.holds and agreement.num_questions == 2 and 0 < agreement.mean_difference < 1e-5
    torch.testing.assert_close(logits_of(*open_plainly(exported.folder)), expected, atol=1e-5, rtol=0)
    assert (logits_of(unadapted.model, unadapted.processor) - expected).abs().max() > 0.1
    names = {file.name for file in exported.folder.iterdir()}
    assert {"README.md", "vapo_export.json", "model.safetensors", "config.json", "tokenizer.json"} <= names
    assert not [name for name in names if name.startswith("adapter")]
    assert "Its adapter is merged" in (exported.folder / "README.md").read_text()
    assert (exported.folder / "model.safetensors").stat().st_mode & 0o044
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_a_whole_model_is_written_in_the_precision_asked_for(base, tmp_path):
    (tmp_path / "out").mkdir()
    exported = export(base, tmp_path / "out", options=replace(SHORT, dtype="bfloat16"), on_notice=quietly)
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.bfloat16}  # noqa: SIM118
    assert exported.agreements[0].dtype == "bfloat16" and exported.agreements[0].mean_difference > 0
    assert "no record of" in (tmp_path / "out" / "README.md").read_text()


def test_the_newest_checkpoint_of_a_run_is_told_with_what_was_measured(base, tmp_path):
    run = make_run(tmp_path / "run", model_name_or_path=str(base))
    checkpoint = make_checkpoint(run, 3, of=9)
    for file in base.iterdir():
        shutil.copy(file, checkpoint)
    weights = fingerprint_weights(load_policy(checkpoint).model)
    (tmp_path / "evaluation.json").write_text(json.dumps(make_evaluation(weights=weights).to_json()))
    notices: list[str] = []
    options = replace(SHORT, evaluations=[tmp_path / "evaluation.json"], licence="mit")
    export(run, tmp_path / "out", options=options, on_notice=notices.append)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "trained from Tiny-VL with" in card and "step 3 of 9" in card and "Measured on these weights." in card
    assert 'license: "mit"' in card
    assert len(notices) == 1 and notices[0].startswith("drawn images stand in for the run's data (")


def test_questions_of_ones_own(base, tmp_path):
    sample = Sample("mine", (Image.new("RGB", (28, 28), "red"),), "Which colour?", "red")
    assert export(base, tmp_path / "out", [sample], SHORT, on_notice=quietly).agreements[0].num_questions == 1


def test_a_copy_that_answers_otherwise_is_not_kept(adapter, base, tmp_path, monkeypatch):
    other = save_tiny("llava", tmp_path / "other", seed=3)
    opened = export_module.open_plainly
    monkeypatch.setattr(export_module, "open_plainly", lambda folder, *rest: opened(other, *rest))
    with pytest.raises(ModelError, match="what transformers reads back does not answer as the checkpoint does"):
        export(adapter, tmp_path / "out", options=SHORT, on_notice=quietly)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


@pytest.mark.filterwarnings("ignore:Model has `tie_word:UserWarning", "ignore:Setting `save_embedding:UserWarning")
@pytest.mark.filterwarnings("ignore:Model with `tie_word:UserWarning")
def test_an_output_layer_that_is_tied_to_the_input_cannot_be_merged_unnoticed(tmp_path):
    """What peft merges into the one changes the other, so that the merged model answers otherwise."""
    adapter = save_adapter(shipped_checkpoint(), tmp_path / "adapter", "lm_head")
    with pytest.raises(ModelError, match="does not answer as the checkpoint does"):
        export(adapter, tmp_path / "out", options=SHORT, on_notice=quietly)
    assert not (tmp_path / "out").exists()


class TestRefusals:
    """Each before weights are read."""

    @pytest.fixture(autouse=True)
    def no_weights_are_read(self, monkeypatch):
        monkeypatch.setattr(export_module, "load_policy", lambda *_, **__: pytest.fail("weights were read"))

    def refuse(self, checkpoint, out, error, message, **options):
        with pytest.raises(error, match=message):
            export(checkpoint, out, options=replace(SHORT, **options), on_notice=quietly)

    def test_a_place_that_holds_something(self, base, tmp_path):
        (tmp_path / "note").write_text("mine")
        self.refuse(base, tmp_path, ConfigError, "is not empty; name another folder")
        self.refuse(base, tmp_path / "note", ConfigError, "is a file; name a folder")
        assert (tmp_path / "note").read_text() == "mine"

    def test_a_base_that_is_missing(self, tmp_path):
        gone = save_tiny("llava", tmp_path / "gone")
        adapter = save_adapter(gone, tmp_path / "adapter")
        shutil.rmtree(gone)
        message = "base model of the adapter .* cannot be loaded: there is no folder .*gone"
        self.refuse(adapter, tmp_path / "out", ModelError, message)

    def test_peft_that_is_missing(self, adapter, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "peft", None)
        self.refuse(adapter, tmp_path / "out", ModelError, r"pip install 'vapo\[peft\]'")

    def test_a_processor_that_is_missing(self, base, tmp_path):
        ignore = shutil.ignore_patterns("*processor*", "token*", "chat*")
        shutil.copytree(base, tmp_path / "model", ignore=ignore)
        self.refuse(tmp_path / "model", tmp_path / "out", ModelError, "model")

    def test_a_model_that_cannot_see(self, base, tmp_path):
        shutil.copytree(base, tmp_path / "model")
        Qwen2Config().save_pretrained(tmp_path / "model")
        self.refuse(tmp_path / "model", tmp_path / "out", ModelError, "'qwen2' model.*vision-language")

    def test_a_name_on_the_hub(self, tmp_path):
        self.refuse("org/name", tmp_path / "out", ModelError, "there is no folder org/name")

    def test_no_vllm_to_start(self, base, tmp_path, monkeypatch):
        monkeypatch.setattr("vapo.serving.vllm_process.find_spec", lambda _: None)
        self.refuse(base, tmp_path / "out", ConfigError, "vLLM is not installed here", start_vllm=True)

    def test_no_token_for_the_hub(self, base, tmp_path, monkeypatch):
        monkeypatch.delenv("HF_TOKEN", raising=False)
        self.refuse(base, tmp_path / "out", ConfigError, "environment variable HF_TOKEN", push_to="me/model")

    @pytest.mark.parametrize("part", ["evaluations", "diagnosis", "claims"])
    def test_what_the_card_should_tell_of(self, base, tmp_path, part):
        place = tmp_path / "nothing"
        error = DataError if part != "claims" else Exception
        self.refuse(base, tmp_path / "out", error, "nothing", **{part: [place] if part == "evaluations" else place})

    def test_nothing_to_compare_by(self, base, tmp_path):
        self.refuse(base, tmp_path / "out", ConfigError, "at least one question", num_questions=0)

    def test_a_server_before_there_is_an_export(self, base, tmp_path):
        with pytest.raises(ConfigError, match=r"holds no export yet.*vllm serve"):
            check_served(base, tmp_path / "out", "http://localhost:1", options=SHORT)
