"""A transformers model under diagnosis, in this process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from vapo.data.image_views import Masking, leave_out_images, mask_images
from vapo.data.prompts import PLACE
from vapo.diagnosis.transformers.aligned_rows import Branch
from vapo.diagnosis.transformers.attention_ratio import attention_on_image
from vapo.diagnosis.transformers.branching import MAX_BATCH_TOKENS, continue_branches, score_branches
from vapo.diagnosis.transformers.image_looks import ImageLooks, show_grey
from vapo.diagnosis.transformers.image_replay import ImageReplay
from vapo.diagnosis.transformers.obstacles import find_obstacles
from vapo.diagnosis.transformers.token_divergence import measure_divergence
from vapo.errors import ModelError
from vapo.models.diagnosed_model import GREEDY, Ability, Cut, Sampling, ScoredText, View
from vapo.models.media_tokens import find_vision_token_ids
from vapo.models.plain_text import Escaper, make_escaper
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.first_look import FirstLook
from vapo.models.policy.generation import find_eos_token_ids, sample_completions
from vapo.models.policy.prompt_writer import PromptWriter
from vapo.models.policy.response_texts import read_cut_texts, spell_tokens
from vapo.models.questions import PROBE_TEMPLATE
from vapo.probing.transformers_prober import TransformersProber
from vapo.types import Probe, Rollout, Sample, Verdict


class TransformersModel:
    """Satisfies `DiagnosedModel` with a model of transformers, on any device, also spread over several (`device_map`).

    Args:
        policy: the model and its processor.
        system_prompt: text of a system message; None for none.
        batch_size: responses that are written together.
        max_batch_tokens: tokens held at a time where cuts are continued; a quarter of it in one pass of probes.
        masking: what view "blank" shows in `compare_views`; probes are always shown grey.
        seed: of what is drawn for a masking.
        probe_template: how claims are asked.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        system_prompt: str | None = None,
        batch_size: int = 16,
        max_batch_tokens: int = MAX_BATCH_TOKENS,
        masking: Masking = "blank",
        seed: int = 0,
        probe_template: str = PROBE_TEMPLATE,
    ) -> None:
        self._policy = policy
        self._tokenizer = policy.processor.tokenizer
        self._system_prompt = system_prompt
        self._batch_size = batch_size
        self._max_batch_tokens = max_batch_tokens
        self._masking: Masking = masking
        self._seed = seed
        self._probe_template = probe_template
        self._probers: dict[View, TransformersProber] = {}

    @property
    def name(self) -> str:
        """What reports call it."""
        return self._policy.name

    @cached_property
    def _obstacles(self) -> dict[Ability, str]:
        return find_obstacles(self._policy, self._probe_template, self._system_prompt)

    @cached_property
    def _replay(self) -> ImageReplay:
        return ImageReplay(self._policy, self._system_prompt)

    @cached_property
    def _looks(self) -> ImageLooks:
        return ImageLooks(self._policy)

    @cached_property
    def _never_written(self) -> tuple[int, ...]:
        return find_vision_token_ids(self._policy.model.config, self._policy.processor)

    @cached_property
    def _escape(self) -> Escaper:
        return make_escaper(self._policy.processor)

    @cached_property
    def _first_look(self) -> FirstLook:
        return FirstLook(self._policy, self._system_prompt, self._probe_template)

    @cached_property
    def _writer(self) -> PromptWriter:
        return PromptWriter(self._policy, self._system_prompt)

    @property
    def abilities(self) -> frozenset[Ability]:
        """What it can do; found by trying what differs between models, before anything is computed."""
        return frozenset(get_args(Ability)) - frozenset(self._obstacles)

    def why_not(self, ability: Ability) -> str:
        """Return why an ability is missing. Raises ValueError if it is not."""
        if ability not in self._obstacles:
            raise ValueError(f"{self.name} is able to {ability}")
        return self._obstacles[ability]

    def write_responses(
        self, samples: Sequence[Sample], max_completion_tokens: int, sampling: Sampling = GREEDY
    ) -> list[Rollout]:
        """Answer questions; one response each. Raises as `sample_completions` does."""
        self._demand("continue")
        completions = sample_completions(
            self._policy,
            samples,
            max_completion_tokens=max_completion_tokens,
            temperature=sampling.temperature,
            seed=sampling.seed,
            batch_size=self._batch_size,
            system_prompt=self._system_prompt,
        )
        rollouts = [own[0] for own in completions]
        self._first_look.check_rows(rollouts)
        if sampling.temperature == 0:
            self._first_look.check_greedy(rollouts)
        return rollouts

    def continue_cuts(self, cuts: Sequence[Cut], max_new_tokens: int) -> list[str]:
        """Return the text written behind each cut, without special tokens.

        A suffix is read by the tokenizer as it stands: `</think>` is the model's own token if it has one. It is the
        caller's configuration; text from data comes as a cut's text. An end token among what is kept is left out
        before either.

        Raises:
            ConfigError: a suffix holds a token that stands for an image.
            ModelError: a cut leaves no room in the model's context, or a first look finds other tokens than those of
                a plain pass.
        """
        self._demand("continue")
        branches = [self._grow(cut) for cut in cuts]
        written = continue_branches(self._policy, branches, max_new_tokens, max_batch_tokens=self._max_batch_tokens)
        if branches:
            self._check_continuation(*min(zip(branches, written, strict=True), key=lambda pair: pair[0].num_tokens))
        return [
            "".join(spell_tokens(self._tokenizer, ids, branch.all_ids))
            for branch, ids in zip(branches, written, strict=True)
        ]

    def score_texts(self, cuts: Sequence[Cut]) -> list[ScoredText]:
        """Return the log-probability of each token of the cuts' texts.

        Raises:
            ConfigError: a suffix holds a token that stands for an image.
            ModelError: a text leaves the model's context.
        """
        self._demand("continue")
        read = [self._read(cut) for cut in cuts]
        counts = [len(text) for _, text in read]
        branches = [self._grow(cut) for cut in cuts]
        scored = score_branches(self._policy, branches, counts, max_batch_tokens=self._max_batch_tokens)
        return [
            ScoredText(spell_tokens(self._tokenizer, text, branch.all_ids[: branch.num_tokens - len(text)]), logprobs)
            for (_, text), branch, logprobs in zip(read, branches, scored, strict=True)
        ]

    def rewrite_prompts(self, pairs: Sequence[tuple[Rollout, Sample]]) -> list[Rollout]:
        """Return each rollout behind the prompt of another sample, the tokens of its completion kept.

        Raises:
            ModelError: a rollout's prompt is not its sample's own.
        """
        return [self._rewrite(rollout, sample) for rollout, sample in pairs]

    def score_probes(self, probes: Sequence[Probe], view: View = "image") -> list[Verdict]:
        """Return one verdict per probe, in order.

        Under "blank" every image is grey. Under "none" the prompt is written anew without images, and the tokens
        of the response are kept.

        Raises:
            ModelError: the model cannot be probed, a first look finds other answers than those of a plain pass, or,
                under "none", the rollout's prompt is not its sample's own.
        """
        self._demand("probe")
        seen: dict[int, Rollout] = {}
        for probe in probes:
            if id(probe.rollout) not in seen:
                seen[id(probe.rollout)] = self._show(probe.rollout, view, "blank")
        asked = [replace(probe, rollout=seen[id(probe.rollout)]) for probe in probes]
        if view not in self._probers:
            self._probers[view] = TransformersProber(
                self._policy.model,
                self._policy.processor,
                tell=None if self._probers else logging.getLogger(__name__).warning,
                template=self._probe_template,
                max_batch_tokens=max(1, self._max_batch_tokens // 4),
            )
        verdicts = self._probers[view].score(asked)
        self._first_look.check_verdicts(verdicts)
        return [Verdict(probe, verdict.p_true) for probe, verdict in zip(probes, verdicts, strict=True)]

    def replay_image(self, cut: Cut, max_new_tokens: int, scale: float) -> Rollout:
        """Show the image again, its sides scaled by `scale`, as a user turn behind the cut, and let the model go on.

        The new rollout's prompt holds the old prompt, the kept response, the cut's suffix and the turn; its completion
        is what is new. See `ImageReplay`.
        """
        return self.replay_images([cut], max_new_tokens, scale)[0]

    def replay_images(self, cuts: Sequence[Cut], max_new_tokens: int, scale: float) -> list[Rollout]:
        """Do `replay_image` for many cuts, which are written on together."""
        self._demand("replay")
        shown: list[Rollout] = []
        for cut in cuts:
            branch = self._grow(cut)
            kept = branch.rollout.completion_ids[: branch.index] + branch.ids
            rollout = replace(branch.rollout, completion_ids=kept, token_texts=("",) * len(kept))
            shown.append(self._replay.show_again(rollout, len(kept), scale))
        branches = [Branch(rollout, 0) for rollout in shown]
        written = continue_branches(self._policy, branches, max_new_tokens, max_batch_tokens=self._max_batch_tokens)
        return [
            replace(rollout, completion_ids=new, token_texts=spell_tokens(self._tokenizer, new))
            for rollout, new in zip(shown, written, strict=True)
        ]

    def read_cut(self, cut: Cut) -> Rollout:
        """Return the kept response with the cut's suffix and text as further tokens, as `continue_cuts` reads it."""
        branch = self._grow(cut)
        kept = branch.rollout.completion_ids[: branch.index]
        texts = branch.rollout.token_texts[: branch.index] + spell_tokens(self._tokenizer, branch.ids, kept)
        return replace(branch.rollout, completion_ids=kept + branch.ids, token_texts=texts)

    def attend_to_image(self, rollout: Rollout) -> list[list[list[float]]]:
        """Return the share of attention on image tokens; shape (completion tokens, layers, heads)."""
        self._demand("attend")
        return attention_on_image(self._policy.model, self._policy.processor, rollout).tolist()

    def compare_views(self, rollout: Rollout, view: View = "blank") -> list[float]:
        """Return KL(with the image || under `view`) of each completion token, in nats; shape (T,)."""
        self._demand("compare_views")
        return measure_divergence(self._policy, rollout, self._show(rollout, view, self._masking)).tolist()

    def map_attention(self, rollout: Rollout) -> NDArray[np.float32]:
        """Return the attention on each cell of the image; see `ImageLooks.map_attention`."""
        self._demand("locate")
        return self._looks.map_attention(rollout)

    def score_rest(self, rollout: Rollout, start: int, cells: NDArray[np.bool_] | None = None) -> float:
        """Return the mean log-probability of completion tokens `start` and later, in nats, with `cells` grey."""
        self._demand("locate")
        return self._looks.score(rollout if cells is None else show_grey(rollout, cells), start)

    def _check_continuation(self, branch: Branch, written: tuple[int, ...]) -> None:
        kept = branch.rollout.completion_ids[: branch.index] + branch.ids
        ids = kept + written
        whole = replace(branch.rollout, completion_ids=ids, token_texts=("",) * len(ids))
        self._first_look.check_greedy([whole], [len(kept)])

    def _demand(self, ability: Ability) -> None:
        if ability in self._obstacles:
            raise ModelError(self._obstacles[ability])

    def _read(self, cut: Cut) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return read_cut_texts(self._tokenizer, cut, self._escape, self._never_written)

    def _grow(self, cut: Cut) -> Branch:
        suffix, text = self._read(cut)
        ids = suffix + text
        index = cut.index
        if ids and index and cut.rollout.completion_ids[index - 1] in find_eos_token_ids(self._policy):
            index -= 1
        return Branch(cut.rollout, index, ids)

    def _show(self, rollout: Rollout, view: View, masking: Masking) -> Rollout:
        if view == "image":
            return rollout
        if view == "blank":
            return replace(rollout, sample=mask_images(rollout.sample, masking, self._seed))
        return self.rewrite_prompts([(rollout, leave_out_images(rollout.sample))])[0]

    def _rewrite(self, rollout: Rollout, sample: Sample) -> Rollout:
        writer = self._writer
        # One that was shown its images again has more of them than places.
        writable = rollout.sample.question.count(PLACE) in (0, len(rollout.sample.images))
        if not writable or writer.write(rollout.sample).ids != rollout.prompt_ids:
            raise ModelError(
                f"sample {rollout.sample.id!r}: its rollout's prompt is not the one that {self.name} writes for it, "
                "so it cannot be written with other images or without; use view 'blank'"
            )
        return replace(rollout, sample=sample, prompt_ids=writer.write(sample).ids)
