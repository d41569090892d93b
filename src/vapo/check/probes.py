"""Answers to probes, before responses and along them: are they right, are they all yes, are they yes or no at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vapo.check.section import Section
from vapo.diagnosis.direct_probes import probe_directly
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.inference import inference
from vapo.models.policy.rollout_row import lay_row, reading_row
from vapo.models.questions import ClaimQuestions
from vapo.training.trial import Trial
from vapo.types import Probe, Verdict

NUM_WEIGHED = 16
"""Probes whose answer's probability among all tokens is looked at, in passes of their own."""
LOW_MASS = 0.1
BIASED, FEWEST_FOR_BIAS = 0.9, 16


def look_at_probes(options: Any, policy: Policy, trial: Trial) -> Section:
    """Ask claims before the responses of a trial, and read the answers along them.

    Args:
        options: of the run (`vapo.training.options.RunOptions`).
        policy: the model and its processor.
        trial: a rollout.
    """
    assert trial.prober is not None
    template, num_anchors = options.training.probe_template, options.training.num_anchors
    first = {id(rollout.sample): rollout for rollout in reversed(trial.rollouts)}
    direct = [probe for own in first.values() for probe in probe_directly(own, own.sample.claims[:num_anchors])]
    before = trial.prober.score(direct)
    along = [verdict for own in trial.verdicts for verdict in own]
    questions = ClaimQuestions(policy.processor.tokenizer, template)
    facts: dict[str, str] = {}
    numbers: dict[str, Any] = {}
    warnings: list[str] = []
    for name, verdicts in (("before", before), ("along", along)):
        if not verdicts:
            facts[name] = "none asked"
            continue
        measured = _measure(verdicts)
        chosen = verdicts[:: max(1, len(verdicts) // NUM_WEIGHED)][:NUM_WEIGHED]
        mass = sum(weigh_answer(policy, questions, verdict.probe) for verdict in chosen) / len(chosen)
        measured["p_yes_or_no"] = mass
        numbers[name] = {"probes": len(verdicts), **measured}
        shown = ", ".join(f"{label} {measured[key]:.2f}" for key, label in LABELS.items() if measured[key] is not None)
        facts[name] = f"{len(verdicts)} probes: {shown}"
        if mass < LOW_MASS:
            warnings.append(
                f"{name} responses, yes and no have {mass:.3f} of the probability together: the "
                "model would write something else; change probe_template"
            )
        if len(verdicts) >= FEWEST_FOR_BIAS and max(measured["yes"], 1 - measured["yes"]) >= BIASED:
            warnings.append(f"{name} responses, {measured['yes']:.0%} of the answers are yes, whatever is claimed")
    return Section("probes", facts, numbers, warnings=warnings)


LABELS = {
    "accuracy": "right",
    "yes": "yes",
    "of_true": "right on true claims",
    "of_false": "on false ones",
    "p_yes_or_no": "P(yes)+P(no)",
}


def weigh_answer(policy: Policy, questions: ClaimQuestions, probe: Probe) -> float:
    """Return the probability, among all tokens, that the answer to a probe is a spelling of yes or no."""
    kept = probe.rollout.completion_ids[: probe.anchor.index] + questions.encode(probe.claim.text)
    row = lay_row(policy, replace(probe.rollout, completion_ids=kept, token_texts=("",) * len(kept)))
    with inference(policy.model), reading_row(policy, row):
        logits_V = policy.model(**row.inputs, use_cache=False, logits_to_keep=1).logits[0, -1].float()
    answers = questions.answer_tokens
    return float(logits_V.softmax(-1)[[*answers.yes, *answers.no]].sum())


def _measure(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {
        "accuracy": _mean([verdict.correct for verdict in verdicts]),
        "yes": _mean([verdict.says_yes for verdict in verdicts]),
        "of_true": _mean([one.correct for one in verdicts if one.probe.claim.is_true]),
        "of_false": _mean([one.correct for one in verdicts if not one.probe.claim.is_true]),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
