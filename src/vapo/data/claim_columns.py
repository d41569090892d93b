"""Read the claims of one row, in either of the two forms that data sets have them in.

A label is CORRECT or WRONG, TRUE or FALSE (in any case), or a boolean. 0 and 1 are refused: they do not say which of
them means true, and a pool read the wrong way round teaches the opposite of what it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from vapo.data.columns import Layout
from vapo.data.texts import read_text
from vapo.errors import DataError
from vapo.types import Claim

MAX_CLAIM = 2000
"""Characters of a claim; each is asked many times in a step."""

_LABELS = {"CORRECT": True, "WRONG": False, "TRUE": True, "FALSE": False}


def read_claims(row: Mapping[str, Any], layout: Layout) -> tuple[Claim, ...]:
    """Read the pool of claims of a row; a row without any gives an empty pool.

    Args:
        row: the row, by column.
        layout: where claims stand. In numbered form, a pair whose claim and label are both None is left out.

    Raises:
        DataError: a claim is empty or longer than 2,000 characters, has no label, or its label is none.
    """
    if layout.claims is not None:
        return _read_list(row.get(layout.claims), layout.claims)
    pool: list[Claim] = []
    for claim_column, label_column in layout.claim_pairs:
        text, label = row.get(claim_column), row.get(label_column)
        if text is None and label is None:
            continue
        if label is None:
            raise DataError(f"{claim_column} has no label: {label_column} is null")
        if text is None:
            raise DataError(f"{label_column} has no claim: {claim_column} is null")
        pool.append(Claim(_read_text(text, claim_column), read_label(label)))
    return tuple(pool)


def read_label(label: object) -> bool:
    """Read a label as the truth of its claim.

    Args:
        label: CORRECT or WRONG, TRUE or FALSE in any case, or a boolean.

    Raises:
        DataError: it is anything else.
    """
    if isinstance(label, bool):
        return label
    known = _LABELS.get(label.strip().upper()) if isinstance(label, str) else None
    if known is None:
        raise DataError(f"label {label!r} is neither CORRECT nor WRONG")
    return known


def _read_list(value: object, column: str) -> tuple[Claim, ...]:
    if value is None:
        return ()
    if isinstance(value, Mapping):  # a struct of lists, which is how `datasets` gives a Sequence of dicts
        items = _zip_struct(cast("Mapping[str, Any]", value), column)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = list(cast("Sequence[Any]", value))
    else:
        raise DataError(f"{column} is a {type(value).__name__}, not a list of {{text, is_true}}")
    return tuple(_read_item(item, f"{column}[{index}]") for index, item in enumerate(items))


def _zip_struct(value: Mapping[str, Any], column: str) -> list[dict[str, Any]]:
    texts, labels = value.get("text"), value.get("is_true")
    if not isinstance(texts, list) or not isinstance(labels, list):
        raise DataError(f"{column} needs the lists 'text' and 'is_true'; it has {', '.join(map(repr, value))}")
    texts, labels = cast("list[Any]", texts), cast("list[Any]", labels)
    if len(texts) != len(labels):
        raise DataError(f"{column} has {len(texts)} texts but {len(labels)} labels in 'is_true'")
    return [{"text": text, "is_true": label} for text, label in zip(texts, labels, strict=True)]


def _read_item(item: object, where: str) -> Claim:
    if not isinstance(item, Mapping):
        raise DataError(f"{where} is {item!r}, not {{text, is_true}}")
    fields = cast("Mapping[str, Any]", item)
    for name in ("text", "is_true"):
        if fields.get(name) is None:
            raise DataError(f"{where} has no {name!r}")
    return Claim(_read_text(fields["text"], f"{where}.text"), read_label(fields["is_true"]))


def _read_text(value: object, where: str) -> str:
    text = read_text(value, where).strip()
    if len(text) > MAX_CLAIM:
        raise DataError(f"{where} has {len(text)} characters, more than the {MAX_CLAIM} of a claim; shorten it")
    return text
