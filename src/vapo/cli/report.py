"""`vapo report`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vapo.cli.data_options import add_data_options, load_processors, load_questions, read_split
from vapo.cli.evaluate_suite import add_suite_options
from vapo.cli.parser import RAW, Commands
from vapo.cli.progress import show_progress

if TYPE_CHECKING:
    from vapo.data.samples import Samples
    from vapo.diagnosis.findings import Diagnosis
    from vapo.diagnosis.settings import DiagnosisSettings


def add_report(commands: Commands) -> None:
    parser = commands.add_parser(
        "report",
        help="say on one page whether reasoning went up or down from one model to another, and perception",
        description="Ask two models the same questions: published benchmarks (--suite), your own data (--data) or "
        "both. Write one page that opens offline: reasoning up or down, perception up or down, and where each forgets "
        "the image along its responses, with intervals paired by question. The same command goes on where it was "
        "stopped.",
        epilog="example: vapo report runs/base runs/first --suite paper,perception --engine vllm --out runs/report\n"
        "         vapo report lab runs/first --data lab --limit 100 --diagnose",
        formatter_class=RAW,
    )
    parser.add_argument("first", metavar="FIRST", help="checkpoint folder, name on the Hugging Face hub, or 'lab'")
    parser.add_argument("second", metavar="SECOND", help="another one; changes are its numbers less the first's")
    add_data_options(
        parser, split="heldout", needed="unless --suite is given; for --diagnose, unless a model is 'lab'"
    )
    parser.add_argument("--out", type=Path, default=Path("report"), help="folder to write (default: report)")
    parser.add_argument(
        "--diagnose",
        action="store_true",
        help="on --data, all that `vapo diagnose` does by default, and not perception alone",
    )
    parser.add_argument(
        "--max-completion-tokens", type=int, metavar="N", help="longest response (default: 512; 2048 of a suite)"
    )
    parser.add_argument("--batch-size", type=int, default=8, help="questions asked together (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="of claims, sentences and intervals (default: 0)")
    parser.add_argument("--system-prompt", help="text put before every question (default: that of each model's run)")
    parser.add_argument("--device", default="auto", help="torch device (default: a GPU if there is one)")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16 or float16 (default: by device)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the checkpoint")
    add_suite_options(parser, place="in place of or beside")
    parser.set_defaults(command=report)


def report(options: argparse.Namespace) -> int:
    from vapo.errors import ConfigError
    from vapo.evaluation.lmms_eval.run import describe_harness
    from vapo.evaluation.report.asking import check_models, evaluate_both, open_folder
    from vapo.evaluation.report.report import PAGE, make_report, write_report
    from vapo.evaluation.suites.suite import MAX_NEW_TOKENS, find_suite
    from vapo.lab.shipped import resolve_model

    names, longest = [options.first, options.second], options.max_completion_tokens
    if options.suite is None and options.data is None and not options.diagnose:
        raise ConfigError(
            "say what to ask: published benchmarks with --suite paper,perception, your own data with --data, or both"
        )
    if options.suite is not None:
        suite = find_suite(options.suite)
        for name in options.benchmarks or ():
            suite.find(name)
        describe_harness()
    weights = check_models(names, resolve_model)
    samples = load_own(options) if options.data is not None or options.diagnose else None
    measures = choose_settings(options) if samples is not None else None
    open_folder(options.out, weights)
    answers, settings = None, {}
    if options.suite is not None:
        settings = {
            "suite": options.suite,
            "benchmarks": options.benchmarks,
            "engine": options.engine,
            "limit": options.limit,
            "max_completion_tokens": MAX_NEW_TOKENS if longest is None else longest,
            "dtype": options.dtype,
            "seed": options.seed,
        }
        answers = evaluate_both(
            [resolve_model(name) for name in names],
            options.out,
            **settings,
            system_prompt=options.system_prompt,
            batch_size=options.batch_size,
            device=options.device,
            trust_remote_code=options.trust_remote_code,
            judge=options.judge,
            judge_url=options.judge_url,
        )
    diagnosis = None if samples is None or measures is None else diagnose_own(options, samples, measures)
    written = make_report(names, answers=answers, diagnosis=diagnosis, settings=settings, seed=options.seed)
    write_report(written, samples or [], options.out)
    for verdict in written.verdicts:
        print("\n".join(verdict.sentences))
    print(f"the report is in {options.out.joinpath(PAGE)}")
    return 0


def load_own(options: argparse.Namespace) -> Samples:
    """Return the questions of one's own data, which is the lab's if that is one of the models and none is named."""
    from vapo.diagnosis.opened_models import choose_data
    from vapo.lab.shipped import resolve_data

    names = [options.first, options.second]
    source = resolve_data(choose_data(options.data, names))
    options.split = read_split(options, source)
    return load_questions(options, source, load_processors(names, options.trust_remote_code))


def choose_settings(options: argparse.Namespace) -> DiagnosisSettings:
    from vapo.diagnosis.opened_models import choose_tags
    from vapo.diagnosis.settings import make_settings
    from vapo.lab.shipped import resolve_model

    return make_settings(
        think_tags=choose_tags(None, [options.first, options.second], resolve_model),
        max_completion_tokens=options.max_completion_tokens,
        seed=options.seed,
    )


def diagnose_own(options: argparse.Namespace, samples: Samples, settings: DiagnosisSettings) -> Diagnosis:
    """Put both models through a diagnosis, or what it says of perception, in a folder of the report."""
    from vapo.diagnosis.diagnose import diagnose
    from vapo.diagnosis.opened_models import choose_data, open_judge, open_models
    from vapo.evaluation.report.asking import DIAGNOSIS
    from vapo.lab.judge import find_truth
    from vapo.lab.shipped import resolve_data, resolve_model

    names = [options.first, options.second]
    data = choose_data(options.data, names)
    models = open_models(
        names,
        resolve_model,
        system_prompt=options.system_prompt,
        max_batch_tokens=32768,
        batch_size=options.batch_size,
        device=options.device,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
    )
    return diagnose(
        models,
        samples,
        options.out.joinpath(DIAGNOSIS),
        protocols=None if options.diagnose else ["perception"],
        settings=settings,
        judge=open_judge(options.judge, options.judge_url) if options.diagnose else None,
        truth=find_truth(resolve_data(data), options.split),
        batch_size=options.batch_size,
        data=f"{data}, {len(samples)} questions",
        model_settings=models.settings,
        on_notice=print,
        on_progress=show_progress,
    )
