"""Work in one or several processes on a CPU, forked from a server that has imported everything once."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

PRELOADED = ["vapo.training.run", "vapo.lab.shipped", "torch.distributed.fsdp"]
FSDP2 = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
}
"""What `accelerate launch` puts into the environment for the configuration `fsdp2`."""


def run_processes(
    count: int, work: Callable[..., None], *args: Any, environment: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Run `work(*args)` in processes that know of each other as `torchrun` tells them, gloo between them.

    Raises:
        AssertionError: one of them failed; the traceback of the first is its message.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    failures = context.SimpleQueue()
    port = find_free_port()
    processes = []
    for rank in range(count):
        own = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": "1",
            **environment,
        }
        processes.append(context.Process(target=_work_as, args=(own, failures, work, args)))
        processes[-1].start()
    for process in processes:
        process.join()
    assert failures.empty(), failures.get()
    assert all(process.exitcode == 0 for process in processes)


def find_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _work_as(environment: Mapping[str, str], failures: Any, work: Callable[..., None], args: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    try:
        work(*args)
    except BaseException:
        failures.put(traceback.format_exc())
        os._exit(1)  # others may wait for this one, and it for them


def let_accelerate_shard_on_cpu() -> None:
    """Make accelerate 1.15, which has FSDP for accelerators alone, take it from the environment on a CPU as well."""
    from accelerate import state
    from accelerate.utils import DistributedType

    make = state.AcceleratorState.__init__

    def make_sharding(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        make(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            self.fsdp_plugin = fsdp_plugin
            self.distributed_type = state.PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    state.AcceleratorState.__init__ = make_sharding
