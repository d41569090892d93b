"""`vapo export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.data_options import add_data_options, load_questions
from vapo.cli.parser import RAW, Commands

_START = "start"


def add_export(commands: Commands) -> None:
    parser = commands.add_parser(
        "export",
        help="turn a checkpoint into a folder that others can use and check",
        description="Merge a checkpoint's adapter, write its weights as safetensors with the processor and a model "
        "card, and check that transformers, and vLLM where asked, answer with it as the checkpoint does. The card "
        "tells of data, claims, recipe and measurements what is recorded, and says what is not.",
        epilog="example: vapo export runs/first --out shared --evaluation runs/eval --diagnosis report --claims c.db\n"
        "         vapo export runs/first/checkpoint-100 --out shared --dtype bfloat16 --check-vllm\n"
        "         vapo export runs/first --out shared --check-vllm http://localhost:8000",
        formatter_class=RAW,
    )
    parser.add_argument("model", help="folder of a run, a checkpoint or an adapter, or 'lab'")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to write; it must be empty, or not be there yet"
    )
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16 or float16 (default: the checkpoint's)")
    parser.add_argument("--base", metavar="MODEL", help="where an adapter's base model is (default: as it says)")
    add = parser.add_argument_group("the card").add_argument
    add("--evaluation", type=Path, action="append", default=[], metavar="PATH", help="of `vapo evaluate`; repeatable")
    add("--diagnosis", type=Path, metavar="FOLDER", help="of `vapo diagnose`, with the figures it may hold")
    add("--claims", type=Path, metavar="STORE", help="the claims that were trained on")
    add("--license", metavar="NAME", help="of the base model, as the hub calls it (default: as its card says)")
    add = parser.add_argument_group("checks").add_argument
    add(
        "--check-vllm",
        nargs="?",
        const=_START,
        metavar="URL",
        help="serve the export with the vLLM installed here and compare its answers, too; with a URL, compare a "
        "server that serves OUT, which was exported before",
    )
    add("--max-completion-tokens", type=int, default=64, help="longest answer compared (default: 64)")
    add("--device", default="auto", help="torch device (default: a GPU if there is one)")
    add("--trust-remote-code", action="store_true", help="run code that comes with the checkpoint")
    add = parser.add_argument_group("the hub").add_argument
    add("--push-to-hub", metavar="NAME", help="push to OWNER/NAME, with the token in the environment's HF_TOKEN")
    add("--private", action="store_true", help="let only its owner see it, if it is new")
    add_data_options(parser, split="train", needed="if the run's own is not at hand")
    parser.set_defaults(command=export, limit=8)


def export(options: argparse.Namespace) -> int:
    from vapo.export.export import check_place, check_served
    from vapo.export.export import export as write
    from vapo.export.preparation import ExportOptions
    from vapo.lab.shipped import resolve_data, resolve_model
    from vapo.models.policy.checkpoint import find_parts, load_processor

    url = options.check_vllm if options.check_vllm not in (None, _START) else None
    if url is None:
        check_place(options.out)
    checkpoint = resolve_model(options.model)
    samples = None
    if options.data is not None:
        processor = load_processor(find_parts(checkpoint, options.base).processor, options.trust_remote_code)
        samples = load_questions(options, resolve_data(options.data), [processor])
    chosen = ExportOptions(
        base=options.base,
        dtype=options.dtype,
        device=options.device,
        licence=options.license,
        evaluations=options.evaluation,
        diagnosis=options.diagnosis,
        claims=options.claims,
        num_questions=options.limit,
        max_completion_tokens=options.max_completion_tokens,
        start_vllm=options.check_vllm == _START,
        push_to=options.push_to_hub,
        private=options.private,
        trust_remote_code=options.trust_remote_code,
    )
    if url is None:
        print(write(checkpoint, options.out, samples, chosen))
    else:
        print(check_served(checkpoint, options.out, url, samples, chosen))
    return 0
