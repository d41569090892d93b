"""The suite inside lmms-eval, with the lab's model and small copies of the data; run by `make evaluation`."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
from evaluation.lmms_eval.local_copies import write_copies
from evaluation.suites.row_forms import make_rows

from vapo.cli import main
from vapo.errors import ConfigError, DataError
from vapo.evaluation.lmms_eval.run import run_suite
from vapo.evaluation.suites.answers import read_answers
from vapo.evaluation.suites.suite import PAPER, PERCEPTION, find_suite, find_suite_of
from vapo.lab.shipped import shipped_checkpoint

pytestmark = [
    pytest.mark.lmms_eval,
    pytest.mark.skipif(find_spec("lmms_eval") is None, reason="needs lmms-eval"),
    pytest.mark.filterwarnings("default"),  # the harness and what it imports warn in many ways, none of them ours
    pytest.mark.xdist_group("lmms_eval"),  # imported once
]

SHORT = ["--system-prompt", "", "--max-completion-tokens", "64", "--device", "cpu"]


def run_lab(benchmarks, **more):
    options = {"max_new_tokens": 64, "system_prompt": "", "device": "cpu", **more}
    return run_suite(PAPER, str(shipped_checkpoint()), benchmarks=benchmarks, **options)


def test_the_suites_by_the_harness_own_command(copies):
    """`python -m lmms_eval --tasks vapo_paper` finds model and tasks, with vapo installed and nothing else said."""
    words = ["--model", "vapo", "--model_args", f"pretrained={shipped_checkpoint()},device=cpu,system_prompt="]
    # A group beside tasks of another: the harness takes no two groups that share a task.
    more = [f"vapo_{benchmark.name}" for benchmark in PERCEPTION.benchmarks if benchmark not in PAPER.benchmarks]
    words += ["--tasks", ",".join(["vapo_paper", *more]), "--batch_size", "16", "--gen_kwargs", "max_new_tokens=64"]
    words += ["--log_samples", "--output_path", "out"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "lmms_eval", *words], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0 and "vapo_paper" in done.stdout, done.stderr[-2000:]
    answers = read_answers(copies / "out")
    counts = {name: sum(answer.benchmark == name for answer in answers) for name in make_rows()}
    assert counts == {name: len(rows) for name, rows in make_rows().items()}
    assert find_suite_of(counts) == find_suite("paper,perception")
    assert all(answer.num_tokens and answer.response and answer.attributes["image"] for answer in answers)
    # Both splits of Geometry3K, and every step of We-Math's problems.
    assert {answer.id for answer in answers if answer.benchmark == "geometry3k"} == {"2101", "2102"}
    assert all(answer.attributes for answer in answers if answer.benchmark in ("wemath", "hallusionbench"))


def test_the_command_writes_a_result_and_goes_on(copies, capsys):
    words = ["evaluate", "lab", "--suite", "paper", *SHORT, "--out", "eval", "--benchmarks"]
    assert main([*words, "mmstar", "wemath"]) == 0
    first = capsys.readouterr().out
    assert "ours: lmms-eval 0.7" in first and "We-Math: 10 of 1740 questions" in first and "Not asked:" in first
    result = json.loads((copies / "eval" / "suite.json").read_text())
    assert result["harness"].startswith("lmms-eval 0.7") and result["tokens_per_second"] > 0
    assert [one["name"] for one in result["score"]["benchmarks"]] == ["wemath", "mmstar"]
    assert len(read_answers(copies / "eval")) == 11

    # What is kept is not generated again, and the rest of the suite can be added.
    assert main([*words, "mmstar", "wemath", "mmvet"]) == 0
    rows = [json.loads(line) for line in (copies / "eval" / "rows.jsonl").read_text().splitlines()]
    assert [row["task"] for row in rows] == ["vapo_mmstar"] + ["vapo_wemath"] * 10 + ["vapo_mmvet"] * 2
    capsys.readouterr()

    assert main(["compare", "eval"]) == 0 and main(["compare", "eval", "eval"]) == 0
    shown = capsys.readouterr().out
    assert "lmms-eval 0.7" in shown and "eval less eval" in shown

    assert main([*words, "mmstar", "--max-completion-tokens", "32"]) == 1
    assert "other settings (max_completion_tokens was 64 and is 32)" in capsys.readouterr().err


def test_samples_are_drawn_besides_the_greedy_responses(copies, capsys):
    """They differ, are kept, can be added to, and leave the greedy responses as they are without them."""
    words = ["evaluate", "lab", "--suite", "perception", *SHORT, "--out", "eval", "--benchmarks", "mmvp"]

    def read():
        rows = [json.loads(line) for line in (copies / "eval" / "rows.jsonl").read_text().splitlines()]
        return {(row["row"], row["completion"], row["digest"]): row["text"] for row in rows}

    assert main(words) == 0
    greedy = read()
    assert main([*words, "--num-completions", "2"]) == 0
    two = read()
    assert len(two) == 9 and greedy.items() <= two.items() and len(set(two.values())) > 3
    shown = capsys.readouterr().out
    assert "sampled besides, at temperature 1" in shown and "avg@k" in shown
    assert main([*words, "--num-completions", "3"]) == 0
    three = read()
    assert len(three) == 12 and two.items() <= three.items()
    result = json.loads((copies / "eval" / "suite.json").read_text())
    assert result["score"]["benchmarks"][0]["sampled"]["num_completions"] == 3
    assert (result["settings"]["temperature"], result["settings"]["num_completions"]) == (1.0, 3)
    answers = read_answers(copies / "eval")
    assert sorted(answer.completion for answer in answers) == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert all(answer.attributes["image"] and answer.num_tokens for answer in answers)
    assert main([*words, "--num-completions", "1", "--temperature", "0.5"]) == 0
    assert len(read()) == 15  # drawn anew
    assert main(["compare", "eval", "eval"]) == 0 and "pass@1" in capsys.readouterr().out
    assert main([*words, "--num-completions", "2", "--temperature", "0"]) == 1
    assert "a temperature above 0" in capsys.readouterr().err


def test_a_stopped_run_loses_no_response(copies):
    """What was handed out before the stop is not asked again, and the rest is the same as without it."""
    whole = run_lab(["wemath"], batch_size=4)
    kept = []

    def keep_then_stop(responses):
        kept.extend(responses)
        if len(kept) >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_lab(["wemath"], batch_size=4, keep=keep_then_stop)
    assert len(kept) == 4
    known = tuple(kept)
    resumed = run_lab(["wemath"], batch_size=4, known=known, keep=kept.extend)
    assert resumed.answers == whole.answers and len(kept) == 10


def test_the_models_conversation_is_the_suites(copies):
    """Each question reaches the model with its image in place, and by its own prompt unless another is given."""
    from lmms_eval.tasks import TaskManager, get_task_dict

    manager = TaskManager(include_defaults=False)
    (group,) = get_task_dict(["vapo_perception"], manager, "chat").values()
    assert list(group) == [f"vapo_{benchmark.name}" for benchmark in PERCEPTION.benchmarks]
    (task,) = get_task_dict(["vapo_mmmu"], manager, "chat").values()
    system, user = task.doc_to_messages(task.eval_docs[0])
    assert system["role"] == "system" and "\\boxed{}" in system["content"][0]["text"]
    kinds = [part["type"] for part in user["content"]]
    assert kinds == ["text", "image", "text", "image", "text"]
    assert user["content"][4]["text"].startswith(", not [picture 1]?")
    assert task.config.generation_kwargs["until"] == [] and task.config.reasoning_tags == "none"
    (simple,) = get_task_dict(["vapo_mmmu"], manager, "simple").values()
    text = simple.doc_to_text(simple.eval_docs[0])
    assert "\\boxed{}" in text and "<image>" not in text and len(simple.doc_to_visual(simple.eval_docs[0])) == 2


def test_a_row_without_an_image_is_one_sentence_before_the_model_is_opened(tmp_path, copies):
    rows = make_rows()
    rows["mmstar"] = [*rows["mmstar"], {**rows["mmstar"][0], "index": 7, "image": None}]
    (tmp_path / "bad").mkdir()
    write_copies(tmp_path / "bad", {"mmstar": rows["mmstar"]})
    os.chdir(tmp_path / "bad")
    with pytest.raises(DataError, match=r"MMStar, row '7': it has no image.*leave the row out"):
        run_suite(PAPER, "no such model", benchmarks=["mmstar"], max_new_tokens=8)


def test_data_that_cannot_be_had_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"MMStar: its data Lin-Chen/MMStar cannot be had .* connect to the Hugging"):
        run_suite(PAPER, "no such model", benchmarks=["mmstar"], max_new_tokens=8)


def test_misuse_of_the_model_is_one_sentence():
    from vapo.evaluation.lmms_eval.model import VapoModel

    with pytest.raises(ConfigError, match="no option 'max_pixels'; it has pretrained, batch_size"):
        VapoModel("anywhere", max_pixels=1)


def test_the_harness_still_looks_where_we_add():
    """If this fails: see how TaskManager finds its folders, and whether it has an entry point for tasks by now."""
    from lmms_eval.tasks import TaskManager

    import vapo.evaluation.lmms_eval.plugin as plugin

    assert list(inspect.signature(TaskManager.__init__).parameters)[1:4] == [
        "verbosity",
        "include_path",
        "include_defaults",
    ]
    assert "initialize_tasks(include_path=include_path" in inspect.getsource(TaskManager.__init__)
    assert (plugin.TASKS / "paper.yaml").is_file()


def test_any_model_is_asked_with_another_prompt():
    """The prompt of a run takes the place of the suite's, whichever of the harness's models answers."""
    from lmms_eval.api.instance import Instance

    from vapo.evaluation.lmms_eval.keeping import KeptModel

    seen = []

    def answer(requests):
        seen.extend([[turn["role"] for turn in request.args[1]({})] for request in requests])
        seen.append(requests[0].args[1]({})[0]["content"][0]["text"])
        return ["\\boxed{1}" for _ in requests]

    def put(row):
        return [{"role": role, "content": [{"type": "text", "text": role}]} for role in ("system", "user")]

    def ask(prompt):
        metadata = {"task": "vapo_mmstar", "doc_id": 0, "repeats": 1}
        request = Instance("generate_until", ("q", put, {}, 0, "vapo_mmstar", "val"), 0, metadata)
        model = KeptModel(SimpleNamespace(generate_until=answer), 4, len, prompt)
        assert model.generate_until([request])[0].token_counts.output_tokens == len("\\boxed{1}")

    ask(None)
    ask("ours")
    ask("")
    assert seen == [["system", "user"], "system", ["system", "user"], "ours", ["user"], "user"]
