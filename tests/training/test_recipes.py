from __future__ import annotations

import pytest

from vapo.cli import main
from vapo.errors import ConfigError
from vapo.training import recipes
from vapo.training.options import parse_run
from vapo.training.recipes import format_recipes, list_recipes, open_recipe


def test_every_recipe_is_listed_with_what_it_is_for():
    listed = format_recipes().splitlines()
    assert len(listed) == len(list_recipes()) >= 8
    assert all(recipe.title and recipe.title in line for recipe, line in zip(list_recipes(), listed, strict=True))


def test_an_unknown_name_is_an_error_that_tells_the_nearest():
    with pytest.raises(ConfigError, match=r"no recipe named 'qwen3_vl_8'; the nearest is 'qwen3_vl_8b'"):
        open_recipe("qwen3_vl_8")


def test_recipes_inside_the_package_come_first(tmp_path, monkeypatch):
    (tmp_path / "vapo" / "training").mkdir(parents=True)
    (tmp_path / "vapo" / "recipes").mkdir()
    (tmp_path / "vapo" / "recipes" / "one.yaml").write_text("# The only one.\n")
    monkeypatch.setattr(recipes, "__file__", str(tmp_path / "vapo" / "training" / "recipes.py"))
    assert format_recipes() == "one  The only one."


def test_the_command_lists_them_and_prints_one(capsys):
    assert main(["recipes"]) == 0
    assert capsys.readouterr().out == format_recipes() + "\n"
    assert main(["recipes", "qwen3_vl_8b"]) == 0
    assert capsys.readouterr().out == open_recipe("qwen3_vl_8b").text
    assert main(["recipes", "nothing"]) == 1


class TestByName:
    def test_a_run_takes_the_name(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for words in (["--config", "qwen3_vl_8b"], ["--config=qwen3_vl_8b"]):
            options = parse_run([*words, "--use_cpu", "true", "--num_anchors", "7"])
            assert options.model_name == "Qwen/Qwen3-VL-8B-Instruct" and options.training.num_anchors == 7

    def test_a_file_of_that_name_comes_first(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "qwen3_vl_8b").write_text("model_name_or_path: own\ndata: own\n")
        assert parse_run(["--config", "qwen3_vl_8b"]).model_name == "own"

    def test_what_looks_like_a_path_is_one(self):
        for path in ("qwen3_vl_8b.yaml", "elsewhere/qwen3_vl_8b"):
            with pytest.raises(ConfigError, match="cannot be read: No such file"):
                parse_run(["--config", path])
        with pytest.raises(ConfigError, match="no recipe named 'run'"):
            parse_run(["--config", "run"])
