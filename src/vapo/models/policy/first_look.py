"""A first look: what a policy wrote and answered, compared with its plain pass over the same sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from vapo.errors import DataError, ModelError
from vapo.models.media_tokens import find_vision_token_ids
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.inference import inference
from vapo.models.policy.plain_pass import NUM_COMPARED, PlainPass
from vapo.models.policy.prompt_writer import PromptWriter
from vapo.models.policy.rollout_row import lay_row, reading_row
from vapo.models.questions import PROBE_TEMPLATE, ClaimQuestions
from vapo.models.tolerance import Tolerance
from vapo.types import Rollout, Verdict
from vapo.versions import choose_remedy


class FirstLook:
    """Compares the first rollouts, continuations and verdicts of a policy with its plain pass, each kind once.

    Of each, those with the shortest and the longest prompt are compared, which padding tells apart.

    Args:
        policy: the model and its processor.
        system_prompt: of the rollouts.
        probe_template: of the verdicts.
    """

    def __init__(self, policy: Policy, system_prompt: str | None = None, probe_template: str = PROBE_TEMPLATE) -> None:
        self._policy = policy
        self._template = probe_template
        self._writer = PromptWriter(policy, system_prompt)
        self._plain = PlainPass(policy.model, policy.processor)
        self._tolerance = Tolerance.of(policy.model)
        self._looked_at: set[str] = set()

    def check_rows(self, rollouts: Sequence[Rollout]) -> None:
        """Compare log-probabilities of responses that are read in one pass. Raises ModelError where they differ."""
        for rollout, encoded in self._choose("log-probabilities", rollouts):
            ids = rollout.completion_ids[:NUM_COMPARED]
            plain = log_probs(self._plain.read(encoded, ids), ids)
            row = lay_row(self._policy, replace(rollout, completion_ids=ids, token_texts=("",) * len(ids)))
            with inference(self._policy.model), reading_row(self._policy, row):
                logits = self._policy.model(**row.inputs, use_cache=False, logits_to_keep=len(ids) + 1).logits[0]
            self._check("log-probabilities of responses", (log_probs(logits, ids) - plain).abs())

    def check_greedy(self, rollouts: Sequence[Rollout], kept: Sequence[int] | None = None) -> None:
        """Compare responses that took the likeliest token each time.

        Args:
            rollouts: any number.
            kept: tokens at the beginning of each response that were not written so; None for none.

        Raises:
            ModelError: a token is not the plain pass's likeliest.
        """
        of_rollout = dict(zip(map(id, rollouts), kept if kept is not None else [0] * len(rollouts), strict=True))
        never = find_vision_token_ids(self._policy.model.config, self._policy.processor)
        written = [rollout for rollout in rollouts if len(rollout.completion_ids) > of_rollout[id(rollout)]]
        for rollout, encoded in self._choose("continuations" if kept is not None else "responses", written):
            start = of_rollout[id(rollout)]
            ids = rollout.completion_ids[: start + NUM_COMPARED]
            logits = self._plain.read(encoded, ids)
            logits[:, list(never)] = -torch.inf
            short_of_likeliest = logits[:-1].log_softmax(-1).max(-1).values - log_probs(logits, ids)
            self._check("the tokens of greedy responses", short_of_likeliest[start:])

    def check_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        """Compare answers to the first probes along responses. Raises ModelError where they differ."""
        nearest = sorted(verdicts, key=lambda verdict: -verdict.probe.anchor.index)
        of_rollout = {id(verdict.probe.rollout): verdict for verdict in nearest}
        rollouts = [verdict.probe.rollout for verdict in of_rollout.values()]
        for rollout, encoded in self._choose("verdicts", rollouts):
            verdict = of_rollout[id(rollout)]
            questions = ClaimQuestions(self._policy.processor.tokenizer, self._template)
            plain = answer_plainly(self._plain, questions, encoded, verdict)
            self._check("answers to probes", torch.tensor([abs(verdict.p_true - plain)]))

    def _choose(self, kind: str, rollouts: Iterable[Rollout]) -> Iterator[tuple[Rollout, Mapping[str, Any]]]:
        """Yield rollouts that a kind is first looked at in, with what the processor makes of their prompts.

        Those with another prompt than their sample's own, as where the image was shown again, are passed over.
        """
        if kind in self._looked_at:
            return
        by_length = sorted(rollouts, key=lambda rollout: len(rollout.prompt_ids))
        for rollout in {id(own): own for own in (*by_length[:1], *by_length[-1:])}.values():
            try:
                encoded = self._writer.encode(rollout.sample)
            except DataError:
                continue
            if tuple(encoded["input_ids"][0].tolist()) == rollout.prompt_ids:
                self._looked_at.add(kind)
                yield rollout, encoded

    def _check(self, what: str, differences: torch.Tensor) -> None:
        check_agreement(what, self._tolerance.measure(differences), self._tolerance)


def check_agreement(what: str, difference: float, tolerance: Tolerance) -> None:
    """Refuse a model whose numbers are not its own.

    Args:
        what: was compared, in the plural.
        difference: in nats, or of probabilities.
        tolerance: that of the model.

    Raises:
        ModelError: they differ by more than rounding.
    """
    if not tolerance.allows(difference):
        raise ModelError(
            f"{what} differ by {difference:.2g} from the model's own (its processor's inputs for one prompt, then "
            "transformers' generate), so what is computed would not be this model's; use "
            f"{choose_remedy('another model')}, and please report this one"
        )


def check_prompt(sample: str, ids: Sequence[int], encoded: Mapping[str, Any]) -> None:
    """Refuse a prompt that is not what the processor makes of it alone.

    Args:
        sample: what the error calls it.
        ids: the prompt as it was used.
        encoded: all that the processor makes of it.

    Raises:
        ModelError: they differ.
    """
    alone: list[int] = encoded["input_ids"][0].tolist()
    if list(ids) != alone:
        same = next((n for n, pair in enumerate(zip(ids, alone, strict=False)) if pair[0] != pair[1]), len(alone))
        raise ModelError(
            f"{sample}: its prompt has {len(ids)} tokens, and the processor makes {len(alone)} of it alone, the first "
            f"{same} of them alike; use a processor that writes a prompt among others as it does alone"
        )


def answer_plainly(plain: PlainPass, questions: ClaimQuestions, encoded: Mapping[str, Any], verdict: Verdict) -> float:
    """Return the P(true) of a verdict's probe by a plain pass over its prompt, as encoded, and what is behind it."""
    probe = verdict.probe
    behind = probe.rollout.completion_ids[: probe.anchor.index] + questions.encode(probe.claim.text)
    return questions.answer_tokens.p_true(plain.read(encoded, behind)[-1:])[0]


def log_probs(logits: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
    """Return the log-probabilities of n tokens, shape (n,), from logits before each, shape (n or more, vocabulary)."""
    taken = torch.tensor(list(ids), device=logits.device)[:, None]
    return logits[: len(ids)].float().log_softmax(-1).gather(-1, taken)[:, 0]
