"""What is in a store: rows and images, requests and what they cost, claims kept and rejected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vapo.claims.store.requests import Spending, read_spending
from vapo.claims.store.store import Store
from vapo.core.control_characters import show_on_one_line


@dataclass(frozen=True, slots=True)
class Contents:
    """Counts of what a store holds.

    Attributes:
        rows, image_sets, images: rows of data sets, what they show, and the images of that.
        image_bytes: of the images as they are kept.
        requests: by their state: asked (and not answered yet), answered (and not read), read, failed.
        troubles: requests by what was wrong with the answer, or why there is none.
        prompts: answers by model and version of the instruction.
        spending: what all answers took.
        kept: claims that are kept, by who made them.
        per_image_set: image sets by the number of their claims.
        rejected: claims that were left out, by reason.
    """

    rows: int
    image_sets: int
    images: int
    image_bytes: int
    requests: Mapping[str, int]
    troubles: Mapping[str, int]
    prompts: Mapping[tuple[str, str], int]
    spending: Spending
    kept: Mapping[str, int]
    per_image_set: Mapping[int, int]
    rejected: Mapping[str, int]


def count_contents(store: Store) -> Contents:
    """Count what a store holds."""
    rows, image_sets, images, image_bytes = store.read(
        "SELECT (SELECT count(*) FROM rows), (SELECT count(*) FROM subjects), (SELECT count(*) FROM images), "
        "(SELECT coalesce(sum(length(content)), 0) FROM images)"
    )[0]
    prompts = store.read(
        "SELECT model, prompt_version, count(*) FROM requests WHERE state IN ('answered', 'read') GROUP BY 1, 2 "
        "ORDER BY 3 DESC"
    )
    per_image_set = store.read(
        "SELECT number, count(*) FROM (SELECT count(claims.id) AS number FROM subjects LEFT JOIN claims ON "
        "claims.subject = subjects.id AND rejected_for IS NULL GROUP BY subjects.id) GROUP BY number ORDER BY number"
    )
    return Contents(
        rows=rows,
        image_sets=image_sets,
        images=images,
        image_bytes=image_bytes,
        requests=_count(store, "SELECT state, count(*) FROM requests GROUP BY state"),
        troubles=_count(store, "SELECT trouble, count(*) FROM requests WHERE trouble IS NOT NULL GROUP BY trouble"),
        prompts={(model, version): number for model, version, number in prompts},
        spending=read_spending(store),
        kept=_count(store, "SELECT maker, count(*) FROM claims WHERE rejected_for IS NULL GROUP BY maker"),
        per_image_set={int(number): int(count) for number, count in per_image_set},
        rejected=_count(
            store, "SELECT rejected_for, count(*) FROM claims WHERE rejected_for IS NOT NULL GROUP BY rejected_for"
        ),
    )


def describe_contents(contents: Contents) -> list[tuple[str, str]]:
    """Say what a store holds, as names and figures."""
    return list(_describe(contents))


def format_contents(contents: Contents) -> str:
    """Write what a store holds as lines of text for a terminal."""
    return "\n".join(f"{name:<28} {show_on_one_line(figure)}" for name, figure in describe_contents(contents))


def _describe(contents: Contents) -> Iterator[tuple[str, str]]:
    yield "rows", f"{contents.rows}, which show {contents.images} images ({contents.image_bytes / 1e6:.1f} MB)"
    yield "claims kept", _list(contents.kept)
    yield "claims of an image", ", ".join(f"{number} of {count}" for number, count in contents.per_image_set.items())
    yield "claims rejected", _list(contents.rejected)
    yield "requests", _list(contents.requests)
    for trouble, number in contents.troubles.items():
        yield "  without use", f"{number}: {trouble[:200]}"
    for (model, version), number in contents.prompts.items():
        yield "answers", f"{number} of {model}, instruction {version}"
    spent = contents.spending
    yield "cost", f"{spent.prompt_tokens} + {spent.completion_tokens} tokens, {spent.usd:.4f} US dollars"


def _count(store: Store, query: str) -> dict[str, int]:
    """Return numbers by name, largest first."""
    return {str(name): int(number) for name, number in store.read(f"{query} ORDER BY 2 DESC, 1")}


def _list(numbers: Mapping[str, int]) -> str:
    if not numbers:
        return "none"
    return f"{sum(numbers.values())}: {', '.join(f'{number} {name}' for name, number in numbers.items())}"
