from __future__ import annotations

import yaml
from export.conftest import make_run
from trl import ModelConfig

from vapo.export.origin import find_origin
from vapo.export.recipe import list_recipe
from vapo.training.options import RunOptions, parse_run
from vapo.training.run import describe


def parse(folder, text: str) -> RunOptions:
    (folder / "run.yaml").write_text(text)
    return parse_run(["--config", str(folder / "run.yaml"), "--output_dir", str(folder), "--use_cpu", "true"])


def test_a_run_is_made_anew_from_its_recipe(tmp_path):
    given = (
        "model_name_or_path: m\ndata: d\npreset: released\nnum_generations: 4\ngeneration_batch_size: 16\n"
        "update_batch_size: 8\nper_device_train_batch_size: 4\nlearning_rate: 3.0e-6\nuse_peft: true\nlora_r: 4\n"
        "lora_target_modules: [q_proj, v_proj]\nsystem_prompt: Think.\nmax_steps: 7\nprobe_seed: 3\n"
    )
    first = describe(parse(tmp_path, given))
    recipe = list_recipe(first)
    second = describe(parse(tmp_path, yaml.safe_dump(recipe)))
    assert first == second
    assert set(yaml.safe_load(given)) <= set(recipe) and "num_train_epochs" not in recipe


def test_only_what_was_chosen_is_told(tmp_path):
    run = make_run(tmp_path / "run", lora_r=ModelConfig().lora_r, top_k=50)
    (run / "finished").touch()
    recipe = list_recipe(find_origin(run).settings)
    assert recipe["top_k"] == 50 and "lora_r" not in recipe and "max_steps" not in recipe


def test_places_and_accounts_stay_private(tmp_path):
    private = {"vllm_server_host": "10.0.0.7", "hub_model_id": "me/secret", "image_folder": "/home/me/images"}
    run = make_run(tmp_path / "run", model_name_or_path="/home/me/models/Tiny-VL", **private)
    (run / "finished").touch()
    recipe = list_recipe(find_origin(run).settings)
    assert recipe["model_name_or_path"] == "/path/to/Tiny-VL"
    assert recipe["data"] == "/path/to/charts.parquet"
    assert "/home" not in str(recipe) and not set(private) & set(recipe)
