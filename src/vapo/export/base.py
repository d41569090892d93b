"""The model that a policy was trained from: its name on the hub, and its licence as far as it is known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub.errors import HTTPError

from vapo.errors import ModelError
from vapo.models.policy.checkpoint import find_folder

_LICENCE = ("license", "license_name", "license_link")
_CARD = "README.md"


@dataclass(frozen=True, slots=True)
class Base:
    """A base model.

    Attributes:
        name: what the card calls it: its name on the hub, or the title of its own card, or its folder's name.
        on_hub: whether that is a name on the hub.
        licence: what its card says under `license`, `license_name` and `license_link`; empty where that is not known.
    """

    name: str
    on_hub: bool
    licence: dict[str, str]


def find_base(name: str, found_at: str | None = None, licence: str | None = None) -> Base:
    """Look up a base model.

    Args:
        name: folder or name on the hub, as training knew it.
        found_at: where it is now; None for the same place.
        licence: as the hub calls it, for example "apache-2.0"; None for what the model's own card says.
    """
    on_hub = _find_folder(name) is None and not Path(name).is_absolute()
    folder = _find_folder(found_at or name)
    card = folder / _CARD if folder is not None else _fetch_card(name) if on_hub else None
    text = card.read_text(encoding="utf-8", errors="replace") if card is not None and card.is_file() else ""
    said = {"license": licence} if licence is not None else _read_front_matter(text)
    licence_fields = {key: str(said[key]) for key in _LICENCE if said.get(key)}
    return Base(name if on_hub else _find_title(text) or Path(name).name, on_hub, licence_fields)


def _read_front_matter(card: str) -> dict[str, Any]:
    if not card.startswith("---\n"):
        return {}
    try:
        said = yaml.safe_load(card[4:].partition("\n---")[0])
    except yaml.YAMLError:
        return {}
    return said if isinstance(said, dict) else {}


def _find_title(card: str) -> str | None:
    found = re.search(r"^# (.+)$", card, re.MULTILINE)
    return found[1].strip() if found else None


def _find_folder(name: str) -> Path | None:
    try:
        return find_folder(name)
    except ModelError:  # a folder of the machine that trained it
        return None


def _fetch_card(name: str) -> Path | None:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, _CARD))
    except (OSError, ValueError, HTTPError):  # no network, no such model, no card
        return None
