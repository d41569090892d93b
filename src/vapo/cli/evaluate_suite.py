"""`vapo evaluate --suite`: published benchmarks, asked in lmms-eval."""

from __future__ import annotations

import argparse

from vapo.cli.parser import Parser


def add_suite_options(parser: Parser, *, place: str = "instead of") -> None:
    add = parser.add_argument_group("published benchmarks").add_argument
    add(
        "--suite",
        metavar="NAME",
        help=f"ask these {place} --data: paper,perception or one (pip install 'vapo[eval]')",
    )
    add("--benchmarks", nargs="+", metavar="NAME", help="some of them, such as mmstar wemath (default: all)")
    add("--engine", choices=("transformers", "vllm"), default="transformers", help="(default: transformers)")
    add("--judge", metavar="MODEL", help="gives MM-Vet's scores instead of the rule; its name on its server")
    add("--judge-url", metavar="URL", help="an OpenAI-compatible server (default: https://api.openai.com/v1)")


def evaluate_suite(options: argparse.Namespace) -> int:
    from vapo.errors import ConfigError
    from vapo.evaluation.suite_runs.judging import open_grader
    from vapo.evaluation.suite_runs.run import choose_suite_prompt
    from vapo.evaluation.suite_runs.run import evaluate_suite as measure
    from vapo.evaluation.suite_runs.table import format_result
    from vapo.evaluation.suites.suite import MAX_NEW_TOKENS, find_suite
    from vapo.lab.shipped import resolve_model

    suite, longest = find_suite(options.suite), options.max_completion_tokens
    if options.data is not None:
        raise ConfigError("--suite and --data name different questions; give one of them")
    if options.out is None:
        raise ConfigError("name a folder with --out, in which responses are kept as they come")
    result = measure(
        suite,
        resolve_model(options.model),
        options.out,
        engine=options.engine,
        benchmarks=options.benchmarks,
        limit=options.limit,
        max_completion_tokens=MAX_NEW_TOKENS if longest is None else longest,
        batch_size=options.batch_size,
        system_prompt=choose_suite_prompt(options.system_prompt, options.model),
        device=options.device,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
        num_completions=options.num_completions,
        temperature=options.temperature,
        seed=options.seed,
        regrade=open_grader(suite, options.judge, options.judge_url),
    )
    print(format_result(suite, result))
    return 0
