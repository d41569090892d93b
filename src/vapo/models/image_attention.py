r"""The visual attention ratio: how much of a model's attention goes to its image while it writes.

Let a response's token t be predicted at position q of the finished row (prompt and response). Over the keys j that q
sees in a layer, with scores s_j of one head::

    a_t = sum_{j is an image token} softmax(s)_j = exp(l_image - l_all),    l_K = log sum_{j in K} exp(s_j)

a number in [0, 1] (arXiv 2509.25848, Section A.4). Keys outside of a layer's sliding window, ahead, or of padding are
not seen and count in neither sum. Averaged over layers and heads it is the curve of the paper's Figure 3A.

The attention counted for a token is that of the query which predicts it: the last position of the prompt for the first
token, the position of token t - 1 for token t. It is the attention that chose the token, and it is row
`len(prompt) - 1 + t` of what `output_attentions=True` returns for the whole row in one pass.

A sink (gpt-oss) is one more score in the sum over all keys, and counts as none of them.

Layers go on with the attention function that the model has, to the bit. Beside it, scores of the response's queries
are made again, a few queries at a time and in float32 whatever the model's dtype, without gradient, and only their
log-sum-exp is kept: of the image's keys, and of all keys where the kernel does not tell it. No matrix of all tokens by
all tokens is ever made of scores or weights.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers.integrations.sdpa_attention import repeat_kv
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from vapo.errors import ModelError
from vapo.models.image_features import find_feature_module
from vapo.models.key_shares import measure_share
from vapo.models.replaced_method import replaced_method

_INTERFACE = "ALL_ATTENTION_FUNCTIONS"  # as the code of a family imports it

FLASH_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


@dataclass(frozen=True, slots=True)
class TokenPath:
    """A prompt and the response behind it, as they lie in one row of a pass.

    Attributes:
        row: number of the row in the batch.
        places: of the N tokens in the row, in reading order, without padding; shape (N,), on the CPU.
        is_image: whether each of them is an image token; shape (N,), on the CPU.
        num_response: T, how many of them, at the end, are the response.
    """

    row: int
    places: torch.Tensor
    is_image: torch.Tensor
    num_response: int

    @property
    def predicting(self) -> range:
        """Which of the N tokens predict the response's."""
        last = len(self.places) - 1
        return range(last - self.num_response, last)


class PathMask:
    """A mask by which every token sees all tokens before it on its path, or those less than `window` back."""

    window: int | None = None


def find_attention_obstacle(model: torch.nn.Module) -> str | None:
    """Return why a model's attention on images cannot be measured, or None if nothing is known against it."""
    decoder = find_feature_module(model).get_decoder()
    if not uses_attention_interface(decoder):
        return describe_foreign_attention(decoder)
    if getattr(decoder.config, "attn_logit_softcapping", None):
        return (
            f"{type(decoder).__name__} caps its attention scores, so its attention cannot be measured; use another "
            "model"
        )
    return None


def uses_attention_interface(decoder: torch.nn.Module) -> bool:
    """Return whether any layer takes its attention from transformers' AttentionInterface.

    A family's own word for it would not do: Qwen3.5 says no, because some of its layers have no attention.
    """
    return any(hasattr(sys.modules[type(module).__module__], _INTERFACE) for module in decoder.modules())


def describe_foreign_attention(module: torch.nn.Module) -> str:
    """Return why attention that a module computes by itself cannot be measured."""
    return (
        f"{type(module).__name__} does not take its attention from transformers' AttentionInterface, so its attention "
        "cannot be measured; use a model class of transformers itself"
    )


