from __future__ import annotations

import asyncio
import time

import pytest

from vapo.claims.asking.pace import Pace, PaceClosedError
from vapo.errors import ConfigError


def test_no_more_turns_at_a_time_than_the_limit():
    pace, most_seen, done = Pace(3), 0, 0

    async def take() -> None:
        nonlocal most_seen, done
        async with pace.turn():
            most_seen = max(most_seen, pace.in_flight)
            await asyncio.sleep(0.001)
            done += 1

    async def run() -> None:
        await asyncio.gather(*(take() for _ in range(50)))

    asyncio.run(run())
    assert (most_seen, done, pace.in_flight) == (3, 50, 0)


def test_a_failed_turn_is_given_back():
    pace = Pace(1)

    async def run() -> None:
        for _ in range(3):
            with pytest.raises(RuntimeError):
                async with pace.turn():
                    raise RuntimeError

    asyncio.run(run())
    assert pace.in_flight == 0


def test_the_limit_is_halved_once_for_requests_that_were_under_way_together():
    pace = Pace(16)
    began = time.monotonic()
    for _ in range(16):
        pace.slow_down(began)
    assert pace.limit == 8
    pace.slow_down(time.monotonic() + 1e-3)
    assert pace.limit == 4
    for _ in range(20):
        pace.slow_down(time.monotonic() + 10)
    assert pace.limit == 1


def test_it_grows_by_about_one_for_each_round_that_succeeds_up_to_the_most():
    pace = Pace(8)
    pace.slow_down(time.monotonic())
    assert pace.limit == 4
    for _ in range(5):
        pace.speed_up()
    # 4 + 1/4 + 1/4.25 + ... : five successes at a limit of 4 to 5 add a little over one
    assert 5 <= pace.limit < 5.25
    for _ in range(1000):
        pace.speed_up()
    assert pace.limit == 8


def test_a_pause_holds_all_back():
    pace = Pace(4)

    async def run() -> list[float]:
        pace.slow_down(time.monotonic(), 0.2)
        asked = time.monotonic()

        async def take() -> float:
            async with pace.turn() as began:
                return began - asked

        return await asyncio.gather(*(take() for _ in range(2)))

    assert all(waited >= 0.19 for waited in asyncio.run(run()))


def test_no_concurrency_is_refused():
    with pytest.raises(ConfigError, match="concurrency is 0; it must be at least 1"):
        Pace(0)


def test_when_it_is_closed_nobody_begins_and_who_has_begun_goes_on():
    pace = Pace(2)
    finished: list[int] = []

    async def take(number: int) -> None:
        async with pace.turn():
            await asyncio.sleep(0.05)
            finished.append(number)

    async def run() -> list[BaseException | None]:
        tasks = [asyncio.create_task(take(number)) for number in range(6)]
        await asyncio.sleep(0.01)
        pace.close()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(run())
    assert finished == [0, 1] and results[:2] == [None, None]
    assert all(isinstance(result, PaceClosedError) for result in results[2:])


def test_a_turn_that_is_no_longer_wanted_goes_to_the_next():
    pace, taken = Pace(1), []

    async def take(number: int) -> None:
        async with pace.turn():
            await asyncio.sleep(0.01)
            taken.append(number)

    async def run() -> None:
        tasks = [asyncio.create_task(take(number)) for number in range(4)]
        await asyncio.sleep(0.005)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    assert taken == [0, 2, 3]
