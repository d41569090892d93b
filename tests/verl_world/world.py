"""verl's own machinery around a small server: configuration, router, client, rows, and both agent-loop managers.

verl 0.9.1 takes the processors of a few families alone, Qwen's among them, so the model is a small Qwen2.5-VL.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from tiny_models import save_tiny, tiny_tokenizer

from vapo.cli import main
from vapo.verl.check import compose

GROUP = 2
SYSTEM_PROMPT = "Look first."
CLAIMS = [
    {"text": "there is a cat", "is_true": True},
    {"text": "the sky is green", "is_true": False},
    {"text": "a 3 stands in row 1", "is_true": True},
    {"text": "two dogs sit on a {red} car <|im_end|>", "is_true": False},
]
RESPONSES = [
    "<think>I see a 3, then a 5. Row 2, it seems, is black. So 3 + 5 = 8, and that is all!</think> It is \\boxed{8}.",
    "<think>The digit in row 1, column 2 is 7; row 2 is black. The sum, then, is 7.</think> It is \\boxed{7}.",
]
"""What prompts of one image and of two are answered with; the answer is 8."""


def make_run(folder: Path, **changes: Any) -> Path:
    """Write a model, data and a run file for `vapo train` into a folder; return the run file."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(4):
        names = [f"{number}-{place}.png" for place in range(1 + number % 2)]
        for place, name in enumerate(names):
            pixels = rng.integers(0, 255, (56, 42 + 21 * place, 3)).astype("uint8")
            Image.fromarray(pixels).save(folder / name)
        question = "Compare <image> with <image>, please." if len(names) > 1 else f"What is it? {number} <|im_end|>"
        rows.append({"problem": question, "answer": "8", "images": names, "claims": CLAIMS, "id": f"row-{number}"})
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {
        "model_name_or_path": str(save_tiny("qwen2_5_vl", folder / "model")),
        "data": str(folder / "data.jsonl"),
        "id_column": "id",
        "output_dir": str(folder / "run"),
        "system_prompt": SYSTEM_PROMPT,
        "num_generations": GROUP,
        "generation_batch_size": 4 * GROUP,
        "update_batch_size": 2 * GROUP,
        "per_device_train_batch_size": GROUP,
        "lr_scheduler_type": "constant",
        "num_anchors": 4,
        "max_prompt_tokens": 256,
        "max_completion_length": 96,
        "max_steps": 4,
        "seed": 7,
        **changes,
    }
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(options))
    return file


def plan(run: Path, folder: Path) -> Path:
    """Do what a user does to move a run file to verl, but for the training; return the folder of the run."""
    assert main(["verl", "config", str(run), "--out", str(folder), "--gpus-per-node", "1"]) == 0
    data = [str(run.parent / "data.jsonl"), "--out", str(folder / "train.parquet")]
    assert main(["verl", "convert", *data, "--system-prompt", SYSTEM_PROMPT]) == 0
    return folder


def compose_small(folder: Path, changes: dict[str, Any] | None = None) -> Any:
    """Compose a run's configuration, with what a machine without a GPU needs."""
    from omegaconf import OmegaConf, open_dict

    config = compose(folder)
    with open_dict(config):
        config.trainer.device = "cpu"
        config.actor_rollout_ref.rollout.agent.num_workers = 1
        config.data.dataloader_num_workers = 0
        for path, value in (changes or {}).items():
            OmegaConf.update(config, path, value)
    return config


def start_server(config: Any) -> Any:
    """Start a server whose rollouts are `RESPONSES`; return its handle."""
    import ray
    from verl_world.small_server import SmallServer

    actor = ray.remote(SmallServer).options(num_cpus=0, max_concurrency=100)
    length = config.actor_rollout_ref.rollout.response_length
    return actor.remote(config.actor_rollout_ref.model.path, encode_responses(), length)


def make_client(config: Any, router: Any) -> Any:
    """Return verl's own client, which reaches servers through verl's own router."""
    from verl.workers.rollout.llm_server import LLMServerClient

    return LLMServerClient(config, router)


