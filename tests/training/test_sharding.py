"""What is fixed of FSDP; that it then trains as one process does, `test_several_processes.py` shows."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest
import torch
from accelerate.utils import fsdp2_prepare_model, fsdp_utils
from tiny_models import build_tiny
from trl.trainer import grpo_trainer

from vapo.errors import ConfigError
from vapo.training.sharding import (
    check_same_sharding,
    name_layers_to_shard,
    optimizer_without_idle_weights,
    reference_sharded_like_policy,
)


def test_layers_that_a_family_could_have_and_a_model_has_not_are_not_named():
    model, _ = build_tiny("llava")
    plugin = SimpleNamespace(transformer_cls_names_to_wrap=None)
    model._no_split_modules = [*model._no_split_modules, "SiglipMultiheadAttentionPoolingHead"]
    name_layers_to_shard(plugin, model)
    layers = {type(module).__name__ for module in model.modules()}
    assert plugin.transformer_cls_names_to_wrap and set(plugin.transformer_cls_names_to_wrap) <= layers


def test_what_the_user_names_is_kept():
    plugin = SimpleNamespace(transformer_cls_names_to_wrap=["Block"])
    name_layers_to_shard(plugin, torch.nn.Linear(1, 1))
    assert plugin.transformer_cls_names_to_wrap == ["Block"]


def test_what_is_replaced_is_put_back_and_keeps_its_signature():
    reference, options = grpo_trainer.prepare_fsdp, fsdp_utils._prepare_sd_options
    assert list(inspect.signature(reference).parameters) == ["model", "accelerator"]
    assert list(inspect.signature(options).parameters) == ["fsdp_plugin"]
    assert list(inspect.signature(fsdp2_prepare_model).parameters) == ["accelerator", "model"]
    with reference_sharded_like_policy(), optimizer_without_idle_weights():
        for fixed, own in ((grpo_trainer.prepare_fsdp, reference), (fsdp_utils._prepare_sd_options, options)):
            assert fixed is not own and inspect.signature(fixed) == inspect.signature(own)
    assert grpo_trainer.prepare_fsdp is reference and fsdp_utils._prepare_sd_options is options


class TestSameSharding:
    FILES = ("optimizer.pt", "pytorch_model_fsdp.bin", "global_step4")
    ENVIRONMENTS = (None, "ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")

    @pytest.mark.parametrize("written", range(3))
    @pytest.mark.parametrize("read", range(3))
    def test_another_kind_is_refused_with_what_to_do(self, written, read, tmp_path, monkeypatch):
        (tmp_path / self.FILES[written]).touch()
        for name in self.ENVIRONMENTS[1:]:
            monkeypatch.delenv(name, raising=False)
        if read:
            monkeypatch.setenv(str(self.ENVIRONMENTS[read]), "true")
        args = SimpleNamespace(fsdp=None, deepspeed=None)
        if written == read:
            check_same_sharding(tmp_path, args)
        else:
            with pytest.raises(ConfigError, match=r"was written with.* and would be read with.*--model_name_or_path"):
                check_same_sharding(tmp_path, args)
