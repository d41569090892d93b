"""Suites of benchmarks, and how their questions are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vapo.errors import ConfigError
from vapo.evaluation.suites.benchmark import Benchmark
from vapo.evaluation.suites.geometry3k import GEOMETRY3K
from vapo.evaluation.suites.hallusionbench import HALLUSIONBENCH
from vapo.evaluation.suites.logicvista import LOGICVISTA
from vapo.evaluation.suites.mathverse import MATHVERSE
from vapo.evaluation.suites.mathvision import MATHVISION
from vapo.evaluation.suites.mathvista import MATHVISTA
from vapo.evaluation.suites.mmmu import MMMU
from vapo.evaluation.suites.mmstar import MMSTAR
from vapo.evaluation.suites.mmvet import MMVET
from vapo.evaluation.suites.wemath import WEMATH

PROMPT = (
    "Think before you answer. Write your reasoning between <think> and </think>, then give the final answer alone in "
    "\\boxed{}."
)
"""How a model is asked that was not trained with a prompt of its own: the recipes' prompt."""

MAX_NEW_TOKENS = 2048
"""The released code's longest response."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Benchmarks that are reported together.

    Attributes:
        name: for commands; the harness's group of tasks is `vapo_` and this name.
        benchmarks: in the order of the published table.
        published: per model, the published scores in percent, by benchmark's name.
        published_by: where they stand, and with which harness they were measured.
    """

    name: str
    benchmarks: tuple[Benchmark, ...]
    published: Mapping[str, Mapping[str, float]]
    published_by: str

    def find(self, name: str) -> Benchmark:
        """Return the benchmark of a name.

        Raises:
            ConfigError: the suite has none of this name.
        """
        for benchmark in self.benchmarks:
            if benchmark.name == name:
                return benchmark
        names = ", ".join(benchmark.name for benchmark in self.benchmarks)
        raise ConfigError(f"the suite {self.name!r} has no benchmark {name!r}; it has {names}")


_ORDER = (MATHVERSE, MATHVISTA, MATHVISION, LOGICVISTA, WEMATH, GEOMETRY3K, MMMU, MMSTAR, HALLUSIONBENCH, MMVET)


def _name_scores(*scores: float) -> dict[str, float]:
    return {benchmark.name: score for benchmark, score in zip(_ORDER, scores, strict=True)}


PAPER = Suite(
    name="paper",
    benchmarks=_ORDER,
    published={
        "Qwen2.5-VL-7B": _name_scores(40.7, 62.3, 23.2, 42.6, 33.1, 38.5, 52.7, 54.9, 50.0, 64.8),
        "GRPO-7B": _name_scores(48.2, 70.6, 26.1, 45.5, 39.1, 47.3, 56.6, 58.9, 53.2, 69.9),
        "VAPO-Thinker-7B": _name_scores(53.3, 75.6, 31.9, 50.9, 43.6, 51.3, 60.2, 63.0, 57.4, 71.9),
        "VAPO-Thinker-3B": _name_scores(35.8, 67.1, 23.9, 39.7, 35.4, 44.2, 55.6, 59.4, 49.5, 64.6),
    },
    published_by="arXiv 2509.25848, with VLMEvalKit",
)

SUITES = {suite.name: suite for suite in (PAPER,)}


def find_suite(name: str) -> Suite:
    """Return the suite of a name.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in SUITES:
        raise ConfigError(f"there is no suite {name!r}; there is {', '.join(map(repr, SUITES))}")
    return SUITES[name]
