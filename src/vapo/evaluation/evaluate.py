"""Evaluate a policy on a data set: what it answers, and whether it still sees along the way."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from vapo.algorithms.vapo import VAPO, draw_claims
from vapo.atomic_files import write_atomically
from vapo.data.samples import Samples
from vapo.diagnosis.direct_probes import probe_directly
from vapo.diagnosis.fingerprint import describe_policy
from vapo.diagnosis.question_rows import QuestionRow, describe_question, digest_sample
from vapo.diagnosis.row_log import RowLog
from vapo.diagnosis.summary import Evaluation, summarise
from vapo.errors import ConfigError, DataError
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.first_look import FirstLook
from vapo.models.policy.generation import find_eos_token_ids, is_finished, sample_completions
from vapo.models.questions import PROBE_TEMPLATE
from vapo.models.think_tags import opens_thinking
from vapo.probing.transformers_prober import TransformersProber
from vapo.types import Probe, Rollout, Sample, Verdict

_PROBE_DRAWS = 2  # keeps these generators apart from those of completions


def evaluate(
    policy: Policy,
    samples: Sequence[Sample],
    *,
    max_completion_tokens: int,
    num_completions: int = 0,
    temperature: float = 1.0,
    top_p: float = 1.0,
    num_anchors: int = 8,
    seed: int = 0,
    batch_size: int = 16,
    system_prompt: str | None = None,
    probe_template: str = PROBE_TEMPLATE,
    probe_batch_tokens: int = 8192,
    out: str | Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Answer every question greedily, grade, and probe the responses as VAPO does in training.

    Each question's anchors and claims are drawn from a generator of its own. The claims drawn for a response are also
    asked before it begins, so that depths compare the same claims. The seed gives the same results whatever the batch
    size, up to rounding.

    Args:
        policy: the model and its processor.
        samples: the questions, at least one, each with a reference answer.
        max_completion_tokens: longest completion.
        num_completions: n of avg@n: completions sampled per question besides the greedy one; 0 for none.
        temperature: of the sampled completions, above 0.
        top_p: of the sampled completions.
        num_anchors: probes per response; 0 leaves perception out.
        seed: of sampling, anchors, claims, and the intervals' resampling.
        batch_size: completions generated together.
        system_prompt: text of a system message; None for none.
        probe_template: how claims are put, see `vapo.models.questions`.
        probe_batch_tokens: tokens in one forward pass over probes.
        out: a folder for `rows.jsonl`, written as questions are finished, and `evaluation.json`. The same call with
            the same folder goes on where an interrupted one stopped.
        on_progress: called with (questions done, questions in all).

    Raises:
        ConfigError: an option is out of its range, or `out` holds another evaluation.
        DataError: there is nothing to evaluate, or a question has no reference answer.
        ModelError: the model cannot be probed, a prompt leaves no room in its context, or responses and answers are
            not those of a plain pass.
    """
    _check_options(max_completion_tokens, num_completions, temperature, num_anchors, batch_size, seed)
    if len(samples) == 0:
        raise DataError("there is nothing to evaluate: the data set is empty; give at least one question")
    data = samples.source if isinstance(samples, Samples) else "data in memory"
    settings = {
        "max_completion_tokens": max_completion_tokens,
        "num_completions": num_completions,
        "temperature": temperature if num_completions else None,
        "top_p": top_p if num_completions else None,
        "num_anchors": num_anchors,
        "seed": seed,
        "system_prompt": system_prompt,
        "probe_template": probe_template,
        "think_tags": list(policy.think_tags),
        **describe_policy(policy),
    }
    prober = TransformersProber(
        policy.model,
        policy.processor,
        tell=logging.getLogger(__name__).warning,
        template=probe_template,
        max_batch_tokens=probe_batch_tokens,
    )
    first_look = FirstLook(policy, system_prompt, probe_template)
    log = RowLog(out, settings, QuestionRow) if out is not None else None
    done = {row.digest: row for row in log.rows} if log is not None else {}
    generation: dict[str, Any] = {
        "max_completion_tokens": max_completion_tokens,
        "seed": seed,
        "batch_size": batch_size,
        "system_prompt": system_prompt,
    }
    eos_ids = find_eos_token_ids(policy)

    def answer(chunk: dict[str, Sample]) -> Iterator[QuestionRow]:
        ours = list(chunk.values())
        greedy = [own[0] for own in sample_completions(policy, ours, temperature=0, **generation)]
        first_look.check_greedy(greedy)
        sampled: list[list[Rollout]] = [[] for _ in ours]
        if num_completions:
            options = {"num_completions": num_completions, "temperature": temperature, "top_p": top_p}
            sampled = list(sample_completions(policy, ours, **options, **generation))
        probes = [probe for rollout in greedy for probe in _draw_probes(rollout, num_anchors, seed)]
        verdicts = prober.score(probes)
        first_look.check_verdicts(verdicts)
        for digest, rollout, others in zip(chunk, greedy, sampled, strict=True):
            own = [verdict for verdict in verdicts if verdict.probe.rollout is rollout]
            before, along = _split_verdicts(own)
            yield describe_question(
                rollout,
                others,
                before,
                along,
                digest=digest,
                finished=is_finished(rollout, eos_ids),
                think_opened=opens_thinking(policy.processor.tokenizer, rollout.prompt_ids, policy.think_tags),
            )

    order: list[str] = []
    for start in range(0, len(samples), batch_size):
        chunk: dict[str, Sample] = {}
        # A batch is answered as a whole or not at all: its rows then equal an uninterrupted run's to the last bit.
        for number in range(start, min(start + batch_size, len(samples))):
            sample = samples[number]
            if not sample.answer.strip():
                raise DataError(
                    f"sample {sample.id!r} has no reference answer to grade against; add one or leave it out"
                )
            digest = digest_sample(sample)
            order.append(digest)
            chunk[digest] = sample
        rows = list(answer(chunk)) if not chunk.keys() <= done.keys() else []
        if log is not None and rows:
            log.append(rows)
        done.update({row.digest: row for row in rows})
        if on_progress is not None:
            on_progress(min(start + batch_size, len(samples)), len(samples))
    evaluation = summarise(
        [done[digest] for digest in order],
        model=policy.name,
        data=data,
        settings=settings,
        num_skipped_rows=len(samples.skipped) if isinstance(samples, Samples) else 0,
    )
    if log is not None and out is not None:
        log.finish(evaluation.rows)
        text = json.dumps(evaluation.to_json(), indent=2, ensure_ascii=False)
        write_atomically(Path(out) / "evaluation.json", text + "\n")
    return evaluation


