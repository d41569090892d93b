from __future__ import annotations

import dataclasses
import datetime
from types import NoneType
from typing import get_type_hints

import pytest
import yaml
from trl import ModelConfig, TrlParser

from vapo import VAPOConfig
from vapo.data.options import DataOptions
from vapo.errors import ConfigError
from vapo.training.option_values import OptionValues, list_kinds, split_list
from vapo.training.options import parse_run

CLASSES = (DataOptions, VAPOConfig, ModelConfig)
BASE = {"model_name_or_path": "m", "data": "d", "num_generations": 2, "per_device_train_batch_size": 2}


@pytest.fixture
def parse(tmp_path):
    def run(config: dict, *words: str):
        file = tmp_path / "run.yaml"
        file.write_text(yaml.safe_dump({**BASE, "output_dir": str(tmp_path), **config}))
        return parse_run(["--config", str(file), *words])

    return run


def list_options() -> dict[str, tuple]:
    hints = {name: hint for own in CLASSES for name, hint in get_type_hints(own).items()}
    return {f.name: list_kinds(hints[f.name]) for own in CLASSES for f in dataclasses.fields(own) if f.init}


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("q_proj,v_proj", ["q_proj", "v_proj"]),
        ("q_proj, v_proj,", ["q_proj", "v_proj"]),
        ("1,0.5,1e-3", ["1", "0.5", "1e-3"]),
        (r".*\.(q|v){1,2}", [r".*\.(q|v){1,2}"]),
        ("all-linear", ["all-linear"]),
        ("", [""]),
    ],
)
def test_plain_words_are_split_at_commas_and_patterns_are_not(given, parts):
    assert split_list(given) == parts


@pytest.mark.parametrize(
    "words",
    [
        ["--lora_target_modules", "q_proj,v_proj", "--reward_weights", "1,0.5"],
        ["--lora-target-modules=q_proj,v_proj", "--reward_weights=1,0.5"],
        ["--lora_target_modules", "q_proj,", "v_proj", "--reward_weights", "1", "0.5"],
    ],
)
def test_lists_on_the_command_line(parse, words):
    options = parse({}, *words)
    assert options.model.lora_target_modules == ["q_proj", "v_proj"]
    assert options.training.reward_weights == [1.0, 0.5]


@pytest.mark.parametrize("given", ["q_proj,v_proj", ["q_proj", "v_proj"], ["q_proj,v_proj"]])
def test_lists_in_a_file(parse, given):
    options = parse({"lora_target_modules": given, "reward_weights": "1,0.5", "report_to": "tensorboard,wandb"})
    assert options.model.lora_target_modules == ["q_proj", "v_proj"]
    assert options.training.reward_weights == [1.0, 0.5]
    assert options.training.report_to == ["tensorboard", "wandb"]


@pytest.mark.parametrize(
    ("given", "taken"),
    [("q_proj", ["q_proj"]), (["q_proj"], ["q_proj"]), ("all-linear", "all-linear"), (r".*_proj", r".*_proj")],
)
def test_one_name_is_a_name_and_a_pattern_a_pattern(parse, given, taken):
    assert parse({"lora_target_modules": given}).model.lora_target_modules == taken


def test_where_yaml_reads_a_truth_value(parse):
    training = parse(yaml.safe_load("save_strategy: no\neval_strategy: no\npacking: off\nuse_cpu: on")).training
    assert (training.save_strategy, training.eval_strategy, training.packing) == ("no", "no", "off")


def test_numbers_and_dates_where_text_is_meant(parse):
    options = parse({"run_name": datetime.date(2026, 11, 30), "split": 7, "learning_rate": 1})
    assert (options.training.run_name, options.data.split) == ("2026-11-30", "7")
    assert options.training.learning_rate == 1.0


def test_an_empty_option_is_taken_or_refused_by_name(parse):
    values = OptionValues(TrlParser(CLASSES), CLASSES)
    empty = {name: None for name, kinds in list_options().items() if NoneType in kinds}
    assert values.convert(empty, "run.yaml") == empty
    for name in list_options().keys() - empty.keys():
        with pytest.raises(ConfigError, match=f"{name} is empty"):
            values.convert({name: None}, "run.yaml")
    parse({name: None for name in empty.keys() - BASE.keys()})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_anchors": [3]}, "num_anchors holds a list, and takes a whole number"),
        ({"num_anchors": {"a": 1}}, "num_anchors holds names and values, and takes a whole number"),
        ({"num_anchors": True}, "num_anchors is true, and takes a whole number"),
        ({"num_anchors": 2.5}, "num_anchors.*invalid int value: '2.5'"),
        ({"learning_rate": None}, "learning_rate is empty; give it a value, or leave the line out"),
        ({"run_name": False}, "run_name is false, and takes text"),
        ({"on_bad_row": "skp"}, "on_bad_row must be one of error, skip, but is 'skp'; the nearest is 'skip'"),
        ({"reward_weights": ["x"]}, "reward_weights holds 'x', which is no float"),
        ({"accelerator_config": "nowhere.json"}, "nowhere.json"),
        ({"num_generations": 0}, "num_generations must be at least 2, but is 0"),
        ({"per_device_train_batch_size": -1}, "per_device_train_batch_size must be at least 1"),
        ({"max_completion_length": 0}, "max_completion_length must be at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate must be at least 0, but is nan"),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"save_steps": 0}, "save_steps must be above 0"),
        ({"env": ["A"]}, "env must hold variables"),
    ],
)
def test_what_an_option_does_not_take(parse, config, message):
    with pytest.raises(ConfigError, match=message):
        parse(config)


def test_reports_to_nobody(parse):
    assert parse({"report_to": None}).training.report_to == []
