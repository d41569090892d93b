"""A run file from a stranger runs no code and changes nothing of the machine; what it may say is told."""

from __future__ import annotations

import json
import os
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from vapo.cli import main
from vapo.errors import ConfigError, VapoError
from vapo.export.origin import find_origin
from vapo.export.recipe import list_recipe
from vapo.run_folder import choose_system_prompt
from vapo.training import run_file
from vapo.training.options import parse_run, read_options
from vapo.training.planned_run import parse_planned_run
from vapo.training.rewards import accuracy_reward, load_rewards
from vapo.training.run import describe
from vapo.training.run_file import HARMLESS_VARIABLES, check_run_file

MINE = Path("run.yaml")


@pytest.fixture(autouse=True)
def described_anew(monkeypatch: pytest.MonkeyPatch):
    run_file._describe.cache_clear()
    for name in ("LD_PRELOAD", "HF_ENDPOINT", "HTTPS_PROXY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)


def test_a_method_of_an_installed_package_is_told(tmp_path, capsys):
    check_run_file(MINE, {"algorithm": "their_package.method:Method"})
    assert "trains by 'their_package.method:Method', a class of an installed package" in capsys.readouterr().err
    check_run_file(MINE, {"algorithm": "grpo"})
    assert capsys.readouterr().err == ""


def write(folder: Path, **options: Any) -> str:
    file = folder / "run.yaml"
    named = {"model_name_or_path": "m", "data": "d", "output_dir": str(folder / "out"), "use_cpu": True}
    file.write_text(yaml.safe_dump({**named, **options}))
    return str(file)


@pytest.fixture
def model_with_code(tmp_path: Path) -> Path:
    """A model whose configuration is a program, which leaves a mark when it runs."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"model_type": "own", "auto_map": {"AutoConfig": "configuration_own.OwnConfig"}})
    )
    (folder / "configuration_own.py").write_text(
        f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\nfrom transformers import PretrainedConfig\n"
        "class OwnConfig(PretrainedConfig):\n    model_type = 'own'\n"
    )
    return folder


@pytest.mark.parametrize("command", [["plan"], ["verl", "config"], ["train", "--config"]], ids=" ".join)
def test_no_command_runs_a_models_code_because_a_run_file_says_so(
    model_with_code: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
):
    file = write(tmp_path, model_name_or_path=str(model_with_code), trust_remote_code=True, max_prompt_tokens=64)
    gpus = ["--gpus", "1x80"] if command == ["plan"] else []
    assert main([*command, file, *gpus]) == 1
    assert "says trust_remote_code: True" in capsys.readouterr().err and not (tmp_path / "ran").exists()


def test_the_users_own_word_counts(model_with_code: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = write(tmp_path, model_name_or_path=str(model_with_code), max_prompt_tokens=64)
    assert parse_run(["--config", file, "--trust_remote_code", "true"]).training.trust_remote_code is True
    assert parse_planned_run(file, ["trust_remote_code=true"], prog="x").options.training.trust_remote_code is True
    main(["plan", file, "--gpus", "1x80", "--set", "trust_remote_code=true"])
    assert (tmp_path / "ran").exists(), "the attack works where the user lets it"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trust_remote_code": "yes"}, "trust_remote_code: 'yes'.*--trust_remote_code true"),
        ({"trust_remote_code": 1}, "trust_remote_code: 1"),
        ({"model_init_kwargs": {"trust_remote_code": True}}, "trust_remote_code.*--model_init_kwargs"),
        ({"model_init_kwargs": {"allow_all_kernels": True}}, "allow_all_kernels"),
        ({"model_init_kwargs": {"a": [{"weights_only": False}]}}, "weights_only: False"),
        ({"model_init_kwargs": {"use_safetensors": False}}, "use_safetensors: False"),
        ({"generation_kwargs": {"custom_generate": "stranger/code"}}, "custom_generate: 'stranger/code'"),
        ({"attn_implementation": "stranger/kernel"}, "runs a kernel of that repository"),
        ({"attn_implementation": "paged|stranger/kernel@main:x"}, "runs a kernel of that repository"),
        ({"model_init_kwargs": {"attn_implementation": {"": "stranger/kernel"}}}, "runs a kernel"),
        ({"accelerate_config": "their.yaml"}, "a run file may name fsdp2, multi_gpu, .*--accelerate_config"),
    ],
)
def test_what_runs_code_is_refused_by_name_with_the_remedy(tmp_path: Path, options: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        parse_run(["--config", write(tmp_path, **options)])


@pytest.mark.parametrize(
    "options",
    [
        {"trust_remote_code": False},
        {"model_init_kwargs": {"trust_remote_code": "false", "use_safetensors": True, "dtype": "float32"}},
        {"attn_implementation": "kernels-community/flash-attn2"},
        {"attn_implementation": "flash_attention_2"},
        {"accelerate_config": "fsdp2"},
        {"vllm_server_base_url": "http://localhost:8000", "push_to_hub": False},
    ],
)
def test_what_runs_none_is_taken_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any]
):
    parse_run(["--config", write(tmp_path, **options)])
    assert "vapo:" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["LD_PRELOAD", "HF_ENDPOINT", "HTTPS_PROXY", "PYTHONPATH", "wandb_project", 3])
def test_the_environment_is_the_users(tmp_path: Path, name: Any):
    with pytest.raises(ConfigError, match=f"sets the environment variable '{name}'.*may set .*WANDB_PROJECT"):
        parse_run(["--config", write(tmp_path, env={"WANDB_PROJECT": "x", name: "evil"})])
    assert str(name) not in os.environ or os.environ[str(name)] != "evil"


def test_harmless_variables_are_set_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("WANDB_PROJECT", "before")
    file = write(tmp_path, env={"WANDB_PROJECT": "mine\033[2J"})
    for _ in range(2):
        parse_run(["--config", file])
    assert os.environ["WANDB_PROJECT"] == "mine\033[2J"
    assert capsys.readouterr().err == f"vapo: {file} sets WANDB_PROJECT='mine\\x1b[2J'\n"


def test_no_harmless_variable_leads_anywhere():
    leading = (
        "PRELOAD",
        "PATH",
        "ENDPOINT",
        "URL",
        "PROXY",
        "HOME",
        "CACHE",
        "FILE",
        "DIR",
        "_TOKEN",
        "KEY",
        "PLUGIN",
    )
    assert not [name for name in HARMLESS_VARIABLES if any(word in name for word in leading)]


def test_where_a_run_leads_is_told_without_its_passwords(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    leads = {"vllm_server_base_url": "http://me:pw@10.0.0.7:8000", "push_to_hub": True, "hub_model_id": "a/b"}
    parse_run(["--config", write(tmp_path, **leads)])
    said = capsys.readouterr().err
    assert "leads elsewhere" in said and "http://***@10.0.0.7:8000" in said and "'a/b'" in said and "pw" not in said


@pytest.mark.parametrize("env", [["LD_PRELOAD=x"], "LD_PRELOAD=x", 3])
def test_an_environment_in_another_form_is_refused(tmp_path: Path, env: Any):
    with pytest.raises(ConfigError, match="'NAME: value' lines"):
        parse_run(["--config", write(tmp_path, env=env)])


@pytest.mark.parametrize("value", ["a\0b", ["a"], {"a": 1}, None])
def test_a_variable_that_is_no_text_is_refused(value: Any):
    with pytest.raises(ConfigError, match=r"sets WANDB_NAME to .*, which is no text"):
        check_run_file(MINE, {"env": {"WANDB_NAME": value}})


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "data: 2026-99-99", "data: [1", "\ud800".encode("utf-8", "surrogatepass")]
)
def test_what_is_no_yaml_is_refused_in_a_sentence(tmp_path: Path, text: Any):
    (tmp_path / "run.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match="is not YAML"):
        parse_run(["--config", str(tmp_path / "run.yaml")])


def test_anchors_do_not_eat_the_machine(tmp_path: Path):
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    with pytest.raises(ConfigError, match="more than 10000 values"):
        check_run_file(MINE, yaml.safe_load(bomb))


def test_passwords_and_tokens_are_in_no_record(tmp_path: Path):
    secret = "hf_thisisasecret123456"
    options = parse_run(
        [
            *("--config", write(tmp_path), "--hub_token", secret, "--vllm_server_base_url", f"http://me:{secret}@h:1"),
            *("--model_init_kwargs", json.dumps({"token": secret, "url": f"http://me:{secret}@h"})),
        ]
    )
    for kept in (describe(options), options.training.to_dict(), options.training.to_json_string()):
        assert secret not in str(kept)
    assert secret.encode() not in pickle.dumps(options.training)
    assert options.training.hub_token == secret and secret in options.training.vllm_server_base_url


def test_a_shared_recipe_says_nothing_that_a_run_file_may_not(tmp_path: Path):
    options = parse_run(["--config", write(tmp_path), "--trust_remote_code", "true"])
    check_run_file(MINE, list_recipe(json.loads(json.dumps(describe(options), default=str))))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=10,
)
NAMES = ("trust_remote_code", "env", "accelerate_config", "attn_implementation", "model_init_kwargs", "push_to_hub")
NAMES += ("vllm_server_base_url", "learning_rate", "report_to", "model_name_or_path", "data", "optim", "fsdp")


@given(st.dictionaries(st.sampled_from(NAMES), values, max_size=5))
@settings(max_examples=100, deadline=None)
def test_whatever_a_run_file_holds_is_taken_or_refused(config: dict[str, Any]):
    try:
        check_run_file(MINE, config)
    except ConfigError:
        return
    assert str(config.get("trust_remote_code")).strip().lower() in ("false", "no", "none")
    assert set(config.get("env") or {}) <= set(HARMLESS_VARIABLES)


@pytest.mark.slow
@given(config=st.dictionaries(st.sampled_from(NAMES), values, max_size=5) | values)
@settings(max_examples=300, deadline=None)
def test_whatever_a_run_file_holds_is_parsed_or_refused_three_hundred_times(config: Any, tmp_path_factory: Any):
    file = tmp_path_factory.mktemp("fuzz") / "run.yaml"
    file.write_text(yaml.safe_dump(config))
    before = dict(os.environ)
    with suppress(VapoError):
        parse_run(["--config", str(file), "--output_dir", str(file.parent), "--use_cpu", "true"])
    assert {name for name in os.environ if os.environ[name] != before.get(name)} <= set(HARMLESS_VARIABLES)


@pytest.mark.slow
@given(record=values | st.dictionaries(st.sampled_from(("system_prompt", "data", "global_step", "max_steps")), values))
@settings(max_examples=500, deadline=None)
def test_whatever_a_run_recorded_is_read_or_refused_five_hundred_times(record: Any, tmp_path_factory: Any):
    run = tmp_path_factory.mktemp("fuzz")
    (run / "config.json").write_text("{}")
    for name in ("settings.json", "versions.json", "data.json", "trainer_state.json", "finished", "metrics.jsonl"):
        (run / name).write_text(json.dumps(record))
    for read in (lambda: choose_system_prompt(None, run), lambda: find_origin(run)):
        with suppress(VapoError):
            read()


def test_a_run_file_is_read_once(tmp_path, monkeypatch):
    file = tmp_path / "run.yaml"
    file.write_text("model_name_or_path: m\ndata: d\noutput_dir: o\nnum_anchors: 3\nuse_cpu: true\n")
    read = []
    plain = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, *a, **k: (read.append(path), plain(path, *a, **k))[1])
    parsed = parse_planned_run(str(file), ["max_steps=2"], prog="x")
    given = read_options(["--config", str(file)])
    assert (given.parse_launch().num_machines, given.parse_run().training.num_anchors) == (1, 3)
    assert read.count(file) == 2  # once for each of the two
    assert parsed.given == {"model_name_or_path", "data", "output_dir", "num_anchors", "use_cpu", "max_steps"}
    assert parsed.changed == {"max_steps"} and parsed.text == file.read_text()


def test_reward_functions_are_named_by_module_or_file_of_this_folder(tmp_path, monkeypatch, capfd):
    (tmp_path / "my_own_rewards.py").write_text("def iou(completions, **_):\n    return [0.5] * len(completions)\n")
    monkeypatch.chdir(tmp_path)
    text = "model_name_or_path: m\ndata: d\noutput_dir: o\nuse_cpu: true\n"
    (tmp_path / "run.yaml").write_text(f"{text}reward_funcs: [accuracy_reward, my_own_rewards:iou]\n")
    names = parse_run(["--config", "run.yaml"]).training.reward_funcs
    assert names == ["accuracy_reward", "my_own_rewards:iou"]
    first, second = load_rewards(names)
    assert first is accuracy_reward and second(["a"]) == [0.5]
    assert "rewards by 'my_own_rewards:iou', whose code runs" in capfd.readouterr().err
    given = parse_run(["--config", "run.yaml", "--reward_funcs", "my_own_rewards.py:iou"]).training.reward_funcs
    assert given is not None and load_rewards(given)[0](["a", "b"]) == [0.5, 0.5]
    (tmp_path / "run.yaml").write_text(f"{text}reward_funcs: ../elsewhere.py:iou\n")
    with pytest.raises(ConfigError, match="a file elsewhere, whose code would run"):
        parse_run(["--config", "run.yaml"])
    for name, message in {
        "iou": "name it as my_rewards:iou",
        "gone:iou": "No module",
        "json:iou": "no function",
    }.items():
        with pytest.raises(ConfigError, match=message):
            load_rewards([name])
