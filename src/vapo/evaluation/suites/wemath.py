"""We-Math (arXiv 2407.01284): problems with the steps that they are made of, each asked on its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from vapo.evaluation.suites.benchmark import Benchmark, Graded, GroupScores, Question, Row
from vapo.evaluation.suites.keys import Choice

PROBLEM, STEP = "problem", "step"
_WHOLE = "multi"


def read_question(row: Row) -> Question:
    """Make the question of a row: a step of a problem, or the problem whole. Its options come as one text."""
    steps, step = str(row["key"]).split("_")
    attributes = {PROBLEM: f"{steps}-{row['ID']}", STEP: step}
    text = f"{row['question']}\n{row['option']}"
    return Question(
        f"{row['key']}-{row['ID']}", text, Choice((str(row["answer"]).strip(),)), ("image_path",), attributes
    )


def group_problems(graded: Sequence[Graded]) -> list[GroupScores]:
    """Give 1 for a problem solved with all its steps, 1/2 where the steps are right and the whole is not, else 0.

    That is the benchmark's strict score: 1 - (IG / 2 + RM + IK), of all problems, where with the steps right and the
    whole wrong a problem counts as inadequate generalisation (IG), with a step wrong and the whole right as rote
    memorisation (RM), and with both wrong as insufficient knowledge (IK). Problems that were asked in part are left
    out.
    """
    steps: dict[str, dict[str, bool]] = defaultdict(dict)
    for one in graded:
        steps[one.attributes[PROBLEM]][one.attributes[STEP]] = one.score == 1
    groups: list[GroupScores] = []
    for problem, right in steps.items():
        if len(right) == int(problem[0]) + 1:
            parts_right = all(is_right for step, is_right in right.items() if step != _WHOLE)
            reached = (1.0 if right[_WHOLE] else 0.5) if parts_right else 0.0
            groups.append(GroupScores((reached,), (1.0,)))
    return groups


WEMATH = Benchmark(
    name="wemath",
    title="We-Math",
    data="We-Math/We-Math",
    split="test-mini",
    num_questions=1740,
    read=read_question,
    score="strict score",
    group_scores=group_problems,
)
