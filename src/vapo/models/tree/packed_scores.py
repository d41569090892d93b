"""What a group needs from one packed pass: its completions' log-probabilities, and the verdicts on its probes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedModel

from vapo.core.packs import Part, pack_trees
from vapo.models.image_features import ImageFeatures, find_feature_module
from vapo.models.image_streams import AskedStreams, ImageStreams, measuring_streams
from vapo.models.questions import AnswerTokens
from vapo.models.tree.packed import Pack, TokenTree, make_pack, reading_tree
from vapo.models.vision_tokens import find_image_token_id

IGNORED = -100  # a label that the output layer leaves out


@dataclass(frozen=True, slots=True)
class TreeScores:
    """Scores of one tree.

    Attributes:
        log_probs: log-probabilities of each completion's tokens; shapes (completion length,).
        entropies: of the distributions they were drawn from, in nats, likewise; empty if the model gives none.
        p_true: P(yes) / (P(yes) + P(no)) for each question.
        image: the completions' similarity to the image, attention on it and states, as far as it was asked.
    """

    log_probs: list[torch.Tensor]
    entropies: list[torch.Tensor]
    p_true: list[float]
    image: ImageStreams = field(default_factory=ImageStreams)


def score_trees(
    model: torch.nn.Module,
    trees: Sequence[TokenTree],
    *,
    token_type_name: str | None,
    max_tokens: int | None = None,
    answer_tokens: AnswerTokens | None = None,
    agree_on_passes: Callable[[int], int] | None = None,
    collective: bool = False,
    streams: AskedStreams | None = None,
) -> list[TreeScores]:
    """Score every completion and answer every question, each token encoded once.

    Gradients flow where they are enabled. The output layer is TRL's, which works in chunks and never makes logits of
    all tokens: `model` must have gone through TRL's GRPOTrainer, or through its `add_fused_lm_head`.

    Args:
        model: the policy, wrapped or not.
        trees: at least one.
        token_type_name: see `make_pack`.
        max_tokens: tokens in one pass; None puts all trees into one.
        answer_tokens: needed where trees hold questions.
        agree_on_passes: given this process's number of passes, returns how many every process must run.
        collective: as for `PackedProber`.
        streams: what to measure of completions and the image.
    """
    shapes = [tree.shape for tree in trees]
    budget = max_tokens if max_tokens is not None else sum(shape.num_tokens for shape in shapes)
    packs = pack_trees(shapes, budget, one_tree=collective)
    idle = 0
    if agree_on_passes is not None:
        idle = agree_on_passes(len(packs)) - len(packs)
    cache: dict[int, ImageFeatures] | None = None if collective else {}
    scores = [TreeScores([], [], [0.5] * len(tree.questions)) for tree in trees]
    for parts in packs:
        chosen = [trees[part.tree].part(part) for part in parts]
        pack = make_pack(model, chosen, [part.tree for part in parts], token_type_name)
        output, p_true, image = _run(model, pack, cache, answer_tokens, streams)
        _sort_in(scores, parts, pack, output, p_true, image)
    for _ in range(idle):
        pack = make_pack(model, [TokenTree(trees[0].prompt_ids, trees[0].images)], [0], token_type_name)
        output, _, _ = _run(model, pack, cache, None)
        if torch.is_grad_enabled():  # the backward pass is a collective call as well
            scores[0].log_probs[0] = scores[0].log_probs[0] + 0.0 * output.log_probs.sum()
    return scores


def _run(
    model: Any,
    pack: Pack,
    cache: dict[int, ImageFeatures] | None,
    answer_tokens: AnswerTokens | None,
    streams: AskedStreams | None = None,
) -> tuple[Any, list[float], ImageStreams]:
    rows, labels = pack.prediction_rows, pack.completion_ids
    if not len(rows):
        rows, labels = torch.zeros(1, dtype=torch.long), torch.full((1,), IGNORED)
    answers: list[torch.Tensor] = []

    def answer(hidden: torch.Tensor) -> None:
        with torch.no_grad():
            answers.append(_find_output_layer(model)(hidden[pack.answer_rows.to(hidden.device)]))

    asks = len(pack.answer_rows) > 0
    image_token_id = find_image_token_id(find_feature_module(model).config)
    with (
        # Before outputs are picked: hooks run in the order in which they are set.
        measuring_streams(model, lambda _: pack.find_paths(image_token_id), streams) as image,
        reading_tree(model, pack, rows, cache, also=answer if asks else None),
    ):
        shift_labels = labels[None].to(pack.inputs["input_ids"].device)
        output = model(**pack.inputs, shift_labels=shift_labels, fused_lm_head=True)
    if not asks:
        return output, [], image
    assert answer_tokens is not None
    return output, answer_tokens.p_true(answers[0]), image


def _sort_in(
    scores: list[TreeScores],
    parts: Sequence[Part],
    pack: Pack,
    output: Any,
    p_true: Sequence[float],
    image: ImageStreams,
) -> None:
    lengths = [len(completion) for tree in pack.trees for completion in tree.completions]
    log_probs = iter(output.log_probs[0][: sum(lengths)].split(lengths) if lengths else ())
    entropy = output.entropy
    entropies = iter(entropy[0][: sum(lengths)].split(lengths) if lengths and entropy is not None else ())
    similarities, attentions, states = iter(image.similarities), iter(image.attentions), iter(image.states)
    answers = iter(p_true)
    for part in parts:
        own = scores[part.tree]
        for branch in part.branches:
            new = branch >= len(own.log_probs)  # a completion whose questions were split comes again
            for kept, values in (
                (own.log_probs, log_probs),
                (own.entropies, entropies),
                (own.image.similarities, similarities),
                (own.image.attentions, attentions),
                (own.image.states, states),
            ):
                value = next(values, None)
                if new and value is not None:
                    kept.append(value)
        for twig in part.twigs:
            own.p_true[twig] = next(answers)


def _find_output_layer(model: torch.nn.Module) -> torch.nn.Module:
    layers: list[Any] = [m.get_output_embeddings() for m in model.modules() if isinstance(m, PreTrainedModel)]
    return next(layer for layer in layers if layer is not None)
