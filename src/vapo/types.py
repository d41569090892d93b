"""The vocabulary: every noun the library passes from room to room.

A rollout grows as a tree. The trunk is a prompt with its image, the branches are the group's completions, and
the twigs are probes hung at anchors along a branch. Data flows one way::

    row -> Sample -> Rollout -> Anchor -> Probe -> Verdict -> Reward -> advantage -> loss
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement about an image that carries its own truth, so that text and label cannot drift apart."""

    text: str
    is_true: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """One question about one or several images, with its reference answer and its pool of claims."""

    id: str
    images: tuple[Image, ...]
    question: str
    answer: str
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled completion, in tokens.

    `token_texts[i]` is the text that token `completion_ids[i]` adds to the completion; special tokens and the
    first bytes of a character that later tokens complete add "". Text and tokens therefore always agree.
    `think_tags` is what opens and what closes its thinking part.
    """

    sample: Sample
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    token_texts: tuple[str, ...]
    think_tags: tuple[str, str] = ("<think>", "</think>")

    def __post_init__(self) -> None:
        if len(self.completion_ids) != len(self.token_texts):
            raise ValueError(
                f"a rollout has {len(self.completion_ids)} completion ids but {len(self.token_texts)} token texts"
            )

    @property
    def text(self) -> str:
        """The completion as text, without special tokens."""
        return "".join(self.token_texts)

    @property
    def answer_text(self) -> str:
        """What stands behind its thinking part; all of it where that is not closed."""
        return self.text.rpartition(self.think_tags[1])[2]


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place to look from: `index` completion tokens are kept; `depth` = index / completion length, in (0, 1].

    Index and depth are 0 only where diagnosis asks right behind the prompt, before the response.
    """

    index: int
    depth: float


@dataclass(frozen=True, slots=True)
class Probe:
    """A claim asked at an anchor of a rollout."""

    rollout: Rollout
    anchor: Anchor
    claim: Claim


@dataclass(frozen=True, slots=True)
class Verdict:
    """The policy's answer to a probe: `p_true` = P(yes) / (P(yes) + P(no)), in [0, 1]."""

    probe: Probe
    p_true: float

    @property
    def says_yes(self) -> bool:
        """Whether the likelier answer is "yes"; an exact tie counts as "no"."""
        return self.p_true > 0.5

    @property
    def correct(self) -> bool:
        """Whether the likelier answer is the claim's label; an exact tie counts as "no"."""
        return self.says_yes == self.probe.claim.is_true

    @property
    def p_label(self) -> float:
        """Probability given to the claim's own label, in [0, 1]."""
        return self.p_true if self.probe.claim.is_true else 1.0 - self.p_true


@dataclass(frozen=True, slots=True)
class Reward:
    """What a completion earned.

    `perception` is None when nothing was probed. `bonus` is what perception added to `total` (weighted and gated);
    `total` is what is trained on. `summary` is what the algorithm summed the response up by (`Algorithm.summarize`);
    None where it did not.
    """

    accuracy: float
    format: float
    perception: float | None
    bonus: float
    total: float
    summary: float | None = None


@dataclass(frozen=True, slots=True)
class TokenScores:
    """What a policy's forward pass says of one response's T tokens.

    All tensors have shape (T,). Those that an algorithm does not need are None.

    Attributes:
        log_probs: of the tokens themselves.
        entropies: of the distributions they were drawn from, in nats; None where the model gives none.
        second: the same of the same tokens where the response is read behind a second view of the images.
        divergence: KL(p || q) over the vocabulary, in nats, for p the distribution that the token was drawn from and q
            that behind the second view, both at the temperature of the run; without gradient.
        image_similarity: cosine, in [-1, 1], of the last layer's state of the token and the mean of its states of the
            image tokens; 0 without an image. Source: arXiv 2604.09349 (S_t).
        image_attention: share, in [0, 1], of image tokens in the attention of the query that predicts the token,
            averaged over the layers that the algorithm names and their heads; 0 without an image. No gradient flows
            through it. Source: arXiv 2509.25848, Section A.4.
    """

    log_probs: Tensor
    entropies: Tensor | None
    second: TokenScores | None = None
    divergence: Tensor | None = None
    image_similarity: Tensor | None = None
    image_attention: Tensor | None = None
