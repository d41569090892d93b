"""Run by `torch.distributed.run` on two processes: rank 0 scores two prompts, rank 1 one; as many passes on both."""

from __future__ import annotations

import torch
import torch.distributed as dist
from prober_contract import make_rollout, make_sample
from tiny_models import build_tiny
from trl.trainer.utils import add_fused_lm_head

from vapo.models.images import process_images
from vapo.models.tree.packed import TokenTree
from vapo.models.tree.packed_scores import score_trees

dist.init_process_group("gloo")
model, processor = build_tiny("llava")
add_fused_lm_head(model, outputs=("log_probs", "entropy"))
passes = []
model.register_forward_hook(lambda *_: passes.append("forward"))
model.model.language_model.layers[0].register_full_backward_hook(lambda *_: passes.append("backward"))


def most(own: int) -> int:
    number = torch.tensor(own)
    dist.all_reduce(number, dist.ReduceOp.MAX)
    return int(number)


names = ("a", "b") if dist.get_rank() == 0 else ("a",)
rollouts = [make_rollout(processor, make_sample(name), "I see a 3, then a 5.") for name in names]
trees = [TokenTree(r.prompt_ids, process_images(processor, r.sample.images), (r.completion_ids,)) for r in rollouts]
scores = score_trees(model, trees, token_type_name=None, agree_on_passes=most, collective=True)
alone = score_trees(model, trees[:1], token_type_name=None)[0].log_probs[0]
torch.testing.assert_close(scores[0].log_probs[0], alone)
passes.clear()
scores = score_trees(model, trees, token_type_name=None, agree_on_passes=most, collective=True)
sum(own.log_probs[0].sum() for own in scores).backward()
counts = [torch.tensor([0, 0]), torch.tensor([0, 0])]
dist.all_gather(counts, torch.tensor([passes.count("forward"), passes.count("backward")]))
assert counts[0].tolist() == counts[1].tolist() == [2, 2], counts
print(f"rank {dist.get_rank()} made 2 forwards and 2 backwards")
dist.destroy_process_group()
