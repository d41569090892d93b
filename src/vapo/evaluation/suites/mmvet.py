"""MM-Vet (arXiv 2308.02490): open questions, whose published score is a judge's."""

from __future__ import annotations

from vapo.evaluation.suites.benchmark import Benchmark, Question, Row
from vapo.evaluation.suites.keys import Elements


def read_question(row: Row) -> Question:
    """Make the question of a row: its answer lists what must be named, and in which wordings."""
    wordings = tuple(
        tuple(wording.strip() for wording in element.split("<OR>")) for element in str(row["answer"]).split("<AND>")
    )
    return Question(str(row["question_id"]), str(row["question"]), Elements(wordings), ("image",))


MMVET = Benchmark(
    name="mmvet",
    title="MM-Vet",
    data="lmms-lab-encoder/MMVet",
    split="test",
    num_questions=218,
    read=read_question,
    score="mean score",
    wants_judge=True,
)
