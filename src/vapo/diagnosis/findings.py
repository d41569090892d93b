"""What a diagnosis finds: per question, and summed up with intervals. The report, its tables and its JSON read these.

A protocol that was left out, or could not be run on a question, is None there and named in `notes`; an empty tuple
means that it ran and found nothing. Depth is the share of the response's tokens that lie before a point, in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vapo.diagnosis.estimates import Estimate
from vapo.models.diagnosed_model import View

Category = Literal["perception", "logical", "knowledge", "other"]
Remedy = Literal["none", "replay", "focus"]


@dataclass(frozen=True, slots=True)
class EarlyAnswer:
    """The answer given when the response is cut behind `index` tokens; `answer` is None where there is none."""

    depth: float
    index: int
    answer: str | None
    right: bool


@dataclass(frozen=True, slots=True)
class ProbedClaim:
    """A claim asked behind `index` tokens of the response, under one view."""

    depth: float
    index: int
    view: View
    claim: str
    is_true: bool
    p_true: float

    @property
    def correct(self) -> bool:
        """Whether the likelier answer is the claim's label; an exact tie counts as "no"."""
        return (self.p_true > 0.5) == self.is_true


@dataclass(frozen=True, slots=True)
class Attention:
    """Share of the attention that goes to image tokens, in [0, 1].

    Attributes:
        by_token: of each generated token, averaged over layers and heads.
        by_head: of each head of each layer, averaged over generated tokens.
    """

    by_token: tuple[float, ...]
    by_head: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How far each generated token's distribution moves when the image is masked: KL divergence in nats."""

    by_token: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Remedied:
    """A response written once more with a remedy; `attention` is its mean share on image tokens, if measured."""

    remedy: Remedy
    answer: str | None
    right: bool
    text: str
    attention: float | None


@dataclass(frozen=True, slots=True)
class ErrorCause:
    """Why an answer is wrong: what judges voted, the majority among them, and the truth where it is known."""

    votes: tuple[Category, ...]
    category: Category | None
    truth: Category | None


