r"""Grades of a completion's text: is the answer right, is the form kept.

The answer is what stands in the last complete `\boxed{...}` behind the last `</think>`. A text without `</think>` is
searched as a whole: whether the prompt opened the thinking cannot be seen in the completion, and models that do not
think in tags are graded too. Form is graded apart from that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vapo.core.answers.choices import read_options
from vapo.core.answers.comparison import TIME_LIMIT_S, Comparison, compare_answers, find_rule
from vapo.core.boundaries import THINK_TAGS
from vapo.types import Sample

_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_MARKED = re.compile(
    r"(?:\A\s*(?:the\s+)?(?:final\s+|correct\s+)?(?:answer|答案)\s*(?:is\b\s*:?|[:：是为])|(?:\A|\n)\s*####)\s*(\S.*)\Z",
    re.DOTALL | re.IGNORECASE,
)
_FORMULA = re.compile(r"\$\$.+?\$\$|(?<!\\)\$(?=[^\s$])[^$]*(?<=[^\s\\])\$(?!\d)|\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)
_PROSE = re.compile(r"(?<![A-Za-z\\])(?!and\b|or\b)[A-Za-z]{2,}", re.IGNORECASE)
_BRACES = re.compile(r"(?P<box>\\f?boxed\s*\{)|\\\\(?!f?boxed)|\\[{}]|(?P<open>\{)|(?P<close>\})")


def take_answer_part(text: str, tags: tuple[str, str] = THINK_TAGS) -> str:
    """Return what a completion says behind its thinking, stripped: all of it where no tag closes that."""
    return text.rpartition(tags[1])[2].strip()


def extract_answer(text: str) -> str | None:
    r"""Find the answer of a completion: the last complete `\boxed{...}`, braces matched.

    Args:
        text: the completion, without special tokens.

    Returns:
        What the box holds, stripped; None if there is no complete box or it is empty.
    """
    boxes = _find_boxes(take_answer_part(text))
    return (boxes[-1] or None) if boxes else None


def grade_answer(
    completion: str, reference: str, options: Sequence[str] | None = None, *, time_limit_s: float = TIME_LIMIT_S
) -> float:
    r"""Grade the answer of a completion: 1.0 if it agrees with the reference, else 0.0.

    The type of the reference decides by which rule they are compared; see `vapo.core.answers.comparison`. It does not
    raise on any text and does not hang.

    Args:
        completion: the text, without special tokens; its answer stands in `\boxed{}`.
        reference: the right answer, wrapped or not, see `take_reference`; an empty one is matched by nothing.
        options: the texts behind A, B, ..., where they are known: a letter then stands for its text, and the other
            way round.
        time_limit_s: when to give up on computer algebra, in seconds; giving up means 0.0.

    Raises:
        RuntimeError: math-verify is needed and cannot be run at all.
    """
    answer = extract_answer(completion)
    if answer is None:
        return 0.0
    return float(compare_with_reference(answer, reference, options, time_limit_s).equal)


def grade_sample(completion: str, sample: Sample) -> float:
    """Grade the answer of a completion to a sample, whose question may list the options behind letters.

    Raises:
        RuntimeError: math-verify is needed and cannot be run at all.
    """
    return grade_answer(completion, sample.answer, read_options(sample.question))


def compare_with_reference(
    answer: str, reference: str, options: Sequence[str] | None = None, time_limit_s: float = TIME_LIMIT_S
) -> Comparison:
    """Compare what a box holds with a reference as a data set gives it.

    Of a reference that is prose with formulas between `$`, the last formula is right too, as it is for TRL's accuracy
    reward.

    Args:
        answer: what was answered.
        reference, options, time_limit_s: as for `grade_answer`.
    """
    wanted = take_reference(reference)
    comparison = compare_answers(answer, wanted, options, time_limit_s)
    formula = _take_formula(wanted)
    if comparison.equal or formula is None:
        return comparison
    of_formula = compare_answers(answer, formula, options, time_limit_s)
    return of_formula if of_formula.equal or not comparison.reference_read else comparison


def find_reference_rule(reference: str) -> str | None:
    """Return the name of the rule by which answers are compared with a reference; None if no rule understands it.

    Args:
        reference: as a data set gives it.
    """
    wanted = take_reference(reference)
    formula = _take_formula(wanted)
    return (formula and find_rule(formula)) or find_rule(wanted)


def _take_formula(wanted: str) -> str | None:
    """Return the last formula of prose; None if a text is no prose with formulas."""
    formulas = _FORMULA.findall(wanted)
    return formulas[-1] if formulas and _PROSE.search(_FORMULA.sub(" ", wanted)) else None


def take_reference(text: str) -> str:
    r"""Take a reference out of what it is wrapped in: `\boxed{3}`, `<answer>3</answer>`, `Answer: 3`, `... #### 3`.

    Args:
        text: what a data set gives as the right answer.

    Returns:
        The reference; the text as it is where it is not wrapped.
    """
    boxed = extract_answer(text)
    if boxed is not None:
        return boxed
    tagged = _TAGGED.findall(take_answer_part(text))
    if tagged:
        return tagged[-1].strip()
    marked = _MARKED.search(text)
    return marked[1].strip() if marked else text


def grade_format(text: str, *, think_opened: bool = False, tags: tuple[str, str] = THINK_TAGS) -> float:
    r"""Grade the form of a completion: 1.0 for `<think>...</think>...\boxed{...}`, else 0.0.

    Exactly one `<think>`, first in the text, and one `</think>`; something between them; behind them one complete
    `\boxed{...}` that is not empty.

    Args:
        text: the completion, without special tokens.
        think_opened: the prompt ends in `<think>`, so the completion must not hold one.
        tags: what opens and what closes the thinking, in the place of `<think>` and `</think>`.
    """
    opening, closing = tags
    if text.count(opening) != int(not think_opened) or text.count(closing) != 1:
        return 0.0
    thinking, _, rest = text.partition(closing)
    if not think_opened:
        if not thinking.lstrip().startswith(opening):
            return 0.0
        thinking = thinking.lstrip().removeprefix(opening)
    boxes = _find_boxes(rest)
    return float(bool(thinking.strip()) and len(boxes) == 1 and bool(boxes[0]))


def is_same_answer(answer: str, reference: str, time_limit_s: float = TIME_LIMIT_S) -> bool:
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


def ends_in_open_thinking(prompt: str, tags: tuple[str, str] = THINK_TAGS) -> bool:
    """Tell whether a rendered prompt ends by opening `<think>`, so that its completion begins inside."""
    return prompt.rstrip().endswith(tags[0])
