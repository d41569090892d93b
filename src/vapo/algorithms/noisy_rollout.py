"""NoisyRollout: part of each group is sampled from a noisy image, and trained on the clean one (arXiv 2504.13055)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vapo.algorithms.algorithm import Algorithm, Needs
from vapo.algorithms.options import option
from vapo.core.image_views import add_noise

if TYPE_CHECKING:
    from numpy.random import Generator
    from PIL.Image import Image

DIFFUSION_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class NoisyRollout(Algorithm):
    """Sample the last members of each group from x_a = sqrt(abar_a) x + sqrt(1 - abar_a) e, e normal.

    a = noise_steps * (1 - sigmoid(steepness * (progress - midpoint))), cut down to a whole number, is a step of a
    diffusion of 1000 steps with betas 1e-5 + 0.00499 * sigmoid(y), y evenly from -6 to 6; x are the pixels in [0, 1].
    These are of the published code, at 0f914f2; the paper gives the schedule of a alone. With a = 0 the image is left
    as it is, where the code adds noise of about one grey level. The paper's midpoint is step 40 of 60 (Geometry3K).
    """

    noise_steps: int = option(
        500,
        "Diffusion steps of noise at the start of the training; 0 for none.",
        at_least=0,
        at_most=DIFFUSION_STEPS - 1,
    )
    steepness: float = option(30.0, "lambda: how abruptly the noise goes away.", at_least=0, at_most=500)
    midpoint: float = option(2 / 3, "Share of the training after which half of the steps are left.", at_least=0)
    noisy_share: float = option(0.5, "Share of a group that is sampled from noise.", at_least=0, at_most=1)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # training_scripts/qwen2_5_vl_7b_geo3k_noisyrollout.sh; the entropy bonus stands in its config.yaml.
        "paper": {"beta": 0.0, "epsilon": 0.2, "epsilon_high": 0.2, "loss_type": "grpo", "entropy_coef": 0.001}
    }

    @property
    def needs(self) -> Needs:
        """To be asked for images, where they may differ from the prompt's."""
        return Needs(sampled_images=self.noise_steps > 0 and self.noisy_share > 0)

    def images_to_sample(
        self, images: Sequence[Image], member: int, group_size: int, rng: Generator, progress: float
    ) -> Sequence[Image]:
        """Return noisy images for the last members of a group, the prompt's own for the others."""
        from PIL import Image as PILImage

        steps = self.count_steps(progress)
        if steps == 0 or member < group_size - round(self.noisy_share * group_size):
            return images
        strength = find_strength(steps)
        noisy = (add_noise(np.array(image.convert("RGB")), strength, rng, darkest=0.0) for image in images)
        return [PILImage.fromarray(pixels) for pixels in noisy]

    def count_steps(self, progress: float) -> int:
        """Return a, the diffusion steps of noise after that share of the training."""
        return int(self.noise_steps / (1 + exp(self.steepness * (progress - self.midpoint))))


def find_strength(step: int) -> float:
    """Return sqrt(1 - abar), the share of noise that a diffusion of 1000 steps has come to at a step, from 0."""
    betas = 1e-5 + (0.5e-2 - 1e-5) / (1 + np.exp(-np.linspace(-6, 6, DIFFUSION_STEPS)))
    return sqrt(1 - float(np.prod(1 - betas[: step + 1])))
