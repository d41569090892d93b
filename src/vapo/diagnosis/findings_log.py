"""What a diagnosis has finished, on disk: one line per question and protocol, so that nothing is computed twice.

A line is used again for the same question, by digest, of the same model under the same settings. Which protocols
are asked for is no setting: a later call with more of them reads the responses and answers of an earlier one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from vapo.diagnosis.findings import (
    Attention,
    EarlyAnswer,
    ErrorCause,
    ProbedClaim,
    Remedied,
    Sensitivity,
)
from vapo.diagnosis.protocols import ROW_PROTOCOLS
from vapo.diagnosis.row_log import RowLog
from vapo.types import Rollout, Sample

RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Part:
    """What one protocol found on one question.

    Attributes:
        digest: of the question.
        name: the protocol, or "response".
        value: plain values; None if it could not be done.
        notes: why not, in sentences.
    """

    digest: str
    name: str
    value: Any
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the part as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Part:
        """Return the part that `to_json` wrote; KeyError or TypeError if it did not."""
        return cls(**{**values, "notes": tuple(values["notes"])})


class FindingsLog:
    """The finished parts of one model's diagnosis; without a folder they are kept in memory alone.

    Args:
        folder: where models' parts are kept, each in a folder of its own; None for nowhere.
        model: the model's name.
        settings: all that the parts depend on.

    Raises:
        ConfigError: the folder holds parts made with other settings.
        DataError: a finished line cannot be read.
    """

    def __init__(self, folder: Path | None, model: str, settings: Mapping[str, Any]) -> None:
        self._log = RowLog(folder / _name_folder(model), settings, Part) if folder is not None else None
        rows = self._log.rows if self._log is not None else []
        self._parts = {(part.digest, part.name): part for part in rows}

    def find(self, digest: str, name: str) -> Part | None:
        """Return what a protocol found on a question; None if that is still to be done."""
        return self._parts.get((digest, name))

    def add(self, parts: Iterable[Part], *, keep: bool = True) -> None:
        """Take parts in; with `keep` they are on the disk when this returns, without they are done again next time."""
        parts = list(parts)
        if keep and parts and self._log is not None:
            self._log.append(parts)
        self._parts |= {(part.digest, part.name): part for part in parts}


def write_rollout(rollout: Rollout) -> dict[str, Any]:
    """Return a response as plain values, without its sample."""
    return {
        "prompt_ids": list(rollout.prompt_ids),
        "completion_ids": list(rollout.completion_ids),
        "token_texts": list(rollout.token_texts),
    }


def read_rollout(values: Mapping[str, Any], sample: Sample) -> Rollout:
    """Return the response that `write_rollout` wrote."""
    return Rollout(sample, *(tuple(values[name]) for name in ("prompt_ids", "completion_ids", "token_texts")))


def read_part(part: Part | None) -> Any:
    """Return what a protocol found as the type that `QuestionFindings` holds; None if it found nothing."""
    if part is None or part.value is None:
        return None
    if part.name in ROW_PROTOCOLS:
        return tuple(ROW_PROTOCOLS[part.name].row_type(**one) for one in part.value)
    return _READERS[part.name](part.value)


def write_finding(finding: Any) -> Any:
    """Return what a protocol found as plain values; `read_part` turns them back."""
    if finding is None:
        return None
    return [asdict(one) for one in finding] if isinstance(finding, tuple) else asdict(finding)


_READERS: dict[str, Any] = {
    "early": lambda values: tuple(EarlyAnswer(**one) for one in values),
    "perception": lambda values: tuple(ProbedClaim(**one) for one in values),
    "attention": lambda values: Attention(tuple(values["by_token"]), tuple(map(tuple, values["by_head"]))),
    "sensitivity": lambda values: Sensitivity(tuple(values["by_token"])),
    "remedies": lambda values: tuple(Remedied(**one) for one in values),
    "errors": lambda values: ErrorCause(tuple(values["votes"]), values["category"], values["truth"]),
}


def _name_folder(model: str) -> str:
    # The digest keeps apart models whose names differ in signs alone.
    readable = re.sub(r"[^\w.-]+", "-", model).strip("-.")[-60:]
    return f"{readable}-{crc32(model.encode()):08x}"
