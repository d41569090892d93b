"""What a run's data say of its plan, where they are on this machine: how many rows, and how long prompts are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from vapo.data.inspection import MeasuredPrompts, measure_prompts
from vapo.data.samples import prepare_reader
from vapo.models.plain_text import make_escaper
from vapo.models.policy.checkpoint import find_parts, load_processor
from vapo.models.vision_tokens import find_image_token_id


@dataclass(frozen=True, slots=True)
class LocalData:
    """What was found; `prompts` is None where they were not measured."""

    num_rows: int
    prompts: MeasuredPrompts | None

    def __str__(self) -> str:
        if self.prompts is None:
            return f"data: {self.num_rows} rows"
        return (
            f"data: {self.num_rows} rows; the longest of {self.prompts.measured} prompts, evenly spread over them, "
            f"has {self.prompts.tokens} tokens, {self.prompts.image_tokens} of them images'"
        )


def look_at_data(options: Any, resolve_data: Callable[[str], str], *, needs_prompts: bool) -> LocalData | None:
    """Count the rows of a run's data, and measure prompts under its model's processor.

    Args:
        options: of the run (`vapo.training.options.RunOptions`), its model resolved.
        resolve_data: makes a path of a name that stands for one.
        needs_prompts: measure prompts; up to 200 are rendered.

    Returns:
        None for data that are not on this machine.

    Raises:
        DataError: the data cannot be opened, or a row that is rendered cannot be used.
        ModelError: the model has no processor, or names no token of images.
    """
    data, source = options.data, resolve_data(options.source)
    if not Path(source).expanduser().exists():
        return None
    where = {"split": data.split, "columns": data.columns, "image_folder": data.image_folder, "limit": data.limit}
    if not needs_prompts:
        return LocalData(prepare_reader(source, **where)[1], None)
    trusted = options.training.trust_remote_code
    processor = load_processor(find_parts(options.model_name).processor, trusted)
    config = AutoConfig.from_pretrained(options.model_name, trust_remote_code=trusted)
    prompts = measure_prompts(
        source,
        processor,
        image_token_id=find_image_token_id(config),
        allow_urls=data.allow_urls,
        system_prompt=data.system_prompt,
        escape=make_escaper(processor),
        **where,
    )
    return LocalData(prompts.rows, prompts)
