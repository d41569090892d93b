"""What a GPU must hold, by part, while the policy is updated and while it rolls out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vapo.planning.activations import PassBytes
from vapo.planning.gpus import GIB
from vapo.planning.model_shape import ModelShape
from vapo.planning.run_shape import RunShape

OUTSIDE = 1.5 * GIB
"""CUDA's context and the buffers of NCCL: assumed."""
FRAGMENTATION = 0.05
"""Share of the rest that PyTorch's allocator cannot use: assumed."""
TILE_ROWS, TILE_COLUMNS = 4096, 32768
"""The output layer is multiplied by in tiles of at most so many tokens and always so many columns (TRL 1.16)."""
COPIES_WITHOUT_KERNEL = 7
"""Of a tile, in float32, which TRL works through on a CPU; its kernel for GPUs makes none."""


@dataclass(frozen=True, slots=True)
class ModelBytes:
    """A model as memory sees it.

    Attributes:
        model_shape: its measures.
        text: what a pass through the language model holds beside weights.
        image_features: held of the images.
    """

    model_shape: ModelShape
    text: PassBytes
    image_features: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one GPU, by part.

    Attributes:
        update: while the policy is updated.
        rollout: while it rolls out.
    """

    update: Mapping[str, float]
    rollout: Mapping[str, float]

    @property
    def peak(self) -> Mapping[str, float]:
        """The parts of the phase that takes more."""
        return max(self.update, self.rollout, key=lambda parts: sum(parts.values()))

    @property
    def total(self) -> float:
        """Bytes at the peak."""
        return sum(self.peak.values())


def add_up_memory(model: ModelBytes, shape: RunShape, gpu_bytes: float, *, on_gpu: bool = True) -> Memory:
    """Return what one GPU holds of a run.

    Args:
        model: what is trained.
        shape: of the run.
        gpu_bytes: memory of the GPU.
        on_gpu: count what PyTorch and its allocator take there; without, count what TRL computes otherwise on a CPU.
    """
    kept = _keep(model.model_shape, shape)
    update = {**kept, **_gather(model.model_shape, shape), **_compute(model, shape, on_gpu)}
    rollout = {name: size for name, size in kept.items() if name != "gradients"}
    rollout |= _gather(model.model_shape, shape, trains=False)
    if shape.policy_samples:
        rows, tokens = shape.rollout // shape.num_processes, shape.prompt_tokens + shape.completion_tokens
        values = 2 if shape.bfloat16 else 4
        rollout["keys and values"] = rows * tokens * model.model_shape.kv_values * values
        rollout["logits"] = 2 * 4 * rows * model.model_shape.vocab_size  # of the next token, and a sorted copy
    for phase, engine in ((update, not shape.engine_sleeps), (rollout, True)):
        if on_gpu:
            phase["CUDA, NCCL, fragmentation"] = OUTSIDE + FRAGMENTATION * sum(phase.values())
        if shape.engine_share and engine:
            phase["vLLM"] = shape.engine_share * gpu_bytes
    return Memory(update, rollout)


def count_engine_bytes(model_shape: ModelShape, shape: RunShape) -> float:
    """Return what vLLM needs at least of a GPU: its share of the weights, and keys and values of one rollout."""
    tokens = shape.prompt_tokens + shape.completion_tokens
    return 2 * (model_shape.num_parameters + tokens * model_shape.kv_values) / shape.engine_ranks


def _keep(model_shape: ModelShape, shape: RunShape) -> dict[str, float]:
    """Return what stays for the whole run."""
    weights_share = shape.num_processes if shape.divides_weights else 1
    optimizer_share = shape.num_processes if shape.divides_optimizer else 1
    trained = float(model_shape.trainable_bytes)
    bytes_of_gradient = bytes_of_state = trained
    frozen_reference = model_shape.frozen_bytes + model_shape.trainable_bytes
    master = 0.0
    if shape.sharding == "fsdp2" and shape.bfloat16:  # accelerate keeps what is trained in float32
        trained = bytes_of_gradient = bytes_of_state = 4.0 * model_shape.num_trainable
    if shape.sharding in ("zero2", "zero3") and shape.bfloat16:  # DeepSpeed keeps bfloat16, and float32 aside
        trained = bytes_of_gradient = 2.0 * model_shape.num_trainable
        master = bytes_of_state = 4.0 * model_shape.num_trainable
        frozen_reference = 2.0 * model_shape.num_parameters
    if shape.sharding == "multi_gpu":
        bytes_of_gradient *= 2  # DDP's buckets hold them again
    parts = {
        "weights": (model_shape.frozen_bytes + trained) / weights_share,
        "gradients": bytes_of_gradient / optimizer_share,
        "optimizer": (bytes_of_state * shape.optimizer_bytes / 4 + master) / optimizer_share,
    }
    if shape.reference and not shape.adapters:
        parts["reference model"] = frozen_reference / weights_share
    return parts


def _gather(model_shape: ModelShape, shape: RunShape, *, trains: bool = True) -> dict[str, float]:
    """Return what a process has of the others' weights while it computes: two layers, and the embeddings."""
    if not shape.divides_weights or shape.num_processes == 1:
        return {}
    values = 2 if shape.bfloat16 else 4
    weights = (2 * model_shape.layer_parameters + model_shape.embedding_parameters) * values
    with_gradients = trains and not shape.adapters
    return {"gathered weights": weights * (2 if with_gradients else 1)}


def _compute(model: ModelBytes, shape: RunShape, on_gpu: bool) -> dict[str, float]:
    """Return what a training pass holds at its worst."""
    values = 2 if shape.bfloat16 else 4
    # Without its kernel, TRL scores the prompts of rows that are not packed as well, and throws that away.
    rows = shape.at_once * shape.completion_tokens if on_gpu or shape.packed else shape.pass_tokens
    tile_rows = min(rows, TILE_ROWS)
    logits = float(tile_rows * TILE_COLUMNS * values + 4 * rows * model.model_shape.hidden_size)
    if not on_gpu:
        logits += 4 * COPIES_WITHOUT_KERNEL * tile_rows * min(model.model_shape.vocab_size, TILE_COLUMNS)
    if model.model_shape.head_is_trained:
        logits += (
            4 * model.model_shape.hidden_size * model.model_shape.vocab_size
        )  # its gradient is added up in float32
    # The output layer's backward pass comes first: with all that forward kept, but before any layer is done again.
    at_head, at_layers = model.text.forward + logits, model.text.backward
    parts = {"activations": at_layers, "image features": model.image_features}
    if at_head > at_layers:
        parts |= {"activations": model.text.forward, "logits": logits}
    if model.model_shape.dequantized:
        parts["unpacked weights"] = float(values * model.model_shape.dequantized)
    return parts
