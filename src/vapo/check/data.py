"""The data of a run: what `vapo data inspect` finds in its first rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from vapo.check.section import Section
from vapo.data.inspection import inspect_samples

MOST_SHOWN = 5
FEW_CLAIMS_OF_A_KIND = 0.25


def look_at_data(options: Any, processor: Any, escape: Callable[[str], str], *, needs_claims: bool) -> Section:
    """Inspect all rows.

    Args:
        options: of the run (`vapo.training.options.RunOptions`).
        processor: of the model.
        escape: keeps text from turning into special tokens.
        needs_claims: whether rows without claims are problems.
    """
    data = options.data
    found = inspect_samples(
        options.source,
        split=data.split,
        columns=data.columns,
        require_claims=needs_claims,
        image_folder=data.image_folder,
        allow_urls=data.allow_urls,
        max_pixels=data.max_pixels,
        limit=data.limit,
        processor=processor,
        system_prompt=data.system_prompt,
        escape=escape,
    )
    facts = {
        "rows": f"{found.rows} looked at, {found.good_rows} good, with {found.images} images",
        "answers": ", ".join(f"{number} {kind}" for kind, number in found.answer_kinds.items()) or "none",
        "claims": f"{found.claims}, {found.true_claims} of them true",
    }
    if found.prompt_tokens is not None:
        spread = found.prompt_tokens
        facts["prompt tokens"] = (
            f"{spread.least:g} / {spread.median:g} / {spread.greatest:g} (least / median / greatest of "
            f"{found.prompts_measured})"
        )
    told = [f"{problem}" for problem in found.problems[:MOST_SHOWN]]
    if len(found.problems) > MOST_SHOWN:
        told.append(f"{len(found.problems) - MOST_SHOWN} more rows; `vapo data inspect` lists them all")
    skips = data.on_bad_row == "skip" and any(problem.row is not None for problem in found.problems)
    warnings = [f"left out: {one}" for one in told] if skips else []
    if found.unreadable_answers:
        shown = ", ".join(map(repr, found.unreadable_answers[:3]))
        warnings.append(f"{len(found.unreadable_answers)} answers that no response can match, such as {shown}")
    if found.claims and not FEW_CLAIMS_OF_A_KIND <= found.true_claims / found.claims <= 1 - FEW_CLAIMS_OF_A_KIND:
        warnings.append("most claims have one truth, so a model that always gives the same answer looks good")
    if found.rows_of_one_truth:
        warnings.append(f"{len(found.rows_of_one_truth)} rows have claims of one truth alone")
    numbers = {name: value for name, value in asdict(found).items() if name != "problems"}
    return Section("data", facts, numbers, [] if skips else told, warnings)
