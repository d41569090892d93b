from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
import torch

from vapo.errors import ModelError
from vapo.models.questions import AnswerTokens
from vapo.verl.answers import Reply, find_p_true

ANSWERS = AnswerTokens(yes=(3, 5, 8), no=(2, 9))


class Server:
    """Answers as verl's servers do: the likeliest allowed token, and its share among the allowed."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits
        self.asked: list[Sequence[int]] = []

    async def ask(self, allowed: Sequence[int]) -> Reply:
        self.asked.append(allowed)
        shares = self.logits[list(allowed)].log_softmax(0)
        best = int(shares.argmax())
        return Reply(allowed[best], float(shares[best]), weights=4)


@pytest.mark.parametrize("seed", range(40))
def test_two_questions_give_what_all_logits_would(seed):
    logits = torch.randn(12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2
    server = Server(logits)
    p_true, weights = asyncio.run(find_p_true(server.ask, ANSWERS, exact=True))
    (meant,) = ANSWERS.p_true(logits[None])
    assert p_true == pytest.approx(meant, abs=1e-6) and weights == {4}
    assert len(server.asked) == 2


@pytest.mark.parametrize("seed", range(40))
def test_the_side_is_right_with_one_question_where_that_decides(seed):
    logits = torch.randn(12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2
    server = Server(logits)
    p_true, _ = asyncio.run(find_p_true(server.ask, ANSWERS, exact=False))
    (meant,) = ANSWERS.p_true(logits[None])
    assert (p_true > 0.5) == (meant > 0.5)
    decided = math.exp(logits[[3, 5, 8, 2, 9]].log_softmax(0).max()) > 0.5
    assert len(server.asked) == (1 if decided else 2)


def test_one_spelling_a_side_takes_one_question():
    server = Server(torch.tensor([0.0, 1.0]))
    p_true, _ = asyncio.run(find_p_true(server.ask, AnswerTokens(yes=(1,), no=(0,)), exact=True))
    assert p_true == pytest.approx(1 / (1 + math.exp(-1))) and len(server.asked) == 1


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(7, -0.1, None), "it does not honour token restrictions"),
        (Reply(3, -5.0, None), "logprobs_mode=processed_logprobs"),
        (Reply(3, 0.5, None), "logprobs_mode=processed_logprobs"),
    ],
)
def test_a_server_that_does_something_else_is_refused(reply, message):
    async def ask(_):
        return reply

    with pytest.raises(ModelError, match=message):
        asyncio.run(find_p_true(ask, ANSWERS, exact=True))
