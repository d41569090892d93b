"""One forward pass over rollout trees: every prompt, image, completion and question encoded once.

A `TokenTree` holds the tokens, `core/tree.py` says how they lie in one row, `tree_attention` makes the model read the
row as a tree, and only the outputs that somebody asked for reach the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vapo.core.packs import Part
from vapo.core.tree import Layout, Tree, Twig, lay_out
from vapo.models.first_device import find_first_device
from vapo.models.image_attention import TokenPath
from vapo.models.image_features import ImageFeatures, find_feature_module, shared_image_features
from vapo.models.images import ImageInputs
from vapo.models.positions import tree_positions, trunk_positions
from vapo.models.tree.attention import tree_attention
from vapo.models.vision_tokens import find_image_token_id, token_types


@dataclass(frozen=True, slots=True)
class Question:
    """Token ids put behind the first `anchor` tokens of a completion."""

    completion: int
    anchor: int
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TokenTree:
    """A prompt with its images, completions sampled from it, and questions hung on them.

    Raises:
        ValueError: a question is empty or hangs beyond its completion, or the prompt is empty.
    """

    prompt_ids: tuple[int, ...]
    images: ImageInputs | None
    completions: tuple[tuple[int, ...], ...] = ()
    questions: tuple[Question, ...] = ()

    @property
    def shape(self) -> Tree:
        """Its lengths."""
        return Tree(
            len(self.prompt_ids),
            tuple(map(len, self.completions)),
            tuple(Twig(q.completion, q.anchor, len(q.ids)) for q in self.questions),
        )

    def part(self, part: Part) -> TokenTree:
        """Return the completions and questions that `part` names, on the same prompt."""
        place = {number: new for new, number in enumerate(part.branches)}
        chosen = [self.questions[number] for number in part.twigs]
        return TokenTree(
            self.prompt_ids,
            self.images,
            tuple(self.completions[number] for number in part.branches),
            tuple(Question(place[q.completion], q.anchor, q.ids) for q in chosen),
        )


@dataclass(frozen=True, slots=True)
class Pack:
    """Trees in one row, as a model takes them.

    Attributes:
        trees: what lies in the row.
        layout: where.
        inputs: arguments of the model's forward pass; token tensors have shape (1, N).
        prompts: for each tree with images, the number under which its image features are kept.
        images: the images by that number.
    """

    trees: tuple[TokenTree, ...]
    layout: Layout
    inputs: dict[str, Any]
    prompts: tuple[int, ...]
    images: dict[int, ImageInputs]

    @property
    def answer_rows(self) -> torch.Tensor:
        """Rows whose outputs answer the questions, tree by tree; shape (num_questions,)."""
        return _rows([self.layout.answer_rows(tree) for tree in range(len(self.trees))])

    @property
    def prediction_rows(self) -> torch.Tensor:
        """Rows whose outputs predict the completions' tokens, tree by tree; shape (num_completion_tokens,)."""
        return _rows(
            [
                self.layout.prediction_rows(tree, branch)
                for tree in range(len(self.trees))
                for branch in range(len(self.trees[tree].completions))
            ]
        )

    def find_paths(self, image_token_id: int) -> list[TokenPath]:
        """Return where each completion and its prompt lie in the row, tree by tree."""
        is_image = self.inputs["input_ids"][0].cpu() == image_token_id
        paths: list[TokenPath] = []
        for trunk, branches in zip(self.layout.trunks, self.layout.branches, strict=True):
            for branch in branches:
                places = torch.tensor([*trunk, *branch])
                paths.append(TokenPath(0, places, is_image[places], len(branch)))
        return paths

    @property
    def completion_ids(self) -> torch.Tensor:
        """The tokens that `prediction_rows` predict; shape (num_completion_tokens,)."""
        return torch.tensor([i for tree in self.trees for completion in tree.completions for i in completion])


def make_pack(
    model: torch.nn.Module,
    trees: Sequence[TokenTree],
    prompts: Sequence[int],
    token_type_name: str | None,
) -> Pack:
    """Lay trees into one row and make the model's inputs.

    Args:
        model: the policy, wrapped or not.
        trees: at least one.
        prompts: one number per tree; trees with the same number show the same images.
        token_type_name: the input by which the family is told which tokens are image tokens, if there is one.
    """
    module = find_feature_module(model)
    device = find_first_device(module)
    layout = lay_out([tree.shape for tree in trees])
    image_token_id = find_image_token_id(module.config)
    ids: list[int] = [0] * layout.num_tokens
    positions: list[torch.Tensor] = []
    depth = torch.from_numpy(layout.depth).to(device)
    start = 0
    for number, tree in enumerate(trees):
        segments = [(layout.trunks[number], tree.prompt_ids)]
        segments += zip(layout.branches[number], tree.completions, strict=True)
        segments += zip(layout.twigs[number], (q.ids for q in tree.questions), strict=True)
        for rows, tokens in segments:
            ids[rows.start : rows.stop] = tokens
        prompt = torch.tensor(tree.prompt_ids, device=device)
        trunk = trunk_positions(module, prompt, (prompt == image_token_id).long(), tree.images)
        stop = start + tree.shape.num_tokens
        positions.append(tree_positions(trunk, depth[start:stop]))
        start = stop
    input_ids = torch.tensor([ids], device=device)
    position_ids = torch.cat(positions, dim=1)
    inputs: dict[str, Any] = {
        "input_ids": input_ids,
        # All ones: without it transformers guesses from positions that sequences lie side by side.
        "attention_mask": torch.ones_like(input_ids),
        "position_ids": position_ids if len(position_ids) == 1 else position_ids[:, None],
        "use_cache": False,
    }
    if token_type_name is not None:
        inputs[token_type_name] = torch.tensor([token_types(ids, image_token_id)], device=device)
    images = {n: tree.images.to(device) for n, tree in zip(prompts, trees, strict=True) if tree.images is not None}
    shown = tuple(n for n in prompts if n in images)
    if shown:
        inputs |= images[shown[0]].tensors
    return Pack(tuple(trees), layout, inputs, shown, images)


@contextmanager
def reading_tree(
    model: torch.nn.Module,
    pack: Pack,
    rows: torch.Tensor,
    cache: dict[int, ImageFeatures] | None,
    also: Callable[[torch.Tensor], None] | None = None,
) -> Generator[None]:
    """Make the next call of `model` on `pack.inputs` read the row as trees and keep the outputs of `rows` alone.

    Args:
        model: the policy, wrapped or not.
        pack: what it will be called on.
        rows: whose outputs go on to the vocabulary, in the order wanted; may repeat.
        cache: image features by prompt number, see `shared_image_features`.
        also: is given the outputs of all rows, shape (N, hidden size), before they are picked; it runs inside the
            model's forward pass.
    """
    module = find_feature_module(model)

    def keep(_module: Any, _args: Any, output: Any) -> Any:
        hidden = output.last_hidden_state
        if also is not None:
            also(hidden[0])
        output.last_hidden_state = hidden[:, rows.to(hidden.device)]
        return output

    with ExitStack() as stack:
        stack.enter_context(tree_attention(model, pack.layout))
        if pack.prompts:
            stack.enter_context(shared_image_features(module, pack.prompts, pack.images, cache))
        handle = module.register_forward_hook(keep)
        stack.callback(handle.remove)
        yield


def _rows(arrays: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([np.zeros(0, dtype=np.int64), *arrays]))
