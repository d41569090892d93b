"""Remedies: show the image again along the chain, or remind the model to look, and see whether answers get better.

A remedied chain is interrupted n times, each time at the logical boundary nearest to one n+1-th of the original
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
from vapo.diagnosis.chains import Chain, grade_text
from vapo.diagnosis.findings import Attention, Remedied
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.probing.diagnosed_model import Cut, Examinee, ReadsSuffixes, ReplaysTogether
from vapo.types import Rollout

_SENTENCE_DRAWS = 6  # keeps this generator apart from others with the same seed


def keep_chain(chain: Chain, attention: Attention | None) -> Remedied:
    """Return the chain as it is, for comparison."""
    return Remedied("none", chain.answer, chain.right, chain.rollout.text, _mean(attention))


@dataclass(slots=True)
class _Shown:
    """A chain under way with the image shown again: the rollout written last, and where it is interrupted."""

    chain: Chain
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
    examinee: Examinee, chains: Sequence[Chain], settings: DiagnosisSettings, attentions: Sequence[Attention | None]
) -> list[Remedied | None]:
    """Write chains with the image shown again at each interruption; None for a chain without a boundary.

    Args:
        examinee: a model that can be shown its image again.
        chains: any number; they are written together where the examinee can.
        settings: number of interruptions, scale of the image, longest chain.
        attentions: of the chains without; None leaves attention out.
    """
    ways: dict[int, _Shown] = {}
    for number, (chain, attention) in enumerate(zip(chains, attentions, strict=True)):
        index = chain.cut_near(1 / (settings.num_remedy_cuts + 1))
        if index is not None:
            ways[number] = _Shown(chain, chain.rollout, index, [])
            ways[number].go_on(chain.rollout, index, attention)

    def write(going: Sequence[tuple[int, _Shown]], max_tokens: int) -> list[Rollout]:
        cuts = [Cut(way.rollout, way.index) for _, way in going]
        if isinstance(examinee, ReplaysTogether):
            return examinee.replay_images(cuts, max_tokens, settings.replay_scale)
        return [examinee.replay_image(cut, max_tokens, settings.replay_scale) for cut in cuts]

    def measure(number: int, rollout: Rollout) -> Attention | None:
        return measure_attention(examinee, rollout) if attentions[number] is not None else None

    going = list(ways.items())
    for _ in range(settings.num_remedy_cuts - 1):
        more: list[tuple[int, _Shown]] = []
        short = max((_short(way.chain, settings) for _, way in going), default=1)
        for (number, way), rollout in zip(going, write(going, short) if going else (), strict=True):
            index = _cut_text(rollout.token_texts, way.chain, settings)
            if index is not None:  # else the model is about to answer
                way.go_on(rollout, index, measure(number, rollout))
                more.append((number, way))
        going = more
    everyone = list(ways.items())
    for (number, way), rollout in zip(
        everyone, write(everyone, settings.max_completion_tokens) if everyone else (), strict=True
    ):
        way.go_on(rollout, None, measure(number, rollout))
    return [_judge_shown(ways[number], settings) if number in ways else None for number in range(len(chains))]


def _judge_shown(way: _Shown, settings: DiagnosisSettings) -> Remedied:
    answer, right = grade_text(way.rollout.text, way.chain.rollout.sample, settings.think_tags[1])
    return Remedied("replay", answer, right, way.text, sum(way.shares) / len(way.shares) if way.shares else None)


@dataclass(slots=True)
class _Reminded:
    """A chain under way: what is written behind the first cut so far, the sentences included."""

    chain: Chain
    index: int
    rng: np.random.Generator
    suffix: str = ""
    ends: bool = False


def focus(
    examinee: Examinee, chains: Sequence[Chain], settings: DiagnosisSettings, *, attend: bool = False
) -> list[Remedied | None]:
    """Write chains with a reminder to look at each interruption; None for a chain without a boundary.

    Args:
        examinee: a model that can continue from a cut.
        chains: any number; they are continued together.
        settings: number of interruptions, sentences, longest chain, seed.
        attend: whether to measure attention, over the whole of the new chain, where the examinee can.
    """
    ways: dict[int, _Reminded] = {}
    for number, chain in enumerate(chains):
        index = chain.cut_near(1 / (settings.num_remedy_cuts + 1))
        if index is not None:
            place = [_SENTENCE_DRAWS, settings.seed, crc32(chain.rollout.sample.id.encode())]
            ways[number] = _Reminded(chain, index, np.random.default_rng(place))
    going = list(ways.values())
    for _ in range(settings.num_remedy_cuts - 1):
        for way in going:
            way.suffix += _remind(way, settings)
        texts = _continue(examinee, going, max((_short(way.chain, settings) for way in going), default=1))
        kept = [_cut_text(list(text), way.chain, settings) for way, text in zip(going, texts, strict=True)]
        for way, text, place in zip(going, texts, kept, strict=True):
            if place is None:  # the model is about to answer
                way.ends = True
            else:
                way.suffix += text[:place]
        going = [way for way in going if not way.ends]
    for way in going:
        way.suffix += _remind(way, settings)
    texts = _continue(examinee, list(ways.values()), settings.max_completion_tokens)
    for way, text in zip(ways.values(), texts, strict=True):
        way.suffix += text
    found: list[Remedied | None] = []
    for number, chain in enumerate(chains):
        if (way := ways.get(number)) is None:
            found.append(None)
            continue
        text = "".join(chain.rollout.token_texts[: way.index]) + way.suffix
        answer, right = grade_text(text, chain.rollout.sample, settings.think_tags[1])
        share = None
        if attend and isinstance(examinee, ReadsSuffixes):
            reminded = examinee.read_cut(Cut(chain.rollout, way.index, way.suffix))
            share = _mean(measure_attention(examinee, reminded))
        found.append(Remedied("focus", answer, right, text, share))
    return found


def _continue(examinee: Examinee, ways: Sequence[_Reminded], max_tokens: int) -> list[str]:
    cuts = [Cut(way.chain.rollout, way.index, way.suffix) for way in ways]
    return examinee.continue_cuts(cuts, max_tokens) if cuts else []


def _short(chain: Chain, settings: DiagnosisSettings) -> int:
    """Return tokens enough to reach the next interruption: what is written behind it would be thrown away."""
    start, stop = chain.thinking
    return min(settings.max_completion_tokens, 16 + 2 * (stop - start) // (settings.num_remedy_cuts + 1))


def _remind(way: _Reminded, settings: DiagnosisSettings) -> str:
    sentence = settings.focus_sentences[int(way.rng.integers(len(settings.focus_sentences)))]
    before = way.suffix or "".join(way.chain.rollout.token_texts[: way.index])
    return sentence if before[-1:].isspace() else f" {sentence}"


def _cut_text(texts: Sequence[str], chain: Chain, settings: DiagnosisSettings) -> int | None:
    """Return where to interrupt what was written last: pieces to keep, tokens or characters; None for nowhere.

    The place is measured in characters, which both kinds of pieces have. Less than half of the distance before the
    thinking ends is no place: the model was about to answer.
    """
    start, stop = chain.thinking
    distance = sum(map(len, chain.rollout.token_texts[start:stop])) / (settings.num_remedy_cuts + 1)
    ends = list(accumulate(map(len, texts)))
    near = [index for index in find_boundaries(texts, settings.think_tags) if ends[index - 1] >= distance / 2]
    text = "".join(texts)
    if not chain.tagged and (box := text.find("\\boxed")) >= 0:
        near = [index for index in near if index <= bisect_left(ends, box)]
    return min(near, key=lambda index: (abs(ends[index - 1] - distance), index), default=None)


def _mean(attention: Attention | None) -> float | None:
    return sum(attention.by_token) / len(attention.by_token) if attention and attention.by_token else None
