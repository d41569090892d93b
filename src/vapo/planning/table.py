"""A plan as it is printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vapo.core.text_tables import align
from vapo.planning.advice import Step
from vapo.planning.gpus import GIB
from vapo.planning.plan import Plan


def write_plan(plan: Plan, hours: float | None, steps: Sequence[Step], wider: Plan | None) -> str:
    """Return a plan as text for a terminal.

    Args:
        plan: of the run.
        hours: that it takes, if known.
        steps: what to change, if it does not fit.
        wider: the plan on more GPUs, likewise.
    """
    parts = (_describe(plan), _list_memory(plan), _list_work(plan, hours), _judge(plan, steps, wider))
    return "\n\n".join("\n".join(part) for part in parts)


def describe_shortage(plan: Plan) -> str:
    """Return why a run does not fit, in one sentence."""
    size = plan.gpus.bytes
    if plan.starves_engine:
        return (
            f"vLLM gets {_gib(plan.shape.engine_share * size)} of each GPU, and needs {_gib(plan.engine_bytes)} for "
            "its weights and the keys and values of one completion"
        )
    return f"it needs {_gib(plan.memory.total)} of each GPU's {_gib(size)}"


def _describe(plan: Plan) -> Iterator[str]:
    shape = plan.shape
    how = ", ".join(
        name
        for name, on in (
            (f"LoRA on weights of {shape.bits} bits", shape.adapters),
            ("bfloat16" if shape.bfloat16 else "float32", True),
            ("gradient checkpointing", shape.checkpointing),
            ("packed", shape.packed),
        )
        if on
    )
    yield f"{plan.title} on {plan.gpus.count} GPU(s) of {plan.gpus.gibibytes:g} GB, {shape.sharding}: {how}"
    yield (
        f"at the longest: a prompt of {shape.prompt_tokens} tokens, {shape.image_tokens} of them images', and "
        f"completions of {shape.completion_tokens}; {shape.pass_tokens} tokens in a training pass"
    )


def _list_memory(plan: Plan) -> Iterator[str]:
    phase = "updating" if plan.memory.peak is plan.memory.update else "rolling out"
    yield f"memory of each GPU, while {phase}:"
    for name, size in sorted(plan.memory.peak.items(), key=lambda item: -item[1]):
        yield align((f"  {name}", _gib(size)), (28, 10))
    yield align(("  together", _gib(plan.memory.total)), (28, 10)) + f" of {_gib(plan.gpus.bytes)}"


def _list_work(plan: Plan, hours: float | None) -> Iterator[str]:
    work, shape = plan.work, plan.shape
    yield f"an update of {shape.update} completions to {shape.update // shape.group} prompts, at most:"
    for name, count in (
        ("tokens sampled", work.sampled_tokens),
        ("tokens trained on", work.trained_tokens),
        ("tokens scored", work.scored_tokens),
        ("probes", work.probes),
        ("passes of each GPU", work.passes),
    ):
        yield align((f"  {name}", f"{count:,.0f}"), (28, 14))
    updates = shape.rollout * shape.updates_per_completion // shape.update
    rollouts = f"a rollout of {shape.rollout} completions serves {updates} update(s)"
    yield rollouts if plan.steps is None else f"{rollouts}; {plan.steps} updates in all"
    if hours is not None:
        yield f"{hours:.1f} hours at most, at that throughput"
    elif plan.steps is None:
        yield "how many there are depends on the data (--rows); hours need --measured or --tokens-per-second"


def _judge(plan: Plan, steps: Sequence[Step], wider: Plan | None) -> Iterator[str]:
    if plan.fits:
        yield f"it fits, with {_gib(plan.gpus.bytes - plan.memory.total)} to spare"
        return
    yield f"it does not fit: {describe_shortage(plan)}"
    if steps:
        yield "to change, one after the other:"
        for step in steps:
            total = align((f"  {step.change}", _gib(step.plan.memory.total)), (60, 10))
            yield f"{total}  fits" if step.plan.fits else total
    if not steps or not steps[-1].plan.fits:
        yield "that is not enough: train adapters (use_peft: true), on weights of 4 bits (load_in_4bit: true)"
    if wider is not None:
        how = f"on {wider.gpus.count} GPUs with {wider.shape.sharding}"
        yield f"or, as it is, {how}: {_gib(wider.memory.total)} of each"


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GB"
