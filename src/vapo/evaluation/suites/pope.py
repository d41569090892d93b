"""POPE (arXiv 2305.10355): is an object in the picture? Half of the answers are no."""

from __future__ import annotations

from collections.abc import Sequence

from vapo.evaluation.suites.benchmark import Benchmark, Graded, Question, Row, split_by
from vapo.evaluation.suites.keys import YesNo

SPLIT, TRUTH = "split", "truth"


def read_question(row: Row) -> Question:
    """Make the question of a row; the three splits choose the absent objects at random, by how common they are, or by
    what they are seen with."""
    split, answer = str(row["category"]), str(row["answer"]).strip().lower()
    text = f"{str(row['question']).strip()}\nThe answer is yes or no."
    attributes = {SPLIT: split, TRUTH: answer}
    return Question(f"{split}-{row['question_id']}", text, YesNo(answer == "yes"), ("image",), attributes)


def describe(graded: Sequence[Graded]) -> dict[str, float]:
    """Return, per split, accuracy, F1 of "yes", and how often "yes" was said; no answer is neither yes nor no."""
    found: dict[str, float] = {}
    for split, own in split_by(SPLIT, graded).items():
        hits = sum(one.score == 1 for one in own if one.attributes[TRUTH] == "yes")
        false_alarms = sum(one.is_parsed and one.score == 0 for one in own if one.attributes[TRUTH] == "no")
        present = sum(one.attributes[TRUTH] == "yes" for one in own)
        said = hits + false_alarms
        found[split] = sum(one.score for one in own) / len(own)
        found[f"{split} F1"] = 2 * hits / (said + present) if said + present else 0.0
        found[f"{split} yes-rate"] = said / len(own)
    return found


POPE = Benchmark(
    name="pope",
    title="POPE",
    data="lmms-lab-encoder/POPE",
    split="test",
    num_questions=9000,
    read=read_question,
    describe=describe,
)
