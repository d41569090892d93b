"""A judge of wrong answers: a model behind an OpenAI-compatible server, asked which kind of error was made.

It sees the image, the question, the reference and the chain, and names one category. Every answer is kept on disk, so
asking the same again costs nothing. An answer that names no category is no vote, and so is one that never came; both
are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from vapo.api.prices import Prices
from vapo.api.refusals import ServerError
from vapo.core.picture_names import name_image
from vapo.engines.judge.cache import JudgeAnswer, JudgeCache, make_key
from vapo.engines.judge.question import INSTRUCTIONS, SCHEMA, Category, read_category, write_case
from vapo.engines.judge.server import JudgeServer
from vapo.engines.servers.conversation import show_pictures
from vapo.errors import ConfigError, ModelError
from vapo.types import Sample

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class JudgeUsage:
    """What judging took so far.

    Attributes:
        answers: votes asked of the server and answered.
        cached: votes found on disk.
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
        told = [f"{self.answers} asked ({self.prompt_tokens} + {self.completion_tokens} tokens)"]
        told += [f"{self.cached} from the cache"] if self.cached else []
        told += [f"{self.nonsense} without a category"] if self.nonsense else []
        told += [f"{self.failed} without an answer (the last one: {self.last_failure})"] if self.failed else []
        told += [f"{self.unsaved} that could not be written to the cache"] if self.unsaved else []
        cost = "" if prices is None else f"; {prices.cost(self.prompt_tokens, self.completion_tokens):.4f} US dollars"
        return f"votes of the judge: {', '.join(told)}{cost}"


class JudgeClient:
    """Ask a judge.

    The server, its model and the key are checked at once, so that a mistake shows before anything is judged.

    Args:
        url: for example `https://api.openai.com/v1` or `http://localhost:8000`.
        model: its name there; None takes the only one.
        cache_folder: where answers are kept; None is the user's cache.
        temperature: where several votes are asked; a single one is asked at 0.
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
        self._server = JudgeServer(url, model, timeout_s=timeout_s, **options)
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
        return self._server.model

    @property
    def usage(self) -> JudgeUsage:
        """What it took so far."""
        return self._usage

    def tell_usage(self) -> str:
        """Return what it took so far, in a sentence, with its cost where prices are known."""
        return self._usage.tell(self._prices)

    def vote(
        self, question: str, reference: str, chain: str, images: Sequence[Image], votes: int = 1
    ) -> tuple[Category, ...]:
        """Return the categories that the judge names, at most `votes`; see `judge`."""
        opinions = self._ask_all(question, reference, chain, images, votes)
        return tuple(opinion for opinion in opinions if opinion is not None)

    def judge(self, sample: Sample, chain: str, votes: int = 1) -> tuple[Category | None, ...]:
        """Return `votes` opinions on why a chain is wrong, None for each that could not be read or had.

        Args:
            sample: the question, its images and its reference answer.
            chain: what the model wrote.
            votes: how many opinions, at least 1; asked at a time.

        Raises:
            ConfigError: `votes` is below 1.
            ServerError: the server refuses the key or has lost the model.
        """
        return self._ask_all(sample.question, sample.answer, chain, sample.images, votes)

    def _ask_all(
        self, question: str, reference: str, chain: str, images: Sequence[Image], votes: int
    ) -> tuple[Category | None, ...]:
        if votes < 1:
            raise ConfigError(f"votes is {votes}; it must be at least 1")
        case = write_case(question, reference, chain)
        settings = {"temperature": self._temperature if votes > 1 else 0.0, "max_completion_tokens": self._max_tokens}

        def ask(number: int) -> Category | None:
            return self._ask(case, images, {**settings, "seed": self._seed + number})

        return tuple(self._server.map(ask, range(votes)))

    def _ask(self, case: str, images: Sequence[Image], settings: dict[str, Any]) -> Category | None:
        named = [name_image(image) for image in images]
        key = make_key(
            {**self._server.address, **settings, "instructions": INSTRUCTIONS, "case": case, "images": named}
        )
        answer = self._cache.find(key)
        if answer is not None:
            self._count(cached=1)
        else:
            answer = self._fetch(case, images, settings)
            if answer is None:
                return None
            self._count(
                answers=1,
                unsaved=int(not self._cache.keep(key, answer)),
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=answer.completion_tokens,
            )
        category = read_category(answer.text)
        self._count(nonsense=int(category is None))
        return category

    def _fetch(self, case: str, images: Sequence[Image], settings: dict[str, Any]) -> JudgeAnswer | None:
        messages = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": [*show_pictures(images), {"type": "text", "text": case}]},
        ]
        try:
            return self._server.ask({"messages": messages, **settings, "response_format": SCHEMA})
        except ServerError as error:
            if not error.may_pass:
                raise
            why = str(error)
        except ModelError as error:
            why = str(error)
        self._count(failed=1)
        with self._lock:
            self._usage = replace(self._usage, last_failure=why)
        return None

    def _count(self, **more: int) -> None:
        with self._lock:
            counts = {name: getattr(self._usage, name) + number for name, number in more.items()}
            self._usage = replace(self._usage, **counts)
