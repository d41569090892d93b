from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file
from tiny_models import save_tiny

from vapo.atomic_files import write_atomically
from vapo.cli import main
from vapo.errors import ConfigError
from vapo.run_folder import ProcessCount, RunFolder, choose_system_prompt, list_versions
from vapo.training.options import parse_run

CLAIMS = [{"text": "there is a cat", "is_true": True}, {"text": "the sky is green", "is_true": False}]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder with a random model, data in JSON Lines, and a config that trains one on the other."""
    folder = tmp_path_factory.mktemp("world")
    save_tiny("llava", folder / "model")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(8):
        Image.fromarray(rng.integers(0, 255, (28, 28, 3)).astype("uint8")).save(folder / f"{number}.png")
        rows.append({"problem": f"What is {number}?", "answer": "1", "image": f"{number}.png", "claims": CLAIMS})
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "model_name_or_path": str(folder / "model"),
        "data": str(folder / "data.jsonl"),
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 4,
        "num_generations": 4,
        "max_completion_length": 12,
        "num_anchors": 4,
        "accuracy_gate": "none",
        "perception_weight": 1.0,
        "max_steps": 6,
        "save_steps": 1,
        "logging_steps": 1,
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    return folder


def command(world: Path, out: Path, *more: str) -> list[str]:
    words = ["train", "--config", str(world / "run.yaml"), "--output_dir", str(out)]
    return [sys.executable, "-m", "vapo", *words, *more]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def run(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def steps_logged(out: Path) -> list[int]:
    file = out / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line)["step"] for line in lines if line.endswith("}") and "train_runtime" not in line]


def assert_same_weights(first: Path, second: Path) -> None:
    ours, theirs = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)


def kill_when(words: list[str], reached) -> None:
    """Start a run and kill it the hard way as soon as `reached()`; it must not have ended by itself."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    while not reached() and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None, "the run ended before it could be killed"
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run(command(world, out))
    return out


def test_a_run_folder_explains_itself(world, undisturbed):
    settings = json.loads((undisturbed / "settings.json").read_text())
    assert settings["num_anchors"] == 4 and settings["probe_seed"] == settings["seed"] == 42
    assert settings["data"] == str(world / "data.jsonl") and settings["beta"] == 0.0
    assert json.loads((undisturbed / "versions.json").read_text()) == list_versions()
    assert steps_logged(undisturbed) == [1, 2, 3, 4, 5, 6]
    (data,) = json.loads((undisturbed / "data.json").read_text()).values()
    assert (data["rows"], data["true_claims"], data["false_claims"]) == (8, 8, 8)
    assert [file["name"] for file in data["files"]] == ["data.jsonl"]


def test_killed_twice_it_ends_as_if_undisturbed(world, undisturbed, tmp_path):
    out = tmp_path / "run"
    kill_when(command(world, out), lambda: (out / "checkpoint-1").exists())
    kill_when(command(world, out), lambda: max(steps_logged(out), default=0) >= 3)
    run(command(world, out))
    assert steps_logged(out) == [1, 2, 3, 4, 5, 6]
    assert_same_weights(out, undisturbed)


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_as_if_undisturbed(world, undisturbed, tmp_path):
    rng, out = random.Random(0), tmp_path / "run"
    for _ in range(12):
        process = subprocess.Popen(command(world, out), stderr=subprocess.DEVNULL, env=environment())
        time.sleep(rng.uniform(8, 20))
        process.kill()
        process.wait()
    run(command(world, out))
    assert steps_logged(out) == [1, 2, 3, 4, 5, 6]
    assert_same_weights(out, undisturbed)


def test_two_processes_train_one_policy(world, tmp_path):
    """Groups straddle the processes, the data is uneven, and both end with the same parameters."""
    out = tmp_path / "run"
    words = command(world, out, "--per_device_train_batch_size", "2", "--update_batch_size", "8")
    words += ["--beta", "0.01", "--max_steps", "2", "--limit", "7"]
    run([*words, "--accelerate_config", "multi_gpu", "--num_processes", "2"])
    assert steps_logged(out) == [1, 2]
    assert len(list((out / "checkpoint-2").glob("rng_state_*.pth"))) == 2
    assert "gradient_accumulation_steps" not in json.loads((out / "settings.json").read_text())


class TestAgain:
    def test_a_finished_run_is_left_alone(self, world, undisturbed, capsys):
        before = (undisturbed / "model.safetensors").stat().st_mtime_ns
        assert main(command(world, undisturbed)[3:]) == 0
        assert "6 steps done (0 of them now)" in capsys.readouterr().out
        assert (undisturbed / "model.safetensors").stat().st_mtime_ns == before

    def test_other_settings_are_refused(self, world, undisturbed, capsys):
        assert main([*command(world, undisturbed)[3:], "--learning_rate", "1e-2"]) == 1
        message = capsys.readouterr().err
        assert "learning_rate was 0.001 and is 0.01" in message and "choose another --output_dir" in message


