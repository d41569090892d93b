"""`vapo` with vLLM's CPU build, as a program: `python train_on_vllm.py [--unfixed] train --config run.yaml`."""

from __future__ import annotations

import sys

from vllm_world import start_trl_engines_for_tests

from vapo.cli import main
from vapo.training import trainer

if __name__ == "__main__":
    start_trl_engines_for_tests()
    words = sys.argv[1:]
    if words[0] == "--unfixed":  # what TRL 1.16 does by itself
        trainer.fix_rollouts = lambda generation, image_token_id: None
        words = words[1:]
    sys.exit(main(words))
