"""What lessons hold: first what cells show, then whether claims are right, kind after kind, then how to reason.

Probes hang at any boundary of a response, all alike, and one in six straight after the question. Where nothing that
could settle a claim is within the text layers' reach, the model can only learn that it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vapo.core.boundaries import find_boundaries
from vapo.lab.claims import CLAIM_KINDS, make_claims, write_claims
from vapo.lab.questions import KINDS, ask, ask_claim
from vapo.lab.world import CELL, GRIDS, Grid, draw_scene, paint
from vapo.models.questions import PROBE_TEMPLATE

from .lessons import JUDGING, SAYING, TELLING, Branch, Lesson
from .model import LabTokenizer
from .responses import (
    CHECKS,
    LOOKS_THAT_LAST,
    list_cells,
    write_exercise,
    write_judgement,
    write_notes,
    write_response,
)


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a lesson holds.

    Counted per image: `responses`, `readings` of a single cell, `dictations` of all cells and lines, `judgements` of
    claims put as questions, `recalls` of notes when the image is out of reach, and
    `writings` of two claims in the form in which models are asked for them. `probes` is how many claims are put to
    each response, reading and recall; a kind named twice in `claims` comes twice as often. `kinds` are those of the
    questions that are responded to. `guesses` is the share of
    responses that guess, `looks[n]` how many responses look n times. The digits that are read, and the words of the
    work behind its first, which says whether an answer is guessed, count `stress` times as much as others.
    """

    responses: int = 1
    dictations: int = 0
    readings: int = 1
    judgements: int = 0
    recalls: int = 0
    writings: int = 0
    probes: int = 6
    claims: tuple[str, ...] = CLAIM_KINDS
    kinds: tuple[str, ...] = KINDS
    guesses: float = 0.4
    looks: tuple[float, ...] = (3, 1, 1, 1)
    stress: float = 1.0


