"""The version of vapo, and those of other packages that it was tested with."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

OWN = "0.1.0"

TESTED = {
    "accelerate": "1.15.0",
    "datasets": "5.2.0",
    "huggingface_hub": "2.4.0",
    "lmms_eval": "0.7.3",
    "peft": "0.21.2",
    "tokenizers": "0.23.3",
    "torch": "2.15.0",
    "transformers": "5.24.0",
    "trl": "1.16.0",
    "verl": "0.9.1",
    "vllm": "0.31.0",
}
"""The newest version tested of each package that vapo leans on; a test compares it with what CI installs."""

REPORTED = "VAPO_REPORTED_VERSIONS"
"""Set in the environment once it was looked for, so that a run's further processes do not do it again."""


def find_untested() -> list[str]:
    """Return the packages that are newer here than any version tested, each with both versions."""
    found: list[str] = []
    for name, tested in TESTED.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue
        if read_release(installed) > read_release(tested):
            found.append(f"{name} {installed} (tested up to {tested})")
    return found


def choose_remedy(otherwise: str) -> str:
    """Return what to use where a model fails: the tested versions, or what else there is if these are used already."""
    untested = ", ".join(find_untested())
    return f"tested versions instead of {untested}" if untested else otherwise


def report_untested(say: Callable[[str], object]) -> None:
    """Say once which packages are newer than any version tested; the first process says it for all."""
    if REPORTED in os.environ or os.environ.get("RANK", "0") != "0":
        return
    os.environ[REPORTED] = "1"
    untested = find_untested()
    if untested:
        say(f"newer than what vapo was tested with: {', '.join(untested)}; if anything fails, try the tested version")


def read_release(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, without what names a build or a preview: 2.13.0 of 2.13.0+cpu."""
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"[^\d.]", text)[0]))
