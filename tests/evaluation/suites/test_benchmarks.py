"""Rows of each benchmark as questions; the two scores that are more than a rate."""

import pytest
import yaml
from evaluation.suites.row_forms import make_rows
from PIL import Image

from vapo.errors import ConfigError, DataError
from vapo.evaluation.suites.benchmark import Graded, grade_response
from vapo.evaluation.suites.blink import BLINK
from vapo.evaluation.suites.hallusionbench import FIGURE, HALLUSIONBENCH, PAIR, SET
from vapo.evaluation.suites.mmvp import MMVP
from vapo.evaluation.suites.pope import POPE
from vapo.evaluation.suites.suite import PAPER, PERCEPTION, PROMPT, SUITES, find_benchmark, find_suite, find_suite_of
from vapo.evaluation.suites.wemath import PROBLEM, STEP, WEMATH
from vapo.training.recipes import list_recipes

ROWS = make_rows()


def read(name, number):
    return find_benchmark(name).question(ROWS[name][number])


def test_every_benchmark_of_the_paper_has_figures():
    names = [benchmark.name for benchmark in PAPER.benchmarks]
    assert set(names) <= set(ROWS) and len(names) == 10
    means = {model: sum(scores.values()) / 10 for model, scores in PAPER.published.items()}
    # The paper's own means, rounded.
    assert means["Qwen2.5-VL-7B"] == pytest.approx(46.3, abs=0.051)
    assert means["GRPO-7B"] == pytest.approx(51.5, abs=0.051)
    assert means["VAPO-Thinker-7B"] == pytest.approx(55.9, abs=0.051)
    assert means["VAPO-Thinker-3B"] == pytest.approx(47.5, abs=0.051)


@pytest.mark.parametrize(
    ("name", "number", "text", "right", "wrong"),
    [
        ("mathverse", 0, "letter of the right choice", "B", "A"),
        ("mathverse", 1, "question that the picture shows", "25\\sqrt{3}", "25"),
        ("mathvista", 0, "Which bar is highest?\nA. Paris\nB. Rome", "B", "C"),
        ("mathvista", 1, "(Unit: cm)\nThe answer is a number, rounded to 2 decimal places.", "1.5", "1.6"),
        ("mathvista", 2, "integer", "4", "5"),
        ("mathvista", 3, "list", "[2007, 2008]", "[2007, 2009]"),
        ("mathvision", 0, "Which one is it?\nThe choices A to E are in the picture.", "C", "D"),
        ("mathvision", 1, "A. $\\frac{1}{2}$\nB. $2$", "2", "7"),
        ("mathvision", 2, "Count the cubes.", "12", "13"),
        ("logicvista", 0, "comes next", "D", "A"),
        ("logicvista", 1, "belong together", "A, C", "A"),
        ("wemath", 0, "A. 1; B. 2", "A", "B"),
        ("geometry3k", 0, "<image>Find", "3\\sqrt{2}", "3"),
        ("mmmu", 0, "Who made <image> and <image>, not [picture 1]?\nA. Goya\nB. Klee", "Klee", "Goya"),
        ("mmmu", 1, "sum in <image>", "twenty-four", "25"),
        ("mmstar", 0, "What is in the sky?", "A", "B"),
        ("hallusionbench", 0, "yes or no", "no", "yes"),
        ("pope", 0, "a dog in the image?\nThe answer is yes or no.", "yes", "no"),
        ("mmvp", 0, "Where is the tail?\nA. On the left\nB. On the right", "A", "on the right"),
        ("vstar", 0, "(D) white", "B", "A"),
        ("blink", 0, "(C) three", "three", "B"),
        ("realworldqa", 0, "B. Right", "Right", "A"),
        ("realworldqa", 1, "How many signs are there?", "2", "3"),
        ("realworldqa", 2, "Is the light red?", "yes", "no"),
        ("hrbench_4k", 0, "What does the sign say?\nA. Stop\nB. Go", "A", "Wait"),
        ("mmstar_perception", 0, "What is in the sky?", "A", "B"),
        ("mmvet", 0, "What is x", "-1 and -5", "3"),
        ("mmvet", 1, "Which country", "the Italian Republic", "Spain"),
    ],
)
def test_rows_are_read(name, number, text, right, wrong):
    question = read(name, number)
    assert text in question.text
    assert grade_response(question, f"<think>\\boxed{{{wrong}}}</think>\\boxed{{{right}}}").score == 1
    grade = grade_response(question, f"\\boxed{{{wrong}}}")
    assert grade.score == 0 and grade.is_parsed


def test_what_cannot_be_parsed_is_not_a_wrong_answer():
    choice = read("mmstar", 0)
    assert not grade_response(choice, "It is A.").is_parsed
    assert not grade_response(choice, "\\boxed{a kitten}").is_parsed
    assert not grade_response(choice, "<think>\\boxed{A}</think>and so on").is_parsed
    assert grade_response(choice, "\\boxed{B}").is_parsed


@pytest.mark.parametrize("name", list(ROWS))
def test_images_come_in_order(name):
    benchmark = find_benchmark(name)
    for row in ROWS[name]:
        question = benchmark.question(row)
        images = benchmark.images(row)
        assert images and {image.mode for image in images} == {"RGB"}
        assert question.text.count("<image>") in (0, len(images))


@pytest.mark.parametrize("name", list(ROWS))
def test_a_row_without_its_image_is_one_sentence(name):
    benchmark = find_benchmark(name)
    row = {**ROWS[name][0], **dict.fromkeys(benchmark.question(ROWS[name][0]).images)}
    with pytest.raises(DataError, match=f"{benchmark.title}, row .*: it has no image"):
        benchmark.images(row)


