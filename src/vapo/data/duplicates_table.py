"""Write what two data sets have in common, for a terminal and for a file."""

from __future__ import annotations

import json

from vapo.core.perceptual_hash import BITS
from vapo.core.text_tables import list_facts
from vapo.data.duplicates import Duplicate, Duplicates


def format_duplicates(duplicates: Duplicates, max_shown: int = 5) -> str:
    """Write the counts, and the first pairs in full.

    Args:
        duplicates: what was found.
        max_shown: how many pairs to spell out.
    """
    exact = [pair for pair in duplicates.found if pair.distance is None]
    near = [pair for pair in duplicates.found if pair.distance is not None]
    facts = [
        ("data", f"{duplicates.source}, {duplicates.num_rows} rows"),
        ("against", f"{duplicates.other_source}, {duplicates.num_other_rows} rows"),
        ("the same pixels", f"{len(exact)} pairs of images in {_count_rows(exact)} rows"),
        ("nearly the same", f"{len(near)} pairs of images in {_count_rows(near)} rows"),
        ("rows with either", f"{len(duplicates.rows)} of {duplicates.num_rows}"),
    ]
    lines = list_facts(facts)
    for title, pairs in (("the same pixels", exact), ("nearly the same", near)):
        if pairs:
            lines += ["", title, *(f"  {_describe(pair)}" for pair in pairs[:max_shown])]
        if len(pairs) > max_shown:
            lines.append(f"  and {len(pairs) - max_shown} more")
    for source, problems in (
        (duplicates.source, duplicates.problems),
        (duplicates.other_source, duplicates.other_problems),
    ):
        if problems:
            lines += ["", f"left out of {source}", *(f"  {problem}" for problem in problems[:max_shown])]
        if len(problems) > max_shown:
            lines.append(f"  and {len(problems) - max_shown} more")
    return "\n".join(lines)


def dump_duplicates(duplicates: Duplicates) -> str:
    """Write every pair as JSON; rows and images are counted from 0."""
    pairs = [
        {
            "row": pair.row,
            "image": pair.image,
            "other_row": pair.other_row,
            "other_image": pair.other_image,
            "same_pixels": pair.distance is None,
            "distance": pair.distance or 0,
        }
        for pair in duplicates.found
    ]
    report = {
        "data": duplicates.source,
        "against": duplicates.other_source,
        "rows": duplicates.num_rows,
        "other_rows": duplicates.num_other_rows,
        "bits": BITS,
        "pairs": pairs,
        "left_out": [str(problem) for problem in duplicates.problems],
        "other_left_out": [str(problem) for problem in duplicates.other_problems],
    }
    return json.dumps(report, indent=1, ensure_ascii=False) + "\n"


def _describe(pair: Duplicate) -> str:
    bits = "" if pair.distance is None else f": {pair.distance} of {BITS} bits differ"
    return f"row {pair.row}, image {pair.image + 1}, is row {pair.other_row}, image {pair.other_image + 1}{bits}"


def _count_rows(pairs: list[Duplicate]) -> int:
    return len({pair.row for pair in pairs})
