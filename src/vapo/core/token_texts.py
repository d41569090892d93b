"""What each token adds to the text, so that text and tokens can be cut at the same place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_UNREADABLE = "\ufffd"  # what decoders write for bytes that are not, or not yet, a character


def split_into_token_texts(ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> tuple[str, ...]:
    """Split the text of a token sequence into the part that each token adds.

    `"".join(result) == decode(ids)`, and wherever a token adds text, the tokens up to it decode to the texts up to
    it: `decode(ids[: i + 1]) == "".join(result[: i + 1])` if `result[i]`. A token that ends inside a character adds
    "", and the token that completes the character adds all that was held back. Special tokens add "".

    The time is linear in the number of tokens: as in streaming detokenizers, each token is decoded behind the few
    tokens before it, never behind the whole sequence.

    Args:
        ids: token ids, one sequence of any length.
        decode: a tokenizer's decode that skips special tokens and does not clean up spaces.

    Returns:
        One string per token.
    """
    text = decode(ids)
    token_texts: list[str] = []
    known: dict[int, str] = {}  # what a token adds at a clean place behind other text
    silent: dict[int, bool] = {}

    context: list[int] = []  # tokens that end at a clean place; decoders treat the first token of a text otherwise
    clean = 0  # characters of `text` up to the end of `context`
    done = 0  # characters of `text` that have been given to a token
    pending: list[int] = []  # tokens since the clean place
    pending_text: str | None = ""
    for token in ids:
        added = None if pending else known.get(token)
        if added is None or not text.startswith(added, clean):
            before, after = decode(context), decode([*context, *pending, token])
            added = after[len(before) :] if after.startswith(before) else None
            if added == pending_text:
                # A token that says nothing even twice is a special token. A lone sentencepiece space is not: the
                # decoder strips it at the start of a text, but only once.
                if token not in silent:
                    silent[token] = not decode([token, token])
                if silent[token]:
                    token_texts.append("")
                    continue
        if added is None or not text.startswith(added, clean) or clean + len(added) < done:
            # These tokens read otherwise once more tokens follow: the last one ends inside a character.
            token_texts.append("")
            pending.append(token)
            pending_text = added
            continue
        token_texts.append(text[done : clean + len(added)])
        done = clean + len(added)
        if added.endswith(_UNREADABLE):
            # Perhaps U+FFFD itself, perhaps a byte that later tokens still join: go on decoding them together.
            pending.append(token)
            pending_text = added
            continue
        if context and added and not pending:
            known[token] = added
        context = [*pending, token] if added else [*context, *pending, token]
        clean, pending, pending_text = done, [], ""
    if done < len(text):
        token_texts[-1] += text[done:]
    return tuple(token_texts)
