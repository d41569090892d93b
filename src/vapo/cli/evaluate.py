"""`vapo evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.data_options import THINK_TAGS_HELP, add_data_options, load_questions, read_split
from vapo.cli.evaluate_suite import add_suite_options, evaluate_suite
from vapo.cli.parser import RAW, Commands
from vapo.cli.progress import show_progress

LAB = "lab"


def add_evaluate(commands: Commands) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a model's answers, and its perception by depth of the response; or the paper's ten benchmarks",
        description="Answer a data set's questions and report accuracy and perception by depth, with intervals. With "
        "--suite, answer published benchmarks in lmms-eval and report their scores beside the published ones.",
        epilog="example: vapo evaluate lab --data lab --split heldout --limit 100 --out runs/eval\n"
        "         vapo evaluate runs/first --suite paper --engine vllm --out runs/first-paper",
        formatter_class=RAW,
    )
    parser.add_argument("model", help="checkpoint folder, name on the Hugging Face hub, or 'lab'")
    add_data_options(parser, split="heldout", needed="unless --suite is given or the model is 'lab'")
    parser.add_argument("--out", type=Path, help="folder for results and finished rows; resumable")
    parser.add_argument(
        "--num-completions", type=int, default=0, metavar="N", help="sample N too, and report avg@N (default: 0)"
    )
    parser.add_argument("--temperature", type=float, default=1.0, help="of those N completions (default: 1.0)")
    parser.add_argument(
        "--max-completion-tokens", type=int, metavar="N", help="longest completion (default: 512; 2048 of a suite)"
    )
    parser.add_argument(
        "--num-anchors", type=int, default=8, help="probes per response; 0 leaves them out (default: 8)"
    )
    parser.add_argument("--batch-size", type=int, default=16, help="completions generated together (default: 16)")
    parser.add_argument("--seed", type=int, default=0, help="of sampling, anchors and claims (default: 0)")
    parser.add_argument("--system-prompt", help="text put before every question (default: that of the model's run)")
    parser.add_argument("--think-tags", nargs="+", metavar="TAGS", help=THINK_TAGS_HELP)
    parser.add_argument("--device", default="auto", help="torch device (default: a GPU if there is one)")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16 or float16 (default: by device)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the checkpoint")
    add_suite_options(parser)
    parser.set_defaults(command=evaluate)


def evaluate(options: argparse.Namespace) -> int:
    if options.suite is not None:
        return evaluate_suite(options)
    from vapo.errors import ConfigError
    from vapo.lab.shipped import resolve_data, resolve_model

    if options.data is None and options.model != LAB:
        raise ConfigError("say what to ask: your own data with --data, or published benchmarks with --suite paper")
    source = resolve_data(options.data or LAB)
    options.split = read_split(options, source)  # that there is none is said before importing what takes long
    from vapo.diagnosis.report import format_evaluation
    from vapo.evaluation.evaluate import evaluate as measure
    from vapo.models.policy.checkpoint import find_parts, load_policy, load_processor
    from vapo.run_folder import choose_system_prompt, choose_think_tags

    model = resolve_model(options.model)
    processor = load_processor(find_parts(model).processor, options.trust_remote_code)
    samples = load_questions(options, source, [processor])
    policy = load_policy(
        model,
        device=options.device,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
        processor=processor,
        think_tags=choose_think_tags(options.think_tags and " ".join(options.think_tags), model),
    )
    evaluation = measure(
        policy,
        samples,
        out=options.out,
        num_completions=options.num_completions,
        temperature=options.temperature,
        max_completion_tokens=512 if options.max_completion_tokens is None else options.max_completion_tokens,
        num_anchors=options.num_anchors,
        batch_size=options.batch_size,
        seed=options.seed,
        system_prompt=choose_system_prompt(options.system_prompt, options.model),
        on_progress=show_progress("answering"),
    )
    print(format_evaluation(evaluation))
    return 0
