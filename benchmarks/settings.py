"""What a run of a benchmark is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Options that hold for all points of a grid.

    Attributes:
        model: name of a shape in `benchmarks.models`.
        device: "cpu" or "cuda".
        threads: CPU threads that PyTorch computes on.
        repeats: timed rounds, after one that warms up.
        clock: "wall" for the time that goes by, "cpu" for the time that the process computes; the latter is for a
            machine that does other work as well, and for one thread, since threads that wait count as computing.
        checkpointing: whether the training step computes layers again in its backward pass, which is TRL's default.
        responses: how many of a group's responses the probers work on that share nothing between responses, whose time
            is then scaled up; None for all.
    """

    model: str = "10m"
    device: str = "cpu"
    threads: int = 2
    repeats: int = 5
    clock: str = "wall"
    checkpointing: bool = True
    responses: int | None = None
