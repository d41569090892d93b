"""Several methods at once, each asked for what it alone changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from vapo.algorithms.algorithm import Algorithm, Needs
from vapo.errors import ConfigError
from vapo.types import Probe, Reward, Rollout, TokenScores, Verdict

if TYPE_CHECKING:
    import torch
    from numpy.random import Generator
    from PIL.Image import Image

HOOKS = {
    "claims": "asks probes",
    "bonus": "adds to the reward",
    "advantages": "adds to advantages",
    "summary": "sums up responses",
    "verdict_weights": "weighs tokens by verdicts",
    "token_weights": "weighs tokens",
    "token_loss": "adds to the loss of tokens",
    "sampled_images": "chooses the images to sample from",
}
"""What only one of several methods may do, by the names of `Needs`."""


@dataclass(frozen=True, kw_only=True)
class Combined(Algorithm):
    """Do what each of several methods does, where no two do the same thing.

    Raises:
        ConfigError: two methods do the same thing, or need different second views or attention of different layers.
    """

    parts: tuple[Algorithm, ...] = field(default=(), metadata={"help": "The methods."})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, does in HOOKS.items():
            self._refuse([one for one in self.parts if getattr(one.needs, name)], f"each {does}")
        for name, noun in (("second_view", "second views"), ("image_attention", "layers of attention")):
            asked = [one for one in self.parts if getattr(one.needs, name) is not None]
            if len({repr(getattr(one.needs, name)) for one in asked}) > 1:
                self._refuse(asked, f"they need different {noun}")

    @property
    def needs(self) -> Needs:
        """What the methods need together; the one that probes says if probabilities count and draws are shared."""
        merged: dict[str, Any] = {}
        for one in fields(Needs):
            asked = [getattr(part.needs, one.name) for part in self.parts]
            merged[one.name] = next((value for value in asked if value), asked[0] if asked else one.default)
        probing = self._owner("claims", "bonus", "advantages").needs
        merged |= {"shared_draws": probing.shared_draws, "probabilities": probing.probabilities}
        return Needs(**merged)

    @property
    def max_probes(self) -> int:
        """Of the method that probes."""
        return self._owner("claims").max_probes

    def images_to_sample(
        self, images: Sequence[Image], member: int, group_size: int, rng: Generator, progress: float
    ) -> Sequence[Image]:
        """Return what the method that chooses images returns."""
        return self._owner("sampled_images").images_to_sample(images, member, group_size, rng, progress)

    def probes(self, rollout: Rollout, rng: Generator) -> Sequence[Probe]:
        """Return the probes of the method that probes."""
        return self._owner("claims").probes(rollout, rng)

    def uses_verdicts(self, accuracy: float, progress: float) -> bool:
        """Return what the method that probes says."""
        return self._owner("claims", "bonus", "advantages").uses_verdicts(accuracy, progress)

    def reward(self, accuracy: float, format: float, verdicts: Sequence[Verdict], progress: float) -> Reward:
        """Return the reward of the method that probes."""
        return self._owner("claims", "bonus").reward(accuracy, format, verdicts, progress)

    def added_advantages(self, group: Sequence[Reward], progress: float) -> Sequence[float]:
        """Return what the method that adds to advantages returns."""
        return self._owner("advantages").added_advantages(group, progress)

    def summarize(self, scores: TokenScores) -> float | None:
        """Return what the method that sums up responses returns."""
        return self._owner("summary").summarize(scores)

    def response_weights(self, groups: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
        """Return what the method that sums up responses returns."""
        return self._owner("summary").response_weights(groups)

    def verdict_weights(self, verdicts: Sequence[Verdict], length: int, advantage: float) -> Sequence[float] | None:
        """Return the weights of the method that weighs tokens by verdicts."""
        return self._owner("verdict_weights").verdict_weights(verdicts, length, advantage)

    def token_weights(self, scores: TokenScores) -> torch.Tensor | None:
        """Return the weights of the method that weighs tokens."""
        return self._owner("token_weights").token_weights(scores)

    def token_loss(self, scores: TokenScores) -> torch.Tensor | None:
        """Return the loss of the method that adds to it."""
        return self._owner("token_loss").token_loss(scores)

    def _owner(self, *names: str) -> Algorithm:
        """Return the method with the first of these needs that one has, or plain GRPO."""
        owners = (one for name in names for one in self.parts if getattr(one.needs, name))
        plain = Algorithm(accuracy_weight=self.accuracy_weight, format_weight=self.format_weight)
        return next(owners, plain)

    def _refuse(self, overlapping: Sequence[Algorithm], why: str) -> None:
        if len(overlapping) > 1:
            names = " and ".join(type(one).__name__ for one in overlapping)
            raise ConfigError(f"{names} cannot be combined: {why}; leave one of them out")