def _draw_probes(rollout: Rollout, num_anchors: int, seed: int) -> list[Probe]:
    if num_anchors == 0 or not rollout.sample.claims:
        return []
    place = [_PROBE_DRAWS, seed, crc32(rollout.sample.id.encode())]
    along = VAPO(num_anchors=num_anchors).probes(rollout, np.random.default_rng(place))
    # VAPO draws the claims first, so a generator in the same state draws the same ones, also those that a response
    # with few boundaries has no anchor for.
    claims = draw_claims(rollout.sample.claims, num_anchors, np.random.default_rng(place))
    return [*probe_directly(rollout, claims), *along]


def _split_verdicts(verdicts: Sequence[Verdict]) -> tuple[list[Verdict], list[Verdict]]:
    before = [verdict for verdict in verdicts if verdict.probe.anchor.index == 0]
    return before, [verdict for verdict in verdicts if verdict.probe.anchor.index > 0]


def _check_options(
    max_tokens: int, num_completions: int, temperature: float, num_anchors: int, batch_size: int, seed: int
) -> None:
    least = {
        "max_completion_tokens": (max_tokens, 1),
        "num_completions": (num_completions, 0),
        "num_anchors": (num_anchors, 0),
        "batch_size": (batch_size, 1),
        "seed": (seed, 0),
    }
    for name, (value, bound) in least.items():
        if value < bound:
            raise ConfigError(f"{name} is {value}; it must be at least {bound}")
    if num_completions and temperature == 0:
        raise ConfigError(
            "temperature is 0, so every sampled completion would be the greedy one; raise it, or set num_completions=0"
        )
