"""What lessons hold: first what cells show, then whether claims are right, kind after kind, then how to reason.

How probes are placed is part of the world. Two in five hang at depth 0, straight after the question. The others
hang at the i-th boundary of the chain with a probability that falls as exp(-i / 2), so that late boundaries are
hardly ever seen: a model that comes out of the cold start knows how to be asked early in a chain, and may forget
the picture along it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vapo.core.boundaries import find_boundaries
from vapo.models.questions import PROBE_TEMPLATE

from .claims import CLAIM_KINDS, make_claims
from .lessons import JUDGING, SAYING, TELLING, Branch, Lesson
from .model import LabTokenizer
from .questions import KINDS, ask
from .world import CELL, GRIDS, Grid, draw_scene, paint


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a lesson holds.

    `careful` and `hasty` chains, `readings` of a single cell, `dictations` of all cells and lines and `additions` of
    bare numbers are counted per picture; `probes` is how many claims are put to each chain and each reading; a kind
    named twice in `claims` comes twice as often.
    """

    careful: int = 1
    hasty: int = 1
    dictations: int = 0
    additions: int = 0
    readings: int = 1
    probes: int = 4
    claims: tuple[str, ...] = CLAIM_KINDS


class Teacher:
    """Writes lessons in the tokens of one tokenizer.

    Args:
        tokenizer: the lab's tokenizer.
        canvas: side of the pictures in pixels.
        grids: (rows, columns) pairs to draw from in equal parts.
    """

    def __init__(self, tokenizer: LabTokenizer, *, canvas: int, grids: tuple[tuple[int, int], ...] = GRIDS) -> None:
        self.canvas = canvas
        self.grids = grids
        image_tokens = (canvas // CELL) ** 2
        backend = tokenizer.backend_tokenizer
        self.pad_id = tokenizer.pad_token_id
        self.end_id = tokenizer.eos_token_id

        @lru_cache(maxsize=100_000)
        def encode(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
            encoding = backend.encode(text, add_special_tokens=False)
            return tuple(encoding.ids), tuple(end for _, end in encoding.offsets)

        self._encode = encode
        self._trunk = list(
            encode("<|im_start|>user\n<|vision_start|>" + "<|image_pad|>" * image_tokens + "<|vision_end|>")[0]
        )
        self._yes, self._no = encode(" yes")[0][0], encode(" no")[0][0]

    def write_lesson(self, rng: np.random.Generator, mixture: Mixture) -> Lesson:
        """Write one lesson about a newly drawn picture of the training digits."""
        rows, columns = self.grids[rng.integers(len(self.grids))]
        scene = draw_scene(rng, rows, columns, "practice")
        branches = [Branch(self._trunk, None, 0)]
        for kind in ["list"] * mixture.dictations + ["add"] * mixture.additions:
            self._add_chain(rng, branches, scene.grid, kind, careful=True)
        exercises = [("read", True)] * mixture.readings
        exercises += [(str(rng.choice(KINDS)), True) for _ in range(mixture.careful)]
        exercises += [(str(rng.choice(KINDS)), False) for _ in range(mixture.hasty)]
        grown = [self._add_chain(rng, branches, scene.grid, kind, careful=careful) for kind, careful in exercises]
        if mixture.probes:
            number = mixture.probes * len(grown)
            claims = iter(make_claims(rng, scene.grid, number=number + number % 2, kinds=mixture.claims))
            for question, chain, boundaries in grown:
                for _ in range(mixture.probes):
                    claim = next(claims)
                    place = draw_boundary(rng, len(boundaries))
                    parent, kept = (
                        (question, len(branches[question].ids)) if place == 0 else (chain, boundaries[place - 1])
                    )
                    self._add_probe(branches, parent, kept, claim.text, claim.is_true)
        return Lesson(paint(scene, self.canvas), branches)

    def _add_chain(
        self, rng: np.random.Generator, branches: list[Branch], grid: Grid, kind: str, *, careful: bool
    ) -> tuple[int, int, list[int]]:
        question = ask(rng, grid, kind)
        asked, _ = self._encode(question.text + "<|im_end|>\n<|im_start|>assistant\n")
        branches.append(Branch(list(asked), 0, len(self._trunk)))
        text = question.careful() if careful else question.hasty(rng)
        ids, ends = self._encode(text + "<|im_end|>")
        targets = [(index, SAYING, 1.0) for index in range(len(ids))]
        if kind == "list":
            read = [target for target in targets[:-1] if text[ends[target[0]] - 1].isdigit()]
            targets = read[: -len(question.answer)]
        branches.append(Branch(list(ids), len(branches) - 1, len(asked), targets))
        pieces = [text[start:end] for start, end in zip((0, *ends), ends[:-1], strict=False)]
        return len(branches) - 2, len(branches) - 1, list(find_boundaries(pieces))

    def _add_probe(self, branches: list[Branch], parent: int, kept: int, claim: str, is_true: bool) -> None:
        ids, ends = self._encode(PROBE_TEMPLATE.format(claim=claim))
        branch = Branch([*ids, self._yes if is_true else self._no], parent, kept, [(len(ids), JUDGING, 1.0)])
        if is_true:
            first = PROBE_TEMPLATE.index("{claim}")
            last = first + len(claim)
            branch.targets += [(index, TELLING, 1.0) for index, end in enumerate(ends) if first < end <= last]
        branches.append(branch)


def draw_boundary(rng: np.random.Generator, boundaries: int) -> int:
    """Draw where a probe hangs: 0 for straight after the question (2 in 5), else the i-th boundary, early mostly."""
    if boundaries == 0 or rng.random() < 0.4:
        return 0
    weights = np.exp(-np.arange(boundaries) / 2)
    return int(rng.choice(boundaries, p=weights / weights.sum())) + 1
