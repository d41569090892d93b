"""`vapo claims audit`."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.parser import RAW, Commands
from vapo.cli.progress import show_progress


def add_audit(group: Commands) -> None:
    parser = group.add_parser(
        "audit",
        help="let a second model judge claims, with the image and without it",
        description="Ask a model about each claim of a random sample of images: whether its label is right, whether "
        "it needs the image, whether the image decides it, whether it can be told without the image, and whether the "
        "answer hangs on how it is asked. The same command goes on where it was stopped. The key of a server comes "
        "from OPENAI_API_KEY.",
        epilog="example: vapo claims audit claims.db --model gpt-4o --base-url https://api.openai.com/v1\n"
        "         vapo claims audit claims.db --base-url http://localhost:8000 --questions label,blind --probe",
        formatter_class=RAW,
    )
    add = parser.add_argument
    add("store", type=Path, help="the store")
    add("--model", metavar="NAME", help="its name on the server (default: the only one)")
    add("--base-url", required=True, metavar="URL", help="an OpenAI-compatible server")
    add("--questions", metavar="NAMES", help="label,visual,answerable,blind,no_yes,true_false (default: all)")
    add("--images", type=int, default=100, metavar="N", help="size of the sample (default: 100)")
    add("--all-images", action="store_true", help="audit every image")
    add("--seed", type=int, default=0, help="of the sample (default: 0)")
    add("--probe", action="store_true", help="ask as VAPO's probes do, in the model's own turn (vLLM can)")
    add("--prices", nargs=2, type=float, metavar="USD", help="for a million tokens, read and written")
    add("--concurrency", type=int, default=32, help="requests at a time, at most (default: 32)")
    add("--timeout", type=float, default=300.0, metavar="S", help="longest silence of the server (default: 300)")
    add("--max-tokens", type=int, default=1024, help="longest answer, thoughts included (default: 1024)")
    parser.set_defaults(command=audit)


def audit(options: argparse.Namespace) -> int:
    from vapo.api.client import ModelClient
    from vapo.api.prices import Prices
    from vapo.claims.audit.questions import choose_questions
    from vapo.claims.audit.run import AuditSettings, audit_claims
    from vapo.claims.quality.quality import format_quality, measure_quality
    from vapo.claims.store.store import Store
    from vapo.models.questions import PROBE_TEMPLATE

    settings = AuditSettings(
        choose_questions(options.questions.split(",") if options.questions is not None else None),
        num_images=None if options.all_images else options.images,
        seed=options.seed,
        max_tokens=options.max_tokens,
        probe_template=PROBE_TEMPLATE if options.probe else None,
    )
    auditor = ModelClient(
        options.base_url,
        options.model,
        concurrency=options.concurrency,
        prices=Prices(*options.prices) if options.prices else None,
        timeout_s=options.timeout,
    )
    with Store(options.store) as store:
        counts = audit_claims(store, auditor, settings, on_progress=show_progress("auditing"), on_notice=print)
        print(counts)
        print(format_quality(measure_quality(store)))
    return counts.exit_code
