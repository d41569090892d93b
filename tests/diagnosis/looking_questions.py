"""Questions of the lab that its checkpoint answers by one look, on digits held out from training."""

from __future__ import annotations

import numpy as np

from vapo.lab.claims import make_claims
from vapo.lab.questions import ask
from vapo.lab.world import GRIDS, draw_scene, photograph
from vapo.types import Sample

CANVAS = 64  # the shipped checkpoint's


def draw_path_questions(count: int, *, seed: int) -> list[Sample]:
    """Draw questions such as "Start at AU, go right, go down. Which digit is there?".

    Prompts have some 45 tokens, chains 30: the walk in words, and then the look. Walking is what goes wrong most.
    """
    return _draw("path", count, seed)


def draw_reading_questions(count: int, *, seed: int) -> list[Sample]:
    """Draw questions such as "Which digit is in AU?".

    Prompts have 34 tokens, chains 15: "<think>I look: AU=7.</think>\\boxed{7}". Nothing but sight can fail.
    """
    return _draw("read", count, seed)


def _draw(kind: str, count: int, seed: int) -> list[Sample]:
    rng = np.random.default_rng([seed, 31])
    samples: list[Sample] = []
    for number in range(count):
        scene = draw_scene(rng, *GRIDS[rng.integers(len(GRIDS))], "heldout")
        question = ask(rng, scene.grid, kind)
        claims = make_claims(rng, scene.grid)
        samples.append(
            Sample(f"{kind}-{number}", (photograph(scene, CANVAS),), question.text, question.answer, claims)
        )
    return samples