class Teacher:
    """Writes lessons in the tokens of one tokenizer.

    Args:
        tokenizer: the lab's tokenizer.
        canvas: side of the images in pixels.
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
        """Write one lesson about a newly drawn image of the training digits."""
        rows, columns = self.grids[rng.integers(len(self.grids))]
        scene = draw_scene(rng, rows, columns, "practice")
        grid = scene.grid
        branches = [Branch(self._trunk, None, 0)]
        for _ in range(mixture.dictations):
            question = ask(rng, grid, "list")
            self._add_response(branches, question.text, write_exercise(question), read_only=True)
        grown: list[tuple[int | None, int, list[int]]] = []
        for _ in range(mixture.readings):
            question = ask(rng, grid, "glance")
            grown.append(self._add_response(branches, question.text, write_exercise(question)))
        for _ in range(mixture.responses):
            question = ask(rng, grid, str(rng.choice(mixture.kinds)))
            chances = np.asarray(mixture.looks) / sum(mixture.looks)
            looks = int(rng.choice(CHECKS + 1, p=chances))
            guess = bool(rng.random() < mixture.guesses)
            response = write_response(rng, grid, question, guess=guess, looks=looks)
            stressed = _stress(response, "" if guess else question.work, blind=looks < LOOKS_THAT_LAST)
            grown.append(self._add_response(branches, question.text, response, stressed, mixture.stress))
        grown += [self._add_notes(rng, branches, grid) for _ in range(mixture.recalls)]
        if mixture.probes:
            number = mixture.probes * len(grown)
            claims = iter(make_claims(rng, grid, number=number + number % 2, kinds=mixture.claims))
            for asked, response, boundaries in grown:
                places = [(response, kept) for kept in boundaries]
                if asked is not None:
                    places += [(asked, len(branches[asked].ids))] * (1 + len(boundaries) // 5)
                for _ in range(mixture.probes):
                    claim = next(claims)
                    parent, kept = places[rng.integers(len(places))]
                    self._add_probe(branches, parent, kept, claim.text, claim.is_true)
        for _ in range(mixture.judgements):
            question, answer = ask_claim(make_claims(rng, grid, number=2)[0])
            self._add_response(branches, question, write_judgement(rng, grid, answer))
        for _ in range(mixture.writings):
            self._add_writing(branches, write_claims(make_claims(rng, grid, number=2)))
        return Lesson(paint(scene, self.canvas), branches)

    def _add_response(
        self,
        branches: list[Branch],
        question: str,
        text: str,
        stressed: Set[int] = frozenset(),
        stress: float = 1.0,
        *,
        read_only: bool = False,
    ) -> tuple[int, int, list[int]]:
        """Grow a question and its completion, of which every word is to be learned, or only the digits it reads;
        words that end at the places `stressed` count `stress` times as much."""
        asked, _ = self._encode(question + "<|im_end|>\n<|im_start|>assistant\n")
        branches.append(Branch(list(asked), 0, len(self._trunk)))
        ids, ends = self._encode(text + "<|im_end|>")
        targets = [(index, SAYING, stress if end in stressed else 1.0) for index, end in enumerate(ends)]
        if read_only:
            thought = text.index("</think>")
            targets = [
                target for target in targets if ends[target[0]] <= thought and text[ends[target[0]] - 1].isdigit()
            ]
        branches.append(Branch(list(ids), len(branches) - 1, len(asked), targets))
        pieces = [text[start:end] for start, end in zip((0, *ends), ends[:-1], strict=False)]
        return len(branches) - 2, len(branches) - 1, list(find_boundaries(pieces))

    def _add_notes(self, rng: np.random.Generator, branches: list[Branch], grid: Grid) -> tuple[None, int, list[int]]:
        """Grow notes and a look at them as a response holds them, with the image out of reach; claims hang behind."""
        notes, _ = self._encode(f" {write_notes(rng, grid)}")
        text = f" Again {list_cells(rng, grid)}, so"
        look, ends = self._encode(text)
        read = [(len(notes) + index, SAYING, 1.0) for index, end in enumerate(ends) if text[end - 1].isdigit()]
        branches.append(Branch([*notes, *look], 0, len(self._trunk), read, out_of_reach=True))
        return None, len(branches) - 1, [len(notes), len(notes) + len(look)]

    def _add_writing(self, branches: list[Branch], text: str) -> None:
        """Grow claims straight behind the image: an instruction stands before it, out of the text layers' reach."""
        asked, _ = self._encode("<|im_end|>\n<|im_start|>assistant\n")
        branches.append(Branch(list(asked), 0, len(self._trunk)))
        ids, _ = self._encode(text + "<|im_end|>")
        targets = [(index, SAYING, 1.0) for index in range(len(ids))]
        branches.append(Branch(list(ids), len(branches) - 1, len(asked), targets))

    def _add_probe(self, branches: list[Branch], parent: int, kept: int, claim: str, is_true: bool) -> None:
        ids, ends = self._encode(PROBE_TEMPLATE.format(claim=claim))
        branch = Branch([*ids, self._yes if is_true else self._no], parent, kept, [(len(ids), JUDGING, 1.0)])
        if is_true:
            first = PROBE_TEMPLATE.index("{claim}")
            last = first + len(claim)
            branch.targets += [(index, TELLING, 1.0) for index, end in enumerate(ends) if first < end <= last]
        branches.append(branch)


def _stress(response: str, work: str, *, blind: bool) -> set[int]:
    """Return the places behind what deserves weight: digits that are read, but for the last sentence's if that is
    blind, and the work behind its first word."""
    seen = response.rpartition("There ")[0] if blind and "There " in response else response
    places = {reading.end() for reading in re.finditer(r"[A-F][U-Z]\d", seen)}
    if work:
        first, beginning = response.index(work), work.partition(" ")[0]
        places |= set(range(first + len(beginning) + 1, first + len(work) + 1))
    return places
