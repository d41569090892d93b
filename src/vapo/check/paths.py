"""The ways in which a run, its evaluation and its diagnosis use the model, each compared with a plain pass."""

from __future__ import annotations

from typing import Any

from vapo.check.section import Section
from vapo.diagnosis.transformers.transformers_model import TransformersModel
from vapo.models.diagnosed_model import Cut
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.plain_pass import NUM_COMPARED
from vapo.models.tree.packing_obstacles import find_packing_obstacle
from vapo.training.trial import Trial

SUFFIX = " So"
NO_WEIGHTS = "paths, responses and probes were not looked at, because no weights were read"


def look_at_paths(options: Any, policy: Policy, trial: Trial) -> Section:
    """Write, continue and probe as a diagnosis does; the trial has compared what a run does.

    Args:
        options: of the run (`vapo.training.options.RunOptions`).
        policy: the model and its processor.
        trial: a rollout of the run's.

    Raises:
        ModelError: numbers are not those of a plain pass.
    """
    training = options.training
    model = TransformersModel(policy, system_prompt=options.data.system_prompt, probe_template=training.probe_template)
    samples = list({id(rollout.sample): rollout.sample for rollout in trial.rollouts}.values())
    compared = ["training: prompts, log-probabilities"]
    verdicts = [verdict for own in trial.verdicts for verdict in own]
    compared[0] += ", answers to probes" if verdicts else ""
    left_out: list[str] = []
    if "continue" in model.abilities:
        written = model.write_responses(samples, NUM_COMPARED)
        model.continue_cuts(
            [Cut(rollout, len(rollout.completion_ids) // 2, SUFFIX) for rollout in written], NUM_COMPARED
        )
        compared.append("evaluation and diagnosis: greedy responses, continuations behind a cut")
    else:
        left_out.append(model.why_not("continue"))
    if verdicts and "probe" in model.abilities:
        model.score_probes([verdict.probe for verdict in verdicts[:NUM_COMPARED]])
        compared[-1] += ", answers to probes"
    facts = {"compared": "; ".join(compared), "packing": describe_packing(training.packing, policy.model)}
    return Section("paths", facts, {"compared": compared, "packing": facts["packing"]}, warnings=left_out)


def describe_packing(packing: str, model: Any) -> str:
    """Return whether a model's rollouts are packed, as far as is known of it, in words."""
    if packing == "off":
        return "off, as the run says"
    obstacle = find_packing_obstacle(model)
    return f"off: {obstacle}" if obstacle is not None else "on"


def look_at_outline(options: Any, model: Any, num_parameters: int) -> Section:
    """Return what a model without weights tells.

    Args:
        options: of the run (`vapo.training.options.RunOptions`).
        model: on the device `meta`.
        num_parameters: of it.
    """
    packing = describe_packing(options.training.packing, model)
    facts = {"model": f"{type(model).__name__}, {num_parameters / 1e9:.2f} billion parameters", "packing": packing}
    return Section("outline", facts, {"parameters": num_parameters, "packing": packing}, warnings=[NO_WEIGHTS])
