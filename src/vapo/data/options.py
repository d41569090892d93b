"""How a data set is read: the options that say so, of run files and of every command that reads one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vapo.data.columns import DEFAULT_COLUMNS, Columns

MAX_PIXELS = 50_000_000


@dataclass
class DataOptions:
    """What to train on."""

    data: str | None = field(
        default=None,
        metadata={"help": "A Hugging Face data set, a folder, a Parquet, JSONL or CSV file, or 'lab'."},
    )
    split: str = field(default="train", metadata={"help": "Split of it."})
    eval_split: str | None = field(default=None, metadata={"help": "Split of it to evaluate on, with eval_strategy."})
    question_column: str = field(default=DEFAULT_COLUMNS.question, metadata={"help": "Column of the question."})
    answer_column: str = field(default=DEFAULT_COLUMNS.answer, metadata={"help": "Column of the reference answer."})
    images_column: str = field(default=DEFAULT_COLUMNS.images, metadata={"help": "Column of the image or images."})
    claims_column: str = field(
        default=DEFAULT_COLUMNS.claims,
        metadata={"help": "Column of the claims; without it claim_1, label_1, ... are looked for."},
    )
    id_column: str | None = field(default=DEFAULT_COLUMNS.id, metadata={"help": "Column that names rows."})
    image_folder: str | None = field(default=None, metadata={"help": "Folder that image paths are relative to."})
    system_prompt: str | None = field(default=None, metadata={"help": "Text put before every question."})
    on_bad_row: Literal["error", "skip"] = field(default="error", metadata={"help": "What a bad row leads to."})
    allow_urls: bool = field(default=False, metadata={"help": "Fetch images from the web."})
    max_pixels: int = field(default=MAX_PIXELS, metadata={"help": "Largest image accepted, in pixels."})
    max_prompt_tokens: int | None = field(
        default=None,
        metadata={"help": "Leave out rows whose prompt has more tokens, those of its images included."},
    )
    limit: int | None = field(default=None, metadata={"help": "Use the first rows only."})

    @property
    def columns(self) -> Columns:
        """The columns to read."""
        return Columns(
            question=self.question_column,
            answer=self.answer_column,
            images=self.images_column,
            claims=self.claims_column,
            id=self.id_column,
        )
