"""MMVP (arXiv 2401.06209): the same question of two images that CLIP takes for alike, with opposite answers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from vapo.evaluation.suites.benchmark import Benchmark, Graded, GroupScores, Question, Row, put_options
from vapo.evaluation.suites.keys import Choice

PAIR = "pair"
_OPTION = re.compile(r"\([a-z]\)\s*(.*?)\s*(?=\([a-z]\)|$)")


def read_question(row: Row) -> Question:
    """Make the question of a row; rows 1 and 2 are a pair, 3 and 4, and so on."""
    number = int(row["Index"])
    options = tuple(_OPTION.findall(str(row["Options"])))
    letter = str(row["Correct Answer"]).strip(" ()").upper()
    text = put_options(str(row["Question"]).strip(), options)
    return Question(str(number), text, Choice((letter,), options), ("image",), {PAIR: str((number + 1) // 2)})


def group_pairs(graded: Sequence[Graded]) -> list[GroupScores]:
    """Give 1 for a pair both of whose answers are right, else 0. Pairs that were asked in part are left out."""
    pairs: dict[str, list[float]] = defaultdict(list)
    for one in graded:
        pairs[one.attributes[PAIR]].append(one.score)
    return [GroupScores((float(min(own) == 1),), (1.0,)) for own in pairs.values() if len(own) == 2]


def describe(graded: Sequence[Graded]) -> dict[str, float]:
    """Return the accuracy of single answers."""
    return {"single answers": sum(one.score for one in graded) / len(graded)}


MMVP = Benchmark(
    name="mmvp",
    title="MMVP",
    data="lmms-lab-eval/MMVP",
    split="train",
    num_questions=300,
    read=read_question,
    score="pairs right",
    group_scores=group_pairs,
    describe=describe,
)
