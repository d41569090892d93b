"""Where a thought ends: the logical boundaries of a response, in tokens."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

THINK_TAGS = ("<think>", "</think>")
"""What opens and closes the thinking part; some models write tags of their own."""

_CLOSERS = "\"'”’»)\\]}*_`$」』）】》〉〕"
_SEPARATOR = re.compile(
    r"(?P<mark>[.,!?:;…。，、！？：；．｡､،؟؛।]+|[\r\n\u2028\u2029]+)"
    rf"(?P<closers>(?:\\[)\]]|[{_CLOSERS}])*)(?P<space>\s*)"
)
_FULL_WIDTH = "…。，、！？：；．｡､،؟؛।"
_IN_NUMBERS = "，．："
_LINE_BREAK = re.compile(r"[\r\n\u2028\u2029]")

_LIST_MARKER = re.compile(r"(?:^|[\r\n])[ \t]*(?:[-*+>][ \t]+)?[(*_]*(?:\d{1,3}|[A-Za-z])$")
_DOTTED = re.compile(r"(?<![^\W\d_])(?:[^\W\d_]\.)+[^\W\d_]$")
_LONE_CAPITAL = re.compile(r"(?<!\w)[A-Z]$")
_ALWAYS_SHORT = re.compile(r"(?<!\w)(?:cf|vs|viz|approx|resp|et al)$", re.IGNORECASE)
_SHORT_BEFORE_NUMBER = re.compile(r"(?<!\w)(?:figs?|eqs?|secs?|ch|no|nos|vol|pp?|tab|thm|ex)$", re.IGNORECASE)
_SHORT_BEFORE_NAME = re.compile(r"(?<!\w)(?:Dr|Mr|Mrs|Ms|Prof|St|Mt|Sgt|Capt|Gen|Rev|Hon)$")
_LOOK_BACK = 48  # characters; longer than anything the patterns above match

# A lone capital is no initial behind what has letters for names ("the answer is A", "vitamin C"), nor before a word
# that opens a sentence and is no family name.
_LETTERED = (
    "answer|option|choice|letter|choose|chose|select(?:ed)?|pick(?:ed)?|antwort|respuesta|réponse|risposta|resposta|"
    "opción|punkt|punto|points?|vert(?:ex|ices)|nodes?|lines?|segments?|sides?|angles?|corners?|circles?|triangles?|"
    "squares?|rays?|planes?|sets?|groups?|class(?:es)?|categor(?:y|ies)|types?|kinds?|cases?|plans?|parts?|steps?|"
    "stages?|phases?|figures?|panels?|graphs?|charts?|plots?|diagrams?|images?|pictures?|tables?|rows?|columns?|cells?|"
    "box(?:es)?|blocks?|items?|statements?|teams?|cit(?:y|ies)|towns?|stations?|houses?|cars?|trains?|tanks?|beakers?|"
    "containers?|bottles?|solutions?|samples?|objects?|shapes?|regions?|areas?|zones?|sections?|appendix|routes?|paths?|"
    "vitamins?|hepatitis|influenza|blood|grades?|levels?|events?|bulbs?|switch|cubes?|balls?|forces?|particles?|"
    "species|variables?|vectors?|matrix|equals?"
)
_LABEL = re.compile(
    rf"(?<!\w)(?:{_LETTERED})(?!\w)(?:(?!\b(?:by|of)\b)[^.!?\r\n]){{0,24}}(?<!\w)[A-Z]$"
    r"|[=≈≠≤≥→⇒+×÷∠△]\s*[A-Z]$"
    r"|(?<!name )(?<!author )(?<!artist )(?<!man )(?:\b(?:is|was|are|be)|['’]s)\W+[A-H]$",
    re.IGNORECASE,
)
_OPENER = re.compile(
    "(?:An?|The|This|That|These|Those|It|Its|He|She|They|We|You|I|There|Here|Then|Thus|Therefore|Hence|So|But|And|Or|Nor|"
    "Yet|Also|However|Now|Next|Finally|First|Second|Third|Lastly|Since|Because|If|When|While|Where|As|At|In|On|From|For|"
    "To|With|By|After|Before|Both|Each|Every|All|Any|No|Not|Yes|Let|Given|Note|What|Which|Who|Why|How|Is|Are|Was|Were|"
    "Does|Do|Did|Can|Could|Would|Should|Wait|Okay|OK|Well|Hmm|Looking|Checking|Consider|Compare|Options?|Answer|Only|"
    "Others?|Another|Some|Most|Many|One|Two|Three|Still|Again|Although|Though|Instead|Otherwise|Similarly|Likewise|"
    "Besides|Moreover|Furthermore|Meanwhile|Overall|Perhaps|Maybe|Actually|Alternatively|Assume|Suppose|My|Our|Your|"
    "Their|His|Her)(?![\\w.])"
)
_OPTION_DISTANCE = 200  # characters between the letters of neighbouring options in one line, at most


def find_thinking_part(token_texts: Sequence[str], tags: tuple[str, str] = THINK_TAGS) -> tuple[int, int]:
    """Find the tokens of the thinking part.

    It begins behind `<think>` if the completion has one (else at its start, the prompt having opened it) and ends
    before the first `</think>` (else at the end of the response).

    Args:
        token_texts: what each completion token adds to the text.
        tags: what opens and what closes the thinking part.

    Returns:
        (start, stop): the thinking part is `token_texts[start:stop]`; tokens that share text with a tag are outside.
    """
    text = "".join(token_texts)
    start, stop = _find_thinking_characters(text, tags)
    ends = list(accumulate(map(len, token_texts)))
    first = bisect_left(ends, start) + 1 if start else 0
    last = bisect_left(ends, stop + 1) if stop < len(text) else len(token_texts)
    return min(first, last), last


def find_boundaries(token_texts: Sequence[str], tags: tuple[str, str] = THINK_TAGS) -> tuple[int, ...]:
    """Find where the thinking part can be cut at a logical boundary.

    A boundary lies behind a comma, period, exclamation or question mark, colon, semicolon (or their full-width
    forms) or a line break, and behind quotes and brackets closing there. It must be the end of a token: a token
    that merges the mark with what follows it ("." + "The") leaves none. Marks inside numbers, abbreviations,
    initials, file names, list numbers and LaTeX spaces are none: 3.14, 1,000, 12:30, e.g., Fig. 3, J. Smith, a.png. A
    lone capital is an initial unless what stands around it says otherwise: "the answer is A. Then" ends a thought.
    Each thought has one boundary, the first clean one, so "." and a line break after it count once.

    Args:
        token_texts: what each completion token adds to the text.
        tags: what opens and what closes the thinking part.

    Returns:
        Numbers of tokens kept, each in 1 .. len(token_texts), ascending; () if there is no boundary.

    Source: arXiv 2509.25848, Section 3.1.
    """
    text = "".join(token_texts)
    start, stop = _find_thinking_characters(text, tags)
    thinking = text[start:stop]
    ends = list(accumulate(map(len, token_texts)))
    boundaries: list[int] = []
    said_something = False  # since the last boundary
    read = 0
    for separator in _SEPARATOR.finditer(thinking):
        said_something = said_something or any(map(str.isalnum, thinking[read : separator.start()]))
        read = separator.end()
        if not (said_something and _ends_thought(thinking, separator)):
            continue
        # Behind the closers if tokens allow it, else right behind the mark.
        for place in (separator.end("closers"), separator.end("mark")):
            token = bisect_left(ends, start + place)
            if ends[token] <= start + separator.end():
                boundaries.append(token + 1)
                said_something = False
                break
    return tuple(boundaries)


def _find_thinking_characters(text: str, tags: tuple[str, str]) -> tuple[int, int]:
    opening, closing = tags
    stop = text.find(closing)
    stop = len(text) if stop < 0 else stop
    opened = text.find(opening, 0, stop)
    return (0 if opened < 0 else opened + len(opening)), stop


def _ends_thought(text: str, separator: re.Match[str]) -> bool:
    """Tell whether a separator ends a thought rather than standing inside a number, a name or an abbreviation."""
    mark, space = separator["mark"], separator["space"]
    if _LINE_BREAK.match(mark):
        return True
    before = text[max(0, separator.start() - _LOOK_BACK) : separator.start()]
    following = text[separator.end() : separator.end() + 1]
    closed_by_space = bool(space) or not following
    if mark[-1] in _FULL_WIDTH:
        return closed_by_space or mark not in _IN_NUMBERS or not (before[-1:].isdigit() and following.isdigit())
    if not closed_by_space and not _is_wide(following):
        return False  # 3.14, 1,000, 12:30, a.png, https://, ?q=
    if before.endswith("\\") and not before.endswith("\\\\"):
        return False  # LaTeX spaces: \, \; \: \!
    if mark not in (".", ".,") or not following or _LINE_BREAK.search(space):
        return True
    # The look-back may begin inside a line; only the true start of the text counts as the start of a line.
    line = before if len(before) < _LOOK_BACK else " " + before
    if _DOTTED.search(before) or _ALWAYS_SHORT.search(before) or (mark == "." and _LIST_MARKER.search(line)):
        return False
    if _SHORT_BEFORE_NUMBER.search(before):
        return not text[separator.end() : separator.end() + 4].lstrip("(\\$[")[:1].isdigit()
    if _LONE_CAPITAL.search(before):
        return _ends_at_letter(text, separator, before)
    return not (following.isupper() and _SHORT_BEFORE_NAME.search(before))


def _ends_at_letter(text: str, separator: re.Match[str], before: str) -> bool:
    """Tell whether a sentence ends at a lone capital, rather than a name going on or an option beginning there."""
    if _LABEL.search(before):
        return True
    place = separator.start() - 1
    first = max(0, place - _OPTION_DISTANCE)
    around = text[first:place].rpartition("\n")[2] + text[place : place + _OPTION_DISTANCE].partition("\n")[0]
    for neighbour in (chr(ord(text[place]) - 1), chr(ord(text[place]) + 1)):
        other = re.search(rf"(?<!\w){re.escape(neighbour)}\.\s", around)
        if other is not None and not _LABEL.search(around[: other.start() + 1]):
            return False
    following = text[separator.end() : separator.end() + 1]
    return not following.isupper() or _OPENER.match(text, separator.end()) is not None


def _is_wide(character: str) -> bool:
    """Tell whether a character belongs to a script or to signs that follow punctuation without a space."""
    return ord(character) >= 0x2E80
