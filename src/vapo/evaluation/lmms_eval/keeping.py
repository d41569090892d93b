"""A model of the harness whose responses are kept as they come, so that a stopped run goes on where it was.

The harness's own cache writes nothing until every question of every benchmark is answered, and takes a folder that was
trained again for the same model.
"""

# pyright: reportMissingImports=false
# lmms-eval stands beside the environment that types are checked in.
from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

from lmms_eval.api.instance import GenerationResult, TokenCounts, unwrap_generation_output
from lmms_eval.api.model import lmms

from vapo.evaluation.suites.answers import Response


class KeptModel(lmms):
    """Answer with another model, some questions at a time, and hand out what it wrote.

    Args:
        model: any of the harness's models that take conversations.
        chunk_size: questions asked before their responses are handed out.
        count_tokens: length of a text, for models that do not tell.
        system_prompt: takes the place of the tasks' own; an empty one stands for none, None leaves theirs.
        known: responses that were kept; their questions are not asked.
        keep: called with each chunk's responses.

    Attributes:
        num_tokens, seconds: what was generated now, and how long that took.
    """

    is_simple = False

    def __init__(
        self,
        model: Any,
        chunk_size: int,
        count_tokens: Callable[[str], int],
        system_prompt: str | None = None,
        known: Sequence[Response] = (),
        keep: Callable[[Sequence[Response]], None] | None = None,
    ) -> None:
        super().__init__()
        self._model = model
        self._model.task_dict = self.task_dict  # the harness puts the rows here
        self._chunk_size = chunk_size
        self._count_tokens = count_tokens
        self._system_prompt = system_prompt
        self._known = {(one.task, one.row, one.digest): one for one in known}
        self._keep = keep
        self.num_tokens = 0
        self.seconds = 0.0

    def generate_until(self, requests: Sequence[Any]) -> list[GenerationResult]:
        """Return a response to each request, in order."""
        missing = [request for request in requests if _name(request) not in self._known]
        for start in range(0, len(missing), self._chunk_size):
            chunk = missing[start : start + self._chunk_size]
            began = time.perf_counter()
            results = self._model.generate_until([self._address(request) for request in chunk])
            self.seconds += time.perf_counter() - began
            responses = [self._read(*pair) for pair in zip(chunk, results, strict=True)]
            self.num_tokens += sum(response.num_tokens for response in responses)
            if self._keep is not None:
                self._keep(responses)
            self._known |= {(one.task, one.row, one.digest): one for one in responses}
        own = [self._known[_name(request)] for request in requests]
        return [GenerationResult(one.text, TokenCounts(output_tokens=one.num_tokens)) for one in own]

    def loglikelihood(self, requests: Any) -> Any:
        """Leave it to the model."""
        return self._model.loglikelihood(requests)

    def generate_until_multi_round(self, requests: Any) -> Any:
        """Leave it to the model."""
        return self._model.generate_until_multi_round(requests)

    def _address(self, request: Any) -> Any:
        """Return the request with our own system prompt."""
        prompt = self._system_prompt
        if prompt is None:
            return request
        text, put_messages, *rest = request.args

        def put(row: Any) -> list[Any]:
            turns = [turn for turn in put_messages(row) if turn["role"] != "system"]
            own = [{"role": "system", "content": [{"type": "text", "text": prompt}]}] if prompt else []
            return [*own, *turns]

        ours = copy.copy(request)
        ours.arguments = (text, put, *rest)
        return ours

    def _read(self, request: Any, result: Any) -> Response:
        text, counts = unwrap_generation_output(result)
        num_tokens = counts.output_tokens if counts is not None else None
        return Response(*_name(request), text, self._count_tokens(text) if num_tokens is None else num_tokens)


def _name(request: Any) -> tuple[str, int, str]:
    """Name a request by its task, its row, and a digest of its text: data that has changed is asked anew."""
    return request.args[4], int(request.args[3]), f"{crc32(request.args[0].encode()):08x}"
