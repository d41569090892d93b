"""GRPO training on TRL, with probes along the response.

TRL rolls out, normalises and updates. This trainer adds one reward column, what perception is worth, filled from the
algorithm's probes after TRL has called its reward functions. It changes nothing else: with that column at 0 the
update is TRL's own: bit for bit row by row, to rounding where rows that share a prompt are packed into one tree.
"""

from __future__ import annotations

import copy
import inspect
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather
from trl import GRPOTrainer

from vapo.algorithms.algorithm import Algorithm
from vapo.data.refused_sizes import SizeCheck
from vapo.errors import ConfigError
from vapo.models.image_features import (
    features_like_embeddings,
    find_feature_module,
    freeze_vision,
    keep_batch_statistics,
    passing_images_per_row,
)
from vapo.models.plain_text import make_escaper
from vapo.models.policy.inference import explaining_failures
from vapo.models.positions import positions_behind_padding
from vapo.models.questions import ClaimQuestions
from vapo.models.replaced_method import replaced_method
from vapo.models.vision_tokens import correct_token_types, find_image_token_id
from vapo.probing.perception_log import PerceptionLog
from vapo.probing.prober import Prober
from vapo.probing.transformers_prober import TransformersProber
from vapo.stop_condition import StopCallback
from vapo.training.batches import groups_kept_together
from vapo.training.cached_rows import cache_rows
from vapo.training.checks import check_arguments, check_needs, check_processor, find_idle_bonus
from vapo.training.completion_table import PrintsCompletions
from vapo.training.config import VAPOConfig
from vapo.training.data_checks import check_data, check_sizes
from vapo.training.dynamic_sampling import GradedRows, InformativeRollouts, add_up_rewards, grade_by_accuracy
from vapo.training.fused_logits import logits_fused_as_in_model
from vapo.training.group_credit import GroupCredit
from vapo.training.idle_run import IdleRunWarning
from vapo.training.other_images import OtherImages
from vapo.training.own_claims import OwnClaims
from vapo.training.packing import BatchScores, TreePacking
from vapo.training.plain_check import PlainCheck
from vapo.training.prompt_rollouts import RollsOutPrompts
from vapo.training.reward_columns import RewardColumns, adopt_think_format
from vapo.training.rewards import accuracy_reward, choose_rewards
from vapo.training.rollout_batch import RolloutBatch, RolloutCount, RolloutPosition, find_progress
from vapo.training.rows import SampleReader, check_kinds, keep_text_plain, open_images
from vapo.training.run_record import keep_record
from vapo.training.saves import LoadsCheckpoints, SavesBetweenRollouts
from vapo.training.sharding import name_layers_to_shard, reference_sharded_like_policy
from vapo.training.token_credit import TokenCredit
from vapo.training.trl_limits import check_router_loss, counting_tiles, reference_attending_like_policy
from vapo.training.vllm_rollouts import (
    check_vllm,
    fix_rollouts,
    make_vllm_prober,
    never_sample_vision_tokens,
    probes_on_vllm,
)
from vapo.versions import report_untested

if TYPE_CHECKING:
    from datasets import Dataset


