"""Write an inspection as a table that is read in a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from vapo.core.text_tables import list_facts
from vapo.data.checks import group_problems
from vapo.data.inspection import Inspection, Spread


def format_inspection(inspection: Inspection, max_problems: int | None = None) -> str:
    """Write an inspection as lines of text, problems last.

    Args:
        inspection: what was found.
        max_problems: how many kinds of problems to spell out; None for all of them.
    """
    lines = list_facts(_list_facts(inspection))
    problems = inspection.problems
    if problems:
        lines += ["", f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"]
        kinds = group_problems(problems)
        for own in kinds[:max_problems]:
            lines.append(f"  {own[0]}")
            if len(own) > 1:
                lines += textwrap.wrap(
                    f"and {len(own) - 1} like it, in rows {_write_ranges([one.row or 0 for one in own[1:]])}",
                    100,
                    initial_indent="    ",
                    subsequent_indent="    ",
                )
        if max_problems is not None and len(kinds) > max_problems:
            lines.append(f"  and {sum(map(len, kinds[max_problems:]))} more")
        if any(problem.row is not None for problem in problems):
            lines.append("Fix the rows, or leave them out with --on-bad-row skip.")
    else:
        lines += ["", "no problems"]
    return "\n".join(lines)


def _list_facts(inspection: Inspection) -> list[tuple[str, str]]:
    spread = "least / median / greatest"
    facts = [
        ("data", inspection.source),
        ("rows", f"{inspection.rows} ({inspection.good_rows} good)"),
        ("images", str(inspection.images)),
        ("images per row", _write_counts(inspection.images_per_row, "row")),
        ("image width", f"{_write_spread(inspection.widths)} pixels ({spread})"),
        ("image height", f"{_write_spread(inspection.heights)} pixels"),
        ("question length", f"{_write_spread(inspection.question_characters)} characters"),
        ("answers", ", ".join(f"{number} {kind}" for kind, number in inspection.answer_kinds.items()) or "none"),
        *_list_answer_facts(inspection),
        ("claims", _write_claims(inspection)),
        ("claims per row", _write_counts(inspection.claims_per_row, "row")),
    ]
    rows = inspection.rows_of_one_truth
    if rows:
        count = f"{len(rows)} row{'s' if len(rows) > 1 else ''}"
        shown = ", ".join(rows[:5]) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
        facts.append(("claims of one truth", f"in {count}, where the same answer to every claim is right: {shown}"))
    if inspection.prompt_tokens is not None:
        over = f"over {inspection.prompts_measured} prompts"
        facts.append(("prompt length", f"{_write_spread(inspection.prompt_tokens)} tokens, {over}"))
    return facts


def _write_ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers as `3-7, 9`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number <= ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def _list_answer_facts(inspection: Inspection) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    if inspection.wrapped_answers:
        facts.append(
            ("wrapped answers", f"{inspection.wrapped_answers} in a box or a tag, or behind 'Answer:'; unwrapped")
        )
    unreadable = inspection.unreadable_answers
    if unreadable:
        shown = ", ".join(repr(textwrap.shorten(answer, 60)) for answer in unreadable[:3])
        facts.append(("unreadable answers", f"{len(unreadable)} that no response can match, such as {shown}"))
    return facts


def _write_claims(inspection: Inspection) -> str:
    if inspection.claims == 0:
        return "none"
    true = inspection.true_claims
    wrong = inspection.claims - true
    return f"{inspection.claims}: {true} CORRECT ({true / inspection.claims:.1%}), {wrong} WRONG"


def _write_spread(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    return f"{spread.least:g} / {spread.median:g} / {spread.greatest:g}"


def _write_counts(counts: Mapping[int, int], noun: str) -> str:
    parts = [f"{number} in {rows} {noun}{'s' if rows != 1 else ''}" for number, rows in counts.items()]
    shown = ", ".join(parts[:6])
    return f"{shown} and {len(parts) - 6} more counts" if len(parts) > 6 else shown or "-"
