"""Diagnose models: put the same questions to each, look at them along their own responses, and write the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vapo.data.samples import Samples
from vapo.diagnosis.comparison import compare_models
from vapo.diagnosis.error_causes import Judge
from vapo.diagnosis.findings import Diagnosis, ModelFindings, QuestionFindings
from vapo.diagnosis.findings_log import FindingsLog
from vapo.diagnosis.model_summary import summarise_model
from vapo.diagnosis.other_images import OtherImages
from vapo.diagnosis.protocol_run import ProtocolRun
from vapo.diagnosis.protocols import NEED_CLAIMS, NEEDS, TITLES, choose_protocols
from vapo.diagnosis.row_log import make_folder
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.diagnosis.tables import write_tables
from vapo.errors import ConfigError, DataError, ModelError
from vapo.models.diagnosed_model import DiagnosedModel
from vapo.types import Sample

if TYPE_CHECKING:
    from PIL.Image import Image

REPORT = "report.html"


def diagnose(
    diagnosed_models: Iterable[DiagnosedModel],
    samples: Sequence[Sample],
    out: str | Path | None = None,
    *,
    protocols: Sequence[str] | None = None,
    settings: DiagnosisSettings = DiagnosisSettings(),
    judge: Judge | None = None,
    truth: Judge | None = None,
    edited: Sequence[Sample] | None = None,
    batch_size: int = 8,
    data: str | None = None,
    model_settings: Mapping[str, Mapping[str, Any]] | None = None,
    on_notice: Callable[[str], None] = lambda sentence: None,
    on_progress: Callable[[str], Callable[[int, int], None]] | None = None,
) -> Diagnosis:
    """Put questions to models and find out where their responses lose sight of the image.

    Args:
        diagnosed_models: the models, at least one, each diagnosed to its end before the next is taken: a generator
            that loads them one by one keeps one in memory. All must have different names.
        samples: the questions, at least one, each with a reference answer.
        out: a folder for the report, its tables, and what is finished so far. The same call with the same folder
            goes on where an interrupted one stopped. None writes nothing.
        protocols: names among `protocols.PROTOCOLS`; None for the default ones. What a model, or the data, cannot
            give is left out, and said so before the model is asked anything.
        settings: how each protocol is done.
        judge: says why answers are wrong; None leaves that to `truth`.
        truth: knows why answers are wrong, and is what `judge` is scored against.
        edited: the same questions with edited images, and the answers to these, matched by id; None for none.
        batch_size: questions diagnosed together; it changes results by rounding alone.
        data: what reports call the questions; None for the samples' own name.
        model_settings: per model's name, what its results depend on besides: weights, server, versions.
        on_notice: called with each sentence about what is left out.
        on_progress: makes, for a model's name, the callback that takes (done, in all), counted in questions times
            protocols.

    Returns:
        Everything that was found.

    Raises:
        ConfigError: an option is out of its range, names repeat, or `out` holds findings made with other settings.
        DataError: there is nothing to ask, or a question has no reference answer.
        ModelError: a model wrote no response at all.
        OSError: a file cannot be written. What is finished by then is kept.
    """
    chosen = choose_protocols(protocols)
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; it must be at least 1")
    if len(samples) == 0:
        raise DataError("there is nothing to diagnose: the data set is empty; give at least one question")
    folder = Path(out) if out is not None else None
    if folder is not None:
        make_folder(folder)
    has_claims = any(sample.claims for sample in _check_samples(samples))
    other_images = OtherImages(samples, edited)
    left_out: list[str] = []
    models: list[ModelFindings] = []
    for diagnosed_model in diagnosed_models:
        if any(diagnosed_model.name == model.name for model in models):
            raise ConfigError(f"two models are called {diagnosed_model.name!r}; give each a name of its own")
        possible, reasons = _sort_protocols(
            chosen, diagnosed_model, has_claims=has_claims, judged=bool(judge or truth)
        )
        if not possible and not diagnosed_model.abilities:
            raise ModelError(f"{diagnosed_model.name} cannot be diagnosed: {diagnosed_model.why_not('continue')}")
        for reason in reasons:
            left_out.append(reason)
            on_notice(reason)
        own = {
            **settings.to_json(),
            **(model_settings or {}).get(diagnosed_model.name, {}),
            "judge": judge.name if judge is not None else None,
        }
        log = FindingsLog(folder / "findings" if folder is not None else None, diagnosed_model.name, own)
        advance = (
            _count(on_progress(diagnosed_model.name), len(samples) * (1 + len(possible))) if on_progress else _ignore
        )
        run = ProtocolRun(
            diagnosed_model,
            possible,
            settings,
            log,
            judge=judge,
            truth=truth,
            other_images=other_images,
            advance=advance,
        )
        questions: list[QuestionFindings] = []
        for start in range(0, len(samples), batch_size):
            chunk = [samples[number] for number in range(start, min(start + batch_size, len(samples)))]
            questions += run.diagnose(chunk)
        models.append(summarise_model(diagnosed_model.name, questions, settings))
        del diagnosed_model, run  # or two models would be in memory while the next is loaded
    if not models:
        raise ConfigError("there is no model to diagnose; name at least one")
    diagnosis = Diagnosis(
        data=data or (samples.source if isinstance(samples, Samples) else "data in memory"),
        settings=_describe(settings, chosen, judge, model_settings),
        models=tuple(models),
        differences=compare_models(models, seed=settings.seed),
        left_out=tuple(dict.fromkeys(left_out)),
    )
    if folder is not None:
        write_report(diagnosis, samples, folder)
    return diagnosis


def write_report(diagnosis: Diagnosis, samples: Sequence[Sample], folder: Path) -> None:
    """Write the tables and the page of a diagnosis; `samples` give the images."""
    from vapo.diagnosis.page.write import write_page

    write_tables(diagnosis, folder)
    write_page(diagnosis, SampleImages(samples), folder / REPORT)


class SampleImages(Mapping[str, "Sequence[Image]"]):
    """The images of samples by sample id, opened when they are asked for and not kept."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples
        self._places = {samples[number].id: number for number in range(len(samples))}

    def __getitem__(self, sample_id: str) -> Sequence[Image]:
        return self._samples[self._places[sample_id]].images

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _check_samples(samples: Sequence[Sample]) -> Iterator[Sample]:
    for number in range(len(samples)):
        sample = samples[number]
        if not sample.answer.strip():
            raise DataError(f"sample {sample.id!r} has no reference answer to grade against; add one or leave it out")
        yield sample


