"""Turn a checkpoint into a folder that others can use and check: plain weights, processor, card.

What can be refused is refused before weights are read. The folder appears once all of it is written and what
transformers reads back from it answers as the checkpoint does.
"""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vapo.atomic_files import atomic_folder, write_atomically
from vapo.diagnosis.fingerprint import fingerprint_weights
from vapo.errors import ConfigError, ModelError
from vapo.export.agreement import Agreement, compare_answers, read_agreement, to_plain
from vapo.export.card import CardContents, replace_checks, write_card
from vapo.export.figures import FIGURES
from vapo.export.hub import Hub
from vapo.export.preparation import ExportOptions, Preparation, prepare
from vapo.export.served import compare_served, compare_with_server
from vapo.export.weights import explaining_full_disk, merge_adapter, open_plainly, write_model
from vapo.models.first_device import find_first_device
from vapo.models.policy.answers import Answer, answer_greedily, score_response
from vapo.models.policy.checkpoint import Policy, load_policy
from vapo.run_folder import EXPORT
from vapo.types import Sample
from vapo.versions import OWN

CARD, RECORD = "README.md", EXPORT

_WRITE_MORE_BITS = (
    "nothing was kept. Write more bits with --dtype float32; if that is no better, it cannot be merged exactly"
)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: its folder, how it was compared with its checkpoint, and its address if it was pushed."""

    folder: Path
    agreements: tuple[Agreement, ...]
    address: str | None = None

    def __str__(self) -> str:
        lines = [f"{one.copy}: {one}" for one in self.agreements]
        lines.append(f"the model and its card are in {self.folder}")
        return "\n".join([*lines, f"and at {self.address}"] if self.address else lines)


def export(
    checkpoint: str | Path,
    out: Path,
    samples: Sequence[Sample] | None = None,
    options: ExportOptions = ExportOptions(),
    *,
    on_notice: Callable[[str], None] = print,
) -> Exported:
    """Export a checkpoint.

    Args:
        checkpoint: a run's folder, a checkpoint or an adapter.
        out: missing, or an empty folder.
        samples: questions to compare answers by; None for some of the run's own data.
        options: what to write, tell and check.
        on_notice: told what could not be found out.

    Raises:
        ConfigError: an option or `out` cannot be used, or there is no room.
        DataError: what the card should tell of cannot be read.
        ModelError: the checkpoint cannot be used, or what was written does not answer as it does.
    """
    check_place(out)
    prepared = prepare(checkpoint, out, samples, options, on_notice)
    hub = Hub(options.push_to, private=options.private) if options.push_to is not None else None
    policy, answers = _answer(prepared, options)
    weights = fingerprint_weights(policy.model)
    policy = merge_adapter(policy, prepared.dtype)
    with atomic_folder(out) as temporary:
        write_model(policy, temporary)
        size, device = policy.model.num_parameters(), find_first_device(policy.model)
        del policy
        _forget()
        agreements = (_compare_opened(temporary, device, answers, prepared, options),)
        if options.start_vllm:
            _forget()
            agreements += (_compare_served(temporary, answers, prepared, options),)
        contents = CardContents(
            name=options.push_to or out.absolute().name,
            origin=prepared.origin,
            base=prepared.base,
            merged=prepared.parts.adapter is not None,
            dtype=prepared.dtype,
            num_parameters=size,
            agreements=agreements,
            evaluations=[(one, one.settings.get("weights") == weights) for one in prepared.evaluations],
            diagnosis=prepared.diagnosis,
            claims=prepared.claims,
            version=OWN,
        )
        with explaining_full_disk(temporary):
            _write_beside(temporary, contents)
    return Exported(out, agreements, hub.push(out) if hub is not None else None)


def check_served(
    checkpoint: str | Path,
    out: Path,
    url: str,
    samples: Sequence[Sample] | None = None,
    options: ExportOptions = ExportOptions(),
    *,
    on_notice: Callable[[str], None] = print,
) -> Exported:
    """Compare a server that serves an export with the checkpoint, and add to the export's card what comes of it.

    Args:
        checkpoint, samples, options, on_notice: as for `export`.
        out: the export.
        url: of a vLLM server.

    Raises:
        ConfigError: there is no export.
        ModelError: the server does not answer as the checkpoint does.
    """
    if not (out / RECORD).is_file():
        raise ConfigError(
            f"{out} holds no export yet that a server could serve; export first, serve it (vllm serve {out} "
            "--enable-scale-out), and give the same command again"
        )
    prepared = prepare(checkpoint, out, samples, options, on_notice)
    policy, answers = _answer(prepared, options)
    agreement = compare_with_server(
        url,
        answers,
        policy.processor.tokenizer,
        max_completion_tokens=options.max_completion_tokens,
        system_prompt=prepared.system_prompt,
    )
    _demand(agreement, "the server's model", f"check that it serves {out}; the card stays as it was")
    record = json.loads((out / RECORD).read_text(encoding="utf-8"))
    kept = [read_agreement(one) for one in record["agreements"] if one["copy"] != agreement.copy]
    agreements = (*kept, agreement)
    record["agreements"] = list(map(to_plain, agreements))
    write_atomically(out / RECORD, json.dumps(record, indent=2) + "\n")
    write_atomically(out / CARD, replace_checks((out / CARD).read_text(encoding="utf-8"), agreements))
    return Exported(out, agreements)


def check_place(out: Path) -> None:
    """Refuse a place that holds something. Raises ConfigError."""
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; name another folder, or empty it")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; name a folder")


def _answer(prepared: Preparation, options: ExportOptions) -> tuple[Policy, list[Answer]]:
    policy = load_policy(
        prepared.origin.folder,
        device=options.device,
        dtype=prepared.own_dtype,
        trust_remote_code=options.trust_remote_code,
        base=options.base,
    )
    answers = answer_greedily(policy, prepared.samples, options.max_completion_tokens, prepared.system_prompt)
    return policy, answers


def _compare_opened(
    temporary: Path, device: torch.device, answers: Sequence[Answer], prepared: Preparation, options: ExportOptions
) -> Agreement:
    copy = open_plainly(temporary, device, options.trust_remote_code)
    theirs = answer_greedily(copy, prepared.samples, options.max_completion_tokens, prepared.system_prompt)
    agreement = compare_answers(
        answers,
        [answer.rollout for answer in theirs],
        [score_response(copy, answer.rollout) for answer in answers],
        copy="transformers",
        dtype=prepared.dtype,
    )
    _demand(agreement, "what transformers reads back")
    return agreement


def _compare_served(
    temporary: Path, answers: Sequence[Answer], prepared: Preparation, options: ExportOptions
) -> Agreement:
    agreement = compare_served(
        temporary,
        answers,
        prepared.processor.tokenizer,
        max_completion_tokens=options.max_completion_tokens,
        system_prompt=prepared.system_prompt,
        dtype=prepared.dtype,
        context=prepared.context,
    )
    _demand(agreement, "what vLLM serves")
    return agreement


def _demand(agreement: Agreement, what: str, remedy: str = _WRITE_MORE_BITS) -> None:
    if not agreement.holds:
        raise ModelError(f"{what} does not answer as the checkpoint does: {agreement}; {remedy}")


def _write_beside(folder: Path, contents: CardContents) -> None:
    if contents.diagnosis is not None and contents.diagnosis.figures:
        (folder / FIGURES).mkdir()
        for file in contents.diagnosis.figures:
            shutil.copy(file, folder / FIGURES / file.name)
    record: dict[str, Any] = {
        "vapo": OWN,
        "dtype": contents.dtype,
        "merged": contents.merged,
        "agreements": list(map(to_plain, contents.agreements)),
    }
    for name in ("system_prompt", "think_tags"):
        if name in contents.origin.settings:
            record[name] = contents.origin.settings[name]
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (folder / CARD).write_text(write_card(contents), encoding="utf-8")


def _forget() -> None:
    """Give back the memory of models that are no longer used."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
