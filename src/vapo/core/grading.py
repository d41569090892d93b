r"""Grades of a completion's text: is the answer right, is the form kept.

The answer is what stands in the last complete `\boxed{...}` behind the last `</think>`. A text without `</think>` is
searched as a whole: whether the prompt opened the thinking cannot be seen in the completion, and models that do not
think in tags are graded too. Form is graded apart from that.
"""

from __future__ import annotations

import re

from vapo.core.math_equality import MAX_CHARACTERS, is_same_mathematics

_OPEN, _CLOSE = "<think>", "</think>"
_BRACES = re.compile(r"(?P<box>\\f?boxed\s*\{)|\\\\(?!f?boxed)|\\[{}]|(?P<open>\{)|(?P<close>\})")
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_FORMULA = re.compile(r"\$\$.+?\$\$|(?<!\\)\$(?=[^\s$])[^$]*(?<=[^\s\\])\$(?!\d)|\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)

_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|boldsymbol|mathit|mathsf|operatorname|f?boxed)\s*\{([^{}]*)\}"
)
_SPACING = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])|\\[,;:!> ]|\\q?quad(?![A-Za-z])|~")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_INTEGER = re.compile(r"[-+]?\d+")
_WORDS = re.compile(r"[^\W\d_]+(?:[\s'-]+[^\W\d_]+)*")

_LETTER = r"(?:\((?P<round>[A-Ja-j])\)|\[(?P<square>[A-Ja-j])\]|(?P<bare>[A-Ja-j]))"
_CHOICE = re.compile(rf"(?:option|choice|answer)?\s*:?\s*{_LETTER}\s*[.):]?", re.IGNORECASE)
_CHOICE_WITH_TEXT = re.compile(
    r"(?:\((?P<round>[A-J])\)|(?P<bare>[A-J])(?:\)|[.:](?=\s)))\s*(?P<text>\S.*)", re.DOTALL
)
_OTHER_CHOICE = re.compile(r"(?<!\w)[A-J][.):](?!\w)")


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
    return float(is_same_answer(answer, take_reference(reference), time_limit_s))


def take_reference(text: str) -> str:
    r"""Find the right answer in what a data set gives as one: in its last `\boxed{}`, in `<answer>`, or all of it."""
    tagged = _ANSWER.findall(take_answer_part(text))
    return extract_answer(text) or (tagged[-1] if tagged else text)


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


def is_same_answer(answer: str, reference: str, time_limit_s: float = 5.0) -> bool:
    """Tell whether an answer agrees with a reference, as `grade_answer` does, both without their box.

    In a reference that is prose with formulas in it (`The area is $4$.`), math-verify looks for the last one, as it
    does for TRL's accuracy reward.

    Args:
        answer: what was answered.
        reference: the right answer; an empty one is matched by nothing.
        time_limit_s: when to give up comparing as mathematics, in seconds; giving up means False.

    Raises:
        RuntimeError: math-verify cannot be run at all.
    """
    if max(len(answer), len(reference)) > MAX_CHARACTERS:
        return answer == reference.strip()
    prose = reference if _FORMULA.search(reference) and _FORMULA.sub("", reference).strip(" .\n") else None
    answer, reference = normalise_answer(answer), normalise_answer(reference)
    if not answer or not reference:
        return False
    if answer == reference:
        return True
    if len(reference) > 1 and _WORDS.fullmatch(reference) and answer.casefold() == reference.casefold():
        return True
    letter = read_choice(reference)
    if letter is not None and letter.isupper():
        given = read_choice(answer)
        return given is not None and given.upper() == letter
    if _INTEGER.fullmatch(answer) and _INTEGER.fullmatch(reference):
        return _strip_integer(answer) == _strip_integer(reference)
    if is_same_mathematics(answer, reference, time_limit_s):
        return True
    return prose is not None and is_same_mathematics(answer, prose, time_limit_s, in_prose=True)


def normalise_answer(answer: str) -> str:
    """Strip from an answer what says nothing: spaces, `$`, `\\text{}`, a final period, thousands commas."""
    before = None
    while before != answer:
        before = answer
        answer = _WRAPPED.sub(r"\1", answer.strip()).strip("$").strip()
        if answer.endswith(".") and not answer.endswith(".."):
            answer = answer[:-1]
    answer = _SPACING.sub(" ", answer).replace("\\%", "%").replace("\N{MINUS SIGN}", "-")
    answer = " ".join(answer.split())
    return answer.replace(",", "") if _THOUSANDS.fullmatch(answer) else answer


def read_choice(answer: str) -> str | None:
    """Read the letter of a choice ("B", "(b)", "option B", "B. a cat"), or None if the answer is no single one."""
    answer = normalise_answer(answer)
    choice = _CHOICE.fullmatch(answer)
    if choice is None:
        choice = _CHOICE_WITH_TEXT.fullmatch(answer)
        if choice is None or _OTHER_CHOICE.search(choice["text"]):
            return None
        return choice["round"] or choice["bare"]
    return choice["round"] or choice["square"] or choice["bare"]


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


def _strip_integer(number: str) -> tuple[bool, str]:
    """Compare integers as text: int() refuses numbers of very many digits."""
    digits = number.lstrip("+-").lstrip("0")
    return (number.startswith("-") and bool(digits)), digits


def ends_in_open_thinking(prompt: str) -> bool:
    """Tell whether a rendered prompt ends by opening `<think>`, so that its completion begins inside."""
    return prompt.rstrip().endswith("<think>")
