"""The agent loop `vapo`: verl's single turn, then probes along the response, then a reward with named parts.

The rollout is verl's own; only the server client is exchanged for one that remembers it (`session`). What is drawn
and what it is worth is shared with the trainer on TRL.
"""

# verl and Ray are in an environment of their own.
# pyright: reportMissingImports=false

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from PIL import Image
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from vapo.algorithms.sampled_images import choose_images
from vapo.core.grading import grade_format, grade_sample
from vapo.errors import ConfigError, ModelError
from vapo.models.policy.response_texts import spell_tokens
from vapo.probing.draws import seed_evaluation_draws, seed_training_draws
from vapo.probing.perception_scorer import choose_probed, draw_probes
from vapo.training.rows import keep_text_plain
from vapo.types import Rollout
from vapo.verl.asking import AskedProbes, ask_probes
from vapo.verl.parts import Parts, name_answer, name_parts
from vapo.verl.rows import holds_more_than_images, is_for_training, list_images, read_sample
from vapo.verl.run_position import check_progress, find_place, find_progress
from vapo.verl.sampling_formats import find_sampling_format
from vapo.verl.session import RolloutSession
from vapo.verl.settings import read_settings
from vapo.verl.worker import open_worker

_FROM_VERL = ("trainer_config", "server_manager", "tokenizer", "processor", "dataset_cls", "data_config")
_ALSO_FROM_VERL = ("hf_model_type", "tools", "name")


class VAPOAgentLoop(SingleTurnAgentLoop):
    """One rollout with its probes.

    Args:
        given: what verl gives to every agent loop, and by name the settings that its agent-loop file holds, see
            `LoopSettings`.

    Raises:
        ConfigError: a setting is unknown or out of range, or the servers cannot be asked.
        ModelError: the model has no processor, or cannot be probed.
    """

    def __init__(self, **given: Any) -> None:
        from_verl = {name: given.pop(name) for name in _FROM_VERL}
        also = {name: given.pop(name, None) for name in _ALSO_FROM_VERL}
        self._settings = read_settings(given)
        if from_verl["processor"] is None:
            raise ModelError(
                "the model has no processor, so it cannot see; VAPO trains vision-language models, whose "
                "AutoProcessor handles images"
            )
        super().__init__(**from_verl, hf_model_type=also["hf_model_type"])
        rollout, model = self.rollout_config, self.config.actor_rollout_ref.model
        sampling_format = find_sampling_format(rollout.name, rollout.get("logprobs_mode"))
        self._worker = open_worker(
            self.processor, model.path, self._settings, trust_remote_code=bool(model.get("trust_remote_code"))
        )
        if self._worker.algorithm.needs.sampled_images:
            _check_correction(self.config.algorithm.get("rollout_correction") or {})
        self._session = RolloutSession(from_verl["server_manager"], sampling_format, self._worker.never_sampled)
        self.server_manager: Any = self._session

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """Roll out, ask the probes, and reward; see `AgentLoopBase.run`.

        Raises:
            ConfigError: images to sample from depend on the progress of the training, which verl does not tell.
            DataError: the row cannot be used.
            ModelError: the server does not keep to what it is asked.
        """
        messages = list(row["raw_prompt"])
        sample = read_sample(row, list_images(messages), self._worker.reader)
        if self._worker.algorithm.needs.sampled_images and is_for_training(row):
            self._session.sampled_images = self._choose_images(list_images(messages), row)
        plain = keep_text_plain(messages, self._worker.escape)
        output = await super().run(sampling_params, priority=row.get("priority", 0), raw_prompt=plain)
        texts, tags = spell_tokens(self._worker.tokenizer, output.response_ids), self._worker.think_tags
        rollout = Rollout(sample, tuple(output.prompt_ids), tuple(output.response_ids), texts, tags)
        started = time.perf_counter()
        output.reward_score, output.extra_fields["reward_extra_info"] = await self._reward(rollout, row)
        output.metrics.tool_calls = time.perf_counter() - started  # verl logs it beside the time of the rollout
        return output

    def _choose_images(self, images: list[Any], row: dict[str, Any]) -> list[Any]:
        if row.get("global_steps") is None:
            raise ConfigError(
                f"algorithm {self._settings.algorithm!r} chooses images by the progress of the training, which verl's "
                "V0 trainer tells no rollout; set trainer.use_v1=True"
            )
        place = find_place(row, None, self.rollout_config.n)
        return choose_images(
            self._worker.algorithm,
            images,
            seed=self._settings.probe_seed,
            place=[place.rollout_number, place.row, place.member],
            member=place.member,
            group_size=self.rollout_config.n,
            progress=check_progress(find_progress(self.config, place.rollout_number), required=True),
        )

    async def _reward(self, rollout: Rollout, row: dict[str, Any]) -> tuple[float, Parts]:
        algorithm, settings, sample = self._worker.algorithm, self._settings, rollout.sample
        accuracy = await self.loop.run_in_executor(None, grade_sample, rollout.answer_text, sample)
        opened = self._worker.opens_thinking(rollout.prompt_ids)
        form = grade_format(rollout.text, think_opened=opened, tags=rollout.think_tags)
        place = find_place(row, self._session.weights, self.rollout_config.n)
        needs = algorithm.needs
        progress = check_progress(find_progress(self.config, place.rollout_number), required=needs.progress)
        trains = is_for_training(row)
        if not needs.claims or not (trains or settings.validation_probes):
            reward = algorithm.reward(accuracy, form, (), progress)
            return reward.total, name_answer(reward)
        seed, step, member = settings.probe_seed, place.rollout_number, place.member
        if trains:
            draws = seed_training_draws(algorithm, seed, rollout_number=step, group=place.row, member=member)
        else:
            draws = seed_evaluation_draws(algorithm, seed, step=step, sample=sample, member=member)
        (probes,) = draw_probes(algorithm, [rollout], [draws])
        (probed,) = choose_probed(algorithm, [accuracy], [draws], progress, settings.closed_gate_probe_share)
        asked = AskedProbes()
        if probed:
            asked = await ask_probes(
                self._session,
                self._worker,
                probes,
                timeout=settings.probe_timeout,
                context=self.rollout_config.max_model_len,
                exact=needs.probabilities,
            )
        reward = algorithm.reward(accuracy, form, asked.verdicts, progress)
        counts = algorithm.uses_verdicts(accuracy, progress)
        return reward.total, name_parts(reward, asked, len(probes), algorithm.max_probes, gate_open=counts)

    async def process_multi_modal_info(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """Hand on the images as they are: the processor scales them, and once is enough.

        verl's own way scales them by Qwen's rules first, whatever the model.

        Raises:
            ConfigError: there are videos or sounds, or images that the data only names.
        """
        if holds_more_than_images(messages):
            raise ConfigError("the agent loop 'vapo' takes images alone; leave out rows with videos or sounds")
        images = list_images(messages)
        if not all(isinstance(image, Image.Image) for image in images):
            raise ConfigError("images must stand in the data itself; write it with `vapo verl convert`")
        return {"images": images} if images else {}


def _check_correction(rollout_correction: Mapping[str, Any]) -> None:
    """Refuse what compares the policy that sampled with the one that is trained: they see different images."""
    used = [name for name in ("bypass_mode", "rollout_is", "rollout_rs") if rollout_correction.get(name)]
    if used:
        raise ConfigError(
            "the algorithm samples from other images than it trains on, and "
            f"algorithm.rollout_correction.{used[0]} would take that for a difference between engines; leave it out"
        )
