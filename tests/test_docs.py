"""What the README and the docs show is true: code runs, run files parse, commands exist, tables are current.

Python blocks of a page run in order, in one namespace and one empty folder. In them, and nowhere else,

- names of models and data sets that are too large to test with stand for the lab's (`STAND_INS`),
- a run is made small (`SMALL`), after its configuration as it is printed has been accepted.

A YAML block begins with a comment that names its file, is parsed as `vapo train` parses it, and can be named by the
commands below it. A block of any other language must be listed in `SHOWN_ONLY`.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
import xml.etree.ElementTree
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import vapo
from vapo.algorithms.algorithm import Algorithm
from vapo.cli import build_parser
from vapo.lab.shipped import shipped_checkpoint, shipped_data
from vapo.training.config import VAPOConfig
from vapo.training.options import RunOptions, parse_run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
STAND_INS: dict[str, Callable[[], Path]] = {
    "Qwen/Qwen2.5-VL-7B-Instruct": shipped_checkpoint,
    "data/train.parquet": lambda: shipped_data("train"),
}
SMALL: dict[str, Any] = {
    "max_steps": 1,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 1,
    "num_generations": 2,
    "max_completion_length": 16,
    "num_anchors": 2,
    "save_strategy": "no",
    "report_to": [],
    "disable_tqdm": True,
}
SHOWN_ONLY = {"text"}
OTHER_PROGRAMS = {"pip", "git", "cd", "vllm", "ray"}
OTHER_MODULES = {"lmms_eval"}
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    code: str
    line: int


def find_blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 2) for m in _BLOCK.finditer(text)]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def load_script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_run_files(page: Path, folder: Path) -> list[Path]:
    files: list[Path] = []
    for block in find_blocks(page):
        if block.language == "yaml":
            named = re.match(r"# (\S+\.yaml)\n", block.code)
            assert named, f"{name_of(page)}:{block.line}: the block must begin with a comment that names its file"
            files.append(folder / named[1])
            files[-1].write_text(block.code, encoding="utf-8")
    return files


def with_language(language: str) -> list[Any]:
    chosen = [page for page in PAGES if any(block.language == language for block in find_blocks(page))]
    return [pytest.param(page, id=name_of(page)) for page in chosen]


def test_examples_import_from_short_paths():
    found = re.findall(r"^ *(?:from|import) (vapo[\w.]*)", "".join(page.read_text("utf-8") for page in PAGES), re.M)
    assert found and {name for name in found if name.count(".") > 1} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_of_a_language_that_is_checked(page: Path):
    for block in find_blocks(page):
        assert block.language in {"python", "yaml", "console"} | SHOWN_ONLY, f"{name_of(page)}:{block.line}"


@pytest.mark.parametrize("page", with_language("python"))
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def small_config(*args: Any, **options: Any) -> VAPOConfig:
        here: dict[str, Any] = {"use_cpu": True, "bf16": False}
        VAPOConfig(*args, **{**options, **here})
        return VAPOConfig(*args, **{**options, **here, **SMALL})

    monkeypatch.setattr(vapo, "VAPOConfig", small_config)
    monkeypatch.chdir(tmp_path)
    module = ModuleType("shown_in_docs")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in find_blocks(page):
        if block.language == "python":
            code = block.code
            for name, find_stand_in in STAND_INS.items():
                if name in code:
                    code = code.replace(name, find_stand_in().as_posix())
            # The line numbers of a traceback are those of the page.
            exec(compile("\n" * (block.line - 1) + code, page, "exec", dont_inherit=True), module.__dict__)


@pytest.mark.parametrize("page", with_language("yaml"))
def test_run_files_are_accepted(page: Path, tmp_path: Path):
    for file in write_run_files(page, tmp_path):
        options = parse_run(["--config", str(file), "--use_cpu", "true"])
        assert isinstance(options, RunOptions)
        assert isinstance(options.training, VAPOConfig)


@pytest.mark.parametrize("page", with_language("console"))
def test_commands_exist(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_run_files(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    for block in find_blocks(page):
        if block.language == "console":
            for line in block.code.splitlines():
                assert line.startswith("$ "), f"{name_of(page)}:{block.line}: {line!r} is no command"
                check_command(shlex.split(line[2:]))


def check_command(words: list[str]) -> None:
    program = words[0].removeprefix(".venv/bin/")
    if program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert set(words[1:]) <= set(targets)
    elif program == "accelerate":
        check_command(words[words.index("-m") + 1 :])
    elif words[:2] == ["vapo", "train"]:
        parse_run([*words[2:], "--use_cpu", "true"])
    elif program == "vapo":
        written_to = words.index(">") if ">" in words else len(words)
        try:
            build_parser().parse_args(words[1:written_to])
        except SystemExit as error:
            pytest.fail(f"{shlex.join(words)} is refused: {error}")
    elif program == "pre-commit":
        assert (ROOT / ".pre-commit-config.yaml").is_file()
    elif program == "python":
        assert words[1] == "-m"
        if words[2] == "pytest":
            assert (ROOT / words[3]).exists()
        else:
            assert words[2] in OTHER_MODULES or importlib.util.find_spec(words[2]) is not None
    else:
        assert program in OTHER_PROGRAMS, f"{program} is not known here; list it in OTHER_PROGRAMS or check it"


def test_tables_are_current():
    script = load_script("list_options")
    for name in script.PAGES:
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert script.fill_page(text) == text, f"{name} is out of date: run `python docs/list_options.py`"


@pytest.mark.parametrize("page", ["evidence.md", "mechanism.md"])
def test_tables_of_the_evidence_are_those_of_its_rows(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert load_script("write_evidence").fill_page(text) == text, "run `python docs/write_evidence.py`"


def test_the_evidences_rows_are_small():
    assert all(file.stat().st_size < 5_000_000 for file in (ROOT / "docs" / "evidence").iterdir())


def test_every_command_has_a_section():
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    parsers = load_script("list_options").find_commands(build_parser())
    assert set(re.findall(r"^## (vapo .*)$", page, re.MULTILINE)) == {parser.prog for parser in parsers}


def test_members_of_an_algorithm_are_all_explained():
    page = (ROOT / "docs" / "algorithm.md").read_text(encoding="utf-8")
    members = {name for name in vars(Algorithm) if not name.startswith("_")}
    assert set(re.findall(r"^\| `(\w+)", page, re.MULTILINE)) == members


@pytest.mark.parametrize(
    ("script", "function", "image"),
    [("draw_tree", "draw_tree", "tree.svg"), ("draw_mask", "draw_mask", "rollout_tree.svg")],
)
def test_images_are_what_their_scripts_draw(script: str, function: str, image: str):
    drawn = getattr(load_script(script), function)()
    assert drawn == (ROOT / "docs" / image).read_text(encoding="utf-8"), f"run `python docs/{script}.py`"
    xml.etree.ElementTree.fromstring(drawn)


def test_metrics_page_lists_what_is_logged():
    pattern = r"(?:perception|dynamic_sampling)/\w+"
    files = (ROOT / "src/vapo").rglob("*.py")
    source = "\n".join(file.read_text(encoding="utf-8") for file in files)
    logged = set(re.findall(pattern, source)) - {"perception/accuracy_quarter_", "perception/accuracy_"}
    logged |= {f"perception/accuracy_{kind}" for kind in ("true", "false", *(f"quarter_{n}" for n in range(1, 5)))}
    assert set(re.findall(pattern, (ROOT / "docs/metrics.md").read_text(encoding="utf-8"))) == logged


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path):
    prose = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not target.startswith("https://"):
            file, _, heading = target.partition("#")
            linked = page.parent / file if file else page
            assert linked.exists(), f"{name_of(page)} links to {target}"
            if heading:
                titles = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
                assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_in_the_site():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert {page.name for page in PAGES if page.parent == ROOT / "docs"} == set(re.findall(r"(\w+\.md)", navigation))