class TestRunFolder:
    def test_a_checkpoint_cut_off_while_writing_is_passed_over(self, tmp_path):
        folder = RunFolder(tmp_path)
        for step, state in ((9, '{"global_step": 9, "max_steps": 11}'), (10, '{"global_st')):
            (tmp_path / f"checkpoint-{step}").mkdir()
            (tmp_path / f"checkpoint-{step}" / "rng_state.pth").touch()
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
        (tmp_path / "checkpoint-11").mkdir()
        write_atomically(tmp_path / "metrics.jsonl", '{"step": 9}\n{"step": 10}\n{"st')
        assert folder.find_checkpoint() == tmp_path / "checkpoint-9"
        assert RunFolder(tmp_path, num_processes=2).find_checkpoint() is None
        folder.remove_checkpoints_after(tmp_path / "checkpoint-9")
        assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-9"]
        assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 9}\n'

    @pytest.mark.parametrize("reading", [1, 2, 3])
    def test_a_checkpoint_is_complete_with_the_states_of_those_who_wrote_it(self, tmp_path, reading):
        states = {"ProcessCount": ProcessCount(2).state()}
        for step in (1, 2):
            (tmp_path / f"checkpoint-{step}").mkdir()
            (tmp_path / f"checkpoint-{step}" / "rng_state_0.pth").touch()
            state = json.dumps({"global_step": step, "max_steps": 2, "stateful_callbacks": states})
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
        (tmp_path / "checkpoint-1" / "rng_state_1.pth").touch()
        folder = RunFolder(tmp_path, num_processes=reading)
        assert folder.find_checkpoint() == tmp_path / "checkpoint-1"
        assert folder.count_processes_of(tmp_path / "checkpoint-1") == 2

    @pytest.mark.parametrize("left", ["", "metrics.jsonl", "checkpoint-1"])
    def test_a_run_without_a_step_binds_nobody(self, tmp_path, left):
        RunFolder(tmp_path).open({"a": 1, "b": 1})
        RunFolder(tmp_path).record_data(lambda: {"train": {"rows": 1}})
        (tmp_path / "claims").mkdir()
        (tmp_path / "claims" / "step-0.db").touch()
        if left == "metrics.jsonl":
            (tmp_path / left).write_text('{"step": 0, "eval_reward": 1}\n')
        if left == "checkpoint-1":
            (tmp_path / left).mkdir()  # cut off while it was written
        folder = RunFolder(tmp_path)
        folder.open({"a": 2, "c": 1})
        folder.record_data(lambda: {"train": {"rows": 2}})
        assert json.loads((tmp_path / "settings.json").read_text()) == {"a": 2, "c": 1}
        assert json.loads((tmp_path / "data.json").read_text()) == {"train": {"rows": 2}}
        assert not list((tmp_path / "claims").iterdir())

    @pytest.mark.parametrize("metrics", ['{"step": 1}\n', '{"step": 0}\n{"step": 1, "lo'])
    def test_a_run_with_a_step_binds(self, tmp_path, metrics):
        RunFolder(tmp_path).open({"a": 1})
        RunFolder(tmp_path).record_data(lambda: {"train": {"rows": 1}})
        (tmp_path / "metrics.jsonl").write_text(metrics)
        with pytest.raises(ConfigError, match="a was 1 and is 2"):
            RunFolder(tmp_path).open({"a": 2})
        RunFolder(tmp_path).record_data(lambda: {"train": {"rows": 2}})
        assert json.loads((tmp_path / "data.json").read_text()) == {"train": {"rows": 1}}

    @pytest.mark.parametrize("text", ['{"editor.fontSize": 12}', "[1]", "not JSON"])
    def test_files_of_another_hand_are_left_alone(self, tmp_path, text):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(ConfigError, match=r"other settings|holds no settings"):
            RunFolder(tmp_path).open({"a": 1})
        assert (tmp_path / "settings.json").read_text() == text
        (tmp_path / "settings.json").unlink()
        (tmp_path / "data.json").write_text(text)
        RunFolder(tmp_path).open({"a": 1})
        RunFolder(tmp_path).record_data(lambda: {"train": {"rows": 1}})
        assert (tmp_path / "data.json").read_text() == text

    def test_one_process_at_a_time_until_it_ends_however_it_ends(self, tmp_path):
        code = "import sys, time; from vapo.run_folder import RunFolder; folder = RunFolder(sys.argv[1])"
        code += "; folder.open({'a': 1}); print('open', flush=True); time.sleep(1e6)"
        with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None and other.stdout.readline() == "open\n"
            with pytest.raises(ConfigError, match="another process trains in"):
                RunFolder(tmp_path).open({"a": 2})
            assert json.loads((tmp_path / "settings.json").read_text()) == {"a": 1}
            other.kill()
        RunFolder(tmp_path).open({"a": 2})

    def test_a_policy_is_asked_as_it_was_trained(self, tmp_path):
        (tmp_path / "checkpoint-2").mkdir()
        write_atomically(tmp_path / "settings.json", '{"system_prompt": "Think first."}')
        for folder in (tmp_path, tmp_path / "checkpoint-2", str(tmp_path)):
            assert choose_system_prompt(None, folder) == "Think first."
            assert choose_system_prompt("Be brief.", folder) == "Be brief."
            assert choose_system_prompt("", folder) is None
        (tmp_path / "model").mkdir()
        for other in ("Qwen/Qwen2.5-VL-7B-Instruct", tmp_path / "checkpoint-3", tmp_path / "model"):
            assert choose_system_prompt(None, other) is None


