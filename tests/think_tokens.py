"""Small models whose tokenizer has the tags of the thinking part as tokens."""

from __future__ import annotations

from pathlib import Path

from tiny_models import save_tiny
from transformers import AutoModelForImageTextToText, AutoProcessor

from vapo.core.boundaries import THINK_TAGS


def save_with_think_tokens(folder: Path, *, trained: bool, family: str = "llava", special: bool = False) -> Path:
    """Save a random model with tokens for the tags; untrained rows are as transformers makes them for new tokens.

    Args:
        folder: to be made.
        trained: whether their rows look as those of other tokens do.
        family: of the model.
        special: whether decoding drops them.
    """
    save_tiny(family, folder)
    processor = AutoProcessor.from_pretrained(folder)
    processor.tokenizer.add_tokens(list(THINK_TAGS), special_tokens=special)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    if not trained:
        ids = processor.tokenizer.convert_tokens_to_ids(list(THINK_TAGS))
        for module in (model.get_input_embeddings(), model.get_output_embeddings()):
            rows = module.weight.data
            rows[ids] = rows.mean(0) + 1e-4 * rows[ids]
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
