"""`vapo diagnose`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vapo.cli.data_options import THINK_TAGS_HELP, add_data_options, load_processors, load_questions, read_split
from vapo.cli.parser import RAW, Commands
from vapo.cli.progress import show_progress

if TYPE_CHECKING:
    from vapo.data.samples import Samples


def add_diagnose(commands: Commands) -> None:
    parser = commands.add_parser(
        "diagnose",
        help="see whether and where a model's reasoning loses sight of the image",
        description="Diagnose models along their own responses: early decisions, recoverable errors, perception by "
        "depth, attention on the image, remedies, causes of errors, sensitivity to the image, the image replaced, "
        "confidence, longer and shorter thinking, misleading text. Writes a page that opens "
        "offline, tables, and all numbers with intervals. The same command goes on where it "
        "was stopped.",
        epilog="example: vapo diagnose lab --limit 12 --out report\n"
        "         vapo diagnose runs/checkpoint-100 runs/checkpoint-200 --data my.parquet --out report",
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
    add(
        "--protocols",
        metavar="NAMES",
        help="early,perception,attention,remedies,errors,sensitivity,swap,confidence,balance,cue,looks (default: all "
        "but balance, cue and looks)",
    )
    add("--step", type=float, default=5.0, help="distance of the cuts of early decision, in percent (default: 5)")
    add("--closing", metavar="TEXT", help="written behind a cut (default: the paper's sentence)")
    add("--think-tags", nargs="+", metavar="TAGS", help=THINK_TAGS_HELP)
    add("--max-completion-tokens", type=int, default=512, help="longest response (default: 512)")
    add("--temperature", type=float, default=0.0, help="of the responses; 0 is greedy (default: 0)")
    add("--max-answer-tokens", type=int, default=32, help="longest answer behind a cut (default: 32)")
    add("--num-depths", type=int, default=10, help="depths at which claims are asked (default: 10)")
    add("--claims-per-depth", type=int, default=4, help="(default: 4)")
    add("--first-tokens", type=int, default=250, help="tokens in the curve of attention by step (default: 250)")
    add("--remedy-cuts", type=int, default=4, help="interruptions of a remedied response (default: 4)")
    add(
        "--num-cuts",
        type=int,
        default=4,
        help="m: swap, confidence, balance and cue cut at depths 0, 1/m, ... 1 (default: 4)",
    )
    add(
        "--replacements",
        metavar="NAMES",
        help="what the image is replaced by: none,blank,noise,other,edited (default: all; edited needs its column)",
    )
    add("--edited-images-column", metavar="NAME", help="column of edited images, put in place of the image")
    add("--edited-answer-column", metavar="NAME", help="column of the answers to these (default: the answers' own)")
    add("--seed", type=int, default=0, help="of responses, claims, sentences and intervals (default: 0)")
    add = parser.add_argument_group("running the model").add_argument
    add("--batch-size", type=int, default=8, help="questions diagnosed together (default: 8)")
    add("--max-batch-tokens", type=int, default=32768, help="tokens held at a time (default: 32768)")
    add("--system-prompt", help="text put before every question (default: that of each model's run)")
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


def load_edited(options: argparse.Namespace, source: str, processors: Sequence[Any]) -> Samples:
    """Return the same questions with the images, and the answers, of other columns."""
    columns = {
        "images_column": options.edited_images_column,
        "answer_column": options.edited_answer_column or options.answer_column,
    }
    return load_questions(argparse.Namespace(**{**vars(options), **columns}), source, processors)


def diagnose(options: argparse.Namespace) -> int:
    from vapo.errors import ConfigError
    from vapo.lab.shipped import resolve_data, resolve_model

    named = (options.replacements or "").split(",")
    if options.edited_images_column is None and ("edited" in named or options.edited_answer_column is not None):
        raise ConfigError("no column of edited images is named; give it with --edited-images-column")
    if options.data is not None:  # that there is no such split is said before importing what takes long
        options.split = read_split(options, resolve_data(options.data))
    from vapo.diagnosis.diagnose import REPORT, SampleImages
    from vapo.diagnosis.diagnose import diagnose as run_diagnosis
    from vapo.diagnosis.figures import import_matplotlib, write_figures
    from vapo.diagnosis.map_figures import write_maps
    from vapo.diagnosis.opened_models import choose_data, choose_tags, open_judge, open_models
    from vapo.diagnosis.protocols import choose_protocols
    from vapo.diagnosis.settings import make_settings
    from vapo.lab.judge import find_truth

    if options.figures:
        import_matplotlib()  # that it is missing is said now, not when all is computed
    think_tags = None if options.think_tags is None else " ".join(options.think_tags)
    protocols = choose_protocols(options.protocols.split(",") if options.protocols is not None else None)
    settings = make_settings(
        step=options.step,
        closing=options.closing,
        think_tags=choose_tags(think_tags, options.models, resolve_model),
        max_completion_tokens=options.max_completion_tokens,
        temperature=options.temperature,
        max_answer_tokens=options.max_answer_tokens,
        num_depths=options.num_depths,
        claims_per_depth=options.claims_per_depth,
        first_tokens=options.first_tokens,
        num_remedy_cuts=options.remedy_cuts,
        votes=options.votes,
        num_cuts=options.num_cuts,
        replacements=tuple(options.replacements.split(",")) if options.replacements is not None else None,
        seed=options.seed,
    )
    models = open_models(
        options.models,
        resolve_model,
        base_url=options.base_url,
        tokenizer=options.tokenizer,
        system_prompt=options.system_prompt,
        think_tags=think_tags,
        max_batch_tokens=options.max_batch_tokens,
        batch_size=options.batch_size,
        device=options.device,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
    )
    data = choose_data(options.data, options.models)
    judge = open_judge(options.judge, options.judge_url, options.judge_prices)
    source = resolve_data(data)
    # A server keeps its processor to itself.
    processors = load_processors(options.models, options.trust_remote_code) if options.base_url is None else []
    split = read_split(options, source)
    samples = load_questions(options, source, processors)
    asked = data if split is None or Path(source).is_file() else f"{data}, {split}"
    diagnosis = run_diagnosis(
        models,
        samples,
        options.out,
        protocols=protocols,
        settings=settings,
        judge=judge,
        truth=find_truth(source, split),
        edited=load_edited(options, source, processors) if options.edited_images_column is not None else None,
        batch_size=options.batch_size,
        data=f"{asked}, {len(samples)} questions",
        model_settings=models.settings,
        on_notice=print,
        on_progress=show_progress,
    )
    if options.figures:
        write_figures(diagnosis, options.out)
        write_maps(diagnosis, SampleImages(samples), options.out)
    for model in diagnosis.models:
        print("\n  ".join([f"{model.name}:", *model.conclusion]))
    if judge is not None:
        print(judge.describe_usage())
    print(f"the report is in {options.out.joinpath(REPORT)}")
    return 0
