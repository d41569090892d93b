"""Suites of benchmarks, and how their questions are asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vapo.errors import ConfigError
from vapo.evaluation.suites.benchmark import Benchmark
from vapo.evaluation.suites.blink import BLINK
from vapo.evaluation.suites.geometry3k import GEOMETRY3K
from vapo.evaluation.suites.hallusionbench import HALLUSIONBENCH
from vapo.evaluation.suites.hrbench import HRBENCH_4K, HRBENCH_8K
from vapo.evaluation.suites.logicvista import LOGICVISTA
from vapo.evaluation.suites.mathverse import MATHVERSE
from vapo.evaluation.suites.mathvision import MATHVISION
from vapo.evaluation.suites.mathvista import MATHVISTA
from vapo.evaluation.suites.mmmu import MMMU
from vapo.evaluation.suites.mmstar import MMSTAR, MMSTAR_PERCEPTION
from vapo.evaluation.suites.mmvet import MMVET
from vapo.evaluation.suites.mmvp import MMVP
from vapo.evaluation.suites.pope import POPE
from vapo.evaluation.suites.realworldqa import REALWORLDQA
from vapo.evaluation.suites.vstar import VSTAR
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

PERCEPTION = Suite(
    name="perception",
    benchmarks=(
        POPE,
        MMVP,
        VSTAR,
        BLINK,
        REALWORLDQA,
        HRBENCH_4K,
        HRBENCH_8K,
        MMSTAR_PERCEPTION,
        HALLUSIONBENCH,
    ),
    published={},
    published_by="none that were measured in this harness with these prompts",
)

SUITES = {suite.name: suite for suite in (PAPER, PERCEPTION)}


def find_suite(name: str) -> Suite:
    """Return the suite of a name, or one of all benchmarks of several, with commas between their names.

    Raises:
        ConfigError: there is none of this name.
    """
    suites: list[Suite] = []
    for part in dict.fromkeys(part.strip() for part in name.split(",")):
        if part not in SUITES:
            raise ConfigError(f"there is no suite {part!r}; there is {', '.join(map(repr, SUITES))}")
        suites.append(SUITES[part])
    if len(suites) == 1:
        return suites[0]
    return Suite(
        name=",".join(suite.name for suite in suites),
        benchmarks=tuple(dict.fromkeys(one for suite in suites for one in suite.benchmarks)),
        published={model: scores for suite in suites for model, scores in suite.published.items()},
        published_by="; ".join(suite.published_by for suite in suites if suite.published),
    )


def find_suite_of(names: Iterable[str]) -> Suite:
    """Return the first suite that has all of these benchmarks, or all suites together."""
    wanted = set(names)
    every = ",".join(SUITES)
    suites = (*SUITES.values(), find_suite(every))
    return next((one for one in suites if wanted <= {benchmark.name for benchmark in one.benchmarks}), suites[-1])


def find_benchmark(name: str) -> Benchmark:
    """Return the benchmark of a name, of whatever suite.

    Raises:
        ConfigError: there is none of this name.
    """
    return find_suite(",".join(SUITES)).find(name)
