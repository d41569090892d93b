"""Remedies: show the image again along the response, or remind the model to look, and see whether answers get better.

A remedied response is interrupted n times, each time at the logical boundary nearest to one n+1-th of the original
thinking part behind the interruption before; what the model wrote up to there is kept, the rest is written anew.

- Visual replay: the image, scaled down, comes as a user turn of its own.
- Focus prompt: a sentence is written into the model's own text, drawn from a seeded generator.

Source: arXiv 2509.25848, Appendix A.5.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from zlib import crc32

import numpy as np

from vapo.core.boundaries import find_boundaries
from vapo.diagnosis.attention import measure_attention
from vapo.diagnosis.findings import Attention, Remedied
from vapo.diagnosis.responses import Response, grade_text
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.models.diagnosed_model import Cut, DiagnosedModel, ReadsSuffixes, ReplaysTogether
from vapo.types import Rollout

_SENTENCE_DRAWS = 6  # keeps this generator apart from others with the same seed


def keep_response(response: Response, attention: Attention | None) -> Remedied:
    """Return the response as it is, for comparison."""
    return Remedied("none", response.answer, response.right, response.rollout.text, _mean(attention))


@dataclass(slots=True)
class _Shown:
    """A response under way with the image shown again: the rollout written last, and where it is interrupted."""

    response: Response
    rollout: Rollout
    index: int
    shares: list[float]
    text: str = ""
    ends: bool = False

    def go_on(self, rollout: Rollout, index: int | None, attention: Attention | None) -> None:
        self.rollout, self.ends = rollout, index is None
        self.index = len(rollout.token_texts) if index is None else index
        self.text += "".join(rollout.token_texts[: self.index]) + ("" if self.ends else "\n")
        self.shares.extend(attention.by_token[: self.index] if attention is not None else ())


def replay(
    diagnosed_model: DiagnosedModel,
    responses: Sequence[Response],
    settings: DiagnosisSettings,
    attentions: Sequence[Attention | None],
) -> list[Remedied | None]:
    """Write responses with the image shown again at each interruption; None for a response without a boundary.

    Args:
        diagnosed_model: a model that can be shown its image again.
        responses: any number; they are written together where the diagnosed model can.
        settings: number of interruptions, scale of the image, longest response.
        attentions: of the responses without; None leaves attention out.
    """
    ways: dict[int, _Shown] = {}
    for number, (response, attention) in enumerate(zip(responses, attentions, strict=True)):
        index = response.cut_near(1 / (settings.num_remedy_cuts + 1))
        if index is not None:
            ways[number] = _Shown(response, response.rollout, index, [])
            ways[number].go_on(response.rollout, index, attention)

    def write(going: Sequence[tuple[int, _Shown]], max_tokens: int) -> list[Rollout]:
        cuts = [Cut(way.rollout, way.index) for _, way in going]
        if isinstance(diagnosed_model, ReplaysTogether):
            return diagnosed_model.replay_images(cuts, max_tokens, settings.replay_scale)
        return [diagnosed_model.replay_image(cut, max_tokens, settings.replay_scale) for cut in cuts]

    def measure(number: int, rollout: Rollout) -> Attention | None:
        return measure_attention(diagnosed_model, rollout) if attentions[number] is not None else None

    going = list(ways.items())
    for _ in range(settings.num_remedy_cuts - 1):
        more: list[tuple[int, _Shown]] = []
        short = max((_short(way.response, settings) for _, way in going), default=1)
        for (number, way), rollout in zip(going, write(going, short) if going else (), strict=True):
            index = _cut_text(rollout.token_texts, way.response, settings)
            if index is not None:  # else the model is about to answer
                way.go_on(rollout, index, measure(number, rollout))
                more.append((number, way))
        going = more
    everyone = list(ways.items())
    for (number, way), rollout in zip(
        everyone, write(everyone, settings.max_completion_tokens) if everyone else (), strict=True
    ):
        way.go_on(rollout, None, measure(number, rollout))
    return [_judge_shown(ways[number], settings) if number in ways else None for number in range(len(responses))]


def _judge_shown(way: _Shown, settings: DiagnosisSettings) -> Remedied:
    answer, right = grade_text(way.rollout.text, way.response.rollout.sample, settings.think_tags[1])
    return Remedied("replay", answer, right, way.text, sum(way.shares) / len(way.shares) if way.shares else None)


@dataclass(slots=True)
class _Reminded:
    """A response under way: what is written behind the first cut so far, the sentences included."""

    response: Response
    index: int
    rng: np.random.Generator
    suffix: str = ""
    ends: bool = False


def focus(
    diagnosed_model: DiagnosedModel,
    responses: Sequence[Response],
    settings: DiagnosisSettings,
    *,
    attend: bool = False,
) -> list[Remedied | None]:
    """Write responses with a reminder to look at each interruption; None for a response without a boundary.

    Args:
        diagnosed_model: a model that can continue from a cut.
        responses: any number; they are continued together.
        settings: number of interruptions, sentences, longest response, seed.
        attend: whether to measure attention, over the whole of the new response, where the diagnosed model can.
    """
    ways: dict[int, _Reminded] = {}
    for number, response in enumerate(responses):
        index = response.cut_near(1 / (settings.num_remedy_cuts + 1))
        if index is not None:
            place = [_SENTENCE_DRAWS, settings.seed, crc32(response.rollout.sample.id.encode())]
            ways[number] = _Reminded(response, index, np.random.default_rng(place))
    going = list(ways.values())
    for _ in range(settings.num_remedy_cuts - 1):
        for way in going:
            way.suffix += _remind(way, settings)
        texts = _continue(diagnosed_model, going, max((_short(way.response, settings) for way in going), default=1))
        kept = [_cut_text(list(text), way.response, settings) for way, text in zip(going, texts, strict=True)]
        for way, text, place in zip(going, texts, kept, strict=True):
            if place is None:  # the model is about to answer
                way.ends = True
            else:
                way.suffix += text[:place]
        going = [way for way in going if not way.ends]
    for way in going:
        way.suffix += _remind(way, settings)
    texts = _continue(diagnosed_model, list(ways.values()), settings.max_completion_tokens)
    for way, text in zip(ways.values(), texts, strict=True):
        way.suffix += text
    found: list[Remedied | None] = []
    for number, response in enumerate(responses):
        if (way := ways.get(number)) is None:
            found.append(None)
            continue
        text = "".join(response.rollout.token_texts[: way.index]) + way.suffix
        answer, right = grade_text(text, response.rollout.sample, settings.think_tags[1])
        share = None
        if attend and isinstance(diagnosed_model, ReadsSuffixes):
            reminded = diagnosed_model.read_cut(Cut(response.rollout, way.index, way.suffix))
            share = _mean(measure_attention(diagnosed_model, reminded))
        found.append(Remedied("focus", answer, right, text, share))
    return found


def _continue(diagnosed_model: DiagnosedModel, ways: Sequence[_Reminded], max_tokens: int) -> list[str]:
    cuts = [Cut(way.response.rollout, way.index, way.suffix) for way in ways]
    return diagnosed_model.continue_cuts(cuts, max_tokens) if cuts else []


def _short(response: Response, settings: DiagnosisSettings) -> int:
    """Return tokens enough to reach the next interruption: what is written behind it would be thrown away."""
    start, stop = response.thinking
    return min(settings.max_completion_tokens, 16 + 2 * (stop - start) // (settings.num_remedy_cuts + 1))


def _remind(way: _Reminded, settings: DiagnosisSettings) -> str:
    sentence = settings.focus_sentences[int(way.rng.integers(len(settings.focus_sentences)))]
    before = way.suffix or "".join(way.response.rollout.token_texts[: way.index])
    return sentence if before[-1:].isspace() else f" {sentence}"


def _cut_text(texts: Sequence[str], response: Response, settings: DiagnosisSettings) -> int | None:
    """Return where to interrupt what was written last: pieces to keep, tokens or characters; None for nowhere.

    The place is measured in characters, which both kinds of pieces have. Less than half of the distance before the
    thinking ends is no place: the model was about to answer.
    """
    start, stop = response.thinking
    distance = sum(map(len, response.rollout.token_texts[start:stop])) / (settings.num_remedy_cuts + 1)
    ends = list(accumulate(map(len, texts)))
    near = [index for index in find_boundaries(texts, settings.think_tags) if ends[index - 1] >= distance / 2]
    text = "".join(texts)
    if not response.tagged and (box := text.find("\\boxed")) >= 0:
        near = [index for index in near if index <= bisect_left(ends, box)]
    return min(near, key=lambda index: (abs(ends[index - 1] - distance), index), default=None)


def _mean(attention: Attention | None) -> float | None:
    return sum(attention.by_token) / len(attention.by_token) if attention and attention.by_token else None
