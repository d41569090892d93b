"""A model behind an OpenAI-compatible server, diagnosed through its text and log-probabilities.

What a server can do is found out before anything is computed: whether it continues a response from the very tokens
that the response was cut behind. vLLM does with `--enable-scale-out`, and mostly through its chat endpoint, where each
continuation is checked. A server that cannot be checked writes responses only. Attention and whole distributions do
not leave any server: for these, run the checkpoint with transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn, Protocol

from vapo.api.connection import ServerConnection
from vapo.data.image_views import leave_out_images, mask_images
from vapo.data.repeated_images import REPLAY_SENTENCE, repeat_images
from vapo.errors import ConfigError, ModelError
from vapo.models.diagnosed_model import GREEDY, Ability, Cut, Sampling, ScoredText, View
from vapo.models.media_tokens import find_vision_token_ids
from vapo.models.plain_text import make_escaper
from vapo.models.policy.response_texts import read_cut_texts, spell_tokens
from vapo.models.questions import PROBE_TEMPLATE, AnswerTokens, ClaimQuestions, share_of_yes
from vapo.serving.chat import MAX_TOP_LOGPROBS, UNKNOWN_ID, write_text_only
from vapo.serving.conversation import Message, write_conversation
from vapo.types import Probe, Rollout, Sample, Verdict


class Continuation(Protocol):
    """A way to continue token ids on a server: `TokenEndpoints` or `ChatEndpoint`."""

    def find_prompt(self, sample: Sample) -> tuple[int, ...]:
        """Return a sample's prompt in tokens."""
        ...

    def write(
        self,
        sample: Sample,
        prompt_ids: Sequence[int],
        ids: Sequence[int],
        max_tokens: int,
        sampling: Sampling = GREEDY,
    ) -> tuple[int, ...]:
        """Return what the model writes behind `ids`."""
        ...

    def ask(
        self,
        sample: Sample,
        prompt_ids: Sequence[int],
        ids: Sequence[int],
        token_ids: Sequence[int],
        *,
        among_all: bool = False,
    ) -> dict[int, float]:
        """Return the log-probabilities of those of `token_ids` that are known, up to a constant that all of them
        share; `among_all` tokens of the vocabulary that is 0."""
        ...

    def find_replay_prompt(self, rollout: Rollout, ids: Sequence[int], sample: Sample, words: str) -> tuple[int, ...]:
        """Return the prompt that shows a question's images again behind the first tokens of a completion."""
        ...


