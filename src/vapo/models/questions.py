"""How a claim is put to a model, and which tokens count as its answer.

The question ends without a space. Tokenizers of the GPT-2 kind fold a space into the word that follows it, so a
prompt that ends in a space asks for a token sequence that the model has hardly ever seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vapo.errors import ConfigError, ModelError
from vapo.models.plain_text import make_escaper

PROBE_TEMPLATE = "\n<anchor> {claim} Is this claim correct? Answer (yes/no):"
"""Text appended to a cut response (arXiv 2509.25848, Section 4); `{claim}` is replaced by the claim's text."""

YES_WORDS = (" yes", " Yes", " YES", "yes", "Yes", "YES")
NO_WORDS = (" no", " No", " NO", "no", "No", "NO")


@dataclass(frozen=True, slots=True)
class AnswerTokens:
    """Tokens that are a way to write "yes" or "no"; each side's probabilities are summed."""

    yes: tuple[int, ...]
    no: tuple[int, ...]

    def p_true(self, logits: torch.Tensor) -> list[float]:
        """Return P(yes) / (P(yes) + P(no)) for each row of logits of shape (rows, vocabulary)."""
        yes, no = (logits.float()[:, list(tokens)].logsumexp(-1) for tokens in (self.yes, self.no))
        return [float(p) for p in torch.sigmoid(yes - no)]


class ClaimQuestions:
    """Put claims to one tokenizer's model: question tokens and answer tokens.

    Args:
        tokenizer: the policy's `transformers` tokenizer.
        template: text with one `{claim}` place; it must not end in white space.

    Raises:
        ConfigError: the template has no `{claim}` or ends in white space.
        ModelError: the tokenizer has no token that is "yes", or none that is "no", after the question.
    """

    def __init__(self, tokenizer: Any, template: str = PROBE_TEMPLATE) -> None:
        check_probe_template(template)
        self._tokenizer = tokenizer
        self._template = template
        self._escape = make_escaper(tokenizer)
        self._question_ids: dict[str, tuple[int, ...]] = {}
        plain = self._fill("The picture shows a cat.")
        self._own_tokens = self._escape.list_added_tokens(plain)
        self.answer_tokens = find_answer_tokens(tokenizer, plain)

    def encode(self, claim_text: str) -> tuple[int, ...]:
        """Return the token ids of the question about `claim_text`; the only special ones in it are the template's.

        Raises:
            ModelError: the template and the claim join into a special token that cannot be broken.
        """
        if claim_text not in self._question_ids:
            self._question_ids[claim_text] = _encode(self._tokenizer, self._render(claim_text))
        return self._question_ids[claim_text]

    def _render(self, claim_text: str) -> str:
        plain, breaker = self._escape(claim_text.strip()), self._escape.breaker
        for claim in (plain, breaker + plain, plain + breaker, breaker + plain + breaker):
            question = self._fill(claim)
            if self._escape.list_added_tokens(question) == self._own_tokens:
                return question
        raise ModelError(
            f"the probe template {self._template!r} and the claim {claim_text!r} join into a special token; put a "
            "space before and after {claim}"
        )

    def _fill(self, claim: str) -> str:
        # str.replace, not str.format: a claim may hold braces.
        return self._template.replace("{claim}", claim)


def check_probe_template(template: str) -> None:
    """Raise ConfigError unless `template` can carry a claim and leaves the answer's space to the answer."""
    if template.count("{claim}") != 1:
        raise ConfigError(f"the probe template must contain {{claim}} exactly once, but is {template!r}")
    if template != template.rstrip():
        raise ConfigError(
            f"the probe template must not end in white space, but is {template!r}: tokenizers fold the space into the "
            "answer, so a trailing one makes the natural answer impossible; remove it"
        )


def find_answer_tokens(tokenizer: Any, question: str) -> AnswerTokens:
    """Find the tokens that are "yes" or "no" when a model writes them right after `question`.

    Each spelling is encoded behind the question. It counts if the question's own tokens stay as they are and one token
    that spells the whole word follows. One in several tokens is left out: its first piece begins other words too.

    Raises:
        ModelError: no spelling of one side is one token.
    """
    question_ids = _encode(tokenizer, question)

    def whole_words(words: tuple[str, ...]) -> tuple[int, ...]:
        encoded = [(word, _encode(tokenizer, question + word)) for word in words]
        found = {ids[-1] for word, ids in encoded if ids[:-1] == question_ids and _spells(tokenizer, ids[-1], word)}
        return tuple(sorted(found))

    answers = AnswerTokens(yes=whole_words(YES_WORDS), no=whole_words(NO_WORDS))
    missing = [word for word, tokens in (("yes", answers.yes), ("no", answers.no)) if not tokens]
    if missing:
        raise ModelError(
            f"the tokenizer {type(tokenizer).__name__} writes {' and '.join(map(repr, missing))} in several tokens "
            f"after {question[-40:]!r}, so how likely the answer is cannot be read from one; give a probe template "
            "behind which it is one token"
        )
    return answers


def _spells(tokenizer: Any, token: int, word: str) -> bool:
    return tokenizer.decode([token]).strip() == word.strip()


def share_of_yes(logprobs: Mapping[int, float], yes: Sequence[int], no: Sequence[int]) -> float:
    """Return P(yes) / (P(yes) + P(no)), each the sum over its spellings' first tokens.

    Args:
        logprobs: of every token in `yes` and `no`, up to a shared constant.
        yes, no: token ids, each at least one.
    """
    highest = max(logprobs[token] for token in (*yes, *no))
    p_yes = sum(math.exp(logprobs[token] - highest) for token in yes)
    p_no = sum(math.exp(logprobs[token] - highest) for token in no)
    return p_yes / (p_yes + p_no)


def one_token_of(token_ids: Sequence[int], *, among_all: bool = False) -> dict[str, Any]:
    """Return the sampling parameters of vLLM that ask how likely each of `token_ids` is, and for nothing else.

    Greedy, so that no random number is drawn. `allowed_token_ids` keeps the answer among the asked;
    `logprob_token_ids` returns all of theirs, whether the engine gives raw or processed log-probabilities. Not
    `prompt_logprobs`: vLLM leaves its prefix cache unread for those.

    Args:
        token_ids: at most 20 tokens, 19 among all, which is what vLLM lists unless it is told otherwise.
        among_all: let all tokens compete, so that processed log-probabilities are those of the whole vocabulary too.
            vLLM then lists the token that it draws before the asked ones, and leaves out the last: one more is asked.
    """
    ids = list(token_ids)
    if among_all:
        ids.append(next(token for token in range(len(ids) + 1) if token not in ids))
    return {
        "max_tokens": 1,
        "temperature": 0.0,
        **({} if among_all else {"allowed_token_ids": ids}),
        "logprob_token_ids": ids,
        "logprobs": len(ids),
        "detokenize": False,
    }


def _encode(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False))
