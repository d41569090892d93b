"""What an algorithm tells an engine: what it needs, where it looks, what that earns, and how credit lies on tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from vapo.algorithms.options import check_options, option
from vapo.core.image_views import ViewKind
from vapo.core.rewards import compose_reward
from vapo.errors import ConfigError
from vapo.types import Probe, Reward, Rollout, TokenScores, Verdict

if TYPE_CHECKING:
    import torch
    from numpy.random import Generator
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class SecondView:
    """How a second view of a prompt's images is made; it has their size, so the prompt keeps its tokens.

    Attributes:
        kind: patches are blackened, the image is mixed with grey, noise is put over it, or it is blurred; see
            `vapo.data.image_views.change_image`.
        strength: of that, in [0, 1]; 0 leaves the image as it is.
        patch_pixels: side of a patch, in pixels of the image.
        per_response: whether each response gets a view of its own, or all of a prompt the same one, which packing
            encodes once.
    """

    kind: ViewKind = "patches"
    strength: float = 0.6
    patch_pixels: int = 14
    per_response: bool = False

    def __post_init__(self) -> None:
        if not (self.kind in get_args(ViewKind) and 0 <= self.strength <= 1 and self.patch_pixels >= 1):
            raise ConfigError(
                f"a second view of kind={self.kind!r}, strength={self.strength} and patch_pixels={self.patch_pixels}: "
                f"the first must be one of {', '.join(get_args(ViewKind))}, the second in [0, 1], the last at least 1"
            )


@dataclass(frozen=True, slots=True)
class Needs:
    """What an engine must supply and ask; one that cannot refuses by name before the first step.

    Attributes:
        claims: every sample must bring claims.
        shared_draws: all members of a group get generators in the same state, so that they draw alike.
        accuracy: what verdicts earn depends on the answer's accuracy; an engine refuses one outside [0, 1].
        progress: it depends on the share of training done.
        probabilities: it depends on the probabilities of verdicts, not only on which answer is likelier.
        bonus: the method adds to the reward for answer and format.
        advantages: `added_advantages` is asked, once for each group.
        verdict_weights: `verdict_weights` is asked, once for each response; no pass is added.
        token_weights: `token_weights` is asked, once for each response.
        token_loss: `token_loss` is asked, in every update.
        second_view: scores of tokens come with those behind such a view of the images (`TokenScores.second`), at the
            price of a further pass for each of `token_weights` and `token_loss`.
        divergence: scores of tokens come with `TokenScores.divergence`, where there is a second view.
        summary: `summarize` is asked, once for each response; what it returns is the `summary` of the rewards that
            `added_advantages` is given, and `response_weights` is asked once for each rollout.
        image_similarity: scores of tokens come with `TokenScores.image_similarity`, of all views, at hardly a price.
        image_attention: layers of the language model whose attention is averaged in `TokenScores.image_attention`, of
            all views: "all", or numbers from 0, where negative ones count from the last. None measures nothing.
        sampled_images: `images_to_sample` is asked, once for each response that is trained on.
    """

    claims: bool = False
    shared_draws: bool = False
    accuracy: bool = True
    progress: bool = False
    probabilities: bool = True
    bonus: bool = False
    advantages: bool = False
    verdict_weights: bool = False
    token_weights: bool = False
    token_loss: bool = False
    second_view: SecondView | None = None
    divergence: bool = False
    image_similarity: bool = False
    image_attention: tuple[int, ...] | Literal["all"] | None = None
    summary: bool = False
    sampled_images: bool = False


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """Plain GRPO, from which a method derives and overrides what it changes (arXiv 2402.03300).

    Group-normalised advantages, the clipped ratio and the KL penalty are the engine's. The fields of a method are its
    options.

    Attributes:
        presets: settings by the name of a preset, which fill options of the method and of the run that are not given.
            A method without any has those of GRPO and VAPO.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    accuracy_weight: float = option(1.0, "Weight of the built-in accuracy reward.", at_least=0)
    format_weight: float = option(1.0, "Weight of the built-in format reward.", at_least=0)

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def needs(self) -> Needs:
        """What the engine must supply; nothing beyond rollouts."""
        return Needs()

    def images_to_sample(
        self, images: Sequence[Image], member: int, group_size: int, rng: Generator, progress: float
    ) -> Sequence[Image]:
        """Return the images that a response is sampled from; it is scored and trained on behind the prompt's own.

        Args:
            images: of the prompt.
            member: place of the response in its group, from 0.
            group_size: responses of the prompt.
            rng: for whatever is drawn.
            progress: share of training done, in [0, 1].
        """
        return images

    @property
    def max_probes(self) -> int:
        """Most probes that one response gets."""
        return 0

    def probes(self, rollout: Rollout, rng: Generator) -> Sequence[Probe]:
        """Return the probes to hang on `rollout`, drawn with `rng` alone."""
        return ()

    def uses_verdicts(self, accuracy: float, progress: float) -> bool:
        """Return whether the verdicts on a response with this accuracy can earn it anything."""
        return False

    def reward(self, accuracy: float, format: float, verdicts: Sequence[Verdict], progress: float) -> Reward:
        """Return the reward of a response: w_acc * accuracy + w_fmt * format, and the method's bonus.

        Args:
            accuracy: of the answer, in [0, 1]; 1 is right.
            format: 1 for the asked format, 0 otherwise.
            verdicts: on this response's probes, in any order; empty where nothing was asked.
            progress: share of training done, in [0, 1].
        """
        return compose_reward(
            accuracy, format, None, accuracy_weight=self.accuracy_weight, format_weight=self.format_weight
        )

    def added_advantages(self, group: Sequence[Reward], progress: float) -> Sequence[float]:
        """Return what is added to the advantage of each response of a group, which the engine has normalised.

        Args:
            group: what its responses earned, in order, as `reward` returned it; `format` is 0 throughout. One without
                a perception was not probed, one without a summary has none, or is left out by the engine.
            progress: share of training done, in [0, 1].
        """
        return [0.0] * len(group)

    def summarize(self, scores: TokenScores) -> float | None:
        """Return one number that says what counts of a response, or None to leave it out.

        Args:
            scores: as for `token_weights`.
        """
        return None

    def response_weights(self, groups: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
        """Return what the advantages of each response are multiplied by, on top of the weights of its tokens.

        Args:
            groups: the summaries of the responses of each group of a rollout, wherever they were sampled. Responses
                without one, and those that are not trained on, are left out, and weigh 1.
        """
        return [[1.0] * len(group) for group in groups]

    def verdict_weights(self, verdicts: Sequence[Verdict], length: int, advantage: float) -> Sequence[float] | None:
        """Return what the advantage of each token is multiplied by, one number a token; None weighs all tokens 1.

        Args:
            verdicts: on the response's probes, in any order; empty where nothing was asked.
            length: T, tokens of the response.
            advantage: of the response, before tokens are weighed.
        """
        return None

    def token_weights(self, scores: TokenScores) -> torch.Tensor | None:
        """Return what the advantage of each token is multiplied by, shape (T,); None weighs all tokens 1.

        Args:
            scores: of one response, by the policy that sampled it; without gradient.
        """
        return None

    def token_loss(self, scores: TokenScores) -> torch.Tensor | None:
        """Return what is added to the loss of each token, shape (T,), or None.

        It is averaged over tokens as the engine averages its own loss.

        Args:
            scores: of one response, by the policy that is trained; gradients flow through `log_probs`, `entropies`
                and `image_similarity`, of both views, but not through `image_attention`.
        """
        return None
