"""A model of the harness whose responses are kept as they come, so that a stopped run goes on where it was.

The harness's own cache writes nothing until every question of every benchmark is answered, and takes a folder that was
trained again for the same model.
"""

# pyright: reportMissingImports=false
# lmms-eval stands beside the environment that types are checked in.
from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from lmms_eval.api.instance import GenerationResult, TokenCounts, unwrap_generation_output
from lmms_eval.api.model import lmms

from vapo.evaluation.suites.answers import Response


@dataclass(frozen=True, slots=True)
class Sampling:
    """How responses are drawn besides the greedy one.

    Attributes:
        num_completions: k of avg@k, at least 1.
        temperature: above 0; nothing is cut off by top-k or top-p.
        seed: of the draws.
    """

    num_completions: int
    temperature: float
    seed: int

    def settle(self, name: tuple[str, int, str], completion: int) -> dict[str, Any]:
        """Return a completion's settings for the harness, its seed among them: each has draws of its own."""
        seed = crc32(f"{self.seed} {name} {completion}".encode()) >> 1
        return {"temperature": self.temperature, "do_sample": True, "top_p": 1.0, "seed": seed}


class KeptModel(lmms):
    """Answer with another model, some questions at a time, and hand out what it wrote.

    Args:
        model: any of the harness's models that take conversations.
        chunk_size: questions asked before their responses are handed out.
        count_tokens: length of a text, for models that do not tell.
        system_prompt: takes the place of the tasks' own; an empty one stands for none, None leaves theirs.
        known: responses that were kept; their questions are not asked.
        keep: called with each chunk's responses.
        sampling: of the responses drawn besides the greedy ones; None for none.

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
        sampling: Sampling | None = None,
    ) -> None:
        super().__init__()
        self._model = model
        self._model.task_dict = self.task_dict  # the harness puts the rows here
        self._chunk_size = chunk_size
        self._count_tokens = count_tokens
        self._system_prompt = system_prompt
        self._known = {_find_place(one): one for one in known}
        self._sampling = sampling
        self._drawn: dict[tuple[str, str, int], list[Response]] = {}
        self._keep = keep
        self.num_tokens = 0
        self.seconds = 0.0

    def generate_until(self, requests: Sequence[Any]) -> list[GenerationResult]:
        """Return the greedy response to each request, in order, and have those drawn that are to be sampled."""
        last = self._sampling.num_completions if self._sampling is not None else 0
        wanted = [(request, completion) for completion in range(last + 1) for request in requests]
        missing = [pair for pair in wanted if self._place(*pair) not in self._known]
        for start in range(0, len(missing), self._chunk_size):
            chunk = missing[start : start + self._chunk_size]
            began = time.perf_counter()
            results = self._model.generate_until([self._address(*pair) for pair in chunk])
            self.seconds += time.perf_counter() - began
            responses = [self._read(*pair, result) for pair, result in zip(chunk, results, strict=True)]
            self.num_tokens += sum(response.num_tokens for response in responses)
            if self._keep is not None:
                self._keep(responses)
            self._known |= {_find_place(one): one for one in responses}
        for request in requests if last else ():
            place = (request.args[4], request.args[5], int(request.args[3]))
            self._drawn[place] = [self._known[self._place(request, number)] for number in range(1, last + 1)]
        own = [self._known[self._place(request, 0)] for request in requests]
        return [GenerationResult(one.text, TokenCounts(output_tokens=one.num_tokens)) for one in own]

    def list_drawn(self) -> Iterator[tuple[dict[str, Any], list[Response]]]:
        """Yield each question's row with the responses that were sampled for it."""
        for (task, split, row), responses in self._drawn.items():
            yield self.task_dict[task][split][row], responses

    def loglikelihood(self, requests: Any) -> Any:
        """Leave it to the model."""
        return self._model.loglikelihood(requests)

    def generate_until_multi_round(self, requests: Any) -> Any:
        """Leave it to the model."""
        return self._model.generate_until_multi_round(requests)

    def _address(self, request: Any, completion: int) -> Any:
        """Return the request with our own system prompt, and how the completion of this number is drawn."""
        prompt = self._system_prompt
        if self._sampling is not None and completion:
            text, put_messages, settings, *rest = request.args
            drawn = {**settings, **self._sampling.settle(_name(request), completion)}
            request = copy.copy(request)
            request.arguments = (text, put_messages, drawn, *rest)
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

    def _read(self, request: Any, completion: int, result: Any) -> Response:
        text, counts = unwrap_generation_output(result)
        num_tokens = counts.output_tokens if counts is not None else None
        length = self._count_tokens(text) if num_tokens is None else num_tokens
        task, row, digest, _ = self._place(request, completion)
        return Response(task, row, digest, text, length, completion)

    def _place(self, request: Any, completion: int) -> tuple[str, int, str, int]:
        """Name a request's completion, so that what was made with other data or other draws is asked anew."""
        task, row, digest = _name(request)
        drawn = f"-{self._sampling.temperature:g}-{self._sampling.seed}" if self._sampling and completion else ""
        return task, row, digest + drawn, completion


def _find_place(response: Response) -> tuple[str, int, str, int]:
    return response.task, response.row, response.digest, response.completion


def _name(request: Any) -> tuple[str, int, str]:
    """Name a request by its task, its row, and a digest of its text: data that has changed is asked anew."""
    return request.args[4], int(request.args[3]), f"{crc32(request.args[0].encode()):08x}"
