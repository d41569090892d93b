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
from dataclasses import dataclass, field
from itertools import accumulate
from zlib import crc32

import numpy as np

from vapo.core.boundaries import find_boundaries
from vapo.diagnosis.attention import measure_attention
from vapo.diagnosis.chains import Chain, grade_text
from vapo.diagnosis.findings import Attention, Remedied
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.engines.examinee import Cut, Examinee

_SENTENCE_DRAWS = 6  # keeps this generator apart from others with the same seed


def keep_chain(chain: Chain, attention: Attention | None) -> Remedied:
    """Return the chain as it is, for comparison."""
    return Remedied("none", chain.answer, chain.right, chain.rollout.text, _mean(attention))


def replay(
    examinee: Examinee, chain: Chain, settings: DiagnosisSettings, attention: Attention | None
) -> Remedied | None:
    """Write a chain with the image shown again at each interruption.

    Args:
        examinee: a model that can be shown its image again.
        chain: the chain without.
        settings: number of interruptions, scale of the image, longest chain.
        attention: of the chain without; None leaves attention out.

    Returns:
        None for a chain without a boundary.
    """
    rollout, kept_text = chain.rollout, ""
    index = chain.cut_near(1 / (settings.num_remedy_cuts + 1))
    measured = [] if attention is None else [attention.by_token[:index]]
    for number in range(settings.num_remedy_cuts):
        if index is None:
            break
        kept_text += "".join(rollout.token_texts[:index]) + "\n"
        rollout = examinee.replay_image(Cut(rollout, index), settings.max_completion_tokens, settings.replay_scale)
        later = number + 1 < settings.num_remedy_cuts
        index = _cut_text(rollout.token_texts, chain, settings) if later else None
        if attention is not None:
            measured.append(measure_attention(examinee, rollout).by_token[:index])
    if rollout is chain.rollout:
        return None
    shares = [share for part in measured for share in part]
    answer, right = grade_text(rollout.text, rollout.sample.answer, settings.think_tags[1])
    return Remedied("replay", answer, right, kept_text + rollout.text, sum(shares) / len(shares) if shares else None)


@dataclass(slots=True)
class _Reminded:
    """A chain under way: what is written behind the first cut so far, the sentences included."""

    chain: Chain
    index: int
    rng: np.random.Generator
    suffix: str = ""
    rest: str = ""
    done: bool = field(default=False)


def focus(examinee: Examinee, chains: Sequence[Chain], settings: DiagnosisSettings) -> list[Remedied | None]:
    """Write chains with a reminder to look at each interruption; None for a chain without a boundary.

    Args:
        examinee: a model that can continue from a cut.
        chains: any number; they are continued together.
        settings: number of interruptions, sentences, longest chain, seed.
    """
    ways: dict[int, _Reminded] = {}
    for number, chain in enumerate(chains):
        index = chain.cut_near(1 / (settings.num_remedy_cuts + 1))
        if index is not None:
            place = [_SENTENCE_DRAWS, settings.seed, crc32(chain.rollout.sample.id.encode())]
            ways[number] = _Reminded(chain, index, np.random.default_rng(place))
    for turn in range(settings.num_remedy_cuts):
        going = [way for way in ways.values() if not way.done]
        for way in going:
            way.suffix += _remind(way, settings)
        cuts = [Cut(way.chain.rollout, way.index, way.suffix) for way in going]
        texts = examinee.continue_cuts(cuts, settings.max_completion_tokens) if cuts else []
        for way, text in zip(going, texts, strict=True):
            kept = _cut_text(list(text), way.chain, settings) if turn + 1 < settings.num_remedy_cuts else None
            way.done = kept is None
            way.suffix, way.rest = (way.suffix, text) if kept is None else (way.suffix + text[:kept], "")
    found: list[Remedied | None] = []
    for number, chain in enumerate(chains):
        if (way := ways.get(number)) is None:
            found.append(None)
            continue
        text = "".join(chain.rollout.token_texts[: way.index]) + way.suffix + way.rest
        answer, right = grade_text(text, chain.rollout.sample.answer, settings.think_tags[1])
        found.append(Remedied("focus", answer, right, text, None))
    return found


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