class TestOptions:
    def parse(self, tmp_path, text: str, *more: str):
        (tmp_path / "run.yaml").write_text(text)
        return parse_run(["--config", str(tmp_path / "run.yaml"), "--output_dir", str(tmp_path), *more])

    def test_the_command_line_overrides_the_file(self, tmp_path):
        text = "model_name_or_path: m\ndata: d\nlearning_rate: 1e-4\nnum_anchors: 5\nreport_to: [tensorboard]\n"
        options = self.parse(tmp_path, text, "--num_anchors", "7", "--per_device_train_batch_size=8")
        assert (options.training.num_anchors, options.training.learning_rate) == (7, 1e-4)
        assert options.training.report_to == ["tensorboard"]

    @pytest.mark.parametrize(
        ("text", "more", "message"),
        [
            ("num_anchor: 3", [], "unknown option 'num_anchor'; the nearest is 'num_anchors'"),
            ("data_split: train", [], "unknown option 'data_split'; it is called 'split' now"),
            ("", ["--data-split", "train"], "unknown option '--data-split'; it is called 'split' now"),
            ("", ["--lerning_rate", "3"], "unknown option '--lerning_rate'; the nearest is 'learning_rate'"),
            ("data: d", [], "must hold|model_name_or_path is missing"),
            ("model_name_or_path: m", [], "data is missing"),
            ("- a\n- b", [], "must hold options as 'name: value' lines"),
            ("a: [", [], "is not YAML"),
            ("model_name_or_path: m\ndata: d\nnum_anchors: many", [], "invalid int value: 'many'"),
            ("model_name_or_path: m\ndata: d\nverdict: loud", [], "verdict must be one of hard, soft"),
            ("model_name_or_path: m\ndata: d\nnum_generations: 3", [], "must be divisible by num_generations"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path, text, more, message):
        with pytest.raises(ConfigError, match=message):
            self.parse(tmp_path, text, *more)

    def test_no_such_file(self):
        with pytest.raises(ConfigError, match=r"nowhere\.yaml cannot be read: No such file"):
            parse_run(["--config", "nowhere.yaml"])
        with pytest.raises(ConfigError, match="--config needs the path"):
            parse_run(["--config"])

    def test_no_such_model(self, world, tmp_path, capsys):
        words = command(world, tmp_path / "out", "--model_name_or_path", str(tmp_path / "nothing"))
        assert main(words[3:]) == 1
        assert "cannot be loaded" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("option", "package", "extra"),
        [
            ("use_peft", "peft", "peft"),
            ("load_in_4bit", "bitsandbytes", "qlora"),
            ("load_in_8bit", "bitsandbytes", "qlora"),
        ],
    )
    def test_a_missing_package_is_named(self, world, tmp_path, capsys, monkeypatch, option, package, extra):
        monkeypatch.setattr("vapo.training.preparation.find_spec", lambda name: None if name == package else object())
        assert main([*command(world, tmp_path / "out")[3:], f"--{option}", "true"]) == 1
        assert (
            f"{option} needs {package}, which is not installed: pip install 'vapo[{extra}]'" in capsys.readouterr().err
        )
        assert not (tmp_path / "out").exists()

    def test_a_refused_run_is_not_held_against_the_next(self, world, tmp_path, capsys):
        words = command(world, tmp_path / "out", "--max_steps", "1")[3:]
        refusals = {
            "one rollout takes 100 prompts": ["--generation_batch_size", "400"],
            "needs vLLM|is not supported for 'llava'": ["--use_vllm", "true"],
        }
        for message, more in refusals.items():
            assert main([*words, *more]) == 1
            assert re.search(message, capsys.readouterr().err)
        assert not (tmp_path / "out").exists()
        assert main(words) == 0

    def test_rows_left_out_are_counted(self, world, tmp_path, capsys):
        rows = (world / "data.jsonl").read_text().splitlines()
        rows[3] = rows[3].replace("What is 3?", "What is 3? " * 40)
        (world / "long.jsonl").write_text("\n".join(rows) + "\n")
        words = [*command(world, tmp_path / "out")[3:], "--data", str(world / "long.jsonl"), "--max_steps", "1"]
        assert main([*words, "--max_prompt_tokens", "100"]) == 0
        assert (
            "rows left out: 1 of 8; the last is row 3 (long.jsonl, line 4): its prompt has" in capsys.readouterr().out
        )
