"""What is installed on each machine of a Ray cluster, looked at before a run needs it."""

# verl and Ray are in an environment of their own.
# pyright: reportMissingImports=false

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vapo.errors import ConfigError
from vapo.versions import OWN

VERL = "0.9.1"
"""The version of verl that the plug-in was tested on."""

PACKAGES = ("vapo", "verl", "transformers")
"""What all machines must have in the same version."""

INSTALL = f"pip install 'vapo[verl]=={OWN}'"


@dataclass(frozen=True, slots=True)
class Node:
    """What one machine has.

    Attributes:
        name: its address.
        versions: of `PACKAGES`, by name; None for what is not installed.
        knows_agent_loop: whether verl finds the agent loop `vapo` there.
        missing_files: those of the run that are not there.
    """

    name: str
    versions: dict[str, str | None]
    knows_agent_loop: bool
    missing_files: tuple[str, ...]


def check_installed() -> None:
    """Raise ConfigError unless Ray and the right verl are installed here."""
    for package in ("ray", "verl"):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"{package} is not installed here; give it an environment of its own: {INSTALL}")
    found = importlib.metadata.version("verl")
    if found != VERL:
        raise ConfigError(
            f"verl {found} is installed, and vapo {OWN} was made for verl {VERL}, whose agent loops and "
            f"replay buffer it extends: pip install 'verl[verl-core]=={VERL}'"
        )


def look_at_nodes(files: Sequence[str]) -> list[Node]:
    """Return what each machine of the cluster has that Ray is connected to.

    Args:
        files: of the run, as every machine must find them.
    """
    import ray

    look = ray.remote(make_look())
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    pinned = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    seen = ray.get(
        [
            look.options(num_cpus=0, scheduling_strategy=pinned(node["NodeID"], soft=False)).remote(
                PACKAGES, list(files)
            )
            for node in nodes
        ]
    )
    return [Node(node["NodeManagerAddress"], *found) for node, found in zip(nodes, seen, strict=True)]


def make_look() -> Callable[[Sequence[str], list[str]], tuple[Any, ...]]:
    """Return the function that looks around on a machine.

    Made in here, so that it travels as code: a machine without vapo could not import it.
    """

    def look(packages: Sequence[str], files: list[str]) -> tuple[Any, ...]:
        import importlib.metadata as metadata
        import os

        versions: dict[str, str | None] = {}
        for package in packages:
            try:
                versions[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                versions[package] = None
        knows = False
        if versions["verl"] is not None:
            from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

            knows = "vapo" in _agent_loop_registry
        return versions, knows, tuple(file for file in files if not os.path.exists(file))

    return look


def check_nodes(nodes: Sequence[Node]) -> None:
    """Raise ConfigError, naming the machine, unless all can take part in a run that starts here."""
    here = {name: importlib.metadata.version(name) for name in PACKAGES}
    for node in nodes:
        for package, version in here.items():
            found = node.versions[package]
            if found != version:
                what = "is not installed" if found is None else f"is {found}, and {version} here"
                raise ConfigError(f"on node {node.name}, {package} {what}; install the same everywhere: {INSTALL}")
        if not node.knows_agent_loop:
            raise ConfigError(
                f"on node {node.name}, verl does not find the agent loop 'vapo' though vapo is installed; let it load "
                "plug-ins (VERL_USE_EXTERNAL_PLUGINS=auto), and see `python -c 'import vapo.verl.agent_loop'`"
            )
        if node.missing_files:
            raise ConfigError(
                f"on node {node.name}, {node.missing_files[0]} is not there; put the run's folder where all machines "
                "see it under the same name"
            )
