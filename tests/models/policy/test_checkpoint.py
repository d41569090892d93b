from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from hub_stub import asking, run_hub
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_models import FAMILIES, build_tiny, save_tiny, tiny_tokenizer
from transformers import Florence2Config, InstructBlipConfig, Qwen2Config, Qwen2ForCausalLM, T5Config

from vapo.errors import ConfigError, ModelError
from vapo.models.policy.checkpoint import CheckpointParts, find_parts, load_policy, load_processor
from vapo.models.policy.prompt_writer import PromptWriter
from vapo.types import Sample


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny("llava", tmp_path / "run" / "checkpoint-20")


@pytest.mark.parametrize("family", FAMILIES)
def test_opens_what_was_saved(family, tmp_path):
    model, _ = build_tiny(family)
    policy = load_policy(save_tiny(family, tmp_path / "saved"))
    assert policy.name == str(tmp_path / "saved")
    for (name, loaded), (_, saved) in zip(policy.model.named_parameters(), model.named_parameters(), strict=True):
        assert torch.equal(loaded, saved), name
    assert policy.model.dtype == torch.float32 and not policy.model.training
    assert policy.processor.tokenizer.padding_side == "left"


def test_dtype_can_be_chosen(folder):
    assert load_policy(folder, dtype="bfloat16", device="cpu").model.dtype == torch.bfloat16
    with pytest.raises(ConfigError, match="dtype is 'int8'"):
        load_policy(folder, dtype="int8")


def test_unknown_device(folder):
    with pytest.raises(ConfigError, match="device is 'toaster'"):
        load_policy(folder, device="toaster")


def test_adapter_brings_its_base(folder, tmp_path):
    base = load_policy(folder).model
    adapted = get_peft_model(base, LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    ids = torch.tensor([tiny_tokenizer().encode("I see a 3.")])
    with torch.no_grad():
        expected = adapted(input_ids=ids).logits
        policy = load_policy(tmp_path / "adapter")
        torch.testing.assert_close(policy.model(input_ids=ids).logits, expected)
        assert not torch.allclose(load_policy(folder).model(input_ids=ids).logits, expected)
    assert policy.processor.chat_template


def test_adapter_whose_base_is_gone(folder, tmp_path):
    get_peft_model(load_policy(folder).model, LoraConfig(target_modules=["q_proj"])).save_pretrained(tmp_path / "a")
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(ModelError, match="base model of the adapter"):
        load_policy(tmp_path / "a")


def test_adapter_takes_another_base_that_is_named(folder, tmp_path):
    get_peft_model(load_policy(folder).model, LoraConfig(target_modules=["q_proj"])).save_pretrained(tmp_path / "a")
    moved = folder.rename(folder.with_name("elsewhere"))
    assert find_parts(tmp_path / "a", str(moved)) == CheckpointParts(str(moved), tmp_path / "a", str(moved))
    assert load_policy(tmp_path / "a", base=str(moved)).processor.chat_template


def test_adapter_on_an_adapter(folder, tmp_path):
    get_peft_model(load_policy(folder).model, LoraConfig(target_modules=["q_proj"])).save_pretrained(tmp_path / "a")
    with pytest.raises(ModelError, match="lies on another adapter"):
        find_parts(tmp_path / "a", str(tmp_path / "a"))


def test_adapter_of_virtual_tokens(folder, tmp_path):
    config = PromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=2, num_layers=2, token_dim=32, num_attention_heads=4
    )
    get_peft_model(load_policy(folder).model, config).save_pretrained(tmp_path / "a")
    with pytest.raises(ModelError, match="virtual tokens"):
        load_policy(tmp_path / "a")


def test_adapter_without_safetensors(folder, tmp_path):
    get_peft_model(load_policy(folder).model, LoraConfig(target_modules=["q_proj"])).save_pretrained(tmp_path / "a")
    (tmp_path / "a" / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"without adapter_model\.safetensors"):
        load_policy(tmp_path / "a")


def test_missing_folder_names_checkpoints_near(folder):
    with pytest.raises(ModelError, match=r"no folder .*checkpoint-30; .*run has checkpoint-20"):
        load_policy(folder.with_name("checkpoint-30"))
    with pytest.raises(ModelError, match="no folder"):
        load_policy(str(folder.parent.parent / "no-run" / "checkpoint-30"))


