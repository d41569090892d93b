"""All numbers of an evaluation, summed up from its rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vapo.diagnosis.estimates import Estimate, estimate_mean, estimate_rate, estimate_share
from vapo.diagnosis.perception import Perception, read_perception, summarise_perception
from vapo.diagnosis.question_rows import QuestionRow


@dataclass(frozen=True, slots=True)
class Evaluation:
    r"""What was measured, with 95 % intervals; rates are in [0, 1].

    Attributes:
        model, data: what was evaluated on what.
        settings: all that the results depend on: options, seed, weights, versions.
        num_skipped_rows: rows of the data that could not be used.
        accuracy: right answers of greedy completions.
        average: mean accuracy of sampled completions, avg@n; None if none were asked for.
        wrong: answers that are there and are not right. accuracy + wrong + unanswered = 1.
        unanswered: completions without an answer in `\boxed{}`.
        format_rate: completions that keep the response format.
        truncated: completions cut off at the longest length, whether answered or not.
        num_tokens: completion length, in tokens.
        perception: None if it was not asked for or the data has no claims.
        rows: one per question, in the order of the data.
    """

    model: str
    data: str
    settings: dict[str, Any]
    num_skipped_rows: int
    accuracy: Estimate
    average: Estimate | None
    wrong: Estimate
    unanswered: Estimate
    format_rate: Estimate
    truncated: Estimate
    num_tokens: Estimate
    perception: Perception | None
    rows: tuple[QuestionRow, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything but the rows as plain values."""
        numbers = {name: getattr(self, name) for name in self.__slots__ if name != "rows"}
        plain = {k: asdict(v) if isinstance(v, (Estimate, Perception)) else v for k, v in numbers.items()}
        return json.loads(json.dumps({**plain, "num_questions": len(self.rows)}))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Evaluation:
        """Return the evaluation that `to_json` wrote, without its rows; KeyError or TypeError if it did not."""
        numbers = {name: values[name] for name in cls.__slots__ if name != "rows"}
        for name, value in numbers.items():
            if name == "perception":
                numbers[name] = None if value is None else read_perception(value)
            elif isinstance(value, dict) and name != "settings":
                numbers[name] = Estimate(**value)
        return cls(**numbers, rows=())


def summarise(
    rows: Sequence[QuestionRow], *, model: str, data: str, settings: dict[str, Any], num_skipped_rows: int = 0
) -> Evaluation:
    """Sum up rows, at least one; `settings` gives num_completions, num_anchors and the seed of the intervals."""
    seed = settings["seed"]
    images = [row.image for row in rows]
    average = None
    if settings["num_completions"]:
        means = [sum(row.sampled_right) / len(row.sampled_right) for row in rows]
        average = estimate_share(means, seed=seed, name="avg@n", images=images)
    return Evaluation(
        model=model,
        data=data,
        settings=settings,
        num_skipped_rows=num_skipped_rows,
        accuracy=estimate_rate([row.right for row in rows], images),
        average=average,
        wrong=estimate_rate([row.answer is not None and not row.right for row in rows], images),
        unanswered=estimate_rate([row.answer is None for row in rows], images),
        format_rate=estimate_rate([row.has_format for row in rows], images),
        truncated=estimate_rate([not row.finished for row in rows], images),
        num_tokens=estimate_mean([row.num_tokens for row in rows], seed=seed, name="num_tokens", images=images),
        perception=summarise_perception(rows, num_anchors=settings["num_anchors"], seed=seed),
        rows=tuple(rows),
    )
