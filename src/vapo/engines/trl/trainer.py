"""GRPO training on TRL, with probes along the chain.

TRL rolls out, normalises and updates. This trainer adds one reward column, what perception is worth, filled from the
algorithm's probes after TRL has called its reward functions. It changes nothing else: with that column at 0 the
update is TRL's own: bit for bit row by row, to rounding where rows that share a prompt are packed into one tree.
"""

from __future__ import annotations

import copy
import inspect
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather
from transformers import PreTrainedModel, ProcessorMixin
from trl import GRPOTrainer

from vapo.algorithms.algorithm import Algorithm
from vapo.core.grading import ends_in_open_thinking
from vapo.engines.probes.perception_log import PerceptionLog
from vapo.engines.probes.prober import Prober
from vapo.engines.probes.transformers_prober import TransformersProber
from vapo.engines.trl.aggregation import Batch, aggregate, check_loss_type
from vapo.engines.trl.batches import groups_kept_together
from vapo.engines.trl.cached_rows import cache_rows
from vapo.engines.trl.checks import check_arguments, check_rollouts, read_accuracy
from vapo.engines.trl.config import VAPOConfig
from vapo.engines.trl.data_checks import check_data
from vapo.engines.trl.dynamic_sampling import InformativeRollouts
from vapo.engines.trl.own_claims import OwnClaims
from vapo.engines.trl.packing import BatchScores, TreePacking
from vapo.engines.trl.rewards import accuracy_reward, format_reward, opened_format_reward
from vapo.engines.trl.rollout_batch import PlaceInRun, RolloutBatch
from vapo.engines.trl.rows import SampleReader, keep_text_plain
from vapo.engines.trl.saves import SavesBetweenRollouts
from vapo.engines.trl.sharding import (
    name_layers_to_shard,
    optimizer_without_idle_weights,
    reference_sharded_like_policy,
)
from vapo.engines.trl.vllm_rollouts import check_vllm, make_vllm_prober, mend_rollouts, never_sample, probes_on_vllm
from vapo.errors import ConfigError, ModelError
from vapo.models.image_features import (
    features_like_embeddings,
    find_feature_module,
    freeze_vision,
    told_images_per_row,
)
from vapo.models.plain_text import make_neutraliser
from vapo.models.questions import ClaimQuestions
from vapo.models.think_tags import check_think_tags
from vapo.models.vision_tokens import correct_token_types, find_image_token_id, find_vision_token_ids
from vapo.types import TokenScores
from vapo.versions import tell_untested

if TYPE_CHECKING:
    from datasets import Dataset


