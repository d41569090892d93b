"""How likely "yes" is, from a server that tells no more than its answer and how likely that one was.

Each side has several spellings. One question gives the likeliest token t of all and its share p_t / (Y + N) among
them. A second one, among t and the spellings of the other side, gives p_t / (p_t + N); the two together give
Y / (Y + N). Where t alone has more than half, the answer is known after the first.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from vapo.errors import ModelError
from vapo.models.questions import AnswerTokens

_ROUNDING = 1e-3  # log-probabilities of a server in bfloat16


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer of one token.

    Attributes:
        token: the likeliest of the allowed ones.
        logprob: the logarithm of its share among them.
        weights: which weights answered, as the trainer counts them; None where the server does not say.
    """

    token: int
    logprob: float
    weights: int | None


Ask = Callable[[Sequence[int]], Awaitable[Reply]]
"""Ask the server for the likeliest of some tokens."""


async def find_p_true(ask: Ask, answers: AnswerTokens, *, exact: bool) -> tuple[float, set[int]]:
    """Return P(yes) / (P(yes) + P(no)) and the weights that answered.

    Args:
        ask: puts the question to the server.
        answers: the spellings of both sides.
        exact: whether the number is needed; else it is on the right side of 1/2 and no nearer to it than the truth
            allows: the share of the likeliest spelling alone, asked for with one question where that decides.

    Raises:
        ModelError: the server does not keep to the tokens it was given.
    """
    first = await ask_for_one(ask, [*answers.yes, *answers.no])
    weights = {first.weights} - {None}
    said_yes = first.token in answers.yes
    own, other = (answers.yes, answers.no) if said_yes else (answers.no, answers.yes)
    share = math.exp(first.logprob)
    if len(own) > 1 and (exact or share <= 0.5):
        second = await ask_for_one(ask, [first.token, *other])
        weights |= {second.weights} - {None}
        if second.token == first.token:
            # N / (Y + N) = (p_t / (Y + N)) * (N / p_t), and N / p_t = 1 / exp(second.logprob) - 1
            share = 1.0 - share * math.expm1(-second.logprob)
        share = min(max(share, 0.0), 1.0)
    return (share if said_yes else 1.0 - share), {int(w) for w in weights if w is not None}


async def ask_for_one(ask: Ask, allowed: Sequence[int]) -> Reply:
    """Ask, and hold the server to what it was asked.

    Raises:
        ModelError: the answer is none of the allowed tokens, or has less than an equal share among them.
    """
    reply = await ask(allowed)
    if reply.token not in allowed:
        raise ModelError(
            f"the server was asked for one of the tokens {sorted(allowed)} and answered {reply.token}: it does not "
            "honour token restrictions, so probes cannot be put to it; use a server that does (vLLM, SGLang)"
        )
    if reply.logprob < -math.log(len(allowed)) - _ROUNDING or reply.logprob > _ROUNDING:
        raise ModelError(
            f"the server gave the likeliest of {len(allowed)} allowed tokens a log-probability of "
            f"{reply.logprob:.3f}, which is not its share among them: set "
            "actor_rollout_ref.rollout.logprobs_mode=processed_logprobs"
        )
    return reply
