"""Questions of the lab that need the image, on digits held out from training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from vapo.lab.judge import find_readings
from vapo.lab.questions import ask
from vapo.lab.shipped import shipped_checkpoint
from vapo.lab.world import GRIDS, Grid, draw_scene, photograph
from vapo.models.policy.checkpoint import Policy, load_policy
from vapo.types import Claim, Rollout, Sample

CANVAS = 64  # the shipped checkpoint's
PROMPT = 37  # tokens of each prompt about a line
QUESTION = 22  # where the question begins, behind the image
NOTED = 12
"""Tokens of a response that note three of six cells: "<think>I note AU9, AV0, BU1,". The image, which begins 35 tokens
before the response, stays within the 52 tokens that the checkpoint reaches back."""


def open_careful_policy() -> Policy:
    """Return the checkpoint kept from guessing: it begins no sentence with " I", whose vector predicts it too."""
    policy = load_policy(shipped_checkpoint())
    guess = policy.processor.tokenizer.encode(" I")[0]
    with torch.no_grad():
        policy.model.get_input_embeddings().weight[guess] = 0
    return policy


def draw_questions(count: int, *, seed: int, kind: str = "largest") -> list[tuple[Sample, Grid]]:
    """Draw questions of a kind; those about a line get notes from the checkpoint, though hardly the right answer."""
    rng = np.random.default_rng([seed, 31])
    drawn: list[tuple[Sample, Grid]] = []
    for number in range(count):
        scene = draw_scene(rng, *GRIDS[rng.integers(len(GRIDS))], "heldout")
        question = ask(rng, scene.grid, kind)
        drawn.append((Sample(f"{number}", (photograph(scene, CANVAS),), question.text, question.answer), scene.grid))
    return drawn


def claim_what_is_not_noted(
    drawn: Sequence[tuple[Sample, Grid]], responses: Sequence[Rollout], *, seed: int
) -> list[Sample]:
    """Return the questions with four claims each, two right and two wrong, about cells that their responses do not
    name.

    Only the image tells whether these are right.
    """
    samples = [sample for sample, _ in drawn]
    unsaid = [
        [
            (cell, digit)
            for cell, digit in zip(grid.names, grid.flat(), strict=True)
            if cell not in {cell for cell, _ in find_readings(response.text)}
        ]
        for (_, grid), response in zip(drawn, responses, strict=True)
    ]
    return _claim(samples, unsaid, np.random.default_rng([seed, 32]))


def claim_cells(drawn: Sequence[tuple[Sample, Grid]], *, seed: int) -> list[Sample]:
    """Return the questions with four claims each, two right and two wrong, about any cells."""
    samples = [sample for sample, _ in drawn]
    cells = [list(zip(grid.names, grid.flat(), strict=True)) for _, grid in drawn]
    return _claim(samples, cells, np.random.default_rng([seed, 33]))


def _claim(
    samples: Sequence[Sample], shown: Sequence[Sequence[tuple[str, int]]], rng: np.random.Generator
) -> list[Sample]:
    claimed: list[Sample] = []
    for sample, cells in zip(samples, shown, strict=True):
        claims: list[Claim] = []
        for place in rng.permutation(len(cells))[:2]:
            cell, digit = cells[place]
            wrong = (digit + int(rng.integers(1, 10))) % 10
            claims += [Claim(f"The picture shows {cell}{said}.", said == digit) for said in (digit, wrong)]
        claimed.append(replace(sample, claims=tuple(claims)))
    return claimed
