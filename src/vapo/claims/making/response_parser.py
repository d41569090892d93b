"""Read claims out of a model's answer: leniently about what stands around them, strictly about each.

Models wrap JSON into thoughts and code fences, leave out the outer object, name fields otherwise, or are cut off in
the middle, or write Python in place of JSON. Whatever is whole is taken. A claim must have a text and say in so many
words whether it is true; one that does not is no claim, and nothing is guessed.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from vapo.api.responses import (
    clean_text,
    open_completion,
    read_content,
    read_finish_reason,
    read_reasoning,
    take_message,
)
from vapo.api.server_errors import ServerError
from vapo.core.grading import take_answer_part
from vapo.types import Claim

_TEXT_NAMES = ("text", "claim", "statement")
_TRUTH_NAMES = ("is_true", "label", "truth", "true")
_TRUTHS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "yes", "correct", "right", "t", "1"), True),
    **dict.fromkeys(("false", "no", "wrong", "incorrect", "f", "0"), False),
}
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|unable|not able)|i can(?:no|')t|cannot (?:assist|help|comply)|as an ai)\b",
    re.IGNORECASE,
)
_REFUSED = "it was a refusal"
_BRACKET = re.compile(r"[{\[]")
_PYTHON = re.compile(
    r""""(?:[^"\\\n]|\\.){0,300}+"|(?<=[\[{,:\s])'((?:[^'\\]|\\.|'(?!\s*[\]},:])){0,300}+)'(?=\s*[\]},:])"""
    r"|\b(?:True|False|None)\b",
    re.DOTALL,
)
"""What Python writes otherwise than JSON does; strings in double quotes match so that nothing is changed in them."""
_WORDS = {"True": "true", "False": "false", "None": "null"}
_QUOTE = re.compile(r'\\.|"', re.DOTALL)
_MAX_BRACKETS = 5000  # of which a list of claims can begin; each is tried
_MAX_TRIED = 50_000_000  # characters read in vain, behind all of them


@dataclass(frozen=True, slots=True)
class ParsedResponse:
    """What an answer holds.

    Attributes:
        claims: the claims, in order.
        unusable: entries of the list that are no claims.
        trouble: why there are no claims, or not all, in words that a model can be told; "" if nothing is wrong.
    """

    claims: tuple[Claim, ...] = ()
    unusable: int = 0
    trouble: str = ""


def parse_response(body: bytes) -> ParsedResponse:
    """Read the claims in a chat completion as it was received."""
    try:
        choice = open_completion(body)
    except ServerError:
        return ParsedResponse(trouble="it was no chat completion")
    message = take_message(choice)
    if not message:
        return ParsedResponse(trouble="it was no chat completion")
    if message.get("refusal"):
        return ParsedResponse(trouble=_REFUSED)
    content, reasoning, reason = read_content(message), read_reasoning(message), read_finish_reason(choice)
    if content.strip() or not reasoning.strip():
        return parse_claims(content, reason)
    # A server that takes all of an answer for thoughts hands it on as such.
    parsed = parse_claims(reasoning, reason)
    return parsed if parsed.claims else replace(parsed, trouble=f"all of it arrived as reasoning; {parsed.trouble}")


def parse_claims(text: str, finish_reason: str = "") -> ParsedResponse:
    """Read the claims in the text of an answer.

    Args:
        text: what the model wrote, with its thoughts if it wrote any.
        finish_reason: "length" if it was cut off.
    """
    body = take_answer_part(text)
    if not body:
        return ParsedResponse(
            trouble="it was empty" if finish_reason != "length" else "it was cut off before any claim"
        )
    claims = _find_claims(body)
    if not any(claims or ()):
        claims = _find_claims(_PYTHON.sub(_write_as_json, body)) or claims
    if claims is None:
        return ParsedResponse(trouble=_REFUSED if _REFUSAL.search(body) else "it held no JSON of the asked form")
    read = tuple(claim for claim in claims if claim is not None)
    unusable = len(claims) - len(read)
    trouble = ""
    if finish_reason == "length":
        trouble = "it was cut off"
    elif not claims:
        trouble = "its list of claims was empty"
    elif unusable:
        trouble = f'{unusable} of its {len(claims)} claims had no "text", or no "is_true" that is true or false'
    return ParsedResponse(read, unusable, trouble)


def _find_claims(body: str) -> list[Claim | None] | None:
    """Return the last list of claims, or of a broken one what is whole; None if there is none.

    An entry that is no claim is None. A list with less than half as many claims as another is no answer: models end
    with a repeat of the form that they were given.
    """
    lists: list[list[Claim | None]] = []
    loose: list[Claim | None] = []
    for value in _find_values(body):
        entries = _take_list(value)
        if entries is not None:
            lists.append([_read_entry(entry) for entry in entries])
        elif isinstance(value, Mapping) and any(name in value for name in _TEXT_NAMES):
            loose.append(_read_entry(cast("object", value)))
    sizes = [sum(claim is not None for claim in claims) for claims in lists]
    long = [claims for claims, size in zip(lists, sizes, strict=True) if claims and 2 * size >= max(sizes)]
    if long:
        return long[-1]
    return loose or ([] if lists else None)


def _write_as_json(part: re.Match[str]) -> str:
    """Return a word or a string of Python as JSON writes it."""
    if part[1] is None:
        return _WORDS.get(part[0], part[0])
    text = _QUOTE.sub(lambda one: {"\\'": "'", '"': '\\"'}.get(one[0], one[0]), part[1])
    return f'"{text}"'


def _find_values(body: str) -> Iterator[object]:
    """Yield every JSON object and list that is not part of one before it."""
    decoder = json.JSONDecoder()
    end = tried = 0
    for start in itertools.islice(_BRACKET.finditer(body), _MAX_BRACKETS):
        if start.start() >= end and tried <= _MAX_TRIED:
            try:
                value, end = decoder.raw_decode(body, start.start())
            except (ValueError, RecursionError) as error:  # a number of thousands of digits is a ValueError
                tried += error.pos - start.start() if isinstance(error, json.JSONDecodeError) else len(body)
                continue
            yield value


def _take_list(value: object) -> list[object] | None:
    if isinstance(value, Mapping):
        value = cast("Mapping[str, object]", value).get("claims")
    if not isinstance(value, list):
        return None
    entries = cast("list[object]", value)
    return entries if all(isinstance(entry, Mapping) for entry in entries) else None


def _read_entry(entry: object) -> Claim | None:
    fields = cast("Mapping[str, Any]", entry)
    text = next((fields[name] for name in _TEXT_NAMES if isinstance(fields.get(name), str)), "")
    words = " ".join(clean_text(str(text)).split())
    truths = {_read_truth(fields[name]) for name in _TRUTH_NAMES if name in fields}
    if not any(letter.isalnum() for letter in words) or truths not in ({True}, {False}):
        return None
    return Claim(words, truths == {True})


def _read_truth(value: object) -> bool | None:
    if type(value) in (bool, int) and value in (0, 1):
        return bool(value)
    return _TRUTHS.get(value.strip().lower()) if isinstance(value, str) else None
