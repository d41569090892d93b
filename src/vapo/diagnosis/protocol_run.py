"""Put one model through the protocols, some questions at a time, and keep each part as soon as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from vapo.api.server_errors import ServerError
from vapo.diagnosis.attention import measure_attention
from vapo.diagnosis.early_decision import decide_early
from vapo.diagnosis.error_causes import Judge, find_cause
from vapo.diagnosis.findings import Attention, ErrorCause, QuestionFindings, Remedied
from vapo.diagnosis.findings_log import (
    RESPONSE,
    FindingsLog,
    Part,
    read_part,
    read_rollout,
    write_finding,
    write_rollout,
)
from vapo.diagnosis.image_sensitivity import measure_sensitivity
from vapo.diagnosis.other_images import OtherImages
from vapo.diagnosis.perception_by_depth import probe_by_depth
from vapo.diagnosis.protocols import ROW_PROTOCOLS, TITLES
from vapo.diagnosis.question_rows import digest_sample, name_image
from vapo.diagnosis.remedies import focus, keep_response, replay
from vapo.diagnosis.responses import Response, read_response
from vapo.diagnosis.row_protocol import RowProtocol
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.errors import VapoError
from vapo.models.diagnosed_model import DiagnosedModel, Sampling
from vapo.types import Sample

_ABOUT_THE_REQUEST = (400, 413, 422)
"""What servers answer to a prompt that does not fit; anything else is not about one question."""


@dataclass(frozen=True, slots=True)
class Question:
    """A sample, the digest it is known by, and its response once that is written; None if it could not be."""

    sample: Sample
    digest: str
    response: Response | None


class ProtocolRun:
    """One model's diagnosis.

    Args:
        diagnosed_model: the model.
        protocols: what to do, all of which it can.
        settings: how.
        log: what is finished.
        judge, truth: who says why an answer is wrong.
        other_images: where images of other questions, and edited ones, are found.
        advance: called with the number of questions that a protocol has been done with.
    """

    def __init__(
        self,
        diagnosed_model: DiagnosedModel,
        protocols: Sequence[str],
        settings: DiagnosisSettings,
        log: FindingsLog,
        *,
        judge: Judge | None = None,
        truth: Judge | None = None,
        other_images: OtherImages | None = None,
        advance: Callable[[int], None] = lambda questions: None,
    ) -> None:
        self._diagnosed_model = diagnosed_model
        self._protocols = protocols
        self._settings = settings
        self._log = log
        self._judge, self._truth = judge, truth
        self._other_images = other_images or OtherImages()
        self._advance = advance
        self._attends = "attend" in diagnosed_model.abilities

    def diagnose(self, samples: Sequence[Sample]) -> list[QuestionFindings]:
        """Do everything that is not done yet for these questions, all together, and return what was found on each."""
        questions = self._write_responses(samples)
        answered = [question for question in questions if question.response is not None]
        work: dict[str, Callable[[Sequence[Response]], Sequence[Any]]] = {
            "early": lambda responses: decide_early(self._diagnosed_model, responses, self._settings),
            "perception": lambda responses: probe_by_depth(self._diagnosed_model, responses, self._settings),
            "attention": lambda responses: [
                measure_attention(self._diagnosed_model, response.rollout) for response in responses
            ],
            "sensitivity": lambda responses: [
                measure_sensitivity(self._diagnosed_model, response.rollout, self._settings.masked_view)
                for response in responses
            ],
            "remedies": self._remedy,
            **{name: partial(self._find_rows, protocol) for name, protocol in ROW_PROTOCOLS.items()},
        }
        for name, do in work.items():
            if name in self._protocols:
                self._do(name, answered, do)
                self._advance(len(samples))
        if "errors" in self._protocols:
            self._judge_errors(
                [question for question in answered if question.response and not question.response.right]
            )
            self._advance(len(samples))
        return [self._collect(question) for question in questions]

    def _write_responses(self, samples: Sequence[Sample]) -> list[Question]:
        digests = [digest_sample(sample) for sample in samples]
        missing = {d: s for d, s in zip(digests, samples, strict=True) if self._log.find(d, RESPONSE) is None}

        def write(some: Sequence[Sample]) -> list[Any]:
            sampling = Sampling(self._settings.temperature, self._settings.seed)
            rollouts = self._diagnosed_model.write_responses(some, self._settings.max_completion_tokens, sampling)
            return [write_rollout(rollout) for rollout in rollouts]

        values = _do_or_explain(list(missing.values()), write)
        self._log.add(
            Part(digest, RESPONSE, value, (f"No response could be written: {why}",) if why else ())
            for digest, (value, why) in zip(missing, values, strict=True)
        )
        self._advance(len(samples))
        return [Question(s, d, self._read_response(s, d)) for s, d in zip(samples, digests, strict=True)]

    def _read_response(self, sample: Sample, digest: str) -> Response | None:
        part = self._log.find(digest, RESPONSE)
        if part is None or part.value is None or not part.value["completion_ids"]:
            return None
        limit = self._settings.max_completion_tokens
        return read_response(read_rollout(part.value, sample), tags=self._settings.think_tags, max_tokens=limit)

    def _find_rows(self, protocol: RowProtocol, responses: Sequence[Response]) -> Sequence[tuple[Any, ...] | None]:
        return protocol.find(self._diagnosed_model, responses, self._settings, self._other_images)

    def _do(self, name: str, questions: Sequence[Question], do: Callable[..., Sequence[Any]]) -> None:
        """Do one protocol on the questions that lack it; what the model refuses is noted on its question alone."""
        missing = {q.digest: q.response for q in questions if self._log.find(q.digest, name) is None}
        found = _do_or_explain(list(missing.values()), do)
        self._log.add(
            Part(digest, name, write_finding(finding), (f"{TITLES[name]} could not be done: {why}",) if why else ())
            for digest, (finding, why) in zip(missing, found, strict=True)
        )

    def _remedy(self, responses: Sequence[Response]) -> list[tuple[Remedied, ...]]:
        attentions = [self._attend(response) if self._attends else None for response in responses]
        shown: Sequence[Remedied | None] = [None] * len(responses)
        if "replay" in self._diagnosed_model.abilities:
            shown = replay(self._diagnosed_model, responses, self._settings, attentions)
        reminded = focus(self._diagnosed_model, responses, self._settings, attend=self._attends)
        found: list[tuple[Remedied, ...]] = []
        for response, attention, *remedied in zip(responses, attentions, shown, reminded, strict=True):
            found.append((keep_response(response, attention), *(way for way in remedied if way is not None)))
        return found

    def _attend(self, response: Response) -> Attention:
        known = read_part(self._log.find(digest_sample(response.rollout.sample), "attention"))
        return known or measure_attention(self._diagnosed_model, response.rollout)

    def _judge_errors(self, questions: Sequence[Question]) -> None:
        missing = [question for question in questions if self._log.find(question.digest, "errors") is None]
        if not missing:
            return
        # A judge on a server is waited for most of the time.
        with ThreadPoolExecutor(len(missing)) as pool:
            judged = list(pool.map(self._judge_error, missing))
        for part, was_asked in judged:
            # A judge that failed is asked again by the next call.
            self._log.add([part], keep=was_asked)

    def _judge_error(self, question: Question) -> tuple[Part, bool]:
        text = question.response.rollout.text if question.response is not None else ""
        why = ""
        try:
            cause = find_cause(question.sample, text, self._judge, self._truth, self._settings.votes)
        except VapoError as error:
            if isinstance(error, ServerError) and not error.may_pass:
                raise
            cause = ErrorCause((), None, find_cause(question.sample, text, None, self._truth, 1).truth)
            why = f"The judge gave no answer: {error}"
        else:
            if self._judge is not None and not cause.votes:
                why = "The judge gave no answer that could be read."
            elif cause.votes and cause.category is None:
                why = f"The judge's votes have no majority: {', '.join(cause.votes)}."
        part = Part(question.digest, "errors", write_finding(cause), (why,) if why else ())
        return part, self._judge is None or bool(cause.votes)

    def _collect(self, question: Question) -> QuestionFindings:
        sample, response = question.sample, question.response
        parts = [self._log.find(question.digest, name) for name in (RESPONSE, *self._protocols)]
        notes = [note for part in parts if part is not None for note in part.notes]
        if response is not None:
            notes = [*response.notes, *notes]
        elif not notes:
            notes = ["The model wrote nothing."]
        if "perception" in self._protocols and not sample.claims:
            notes.append("The row has no claims, so perception was not asked about.")
        found = {part.name: read_part(part) for part in parts if part is not None and part.name != RESPONSE}
        return QuestionFindings(
            sample_id=sample.id,
            digest=question.digest,
            question=sample.question,
            reference=sample.answer,
            token_texts=response.rollout.token_texts if response else (),
            thinking=response.thinking if response else (0, 0),
            answer=response.answer if response else None,
            right=response is not None and response.right,
            finished=response is not None and response.finished,
            notes=tuple(notes),
            early=found.get("early"),
            probed=found.get("perception"),
            attention=found.get("attention"),
            sensitivity=found.get("sensitivity"),
            remedied=found.get("remedies"),
            cause=found.get("errors"),
            image=name_image(sample),
            rows={name: found[name] for name in ROW_PROTOCOLS if found.get(name) is not None},
        )


def _do_or_explain(items: Sequence[Any], do: Callable[..., Sequence[Any]]) -> list[tuple[Any, str]]:
    """Do something with items together; if that is refused, with each alone, so that one cannot spoil the others."""
    if not items:
        return []
    try:
        return [(finding, "") for finding in do(items)]
    except VapoError as error:
        if isinstance(error, ServerError) and error.status not in _ABOUT_THE_REQUEST:
            raise  # the server is gone or closed; what is missing is done by the next call
        if len(items) == 1:
            return [(None, str(error))]
    return [_do_or_explain([item], do)[0] for item in items]