@dataclass(frozen=True, slots=True)
class QuestionFindings:
    """What was found on one question.

    Attributes:
        sample_id: the row's id.
        digest: hash of what was asked, by which a stopped run recognises its finished questions.
        image: what the question is about; questions about the same one are not independent.
        question, reference: as in the data.
        token_texts: the response, token by token.
        thinking: first token of the thinking part, and the one behind its last.
        answer: what it came to; None if it has no answer.
        right: whether that is the reference.
        finished: False if it was cut off at the longest length.
        notes: what could not be done here, in sentences.
        rows: what each protocol of `vapo.diagnosis.protocols.ROW_PROTOCOLS` found, by its name.
    """

    sample_id: str
    digest: str
    question: str
    reference: str
    token_texts: tuple[str, ...]
    thinking: tuple[int, int]
    answer: str | None
    right: bool
    finished: bool
    notes: tuple[str, ...] = ()
    early: tuple[EarlyAnswer, ...] | None = None
    probed: tuple[ProbedClaim, ...] | None = None
    attention: Attention | None = None
    sensitivity: Sensitivity | None = None
    remedied: tuple[Remedied, ...] | None = None
    cause: ErrorCause | None = None
    image: str = ""
    rows: Mapping[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])

    def __post_init__(self) -> None:
        if not self.image:
            object.__setattr__(self, "image", self.digest)


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve: `at` is a depth in [0, 1], or a number of generated tokens."""

    at: float
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Recovery:
    """Errors that an earlier stop avoids, and right answers that it loses.

    Attributes:
        cut: the fixed depth that `avoided`, `lost` and `change` are about, the one nearest to the middle.
        avoided: share of the errors that are right at this cut.
        lost: share of the right answers that are wrong at this cut; None if there are none.
        change: accuracy at this cut less accuracy at the end, paired by question.
        by_cut: share of the errors that are right at each cut, over depth.
        lost_by_cut: share of the right answers that are wrong at each cut; empty if there are none.
        anywhere: share of the errors that are right at one cut or more, which rises with the number of cuts.
        lost_anywhere: the mirror of it, share of the right answers that are wrong at one cut or more.
    """

    cut: float
    avoided: Estimate
    lost: Estimate | None
    change: Estimate
    by_cut: tuple[Point, ...]
    lost_by_cut: tuple[Point, ...]
    anywhere: Estimate
    lost_anywhere: Estimate | None


@dataclass(frozen=True, slots=True)
class RemedyEffect:
    """What a remedy did: accuracy, its paired difference to none, and the attention on image tokens."""

    remedy: Remedy
    accuracy: Estimate
    gain: Estimate | None
    attention: Estimate | None


@dataclass(frozen=True, slots=True)
class CategoryShare:
    """A kind of error: its share of all errors, and how many of it are right at the fixed cut of `Recovery`."""

    category: Category
    share: Estimate
    recoverable: Estimate | None


@dataclass(frozen=True, slots=True)
class ModelFindings:
    """Everything found about one model; None where a protocol was left out.

    Attributes:
        name: what reports call the model.
        conclusion: what it comes to, in sentences with numbers.
        accuracy: right answers of whole responses.
        early: accuracy over depth of the cut; depth 0 is the direct answer.
        perception: claims judged right over depth, for each view.
        p_label: probability of the claims' own labels over depth, for each view.
        yes_rate: share of "yes" among the verdicts over depth, for each view.
        accuracy_true: true claims judged right over depth, for each view.
        accuracy_false: false claims judged right over depth, for each view.
        attention_by_step: share of attention on image tokens over generated tokens.
        attention_by_depth: the same over depth.
        attention_by_head: layers by heads, averaged over questions.
        sensitivity: mean KL divergence over depth, in nats.
        dependent_share: share of tokens whose KL divergence passes `dependence_threshold`.
        confusion: judged category by true category, counts, where truth is known.
        judge_agreement: share of errors on which the judge and the truth agree.
        early_area: area under `early`, the mean accuracy over depth.
        questions: what was found on each, in the order of the data.
        numbers: what the rows of `ROW_PROTOCOLS` come to, by measure: points of a curve, or one number.
    """

    name: str
    conclusion: tuple[str, ...]
    accuracy: Estimate
    num_tokens: Estimate
    early: tuple[Point, ...] | None
    recovery: Recovery | None
    perception: dict[View, tuple[Point, ...]] | None
    p_label: dict[View, tuple[Point, ...]] | None
    attention_by_step: tuple[Point, ...] | None
    attention_by_depth: tuple[Point, ...] | None
    attention_by_head: tuple[tuple[float, ...], ...] | None
    sensitivity: tuple[Point, ...] | None
    dependent_share: Estimate | None
    dependence_threshold: float
    remedies: tuple[RemedyEffect, ...] | None
    categories: tuple[CategoryShare, ...] | None
    confusion: dict[Category, dict[Category, int]] | None
    judge_agreement: Estimate | None
    questions: tuple[QuestionFindings, ...]
    yes_rate: dict[View, tuple[Point, ...]] | None = None
    accuracy_true: dict[View, tuple[Point, ...]] | None = None
    accuracy_false: dict[View, tuple[Point, ...]] | None = None
    early_area: Estimate | None = None
    numbers: Mapping[str, tuple[Point, ...] | Estimate] = field(
        default_factory=dict[str, "tuple[Point, ...] | Estimate"]
    )


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """A model's number less the first model's, paired by question."""

    name: str
    measure: str
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One or several models on the same questions.

    Attributes:
        data: what was asked.
        settings: all that the results depend on.
        models: in the order given; the first is what others are compared with.
        differences: paired by question.
        left_out: protocols that were not run, and why, in sentences.
    """

    data: str
    settings: dict[str, object]
    models: tuple[ModelFindings, ...]
    differences: tuple[PairedDifference, ...]
    left_out: tuple[str, ...]