class ServerModel:
    """A model behind a server; `vapo.serving.start.connect_model` makes one.

    Args:
        connection: to the server.
        tokenizer: the model's; None where there is no `continuation`.
        continuation: continues token ids exactly; None where the server cannot.
        obstacle: why it cannot, in a sentence that says what to do.
        name: what reports call the model; None for its name on the server.
        system_prompt: text of a system message; None for none.
        template: how claims are put, see `vapo.models.questions`.
    """

    def __init__(
        self,
        connection: ServerConnection,
        tokenizer: Any,
        continuation: Continuation | None,
        *,
        obstacle: str = "",
        name: str | None = None,
        system_prompt: str | None = None,
        template: str = PROBE_TEMPLATE,
    ) -> None:
        self._connection = connection
        self._tokenizer = tokenizer
        self._continuation = continuation
        self._obstacle = obstacle
        self._name = name or connection.model
        self._system_prompt = system_prompt
        self._questions = ClaimQuestions(tokenizer, template) if continuation is not None else None
        self._escape = make_escaper(tokenizer) if tokenizer is not None else None

    @property
    def name(self) -> str:
        """What reports call it."""
        return self._name

    @property
    def abilities(self) -> frozenset[Ability]:
        """What the server can do; writing responses is no ability, as every one can."""
        return frozenset(() if self._continuation is None else ("continue", "probe", "replay"))

    def why_not(self, ability: Ability) -> str:
        """Return why an ability is missing, in a sentence that says what to do."""
        if ability == "attend":
            return f"{self._name} runs behind a server, which reports no attention; {_RUN_IT_HERE}"
        if ability == "locate":
            return f"{self._name} runs behind a server, which reports no attention on an image; {_RUN_IT_HERE}"
        if ability == "compare_views":
            return f"{self._name} runs behind a server, which reports no whole distributions; {_RUN_IT_HERE}"
        return self._obstacle

    def write_responses(
        self, samples: Sequence[Sample], max_completion_tokens: int, sampling: Sampling = GREEDY
    ) -> list[Rollout]:
        """Answer questions; one response each.

        Where the server reports no token ids, those of the prompt are missing and those of the response `UNKNOWN_ID`.

        Raises:
            DataError: a question's `<image>` places do not fit its images.
            ServerError: the server does not answer, or refuses a prompt.
        """
        _check_length("max_completion_tokens", max_completion_tokens)
        return self._connection.map(
            lambda sample: self._write_response(sample, max_completion_tokens, sampling), samples
        )

    def continue_cuts(self, cuts: Sequence[Cut], max_new_tokens: int) -> list[str]:
        """Return the text written behind each cut; a server with a prefix cache reads the shared part once.

        Raises:
            ModelError: a cut cannot be continued exactly.
            ServerError: the server does not answer, or has no room for a response in its context.
        """
        _check_length("max_new_tokens", max_new_tokens)
        way = self._need("continue")
        return self._connection.map(lambda cut: self._continue_cut(way, cut, max_new_tokens), cuts)

    def score_texts(self, cuts: Sequence[Cut]) -> list[ScoredText]:
        """Return the log-probability of each token of the cuts' texts, each asked for behind all before it.

        Tokens behind the same ones are asked for together; a server with a prefix cache reads the shared part once.

        Raises:
            ModelError: a cut cannot be continued exactly, or the server does not tell the log-probability of any
                token that is asked for.
            ServerError: the server does not answer.
        """
        way = self._need("continue")
        read = [self._read(cut) for cut in cuts]
        places: dict[tuple[int, tuple[int, ...]], tuple[Rollout, set[int]]] = {}
        for cut, (kept, text) in zip(cuts, read, strict=True):
            for number, token in enumerate(text):
                place = (id(cut.rollout), kept + text[:number])
                places.setdefault(place, (cut.rollout, set()))[1].add(token)
        asked = [
            (place, rollout, sorted(tokens)[start : start + _ASKED_TOGETHER])
            for place, (rollout, tokens) in places.items()
            for start in range(0, len(tokens), _ASKED_TOGETHER)
        ]
        known: dict[tuple[int, tuple[int, ...]], dict[int, float]] = {}
        told = self._connection.map(lambda one: self._ask_among_all(way, one[1], one[0][1], one[2]), asked)
        for (place, *_), logprobs in zip(asked, told, strict=True):
            known.setdefault(place, {}).update(logprobs)
        return [
            ScoredText(
                spell_tokens(self._tokenizer, text, kept),
                tuple(known[id(cut.rollout), kept + text[:n]][token] for n, token in enumerate(text)),
            )
            for cut, (kept, text) in zip(cuts, read, strict=True)
        ]

    def read_cut(self, cut: Cut) -> Rollout:
        """Return the kept response with the cut's suffix and text as further tokens, as `continue_cuts` reads it."""
        self._need("continue")
        kept, text = self._read(cut)
        return replace(cut.rollout, completion_ids=kept + text, token_texts=spell_tokens(self._tokenizer, kept + text))

    def rewrite_prompts(self, pairs: Sequence[tuple[Rollout, Sample]]) -> list[Rollout]:
        """Return each rollout behind the prompt of another sample, the tokens of its completion kept.

        Raises:
            ModelError: a rollout's prompt is not the one that the server writes for its own sample.
            ServerError: the server does not answer.
        """
        way = self._need("continue")
        return self._connection.map(lambda pair: self._rewrite(way, *pair), pairs)

    def score_probes(self, probes: Sequence[Probe], view: View = "image") -> list[Verdict]:
        """Return one verdict per probe, in order; for the views, see `TransformersModel.score_probes`.

        Raises:
            ModelError: the server tells no log-probability of "yes" or none of "no"; or, under "none", the rollout's
                prompt is not its sample's own.
            ServerError: the server does not answer.
        """
        way = self._need("probe")
        rollouts = {id(probe.rollout): probe.rollout for probe in probes}
        shown = self._connection.map(lambda rollout: self._show(way, rollout, view), list(rollouts.values()))
        seen = dict(zip(rollouts, shown, strict=True))
        return self._connection.map(lambda probe: self._score(way, probe, seen[id(probe.rollout)]), probes)

    def replay_image(self, cut: Cut, max_new_tokens: int, scale: float) -> Rollout:
        """Show the question's images again as a user turn behind the cut, and let the model go on.

        Returns:
            What the model wrote behind that turn. All before it is its prompt, and the images shown again are added
            to its sample's, so that it can be cut and shown them again.

        Raises:
            ConfigError: a number is out of its range.
            ModelError: the sample has no image, or the cut cannot be continued exactly.
        """
        _check_length("max_new_tokens", max_new_tokens)
        way, sample = self._need("replay"), cut.rollout.sample
        shown = repeat_images(sample, scale)
        kept = self._keep(cut)
        if self._has_ended(cut) and not cut.suffix + cut.text:
            kept = kept[:-1]  # the turn's own end stands there
        prompt = way.find_replay_prompt(cut.rollout, kept, shown, REPLAY_SENTENCE)
        ids = way.write(shown, prompt, (), max_new_tokens)
        return Rollout(shown, prompt, ids, spell_tokens(self._tokenizer, ids))

    def replay_images(self, cuts: Sequence[Cut], max_new_tokens: int, scale: float) -> list[Rollout]:
        """Do `replay_image` for every cut, several at a time."""
        return self._connection.map(lambda cut: self.replay_image(cut, max_new_tokens, scale), cuts)

    def attend_to_image(self, rollout: Rollout) -> NoReturn:
        """Raise ModelError: no server reports attention."""
        raise ModelError(self.why_not("attend"))

    def compare_views(self, rollout: Rollout, view: View = "blank") -> NoReturn:
        """Raise ModelError: no server reports whole distributions."""
        raise ModelError(self.why_not("compare_views"))

    def converse(self, sample: Sample) -> list[Message]:
        """Return the conversation that asks a sample's question."""
        return write_conversation(sample, self._system_prompt, self._escape)

    def _write_response(self, sample: Sample, max_tokens: int, sampling: Sampling) -> Rollout:
        if self._continuation is None:
            texts = write_text_only(self._connection, self.converse(sample), max_tokens, sample, sampling)
            return Rollout(sample, (), (UNKNOWN_ID,) * len(texts), texts)
        prompt = self._continuation.find_prompt(sample)
        ids = self._continuation.write(sample, prompt, (), max_tokens, sampling)
        return Rollout(sample, prompt, ids, spell_tokens(self._tokenizer, ids))

    def _continue_cut(self, way: Continuation, cut: Cut, max_tokens: int) -> str:
        if self._has_ended(cut) and not cut.suffix + cut.text:
            return ""
        kept = self._keep(cut)
        new = way.write(cut.rollout.sample, cut.rollout.prompt_ids, kept, max_tokens)
        return "".join(spell_tokens(self._tokenizer, new, kept))

    def _keep(self, cut: Cut) -> tuple[int, ...]:
        """Return the tokens of the completion that stand before what comes next, suffix and text included."""
        kept, text = self._read(cut)
        return kept + text

    def _read(self, cut: Cut) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the tokens of the completion up to the end of the suffix, and those of the text."""
        if not 0 <= cut.index <= len(cut.rollout.completion_ids):
            raise ValueError(
                f"a cut behind {cut.index} tokens of a response that has {len(cut.rollout.completion_ids)}"
            )
        assert self._escape is not None  # wherever responses can be continued
        vision_token_ids = find_vision_token_ids(None, self._tokenizer)
        suffix, text = read_cut_texts(self._tokenizer, cut, self._escape, vision_token_ids)
        index = cut.index - 1 if suffix + text and self._has_ended(cut) else cut.index
        return cut.rollout.completion_ids[:index] + suffix, text

    def _has_ended(self, cut: Cut) -> bool:
        """Whether the last kept token is the response's end token."""
        ids = cut.rollout.completion_ids
        return 0 < cut.index == len(ids) and ids[-1] in self._tokenizer.all_special_ids

    def _show(self, way: Continuation, rollout: Rollout, view: View) -> Rollout:
        if view == "image":
            return rollout
        if view == "blank":
            return replace(rollout, sample=mask_images(rollout.sample, "blank"))
        return self._rewrite(way, rollout, leave_out_images(rollout.sample))

    def _rewrite(self, way: Continuation, rollout: Rollout, sample: Sample) -> Rollout:
        if way.find_prompt(rollout.sample) != rollout.prompt_ids:
            raise ModelError(
                f"sample {rollout.sample.id!r}: its rollout's prompt is not the one that the server writes for it, so "
                "it cannot be written with other images or without; use view 'blank'"
            )
        return replace(rollout, sample=sample, prompt_ids=way.find_prompt(sample))

    def _score(self, way: Continuation, probe: Probe, shown: Rollout) -> Verdict:
        assert self._questions is not None  # wherever responses can be continued
        answers = self._questions.answer_tokens
        ids = shown.completion_ids[: probe.anchor.index] + self._questions.encode(probe.claim.text)
        logprobs = way.ask(shown.sample, shown.prompt_ids, ids, [*answers.yes, *answers.no])
        return Verdict(probe, _share_of_yes(logprobs, answers, probe.rollout.sample.id))

    def _ask_among_all(
        self, way: Continuation, rollout: Rollout, ids: tuple[int, ...], token_ids: Sequence[int]
    ) -> dict[int, float]:
        sample = rollout.sample
        logprobs = way.ask(sample, rollout.prompt_ids, ids, token_ids, among_all=True)
        if not set(token_ids) <= set(logprobs):
            raise ModelError(
                f"sample {sample.id!r}: the server tells no log-probability of a given token (`logprob_token_ids`), "
                "so how likely an answer is remains unknown; use vLLM 0.31 or newer without `--logprobs-mode`, or run "
                "the checkpoint with transformers"
            )
        return logprobs

    def _need(self, ability: Ability) -> Continuation:
        if self._continuation is None:
            raise ModelError(self.why_not(ability))
        return self._continuation


_ASKED_TOGETHER = MAX_TOP_LOGPROBS - 1  # tokens; one place is that of the token which the server draws
_RUN_IT_HERE = "for that, run its checkpoint with transformers, without a server"


def _share_of_yes(logprobs: dict[int, float], answers: AnswerTokens, sample_id: str) -> float:
    yes, no = ([token for token in side if token in logprobs] for side in (answers.yes, answers.no))
    if not yes or not no:
        lacking = "neither 'yes' nor 'no'" if not yes and not no else "no 'yes'" if not yes else "no 'no'"
        raise ModelError(
            f"sample {sample_id!r}: the server ignores `allowed_token_ids` and `logprob_token_ids`, and there is "
            f"{lacking} among the likeliest tokens it lists, so P(true) is unknown; use vLLM 0.31 or newer, or run "
            "the checkpoint with transformers"
        )
    return share_of_yes(logprobs, yes, no)


def _check_length(name: str, number: int) -> None:
    if number < 1:
        raise ConfigError(f"{name} is {number}; it must be at least 1")
