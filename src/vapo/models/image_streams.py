"""What a pass over responses tells of each token and the image, beside its log-probability.

Two numbers for token t of a response, read from a pass that is made anyway::

    similarity_t = cos(h_t, mean_{j is an image token} h_j)
    attention_t  = mean over layers and heads of the share of attention on image tokens

h is the last layer's hidden state behind the final norm, that of token t its own (arXiv 2604.09349, S_t, and its
published code). The share is that of the query which predicts token t (`vapo.models.image_attention`; arXiv
2509.25848, Section A.4). Image tokens are those whose places image features take, of every image of the row; tokens
that open, close or part an image are text.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from vapo.errors import ConfigError, ModelError
from vapo.models.image_attention import (
    TokenPath,
    describe_foreign_attention,
    find_attention_obstacle,
    measuring_attention,
)
from vapo.models.image_features import find_feature_module


@dataclass(frozen=True, slots=True)
class AskedStreams:
    """What is measured.

    Attributes:
        similarity: whether similarities are.
        layers: numbers of the layers whose attention is averaged; None measures none.
        states: whether the states that predict the tokens are kept.
    """

    similarity: bool = False
    layers: tuple[int, ...] | None = None
    states: bool = False


@dataclass(frozen=True, slots=True)
class ImageStreams:
    """What was measured of each response, in the order of the passes and of their paths.

    Attributes:
        similarities: in [-1, 1], shape (T,); gradients flow where they are enabled. 0 without an image.
        attentions: in [0, 1], shape (T,); without gradient. 0 without an image.
        states: last hidden states of the tokens before, by which each is predicted; shape (T, hidden size), without
            gradient.
    """

    similarities: list[torch.Tensor] = field(default_factory=list[torch.Tensor])
    attentions: list[torch.Tensor] = field(default_factory=list[torch.Tensor])
    states: list[torch.Tensor] = field(default_factory=list[torch.Tensor])


def choose_layers(model: torch.nn.Module, layers: tuple[int, ...] | Literal["all"]) -> tuple[int, ...]:
    """Return the numbers of layers of the language model, from 0.

    Args:
        model: the model, wrapped or not.
        layers: "all", or numbers of which negative ones count from the last.

    Raises:
        ConfigError: there is no such layer.
        ModelError: the model's attention cannot be measured.
    """
    obstacle = find_attention_obstacle(model)
    if obstacle is not None:
        raise ModelError(obstacle)
    config = find_feature_module(model).get_decoder().config
    if config._attn_implementation == "flex_attention":
        raise ConfigError(
            "attn_implementation='flex_attention' does not say which tokens a layer attends to, so attention on the "
            "image cannot be measured; set attn_implementation='sdpa'"
        )
    count = config.num_hidden_layers
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * count
    attending = [n for n, kind in enumerate(kinds) if kind.endswith("attention") and kind != "linear_attention"]
    if layers == "all":
        return tuple(attending)
    chosen = {layer + count if layer < 0 else layer for layer in layers}
    if not chosen or not chosen <= set(attending):
        raise ConfigError(
            f"attention of the layers {layers!r} cannot be had: the language model attends in layers "
            f"{', '.join(map(str, attending))}; name some of these, or 'all'"
        )
    return tuple(sorted(chosen))


@contextmanager
def measuring_streams(
    model: torch.nn.Module, find_paths: Callable[[dict[str, Any]], Sequence[TokenPath]], asked: AskedStreams | None
) -> Generator[ImageStreams]:
    """Measure what is asked in every pass of a model inside the context.

    Args:
        model: the model, wrapped or not.
        find_paths: finds the responses in a pass's inputs.
        asked: None measures nothing, and costs nothing.

    Raises:
        ModelError: none of the layers has attention that could be measured.
    """
    streams = ImageStreams()
    if asked is None:
        yield streams
        return
    module = find_feature_module(model)
    paths: list[TokenPath] = []
    shares: dict[int, list[torch.Tensor]] = {}

    def begin(_module: Any, _args: Any, inputs: dict[str, Any]) -> None:
        paths[:] = find_paths(inputs)
        shares.clear()

    def end(_module: Any, _args: Any, output: Any) -> None:
        hidden = output.last_hidden_state
        if asked.states:
            streams.states.extend(_take_states(hidden[path.row], path) for path in paths)
        if asked.similarity:
            streams.similarities.extend(compare_with_image(hidden[path.row], path) for path in paths)
        if asked.layers is not None and paths:
            if len(shares) < len(asked.layers):
                raise ModelError(describe_foreign_attention(module))
            streams.attentions.extend(torch.stack(own).mean(0) for own in zip(*shares.values(), strict=True))
        paths.clear()

    def take(layer: int, found: list[torch.Tensor]) -> None:
        shares[layer] = [share.mean(0) for share in found]

    with ExitStack() as stack:
        for handle in (
            module.register_forward_pre_hook(begin, with_kwargs=True),
            module.register_forward_hook(end),
        ):
            stack.callback(handle.remove)
        if asked.layers is not None:
            stack.enter_context(measuring_attention(model, paths, take, asked.layers))
        yield streams


def _take_states(hidden: torch.Tensor, path: TokenPath) -> torch.Tensor:
    before = path.places[len(path.places) - path.num_response - 1 : -1]
    return hidden.detach()[before.to(hidden.device)]


def compare_with_image(hidden: torch.Tensor, path: TokenPath) -> torch.Tensor:
    """Return how similar the state of each token of a response is to the mean state of the image's tokens.

    Args:
        hidden: states of all tokens of the row, shape (tokens of the row, hidden size).
        path: the response.

    Returns:
        Cosines, float32, shape (T,).

    Source: arXiv 2604.09349 (S_t).
    """
    places = path.places.to(hidden.device)
    response = hidden[places[len(places) - path.num_response :]].float()
    if not path.is_image.any():
        return response.new_zeros(len(response))
    image = hidden[places[path.is_image.to(hidden.device)]].float().mean(0)
    return torch.nn.functional.cosine_similarity(response, image[None], dim=-1)
