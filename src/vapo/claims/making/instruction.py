"""What a model is told when it is asked for claims. It is shown the images and this text, never a question.

The constraints are those of arXiv 2509.25848: one visible fact each, at most 20 words, no hedges, and false claims
that are plausible mistakes of perception rather than negations. The words are ours. The text stands before the
images, in one user message, and ends in the form of the answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from vapo.claims.filters.special_tokens import break_special_tokens

FORM = 'Answer with JSON alone: {"claims": [{"text": "...", "is_true": true}, ...]}'
"""The last line of every instruction."""

_HEAD = """\
Write exactly {count} different claims about {shown}: {shares}, in random order. They test whether somebody who looks \
at {shown} sees what is there.

Every claim, true or false,
- is one sentence in {language} of at most {max_words} words;
- states one fact that anybody can check by looking, without further knowledge and without the other claims;
- is definite: nothing is possible, probable, apparent or a matter of taste;
- names what it speaks about clearly enough that only one thing can be meant{naming}.

A false claim is what a careless eye might report: a wrong colour, number, place, shape, inscription, action or \
relation, or a thing that would fit in but is missing. It is clearly wrong, and not a true claim with a "not" in it. \
True and false claims are alike in style, length and choice of words.

Spread the claims over the whole of {shown} and over different kinds of facts: things, parts, places, relations, \
actions, shapes, inscriptions. At most {max_colour} of them may be about nothing but a colour, and at most \
{max_counting} about how many there are of something. Do not speak of questions, answers, tasks or of these claims."""

_KNOWN = "These claims are there already. Do not repeat, rephrase or contradict them:"
_REJECTED = "These claims were written before and could not be used. Do not make the same mistakes:"
_UNREADABLE = "An earlier answer could not be used: {trouble}."


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for.

    Attributes:
        num_true, num_false: claims of each label; at least one in all.
        max_words: of a claim.
        max_colour, max_counting: claims about a colour or a number alone.
        language: in which claims are written, by its English name.
        num_images: images shown, at least 1.
    """

    num_true: int
    num_false: int
    max_words: int = 20
    max_colour: int = 5
    max_counting: int = 5
    language: str = "English"
    num_images: int = 1


def write_instruction(
    order: Order,
    known: Sequence[str] = (),
    rejected: Sequence[tuple[str, str]] = (),
    trouble: str = "",
) -> str:
    """Return the text that asks for claims.

    Args:
        order: what is asked for.
        known: texts of claims that the image has already.
        rejected: (text, reason) of claims that were left out before.
        trouble: why the last answer could not be used; "" if it could.
    """
    several = order.num_images > 1
    parts = [
        _HEAD.format(
            count=order.num_true + order.num_false,
            shares=_write_shares(order.num_true, order.num_false),
            shown=f"the {order.num_images} images" if several else "the image",
            naming=', and says which image ("the first image", "the second image", ...)' if several else "",
            language=order.language,
            max_words=order.max_words,
            max_colour=order.max_colour,
            max_counting=order.max_counting,
        )
    ]
    if known:
        parts.append("\n".join([_KNOWN, *(f"- {break_special_tokens(text)}" for text in known)]))
    if rejected:
        parts.append(
            "\n".join([_REJECTED, *(f"- {break_special_tokens(text)} ({reason})" for text, reason in rejected)])
        )
    if trouble:
        parts.append(_UNREADABLE.format(trouble=trouble))
    return "\n\n".join([*parts, FORM])


def _write_shares(num_true: int, num_false: int) -> str:
    shares = [f"{number} {label}" for number, label in ((num_true, "true"), (num_false, "false")) if number]
    return " and ".join(shares) if len(shares) == 2 else f"all of them {shares[0].split()[1]}"


PROMPT_VERSION = hashlib.sha256("\n".join([_HEAD, _KNOWN, _REJECTED, _UNREADABLE, FORM]).encode()).hexdigest()[:12]
"""Changes whenever a word of the instruction does."""
