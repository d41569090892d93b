"""Whether a model answers behind vLLM as its checkpoint does in transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vapo.errors import ModelError
from vapo.export.agreement import Agreement, compare_answers
from vapo.models.policy.answers import Answer
from vapo.serving.start import connect_model
from vapo.serving.vllm_process import serving

_ROOM_TOKENS = 1024  # beside the longest question: the server is first asked about an image of our own
_OTHERS_DTYPE = "bfloat16"  # what a server computes in is not told; it may round as coarsely as this


def compare_with_server(
    url: str,
    answers: Sequence[Answer],
    tokenizer: Any,
    *,
    max_completion_tokens: int,
    system_prompt: str | None,
    dtype: str = _OTHERS_DTYPE,
) -> Agreement:
    """Ask the questions of a server that serves the model, and compare.

    Args:
        url: of the server.
        answers: of the checkpoint.
        tokenizer: of the model.
        max_completion_tokens: longest answer, as long as the checkpoint's.
        system_prompt: text of a system message; None for none.
        dtype: precision that the server computes in.

    Raises:
        ServerError: there is no server, or it does not answer.
        ModelError: it does not report tokens, or serves another model.
    """
    diagnosed_model = connect_model(url, tokenizer=tokenizer, system_prompt=system_prompt)
    if "continue" not in diagnosed_model.abilities:
        raise ModelError(diagnosed_model.why_not("continue"))
    responses = diagnosed_model.write_responses([answer.rollout.sample for answer in answers], max_completion_tokens)
    return compare_answers(answers, responses, None, copy="vLLM", dtype=dtype)


def compare_served(
    folder: Path,
    answers: Sequence[Answer],
    tokenizer: Any,
    *,
    max_completion_tokens: int,
    system_prompt: str | None,
    dtype: str,
    context: int | None,
) -> Agreement:
    """Serve a model with the vLLM that is installed here, compare, and end the server; see `compare_with_server`.

    Args:
        folder: of the model.
        context: tokens that the model can hold; None if that is not known.
    """
    longest = max(len(answer.rollout.prompt_ids) for answer in answers) + max_completion_tokens + _ROOM_TOKENS
    with TemporaryDirectory() as logs:
        limit = longest if context is None else min(longest, context)
        with serving(folder, Path(logs) / "log", dtype=dtype, max_model_len=limit) as url:
            return compare_with_server(
                url,
                answers,
                tokenizer,
                max_completion_tokens=max_completion_tokens,
                system_prompt=system_prompt,
                dtype=dtype,
            )
