"""`vapo` with vLLM's CPU build, as a program: `python train_on_vllm.py [--unfixed|--unchecked] train --config ...`."""

from __future__ import annotations

import sys

from vllm_world import start_trl_engines_for_tests

from vapo.cli import main
from vapo.training import trainer
from vapo.training.plain_check import PlainCheck

if __name__ == "__main__":
    start_trl_engines_for_tests()
    words = sys.argv[1:]
    if words[0] in ("--unfixed", "--unchecked"):  # what TRL 1.16 does by itself
        trainer.fix_rollouts = lambda generation, image_token_id: None
        if words.pop(0) == "--unchecked":
            PlainCheck.keep_prompts = lambda check, rows: False
    sys.exit(main(words))