def test_other_data_is_named():
    with pytest.raises(DataError, match="MMStar: a row has no column 'index'; its columns are question"):
        PAPER.find("mmstar").question({"question": "?"})
    with pytest.raises(ConfigError, match="no suite 'papers'; there is 'paper', 'perception'"):
        find_suite("papers")
    with pytest.raises(ConfigError, match="no benchmark 'mmlu'; it has mathverse"):
        PAPER.find("mmlu")


def test_wemath_strict_by_hand():
    """Problems of two steps: mastered 1; steps right, whole wrong 1/2; a step wrong, whole right 0; all wrong 0."""
    outcomes = {"2-a": (1, 1, 1), "2-b": (1, 1, 0), "2-c": (1, 0, 1), "2-d": (0, 0, 0), "2-e": (1, 1)}
    graded = [
        Graded(score, {PROBLEM: problem, STEP: step})
        for problem, scores in outcomes.items()
        for step, score in zip(("1", "2", "multi"), scores, strict=False)
    ]
    groups = WEMATH.group_scores(graded)
    assert [group.reached_K for group in groups] == [(1.0,), (0.5,), (0.0,), (0.0,)]  # 2-e was asked in part
    assert sum(group.reached_K[0] for group in groups) / 4 == 1 - (0.5 * 1 + 1 + 1) / 4


def test_hallusionbench_by_hand():
    """Two figures, two questions of both; one answer wrong: 3 of 4 answers, 1 of 2 figures, 1 of 2 questions."""
    graded = [
        Graded(score, {SET: "s", FIGURE: f"s_{figure}", PAIR: f"s_{question}"})
        for figure, question, score in ((0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0))
    ]
    (group,) = HALLUSIONBENCH.group_scores(graded)
    assert (group.reached_K, group.possible_K) == ((3, 1, 1), (4, 2, 2))


def test_the_prompt_is_the_recipes():
    prompts = {yaml.safe_load(recipe.text)["system_prompt"] for recipe in list_recipes()}
    assert prompts == {PROMPT}


def test_images_are_shown_as_data_sets_show_them():
    row, white = ROWS["mmstar"][0], (255, 255, 255)
    clear = {**row, "image": Image.new("RGBA", (40, 40), (9, 9, 9, 0))}
    assert PAPER.find("mmstar").images(clear)[0].getpixel((0, 0)) == white
    deep = {**row, "image": Image.new("I;16", (40, 40), 0xFFFF)}
    assert PAPER.find("mmstar").images(deep)[0].getpixel((0, 0)) == white
    with pytest.raises(DataError, match=r"MMStar, row .*: image has pixels that are NaN or infinite"):
        PAPER.find("mmstar").images({**row, "image": Image.new("F", (4, 4), float("nan"))})


def test_suites_together():
    both = find_suite("perception, paper")
    assert both.name == "perception,paper" and len(both.benchmarks) == len(set(both.benchmarks)) == 18
    assert [one.name for one in both.benchmarks] and set(ROWS) == {one.name for one in both.benchmarks}
    assert find_suite_of(["mmstar", "hallusionbench"]) == PAPER and find_suite_of(["pope"]) == PERCEPTION
    assert find_suite_of(["mmmu", "pope"]) == find_suite(",".join(SUITES))
    for text in ("paper,", "", "paper,percepton"):
        with pytest.raises(ConfigError, match="there is no suite"):
            find_suite(text)


def test_what_asks_to_answer_at_once_is_left_out():
    for name in ("vstar", "realworldqa"):
        for number in range(len(ROWS[name])):
            assert "directly" not in read(name, number).text


def test_mmvp_by_hand():
    """A pair counts where both are right; the third, whose other half was not asked, is left out."""
    scores = {1: 1, 2: 1, 3: 1, 4: 0, 5: 1}
    graded = [Graded(score, {"pair": str((number + 1) // 2)}) for number, score in scores.items()]
    assert MMVP.shares(graded) == (1 / 2,)
    assert MMVP.describe(graded) == {"single answers": 4 / 5}


def test_blink_tells_the_mean_of_its_tasks():
    graded = [Graded(score, {"task": task}) for task, score in (("a", 1), ("a", 1), ("a", 0), ("b", 0))]
    assert BLINK.shares(graded) == (1 / 2,)
    assert BLINK.describe(graded) == {"a": 2 / 3, "b": 0, "mean of the tasks": 1 / 3}


def test_pope_by_hand():
    """Six of a split: yes-yes, yes-no, yes-unparsed, no-no, no-yes, no-unparsed (truth, said)."""
    outcomes = [(1, True), (0, True), (0, False)]
    graded = [
        Graded(score, {"split": "random", "truth": truth}, parsed)
        for truth in ("yes", "no")
        for score, parsed in outcomes
    ]
    found = POPE.describe(graded)
    assert found["random"] == 2 / 6 and found["random yes-rate"] == 2 / 6
    precision, recall = 1 / 2, 1 / 3
    assert found["random F1"] == pytest.approx(2 * precision * recall / (precision + recall))
    nothing = POPE.describe([Graded(0, {"split": "popular", "truth": "no"}, False)])
    assert nothing == {"popular": 0, "popular F1": 0, "popular yes-rate": 0}


def test_parts_of_mmstar():
    takes = find_benchmark("mmstar_perception").takes
    kinds = ["coarse perception", "fine-grained perception", "instance reasoning", "math"]
    assert [takes({"category": kind}) for kind in kinds] == [True, True, False, False]


def test_a_path_is_no_picture():
    with pytest.raises(DataError, match="it has no image"):
        find_benchmark("hrbench_8k").images({**ROWS["hrbench_8k"][0], "image": "images/" + "0/" * 100 + "1.png"})
