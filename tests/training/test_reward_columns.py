"""Tags of the thinking part: in prompts, boundaries and rewards of a run, and in an evaluation of it."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
import yaml
from think_tokens import save_with_think_tokens
from tiny_models import tiny_tokenizer
from training.training_world import make_config, make_rows
from transformers import AutoModelForImageTextToText, AutoProcessor

from vapo import VAPOTrainer
from vapo.cli import main
from vapo.core.boundaries import THINK_TAGS
from vapo.errors import ModelError
from vapo.models.policy.checkpoint import load_policy
from vapo.models.policy.response_texts import spell_tokens
from vapo.run_folder import choose_think_tags
from vapo.training.rewards import accuracy_reward, format_reward
from vapo.training.rollout_batch import RolloutBatch, RolloutPosition

PROMPT = "Think between <think> and </think>."


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    return str(save_with_think_tokens(tmp_path_factory.mktemp("untrained") / "model", trained=False))


def make_trainer(model, folder, processor=None, **options):
    rows = make_rows().map(lambda row: {"prompt": [{"role": "system", "content": PROMPT}, *row["prompt"]]})
    return VAPOTrainer(model, args=make_config(folder, **options), train_dataset=rows, processing_class=processor)


def grade(trainer, name: str, text: str) -> float:
    function = trainer.reward_funcs[trainer.reward_func_names.index(name)]
    return function(completions=[text], answer=["8"])[0]


@pytest.mark.parametrize(("option", "are_tokens"), [("auto", False), ("text", False), ("tokenizer", True)])
def test_tags_are_tokens_or_text_in_prompts(option, are_tokens, untrained, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        trainer = make_trainer(untrained, tmp_path, think_tags=option)
    assert trainer.args.think_tags == ("tokenizer" if are_tokens else "text")
    assert ("look untrained" in caplog.text) == (option == "auto")
    tags = set(AutoProcessor.from_pretrained(untrained).tokenizer.convert_tokens_to_ids(list(THINK_TAGS)))
    trainer.model.train()
    output = trainer._generate_and_score_completions([trainer.train_dataset[0]] * 4)
    ids = output["prompt_ids"][0].tolist()
    assert bool(tags & set(ids)) is are_tokens and PROMPT in trainer._tokenizer.decode(ids)
    assert grade(trainer, "format_reward", r"<think>a</think>\boxed{8}") == 1


def test_a_model_given_as_an_object_is_looked_at_itself(untrained, tmp_path):
    model = AutoModelForImageTextToText.from_pretrained(untrained)
    trainer = make_trainer(model, tmp_path, AutoProcessor.from_pretrained(untrained))
    assert trainer.args.think_tags == "text"
    assert THINK_TAGS[0] not in trainer._tokenizer.get_added_vocab()


def test_a_pair_of_ones_own_counts_in_rewards_and_boundaries(checkpoint, tmp_path):
    trainer = make_trainer(checkpoint, tmp_path, think_tags="<why> </why>")
    own, usual = (rf"{tag}\boxed{{7}}.</{tag[1:]}\boxed{{8}}" for tag in ("<why>", "<think>"))
    assert [grade(trainer, "format_reward", text) for text in (own, usual)] == [1, 0]
    assert grade(trainer, "accuracy_reward", own) == 1
    assert grade(trainer, "accuracy_reward", r"\boxed{8}</why>no box") == 0
    row = trainer.read_row(trainer.train_dataset[0])
    trainer.model.train()
    place = RolloutPosition.of(trainer, 1)
    batch = RolloutBatch([row], place, trainer.algorithm, trainer._sample_reader, *trainer._spelling)
    text = "<why>One, two.</why> Three, four."
    batch.generated = ([[1]], [trainer._tokenizer.encode(text)])
    (rollout,), _, (probes,) = batch._drawn
    assert rollout.think_tags == ("<why>", "</why>") and rollout.answer_text == " Three, four."
    assert probes and all("Three" not in "".join(rollout.token_texts[: one.anchor.index]) for one in probes)


def test_a_template_that_opens_the_tag_fits_a_pair_of_ones_own(checkpoint, tmp_path):
    processor = AutoProcessor.from_pretrained(checkpoint)
    template = tiny_tokenizer().chat_template.replace("assistant\n{% endif %}", "assistant\n<why>{% endif %}")
    assert "<why>" in template
    processor.chat_template = template
    trainer = make_trainer(checkpoint, tmp_path, processor, think_tags="<why> </why>")
    assert grade(trainer, "format_reward", r"a</why>\boxed{8}") == 1
    assert grade(trainer, "format_reward", r"<why>a</why>\boxed{8}") == 0


def test_special_tags_are_refused_and_can_be_text(tmp_path):
    folder = str(save_with_think_tokens(tmp_path / "model", trained=True, special=True))
    with pytest.raises(ModelError, match=r"treats </think> and <think> as special.*think_tags: text"):
        make_trainer(folder, tmp_path / "refused", think_tags="auto")
    trainer = make_trainer(folder, tmp_path / "run", think_tags="text")
    text = spell_tokens(trainer._tokenizer, trainer._tokenizer.encode("<think>a</think>"))
    assert "".join(text) == "<think>a</think>"


def test_rewards_without_other_tags_are_those_that_were_given(checkpoint, tmp_path):
    trainer = make_trainer(checkpoint, tmp_path)
    assert trainer.reward_funcs[:2] == [accuracy_reward, format_reward]


def test_an_evaluation_and_a_diagnosis_use_the_tags_of_the_run(untrained, tmp_path, capsys):
    from PIL import Image

    Image.new("RGB", (28, 28), "red").save(tmp_path / "0.png")
    claims = [{"text": "there is a cat", "is_true": True}, {"text": "the sky is green", "is_true": False}]
    row = {"problem": "What?", "answer": "1", "image": "0.png", "claims": claims}
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({**row, "id": str(number)}) + "\n" for number in range(4)))
    config = {
        "model_name_or_path": untrained,
        "data": str(data),
        "system_prompt": PROMPT,
        "output_dir": str(tmp_path / "run"),
        "per_device_train_batch_size": 4,
        "num_generations": 4,
        "max_completion_length": 8,
        "num_anchors": 2,
        "max_steps": 1,
        "max_prompt_tokens": 400,
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    assert main(["train", "--config", str(tmp_path / "run.yaml")]) == 0
    run = tmp_path / "run"
    assert choose_think_tags(None, run) == choose_think_tags(None, run / "checkpoint-1") == "text"
    assert choose_think_tags("tokenizer", run) == "tokenizer" and choose_think_tags(None, untrained) == "auto"
    # The run's own tokenizer writes them as text, whoever opens it.
    tokenizer = AutoProcessor.from_pretrained(run).tokenizer
    assert THINK_TAGS[0] not in tokenizer.get_added_vocab()
    assert len(tokenizer) == len(AutoProcessor.from_pretrained(untrained).tokenizer)
    shared = ["--data", str(data), "--max-completion-tokens", "8", "--think-tags"]
    for model, tags in ((run, "text"), (untrained, "auto"), (untrained, "<a> </a>")):
        out = tmp_path / f"of {tags}"
        words = ["evaluate", str(model), *shared, *tags.split(), "--out", str(out), "--num-anchors", "2"]
        assert main(words) == 0
        settings = json.loads((out / "evaluation.json").read_text())["settings"]
        assert settings["think_tags"] == (tags.split() if " " in tags else list(THINK_TAGS))
    words = ["diagnose", str(run), "--data", str(data), "--max-completion-tokens", "8", "--protocols", "early"]
    assert main([*words, "--out", str(tmp_path / "report")]) == 0
    capsys.readouterr()
    assert main([*words, "--think-tags", "nonsense", "--out", str(tmp_path / "none")]) == 1
    assert "think_tags is 'nonsense'; it must be 'auto'" in capsys.readouterr().err


def test_a_policy_opened_by_a_run_decides_too(untrained):
    assert load_policy(untrained).think_tags == THINK_TAGS
    asked = load_policy(untrained, think_tags="auto")
    assert THINK_TAGS[0] not in asked.processor.tokenizer.get_added_vocab()
    assert replace(load_policy(untrained, think_tags="<a> </a>")).think_tags == ("<a>", "</a>")
