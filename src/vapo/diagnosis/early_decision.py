"""Early decision: what a model answers when its response is cut short, and the errors that this would have avoided.

A response is cut at depths 0, 5, ..., 100 % of its thinking part, each moved to the nearest logical boundary. A
closing sentence is written behind the cut, and the model answers. Depth 0 is the direct answer; depth 1 is the
response's own answer and is not asked again.

Source: arXiv 2509.25848, Section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from vapo.diagnosis.cut_answers import answer_cuts, space_text
from vapo.diagnosis.findings import EarlyAnswer
from vapo.diagnosis.responses import Response
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.models.diagnosed_model import Cut, DiagnosedModel


def decide_early(
    diagnosed_model: DiagnosedModel, responses: Sequence[Response], settings: DiagnosisSettings
) -> list[tuple[EarlyAnswer, ...]]:
    """Cut responses at every depth and let the model answer.

    Args:
        diagnosed_model: a model that can continue from a cut.
        responses: any number.
        settings: step, closing sentence, longest answer.

    Returns:
        One tuple per response, by ascending depth: one answer for each depth, or those at 0 and 1 where the response
        has no boundary. Depths that move to the same boundary share one answer.
    """
    depths = settings.cut_depths()
    places = [{depth: response.cut_near(depth) for depth in depths if depth < 1} for response in responses]
    cuts: list[Cut] = []
    for response, own in zip(responses, places, strict=True):
        kept = sorted({index for index in own.values() if index is not None})
        cuts += [Cut(response.rollout, index, close_response(response, index, settings)) for index in kept]
    answers = answer_cuts(diagnosed_model, cuts, settings.max_answer_tokens, settings.think_tags[1])
    graded = {(id(cut.rollout), cut.index): answer for cut, answer in zip(cuts, answers, strict=True)}
    found: list[tuple[EarlyAnswer, ...]] = []
    for response, own in zip(responses, places, strict=True):
        own_answers = [
            EarlyAnswer(depth, index, *graded[id(response.rollout), index])
            for depth, index in own.items()
            if index is not None
        ]
        found.append((*own_answers, EarlyAnswer(1.0, response.thinking[1], response.answer, response.right)))
    return found


def close_response(response: Response, index: int, settings: DiagnosisSettings) -> str:
    """Return what is written behind a cut: the closing sentence, without its tag where the response has no tags."""
    closing = settings.closing if response.tagged else settings.closing.replace(settings.think_tags[1], "\n")
    return space_text(response.rollout, index, closing, response.thinking[0])
