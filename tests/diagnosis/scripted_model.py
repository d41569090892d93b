"""A diagnosed model that says what it is told to: every number that a diagnosis makes of it can be worked by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, get_args
from zlib import crc32

import numpy as np
from PIL import Image

from vapo.diagnosis.settings import DiagnosisSettings
from vapo.errors import ModelError
from vapo.models.diagnosed_model import GREEDY, Ability, Cut, Sampling, ScoredText, View
from vapo.types import Claim, Probe, Rollout, Sample, Verdict

ALL: frozenset[Ability] = frozenset(get_args(Ability))


def make_question(name: str, answer: str = "8", claims: int = 4) -> Sample:
    pool = tuple(Claim(f"claim {number}", number % 2 == 0) for number in range(claims))
    color = (*crc32(name.encode()).to_bytes(4)[:2], len(name))
    return Sample(name, (Image.new("RGB", (8, 6), color),), f"What is in {name}?", answer, pool)


def as_rollout(sample: Sample, text: str) -> Rollout:
    """One token per character, and an end token that adds no text."""
    texts = (*text, "")
    return Rollout(sample, (1, 2, 3), tuple(range(len(texts))), texts)


class ScriptedModel:
    """Write given responses, and answer by given functions. Counts its calls in `asked`.

    Args:
        responses: text by sample id; a missing one is refused with a ModelError.
        early: text written behind a cut.
        judge: P(true) of a probe under a view.
        likely: log-probability of each token of a cut's text, which are its characters.
        attention: share on the image of each token, by its index.
        sensitivity: KL of each token, by its index.
    """

    def __init__(
        self,
        responses: dict[str, str],
        *,
        name: str = "scripted",
        early: Callable[[Cut], str] = lambda cut: "\\boxed{0}",
        judge: Callable[[Probe, View], float] = lambda probe, view: 0.5,
        likely: Callable[[Cut], float] = lambda cut: -1.0,
        attention: Callable[[int], float] = lambda token: 0.25,
        sensitivity: Callable[[int], float] = lambda token: 0.0,
        abilities: frozenset[Ability] = ALL,
    ) -> None:
        self._responses, self._early, self._judge = responses, early, judge
        self._likely = likely
        self._attention, self._sensitivity = attention, sensitivity
        self._name, self._abilities = name, abilities
        self.asked: dict[str, int] = {}
        self.cuts: list[Cut] = []
        self.probes: list[tuple[Probe, View]] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def abilities(self) -> frozenset[Ability]:
        return self._abilities

    def why_not(self, ability: Ability) -> str:
        return f"a script cannot {ability}; write one that can."

    def _count(self, what: str, number: int) -> None:
        self.asked[what] = self.asked.get(what, 0) + number

    def write_responses(
        self, samples: Sequence[Sample], max_completion_tokens: int, sampling: Sampling = GREEDY
    ) -> list[Rollout]:
        for sample in samples:
            if sample.id not in self._responses:
                raise ModelError(f"sample {sample.id!r} is longer than the context; use smaller images")
        self._count("responses", len(samples))
        rollouts = [as_rollout(sample, self._responses[sample.id]) for sample in samples]
        return [
            replace(
                rollout,
                completion_ids=rollout.completion_ids[:max_completion_tokens],
                token_texts=rollout.token_texts[:max_completion_tokens],
            )
            for rollout in rollouts
        ]

    def continue_cuts(self, cuts: Sequence[Cut], max_new_tokens: int) -> list[str]:
        self._count("cuts", len(cuts))
        self.cuts += cuts
        return [self._early(cut) for cut in cuts]

    def score_texts(self, cuts: Sequence[Cut]) -> list[ScoredText]:
        self._count("texts", len(cuts))
        return [ScoredText(tuple(cut.text), (self._likely(cut),) * len(cut.text)) for cut in cuts]

    def rewrite_prompts(self, pairs: Sequence[tuple[Rollout, Sample]]) -> list[Rollout]:
        return [replace(rollout, sample=sample) for rollout, sample in pairs]

    def score_probes(self, probes: Sequence[Probe], view: View = "image") -> list[Verdict]:
        self._count("probes", len(probes))
        self.probes.extend((probe, view) for probe in probes)
        return [Verdict(probe, self._judge(probe, view)) for probe in probes]

    def replay_image(self, cut: Cut, max_new_tokens: int, scale: float) -> Rollout:
        self._count("replays", 1)
        self.cuts.append(cut)
        return as_rollout(cut.rollout.sample, self._early(cut))

    def read_cut(self, cut: Cut) -> Rollout:
        kept = "".join(cut.rollout.token_texts[: cut.index])
        rollout = as_rollout(cut.rollout.sample, kept + cut.suffix + cut.text)
        return replace(rollout, completion_ids=rollout.completion_ids[:-1], token_texts=rollout.token_texts[:-1])

    def attend_to_image(self, rollout: Rollout) -> list[list[list[float]]]:
        self._count("attention", 1)
        # Two layers of two heads that differ by 0.1 around the given mean.
        return [
            [[share - 0.1, share + 0.1], [share, share]]
            for share in map(self._attention, range(len(rollout.completion_ids)))
        ]

    def map_attention(self, rollout: Rollout) -> np.ndarray:
        self._count("maps", 1)
        return np.full((3, len(rollout.completion_ids), 4, 5), 0.01, dtype=np.float32)

    def score_rest(self, rollout: Rollout, start: int, cells: np.ndarray | None = None) -> float:
        self._count("scores", 1)
        return -1.0 if cells is None else -1.5

    def compare_views(self, rollout: Rollout, view: View = "blank") -> list[float]:
        self._count("views", 1)
        return [self._sensitivity(token) for token in range(len(rollout.completion_ids))]


RIGHT = "<think>ab, cd. ef! gh?</think>\\boxed{8}"
WRONG = "<think>ab, cd. ef! gh?</think>\\boxed{9}"
SMALL = DiagnosisSettings(step=25, num_depths=2, claims_per_depth=2, num_remedy_cuts=1, num_bins=2)


def make_diagnosed_model(**options: Any) -> ScriptedModel:
    """Right on q0 and q1, wrong on q2 and q3; q2's error is avoided by a cut at half of the response."""

    def early(cut: Any) -> str:
        return "\\boxed{8}" if cut.rollout.sample.id == "q2" and cut.index == 14 else "\\boxed{7}"

    responses = {"q0": RIGHT, "q1": RIGHT, "q2": WRONG, "q3": WRONG}
    return ScriptedModel(responses, **{"early": early, **options})