def read_rows(config: Any, count: int = 4) -> dict[str, Any]:
    """Return rows as verl's data set and collator make them of the run's file."""
    from verl.utils.config import omega_conf_to_dataclass
    from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

    model = omega_conf_to_dataclass(config.actor_rollout_ref.model)
    rows = RLHFDataset(config.data.train_files, model.tokenizer, config.data, model.processor)
    batch = collate_fn([rows[number] for number in range(count)])
    batch["uid"] = np.array([str(uuid.uuid4()) for _ in range(count)], dtype=object)
    return batch


def encode_responses() -> list[list[int]]:
    """Return the group's responses in tokens, each with its end."""
    tokenizer = tiny_tokenizer()
    return [[*tokenizer.encode(response, add_special_tokens=False), tokenizer.eos_token_id] for response in RESPONSES]


def make_prompts(config: Any, batch: dict[str, Any]) -> Any:
    """Return rows as verl's V0 trainer hands them to its agent-loop manager."""
    from verl import DataProto

    prompts = DataProto.from_single_dict(dict(batch))
    prompts.meta_info = {"global_steps": 1, "validate": False}
    prompts = prompts.repeat(repeat_times=config.actor_rollout_ref.rollout.n, interleave=True)
    prompts.non_tensor_batch["priority"] = np.arange(len(prompts), dtype=np.int64)
    return prompts


def roll_out_here(config: Any, client: Any, batch: dict[str, Any]) -> Any:
    """Roll out with verl's agent-loop worker in this process."""
    from verl.experimental.agent_loop import AgentLoopWorker
    from verl.utils.ray_utils import get_event_loop

    worker = AgentLoopWorker(config, client)
    return get_event_loop().run_until_complete(worker.generate_sequences(make_prompts(config, batch)))


def roll_out_v0(config: Any, client: Any, batch: dict[str, Any]) -> Any:
    """Roll out with verl's V0 manager and its workers on Ray, as its V0 trainer does."""
    from verl.experimental.agent_loop import AgentLoopManager

    manager = AgentLoopManager.create(config=config, llm_client=client)
    return manager.generate_sequences(make_prompts(config, batch))


class V1:
    """verl's V1 trainer as far as a machine without a GPU takes it: rollouts, replay buffer, advantages.

    The methods are the trainer's own; this stands where its GPU workers would.
    """

    def __init__(self, config: Any, client: Any) -> None:
        import transfer_queue
        from verl.trainer.ppo.v1 import AgentLoopManagerTQ
        from verl.trainer.ppo.v1.trainer_base import PPOTrainer

        transfer_queue.init(config.transfer_queue)
        self._trainer = PPOTrainer
        self.config = config
        self.trainer_mode = config.trainer.v1.trainer_mode
        self.global_steps = 1
        self.agent_loop_manager = AgentLoopManagerTQ.create(config=config, llm_client=client)
        self.replay_buffer = PPOTrainer._build_replay_buffer(self)

    def _resolve_filter_groups_metric(self) -> Any:
        return self._trainer._resolve_filter_groups_metric(self)

    def _add_prompts_to_generate(self, num_prompts: int) -> int:
        raise AssertionError(f"{num_prompts} more prompts are wanted")

    def roll_out(self, batch: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Roll out and return the keys of the batch with the metrics that the trainer would log."""
        from verl.utils import tensordict_utils

        rows = tensordict_utils.get_tensordict(dict(batch))
        tensordict_utils.assign_non_tensor_data(rows, "global_steps", self.global_steps)
        self._trainer._submit_batch_to_rollout(self, rows)
        return self.replay_buffer.sample(global_steps=self.global_steps, partition_id="train", batch_size=len(rows))

    def read(self, keys: Any, *fields: str) -> Any:
        """Return fields of a batch."""
        import transfer_queue

        return transfer_queue.kv_batch_get(keys=keys.keys, partition_id="train", select_fields=list(fields))

    def compute_advantages(self, keys: Any) -> list[float]:
        """Return what the trainer's own method makes of the rewards, for each completion."""
        import transfer_queue

        # The actor would score the completions anew, on a GPU.
        scores = self.read(keys, "rollout_log_probs")
        scores["old_log_probs"] = scores.pop("rollout_log_probs")
        transfer_queue.kv_batch_put(keys=keys.keys, partition_id=keys.partition_id, fields=scores)
        self._trainer._compute_advantage(self, keys, {})
        return [float(row[0]) for row in self.read(keys, "advantages")["advantages"]]
