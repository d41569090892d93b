"""A suite run in lmms-eval from here: the harness asks and grades, and its answers come back."""

# pyright: reportMissingImports=false
# lmms-eval stands beside the environment that types are checked in.
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vapo.errors import ConfigError, DataError, VapoError
from vapo.evaluation.suites.answers import Answer, Response, read_logged
from vapo.evaluation.suites.suite import Suite
from vapo.models.policy.checkpoint import load_processor

ENGINES: Mapping[str, str] = {"transformers": "vapo", "vllm": "vllm"}
"""The harness's model behind each engine."""

_VLLM_CHUNK = 256  # questions asked of it together


@dataclass(frozen=True, slots=True)
class HarnessRun:
    """What came back.

    Attributes:
        answers: all of them, graded by rule, the sampled ones behind the greedy.
        harness: its name and version.
        tokens_per_second: of what was generated now; None if all answers were kept from an earlier run.
    """

    answers: tuple[Answer, ...]
    harness: str
    tokens_per_second: float | None


def describe_harness() -> str:
    """Return the harness's name and version.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return f"lmms-eval {version('lmms-eval')}"
    except PackageNotFoundError:
        raise ConfigError(
            "suites are run by lmms-eval, which is not installed; pip install 'vapo[eval]', or name your own data "
            "with --data instead"
        ) from None


def run_suite(
    suite: Suite,
    model: str,
    *,
    engine: str = "transformers",
    benchmarks: Sequence[str] | None = None,
    limit: int | None = None,
    max_new_tokens: int,
    batch_size: int = 16,
    system_prompt: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
    known: Sequence[Response] = (),
    keep: Callable[[Sequence[Response]], None] | None = None,
    num_completions: int = 0,
    temperature: float = 1.0,
    seed: int = 0,
) -> HarnessRun:
    """Ask a model the questions of a suite, greedily, and if wanted by sampling too.

    Args:
        suite: which.
        model: checkpoint folder or name on the hub.
        engine: `transformers`, or `vllm`, which is the harness's own.
        benchmarks: names of those to run; None for all.
        limit: questions of each benchmark, from its first; None for all.
        max_new_tokens: longest response.
        batch_size: responses generated together, by transformers.
        system_prompt: takes the place of the suite's prompt; an empty one stands for none.
        device, dtype: of transformers.
        trust_remote_code: run code that comes with the checkpoint.
        known: responses that were kept; their questions are not asked again.
        keep: called with responses as they come, the greedy ones first.
        num_completions: k of avg@k: responses sampled per question besides the greedy one; 0 for none.
        temperature: of these, above 0.
        seed: of these.

    Raises:
        ConfigError: the harness is not installed, an option is out of its range, or there is no such benchmark.
        DataError: the data cannot be had, or is not the benchmark's.
        ModelError: the model cannot be used.
    """
    harness = describe_harness()
    names = [suite.find(name).name for name in benchmarks or [one.name for one in suite.benchmarks]]
    if max_new_tokens < 1 or batch_size < 1 or (limit is not None and limit < 1):
        raise ConfigError("max_completion_tokens, batch_size and limit must be at least 1")
    if num_completions < 0 or (num_completions and temperature <= 0):
        raise ConfigError(
            f"num_completions is {num_completions} and temperature {temperature:g}; give 0 completions or more, and "
            "a temperature above 0 if any are sampled"
        )
    options = {
        "transformers": {
            "pretrained": model,
            "batch_size": batch_size,
            "device": device,
            "dtype": dtype,
            "trust_remote_code": trust_remote_code,
        },
        # The harness's vLLM takes the larger of this length and the task's.
        "vllm": {
            "model": model,
            "batch_size": _VLLM_CHUNK,
            "max_new_tokens": max_new_tokens,
            "trust_remote_code": trust_remote_code,
        },
    }
    from lmms_eval.evaluator import simple_evaluate
    from lmms_eval.models import get_model
    from lmms_eval.tasks import TaskManager

    from vapo.evaluation.lmms_eval.keeping import KeptModel, Sampling
    from vapo.evaluation.lmms_eval.plugin import TASKS
    from vapo.evaluation.lmms_eval.task import grade

    # Of our tasks alone: the harness's own are many, and take seconds to list.
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    tasks = _load_tasks(suite, names, manager)  # before the model: data that is missing should show at once
    tokenizer: Any = load_processor(model, trust_remote_code).tokenizer
    asked = KeptModel(
        get_model(ENGINES[engine])(**options[engine]),
        batch_size if engine == "transformers" else _VLLM_CHUNK,
        lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"]),
        system_prompt,
        known,
        keep,
        Sampling(num_completions, temperature, seed) if num_completions else None,
    )
    results = simple_evaluate(
        model=asked,
        tasks=tasks,
        task_manager=manager,
        limit=limit,
        gen_kwargs=f"max_new_tokens={max_new_tokens}",
        log_samples=True,
        bootstrap_iters=0,
    )
    logged = results["samples"]
    answers = [read_logged(sample) for name in names for sample in logged[f"vapo_{name}"]]
    answers += [
        Answer(
            row=one.row,
            response=one.text,
            num_tokens=one.num_tokens,
            completion=one.completion,
            **grade(row, [one.text])["score"],
        )
        for row, responses in asked.list_drawn()
        for one in responses
    ]
    return HarnessRun(tuple(answers), harness, asked.num_tokens / asked.seconds if asked.num_tokens else None)


def _load_tasks(suite: Suite, names: Sequence[str], manager: Any) -> list[Any]:
    from lmms_eval.tasks import get_task_dict
    from tenacity import RetryError  # the harness asks for data five times

    tasks: list[Any] = []
    for benchmark in map(suite.find, names):
        try:
            tasks += get_task_dict([f"vapo_{benchmark.name}"], manager, "chat").values()
        except RetryError as error:
            cause = error.last_attempt.exception()
            if isinstance(cause, VapoError):
                raise cause from None
            raise DataError(
                f"{benchmark.title}: its data {benchmark.data} cannot be had ({_first_line(cause)}); connect to the "
                "Hugging Face hub for the first run, or put the files into a folder of that name below this one"
            ) from None
    return tasks


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
