"""Choices: the letter or letters of an answer, yes or no, and the options that a question lists."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LEAD = (
    r"(?:(?:the\s+)?(?:(?:correct|right|best|final)\s+)?(?:option|choice|answer)(?:\s+is)?\s*:?\s*"
    r"(?:(?:option|choice)\s*)?|(?:故?选|应选|选择|答案)?(?:选项|项|是|为|:)?\s*|it(?:'s|\s+is)\s+)"
)
_LETTER = r"(?:\(\s*([A-Ja-j])\s*\)|\[\s*([A-Ja-j])\s*\]|<\s*([A-Ja-j])\s*>|\\\{\s*([A-Ja-j])\s*\\\}|([A-Ja-j]))"
_TAIL = (
    r"\s*[.):、,;!]?(?:\s*(?:is\s+(?:the\s+)?(?:correct|right|best)(?:\s+(?:answer|option|choice))?|项|选项)"
    r"|,?\s+(?:because|since)\b.*)?"
)
_SINGLE = re.compile(_LEAD + _LETTER + _TAIL, re.IGNORECASE | re.DOTALL)
_WORD_AHEAD = r"(?=.*(?:[A-Za-z]{2}|[\u4e00-\u9fff]))"
_WITH_TEXT = re.compile(
    _LEAD.replace("(?:(?:the", "(?i:(?:the", 1)
    + r"(?:[(\[]([A-Ja-j])[)\]]\s*[.:]?|([A-Ja-j])(?:\)|[.:](?=\s|[A-Za-z]{2}|[\u4e00-\u9fff])|、)"
    + rf"|([A-J])(?:\s+-\s+{_WORD_AHEAD}|,\s+(?=[a-z]{{3}})|\s*(?=\([A-Za-z\u4e00-\u9fff]{{2}}))|<([A-J])>\s)"
    + r"\s*(?P<text>\S.*)",
    re.DOTALL,
)
_LABEL = re.compile(r"(?<!\w)[A-J][.):](?!\w)|\([A-J]\)|\b(?:or|and)\s+[(\[]?[A-J][)\]]?$")
_JOINT = r"\s*(?:[,;、&/+]|\band\b|和|与|及)\s*(?:and\s+)?|\s+"
_ONE_OF = r"(?:\(\s*[A-J]\s*\)|\[\s*[A-J]\s*\]|[A-J])\s*[.)]?"
_SEVERAL = re.compile(
    rf"(?:{_LEAD[:-1]})|options?\s+|choices?\s+)?[(\[{{]?\s*({_ONE_OF}(?:(?:{_JOINT}){_ONE_OF})+)\s*[)\]}}]?"
)
_JOINED = re.compile(rf"{_LEAD}([A-J]{{2,}})")


@dataclass(frozen=True, slots=True)
class Letters:
    """The letters that an answer names.

    Attributes:
        letters: capitals in the order written.
        text: what stands behind the one letter, as in "B. a cat"; empty otherwise.
        is_joined: whether several are written as one word.
    """

    letters: tuple[str, ...]
    text: str = ""
    is_joined: bool = False

    @property
    def is_sorted(self) -> bool:
        """Whether the letters stand in the order of the alphabet, as a set of choices is written."""
        return list(self.letters) == sorted(self.letters)


def read_letters(text: str) -> Letters | None:
    """Read the letters of an answer that `clean` has spelled; None if it is no choice of letters."""
    single = _SINGLE.fullmatch(text)
    if single:
        return Letters((_take(single).upper(),))
    joined = _JOINED.fullmatch(text)
    if joined and len(set(joined[1])) == len(joined[1]):
        return Letters(tuple(joined[1]), is_joined=True)
    several = _SEVERAL.fullmatch(text)
    if several:
        return Letters(tuple(re.findall(r"[A-J]", several[1].replace("and", ""))))
    named = _WITH_TEXT.fullmatch(text)
    if named and not _LABEL.search(named["text"]) and not re.match(r"[=<>]", named["text"]):
        return Letters((_take(named).upper(),), named["text"].strip())
    return None


def is_same_letters(answer: Letters, reference: Letters) -> bool:
    """Compare letters in their order; of two that are written apart, the order says nothing.

    More than two out of the alphabet's order, or as one word, such as `BACD`, may be an ordering.
    """
    if answer.letters == reference.letters:
        return True
    if len(reference.letters) > 2 or not reference.is_sorted or (answer.is_joined and reference.is_joined):
        return False
    return sorted(answer.letters) == sorted(reference.letters)


def _take(found: re.Match[str]) -> str:
    return next(letter for letter in found.groups() if letter and len(letter) == 1)


_SAYS = {
    **dict.fromkeys(("yes", "true", "yeah", "yep", "correct"), True),
    **dict.fromkeys(("no", "false", "nope", "incorrect"), False),
    **dict.fromkeys(("是", "是的", "对", "对的", "正确", "有"), True),
    **dict.fromkeys(("否", "不是", "不", "不对", "错", "错误", "不正确", "没有"), False),
}
_SAID = re.compile(
    r"(yes|no|true|false|yeah|yep|nope|correct|incorrect|[\u4e00-\u9fff]{1,3})"
    r"(?:$|\s*[,.;:!(-]\s*(?P<rest>.*)|\s+(?P<more>(?:it|they|he|she|we|i|this|that|these|those|there|the|you)\b.*))",
    re.IGNORECASE | re.DOTALL,
)
_OTHER = re.compile(r"\b(?:yes|no|true|false|maybe|but|or)\b", re.IGNORECASE)


def read_yes_or_no(text: str) -> bool | None:
    """Read whether an answer says yes; None if it says neither, or both."""
    said = _SAID.fullmatch(text)
    if said is None:
        return None
    rest = said["rest"] or said["more"] or ""
    return None if _OTHER.search(rest) else _SAYS.get(said[1].casefold())


_LISTED = re.compile(r"(?:(?<=\s)|^)(?:\(([A-J])\)[.:]?|([A-J])[.):])\s*(?=\S)")


def read_options(question: str) -> tuple[str, ...]:
    """Read the texts behind A, B, ... in a question; none where it does not list at least two.

    Args:
        question: its text. Options begin with `A.`, `A)`, `A:` or `(A)`, each on a line or in a row; of several lists
            the last counts.
    """
    labels = [(label[1] or label[2], label.start(), label.end()) for label in _LISTED.finditer(question)]
    start = next((place for place in reversed(range(len(labels))) if labels[place][0] == "A"), len(labels))
    run = [label for place, label in enumerate(labels[start:]) if label[0] == chr(ord("A") + place)]
    if len(run) < 2 or len(run) < len(labels) - start:
        return ()
    ends = [label[1] for label in run[1:]] + [len(question)]
    texts = [question[label[2] : end] for label, end in zip(run, ends, strict=True)]
    options = [text.strip().splitlines()[0].strip().rstrip(";,") if text.strip() else "" for text in texts]
    return tuple(options) if all(options) else ()
