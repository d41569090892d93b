from __future__ import annotations

import asyncio
import time

import pytest

from vapo.api.rate_limiter import LimiterClosedError, RateLimiter
from vapo.errors import ConfigError


def test_no_more_turns_at_a_time_than_the_limit():
    limiter, most_seen, done = RateLimiter(3), 0, 0

    async def take() -> None:
        nonlocal most_seen, done
        async with limiter.slot():
            most_seen = max(most_seen, limiter.in_flight)
            await asyncio.sleep(0.001)
            done += 1

    async def run() -> None:
        await asyncio.gather(*(take() for _ in range(50)))

    asyncio.run(run())
    assert (most_seen, done, limiter.in_flight) == (3, 50, 0)


def test_a_failed_turn_is_given_back():
    limiter = RateLimiter(1)

    async def run() -> None:
        for _ in range(3):
            with pytest.raises(RuntimeError):
                async with limiter.slot():
                    raise RuntimeError

    asyncio.run(run())
    assert limiter.in_flight == 0


def test_the_limit_is_halved_once_for_requests_that_were_under_way_together():
    limiter = RateLimiter(16)
    began = time.monotonic()
    for _ in range(16):
        limiter.slow_down(began)
    assert limiter.limit == 8
    limiter.slow_down(time.monotonic() + 1e-3)
    assert limiter.limit == 4
    for _ in range(20):
        limiter.slow_down(time.monotonic() + 10)
    assert limiter.limit == 1


def test_it_grows_by_about_one_for_each_round_that_succeeds_up_to_the_most():
    limiter = RateLimiter(8)
    limiter.slow_down(time.monotonic())
    assert limiter.limit == 4
    for _ in range(5):
        limiter.speed_up()
    # 4 + 1/4 + 1/4.25 + ... : five successes at a limit of 4 to 5 add a little over one
    assert 5 <= limiter.limit < 5.25
    for _ in range(1000):
        limiter.speed_up()
    assert limiter.limit == 8


def test_a_pause_holds_all_back():
    limiter = RateLimiter(4)

    async def run() -> list[float]:
        limiter.slow_down(time.monotonic(), 0.2)
        asked = time.monotonic()

        async def take() -> float:
            async with limiter.slot() as began:
                return began - asked

        return await asyncio.gather(*(take() for _ in range(2)))

    assert all(waited >= 0.19 for waited in asyncio.run(run()))


def test_no_concurrency_is_refused():
    with pytest.raises(ConfigError, match="concurrency is 0; it must be at least 1"):
        RateLimiter(0)


def test_when_it_is_closed_nobody_begins_and_who_has_begun_goes_on():
    limiter = RateLimiter(2)
    finished: list[int] = []

    async def take(number: int) -> None:
        async with limiter.slot():
            await asyncio.sleep(0.05)
            finished.append(number)

    async def run() -> list[BaseException | None]:
        tasks = [asyncio.create_task(take(number)) for number in range(6)]
        await asyncio.sleep(0.01)
        limiter.close()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(run())
    assert finished == [0, 1] and results[:2] == [None, None]
    assert all(isinstance(result, LimiterClosedError) for result in results[2:])


def test_a_turn_that_is_no_longer_wanted_goes_to_the_next():
    limiter, taken = RateLimiter(1), []

    async def take(number: int) -> None:
        async with limiter.slot():
            await asyncio.sleep(0.01)
            taken.append(number)

    async def run() -> None:
        tasks = [asyncio.create_task(take(number)) for number in range(4)]
        await asyncio.sleep(0.005)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    assert taken == [0, 2, 3]
