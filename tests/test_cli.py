from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from PIL import Image

import vapo
from vapo.claims.exchange.rows import ClaimRow, import_rows
from vapo.claims.store.images import StoredImage
from vapo.claims.store.store import Store
from vapo.cli import build_parser, main
from vapo.cli.data_options import ROWS
from vapo.data.options import DataOptions
from vapo.lab.shipped import shipped_checkpoint
from vapo.models.policy.checkpoint import load_policy
from vapo.types import Claim

COMMANDS = [
    ["train"],
    ["recipes"],
    ["plan"],
    ["check"],
    ["evaluate"],
    ["compare"],
    ["diagnose"],
    ["report"],
    ["export"],
    ["demo"],
    ["data", "inspect"],
    ["data", "grade"],
    ["data", "deduplicate"],
    ["data", "attach"],
    ["claims", "make"],
    ["claims", "audit"],
    ["claims", "review"],
    ["claims", "stats"],
    ["claims", "import"],
    ["claims", "export"],
    ["verl", "config"],
    ["verl", "convert"],
    ["verl", "check"],
    ["lab", "save"],
    ["lab", "score"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_help_shows_an_example(command, capsys):
    try:
        status = main([*command, "--help"])
    except SystemExit as stopped:
        status = stopped.code
    assert status == 0
    shown = capsys.readouterr().out
    assert f"vapo {' '.join(command)}" in shown and "example:" in shown


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(command[0] in shown for command in COMMANDS)


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"vapo {vapo.__version__}\n"


def test_help_imports_nothing_heavy():
    """`vapo --help` answers at once because torch, transformers, TRL, datasets and numpy stay out of it."""
    code = (
        "import sys; from vapo.cli import build_parser; build_parser().format_help();"
        "print([m for m in ('torch', 'transformers', 'trl', 'datasets', 'numpy', 'PIL', 'tqdm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_cli_holds_no_logic():
    """Functions of the command line parse, call and print: no loops over data, no arithmetic."""
    files = Path(build_parser.__code__.co_filename).parent.glob("*.py")
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    arithmetic = [
        node.lineno
        for node in nodes
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.Pow | ast.Mod)
    ]
    assert arithmetic == [] and not [node for node in nodes if isinstance(node, ast.While)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["evalute"], "invalid choice: 'evalute'"),
        (
            ["lab", "compare", "--seeds", "3"],
            "compare is elsewhere now: run `python -m studies compare` in a checkout",
        ),
        (["lab", "build"], "build is elsewhere now: run `python -m studies build` in a checkout"),
        (["lab", "comparer"], "invalid choice: 'comparer' (choose from"),
        (["data", "deduplicate", "lab"], "the following arguments are required: --against"),
        (["data", "inspect", "lab", "--limit", "many"], "invalid int value: 'many'"),
        (["claims", "make", "--data", "d", "--out", "c", "--checkpoint", "lab"], "--checkpoint is called --model now"),
        (["export", "lab", "shared"], "the following arguments are required: --out"),
        (["verl", "convert", "lab", "rows.parquet"], "the following arguments are required: --out"),
        (
            ["claims", "make", "--data", "d", "--imagefolder", "i", "--out", "c"],
            "vapo claims make: unrecognized arguments: --imagefolder i; the nearest is '--image-folder'; see "
            "`vapo claims make --help`",
        ),
    ],
)
def test_misuse_is_one_sentence(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    shown = capsys.readouterr().err
    assert stopped.value.code == 2 and message in shown and len(shown.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--data", "lab", "--image-folder", ".", "--lerning_rate", "1"],
        ["train", "--config", "FILE"],
        ["plan", "FILE", "--gpus", "8x80"],
        ["plan", "qwen2_5_vl_7b", "--gpus", "8x80", "--set", "lerning-rate=1"],
        ["verl", "config", "qwen2_5_vl_7b", "--set", "lerning_rate=1"],
        ["evaluate", "someones/model", "--data", "FILE.parquet"],
        ["diagnose", "someones/model", "--data", "FILE.parquet"],
    ],
    ids=" ".join,
)
def test_a_typo_is_told_before_torch_is_imported(words, tmp_path):
    (tmp_path / "run.yaml").write_text("lerning_rate: 1\n")
    words = [word.replace("FILE", str(tmp_path / "run.yaml")) for word in words]
    code = (
        f"import sys; from vapo.cli import main; assert main({words!r}) == 1;"
        "print([m for m in ('torch', 'transformers', 'trl', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n" and ("learning_rate" in done.stderr or "there is no file" in done.stderr)


def test_options_of_data_are_those_of_a_run():
    options = build_parser().parse_args(["data", "inspect", "lab"])
    meant = {field.name: field.default for field in fields(DataOptions) if field.name in ROWS}
    assert {name: getattr(options, name) for name in meant} == meant | {"data": "lab", "split": None}


@pytest.mark.parametrize("command", [["data", "inspect", "d"], ["claims", "make", "--data", "d", "--out", "c"]])
def test_options_are_spelled_with_dashes_or_underscores(command):
    words = ["--id_column", "uid", "--question-column=q_1", "--answer_column=a-1"]
    options = build_parser().parse_args([*command, *words])
    assert (options.id_column, options.question_column, options.answer_column) == ("uid", "q_1", "a-1")


def test_commands_that_read_rows_take_names_of_columns_and_the_only_split(tmp_path, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    row = {"image": "a.png", "frage": "What?", "antwort": "3", "uid": "first", "claims": []}
    row["claims"] = [{"text": f"It is {k}.", "is_true": k > 0} for k in range(2)]
    data = tmp_path / "test.jsonl"
    data.write_text(json.dumps(row) + "\n")
    columns = ["--question-column", "frage", "--answer-column", "antwort", "--id-column", "uid"]
    assert main(["data", "inspect", str(data), *columns]) == 0
    store = str(tmp_path / "claims.db")
    assert main(["claims", "import", str(tmp_path), *columns, "--out", store]) == 0
    out = str(tmp_path / "rows.parquet")
    assert main(["data", "attach", store, str(data), *columns, "--out", out]) == 0
    assert "1 rows with 2 claims" in capsys.readouterr().out
    assert main(["claims", "import", str(data), "--id-column", "id2", "--out", store]) == 1
    assert "there is no column 'id2'" in capsys.readouterr().err


def test_refusals_have_no_traceback(tmp_path, capsys):
    assert main(["data", "inspect", str(tmp_path / "nothing.parquet")]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("vapo: ") and "Traceback" not in shown


def test_a_place_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["evaluate", "lab", "--data", "lab", "--limit", "1", "--out", str(tmp_path / "file" / "out")]) == 1
    shown = capsys.readouterr().err
    assert str(tmp_path / "file") in shown and "Traceback" not in shown


def test_the_labs_model_brings_its_own_questions(capsys):
    assert main(["evaluate", "lab", "--limit", "1", "--max-completion-tokens", "1", "--num-anchors", "0"]) == 0
    assert "1 question" in capsys.readouterr().out
    assert main(["evaluate", "someones/model"]) == 1
    assert "say what to ask" in capsys.readouterr().err

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vapo.nothing


def test_answers_are_graded_from_a_file(tmp_path, capsys):
    (tmp_path / "pairs.csv").write_text("answer,reference\n5 cm,5\nstew,west\n")
    assert main(["data", "grade", str(tmp_path / "pairs.csv")]) == 0
    assert "1 of 2 answers are right" in capsys.readouterr().out


def test_text_of_a_store_does_not_steer_the_terminal(tmp_path, capsys):
    """Its title, its colours, the lines above: all are the terminal's, and a maker's name is anybody's."""
    name = "me\x1b]0;mine\x07\x1b[1A\x9b2K\r\u202eeman\nclaims kept 9"
    with Store(tmp_path / "claims.db", create=True) as store:
        image = StoredImage("a" * 64, 1, 1, "image/png", b"")
        import_rows(store, [ClaimRow("a", "row", (image,), (Claim("It is red.", True),), (name,))])
    assert main(["claims", "stats", str(tmp_path / "claims.db")]) == 0
    shown = capsys.readouterr().out
    assert r"1 me\x1b]0;mine\x07\x1b[1A\x9b2K\r\u202eeman\nclaims kept 9" in shown
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_names_in_errors_do_not_steer_the_terminal(tmp_path, capsys):
    (tmp_path / "rows.csv").write_text("a\x1b[31m,a\x1b[31m\n1,2\n")
    (tmp_path / "\x1b[31m.db").write_text("a shopping list")
    for command in (
        ["data", "inspect", str(tmp_path / "rows.csv")],
        ["claims", "stats", str(tmp_path / "\x1b[31m.db")],
    ):
        assert main(command) == 1
        assert "\x1b" not in capsys.readouterr().err


def test_an_adapter_is_seen_with_the_processor_of_its_base(tmp_path):
    base = load_policy(shipped_checkpoint()).model
    get_peft_model(base, LoraConfig(target_modules=["q_proj"])).save_pretrained(tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "processor_config.json").exists()
    asked = [str(tmp_path / "adapter"), "--data", "lab", "--limit", "1"]
    assert main(["evaluate", *asked, "--max-completion-tokens", "1", "--num-anchors", "0"]) == 0
    assert main(["diagnose", *asked, "--max-completion-tokens", "4", "--out", str(tmp_path / "report")]) == 0