class VAPOTrainer(RollsOutPrompts, PrintsCompletions, LoadsCheckpoints):
    """`trl.GRPOTrainer` with Vision-Anchored Policy Optimization.

    Args:
        model: as in TRL; it must be a vision-language model.
        reward_funcs: as in TRL. None takes `args.reward_funcs`, or else grades `\\boxed{}` answers against the column
            `answer`, and the format. With functions of your own, the one named by `args.gate_reward` (default: the
            first) must return the accuracy in [0, 1], unless the gate plays no part. The perception reward is added
            to theirs; a completion that none of them scores (None) earns none.
        args: a `VAPOConfig`.
        train_dataset: as in TRL, with a column `claims` that lists `{text, is_true}` (or the published
            `claim_1`, `label_1`, ...).
        algorithm: one of your own in place of the one that `args` describes, derived from
            `vapo.algorithms.algorithm.Algorithm`. TRL adds up the reward functions by their weights, and to that the
            `bonus` of the algorithm's reward.
        positional, kwargs: what `trl.GRPOTrainer` takes behind the processing class, in its order or by name.

    Raises:
        ConfigError: an option cannot be had together with probes.
        DataError: the algorithm needs claims and the data set has none.
        ModelError: the model cannot be probed.
    """

    # TRL and transformers declare these more widely than they are here.
    args: Any
    model: Any
    processing_class: Any
    num_generations: int
    num_generations_eval: int

    _batch: RolloutBatch | None = None  # that is being generated, scored and rewarded
    micro_steps_before: int = 0  # that a run made before it was resumed
    _tag_names = ["trl", "grpo", "vapo"]  # noqa: RUF012 (as TRL declares them)
    _name = "VAPO"
    _paper = {  # noqa: RUF012
        "title": "More Thought, Less Accuracy? On the Dual Nature of Reasoning in Vision-Language Models",
        "id": "2509.25848",
    }

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: VAPOConfig | None = None,
        train_dataset: Dataset | None = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        *positional: Any,
        algorithm: Algorithm | None = None,
        **kwargs: Any,
    ) -> None:
        report_untested(logging.getLogger(__name__).warning)
        if args is None:
            name = model if isinstance(model, str) else model.config._name_or_path
            args = VAPOConfig(f"{name.split('/')[-1]}-VAPO")
        given = (model, reward_funcs, args, train_dataset, eval_dataset, processing_class, *positional)
        options = inspect.signature(GRPOTrainer).bind(*given, **kwargs).arguments
        owns_data = options.get("environment_factory") is not None  # and perhaps the reward: TRL says what is missing
        check_arguments(args, train_dataset, environments=owns_data)
        check_vllm(model, args)
        self.algorithm = algorithm if algorithm is not None else args.make_algorithm()
        if not isinstance(self.algorithm, Algorithm):
            raise ConfigError(
                f"algorithm is a {type(self.algorithm).__name__}; derive it from vapo.algorithms.algorithm.Algorithm"
            )
        check_needs(args, options, needs := self.algorithm.needs)
        if idle := find_idle_bonus(args, self.algorithm):
            logging.getLogger(__name__).warning(idle)
        options["args"] = args = copy.copy(args)  # the caller may use it again
        if reward_funcs is None and (args.reward_funcs or not owns_data):
            options["reward_funcs"] = choose_rewards(args)
        rewards = options["reward_funcs"]
        graded = accuracy_reward in (rewards if isinstance(rewards, list) else [rewards])
        mixed = args.rows_without_claims == "grpo"
        sample_reader = SampleReader(require_claims=needs.claims, require_answers=graded, allow_unclaimed_rows=mixed)
        check_data(sample_reader, train_dataset, eval_dataset)
        options |= {"train_dataset": cache_rows(train_dataset), "eval_dataset": cache_rows(eval_dataset)}
        with reference_sharded_like_policy(), reference_attending_like_policy(model), logits_fused_as_in_model():
            super().__init__(**options)
        if args.stop_if is not None:
            self.add_callback(StopCallback(args.stop_if))
        for callback in (SavesBetweenRollouts(args), RolloutCount(self), IdleRunWarning()):
            self.add_callback(callback)
        keep_record(self)
        check_processor(self.processing_class)
        keep_batch_statistics(self.model)
        check_router_loss(self, collective=self._forward_is_collective())
        self._sizes = SizeCheck(self.processing_class)
        check_sizes(self._sizes, train_dataset, eval_dataset)
        if args.freeze_vision:
            freeze_vision(self.model)
        if self.is_fsdp_enabled:
            name_layers_to_shard(self.accelerator.state.fsdp_plugin, self.model)
        self._spelling = self._tokenizer, adopt_think_format(self, self._tokenizer, model)
        self._escape = make_escaper(self.processing_class)
        normalised = args.multi_objective_aggregation == "normalize_then_sum"
        bonus_weight = (args.perception_weight if normalised else 1.0) if needs.bonus else None
        self._columns = RewardColumns(self, gate=args.gate_reward, bonus_weight=bonus_weight)
        never_sample_vision_tokens(self)
        if args.use_vllm:
            fix_rollouts(self.vllm_generation, self.model.config.image_token_id)
        self._group_credit = GroupCredit(self, self.algorithm, self._columns)
        self._log_of_perception = PerceptionLog(
            self._log_metric, self._log_completion_extra, self.algorithm, count_unclaimed=mixed
        )
        self._images = OtherImages(self, self.algorithm)
        self._informative = None
        if args.dynamic_sampling != "none":
            by_accuracy = args.dynamic_sampling == "accuracy"
            grade = grade_by_accuracy(self, self._columns.gate) if by_accuracy else self._grade_by_reward
            self._informative = InformativeRollouts(self, self._images, grade=grade, prepare=self.read_row)
        self._token_credit = TokenCredit(self, self.algorithm)
        self._packing = self._make_packing() if args.packing != "off" else None
        self.prober: Prober | None = self._make_prober() if needs.claims else None
        self._questions = ClaimQuestions(self._tokenizer, args.probe_template) if needs.claims else None
        writes_claims = needs.claims and args.own_claims_steps
        self._own_claims = OwnClaims(self, collective=self._forward_is_collective()) if writes_claims else None
        self._plain_check = PlainCheck(self, collective=self._forward_is_collective())
        self._sample_reader = sample_reader
        self._last_scores: BatchScores | None = None  # of the last scoring pass
        self._probe_seconds = 0.0

    # Rollouts ---------------------------------------------------------------------------------------------------

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        inputs = [self.read_row(row) for row in inputs]
        check_kinds(inputs)
        training = self.model.training
        refilled = self._informative.roll_out(inputs) if self._informative is not None and training else None
        inputs = inputs if refilled is None else refilled.rows
        if self._own_claims is not None and training:
            inputs = self._own_claims.renew(inputs)
        looks = training and self._plain_check.keep_prompts(inputs)
        batch, roll_out = self._begin_batch(inputs), self._generate
        if refilled is not None:
            batch.generated, batch.kept, batch.verdicts = refilled.generated, refilled.kept, refilled.verdicts

        def generate(prompts: list[Any]) -> tuple[Any, ...]:
            if batch.generated is None:
                batch.generated = self._images.roll_out(roll_out, prompts, inputs, batch.place.first)
            return batch.generated

        self._batch = batch
        keeping = self._token_credit.keeping_scores(self._scores_old_policy())
        with replaced_method(self, "_generate", generate), counting_tiles(self.processing_class), keeping:
            output = super()._generate_and_score_completions(inputs)
        self._batch = None
        if looks:
            by_policy = isinstance(self.prober, TransformersProber)
            self._plain_check.check_rollout(output, batch, self._questions if by_policy else None)
        self._images.add_second_view(output, inputs, batch.place)
        with self._token_credit.weighing_advantages(output, batch):
            self._group_credit.add_to_advantages(output, batch)
        if self._informative is not None and batch.kept is not None:
            return self._informative.leave_out_dropped(output, batch.kept)
        return output

    def _begin_batch(self, rows: list[dict[str, Any]]) -> RolloutBatch:
        asks = self.prober is not None and self._scores_old_policy() and self._may_ask_along()
        place = RolloutPosition.of(self, len(rows))
        return RolloutBatch(rows, place, self.algorithm, self._sample_reader, *self._spelling, asks_while_scoring=asks)

    def _grade_by_reward(
        self, rows: list[dict[str, Any]], generated: tuple[Any, ...], members: Sequence[int]
    ) -> GradedRows:
        """Grade rows by their whole reward; see `dynamic_sampling.Grade`."""
        place = RolloutPosition.of(self, self.args.per_device_train_batch_size * self.args.steps_per_generation)
        self._batch = batch = RolloutBatch(
            rows, place, self.algorithm, self._sample_reader, *self._spelling, members=members
        )
        batch.generated = generated
        totals = add_up_rewards(self, rows, generated)
        self._batch = None
        return GradedRows(totals, batch.verdicts)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        if self._packing is None or not self._packing.is_on:
            return super()._prepare_inputs(generation_batch)
        with groups_kept_together(self.num_generations):
            return super()._prepare_inputs(generation_batch)

    def _scores_old_policy(self) -> bool:
        """Return whether TRL computes the old policy's log-probabilities, and before any others."""
        corrects = self.use_vllm and self.vllm_importance_sampling_correction
        every = self.args.steps_per_generation * self.num_iterations
        return corrects or self.args.gradient_accumulation_steps % every != 0

    def _may_ask_along(self) -> bool:
        """Return whether probes asked in TRL's scoring pass are those that would be asked on their own."""
        all_of_them = self.args.closed_gate_probe_share == 1 and not self.args.mask_truncated_completions
        dropout = any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in self.model.modules())
        return all_of_them and not dropout and self.args.probe_backend != "vllm"  # TRL scores in training mode

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        *args: Any,
        num_images: list[int] | None = None,
        batch_num_images: Any = None,
        **kwargs: Any,
    ) -> Any:
        # TRL 1.16 hands over LLaVA-OneVision's batch_num_images, which its own method does not take.
        module = find_feature_module(model)
        kwargs = correct_token_types(kwargs, input_ids, find_image_token_id(module.config))
        rows = (model, input_ids, attention_mask, logits_to_keep)
        explained = explaining_failures(type(module).__name__)
        with features_like_embeddings(module), positions_behind_padding(module), explained:
            if self._packing is not None and self._packing.is_on:
                scores = self._score_packed(*rows, *args, num_images=num_images, **kwargs)
                if scores is not None:
                    self._keep_scores(scores)
                    return scores.log_probs, scores.entropies, None
            reading = self._token_credit.reading_streams(model, logits_to_keep)
            with passing_images_per_row(module, num_images), reading as streams:
                kwargs["num_images"] = num_images
                kwargs["compute_entropy"] = kwargs.get("compute_entropy") or self._token_credit.awaits_scores
                found = super()._get_per_token_logps_and_entropies(*rows, *args, **kwargs)
            self._keep_scores(BatchScores.of_rows(found[0], found[1], streams))
            return found

    def _score_packed(
        self,
        model: Any,
        *args: Any,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **images: Any,
    ) -> BatchScores | None:
        assert self._packing is not None and not compute_aux_loss
        images["streams"] = self._token_credit.streams
        if self._batch is None or not self._batch.take_scoring_pass():
            return self._packing.score(model, *args, batch_size=batch_size, **images)
        assert self._questions is not None
        scores = self._packing.score(
            model,
            *args,
            batch_size=batch_size,
            questions=self._batch.questions(self._questions),
            answer_tokens=self._questions.answer_tokens,
            **images,
        )
        if scores is not None:
            self._batch.take_answers(scores.p_true)
        return scores

    def read_row(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row as it is rolled out: its images opened, and no special tokens in its prompt's user text."""
        row = open_images(row, self._sizes)
        # An environment of TRL's brings its prompt later.
        return {**row, "prompt": keep_text_plain(row["prompt"], self._escape)} if "prompt" in row else row

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Return TRL's loss and the algorithm's, over kept completions alone where dynamic sampling dropped some."""
        self._plain_check.check_update(model, inputs)
        with self._token_credit.measuring_update():
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            loss = self._token_credit.add_to_loss(loss, model, self.take_scores(), inputs)
        return loss * inputs["loss_scale"] if "loss_scale" in inputs else loss

    def _keep_scores(self, scores: BatchScores) -> None:
        self._token_credit.take_scores(scores)
        self._last_scores = scores

    @property
    def stopped(self) -> str | None:
        """Why a condition (`stop_if`) ended the run, in a sentence; None if none did."""
        callbacks = self.callback_handler.callbacks
        return next((one.stopped for one in callbacks if isinstance(one, StopCallback) and one.stopped), None)

    def take_scores(self) -> BatchScores | None:
        """Return what the last scoring pass found, streams included, and keep it no longer."""
        scores, self._last_scores = self._last_scores, None
        return scores

    # Rewards ----------------------------------------------------------------------------------------------------

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        rewards_NF = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        needs = self.algorithm.needs
        if not (needs.claims or needs.bonus or needs.advantages):
            return rewards_NF
        assert self._batch is not None
        started = time.perf_counter()
        first = self.accelerator.process_index * len(prompts)
        accuracies = self._columns.read_accuracies(rewards_NF[first : first + len(prompts)], required=needs.accuracy)
        scored = self._batch.reward(self.prober, accuracies, find_progress(self), self.args.closed_gate_probe_share)
        self._probe_seconds += time.perf_counter() - started
        if self.prober is not None:
            self._log_of_perception.add(scored, tables=self.log_completions)
        self._columns.put_bonuses(rewards_NF, scored)
        self._batch.rewards_NF = rewards_NF
        return rewards_NF

    # Set-up -----------------------------------------------------------------------------------------------------

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        if self.prober is not None and self._step % self.current_gradient_accumulation_steps == 0:
            metrics = self._metrics["train"]
            metrics["perception/probe_time_share"].append(self._probe_seconds / metrics["step_time"][-1])
            self._probe_seconds = 0.0
        return loss

    def _make_packing(self) -> TreePacking:
        return TreePacking(
            self,
            required=self.args.packing == "require",
            agree_on_passes=self._most_batches if self.accelerator.num_processes > 1 else None,
            collective=self._forward_is_collective(),
        )

    def _make_prober(self) -> Prober:
        if probes_on_vllm(self.args):
            return make_vllm_prober(self)
        return TransformersProber(
            self.model,
            self.processing_class,
            packing=self.args.packing,
            template=self.args.probe_template,
            autocast=lambda: self.accelerator.autocast(),
            agree_on_batches=self._most_batches if self.accelerator.num_processes > 1 else None,
            collective=self._forward_is_collective(),
        )

    def _forward_is_collective(self) -> bool:
        return bool(self.is_fsdp_enabled or (self.is_deepspeed_enabled and self._dist.is_zero3))

    def _most_batches(self, own: int) -> int:
        return int(gather(torch.tensor([own], device=self.accelerator.device)).max())  # pyright: ignore
