"""Prompts that are too long for a run, found before it begins: an engine refuses them only when it meets them."""

from __future__ import annotations

from typing import Any

from trl.data_utils import prepare_multimodal_messages

from vapo.data.checks import Progress
from vapo.data.prompts import build_messages
from vapo.data.samples import Samples
from vapo.errors import ConfigError, DataError, ModelError
from vapo.models.images import apply_chat_template
from vapo.models.plain_text import make_escaper


def leave_out_long_prompts(
    samples: Samples,
    processor: Any,
    max_tokens: int,
    *,
    system_prompt: str | None = None,
    progress: Progress | None = None,
) -> Samples:
    """Return the samples whose prompts have at most `max_tokens` tokens; the others are listed in `skipped`.

    Every prompt is made as in training, its images included.

    Args:
        samples: what to train on.
        processor: of the model that is trained.
        max_tokens: at least 1.
        system_prompt: put before every question.
        progress: told how far the work is.

    Raises:
        ConfigError: `max_tokens` is less than 1.
        DataError: no prompt is short enough, or the processor refuses one.
    """
    if max_tokens < 1:
        raise ConfigError(f"max_prompt_tokens must be at least 1, but is {max_tokens}")
    escape = make_escaper(processor)
    lengths: list[int] = []
    for place, sample in enumerate(samples):
        messages = build_messages(sample, system_prompt, escape)
        messages = prepare_multimodal_messages(messages, list(sample.images))
        try:
            encoded = apply_chat_template(processor, messages, add_generation_prompt=True)
        except ModelError as error:
            where, said = f"{samples.source}, row {samples.row_numbers[place]}", error.__cause__ or error
            raise DataError(f"{where}: the model's processor refuses it ({said}); leave the row out") from error
        lengths.append(encoded["input_ids"].shape[1])
        if progress is not None:
            progress(len(lengths), len(samples))
    if min(lengths) > max_tokens:
        raise DataError(
            f"{samples.source}: no prompt has {max_tokens} tokens or fewer, the shortest has {min(lengths)}; raise "
            "max_prompt_tokens, or use smaller images"
        )
    return samples.leave_out(
        {
            place: f"its prompt has {length} tokens, more than max_prompt_tokens={max_tokens}"
            for place, length in enumerate(lengths)
            if length > max_tokens
        }
    )
