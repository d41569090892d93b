"""Run VLMEvalKit with a model that it has no entry for: `python -m vapo.evaluation.vlmevalkit MODEL -- --data MMStar`.

Stands in a clone of VLMEvalKit. What is behind `--` goes to its run.py as it is.
"""

# pyright: reportMissingImports=false
# VLMEvalKit is a clone that the user stands in.
from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from vapo.errors import ConfigError, VapoError
from vapo.models.policy.checkpoint import check_checkpoint

RUN = Path("run.py")


def run_with_model(words: Sequence[str]) -> None:
    """Add a model to VLMEvalKit's table, and run its run.py.

    Args:
        words: of the command line.

    Raises:
        ConfigError: this is no clone of VLMEvalKit, or its own requirements are not installed.
        ModelError: there is no such checkpoint.
    """
    ours, theirs = _split(words)
    options = build_parser().parse_args(ours)
    if not RUN.is_file() or not Path("vlmeval").is_dir():
        raise ConfigError(
            f"{Path.cwd()} is no clone of VLMEvalKit: it has no run.py beside a folder vlmeval; "
            "git clone https://github.com/open-compass/VLMEvalKit, cd into it, and give the same command"
        )
    check_checkpoint(options.model)
    sys.path.insert(0, str(Path.cwd()))
    try:
        from vlmeval.config import supported_VLM
    except ImportError as error:
        raise ConfigError(
            f"VLMEvalKit cannot be imported ({error}); install what it needs: pip install -r requirements.txt"
        ) from None
    from vapo.evaluation.vlmevalkit.model import VapoChat

    supported_VLM[options.name] = partial(
        VapoChat, options.model, system_prompt=options.system_prompt, max_new_tokens=options.max_new_tokens
    )
    sys.argv = [str(RUN), "--model", options.name, *theirs]
    runpy.run_path(str(RUN), run_name="__main__")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before `--`."""
    parser = argparse.ArgumentParser(
        prog="python -m vapo.evaluation.vlmevalkit",
        description="Run VLMEvalKit, in a clone of it, with a checkpoint as its model.",
        epilog="example: python -m vapo.evaluation.vlmevalkit runs/first --name vapo-7b -- --data MMStar",
    )
    parser.add_argument("model", help="checkpoint folder, or name on the Hugging Face hub")
    parser.add_argument("--name", default="vapo", help="what VLMEvalKit calls it (default: vapo)")
    parser.add_argument(
        "--system-prompt", help="how it is asked (default: that of the model's run, else the recipes')"
    )
    parser.add_argument("--max-new-tokens", type=int, default=2048, help="longest response (default: 2048)")
    return parser


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    behind = list(words).index("--") if "--" in words else len(words)
    return list(words[:behind]), list(words[behind + 1 :])


if __name__ == "__main__":
    try:
        run_with_model(sys.argv[1:])
    except VapoError as error:
        sys.exit(f"vapo: {error}")
