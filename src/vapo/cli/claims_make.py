"""`vapo claims make`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vapo.cli.data_options import IMAGES, add_data_options, read_columns, read_split
from vapo.cli.parser import RAW, Commands, Parser, Renamed
from vapo.cli.progress import show_counts

if TYPE_CHECKING:
    from vapo.claims.making.requester import VisionModel
    from vapo.claims.making.settings import MakingSettings
    from vapo.data.shown import ShownRows


def add_make(group: Commands) -> None:
    parser = group.add_parser(
        "make",
        help="make claims about the images of a folder or data set",
        description="Ask a vision-language model for claims about each image, half of them true, and keep them in a "
        "store with all answers. What does not meet the conditions is asked for again. The same command goes on where "
        "it was stopped; Ctrl-C waits for the answers under way. The key of a server comes from OPENAI_API_KEY.",
        epilog="example: vapo claims make --data photos --model gpt-4o --base-url https://api.openai.com/v1 "
        "--budget 500ktok --out claims.db\n"
        "         vapo claims make --data photos --model runs/grpo --concurrency 8 --out own.db\n"
        "         vapo claims make --data lab --program vapo.lab.exact_claims:claim_digits --limit 10 --out exact.db",
        formatter_class=RAW,
    )
    add_data_options(parser, split="train", names=IMAGES)
    parser.add_argument("--out", type=Path, required=True, help="the store, made if it is not there")
    _add_model(parser)
    _add_conditions(parser)
    parser.set_defaults(command=make)


def _add_model(parser: Parser) -> None:
    add = parser.add_argument_group("who makes them").add_argument
    add("--model", help="checkpoint folder, name on the Hugging Face hub, 'lab' or 'lab-writer'")
    add("--base-url", metavar="URL", help="an OpenAI-compatible server; MODEL is then its name there")
    add("--checkpoint", action=Renamed, nargs="?", const="--model", help=argparse.SUPPRESS)
    add("--program", metavar="FILE.py:NAME", help="a function of your own in place of a model")
    add("--budget", metavar="AMOUNT", help="the most that the store may cost in all: 25usd, 500ktok")
    add("--prices", nargs=2, type=float, metavar="USD", help="for a million tokens, read and written")
    add("--concurrency", type=int, default=32, help="requests at a time, or images in a batch (default: 32)")
    add("--timeout", type=float, default=300.0, metavar="S", help="longest silence of the server (default: 300)")
    add("--temperature", type=float, default=0.0, help="(default: 0)")
    add("--seed", type=int, default=0, help="of the model (default: 0)")
    add("--max-tokens", type=int, default=4096, help="longest answer, thoughts included (default: 4096)")
    add("--max-pixels", type=int, default=1_003_520, help="of an image as it is sent (default: 1003520)")
    add("--free-form", action="store_true", help="do not ask the server to hold the model to the form")


def _add_conditions(parser: Parser) -> None:
    add = parser.add_argument_group("what they must be like").add_argument
    add("--per-image", type=int, default=20, help="claims of an image, half of them true (default: 20)")
    add("--per-request", type=int, metavar="N", help="ask for so many at a time (default: all)")
    add("--tries", type=int, default=4, help="further requests for an image (default: 4)")
    add("--language", default="English", help="(default: English)")
    add("--max-words", type=int, default=20, help="(default: 20)")
    add("--max-colour", type=float, default=0.25, help="largest share about a plain colour (default: 0.25)")
    add("--max-counting", type=float, default=0.25, help="largest share about a number (default: 0.25)")
    add("--max-similarity", type=float, default=0.95, help="of two claims' embeddings (default: 0.95)")
    add("--embeddings", metavar="NAME", help="an embedding model of the server, to find near-duplicates")
    add("--local-embeddings", metavar="NAME", help="one of sentence-transformers, in this process")
    add("--without", default="", metavar="NAMES", help="filters to leave out, such as colour,counting")


def make(options: argparse.Namespace) -> int:
    from vapo.claims.making.counts import format_counts
    from vapo.claims.making.make import make_claims_with
    from vapo.claims.store.store import Store

    settings, rows = _read_settings(options), _load_rows(options)
    with Store(options.out, create=True) as store:
        counts = make_claims_with(
            rows,
            store,
            settings,
            model=options.model if options.base_url else None,
            base_url=options.base_url,
            program=options.program,
            vision_model=_open_checkpoint(options),
            prices=options.prices,
            concurrency=options.concurrency,
            timeout_s=options.timeout,
            embeddings=options.embeddings,
            local_embeddings=options.local_embeddings,
            on_progress=show_counts("making claims"),
            on_notice=print,
        )
    print(format_counts(counts))
    print(f"the claims are in {options.out}; see `vapo claims stats {options.out}`")
    return counts.exit_code


def _read_settings(options: argparse.Namespace) -> MakingSettings:
    from vapo.claims.filters.rules import FilterSettings
    from vapo.claims.making.budget import parse_budget
    from vapo.claims.making.settings import MakingSettings

    filters = FilterSettings(
        max_words=options.max_words,
        language=options.language,
        max_colour=options.max_colour,
        max_counting=options.max_counting,
        max_similarity=options.max_similarity,
        without=frozenset(name.strip() for name in options.without.split(",") if name.strip()),
    )
    return MakingSettings(
        per_image=options.per_image,
        per_request=options.per_request,
        tries=options.tries,
        temperature=options.temperature,
        seed=options.seed,
        max_tokens=options.max_tokens,
        max_pixels=options.max_pixels,
        structured=not options.free_form,
        filters=filters,
        budget=parse_budget(options.budget) if options.budget else None,
    )


def _open_checkpoint(options: argparse.Namespace) -> VisionModel | None:
    if options.model is None or options.base_url is not None:
        return None
    from vapo.claims.local_model import PolicyClaimModel
    from vapo.lab.shipped import resolve_model
    from vapo.models.policy.checkpoint import load_policy

    return PolicyClaimModel(load_policy(resolve_model(options.model)), batch_size=options.concurrency)


def _load_rows(options: argparse.Namespace) -> ShownRows:
    from vapo.data.shown import load_shown
    from vapo.lab.shipped import resolve_data

    source = resolve_data(options.data)
    return load_shown(
        source,
        split=read_split(options, source),
        columns=read_columns(options),
        image_folder=options.image_folder,
        allow_urls=options.allow_urls,
        limit=options.limit,
    )
