"""A rollout's probes, asked all at once of the server that made it. One that fails is counted; the rollout lives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vapo.errors import VapoError
from vapo.types import Probe, Verdict
from vapo.verl.answers import Reply, find_p_true

if TYPE_CHECKING:
    from vapo.verl.session import RolloutSession
    from vapo.verl.worker import Worker


@dataclass(frozen=True, slots=True)
class AskedProbes:
    """What came of a rollout's probes.

    Attributes:
        verdicts: on those that were answered, in their order.
        num_asked: how many there were.
        num_failed: those the server did not answer, or not in time.
        num_without_room: those that the server's context has no room for; it never saw them.
        num_on_other_weights: those answered by other weights than the rollout ended with.
    """

    verdicts: tuple[Verdict, ...] = ()
    num_asked: int = 0
    num_failed: int = 0
    num_without_room: int = 0
    num_on_other_weights: int = 0


async def ask_probes(
    session: RolloutSession,
    worker: Worker,
    probes: Sequence[Probe],
    *,
    timeout: float,
    context: int | None,
    exact: bool,
) -> AskedProbes:
    """Ask all probes of one rollout.

    Args:
        session: of the rollout.
        worker: encodes questions and counts failures.
        probes: of one rollout.
        timeout: seconds for each.
        context: tokens that the server's context holds, the answer included; None if that is not known.
        exact: whether P(true) is wanted, or just which side it is on; see `find_p_true`.

    Raises:
        ModelError: the server does not keep to what it is asked, or never answers.
    """
    written = [(probe, _write(probe, worker)) for probe in probes]
    fitting = [(probe, ids) for probe, ids in written if context is None or len(ids) < context]

    async def ask(ids: Sequence[int]) -> tuple[float, set[int]] | Exception:
        async def put(token_ids: Sequence[int]) -> Reply:
            return await session.ask(ids, token_ids)

        try:
            async with asyncio.timeout(timeout):
                return await find_p_true(put, worker.questions.answer_tokens, exact=exact)
        except VapoError:
            raise
        except Exception as error:  # whatever a server far away can raise: the rollout is whole without this probe
            return error

    outcomes = await asyncio.gather(*(ask(ids) for _, ids in fitting))
    verdicts: list[Verdict] = []
    others = 0
    failures: list[Exception] = []
    for (probe, _), outcome in zip(fitting, outcomes, strict=True):
        if isinstance(outcome, Exception):
            failures.append(outcome)
            continue
        p_true, weights = outcome
        verdicts.append(Verdict(probe, p_true))
        others += session.weights is not None and bool(weights - {session.weights})
    worker.note_answers(len(verdicts))
    for failure in failures:
        worker.note_failure(failure)
    return AskedProbes(tuple(verdicts), len(written), len(failures), len(written) - len(fitting), others)


def _write(probe: Probe, worker: Worker) -> tuple[int, ...]:
    rollout = probe.rollout
    return (
        rollout.prompt_ids + rollout.completion_ids[: probe.anchor.index] + worker.questions.encode(probe.claim.text)
    )