class VAPOTrainer(GRPOTrainer):
    """`trl.GRPOTrainer` with Vision-Anchored Policy Optimization.

    Args:
        model: as in TRL; it must be a vision-language model.
        reward_funcs: as in TRL. None grades `\\boxed{}` answers against the column `answer`, and the format. With
            functions of your own, the one named by `args.gate_reward` (default: the first) must return the accuracy
            in [0, 1], unless the gate plays no part; the perception reward is added to theirs. A completion that
            none of them scores (None) earns no perception reward either.
        args: a `VAPOConfig`.
        train_dataset: as in TRL, with a column `claims` that lists `{text, is_true}` (or the published
            `claim_1`, `label_1`, ...).
        algorithm: one of your own in place of the one that `args` describes, derived from
            `vapo.algorithms.algorithm.Algorithm`. TRL adds up the reward functions by their weights, and to that the
            `bonus` of the algorithm's reward.
        positional: what `trl.GRPOTrainer` takes behind the processing class, in its order.
        kwargs: the same by name.

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

    # What TRL's methods meet where a trainer is made without `__init__`, as its tests do.
    _informative: InformativeRollouts | None = None
    _batch: RolloutBatch | None = None  # that is being generated, scored and rewarded

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
        tell_untested(logging.getLogger(__name__).warning)
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
        needs = self.algorithm.needs
        if needs.token_loss:
            check_loss_type(str(args.loss_type))
        check_rollouts(args, options, probing=needs.claims)
        options["args"] = args = copy.copy(args)  # the caller may use it again
        if reward_funcs is None and not owns_data:
            options["reward_funcs"] = [accuracy_reward, format_reward]
            built_in: Any = [args.accuracy_weight, args.format_weight]
            args.reward_weights = args.reward_weights or built_in
        rewards = options["reward_funcs"]
        graded = accuracy_reward in (rewards if isinstance(rewards, list) else [rewards])
        sample_reader = SampleReader(require_claims=needs.claims, require_answers=graded)
        check_data(sample_reader, train_dataset, eval_dataset)
        options |= {"train_dataset": cache_rows(train_dataset), "eval_dataset": cache_rows(eval_dataset)}
        probing = needs.claims
        with reference_sharded_like_policy():
            super().__init__(**options)
        self.add_callback(SavesBetweenRollouts(args))
        if not isinstance(self.processing_class, ProcessorMixin):
            raise ModelError(
                f"{type(self.processing_class).__name__} is a tokenizer, so the model cannot see; VAPO trains "
                "vision-language models, whose AutoProcessor handles pictures"
            )
        if args.freeze_vision:
            freeze_vision(self.model)
        if self.is_fsdp_enabled:
            name_layers_to_shard(self.accelerator.state.fsdp_plugin, self.model)
        self._neutralise = make_neutraliser(self.processing_class)
        self._adopt_think_format()
        self._gate_column = self._find_gate_column(args.gate_reward)
        self._bonus_column = self._add_bonus_column() if needs.bonus else None
        self._never_sample_vision_tokens()
        if args.use_vllm:
            mend_rollouts(self.vllm_generation, self.model.config.image_token_id)
        self._log_of_perception = PerceptionLog(
            self._log_metric, self._log_completion_extra, self.algorithm.max_probes
        )
        self._informative = self._make_informative() if args.dynamic_sampling else None
        self._packing = self._make_packing() if args.packing != "off" else None
        self.prober: Prober | None = self._make_prober() if probing else None
        self._questions = ClaimQuestions(self._tokenizer, args.probe_template) if probing else None
        self._own_claims = self._make_own_claims() if probing and args.own_claims_steps else None
        self._sample_reader = sample_reader
        self._update_scores: BatchScores | None = None  # of the forward pass of an update
        self._probe_seconds = 0.0

    # Rollouts ---------------------------------------------------------------------------------------------------

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        if self._informative is not None and self._informative.ready is not None:
            generated = self._informative.take()
        elif self.rollout_func is not None:
            generated = super()._generate(prompts)
        else:
            with features_like_embeddings(find_feature_module(self.model)):
                generated = super()._generate(prompts)
        if self._batch is not None:
            self._batch.generated = generated
        return generated

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        inputs = [self.with_plain_text(row) for row in inputs]
        refilled = self._informative if self.model.training else None
        if refilled is not None:
            inputs = refilled.roll_out(inputs)
        if self._own_claims is not None and self.model.training:
            inputs = self._own_claims.renew(inputs)
        along = self.prober is not None and self._scores_old_policy() and self._may_ask_along()
        self._batch = RolloutBatch(inputs, self._find_place(len(inputs)), asks_while_scoring=along)
        output = super()._generate_and_score_completions(inputs)
        self._batch = None
        if self.algorithm.needs.token_weights:
            output["advantages"] = self._weigh_tokens(output)
        return output if refilled is None else refilled.leave_out_dropped(output)

    def _find_place(self, num_rows: int) -> PlaceInRun:
        training = self.model.training
        return PlaceInRun(
            seed=self.args.probe_seed,
            training=training,
            number=self.rollout_number() if training else self.state.global_step,
            first=self.accelerator.process_index * num_rows,
            group_size=self.num_generations if training else self.num_generations_eval,
        )

    def _weigh_tokens(self, output: dict[str, Any]) -> torch.Tensor:
        """Return advantages of each token, shape (B, T), from those of the responses."""
        ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
        mask_BT = output["completion_mask"]
        method = GRPOTrainer._get_per_token_logps_and_entropies
        images = {name: output[name] for name in inspect.signature(method).parameters if name in output}
        with torch.no_grad():
            log_probs, entropies, _ = self._get_per_token_logps_and_entropies(
                self.model,
                ids,
                torch.cat([output["prompt_mask"], mask_BT], dim=1),
                mask_BT.shape[1],
                batch_size=self.args.per_device_train_batch_size,
                compute_entropy=True,
                **images,
            )
        weights_BT = ask_tokens(self.algorithm.token_weights, BatchScores(log_probs, entropies, []), mask_BT, 1.0)
        return output["advantages"].unsqueeze(1) * weights_BT

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        if self._packing is None or not self._packing.is_on:
            return super()._prepare_inputs(generation_batch)
        with groups_kept_together(self.num_generations):
            return super()._prepare_inputs(generation_batch)

    def _scores_old_policy(self) -> bool:
        """Return whether TRL computes the old policy's log-probabilities, and before any others."""
        generate_every = self.args.steps_per_generation * self.num_iterations
        misaligned = self.args.gradient_accumulation_steps % generate_every != 0
        return misaligned or (self.use_vllm and self.vllm_importance_sampling_correction)

    def _may_ask_along(self) -> bool:
        """Return whether probes asked in TRL's scoring pass are those that would be asked on their own."""
        all_of_them = self.args.silent_share == 1 and not self.args.mask_truncated_completions
        dropout = any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in self.model.modules())
        return all_of_them and not dropout and self.args.probe_backend != "vllm"  # TRL scores in training mode

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        *args: Any,
        num_images: list[int] | None = None,
        batch_num_images: Any = None,
        **kwargs: Any,
    ) -> Any:
        # TRL 1.16 hands over LLaVA-OneVision's batch_num_images, which its own method does not take.
        module = find_feature_module(model)
        kwargs = correct_token_types(kwargs, input_ids, find_image_token_id(module.config))
        with features_like_embeddings(module):
            if self._packing is not None and self._packing.is_on:
                scores = self._score_packed(model, input_ids, *args, num_images=num_images, **kwargs)
                if scores is not None:
                    self._update_scores = scores
                    return scores.log_probs, scores.entropies, None
            with told_images_per_row(module, num_images):
                kwargs["num_images"] = num_images
                found = super()._get_per_token_logps_and_entropies(model, input_ids, *args, **kwargs)
                self._update_scores = BatchScores(found[0], found[1], [])
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
        if self._batch is None or not self._batch.take_scoring_pass():
            return self._packing.score(model, *args, batch_size=batch_size, **images)
        assert self._questions is not None
        drawn = self._batch.draw_probes(self.algorithm, self._sample_reader, self._tokenizer)
        scores = self._packing.score(
            model,
            *args,
            batch_size=batch_size,
            questions=drawn.questions(self._questions),
            answer_tokens=self._questions.answer_tokens,
            **images,
        )
        if scores is not None:
            drawn.take_answers(scores.p_true)
        return scores

    def with_plain_text(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the row with a prompt whose user text holds no special tokens."""
        if "prompt" not in row:  # an environment of TRL's brings it later
            return row
        return {**row, "prompt": keep_text_plain(row["prompt"], self._neutralise)}

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Return TRL's loss and the algorithm's, over kept completions alone where dynamic sampling dropped some."""
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        scores, self._update_scores = self._update_scores, None
        if self.algorithm.needs.token_loss:
            assert scores is not None
            loss = loss + self._find_token_loss(scores, inputs)
        return loss * inputs["loss_scale"] if "loss_scale" in inputs else loss

    def _find_token_loss(self, scores: BatchScores, inputs: dict[str, Any]) -> torch.Tensor:
        mask_BT = inputs["completion_mask"] * inputs.get("tool_mask", 1)
        steps = self.current_gradient_accumulation_steps if self.model.training else 1.0
        num_tokens = inputs["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes
        if self.model.training:  # TRL counts the tokens of a whole rollout, which serves several updates
            num_tokens = num_tokens * steps / self.args.steps_per_generation
        batch = Batch(int(self.args.max_completion_length), steps, num_tokens)
        values_BT = ask_tokens(self.algorithm.token_loss, scores, inputs["completion_mask"], 0.0)
        return aggregate(values_BT, mask_BT, self.loss_type, batch)

    # Rewards ----------------------------------------------------------------------------------------------------

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        rewards_NF = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if self.prober is None:
            return rewards_NF
        started = time.perf_counter()
        assert self._batch is not None
        drawn = self._batch.draw_probes(self.algorithm, self._sample_reader, self._tokenizer)
        first = self.accelerator.process_index * len(prompts)
        own_NF = rewards_NF[first : first + len(prompts)]
        accuracies = [self._read_accuracy(accuracy) for accuracy in own_NF[:, self._gate_column].tolist()]
        scored = drawn.reward(self.prober, accuracies, self._training_progress(), self.args.silent_share)
        self._probe_seconds += time.perf_counter() - started
        self._log_of_perception.add(scored, tables=self.log_completions)
        if self._bonus_column is not None:
            bonuses_N: Any = gather(torch.tensor([own.reward.bonus for own in scored], device=rewards_NF.device))
            # Where no function of the user's scored a completion, TRL leaves it out of its group.
            rewards_NF[:, self._bonus_column] = bonuses_N.masked_fill(rewards_NF.isnan().all(dim=1), torch.nan)
        return rewards_NF

    def _read_accuracy(self, accuracy: float) -> float:
        name = self.reward_func_names[self._gate_column]
        return read_accuracy(accuracy, name, required=self.algorithm.needs.accuracy)

    def _add_bonus_column(self) -> int:
        """Add the perception reward behind the user's own, as TRL does with an environment's; return its place.

        TRL's options are counted before: weights and processing classes are those of the user's functions.
        """
        normalised = self.args.multi_objective_aggregation == "normalize_then_sum"
        weight = self.args.perception_weight if normalised else 1.0
        self.reward_funcs = [*self.reward_funcs, perception_bonus]
        self.reward_func_names = [*self.reward_func_names, perception_bonus.__name__]
        self.reward_processing_classes = [*self.reward_processing_classes, None]
        self.reward_weights = torch.cat([self.reward_weights, torch.tensor([weight])])
        return len(self.reward_funcs) - 1

    def rollout_number(self) -> int:
        """Return how many rollouts the run has made before: a resumed one counts on from its checkpoint.

        The number is the same on any number of processes, which share a rollout's completions.
        """
        accumulation = self.args.gradient_accumulation_steps
        micro_step = self.state.global_step * accumulation + self._step % accumulation
        return micro_step // (self.args.steps_per_generation * self.num_iterations)

    def _training_progress(self) -> float:
        return min(self.state.global_step / self.state.max_steps, 1.0) if self.state.max_steps > 0 else 0.0

    # Set-up -----------------------------------------------------------------------------------------------------

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        if self.prober is not None and self._step % self.current_gradient_accumulation_steps == 0:
            step_seconds = self._metrics["train"]["step_time"][-1]
            self._metrics["train"]["perception/probe_time_share"].append(self._probe_seconds / step_seconds)
            self._probe_seconds = 0.0
        return loss

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        # transformers 5.17 saves some families (LLaVA, LLaVA-OneVision, Qwen2.5-VL) under the names of older releases
        # and reads them back without translating: a resumed run would go on from the base weights, with a warning.
        # from_pretrained translates.
        model = model if model is not None else self.model
        whole = isinstance(model, PreTrainedModel) and not self.is_fsdp_enabled and not self.is_deepspeed_enabled
        if not whole or not list(Path(resume_from_checkpoint).glob("model*.safetensors")):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = type(model).from_pretrained(resume_from_checkpoint, dtype=model.dtype, use_safetensors=True)
        model.load_state_dict(saved.state_dict())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with optimizer_without_idle_weights():
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_best_model(self) -> None:
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_best_model()
        else:
            assert self.state.best_model_checkpoint is not None
            self._load_from_checkpoint(self.state.best_model_checkpoint)

    def _make_informative(self) -> InformativeRollouts:
        return InformativeRollouts(
            self,
            gate=self.reward_funcs[self._gate_column],
            prepare=self.with_plain_text,
            rollout_number=self.rollout_number,
        )

    def _make_own_claims(self) -> OwnClaims:
        return OwnClaims(
            self,
            every=int(self.args.own_claims_steps),
            per_image=max(2, self.algorithm.max_probes),
            collective=self._forward_is_collective(),
        )

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
            max_batch_tokens=self.args.probe_batch_tokens,
            autocast=lambda: self.accelerator.autocast(),
            agree_on_batches=self._most_batches if self.accelerator.num_processes > 1 else None,
            collective=self._forward_is_collective(),
        )

    def _forward_is_collective(self) -> bool:
        return bool(self.is_fsdp_enabled or (self.is_deepspeed_enabled and self._dist.is_zero3))

    def _most_batches(self, own: int) -> int:
        everyone: Any = gather(torch.tensor([own], device=self.accelerator.device))
        return int(everyone.max())

    def _find_gate_column(self, name: str | None) -> int:
        names = self.reward_func_names
        if name is not None and name not in names:
            raise ConfigError(f"gate_reward={name!r} is none of the reward functions ({', '.join(names)})")
        return names.index(name) if name is not None else 0

    def _adopt_think_format(self) -> None:
        """Use the format reward that fits a chat template whose generation prompt already opens <think>."""
        if format_reward in self.reward_funcs:
            check_think_tags(self._tokenizer, ", or pass reward functions of your own")
        probe = [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
        options: Any = self.chat_template_kwargs
        rendered = self.processing_class.apply_chat_template(
            probe, add_generation_prompt=True, tokenize=False, **options
        )
        if ends_in_open_thinking(rendered):
            self.reward_funcs = [opened_format_reward if f is format_reward else f for f in self.reward_funcs]

    def _never_sample_vision_tokens(self) -> None:
        ids = set(find_vision_token_ids(self.model.config, self._tokenizer))
        if self.use_vllm:
            never_sample(self.vllm_generation, sorted(ids))
            return
        ids |= set(self.generation_kwargs.get("suppress_tokens") or [])
        self.generation_kwargs["suppress_tokens"] = sorted(ids)
        self.generation_config.suppress_tokens = sorted(ids)


def ask_tokens(
    ask: Callable[[TokenScores], torch.Tensor | None], scores: BatchScores, mask_BT: torch.Tensor, otherwise: float
) -> torch.Tensor:
    """Return what an algorithm says of each token; shape (B, T).

    Args:
        ask: its method, which is given one response at a time.
        scores: of B responses.
        mask_BT: 1 where a response has a token; responses begin on the left.
        otherwise: stands on padding, and where it says nothing.
    """
    rows: list[torch.Tensor] = []
    for row, length in enumerate(mask_BT.sum(1).tolist()):
        entropies = None if scores.entropies is None else scores.entropies[row, :length]
        values = ask(TokenScores(scores.log_probs[row, :length], entropies)) if length else None
        kept = torch.full_like(scores.log_probs[row], otherwise)
        rows.append(kept if values is None else torch.cat([values, kept[length:]]))
    return torch.stack(rows)


def perception_bonus(completions: Sequence[Any], **_: Any) -> list[None]:
    """Hold the place of the perception reward; the trainer fills it in once accuracies are known."""
    return [None] * len(completions)
