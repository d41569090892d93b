"""What to change in a run that does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from vapo.planning.gpus import Gpus
from vapo.planning.model_shape import ModelShape
from vapo.planning.plan import Plan, plan_shape
from vapo.planning.run_shape import RunShape

MORE_GPUS = (2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class Step:
    """A change, and the plan once it and those before it are made."""

    change: str
    plan: Plan


def advise(plan: Plan, model_shape: ModelShape) -> list[Step]:
    """Return changes that add up to a run that fits, those first that change the least of what is trained.

    Each is made on top of those before. A change that saves nothing is left out; the last one says whether all of them
    are enough.
    """
    steps: list[Step] = []
    now = plan
    while not now.fits:
        for change, shape in _propose(now):
            tried = plan_shape(model_shape, shape, now.gpus, now.steps)
            if tried.fits or _lacks(tried) < 0.99 * _lacks(now):
                steps.append(Step(change, tried))
                now = tried
                break
        else:
            break
    return steps


def find_gpus(plan: Plan, model_shape: ModelShape) -> Plan | None:
    """Return the plan with the fewest more GPUs of the same kind on which the run fits as it is, or None."""
    for count in MORE_GPUS:
        at_once = plan.shape.at_once * count
        if count > plan.gpus.count and not (plan.shape.update % at_once or plan.shape.rollout % at_once):
            sharding = "fsdp2" if plan.shape.sharding == "single_gpu" else plan.shape.sharding
            shape = replace(plan.shape, num_processes=count, sharding=sharding)
            wider = plan_shape(model_shape, shape, Gpus(count, plan.gpus.gibibytes), plan.steps)
            if wider.fits:
                return wider
    return None


def _lacks(plan: Plan) -> float:
    """Return how many bytes are missing, the engine's own included."""
    short_engine = plan.engine_bytes - plan.shape.engine_share * plan.gpus.bytes if plan.starves_engine else 0.0
    return max(plan.memory.total - plan.gpus.bytes, 0.0) + short_engine


def _propose(plan: Plan) -> Iterator[tuple[str, RunShape]]:
    """Yield changes of what is computed how first, then of the batch, then of what is trained on."""
    shape = plan.shape
    if shape.num_processes > 1 and not shape.divides_weights:
        yield "accelerate_config: fsdp2", replace(shape, sharding="fsdp2")
    if not shape.checkpointing:
        yield "gradient_checkpointing: true", replace(shape, checkpointing=True)
    if not shape.bfloat16:
        yield "bf16: true", replace(shape, bfloat16=True)
    if shape.engine_share:
        least = min(-(-100 * plan.engine_bytes // plan.gpus.bytes) / 100 + 0.02, 0.95)
        if least < shape.engine_share or plan.starves_engine:
            yield f"vllm_gpu_memory_utilization: {least:.2f}", replace(shape, engine_share=least)
        if not shape.engine_sleeps:
            yield "vllm_enable_sleep_mode: true", replace(shape, engine_sleeps=True)
    if shape.at_once > shape.group and shape.group and not shape.rollout % (shape.group * shape.num_processes):
        yield f"per_device_train_batch_size: {shape.group}", replace(shape, at_once=shape.group)
    if shape.policy_samples and shape.rollout // 2 >= shape.at_once * shape.num_processes and shape.rollout % 2 == 0:
        half = shape.rollout // 2
        update = min(shape.update, half)
        if not half % (shape.at_once * shape.num_processes) and not update % (shape.at_once * shape.num_processes):
            change = f"generation_batch_size: {half}, update_batch_size: {update}"
            yield change, replace(shape, rollout=half, update=update)
    if shape.completion_tokens > 256:
        half = shape.completion_tokens // 2
        yield f"max_completion_length: {half}", replace(shape, completion_tokens=half)
    if shape.image_tokens > 512:
        half = shape.image_tokens // 2
        shorter = shape.prompt_tokens - shape.image_tokens + half
        change = f"max_prompt_tokens: {shorter}, with smaller images"
        yield change, replace(shape, image_tokens=half, prompt_tokens=shorter)
