"""Say what has become of the rows of a run, and of the claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vapo.claims.making.tally import Fate, Tally

_WORDS: Mapping[Fate, str] = {
    "full": "have their claims",
    "short": "have too few claims, and the tries are used up; --tries allows more",
    "unanswered": "got no answer; the same command asks again",
    "unreadable": "cannot be read",
    "untouched": "are left",
}


def format_tally(tally: Tally) -> str:
    """Write what a run did as lines of text."""
    return "\n".join(_tell(tally))


def tell_progress(tally: Tally) -> str:
    """Say in a few words what a run has taken so far, and what went wrong."""
    told = [f"{tally.usd:.2f} usd" if tally.usd else f"{tally.tokens / 1000:.0f}k tokens"]
    told += [f"{tally.fates[fate]} {fate}" for fate in ("short", "unanswered", "unreadable") if tally.fates[fate]]
    return ", ".join(told)


def _tell(tally: Tally) -> Iterator[str]:
    if tally.ended:
        yield f"{tally.ended}; the same command goes on from here"
    for fate, words in _WORDS.items():
        if tally.fates[fate] or fate == "full":
            yield f"{tally.fates[fate]} of {sum(tally.fates.values())} rows {words}"
            yield from (f"  {why}" for why in tally.why.get(fate, ()))
            more = tally.fates[fate] - len(tally.why.get(fate, ()))
            if tally.why.get(fate) and more:
                yield f"  and {more} more"
    cost = f", {tally.usd:.4f} US dollars" if tally.usd else ""
    yield f"{tally.requests} answers, {tally.tokens} tokens{cost}, {tally.seconds:.0f} s"
    reasons = ", ".join(f"{reason} {number}" for reason, number in tally.rejected.most_common())
    yield f"{tally.kept} claims kept, {tally.rejected.total()} rejected{f': {reasons}' if reasons else ''}"
