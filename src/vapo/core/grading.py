r"""Grades of a completion's text: is the answer right, is the form kept.

The answer is what stands in the last complete `\boxed{...}` behind the last `</think>`. A text without `</think>` is
searched as a whole: whether the prompt opened the thinking cannot be seen in the completion, and models that do not
think in tags are graded too. Form is graded apart from that.
"""

from __future__ import annotations

import re

from vapo.core.answers.comparison import compare_answers

_OPEN, _CLOSE = "<think>", "</think>"
_BRACES = re.compile(r"(?P<box>\\f?boxed\s*\{)|\\\\(?!f?boxed)|\\[{}]|(?P<open>\{)|(?P<close>\})")


def take_answer_part(text: str) -> str:
    """Return what a completion says behind its thinking, stripped: all of it where there is no `</think>`."""
    return text.rpartition(_CLOSE)[2].strip()


def extract_answer(text: str) -> str | None:
    r"""Find the answer of a completion: the last complete `\boxed{...}`, braces matched.

    Args:
        text: the completion, without special tokens.

    Returns:
        What the box holds, stripped; None if there is no complete box or it is empty.
    """
    boxes = _find_boxes(take_answer_part(text))
    return (boxes[-1] or None) if boxes else None


def grade_answer(text: str, reference: str, *, time_limit_s: float = 5.0) -> float:
    r"""Grade the answer of a completion: 1.0 if it agrees with the reference, else 0.0.

    In this order: equal text after normalisation (spaces, `$`, `\text{}`, a final period, thousands commas, case of
    words); if the reference is a choice letter ("B", "(B)", "B. a cat"), the letter ("B", "(b)", "option B",
    "B. a cat"), never more than one; else math-verify. It does not raise on any text and does not hang.

    Args:
        text: the completion, without special tokens.
        reference: the right answer, with or without `\boxed{}` or `$`; an empty one is matched by nothing.
        time_limit_s: when to give up comparing as mathematics, in seconds; giving up means 0.0.

    Raises:
        RuntimeError: math-verify cannot be run at all.
    """
    answer = extract_answer(text)
    if answer is None:
        return 0.0
    return float(is_same_answer(answer, extract_answer(reference) or reference, time_limit_s))


def grade_format(text: str, *, think_opened: bool = False) -> float:
    r"""Grade the form of a completion: 1.0 for `<think>...</think>...\boxed{...}`, else 0.0.

    Exactly one `<think>`, first in the text, and one `</think>`; something between them; behind them one complete
    `\boxed{...}` that is not empty.

    Args:
        text: the completion, without special tokens.
        think_opened: the prompt ends in `<think>`, so the completion must not hold one.
    """
    if text.count(_OPEN) != int(not think_opened) or text.count(_CLOSE) != 1:
        return 0.0
    thinking, _, rest = text.partition(_CLOSE)
    if not think_opened:
        if not thinking.lstrip().startswith(_OPEN):
            return 0.0
        thinking = thinking.lstrip().removeprefix(_OPEN)
    boxes = _find_boxes(rest)
    return float(bool(thinking.strip()) and len(boxes) == 1 and bool(boxes[0]))


def is_same_answer(answer: str, reference: str, time_limit_s: float = 2.0) -> bool:
    """Tell whether an answer agrees with a reference, as `grade_answer` does, both without their box.

    Args:
        answer: what was answered.
        reference: the right answer; an empty one is matched by nothing.
        time_limit_s: when to give up on algebra, in seconds; giving up means False.

    Raises:
        RuntimeError: math-verify cannot be run at all.
    """
    return compare_answers(answer, reference, time_limit_s=time_limit_s).equal


def _find_boxes(text: str) -> list[str]:
    """Find the content of each complete outermost box, in one pass however the braces are nested."""
    opened: list[int | None] = []  # where the content of each open brace begins, None for braces that are no box
    complete: list[tuple[int, int]] = []
    for brace in _BRACES.finditer(text):
        if brace["box"] or brace["open"]:
            opened.append(brace.end() if brace["box"] else None)
        elif brace["close"] and opened:
            start = opened.pop()
            if start is not None:
                while complete and complete[-1][0] > start:
                    complete.pop()  # boxes inside this one
                complete.append((start, brace.start()))
    return [text[start:end].strip() for start, end in complete]


def ends_in_open_thinking(prompt: str) -> bool:
    """Tell whether a rendered prompt ends by opening `<think>`, so that its completion begins inside."""
    return prompt.rstrip().endswith("<think>")
