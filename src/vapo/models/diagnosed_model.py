"""What a protocol may ask of a model, whoever runs it: transformers in this process, or a server elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from vapo.types import Probe, Rollout, Sample, Verdict

View = Literal["image", "blank", "none"]
"""What a model is shown: its image, a grey one of the same size, or none at all."""

Ability = Literal["continue", "probe", "replay", "attend", "compare_views", "locate"]
"""continue a response exactly from a cut; answer probes under any view; show the image again in the middle of a
response; report attention on image tokens; report how distributions move without the image;
say which part of the image each of its tokens shows."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A response kept up to `index` tokens, with `suffix` behind it and then `text`, to be continued.

    Special tokens in the suffix are read as such, and those in the text, which may come from data, are not.
    """

    rollout: Rollout
    index: int
    suffix: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A text in tokens: what each adds to it, and its log-probability given all before it, in nats."""

    token_texts: tuple[str, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the tokens of a response are drawn.

    Attributes:
        temperature: what logits are divided by; 0 takes the likeliest token each time.
        seed: of the draws.
    """

    temperature: float = 0.0
    seed: int = 0

    def seed_for(self, sample: Sample) -> int:
        """Return the seed of one sample's response, for a server that draws it; of 31 bits."""
        return crc32(f"{self.seed} {sample.id}".encode()) >> 1


GREEDY = Sampling()


class DiagnosedModel(Protocol):
    """A model under diagnosis. Everything is greedy unless said otherwise, and batched as the backend sees fit."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def abilities(self) -> frozenset[Ability]:
        """What it can do; a protocol that needs more is left out before anything is computed."""
        ...

    def why_not(self, ability: Ability) -> str:
        """Return why an ability is missing, in a sentence that says what to do."""
        ...

    def write_responses(
        self, samples: Sequence[Sample], max_completion_tokens: int, sampling: Sampling = GREEDY
    ) -> list[Rollout]:
        """Answer questions; one response each."""
        ...

    def continue_cuts(self, cuts: Sequence[Cut], max_new_tokens: int) -> list[str]:
        """Return the text written behind each cut. The cuts of a response share its prefix, which is computed once."""
        ...

    def score_texts(self, cuts: Sequence[Cut]) -> list[ScoredText]:
        """Return how likely each cut's text is behind its suffix; every token of the vocabulary competes with it."""
        ...

    def rewrite_prompts(self, pairs: Sequence[tuple[Rollout, Sample]]) -> list[Rollout]:
        """Return each rollout behind the prompt of another sample, the tokens of its completion kept.

        ModelError if a rollout's prompt is not the one that is written for its own sample.
        """
        ...

    def score_probes(self, probes: Sequence[Probe], view: View = "image") -> list[Verdict]:
        """Return one verdict per probe, in order, with the image, with a blank one, or with none in the prompt."""
        ...

    def replay_image(self, cut: Cut, max_new_tokens: int, scale: float) -> Rollout:
        """Show the image again, scaled down, as a user turn behind the cut, and let the model go on."""
        ...

    def attend_to_image(self, rollout: Rollout) -> Sequence[Sequence[Sequence[float]]]:
        """Return the share of attention on image tokens; shape (completion tokens, layers, heads)."""
        ...

    def compare_views(self, rollout: Rollout, view: View = "blank") -> Sequence[float]:
        """Return KL(with the image || under `view`) of each completion token's distribution, in nats; shape (T,)."""
        ...


@runtime_checkable
class ReadsSuffixes(Protocol):
    """What a diagnosed model offers besides, if it can attend to responses that are partly written by others."""

    def read_cut(self, cut: Cut) -> Rollout:
        """Return the kept response with the cut's suffix and text as further tokens of it; nothing is written."""
        ...


@runtime_checkable
class ReplaysTogether(Protocol):
    """What a diagnosed model offers besides, if it shows the image again in many responses at once."""

    def replay_images(self, cuts: Sequence[Cut], max_new_tokens: int, scale: float) -> list[Rollout]:
        """Do `replay_image` for every cut."""
        ...


@runtime_checkable
class LocatesAttention(Protocol):
    """What a diagnosed model that can "locate" offers."""

    def map_attention(self, rollout: Rollout) -> NDArray[np.float32]:
        """Return attention on the cells of a rollout's one image, over heads; shape (layers, tokens, rows, columns).

        ModelError where the image, or there being several, does not allow it.
        """
        ...

    def score_rest(self, rollout: Rollout, start: int, cells: NDArray[np.bool_] | None = None) -> float:
        """Return the mean log-probability, in nats, of completion tokens `start` and later, with `cells` grey."""
        ...
