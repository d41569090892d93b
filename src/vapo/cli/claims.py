"""`vapo claims`: the commands about claims."""

from __future__ import annotations

from vapo.cli import claims_audit, claims_make, claims_move, claims_review, claims_stats
from vapo.cli.parser import Commands


def add_claims(commands: Commands) -> None:
    group = commands.add_parser("claims", help="make, check and move claims about images").add_subparsers(
        required=True, metavar="COMMAND"
    )
    claims_make.add_make(group)
    claims_audit.add_audit(group)
    claims_review.add_review(group)
    claims_stats.add_stats(group)
    claims_move.add_import(group)
    claims_move.add_export(group)
