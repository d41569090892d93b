"""The packed prober: all probes of a group in one forward pass, the response and the image encoded once.

Where the reference prober runs one row per probe, this one hangs the questions on the rollout tree. Same token ids,
same verdicts, a fraction of the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from vapo.core.packs import Part, pack_trees
from vapo.errors import ModelError
from vapo.models.image_features import ImageFeatures
from vapo.models.images import ImageInputs, process_images
from vapo.models.policy.inference import inference
from vapo.models.tree.growth import Branch, grow_trees
from vapo.models.tree.packed import Question, TokenTree, make_pack, reading_tree
from vapo.models.tree.packing_obstacles import find_packing_obstacle
from vapo.probing.batched_prober import BatchedProber
from vapo.types import Probe, Rollout, Verdict


class PackedProber(BatchedProber):
    """Score probes on rollout trees; one that is larger than a pass may be is taken apart between its branches.

    Takes what `BatchedProber` takes.

    Raises:
        ModelError: the model or tokenizer cannot be probed, or the model cannot be packed exactly.
    """

    def __init__(self, model: torch.nn.Module, processor: Any, **options: Any) -> None:
        obstacle = find_packing_obstacle(model)
        if obstacle is not None:
            raise ModelError(f"{obstacle}, so it cannot be packed; use packing='off'")
        super().__init__(model, processor, **options)

    def score(self, probes: Sequence[Probe], keep_in_step_with: Rollout | None = None) -> list[Verdict]:
        """Return one verdict per probe, in order; see `BatchedProber.score`."""
        trees, places = self._grow(probes)
        packs = pack_trees([tree.shape for tree in trees], self._max_batch_tokens, one_tree=self._collective)
        if self._agree_on_batches is not None:
            if keep_in_step_with is None:
                raise ValueError("keep_in_step_with is required where ranks must agree on the number of batches")
            images = process_images(self._processor, keep_in_step_with.sample.images)
            idle = TokenTree(keep_in_step_with.prompt_ids, images)
            trees.append(idle)
            places.append([])
            idle_pack = [Part(len(trees) - 1, (), (), idle.shape)]
            packs += [idle_pack] * self._count_idle(len(packs))
        cache: dict[int, ImageFeatures] | None = None if self._collective else {}
        p_true = [0.5] * len(probes)
        with inference(self._model), self._autocast():
            for parts in packs:
                numbers = [places[part.tree][twig] for part in parts for twig in part.twigs]
                for number, p in zip(numbers, self._score_pack(trees, parts, cache), strict=True):
                    p_true[number] = p
        return [Verdict(probe, p) for probe, p in zip(probes, p_true, strict=True)]

    def _grow(self, probes: Sequence[Probe]) -> tuple[list[TokenTree], list[list[int]]]:
        """Return one tree per prompt, and for each its questions' places among the probes."""
        images: dict[int, ImageInputs | None] = {}
        asked: dict[tuple[int, tuple[int, ...], tuple[int, ...]], list[int]] = {}
        for number, probe in enumerate(probes):
            own = probe.rollout
            if id(own.sample) not in images:
                shown = own.sample.images
                images[id(own.sample)] = process_images(self._processor, shown) if shown else None
            asked.setdefault((id(own.sample), own.prompt_ids, own.completion_ids), []).append(number)
        branches = [
            Branch(
                prompt_ids,
                images[sample],
                response[: max(probes[n].anchor.index for n in numbers)],  # as far as anybody looks back
                [Question(0, probes[n].anchor.index, self._questions.encode(probes[n].claim.text)) for n in numbers],
            )
            for (sample, prompt_ids, response), numbers in asked.items()
        ]
        trees, members = grow_trees(branches)
        of_branch = list(asked.values())
        return trees, [[place for branch in own for place in of_branch[branch]] for own in members]

    def _score_pack(
        self, trees: Sequence[TokenTree], parts: Sequence[Part], cache: dict[int, ImageFeatures] | None
    ) -> list[float]:
        pack = make_pack(
            self._model,
            [trees[part.tree].part(part) for part in parts],
            [part.tree for part in parts],
            self._token_type_name,
        )
        rows = pack.answer_rows if len(pack.answer_rows) else torch.zeros(1, dtype=torch.long)
        with reading_tree(self._model, pack, rows, cache):
            logits = self._model(**pack.inputs).logits[0]
        return self._questions.answer_tokens.p_true(logits)[: len(pack.answer_rows)]
