"""What `vapo verl check` finds before the first GPU is taken."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from vapo.algorithms.registry import BUILT_IN
from vapo.cli import main
from vapo.training.recipes import list_recipes

pytestmark = pytest.mark.verl
VERL_RECIPES = ("qwen2_5_vl_3b", "qwen2_5_vl_7b", "qwen3_vl_8b", "qwen2_5_vl_7b_lora_80gb")


@pytest.fixture
def mine(folder: Path, tmp_path: Path) -> Path:
    """A copy of the run's folder, in files that know where they are."""
    shutil.copytree(folder, tmp_path / "run")
    for name in ("verl.yaml", "agent_loop.yaml"):
        file = tmp_path / "run" / name
        file.write_text(file.read_text().replace(str(folder), str(tmp_path / "run")))
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.setattr("vapo.verl.check._look_around", lambda files: 1)


def check(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(["verl", "check", str(folder)])
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return status, shown.out + shown.err


def test_a_run_as_planned_can_start(mine, capsys):
    assert check(mine, capsys) == (0, "the run can start: 4 rows, 1 machine(s)\n")


def edit(file: Path, **changes: object) -> None:
    entries = yaml.safe_load(file.read_text())
    (entries[0] if isinstance(entries, list) else entries).update(changes)
    file.write_text(yaml.safe_dump(entries))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda run: (run / "verl.yaml").unlink(), "write it with `vapo verl config"),
        (lambda run: (run / "agent_loop.yaml").unlink(), "`vapo verl config` writes it beside verl.yaml"),
        (lambda run: (run / "train.parquet").unlink(), "make it with `vapo verl convert"),
        (lambda run: (run / "agent_loop.yaml").write_text("[]"), "names no agent loop 'vapo'"),
        (lambda run: edit(run / "agent_loop.yaml", num_anchor=3), "the nearest is 'num_anchors'"),
        (lambda run: edit(run / "verl.yaml", defaults=["ppo_trainers"]), "verl does not take"),
        (lambda run: (run / "verl.yaml").write_text("a: [b"), "verl does not take"),
    ],
)
def test_what_is_wrong_is_one_sentence(break_it, message, mine, capsys):
    break_it(mine)
    status, shown = check(mine, capsys)
    assert status == 1 and message in shown and len(shown.strip().splitlines()) == 1


def test_data_without_claims_is_refused_and_its_row_named(mine, capsys):
    import pyarrow.parquet as parquet

    table = parquet.read_table(mine / "train.parquet")
    rows = table.to_pylist()
    rows[2]["extra_info"]["claims"] = []
    parquet.write_table(type(table).from_pylist(rows, schema=table.schema), mine / "train.parquet")
    status, shown = check(mine, capsys)
    assert status == 1 and "train.parquet, row 2: it has no claims" in shown


def test_two_tokenizers_are_refused(mine, capsys, tmp_path):
    from tiny_models import tiny_tokenizer

    other = tiny_tokenizer(markers=("<another>",))
    other.save_pretrained(tmp_path / "other")
    text = (mine / "verl.yaml").read_text()
    path = f"    tokenizer_path: {tmp_path / 'other'}\n"
    (mine / "verl.yaml").write_text(text.replace("  model:\n", "  model:\n" + path))
    status, shown = check(mine, capsys)
    assert status == 1 and "is not the servers'" in shown


def test_a_model_that_verl_does_not_know_is_refused(mine, capsys):
    from vapo.lab.shipped import shipped_checkpoint

    text = (mine / "verl.yaml").read_text()
    (mine / "verl.yaml").write_text(
        re.sub(r'^    path: "/.*"', f'    path: "{shipped_checkpoint()}"', text, flags=re.M)
    )
    status, shown = check(mine, capsys)
    assert status == 1 and "whose processor is a LlavaProcessor" in shown


def test_another_verl_is_refused(mine, capsys, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda package: "0.8.0")
    status, shown = check(mine, capsys)
    assert status == 1 and "verl 0.8.0 is installed" in shown and "pip install 'verl[verl-core]==0.9.1'" in shown


def test_machines_are_named():
    import importlib.metadata

    from vapo.errors import ConfigError
    from vapo.verl.cluster import Node, check_nodes

    here = {name: importlib.metadata.version(name) for name in ("vapo", "verl", "transformers")}
    check_nodes([Node("10.0.0.1", here, True, ())])
    for node, message in (
        (Node("10.0.0.2", {**here, "vapo": None}, False, ()), "on node 10.0.0.2, vapo is not installed"),
        (Node("10.0.0.2", {**here, "verl": "0.8"}, True, ()), "on node 10.0.0.2, verl is 0.8, and 0.9.1 here"),
        (Node("10.0.0.2", here, False, ()), "on node 10.0.0.2, verl does not find the agent loop"),
        (Node("10.0.0.2", here, True, ("/x/agent_loop.yaml",)), "on node 10.0.0.2, /x/agent_loop.yaml is not there"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_nodes([Node("10.0.0.1", here, True, ()), node])


@pytest.mark.parametrize("recipe", VERL_RECIPES)
def test_verl_composes_and_validates_every_recipe(recipe, tmp_path):
    """By verl's own Hydra tree; beyond it, by the dataclasses and the checks that its trainer runs first."""
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    from vapo.verl.check import compose

    gpus = "1" if "80gb" in recipe else "8"
    words = ["verl", "config", recipe, "--out", str(tmp_path), "--gpus-per-node", gpus, "--set", "use_cpu=true"]
    assert main(words) == 0
    config = compose(tmp_path)
    if "lora" not in recipe:  # with LoRA verl's checks import the server's engine, which is not installed here
        validate_config(config, need_reference_policy(config), need_critic(config))
    assert not need_critic(config) and need_reference_policy(config)
    assert config.actor_rollout_ref.rollout.agent.default_agent_loop == "vapo"


def test_all_recipes_for_the_whole_model_are_composed():
    whole = {recipe.name for recipe in list_recipes() if "qlora" not in recipe.name}
    methods = {f"qwen2_5_vl_7b_{name}" for name in BUILT_IN}  # verl has no place for them
    assert whole - set(VERL_RECIPES) - methods <= {"qwen2_5_vl_7b_server", "qwen2_5_vl_3b_lora_24gb"}


def test_the_launch_command_is_one_that_verl_takes(folder, run):
    """The printed command, with Hydra told to show what it would run."""
    words = [sys.executable, "-m", "verl.trainer.main_ppo", "--config-dir", str(folder), "--config-name", "verl"]
    done = subprocess.run([*words, "--cfg", "job"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    shown = yaml.safe_load(done.stdout)
    assert shown["actor_rollout_ref"]["rollout"]["agent"]["default_agent_loop"] == "vapo"
    assert shown["trainer"]["v1"]["sampler"]["custom_sampler"]["name"] == "make_perception_buffer"
    assert float(shown["actor_rollout_ref"]["actor"]["optim"]["lr"]) == 1e-6


def test_the_plug_in_loads_on_every_node_and_one_without_it_is_named(folder):
    script = Path(__file__).parents[1] / "verl_world" / "two_nodes.py"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RAY_DEDUP_LOGS": "0"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "nodes: 2 rows: 4" in done.stdout and "workers on nodes: 2" in done.stdout
    assert "probes: 16" in done.stdout
    assert "verl does not find the agent loop 'vapo' though vapo is installed" in done.stdout
