"""A judge: a model behind an OpenAI-compatible server that names the cause of a wrong answer, or scores an open one.

Every response is kept on disk, so asking the same again costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from vapo.api.connection import ServerConnection
from vapo.api.images import encode_lossless, make_image_parts
from vapo.api.optional_parameters import OPTIONAL_PARAMETERS
from vapo.api.prices import Prices
from vapo.api.responses import count_tokens, read_content, take_choice, take_message
from vapo.api.server_errors import ServerError
from vapo.core.image_names import name_image
from vapo.errors import ConfigError, ModelError
from vapo.serving.judge import answer_score, error_category
from vapo.serving.judge.answer_score import Case, read_score
from vapo.serving.judge.cache import JudgeAnswer, JudgeCache, make_key
from vapo.serving.judge.error_category import Category, read_category, write_case
from vapo.types import Sample

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class JudgeUsage:
    """What judging took so far.

    Attributes:
        answers: requests sent to the server and answered.
        cached: answers found on disk.
        nonsense: answers, cached ones included, that name no category.
        failed: votes for which no answer came.
        unsaved: answers that could not be written to disk.
        prompt_tokens, completion_tokens: of the answers, cached ones excluded, as the server counts them.
        last_failure: why the last failed vote failed.
    """

    answers: int = 0
    cached: int = 0
    nonsense: int = 0
    failed: int = 0
    unsaved: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    last_failure: str = ""

    def tell(self, prices: Prices | None = None) -> str:
        """Return all that is not zero, in a sentence."""
        parts = [f"{self.answers} asked ({self.prompt_tokens} + {self.completion_tokens} tokens)"]
        parts += [f"{self.cached} from the cache"] if self.cached else []
        parts += [f"{self.nonsense} without a category"] if self.nonsense else []
        parts += [f"{self.failed} without an answer (the last one: {self.last_failure})"] if self.failed else []
        parts += [f"{self.unsaved} that could not be written to the cache"] if self.unsaved else []
        cost = "" if prices is None else f"; {prices.cost(self.prompt_tokens, self.completion_tokens):.4f} US dollars"
        return f"votes of the judge: {', '.join(parts)}{cost}"


class Judge:
    """Ask a judge.

    The server, its model and the key are checked at once, so that a mistake shows before anything is judged.

    Args:
        url: for example `https://api.openai.com/v1` or `http://localhost:8000`.
        model: its name there; None takes the only one.
        cache_folder: where answers are kept; None is the user's cache.
        temperature: where several votes are asked; a single one is asked at 0, and so is a score.
        seed: of the first vote; the n-th has `seed + n`.
        max_tokens: longest answer; judges that think before they answer need more.
        prices: to tell what it cost; None leaves that out.
        timeout_s: longest wait for an answer, in seconds, before it is asked for again.
        options: of `ServerConnection`.

    Raises:
        ConfigError: a number is out of its range.
        ServerError: there is no server, no such model, or the key is wrong.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        cache_folder: Path | None = None,
        temperature: float = 0.7,
        seed: int = 0,
        max_tokens: int = 2048,
        prices: Prices | None = None,
        timeout_s: float = 120.0,
        **options: Any,
    ) -> None:
        if not 0 <= temperature <= 2 or max_tokens < 1:
            raise ConfigError(
                f"temperature is {temperature} and max_tokens {max_tokens}; they must be in [0, 2] and at least 1"
            )
        self._connection = ServerConnection(url, model, timeout_s=timeout_s, **options)
        self._connection.find_model()
        self._cache = JudgeCache(cache_folder)
        self._temperature = temperature
        self._seed = seed
        self._max_tokens = max_tokens
        self._prices = prices
        self._usage = JudgeUsage()
        self._lock = Lock()

    @property
    def name(self) -> str:
        """What reports call it: the model's name on the server."""
        return self._connection.model

    @property
    def usage(self) -> JudgeUsage:
        """What it took so far."""
        return self._usage

    def describe_usage(self) -> str:
        """Return what it took so far, in a sentence, with its cost where prices are known."""
        return self._usage.tell(self._prices)

    def judge(self, sample: Sample, response: str, votes: int = 1) -> tuple[Category | None, ...]:
        """Return `votes` opinions on why a response is wrong, None for each that could not be read or had.

        Args:
            sample: the question, its images and its reference answer.
            response: what the model wrote.
            votes: how many opinions, at least 1; asked at a time.

        Raises:
            ConfigError: `votes` is below 1.
            ServerError: the server refuses the key or has lost the model.
        """
        if votes < 1:
            raise ConfigError(f"votes is {votes}; it must be at least 1")
        case = write_case(sample.question, sample.answer, response)
        temperature = self._temperature if votes > 1 else 0.0

        def vote(number: int) -> Category | None:
            return self._find_category(case, sample.images, self._settings(temperature, seed=self._seed + number))

        return tuple(self._connection.map(vote, range(votes)))

    def grade(self, cases: Sequence[Case]) -> list[float]:
        """Return a score in [0, 1] for each case, in order.

        Raises:
            ModelError: an answer did not come, or names no score; those that came are kept.
        """
        return self._connection.map(self._find_score, cases)

    def _find_category(self, case: str, images: Sequence[Image], settings: dict[str, Any]) -> Category | None:
        instructions = error_category.INSTRUCTIONS
        key = self._make_key(settings, instructions, case, images=[name_image(image) for image in images])
        answer = self._find(key)
        if answer is None:
            parts = make_image_parts([encode_lossless(image) for image in images])
            body = {**settings, "response_format": error_category.SCHEMA}
            try:
                answer = self._ask(instructions, [*parts, {"type": "text", "text": case}], body)
            except ModelError as error:
                if isinstance(error, ServerError) and not error.may_pass:
                    raise
                self._count_failure(str(error))
                return None
            self._keep(key, answer)
        category = read_category(answer.text)
        self._count(nonsense=int(category is None))
        return category

    def _find_score(self, case: Case) -> float:
        settings, instructions = self._settings(0.0), answer_score.INSTRUCTIONS
        key = self._make_key(settings, instructions, case.text)
        known = self._find(key)
        answer = known or self._ask(instructions, case.text, settings)
        score = read_score(answer.text)
        if score is None:
            raise ModelError(
                f"the judge {self.name} names no score for {case.question[:60]!r}: {answer.text[:100]!r}; choose "
                "another judge, or leave --judge out"
            )
        if known is None:
            self._keep(key, answer)
        return score

    def _settings(self, temperature: float, **seed: int) -> dict[str, Any]:
        return {"temperature": temperature, "max_completion_tokens": self._max_tokens, **seed}

    def _make_key(self, settings: Mapping[str, Any], instructions: str, case: str, **more: Any) -> str:
        address = {"url": self._connection.url, "model": self.name}
        return make_key({**address, **settings, "instructions": instructions, "case": case, **more})

    def _ask(self, instructions: str, content: str | list[dict[str, Any]], body: Mapping[str, Any]) -> JudgeAnswer:
        messages = [{"role": "system", "content": instructions}, {"role": "user", "content": content}]
        reply = self._connection.chat({"messages": messages, **body}, optional=OPTIONAL_PARAMETERS, needs_choice=False)
        try:
            message = take_message(take_choice(reply))
        except ServerError:  # an answer that says nothing
            message = {}
        if message.get("refusal"):
            raise ModelError(f"the judge refuses: {str(message['refusal'])[:200]}")
        return JudgeAnswer(read_content(message), *count_tokens(reply))

    def _find(self, key: str) -> JudgeAnswer | None:
        answer = self._cache.find(key)
        self._count(cached=int(answer is not None))
        return answer

    def _keep(self, key: str, answer: JudgeAnswer) -> None:
        self._count(
            answers=1,
            unsaved=int(not self._cache.keep(key, answer)),
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
        )

    def _count(self, **more: int) -> None:
        with self._lock:
            counts = {name: getattr(self._usage, name) + number for name, number in more.items()}
            self._usage = replace(self._usage, **counts)

    def _count_failure(self, why: str) -> None:
        self._count(failed=1)
        with self._lock:
            self._usage = replace(self._usage, last_failure=why)
