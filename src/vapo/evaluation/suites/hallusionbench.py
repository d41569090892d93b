"""HallusionBench (arXiv 2310.14566): the same question of a figure and of one that was changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from vapo.evaluation.suites.benchmark import Benchmark, Graded, GroupScores, Question, Row
from vapo.evaluation.suites.keys import YesNo

SET, FIGURE, PAIR = "set", "figure", "pair"


def read_question(row: Row) -> Question:
    """Make the question of a row: a yes-or-no question, one of several of its figure and of its set."""
    kind = f"{row['category']}_{row['subcategory']}_{row['set_id']}"
    attributes = {SET: kind, FIGURE: f"{kind}_{row['figure_id']}", PAIR: f"{kind}_{row['question_id']}"}
    text = f"{row['question']}\nThe answer is yes or no."
    name = f"{kind}_{row['figure_id']}_{row['question_id']}"
    return Question(name, text, YesNo(str(row["gt_answer"]) == "1"), ("image",), attributes)


def group_sets(graded: Sequence[Graded]) -> list[GroupScores]:
    """Count, per set: answers, figures of which all answers are right, and questions right in all their figures.

    Their three rates are the benchmark's aAcc, fAcc and qAcc. Sets share no figure and no question.
    """
    sets: dict[str, list[Graded]] = defaultdict(list)
    for one in graded:
        sets[one.attributes[SET]].append(one)
    groups: list[GroupScores] = []
    for own in sets.values():
        figures = _count_whole((one.attributes[FIGURE], one.score == 1) for one in own)
        pairs = _count_whole((one.attributes[PAIR], one.score == 1) for one in own)
        answers = sum(one.score for one in own)
        groups.append(GroupScores((answers, figures[0], pairs[0]), (len(own), figures[1], pairs[1])))
    return groups


def _count_whole(outcomes: Iterable[tuple[str, bool]]) -> tuple[int, int]:
    """Count the names of which every outcome is true, and all names."""
    whole: dict[str, bool] = {}
    for name, is_right in outcomes:
        whole[name] = whole.get(name, True) and is_right
    return sum(whole.values()), len(whole)


HALLUSIONBENCH = Benchmark(
    name="hallusionbench",
    title="HallusionBench",
    data="lmms-lab-encoder/HallusionBench",
    split="image",
    num_questions=951,
    read=read_question,
    score="mean of aAcc, fAcc and qAcc",
    group_scores=group_sets,
    parts=("aAcc", "fAcc", "qAcc"),
)
