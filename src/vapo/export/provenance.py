"""What a card tells of how a model came about: its data, the claims, the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from vapo.claims.contents import Contents
from vapo.claims.exchange.card import write_making, write_quality
from vapo.claims.exchange.markdown import escape, fence, write_table
from vapo.claims.quality.quality import Quality
from vapo.export.origin import Origin
from vapo.export.recipe import ELSEWHERE, list_recipe

NOT_RECORDED = "Not recorded."

_LOGGED = {
    "rewards/accuracy_reward/mean": "right answers",
    "perception/accuracy_quarter_1": "claims judged right, first quarter of the response",
    "perception/accuracy_quarter_4": "claims judged right, last quarter of the response",
    "completions/mean_length": "length of a response, tokens",
}


def name_place(place: str) -> str:
    """Return what to call a data set or model: a folder of the machine that trained by its last part alone."""
    return Path(place).name if Path(place).is_absolute() else place


def write_data(origin: Origin) -> str:
    """Return what a run was trained on."""
    if origin.data:
        return "\n\n".join(_write_split(split, record) for split, record in origin.data.items())
    if not origin.settings.get("data"):
        return NOT_RECORDED
    name, split = name_place(origin.settings["data"]), origin.settings.get("split")
    return f"{escape(name)}, split {escape(str(split))}; what was in it is not recorded."


def find_trained_split(origin: Origin, data: str) -> str | None:
    """Return which split of a data set a run trained on; None if it was another data set, or that is not recorded."""
    records = origin.data or {str(origin.settings.get("split")): {"source": origin.settings.get("data")}}
    names = {split: record.get("source") for split, record in records.items() if isinstance(record, Mapping)}
    return next((split for split, name in names.items() if name and name_place(str(name)) == name_place(data)), None)


def write_claims(claims: tuple[Contents, Quality] | None) -> str:
    """Return how the claims were made that a model was trained on, and how good they are."""
    if claims is None:
        return "Who made the claims it was trained on, and how good they are, is not recorded here."
    contents, quality = claims
    return f"### How they were made\n\n{write_making(contents)}\n\n### How good they are\n\n{write_quality(quality)}"


def write_training(origin: Origin) -> str:
    """Return a run's settings, steps, logged numbers and versions."""
    if not origin.settings:
        return NOT_RECORDED
    recipe = yaml.safe_dump(list_recipe(origin.settings), sort_keys=False, allow_unicode=True, width=100)
    usual = "What is not named here has vapo's usual value."
    parts = [f"By `vapo train --config run.yaml`. {usual}", fence(f"# run.yaml\n{recipe}", "yaml")]
    if origin.settings.get("made_by"):
        parts = [f"By `{origin.settings['made_by']}` in Python, with these options. {usual}", fence(recipe, "yaml")]
    if origin.settings.get("reward_funcs"):
        parts.append(f"Rewards: {escape(', '.join(origin.settings['reward_funcs']))}.")
    if origin.steps is not None:
        parts.append(f"Steps made: {origin.steps[0]} of {origin.steps[1]}.")
    if ELSEWHERE in recipe:
        parts.append(f"What begins with `{ELSEWHERE}` lay on the machine that trained: put your own place there.")
    logged = list(_list_logged(origin))
    if logged:
        parts.append("As the run logged it: means over a batch of training rows, without intervals.")
        parts.append(write_table(("", "first and last entry"), logged))
    return "\n\n".join([*parts, write_table(("package", "version"), origin.versions.items())]).rstrip()


def _write_split(split: str, record: Mapping[str, Any]) -> str:
    claims = record["true_claims"] + record["false_claims"]
    rows: list[tuple[str, object]] = [
        ("source", name_place(record["source"])),
        ("rows", record["rows"]),
        ("rows left out", record["rows_left_out"]),
        ("claims", f"{claims}, of which {record['true_claims']} are true" if claims else "none"),
        *(("file", f"{one['name']}, {one['bytes']} bytes, SHA-256 {one['sha256']}") for one in record["files"]),
    ]
    if record["commit"]:
        rows.append(("commit", record["commit"]))
    return write_table((f"split {escape(split)}", ""), rows)


def _list_logged(origin: Origin) -> Iterator[tuple[str, str]]:
    until = origin.steps[0] if origin.steps is not None else float("inf")
    for name, words in _LOGGED.items():
        entries = [one for one in origin.metrics if name in one and one["step"] <= until]
        if entries:
            first, last = (f"{one[name]:.4g} at step {one['step']}" for one in (entries[0], entries[-1]))
            yield words, f"{first}, {last}"
