"""What a run needs of its GPUs, from its options and the model's configuration alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from vapo.errors import ConfigError
from vapo.planning.activations import measure_text_pass
from vapo.planning.gpus import Gpus
from vapo.planning.image_tokens import estimate_image_bytes
from vapo.planning.memory import Memory, ModelBytes, add_up_memory, count_engine_bytes
from vapo.planning.model_shape import Loading, ModelShape, explaining_what_cannot_be_planned, read_model_shape
from vapo.planning.run_shape import RunShape
from vapo.planning.work import Work, count_steps, count_work

TEXT_OF_A_QUESTION = 256
"""Tokens of a prompt that are not its images', where nothing else is said."""
OPTIMIZERS = {"adamw": 8, "sgd": 0, "adafactor": 4, "lion": 4}
"""Bytes that an optimizer keeps for a float32 parameter, by how its name begins."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run needs.

    Attributes:
        title: the model's name.
        shape: of the run.
        gpus: it is planned for.
        memory: on one of them.
        engine_bytes: that a colocated engine needs at least.
        work: of an update.
        steps: updates in all; None where the number of rows is not known.
    """

    title: str
    shape: RunShape
    gpus: Gpus
    memory: Memory
    engine_bytes: float
    work: Work
    steps: int | None

    @property
    def fits(self) -> bool:
        """Whether everything finds room, the engine's own needs in its share included."""
        return self.memory.total <= self.gpus.bytes and not self.starves_engine

    @property
    def starves_engine(self) -> bool:
        """Whether a colocated engine is given less than it needs."""
        return 0 < self.shape.engine_share * self.gpus.bytes < self.engine_bytes


def plan_run(
    options: Any,
    gpus: Gpus,
    *,
    prompt_tokens: int | None = None,
    image_tokens: int | None = None,
    num_rows: int | None = None,
    given: Collection[str] = (),
) -> tuple[ModelShape, Plan]:
    """Return the model's shape of a run's model, and what the run needs.

    Args:
        options: of the run (`vapo.training.options.RunOptions`), parsed as for one process.
        gpus: to plan for.
        prompt_tokens: of the longest prompt; default: the run's max_prompt_tokens.
        image_tokens: of these, those of images; default: all but 256.
        num_rows: of the data, for the number of steps.
        given: names of options that the run sets itself; others are what they are on the machine of the plan.

    Raises:
        ConfigError: something is missing, the run's batches cannot be divided among the GPUs, or its rows do not fill
            a rollout.
        ModelError: there is no such model.
    """
    shape = shape_run(options, gpus, prompt_tokens, image_tokens, given)
    training, model_shape = options.training, read_model_shape(describe_loading(options))
    steps = training.max_steps if training.max_steps > 0 else None
    if steps is None and num_rows is not None:
        steps = count_steps(shape, num_rows, training.num_train_epochs)
        if steps == 0:
            raise ConfigError(
                f"{num_rows} rows do not fill a rollout of {shape.rollout // shape.group} prompts "
                "(generation_batch_size / num_generations), so the run would make no update; lower "
                "generation_batch_size, or use more rows"
            )
    return model_shape, plan_shape(model_shape, shape, gpus, steps)


def plan_shape(
    model_shape: ModelShape, shape: RunShape, gpus: Gpus, steps: int | None = None, *, on_gpu: bool = True
) -> Plan:
    """Return what a run of this shape needs; see `plan_run` and `add_up_memory`."""
    with explaining_what_cannot_be_planned(model_shape.loading.name):
        model = weigh_model(model_shape, shape)
    memory = add_up_memory(model, shape, gpus.bytes, on_gpu=on_gpu)
    engine = count_engine_bytes(model_shape, shape) if shape.engine_share else 0.0
    return Plan(model_shape.loading.name, shape, gpus, memory, engine, count_work(shape), steps)


def weigh_model(model_shape: ModelShape, shape: RunShape) -> ModelBytes:
    """Return a model's measures, and what a pass of the run's shape keeps."""
    halves = shape.bfloat16 and (shape.sharding not in ("single_gpu", "multi_gpu") or model_shape.loading.bits < 16)
    text = measure_text_pass(
        model_shape.model,
        shape.pass_tokens,
        dtype="bfloat16" if halves else None,
        autocast=shape.bfloat16 and not halves,
        checkpointing=shape.checkpointing,
    )
    prompts = shape.prompts_at_once if shape.packed else shape.at_once
    images = estimate_image_bytes(
        model_shape.model,
        prompts * shape.image_tokens,
        values=2 if shape.bfloat16 else 4,
        trained=not shape.vision_frozen and not shape.adapters,
        checkpointing=shape.checkpointing,
    )
    return ModelBytes(model_shape, text, images)


def describe_loading(options: Any) -> Loading:
    """Return how the model of a run is loaded."""
    model, training = options.model, options.training
    return Loading(
        name=options.model_name,
        revision=model.model_revision,
        dtype=model.dtype or "auto",
        bits=4 if model.load_in_4bit else 8 if model.load_in_8bit else 16,
        adapters=options.adapters,
        vision_frozen=training.freeze_vision,
        trust_remote_code=training.trust_remote_code,
    )


def shape_run(
    options: Any, gpus: Gpus, prompt_tokens: int | None, image_tokens: int | None, given: Collection[str]
) -> RunShape:
    """Return the shape of a run on these GPUs; see `plan_run`."""
    training, model, launch = options.training, options.model, options.launch
    prompt = prompt_tokens or options.data.max_prompt_tokens
    if prompt is None:
        raise ConfigError(
            "how long prompts are is not known; say it with --prompt-tokens, or set max_prompt_tokens in the run"
        )
    count = gpus.count
    update = training.update_batch_size
    if update is None:
        update = training.per_device_train_batch_size * training.gradient_accumulation_steps * count
    rollout = training.generation_batch_size
    if training.update_batch_size is None and "generation_batch_size" not in given:
        rollout = training.per_device_train_batch_size * training.steps_per_generation * count
    colocated = training.use_vllm and training.vllm_mode == "colocate"
    return RunShape(
        num_processes=count,
        sharding=launch.accelerate_config or ("single_gpu" if count == 1 else "fsdp2"),
        prompt_tokens=prompt,
        image_tokens=max(prompt - TEXT_OF_A_QUESTION, 0) if image_tokens is None else image_tokens,
        completion_tokens=training.max_completion_length,
        group=training.num_generations,
        rollout=rollout,
        update=update,
        at_once=training.per_device_train_batch_size,
        updates_per_completion=training.num_iterations,
        packed=training.packing != "off",
        probes=training.make_algorithm().max_probes,
        scores_rollouts=training.use_vllm and training.vllm_importance_sampling_correction,
        reference=training.beta != 0,
        adapters=model.use_peft,
        bits=4 if model.load_in_4bit else 8 if model.load_in_8bit else 16,
        bfloat16=training.bf16 if "bf16" in given else not training.fp16,
        checkpointing=training.gradient_checkpointing,
        vision_frozen=training.freeze_vision,
        optimizer_bytes=_optimizer_bytes(str(training.optim)),
        engine_share=training.vllm_gpu_memory_utilization if colocated else 0.0,
        engine_sleeps=training.vllm_enable_sleep_mode,
        engine_ranks=training.vllm_tensor_parallel_size if colocated else 1,
        policy_samples=not training.use_vllm,
    )


def _optimizer_bytes(name: str) -> int:
    name = name.rsplit(".", 1)[-1].lower()
    known = next((size for start, size in OPTIMIZERS.items() if name.startswith(start)), 8)
    return known // 4 if "8bit" in name else known