@contextmanager
def measuring_attention(
    model: torch.nn.Module,
    paths: Sequence[TokenPath],
    take: Callable[[int, list[torch.Tensor]], None],
    layers: Collection[int] | None = None,
    measure: Callable[..., torch.Tensor] = measure_share,
) -> Generator[None]:
    """Measure the share of images in the attention of responses while the model reads them.

    Args:
        model: the model, wrapped or not.
        paths: the responses in the pass that comes; looked at again in every layer.
        take: is given a layer's number and, for each path, the shares, float32, shape (heads, T).
        layers: numbers of the layers to measure; None for all.
        measure: what is taken; a function of `vapo.models.key_shares`.

    Raises:
        ModelError: a layer does what no mask says, or looks at something else than the row of tokens.
    """
    own = set(find_feature_module(model).get_decoder().modules())
    interface: Any = ALL_ATTENTION_FUNCTIONS
    choose: Callable[..., Callable[..., Any]] = interface.get_interface

    def get_interface(name: str, default: Callable[..., Any]) -> Callable[..., Any]:
        attend = choose(name, default)

        def attend_and_measure(
            module: Any,
            query: torch.Tensor,
            key: torch.Tensor,
            value: torch.Tensor,
            attention_mask: Any,
            **options: Any,
        ) -> Any:
            if module not in own or not paths or (layers is not None and module.layer_idx not in layers):
                return attend(module, query, key, value, attention_mask=attention_mask, **options)
            _check_layer(module, query, key, attention_mask, options)
            output, lse = _attend(attend, module, query, key, value, attention_mask, options)
            with torch.no_grad(), torch.autocast(query.device.type, enabled=False):
                seen = [_measure(path, query, key, attention_mask, options, lse, measure) for path in paths]
                take(module.layer_idx, seen)
            return output

        return attend_and_measure

    with replaced_method(interface, "get_interface", get_interface):
        yield


def _check_layer(module: Any, query: torch.Tensor, key: torch.Tensor, mask: Any, options: dict[str, Any]) -> None:
    name = type(module).__name__
    if options.get("softcap") is not None:
        raise ModelError(f"{name} caps its scores, so its attention cannot be measured")
    if key.shape[2] != query.shape[2]:
        raise ModelError(
            f"{name} looks at {key.shape[2]} states where there are {query.shape[2]} tokens; models that see images "
            "through cross-attention have no image tokens whose share could be measured"
        )
    if mask is not None and not isinstance(mask, (PathMask, torch.Tensor)):
        raise ModelError(
            f"{name} gets a {type(mask).__name__}, which does not say what a token sees, so its attention cannot be "
            "measured; set attn_implementation='sdpa'"
        )
    causal = options.get("is_causal")
    if mask is None and not (getattr(module, "is_causal", True) if causal is None else causal):
        raise ModelError(f"{name} lets text see what comes behind it, so it predicts no tokens that could be measured")


def _measure(
    path: TokenPath,
    query: torch.Tensor,
    key: torch.Tensor,
    mask: Any,
    options: dict[str, Any],
    lse: torch.Tensor | None,
    measure: Callable[..., torch.Tensor],
) -> torch.Tensor:
    rows, places = path.predicting, path.places
    asking = places[rows.start : rows.stop]
    scale = options.get("scaling")
    seen, window = None, None
    if isinstance(mask, PathMask):
        window = mask.window
    elif mask is None or mask.dim() == 2:  # nothing is hidden but padding, or flash attention slides by itself
        window = options.get("sliding_window")
    else:
        seen = mask[min(path.row, len(mask) - 1)][:, asking][..., places]
    return measure(
        query[path.row][:, asking],
        key[path.row] if len(places) == key.shape[2] else key[path.row][:, places],
        rows,
        torch.nonzero(path.is_image).flatten(),
        seen,
        scale if scale is not None else query.shape[-1] ** -0.5,
        None if lse is None else lse[path.row][:, asking],
        window,
        options.get("s_aux"),
    )


def _attend(
    attend: Callable[..., Any],
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: Any,
    options: dict[str, Any],
) -> tuple[Any, torch.Tensor | None]:
    """Return what the model's attention gives, and each query's log-sum-exp (1, heads, N) where it is told."""
    fits = query.device.type == "cpu" and query.dtype in FLASH_DTYPES and query.shape[-1] == value.shape[-1]
    plain = not (options.get("dropout") or options.get("position_bias") is not None or torch.is_grad_enabled())
    if attend is not ALL_ATTENTION_FUNCTIONS["sdpa"] or len(query) > 1 or not (fits and plain):
        return attend(module, query, key, value, mask, **options), None
    # On a CPU this is the kernel that sdpa calls, which makes the sum over all keys anyway and hands it out here.
    groups = query.shape[1] // key.shape[1]
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=query.dtype).masked_fill_(~mask, -torch.inf)
    output, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query,
        repeat_kv(key, groups),
        repeat_kv(value, groups),
        0.0,
        mask is None and query.shape[2] > 1,
        attn_mask=mask,
        scale=options.get("scaling"),
    )
    return (output.transpose(1, 2).contiguous(), None), lse
