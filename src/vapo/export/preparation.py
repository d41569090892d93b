"""All of an export that can be found out, and refused, before weights are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vapo.claims.contents import Contents, count_contents
from vapo.claims.quality.quality import Quality, measure_quality
from vapo.claims.store.store import Store
from vapo.diagnosis.summary import Evaluation
from vapo.errors import ConfigError
from vapo.export.base import Base, find_base
from vapo.export.measured import FoundDiagnosis, read_diagnosis, read_evaluation
from vapo.export.origin import Origin, find_origin
from vapo.export.questions import find_questions
from vapo.export.weights import check_room, choose_dtypes
from vapo.models.policy.checkpoint import CheckpointParts, find_parts, load_processor, read_config
from vapo.run_folder import find_system_prompt
from vapo.serving.vllm_process import check_vllm_is_here
from vapo.types import Sample


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to write, tell and check.

    Attributes:
        base: where an adapter's base model is; None for where the adapter says.
        dtype: precision to write; "auto" is that of the checkpoint, or of its base.
        device: a torch device, as for `load_policy`.
        licence: of the base model, as the hub calls it; None for what its card says.
        evaluations: files or folders of `vapo evaluate`.
        diagnosis: folder of `vapo diagnose`.
        claims: the store of the claims that were trained on.
        num_questions: to compare answers by, where no samples are given.
        max_completion_tokens: longest answer that is compared.
        start_vllm: whether to serve the export with vLLM and compare its answers, too.
        push_to: name on the hub to push to; None pushes nothing.
        private: whether that is private, if it is new.
        trust_remote_code: whether code that comes with the checkpoint may run.
    """

    base: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    licence: str | None = None
    evaluations: Sequence[Path] = ()
    diagnosis: Path | None = None
    claims: Path | None = None
    num_questions: int = 8
    max_completion_tokens: int = 64
    start_vllm: bool = False
    push_to: str | None = None
    private: bool = False
    trust_remote_code: bool = False


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is known of an export before it is made; see `CardContents`.

    Attributes:
        parts: of the checkpoint.
        processor: opened.
        own_dtype: precision that it is read and asked in.
        context: tokens that the model can hold; None if it does not say.
        samples: questions to compare answers by.
    """

    origin: Origin
    parts: CheckpointParts
    processor: Any
    base: Base | None
    own_dtype: str
    dtype: str
    context: int | None
    samples: Sequence[Sample]
    system_prompt: str | None
    evaluations: tuple[Evaluation, ...]
    diagnosis: FoundDiagnosis | None
    claims: tuple[Contents, Quality] | None


def prepare(
    checkpoint: str | Path,
    out: Path,
    samples: Sequence[Sample] | None,
    options: ExportOptions,
    on_notice: Callable[[str], None],
) -> Preparation:
    """Find out all that an export needs but the weights. Takes and raises what `export` does."""
    if options.max_completion_tokens < 1 or options.num_questions < 1:
        raise ConfigError("an export is compared by at least one question and one token; raise what is below 1")
    origin = find_origin(checkpoint)
    parts = find_parts(origin.folder, options.base)
    config = read_config(parts.weights, options.trust_remote_code)
    own_dtype, dtype = choose_dtypes(config, options.dtype, quantised=origin.is_quantised)
    processor = load_processor(parts.processor, options.trust_remote_code)
    if not (out.is_dir() and any(out.iterdir())):
        check_room(out, parts, own_dtype, dtype)
    if options.start_vllm:
        check_vllm_is_here()
    if origin.run is None:
        on_notice(f"{origin.folder} has no record of a vapo run beside it: its card will say so of data and recipe")
    questions = samples
    if questions is None:
        questions = find_questions(origin, options.num_questions, processor, on_notice)
    return Preparation(
        origin=origin,
        parts=parts,
        processor=processor,
        base=_find_base(origin, parts, options.licence),
        own_dtype=own_dtype,
        dtype=dtype,
        context=getattr(config.get_text_config(), "max_position_embeddings", None),
        samples=questions,
        system_prompt=find_system_prompt(origin.folder)[0],
        evaluations=tuple(map(read_evaluation, options.evaluations)),
        diagnosis=None if options.diagnosis is None else read_diagnosis(options.diagnosis),
        claims=None if options.claims is None else _read_claims(options.claims),
    )


def _find_base(origin: Origin, parts: CheckpointParts, licence: str | None) -> Base | None:
    adapted = parts.weights if parts.adapter is not None else None
    name = origin.settings.get("model_name_or_path") or adapted
    return None if name is None else find_base(str(name), adapted, licence)


def _read_claims(path: Path) -> tuple[Contents, Quality]:
    with Store(path) as store:
        return count_contents(store), measure_quality(store)
