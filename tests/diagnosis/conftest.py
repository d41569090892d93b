from __future__ import annotations

from dataclasses import replace

import pytest
from diagnosis.scripted_model import make_question
from prober_contract import make_sample
from tiny_models import build_tiny

from vapo.models.policy.checkpoint import Policy
from vapo.types import Sample


class ResponseWriter:
    """Make a random model write given responses greedily, so that there is something to grade and to probe."""

    def __init__(self, policy: Policy, responses: dict[str, str]) -> None:
        self._tokenizer = policy.processor.tokenizer
        self._responses = {
            tuple(self._encode(question)): self._encode(response) for question, response in responses.items()
        }
        self._start = self._encode("<|im_start|>assistant\n")
        self.rows: list[list[int]] = []
        self._step = 0
        self._image_token_id = policy.model.config.image_token_id
        policy.model.register_forward_pre_hook(self._listen, with_kwargs=True)
        policy.model.lm_head.register_forward_hook(self._speak)

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False)

    def _listen(self, _module, _args, kwargs) -> None:
        rows = kwargs["input_ids"].tolist()
        if self._image_token_id in rows[0]:  # a prompt; what follows is written token by token
            self.rows = rows
            self._step = 0
        else:
            self._step += 1

    def _speak(self, _module, _args, logits):
        if logits.shape[-1] < len(self._tokenizer):  # the output layer is tried on a few numbers
            return logits
        for row, ids in enumerate(self.rows):
            if ids[-len(self._start) :] != self._start:
                continue  # a probe
            for question, response in self._responses.items():
                if any(tuple(ids[k : k + len(question)]) == question for k in range(len(ids))):
                    token = response[self._step] if self._step < len(response) else self._tokenizer.eos_token_id
                    logits[row, -1, token] += 1000
        return logits


QUESTIONS = {
    "What is in row one?": "<think>I see a 3, then a 5. The sum is 8.</think> \\boxed{8}",
    "Which digit is left?": "<think>One digit: 4. It is left, I think.</think> \\boxed{4}",
    "How many digits are there?": "<think>There are two, no, three; I cannot tell.</think> No answer",
}
ANSWERS = ("8", "5", "3")  # right, wrong, not answered


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("vapo.diagnosis.estimates.RESAMPLES", 200)


@pytest.fixture
def samples():
    return [
        replace(make_sample(f"q{number}"), question=question, answer=answer)
        for number, (question, answer) in enumerate(zip(QUESTIONS, ANSWERS, strict=True))
    ]


@pytest.fixture(scope="session")
def policy():
    """A random LLaVA that writes `QUESTIONS`' responses when it is asked."""
    policy = Policy(*build_tiny("llava"), name="writer")
    ResponseWriter(policy, QUESTIONS)
    return policy


@pytest.fixture
def questions() -> list[Sample]:
    return [make_question(f"q{number}") for number in range(4)]
