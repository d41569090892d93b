"""The values of a data set that samples give, read when a row is asked for.

In the data set stands, for each of them, which sample it comes from. So its columns have the names that rows have, and
`datasets` can map, filter, select, rename and shuffle them without opening an image.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from datasets import Dataset

from vapo.data.images import ImagePolicy, open_image
from vapo.data.prompts import build_messages
from vapo.data.row_reader import UnopenedSample
from vapo.data.samples import Samples
from vapo.training.rows import TRL_IMAGE_COLUMNS
from vapo.types import Sample

OF_SAMPLES = ("prompt", "images", "answer", "claims", "id")
"""The columns of rows that samples are made of."""

OF_TRL = ("completion", "completions", "completion_ids", "prompts", "trainer_state", "log_extra", "log_metric")
"""What TRL hands to reward functions itself, beside the columns of the data."""

_SAMPLE, _OTHER = "vapo:sample.", "vapo:other."


class SampleRows:
    """The transform that puts the values of samples into rows; a class, so that workers that load data can be sent it.

    Args:
        samples: what to train on.
        system_prompt: put before every question; None for none.
        opens_images: whether `images` are opened; else they are what samples read without opening hold.
    """

    def __init__(
        self, samples: Sequence[Sample], system_prompt: str | None = None, *, opens_images: bool = True
    ) -> None:
        self.samples = samples
        self.system_prompt = system_prompt
        self._opens_images = opens_images

    def without_opening(self) -> SampleRows:
        """Return the transform that opens no image."""
        return SampleRows(self.samples, self.system_prompt, opens_images=False)

    def make_dataset(self) -> Dataset:
        """Return the data set of all rows: the columns of samples, and behind them the data's others."""
        others = self.samples.other_columns if isinstance(self.samples, Samples) else ()
        taken = [name for name in others if name in OF_SAMPLES + OF_TRL]
        if taken:
            logging.getLogger(__name__).warning(
                "the columns %s of the data do not reach rewards, because vapo or TRL gives something of the same "
                "name; rename them, or name them as columns of the question, the answer, the images or the id",
                ", ".join(map(repr, taken)),
            )
        names = {name: _SAMPLE + name for name in OF_SAMPLES}
        names |= {name: _OTHER + name for name in others if name not in taken}
        numbers = range(len(self.samples))
        # In a list, because Arrow sorts and compares by bare numbers without a word.
        table = {name: [{reference: [number]} for number in numbers] for name, reference in names.items()}
        return Dataset.from_dict(table).with_transform(self)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Return a batch with values in the place of references to samples."""
        rows = [self._read(dict(zip(batch, row, strict=True))) for row in zip(*batch.values(), strict=True)]
        return {name: [row[name] for row in rows] for name in batch}

    def __deepcopy__(self, memo: object) -> SampleRows:
        return self  # `datasets` copies a transform with every change of format; samples do not change

    def _read(self, row: Mapping[str, Any]) -> dict[str, Any]:
        references = {name: _read_reference(value) for name, value in row.items()}
        opens = self._opens_images and any(one is not None and one[0] == _IMAGES for one in references.values())

        @cache
        def read_sample(number: int) -> Sample | UnopenedSample:
            whole = opens or not isinstance(self.samples, Samples)
            return self.samples[number] if whole else cast("Samples", self.samples).read_unopened(number)

        @cache
        def read_others(number: int) -> Mapping[str, Any]:
            return cast("Samples", self.samples).read_others(number)

        def read_value(kind: str, number: int) -> Any:
            if kind.startswith(_OTHER):
                return read_others(number)[kind.removeprefix(_OTHER)]
            return _make(kind.removeprefix(_SAMPLE), read_sample(number), self.system_prompt)

        return {
            name: self._open_encoded(name, row[name]) if one is None else read_value(*one)
            for name, one in references.items()
        }

    def _open_encoded(self, name: str, value: Any) -> Any:
        # datasets 5.2 loses the type of images in a list where .map() changes them.
        if not (self._opens_images and name in TRL_IMAGE_COLUMNS and isinstance(value, list)):
            return value
        return [open_image(one, None, ImagePolicy()) if isinstance(one, Mapping) else one for one in value]


def list_references(dataset: Any) -> list[str]:
    """Return the columns of a data set in which references to samples stand, whatever fills them in."""
    features: Mapping[str, Any] = dataset.features or {}
    return [name for name, feature in features.items() if _read_reference(feature) is not None]


def list_samples(dataset: Dataset, column: str) -> list[int]:
    """Return the numbers of the samples that a column refers to."""
    references = map(_read_reference, dataset.select_columns([column]).with_format(None)[column])
    return [one[1] for one in references if one is not None]


def _read_reference(value: Any) -> tuple[str, Any] | None:
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    ((kind, numbers),) = value.items()
    if not isinstance(kind, str) or not kind.startswith((_SAMPLE, _OTHER)):
        return None
    return kind, numbers[0] if isinstance(numbers, list) else numbers


_IMAGES = _SAMPLE + "images"


def _make(name: str, sample: Sample | UnopenedSample, system_prompt: str | None) -> Any:
    if name == "prompt":
        return build_messages(sample, system_prompt)
    if name == "claims":
        return [{"text": claim.text, "is_true": claim.is_true} for claim in sample.claims]
    return list(sample.images) if name == "images" else getattr(sample, name)
