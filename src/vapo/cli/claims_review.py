"""`vapo claims review`."""

from __future__ import annotations

import argparse
from pathlib import Path

from vapo.cli.parser import RAW, Commands


def add_review(group: Commands) -> None:
    parser = group.add_parser(
        "review",
        help="judge claims yourself, in the browser",
        description="Show images with their claims in the browser of this machine, and keep what you say of them: r "
        "for right, w for wrong, u for unclear. The page is served to this machine alone until Ctrl-C.",
        epilog="example: vapo claims review claims.db --images 20\n"
        "         on another machine: --no-browser --port 8765, and ssh -L 8765:127.0.0.1:8765 to it",
        formatter_class=RAW,
    )
    add = parser.add_argument
    add("store", type=Path, help="the store")
    add("--reviewer", metavar="NAME", help="who judges (default: the name of this user)")
    add("--images", type=int, metavar="N", help="size of the random sample (default: all)")
    add("--seed", type=int, default=0, help="of the sample and its order (default: 0)")
    add("--port", type=int, default=0, help="to serve at (default: any that is free)")
    add("--no-browser", action="store_true", help="print the address and open nothing")
    parser.set_defaults(command=review)


def review(options: argparse.Namespace) -> int:
    from vapo.claims.quality.quality import format_quality, measure_quality
    from vapo.claims.review.server import open_browser, serve_review
    from vapo.claims.review.session import ReviewSession, find_user
    from vapo.claims.store.store import Store

    reviewer = options.reviewer if options.reviewer is not None else find_user()
    session = ReviewSession(options.store, reviewer, num_images=options.images, seed=options.seed)
    serve_review(session, options.port, print, open_page=None if options.no_browser else open_browser)
    with Store(options.store) as store:
        print(format_quality(measure_quality(store)))
    return 0
