"""The command line: parse, call, print. Whatever is slow to import is imported inside the command that needs it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vapo import __version__
from vapo.errors import VapoError

if TYPE_CHECKING:
    from vapo.data.columns import Columns
    from vapo.data.samples import Samples

Command = Callable[[argparse.Namespace], int]
RAW = argparse.RawDescriptionHelpFormatter
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """Say what is wrong in one sentence, with where to look, and exit with status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 refused with a reason, 2 misused, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["train"]:  # TRL's own parser reads this command's options
            return train(words[1:])
        options = build_parser().parse_args(words)
        command: Command = options.command
        return command(options)
    except VapoError as error:
        print(f"vapo: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        print(f"vapo: {error.filename}: {error.strerror}; choose another place or mend this one", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nvapo: interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return INTERRUPTED


def build_parser() -> Parser:
    """Return the parser of all commands; `vapo train` is listed here and parsed by TRL's parser."""
    parser = Parser(
        prog="vapo",
        description="Train vision-language models to reason without forgetting to look, and see whether they do.",
        epilog="example: vapo demo\nThe word 'lab' stands for the shipped model or data wherever one is asked for.",
        formatter_class=RAW,
    )
    parser.add_argument("--version", action="version", version=f"vapo {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_train(commands)
    add_evaluate(commands)
    add_diagnose(commands)
    add_demo(commands)
    add_data(commands)
    add_lab(commands)
    return parser


def add_train(commands: argparse._SubParsersAction[Parser]) -> None:
    commands.add_parser("train", help="train a model with VAPO or GRPO", add_help=False)


def train(arguments: Sequence[str]) -> int:
    from vapo.engines.trl_options import parse_run
    from vapo.engines.trl_run import leave_other_processes
    from vapo.engines.trl_run import train as run
    from vapo.lab.shipped import resolve_data, resolve_model

    options = parse_run(arguments)
    options = replace(options, model_name=resolve_model(options.model_name), source=resolve_data(options.source))
    finished = run(options)
    if options.training.process_index == 0:
        print(f"{finished.steps} steps done ({finished.new_steps} of them now); the policy is in {finished.folder}")
    leave_other_processes()
    return 0


def add_evaluate(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a model's answers, and its perception by depth of the chain",
        description="Answer a data set's questions and report accuracy and perception by depth, with intervals.",
        epilog="example: vapo evaluate lab --data lab --split heldout --limit 100 --out runs/eval",
        formatter_class=RAW,
    )
    parser.add_argument("model", help="checkpoint folder, name on the Hugging Face hub, or 'lab'")
    add_data_options(parser, split="heldout")
    parser.add_argument("--out", type=Path, help="folder for evaluation.json and rows.jsonl; resumable")
    parser.add_argument("--num-completions", type=int, default=0, metavar="N", help="also report avg@N (default: 0)")
    parser.add_argument("--temperature", type=float, default=1.0, help="of those N completions (default: 1.0)")
    parser.add_argument("--max-completion-tokens", type=int, default=512, help="longest completion (default: 512)")
    parser.add_argument("--num-anchors", type=int, default=8, help="probes per chain; 0 leaves them out (default: 8)")
    parser.add_argument("--batch-size", type=int, default=16, help="completions generated together (default: 16)")
    parser.add_argument("--seed", type=int, default=0, help="of sampling, anchors and claims (default: 0)")
    parser.add_argument("--system-prompt", help="text put before every question")
    parser.add_argument("--device", default="auto", help="torch device (default: a GPU if there is one)")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16 or float16 (default: by device)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the checkpoint")
    parser.set_defaults(command=evaluate)


def evaluate(options: argparse.Namespace) -> int:
    from vapo.diagnosis.evaluation import evaluate as measure
    from vapo.diagnosis.report import format_evaluation
    from vapo.engines.checkpoint import load_policy
    from vapo.lab.shipped import resolve_data, resolve_model

    samples = load_questions(options, resolve_data(options.data))
    policy = load_policy(
        resolve_model(options.model),
        device=options.device,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
    )
    evaluation = measure(
        policy,
        samples,
        out=options.out,
        num_completions=options.num_completions,
        temperature=options.temperature,
        max_completion_tokens=options.max_completion_tokens,
        num_anchors=options.num_anchors,
        batch_size=options.batch_size,
        seed=options.seed,
        system_prompt=options.system_prompt,
        on_progress=show_progress("answering"),
    )
    print(format_evaluation(evaluation))
    return 0


def add_diagnose(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "diagnose",
        help="see whether and where a model's reasoning loses sight of the image",
        description="Examine models along their own chains: early decisions, recoverable errors, perception by depth, "
        "attention on the image, remedies, causes of errors, sensitivity to the image. Writes a page that opens "
        "offline, tables, and all numbers with intervals. The same command goes on where it was stopped.",
        epilog="example: vapo diagnose lab --limit 12 --out report\n"
        "         vapo diagnose runs/checkpoint-100 runs/checkpoint-200 --data my.parquet --split test --out report",
        formatter_class=RAW,
    )
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="checkpoint folders, names on the Hugging Face hub, or 'lab'"
    )
    add_data_options(parser, split="heldout", needed="unless MODEL is 'lab'")
    parser.add_argument("--out", type=Path, default=Path("report"), help="folder to write (default: report)")
    parser.add_argument(
        "--figures",
        action="store_true",
        help="draw the curves for a paper too, as PNG and SVG in OUT/figures (pip install 'vapo[report]')",
    )
    add = parser.add_argument_group("protocols").add_argument
    add("--protocols", metavar="NAMES", help="early,perception,attention,remedies,errors,sensitivity (default: all)")
    add("--step", type=float, default=5.0, help="distance of the cuts of early decision, in percent (default: 5)")
    add("--closing", metavar="TEXT", help="written behind a cut (default: the paper's sentence)")
    add("--think-tags", nargs=2, metavar=("OPEN", "CLOSE"), help="(default: <think> </think>)")
    add("--max-completion-tokens", type=int, default=512, help="longest chain (default: 512)")
    add("--max-answer-tokens", type=int, default=32, help="longest answer behind a cut (default: 32)")
    add("--num-depths", type=int, default=10, help="depths at which claims are asked (default: 10)")
    add("--claims-per-depth", type=int, default=4, help="(default: 4)")
    add("--first-tokens", type=int, default=250, help="tokens in the curve of attention by step (default: 250)")
    add("--remedy-cuts", type=int, default=4, help="interruptions of a remedied chain (default: 4)")
    add("--seed", type=int, default=0, help="of claims, sentences and intervals (default: 0)")
    add = parser.add_argument_group("running the model").add_argument
    add("--batch-size", type=int, default=8, help="questions examined together (default: 8)")
    add("--max-batch-tokens", type=int, default=32768, help="tokens held at a time (default: 32768)")
    add("--system-prompt", help="text put before every question")
    add("--device", default="auto", help="torch device (default: a GPU if there is one)")
    add("--dtype", default="auto", help="float32, bfloat16 or float16 (default: by device)")
    add("--trust-remote-code", action="store_true", help="run code that comes with the checkpoint")
    add("--base-url", metavar="URL", help="an OpenAI-compatible server; MODEL is then its name there")
    add("--tokenizer", metavar="MODEL", help="folder or hub name of the tokenizer of a server's model")
    add = parser.add_argument_group("causes of errors").add_argument
    add("--judge", metavar="MODEL", help="name of the judge on its server")
    add("--judge-url", metavar="URL", help="an OpenAI-compatible server (default: https://api.openai.com/v1)")
    add("--judge-prices", nargs=2, type=float, metavar="USD", help="for a million tokens, read and written")
    add("--votes", type=int, default=1, help="opinions asked of the judge per error (default: 1)")
    parser.set_defaults(command=diagnose)


def diagnose(options: argparse.Namespace) -> int:
    from vapo.diagnosis.diagnose import REPORT
    from vapo.diagnosis.diagnose import diagnose as examine
    from vapo.diagnosis.figures import import_matplotlib, write_figures
    from vapo.diagnosis.opened_models import choose_data, open_judge, open_models
    from vapo.diagnosis.settings import choose_protocols, make_settings
    from vapo.lab.judge import find_truth
    from vapo.lab.shipped import resolve_data, resolve_model

    if options.figures:
        import_matplotlib()  # that it is missing is said now, not when all is computed
    protocols = choose_protocols(options.protocols.split(",") if options.protocols is not None else None)
    settings = make_settings(
        step=options.step,
        closing=options.closing,
        think_tags=options.think_tags,
        max_completion_tokens=options.max_completion_tokens,
        max_answer_tokens=options.max_answer_tokens,
        num_depths=options.num_depths,
        claims_per_depth=options.claims_per_depth,
        first_tokens=options.first_tokens,
        num_remedy_cuts=options.remedy_cuts,
        votes=options.votes,
        seed=options.seed,
    )
    models = open_models(
        options.models,
        resolve_model,
        base_url=options.base_url,
        tokenizer=options.tokenizer,
        system_prompt=options.system_prompt,
        max_batch_tokens=options.max_batch_tokens,
        batch_size=options.batch_size,
        device=options.device,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
    )
    data = choose_data(options.data, options.models)
    judge = open_judge(options.judge, options.judge_url, options.judge_prices)
    source = resolve_data(data)
    samples = load_questions(options, source)
    diagnosis = examine(
        models,
        samples,
        options.out,
        protocols=protocols,
        settings=settings,
        judge=judge,
        truth=find_truth(source, options.split),
        batch_size=options.batch_size,
        data=f"{data}, {options.split}, {len(samples)} questions",
        model_settings=models.settings,
        on_notice=print,
        on_progress=show_progress,
    )
    if options.figures:
        write_figures(diagnosis, options.out)
    for model in diagnosis.models:
        print("\n  ".join([f"{model.name}:", *model.verdict]))
    if judge is not None:
        print(judge.tell_usage())
    print(f"the report is in {options.out.joinpath(REPORT)}")
    return 0


def add_demo(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser(
        "demo",
        help="a short VAPO run on the lab model: accuracy and perception before and after",
        description="Train the shipped lab model with VAPO for some minutes on a CPU and show what changed.",
        epilog="example: vapo demo --out runs/demo",
        formatter_class=RAW,
    )
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder of the run (default: runs/demo)")
    parser.add_argument("--steps", type=int, default=40, help="training steps (default: 40)")
    parser.add_argument("--questions", type=int, default=200, help="held-out questions asked (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.set_defaults(command=demo)


def demo(options: argparse.Namespace) -> int:
    from vapo.lab.demo import format_demo, run_demo

    result = run_demo(
        options.out,
        steps=options.steps,
        questions=options.questions,
        seed=options.seed,
        on_progress=show_progress,
    )
    print(format_demo(result))
    return 0


def add_data(commands: argparse._SubParsersAction[Parser]) -> None:
    group = commands.add_parser("data", help="look at data sets").add_subparsers(required=True, metavar="COMMAND")
    parser = group.add_parser(
        "inspect",
        help="what a data set holds, and every problem with its row",
        description="Print counts, sizes, claims and lengths of a data set, and every problem with its row number.",
        epilog="example: vapo data inspect lab --split heldout --processor lab",
        formatter_class=RAW,
    )
    add_data_options(parser, split="train", positional=True)
    parser.add_argument("--processor", metavar="MODEL", help="count prompt tokens under this model's processor")
    parser.add_argument("--system-prompt", help="text put before every question")
    parser.add_argument("--require-claims", action="store_true", help="count rows without claims as problems")
    parser.set_defaults(command=inspect)


def inspect(options: argparse.Namespace) -> int:
    from vapo.data.inspection import inspect_samples
    from vapo.data.inspection_table import format_inspection
    from vapo.lab.shipped import resolve_data, resolve_model

    processor = neutralise = None
    if options.processor:
        from vapo.engines.checkpoint import load_processor
        from vapo.models.plain_text import make_neutraliser

        processor = load_processor(resolve_model(options.processor))
        neutralise = make_neutraliser(processor)
    inspection = inspect_samples(
        resolve_data(options.data),
        split=options.split,
        columns=read_columns(options),
        require_claims=options.require_claims,
        image_folder=options.image_folder,
        allow_urls=options.allow_urls,
        limit=options.limit,
        processor=processor,
        system_prompt=options.system_prompt,
        neutralise=neutralise,
        progress=show_progress("checking pictures"),
    )
    print(format_inspection(inspection))
    return 1 if inspection.problems and options.on_bad_row == "error" else 0


def add_lab(commands: argparse._SubParsersAction[Parser]) -> None:
    group = commands.add_parser("lab", help="the small real world").add_subparsers(required=True, metavar="COMMAND")
    parser = group.add_parser(
        "build",
        help="make the lab's data set, tokenizer and cold-started checkpoint",
        description="Make the lab from a seed: pictures of real handwritten digits, questions, claims with exact "
        "truth, and a small vision-language model that has learned to read them.",
        epilog="example: vapo lab build --out runs/lab",
        formatter_class=RAW,
    )
    parser.add_argument("--out", type=Path, default=Path("runs/lab"), help="folder to write (default: runs/lab)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument("--train-rows", type=int, default=2000, help="(default: 2000)")
    parser.add_argument("--heldout-rows", type=int, default=500, help="(default: 500)")
    parser.set_defaults(command=build)


def build(options: argparse.Namespace) -> int:
    from vapo.lab.build import build_lab

    lab = build_lab(options.out, seed=options.seed, train_rows=options.train_rows, heldout_rows=options.heldout_rows)
    print(f"checkpoint: {lab.checkpoint}\ntraining data: {lab.train}\nheld-out data: {lab.heldout}")
    if lab.ability is not None:
        print(lab.ability)
    return 0


def add_data_options(parser: Parser, *, split: str, positional: bool = False, needed: str = "") -> None:
    data_help = "data set on the hub, folder, parquet or JSONL file, or 'lab'"
    if positional:
        parser.add_argument("data", help=data_help)
    elif needed:
        parser.add_argument("--data", help=f"{data_help}; needed {needed}")
    else:
        parser.add_argument("--data", required=True, help=data_help)
    parser.add_argument("--split", default=split, help=f"(default: {split})")
    for role, default in (("question", "problem"), ("answer", "answer"), ("images", "images"), ("claims", "claims")):
        parser.add_argument(f"--{role}-column", default=default, metavar="NAME", help=f"(default: {default})")
    parser.add_argument("--image-folder", type=Path, help="folder that image paths are relative to")
    parser.add_argument("--on-bad-row", choices=("error", "skip"), default="error", help="(default: error)")
    parser.add_argument("--allow-urls", action="store_true", help="fetch images from the web")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N rows only")


def load_questions(options: argparse.Namespace, source: str) -> Samples:
    from vapo.data.samples import load_samples

    return load_samples(
        source,
        split=options.split,
        columns=read_columns(options),
        on_bad_row=options.on_bad_row,
        image_folder=options.image_folder,
        allow_urls=options.allow_urls,
        limit=options.limit,
        progress=show_progress("checking pictures"),
    )


def read_columns(options: argparse.Namespace) -> Columns:
    from vapo.data.columns import Columns

    return Columns(
        question=options.question_column,
        answer=options.answer_column,
        images=options.images_column,
        claims=options.claims_column,
    )


def show_progress(what: str) -> Callable[[int, int], None]:
    """Return a callback that shows how far `what` is, as one line on the terminal's error stream."""
    from tqdm import tqdm

    bar = tqdm(desc=what, total=0, leave=False, disable=not sys.stderr.isatty())

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return show


if __name__ == "__main__":
    sys.exit(main())
