"""Options of a multiple choice, as a question lists them."""

from __future__ import annotations

import re

_LABEL = re.compile(r"(?:(?<=\s)|^)(?:\(([A-J])\)[.:]?|([A-J])[.):])\s*(?=\S)")


def read_options(question: str) -> tuple[str, ...]:
    """Read the texts behind A, B, ... in a question; none where it does not list at least two.

    Args:
        question: its text. Options begin with `A.`, `A)`, `A:` or `(A)`, each on a line or in a row; of several lists
            the last counts.
    """
    labels = [(label[1] or label[2], label.start(), label.end()) for label in _LABEL.finditer(question)]
    start = next((place for place in reversed(range(len(labels))) if labels[place][0] == "A"), len(labels))
    run = [label for place, label in enumerate(labels[start:]) if label[0] == chr(ord("A") + place)]
    if len(run) < 2 or len(run) < len(labels) - start:
        return ()
    ends = [label[1] for label in run[1:]] + [len(question)]
    texts = [question[label[2] : end] for label, end in zip(run, ends, strict=True)]
    options = [text.strip().splitlines()[0].strip().rstrip(";,") if text.strip() else "" for text in texts]
    return tuple(options) if all(options) else ()