def test_missing_folder_in_a_folder_that_exists(folder, monkeypatch):
    monkeypatch.chdir(folder.parent.parent)
    with pytest.raises(ModelError, match=r"no folder run/checkpoint-1; .*checkpoint-20"):
        load_policy("run/checkpoint-1")
    assert load_policy("run/checkpoint-20").name == "run/checkpoint-20"


def test_run_folder_names_the_checkpoints_inside(folder):
    with pytest.raises(ModelError, match=r"no config\.json.*it holds checkpoint-20"):
        load_policy(folder.parent)


def test_file_instead_of_folder(folder):
    with pytest.raises(ModelError, match="is a file"):
        load_policy(folder / "config.json")


def test_text_only_model(tmp_path):
    Qwen2ForCausalLM(
        Qwen2Config(
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            num_key_value_heads=1,
            vocab_size=8,
        )
    ).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"'qwen2' model.*vision-language"):
        load_policy(tmp_path)


def test_no_weights_at_all(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights in safetensors"):
        load_policy(folder)


def test_pickled_weights_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin, which can run code"):
        load_policy(folder)


def test_truncated_weights(folder):
    weights = folder / "model.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_policy(folder)


@pytest.mark.parametrize("damage", ["missing", "shape"])
def test_incomplete_weights_are_never_filled_with_random_numbers(folder, damage):
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("layers.1.mlp.up_proj.weight"))
    if damage == "missing":
        del weights[name]
    else:
        weights[name] = weights[name][:3].contiguous()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights for 1 .*up_proj"):
        load_policy(folder)


def test_broken_config(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_policy(folder)


def test_unknown_model_type(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "seer"}))
    with pytest.raises(ModelError, match="seer"):
        load_policy(folder)


@pytest.mark.parametrize(
    "config", [Florence2Config(), InstructBlipConfig(text_config=T5Config())], ids=["own", "text"]
)
def test_an_encoder_decoder(folder, config):
    config.save_pretrained(folder)
    with pytest.raises(
        ModelError, match=rf"a '{config.model_type}' model reads prompts with an encoder and responses"
    ):
        load_policy(folder)


def test_no_processor(folder):
    for file in folder.iterdir():
        if file.name not in ("config.json", "generation_config.json", "model.safetensors"):
            file.unlink()
    with pytest.raises(ModelError, match=r"cannot be loaded|processor"):
        load_policy(folder)


def test_tokenizer_without_image_processor(folder):
    for name in ("processor_config.json", "preprocessor_config.json"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(ModelError, match=r"cannot prepare images|cannot be loaded"):
        load_policy(folder)


def test_no_chat_template(folder):
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        load_policy(folder)


def test_a_chat_template_of_the_tokenizer_alone_is_the_processors_too(folder):
    expected = load_policy(folder)
    template = folder / "chat_template.jinja"
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": template.read_text()}))
    template.unlink()
    sample = Sample("one", (Image.new("RGB", (28, 28)),), "What is it?", "1")
    assert PromptWriter(load_policy(folder)).write(sample).ids == PromptWriter(expected).write(sample).ids


def test_no_pad_token_takes_the_end_token(folder):
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config["pad_token"]
    path.write_text(json.dumps(config))
    tokenizer = load_policy(folder).processor.tokenizer
    assert tokenizer.pad_token == tokenizer.eos_token


def test_code_of_a_checkpoint_does_not_run_unasked(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "seer", "auto_map": {"AutoConfig": "code.SeerConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError):
        load_policy(folder)


def test_name_that_the_hub_does_not_give(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"nobody/no-such-model cannot be loaded"):
        load_policy("nobody/no-such-model")


@pytest.mark.parametrize("load", [load_policy, load_processor])
@pytest.mark.parametrize("fault", [404, b"<html>log in</html>", "hang up"])
def test_name_that_the_hub_fails_to_give(load, fault):
    with run_hub() as hub, asking(hub.url):
        hub.faults["/"] = fault
        with pytest.raises(ModelError, match=r"nobody/model cannot be loaded"):
            load("nobody/model")
