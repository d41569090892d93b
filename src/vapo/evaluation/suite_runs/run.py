"""Evaluate a model on a suite: ask in the harness, keep what comes, score, and write it down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vapo.core.boundaries import THINK_TAGS
from vapo.diagnosis.fingerprint import fingerprint_files
from vapo.diagnosis.row_log import RowLog
from vapo.errors import ConfigError
from vapo.evaluation.lmms_eval.run import describe_harness, run_suite
from vapo.evaluation.suite_runs.judging import Regrade
from vapo.evaluation.suite_runs.result import SuiteResult, write_result
from vapo.evaluation.suite_runs.scores import score_answers
from vapo.evaluation.suites.answers import Response
from vapo.evaluation.suites.suite import Suite
from vapo.models.policy.checkpoint import check_checkpoint, find_parts, load_processor
from vapo.models.policy.checkpoint_embeddings import opened_embeddings
from vapo.models.think_tags import TEXT, decide_think_tags, read_think_tags
from vapo.run_folder import choose_system_prompt, choose_think_tags
from vapo.versions import OWN


def evaluate_suite(
    suite: Suite,
    model: str,
    out: Path,
    *,
    engine: str = "transformers",
    benchmarks: Sequence[str] | None = None,
    limit: int | None = None,
    max_completion_tokens: int,
    batch_size: int = 16,
    system_prompt: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
    num_completions: int = 0,
    temperature: float = 1.0,
    seed: int = 0,
    regrade: Regrade | None = None,
) -> SuiteResult:
    """Ask a model a suite's questions, greedily and if wanted by sampling too, and score its answers.

    Args:
        suite: which.
        model: checkpoint folder or name on the hub.
        out: folder for `rows.jsonl`, written as responses come, and for `answers.jsonl` and `suite.json`. The same
            call goes on where an interrupted one stopped.
        engine: `transformers` or `vllm`.
        benchmarks: names of those to ask; None for all.
        limit: questions of each, from its first; None for all.
        max_completion_tokens: longest response.
        batch_size: responses generated together, by transformers.
        system_prompt: takes the place of the suite's prompt; an empty one stands for none.
        device, dtype: of transformers.
        trust_remote_code: run code that comes with the checkpoint.
        num_completions: k of avg@k and pass@k: responses sampled per question besides the greedy one; 0 for none. A
            folder takes more of them later; at another temperature or seed they are drawn anew.
        temperature: of these, above 0.
        seed: of these, and of the intervals' resampling.
        regrade: gives answers the scores of a judge, where the benchmark's published score is one's.

    Raises:
        ConfigError: an option is out of its range, the harness is not installed, or `out` holds another evaluation.
        DataError: a benchmark's data cannot be had or used.
        ModelError: the model cannot be used.
    """
    harness = describe_harness()
    check_checkpoint(model)
    if engine == "vllm":
        check_engine_tags(model, trust_remote_code=trust_remote_code)
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must be at least 0")
    settings = {
        "suite": suite.name,
        "model": model,
        "weights": fingerprint_files(model),
        "engine": engine,
        "max_completion_tokens": max_completion_tokens,
        "system_prompt": system_prompt,
        "dtype": dtype,
        "harness": harness,
        "vapo": OWN,
    }
    log = RowLog(out, settings, Response)
    run = run_suite(
        suite,
        model,
        engine=engine,
        benchmarks=benchmarks,
        limit=limit,
        max_new_tokens=max_completion_tokens,
        batch_size=batch_size,
        system_prompt=system_prompt,
        device=device,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        known=log.rows,
        keep=log.append,
        num_completions=num_completions,
        temperature=temperature,
        seed=seed,
    )
    answers = list(run.answers) if regrade is None else regrade(run.answers)
    score = score_answers(suite, answers, seed=seed)
    if num_completions:
        settings |= {"num_completions": num_completions, "temperature": temperature, "seed": seed}
    result = SuiteResult(suite.name, model, score, run.harness, engine, run.tokens_per_second, settings)
    write_result(out, suite, result, answers)
    return result


def check_engine_tags(model: str, *, trust_remote_code: bool = False) -> None:
    """Refuse a model whose think tags are not those that vLLM and the harness write and read.

    Raises:
        ConfigError: they are other tags, or plain text in spite of the tokenizer.
    """
    option = choose_think_tags(None, model)
    processor: Any = load_processor(find_parts(model).processor, trust_remote_code)
    option = decide_think_tags(option, processor.tokenizer, lambda: opened_embeddings(model, trust_remote_code))
    are_tokens = set(THINK_TAGS) & set(processor.tokenizer.get_added_vocab())
    if read_think_tags(option) != THINK_TAGS or (option == TEXT and are_tokens):
        raise ConfigError(
            f"the think tags of {model} are {option!r}, and vLLM writes {' '.join(THINK_TAGS)} as the tokenizer has "
            "them; use --engine transformers"
        )


def choose_suite_prompt(given: str | None, model: str | Path) -> str | None:
    """Return what takes the place of the suite's prompt: a given text, else the one a run's model was trained with.

    Args:
        given: a text, which wins; an empty one stands for no system message. None leaves the choice to the run.
        model: a run's folder, one of its checkpoints, or anything else, which leaves the suite's prompt.
    """
    return given if given is not None else choose_system_prompt(None, model, "with the suite's own prompt")
