from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

TESTS = Path(__file__).parents[1]


class World(NamedTuple):
    """A run on verl, planned as a user does, with a small server and verl's own client."""

    run: Path
    folder: Path
    config: Any
    server: Any
    client: Any


@pytest.fixture(scope="session")
def ray_here() -> Iterator[None]:
    """A Ray of one node. Its workers import the tests' own modules and compute on one thread."""
    import ray

    # Ray is kind to others and runs its workers at nice 15, where a busy machine never lets them start.
    os.environ.update(RAY_worker_niceness="0", RAY_AUTH_MODE="disabled")
    path = os.pathsep.join([str(TESTS), *sys.path])
    ray.init(
        "local",
        num_cpus=16,  # as many as the actors ask for; they do not compute at once
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=bool(os.environ.get("SHOW_WORKERS")),
        runtime_env={"env_vars": {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}},
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from verl_world.world import make_run

    return make_run(tmp_path_factory.mktemp("world"), verdict="soft", preset="paper")


@pytest.fixture(scope="session")
def folder(run: Path) -> Path:
    from verl_world.world import plan

    return plan(run, run.parent / "verl")


@pytest.fixture(scope="session")
def world(run: Path, folder: Path, ray_here: None) -> World:
    import ray
    from verl.workers.rollout.router import get_router_handle
    from verl_world.world import compose_small, make_client, start_server

    config = compose_small(folder)
    server = start_server(config)
    ray.get(server.begin_anew.remote())
    return World(run, folder, config, server, make_client(config, get_router_handle(servers={"small": server})))
