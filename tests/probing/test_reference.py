from __future__ import annotations

import os
import subprocess
import sys
from functools import wraps
from pathlib import Path

import numpy as np
import pytest
from prober_contract import ProberContract, make_probes, make_rollout, make_sample
from tiny_models import FAMILIES, build_tiny

from vapo.probing.reference import ReferenceProber, split_rows


@pytest.fixture(scope="module", params=FAMILIES)
def model_and_processor(request):
    return build_tiny(request.param)


class TestReferenceProber(ProberContract):
    @pytest.fixture(params=[100_000, 150], ids=["one batch", "several"])
    def prober(self, model, processor, request):
        return ReferenceProber(model, processor, max_batch_tokens=request.param)

    def test_images_of_a_prompt_are_encoded_once(self, model, processor, monkeypatch):
        prober = ReferenceProber(model, processor, max_batch_tokens=150)
        calls = []
        encode = model.model.get_image_features

        @wraps(encode)
        def counted(*args, **kwargs):
            calls.append(1)
            return encode(*args, **kwargs)

        monkeypatch.setattr(model.model, "get_image_features", counted)
        rollouts = [make_rollout(processor, make_sample(name), "I see a 3, then a 5.") for name in ("a", "b")]
        prober.score(make_probes(rollouts))
        assert len(calls) == 2

    def test_ranks_kept_in_step_run_the_batches_agreed_on(self, model, processor, monkeypatch):
        forwards = []
        rollout = make_rollout(processor, make_sample("a"), "I see a 3, then a 5.")
        probes = make_probes([rollout])
        plain = ReferenceProber(model, processor).score(probes)
        handle = model.register_forward_hook(lambda *_: forwards.append(1))
        in_step = ReferenceProber(
            model, processor, max_batch_tokens=150, agree_on_batches=lambda own: own + 3, collective=True
        )
        own = len(split_rows([], 150, one_prompt=True))
        assert in_step.score([], rollout) == [] and len(forwards) == own + 3
        verdicts = in_step.score(probes, rollout)
        np.testing.assert_allclose([v.p_true for v in verdicts], [v.p_true for v in plain], atol=1e-5)
        with pytest.raises(ValueError, match="keep_in_step_with"):
            in_step.score(probes)
        handle.remove()


@pytest.mark.parametrize("script", ["probing/uneven_ranks.py", "models/tree/uneven_trees.py"])
def test_two_real_processes_with_uneven_work_make_as_many_passes(script):
    tests = Path(__file__).parents[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    environment = {**os.environ, "PYTHONPATH": str(tests), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, str(tests / script)], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "rank 0 made" in done.stdout and "rank 1 made" in done.stdout
