"""The first rollout of a run, compared with plain passes of its policy before the first update.

TRL lays prompts side by side, divides their images among rows and scores them with a head of its own; trees are packed
and images shared. Whatever of it does not suit a model would train on wrong numbers without a word.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from trl import GRPOTrainer
from trl.data_utils import is_conversational

from vapo.models.images import apply_chat_template
from vapo.models.policy.first_look import answer_plainly, check_agreement, check_prompt, log_probs
from vapo.models.policy.inference import inference
from vapo.models.policy.plain_pass import NUM_COMPARED, PlainPass
from vapo.models.questions import ClaimQuestions
from vapo.models.tolerance import Tolerance
from vapo.training.other_images import write_prompts
from vapo.training.rollout_batch import RolloutBatch
from vapo.training.rows import list_images
from vapo.training.token_credit import score_batch
from vapo.types import Verdict

PROMPTS = "plain_prompts"
"""What the first batch calls the conversations of its rows: a list, which TRL shuffles and splits by rows."""


class PlainCheck:
    """Compares a trainer's first prompts, verdicts and log-probabilities with plain passes.

    Args:
        trainer: whose.
        collective: whether a forward pass is a collective call. Then every process runs the same plain passes.
    """

    def __init__(self, trainer: GRPOTrainer, *, collective: bool) -> None:
        self._trainer: Any = trainer
        self._collective = collective
        self._is_due = not (trainer.tools or trainer.rollout_func or trainer.environment_factories)
        self._compares_update = False
        self._prompts: list[Any] = []

    def keep_prompts(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Keep the prompts of the first rollout as they are before rewards, which may draw on images.

        Returns:
            Whether the rollout is to be looked at. None is where tools, environments or a rollout function may put
            more into a completion than the policy wrote, or where prompts are texts, which no processor renders.
        """
        self._is_due = self._is_due and all(is_conversational({"prompt": row["prompt"]}) for row in rows)
        if self._is_due:
            images = copy.deepcopy([list_images(row) for row in rows])  # one copy of what rows share
            self._prompts = write_prompts(rows, images)
        return self._is_due

    def check_rollout(self, output: dict[str, Any], batch: RolloutBatch, questions: ClaimQuestions | None) -> None:
        """Compare a rollout's prompts, what vLLM thought of it and its verdicts with plain passes.

        Its prompts go into the batch for `check_update`.

        Args:
            output: what TRL made of the rollout.
            batch: the rollout, generated from the prompts that were kept.
            questions: puts the claims of its verdicts; None where it has none that transformers gave.

        Raises:
            ModelError: they are not those of plain passes.
        """
        assert batch.generated is not None
        self._is_due, prompts = False, self._prompts
        lengths = [len(ids) for ids in batch.generated[0]]
        for row in {lengths.index(min(lengths)), lengths.index(max(lengths))}:
            check_prompt(f"row {row} of the first rollout", batch.generated[0][row], self._encode(prompts[row]))
        output[PROMPTS], self._compares_update = prompts, True
        if "sampling_per_token_logps" in output and not self._reshapes_probabilities():
            self._check_engine(output, lengths.index(max(lengths)), prompts)
        if questions is not None and batch.verdicts is not None:
            self._check_verdict(batch.verdicts, prompts, questions)

    def _reshapes_probabilities(self) -> bool:
        """Return whether an engine leaves out or favors tokens by what it sampled, which a plain pass does not."""
        args, options = self._trainer.args, set(self._trainer.vllm_generation.generation_kwargs)
        cuts = args.top_p != 1 or args.top_k or args.min_p or args.repetition_penalty != 1
        return bool(cuts or args.vllm_structured_outputs_regex or options - {"logit_bias", "seed"})

    def _check_engine(self, output: Mapping[str, Any], row: int, prompts: Sequence[Any]) -> None:
        generation = self._trainer.vllm_generation
        kept = output["completion_mask"][row].nonzero()[:NUM_COMPARED, 0]
        ids = output["completion_ids"][row, : int(kept[-1]) + 1 if len(kept) else 1].tolist()
        logits = self._plain_pass(self._trainer.model).read(self._encode(prompts[row]), ids)
        for token, bias in generation.generation_kwargs.get("logit_bias", {}).items():
            logits[:, int(token)] += bias
        plain = log_probs(logits / self._trainer.temperature, ids)
        sampled = output["sampling_per_token_logps"][row, : len(ids)]
        in_float32 = generation.mode == "colocate" and generation.llm.model_config.dtype == torch.float32
        self._check("log-probabilities in vLLM", (sampled.float() - plain)[kept].tolist(), is_exact=in_float32)

    def _check_verdict(
        self, verdicts: Sequence[Sequence[Verdict]], prompts: Sequence[Any], questions: ClaimQuestions
    ) -> None:
        nearest = [
            (verdict.probe.anchor.index, row, place)
            for row, own in enumerate(verdicts)
            for place, verdict in enumerate(own)
        ]
        _, row, place = min(nearest, default=(0, 0, 0))
        plain, encoded = self._plain_pass(self._trainer.model), self._encode(prompts[row])
        if nearest:
            verdict = verdicts[row][place]
            self._check("answers to probes", [verdict.p_true - answer_plainly(plain, questions, encoded, verdict)])
        elif self._collective:
            plain.read(encoded, ())

    def check_update(self, model: torch.nn.Module, batch: Mapping[str, Any]) -> None:
        """Compare log-probabilities of a response of the first micro-batch, before it is trained on.

        Args:
            model: the policy, as TRL calls it.
            batch: TRL's.

        Raises:
            ModelError: they are not those of a plain pass.
        """
        if not self._compares_update or PROMPTS not in batch:
            return
        self._compares_update = False
        row = int(batch["completion_mask"].sum(1).argmax())
        kept = batch["completion_mask"][row].nonzero()[:NUM_COMPARED, 0]
        ids = batch["completion_ids"][row, : int(kept[-1]) + 1 if len(kept) else 1].tolist()
        logits = self._plain_pass(model).read(self._encode(batch[PROMPTS][row]), ids)
        plain = log_probs(logits / self._trainer.temperature, ids)
        with inference(model):  # dropout would tell any two passes apart
            own = score_batch(self._trainer, model, batch).log_probs[row, : len(ids)]
        self._check("log-probabilities in training", (own.float() - plain)[kept].tolist())

    def _plain_pass(self, model: torch.nn.Module) -> PlainPass:
        trainer = self._trainer
        return PlainPass(
            model, trainer.processing_class, autocast=trainer.accelerator.autocast, collective=self._collective
        )

    def _encode(self, messages: list[dict[str, Any]]) -> Mapping[str, Any]:
        trainer = self._trainer
        options = trainer.chat_template_kwargs
        if trainer.chat_template is not None:
            options = {"chat_template": trainer.chat_template, **options}
        return apply_chat_template(trainer.processing_class, messages, add_generation_prompt=True, **options)

    def _check(self, what: str, differences: Sequence[float], *, is_exact: bool = True) -> None:
        tolerance = Tolerance.of(self._trainer.model, self._trainer.accelerator.autocast)
        tolerance = Tolerance(tolerance.is_exact and is_exact)
        check_agreement(what, tolerance.measure(torch.tensor(differences).abs()), tolerance)
