"""Two steps of training for every family, row by row, and that what TRL computes on the way is what one row gives."""

from __future__ import annotations

import inspect
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from prober_contract import encode_prompt, extend_prompt, make_sample
from tiny_models import EVERY_FAMILY, FAMILIES, build_tiny, save_tiny
from training.training_world import even_letters, make_config, make_rows
from trl import GRPOTrainer
from trl.data_utils import prepare_multimodal_messages

from vapo import VAPOTrainer
from vapo.data.prompts import build_messages
from vapo.models.media_tokens import find_vision_token_ids
from vapo.models.policy.checkpoint import Policy, load_policy
from vapo.models.policy.prompt_writer import PromptWriter
from vapo.models.vision_tokens import TOKEN_TYPE_INPUTS
from vapo.types import Sample


@pytest.fixture(scope="module", params=EVERY_FAMILY)
def run(request, tmp_path_factory):
    """A run of two steps: its trainer, and what its first step asked TRL's forward passes for and got."""
    folder = tmp_path_factory.mktemp(request.param)
    rows = make_rows(3, images_per_row=3)  # of three lengths
    trainer = VAPOTrainer(
        str(save_tiny(request.param, folder / "model")),
        reward_funcs=even_letters,
        args=make_config(
            folder, packing="off", max_steps=2, accuracy_gate="none", save_strategy="steps", save_steps=2
        ),
        train_dataset=rows,
    )
    forwards = []
    compute = trainer._get_per_token_logps_and_entropies

    def keep(model, input_ids, attention_mask, logits_to_keep, *args, **kwargs):
        computed = compute(model, input_ids, attention_mask, logits_to_keep, *args, **kwargs)
        if trainer.state.global_step == 0:
            forwards.append((input_ids, attention_mask.bool(), logits_to_keep, computed[0].detach()))
        return computed

    trainer._get_per_token_logps_and_entropies = keep
    trainer.train()
    return SimpleNamespace(family=request.param, folder=folder, rows=rows, trainer=trainer, forwards=forwards)


def read_prompts(processor, rows) -> dict[tuple[int, ...], dict[str, torch.Tensor]]:
    def read(row):
        return Sample(row["id"], tuple(row["images"]), row["prompt"][-1]["content"], row["answer"])

    prompts = [encode_prompt(processor, read(row)) for row in rows]
    return {tuple(prompt["input_ids"][0].tolist()): prompt for prompt in prompts}


def test_probes_and_learns(run):
    history = run.trainer.state.log_history
    assert any("perception/accuracy" in entry for entry in history)
    assert max(entry.get("grad_norm", 0) for entry in history) > 0


def test_every_forward_equals_one_plain_forward_per_row(run):
    # The trainer's own processor: one from a folder may scale tiles otherwise than one that was built.
    model, processor = build_tiny(run.family)[0], run.trainer.processing_class
    prompts = read_prompts(processor, run.rows)
    lengths = set()
    for batch, seen, num_kept, logps in run.forwards:
        for ids, mask, row_logps in zip(batch, seen, logps, strict=True):
            prompt_ids = tuple(ids[:-num_kept][mask[:-num_kept]].tolist())
            completion = ids[-num_kept:][mask[-num_kept:]]
            with torch.no_grad():
                logits = model(**extend_prompt(prompts[prompt_ids], completion.tolist())).logits[0]
            expected = logits[len(prompt_ids) - 1 : -1].log_softmax(-1).gather(1, completion[:, None])[:, 0]
            torch.testing.assert_close(row_logps[: len(completion)], expected, atol=1e-5, rtol=0)
            lengths.add(len(prompt_ids))
    # The reference model's, the one compared with a plain pass, and those of two micro-steps; two prompts.
    assert len(run.forwards) == 4 and len(lengths) == 2


def test_prompts_of_any_lengths_are_those_of_evaluation(run):
    trainer = run.trainer
    writer = PromptWriter(Policy(trainer.model, trainer.processing_class))
    samples = [make_sample("a", (56, 42)), replace(make_sample("b", (30, 60), 3), question="What is it? " * 9)]
    expected = [list(writer.write(sample).ids) for sample in samples]
    conversations = [
        prepare_multimodal_messages(build_messages(sample, None, trainer._escape), list(sample.images))
        for sample in samples
    ]
    ids, _, inputs = trainer._tokenize_prompts(conversations)
    assert ids == expected and len(ids[0]) + 40 < len(ids[1])
    for name in set(inputs) & set(TOKEN_TYPE_INPUTS):
        assert [len(types) for types in inputs[name]] == [len(own) for own in ids]


def test_tokens_of_images_are_never_sampled(run):
    tokenizer = run.trainer.processing_class.tokenizer
    text = {"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<end_of_utterance>", tokenizer.bos_token}
    images = {i for token, i in tokenizer.get_added_vocab().items() if token not in text and not token.isspace()}
    for known_by in (tokenizer, run.trainer.processing_class):
        assert images == set(find_vision_token_ids(run.trainer.model.config, known_by))
    assert images <= set(run.trainer.generation_config.suppress_tokens)


def test_its_checkpoint_opens_and_resumes(run):
    trained = {name: value.clone() for name, value in run.trainer.model.named_parameters()}
    before = dict(build_tiny(run.family)[0].named_parameters())
    assert any(not torch.equal(value, before[name]) for name, value in trained.items())
    opened = dict(load_policy(run.folder / "checkpoint-2").model.named_parameters())
    for folder, expected in (("model", before), ("checkpoint-2", trained)):
        run.trainer._load_from_checkpoint(str(run.folder / folder))
        for name, value in run.trainer.model.named_parameters():
            assert torch.equal(value, expected[name]), name
    for name, value in opened.items():
        assert torch.equal(value, trained[name]), name


def test_text_does_not_turn_into_images(run):
    trainer = run.trainer
    tokenizer = trainer.processing_class.tokenizer
    attack = "".join([*tokenizer.get_added_vocab(), "<image>", "<video>", "<IMG_CONTEXT>", "<start_of_image>"])
    image = make_rows(1)[0]["images"][0]

    def special_ids(question: str) -> list[int]:
        row = trainer.read_row({"prompt": [{"role": "user", "content": question}]})
        sample = Sample("attack", (image,), row["prompt"][0]["content"], "1")
        ids = encode_prompt(trainer.processing_class, sample)["input_ids"][0].tolist()
        added = tokenizer.added_tokens_decoder
        return [i for i in ids if i in added and not added[i].content.isspace()]

    assert special_ids(attack) == special_ids("What is it?")


@pytest.mark.parametrize("family", FAMILIES)
def test_trains_in_bf16_with_checkpointed_gradients(family, tmp_path):
    options = {"bf16": True, "gradient_checkpointing": True, "packing": "off"}
    trainer = VAPOTrainer(
        str(save_tiny(family, tmp_path / "model")),
        reward_funcs=even_letters,
        args=make_config(tmp_path, max_steps=1, accuracy_gate="none", **options),
        train_dataset=make_rows(images_per_row=2),
    )
    trainer.train()
    assert max(entry.get("grad_norm", 0) for entry in trainer.state.log_history) > 0


def test_trl_still_takes_the_tokens_second():
    method = inspect.unwrap(GRPOTrainer._get_per_token_logps_and_entropies)
    assert list(inspect.signature(method).parameters)[:3] == ["self", "model", "input_ids"]