def _sort_protocols(
    chosen: Sequence[str], diagnosed_model: DiagnosedModel, *, has_claims: bool, judged: bool
) -> tuple[list[str], list[str]]:
    """Return what can be done with a model, and a sentence for all that cannot."""
    possible: list[str] = []
    reasons: list[str] = []
    for name in chosen:
        need = NEEDS.get(name)
        if name in NEED_CLAIMS and not has_claims:
            reasons.append(f"{TITLES[name]} was left out: no row of the data has claims; add a claims column.")
        elif name == "errors" and not judged:
            reasons.append(
                f"{TITLES[name]} were left out: there is no judge to say why answers are wrong; name one (--judge)."
            )
        elif need is not None and need not in diagnosed_model.abilities:
            verb = "were" if name == "remedies" else "was"
            reasons.append(
                f"{TITLES[name]} {verb} left out for {diagnosed_model.name}: {diagnosed_model.why_not(need)}"
            )
        else:
            possible.append(name)
            if name == "remedies" and "replay" not in diagnosed_model.abilities:
                why = diagnosed_model.why_not("replay")
                reasons.append(f"Remedies: visual replay was left out for {diagnosed_model.name}: {why}")
    return possible, reasons


def _describe(
    settings: DiagnosisSettings,
    protocols: Sequence[str],
    judge: Judge | None,
    model_settings: Mapping[str, Mapping[str, Any]] | None,
) -> dict[str, object]:
    described: dict[str, object] = {**settings.to_json(), "protocols": list(protocols)}
    if judge is not None:
        described["judge"] = judge.name
    if model_settings:
        described["models"] = {name: dict(own) for name, own in model_settings.items()}
    return described


def _count(report: Callable[[int, int], None], total: int) -> Callable[[int], None]:
    done = 0

    def advance(questions: int) -> None:
        nonlocal done
        done += questions
        report(done, total)

    report(0, total)
    return advance


def _ignore(questions: int) -> None:
    pass
