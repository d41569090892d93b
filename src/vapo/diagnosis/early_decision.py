"""Early decision: what a model answers when its chain is cut short, and the errors that this would have avoided.

A chain is cut at depths 0, 5, ..., 100 % of its thinking part, each moved to the nearest logical boundary, a closing
sentence is written behind the cut, and the model answers. Depth 0 is the direct answer; depth 1 is the chain's own
answer and is not asked again.

Source: arXiv 2509.25848, Section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from vapo.diagnosis.chains import Chain, grade_text
from vapo.diagnosis.findings import EarlyAnswer
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.probing.diagnosed_model import Cut, Examinee


def decide_early(
    examinee: Examinee, chains: Sequence[Chain], settings: DiagnosisSettings
) -> list[tuple[EarlyAnswer, ...]]:
    """Cut chains at every depth and let the model answer.

    Args:
        examinee: a model that can continue from a cut.
        chains: any number.
        settings: step, closing sentence, longest answer.

    Returns:
        One tuple per chain, by ascending depth: one answer for each depth, or those at 0 and 1 where the chain has
        no boundary. Depths that move to the same boundary share one answer.
    """
    depths = settings.cut_depths()
    places = [{depth: chain.cut_near(depth) for depth in depths if depth < 1} for chain in chains]
    cuts: list[Cut] = []
    for chain, own in zip(chains, places, strict=True):
        kept = sorted({index for index in own.values() if index is not None})
        cuts += [Cut(chain.rollout, index, close_chain(chain, index, settings)) for index in kept]
    texts = examinee.continue_cuts(cuts, settings.max_answer_tokens) if cuts else []
    closing_tag = settings.think_tags[1]
    graded = {
        (id(cut.rollout), cut.index): grade_text(text, cut.rollout.sample, closing_tag)
        for cut, text in zip(cuts, texts, strict=True)
    }
    found: list[tuple[EarlyAnswer, ...]] = []
    for chain, own in zip(chains, places, strict=True):
        answers = [
            EarlyAnswer(depth, index, *graded[id(chain.rollout), index])
            for depth, index in own.items()
            if index is not None
        ]
        found.append((*answers, EarlyAnswer(1.0, chain.thinking[1], chain.answer, chain.right)))
    return found


def close_chain(chain: Chain, index: int, settings: DiagnosisSettings) -> str:
    """Return what is written behind a cut: the closing sentence, without its tag where the chain has no tags."""
    closing = settings.closing if chain.tagged else settings.closing.replace(settings.think_tags[1], "\n")
    before = "".join(chain.rollout.token_texts[:index])
    return closing if index == chain.thinking[0] or before[-1:].isspace() else f" {closing}"
