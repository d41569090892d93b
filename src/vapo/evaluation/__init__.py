"""Answers graded: on data of one's own, on published benchmarks, in lmms-eval and VLMEvalKit."""

from vapo.evaluation.suite_runs.comparison import compare_answers
from vapo.evaluation.suites.answers import Answer
from vapo.evaluation.suites.suite import PAPER

__all__ = ["PAPER", "Answer", "compare_answers"]
