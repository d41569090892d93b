"""Run by `torch.distributed.run` on two processes: rank 0 has probes, rank 1 has none; both make as many forwards."""

from __future__ import annotations

from itertools import product

import torch
import torch.distributed as dist
from prober_contract import make_probes, make_rollout, make_sample
from tiny_models import build_tiny

from vapo.probing.packed_prober import PackedProber
from vapo.probing.reference import ReferenceProber

dist.init_process_group("gloo")
model, processor = build_tiny("llava")
forwards = []
model.register_forward_hook(lambda *_: forwards.append(1))


def most(own: int) -> int:
    number = torch.tensor(own)
    dist.all_reduce(number, dist.ReduceOp.MAX)
    return int(number)


for backend, collective in product((ReferenceProber, PackedProber), (False, True)):
    rollouts = [make_rollout(processor, make_sample(name), "I see a 3, then a 5.") for name in ("a", "b")]
    probes = make_probes(rollouts) if dist.get_rank() == 0 else []
    prober = backend(model, processor, max_batch_tokens=300, agree_on_batches=most, collective=collective)
    assert len(prober.score(probes, rollouts[0])) == len(probes)
counts = [torch.tensor(0), torch.tensor(0)]
dist.all_gather(counts, torch.tensor(len(forwards)))
assert counts[0] == counts[1] > 6, counts
print(f"rank {dist.get_rank()} made {len(forwards)} forwards")
dist.destroy_process_group()
