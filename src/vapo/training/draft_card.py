"""The card beside the checkpoints of a run, until `vapo export` writes a whole one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from trl import GRPOTrainer

from vapo.versions import OWN


class WritesDraftCard(GRPOTrainer):
    """Writes a card of its own in the place of TRL's, which calls a base model in a folder `None`."""

    def create_model_card(
        self, model_name: str | None = None, dataset_name: str | None = None, tags: str | list[str] | None = None
    ) -> None:
        if self.is_world_process_zero():
            config: Any = self.model.config  # pyright: ignore[reportOptionalMemberAccess]
            given = [tags] if isinstance(tags, str) else list(tags or ())
            folder = Path(str(self.args.output_dir))
            text = write_draft_card(model_name or folder.name, config._name_or_path, [*given, *self._tag_names])
            (folder / "README.md").write_text(text, encoding="utf-8")


def write_draft_card(name: str, base: str, tags: list[str]) -> str:
    """Return a card as Markdown.

    Args:
        name: of the model.
        base: what it was trained from; a folder is told by its last part, and "" is not known.
        tags: for the Hugging Face hub.
    """
    on_hub = bool(base) and not Path(base).is_absolute() and not Path(base).is_dir()
    head: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "image-text-to-text"}
    head |= {"base_model": base} if on_hub else {}
    head |= {"tags": sorted(set(tags))}
    trained_from = f" from `{base if on_hub else Path(base).name}`" if base else ""
    return (
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n# {name}\n\nTrained{trained_from} by vapo {OWN}, with "
        "Vision-Anchored Policy Optimization or GRPO as `settings.json` says. This is a draft: `vapo export` writes a "
        "card with data, claims, recipe and measurements.\n"
    )
