"""A model of lmms-eval that answers as `vapo evaluate` does: the trainer's prompts, and no image tokens."""

# pyright: reportMissingImports=false
# lmms-eval stands beside the environment that types are checked in.
from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lmms_eval.api.instance import GenerationResult, TokenCounts
from lmms_eval.api.model import lmms
from lmms_eval.models.model_utils.gen_metrics import log_metrics
from tqdm import tqdm

from vapo.data.prompts import PLACE
from vapo.errors import ConfigError
from vapo.models.policy.checkpoint import load_policy
from vapo.models.policy.generation import sample_completions
from vapo.models.think_tags import spell_usual_tags
from vapo.run_folder import choose_think_tags
from vapo.types import Sample


class VapoModel(lmms):
    """Answer the harness's conversations with a transformers model.

    Args:
        pretrained: checkpoint folder or name on the hub.
        batch_size: responses generated together.
        device, dtype: as in `vapo evaluate`.
        system_prompt: takes the place of the tasks' own; an empty one stands for none.
        trust_remote_code: run code that comes with the checkpoint.

    Raises:
        ConfigError: an option is not one of these.
        ModelError: the model cannot be used.
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str,
        batch_size: int | str = 16,
        device: str = "auto",
        dtype: str = "auto",
        system_prompt: str | None = None,
        trust_remote_code: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            raise ConfigError(
                f"the model 'vapo' of lmms-eval has no option {', '.join(map(repr, unknown))}; it has pretrained, "
                "batch_size, device, dtype, system_prompt and trust_remote_code"
            )
        # Where `accelerate launch` started several processes, each has a card of its own.
        own = os.environ.get("LOCAL_RANK")
        if device == "auto" and own is not None and torch.cuda.is_available():
            device = f"cuda:{own}"
        self._policy = load_policy(
            pretrained,
            device=device,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            think_tags=choose_think_tags(None, pretrained),
        )
        self._batch_size = int(batch_size)
        self._system_prompt = system_prompt

    @property
    def device(self) -> torch.device:
        """Where the harness may put what it gathers from several processes."""
        return self._policy.model.device

    def generate_until(self, requests: Sequence[Any]) -> list[GenerationResult]:
        """Answer each request, in order: greedily, or as its `temperature`, `top_p` and `seed` say if it samples."""
        results: list[GenerationResult] = []
        began = time.perf_counter()
        with tqdm(total=len(requests), desc="answering", disable=self.rank != 0) as bar:
            for group in _group_alike(requests, self.task_dict):
                for rollouts in sample_completions(
                    self._policy,
                    group.conversations,
                    max_completion_tokens=group.max_tokens,
                    temperature=group.temperature,
                    top_p=group.top_p,
                    batch_size=self._batch_size,
                    system_prompt=group.system_prompt if self._system_prompt is None else self._system_prompt or None,
                ):
                    rollout = rollouts[0]
                    counts = TokenCounts(len(rollout.prompt_ids), len(rollout.completion_ids))
                    results.append(GenerationResult(spell_usual_tags(rollout.text, rollout.think_tags), counts))
                    bar.update()
        seconds = time.perf_counter() - began
        tokens = sum(result.token_counts.output_tokens or 0 for result in results if result.token_counts)
        log_metrics(seconds, tokens, tokens / seconds)
        return results

    def loglikelihood(self, requests: Any) -> Any:
        """Refuse: the suites ask for responses."""
        raise ConfigError("the model 'vapo' of lmms-eval writes responses; choose a task of type generate_until")

    def generate_until_multi_round(self, requests: Any) -> Any:
        """Refuse: the suites ask once."""
        raise ConfigError("the model 'vapo' of lmms-eval answers once; choose a task of type generate_until")


class _Conversations(Sequence[Sample]):
    """The requests of one task as samples, each read when its turn comes, so that few images are held at a time."""

    def __init__(self, requests: Sequence[Any], rows: Mapping[str, Any]) -> None:
        self._requests = requests
        self._rows = rows

    def __len__(self) -> int:
        return len(self._requests)

    def __getitem__(self, number: Any) -> Any:
        _, put_messages, settings, row, task, split = self._requests[number].args
        parts = _find_turn(put_messages(self._rows[task][split][row]), "user")
        images = tuple(part["url"] for part in parts if part["type"] == "image")
        text = "".join(PLACE if part["type"] == "image" else part["text"] for part in parts)
        # The draws of a sample follow from its name.
        return Sample(f"{task}-{row}-{settings.get('seed', 0)}", images, text, "")

    def read_system_prompt(self) -> str | None:
        """Return the text of the system's turn, which is the same in all conversations of a task."""
        _, put_messages, _, row, task, split = self._requests[0].args
        parts = _find_turn(put_messages(self._rows[task][split][row]), "system")
        return "".join(part["text"] for part in parts) or None


class _Group:
    def __init__(self, requests: Sequence[Any], rows: Mapping[str, Any]) -> None:
        settings = requests[0].args[2]
        self.temperature = float(settings.get("temperature") or 0) if settings.get("do_sample") else 0.0
        self.top_p = float(settings.get("top_p") or 1)
        self.max_tokens = int(settings["max_new_tokens"])
        self.conversations = _Conversations(requests, rows)
        self.system_prompt = self.conversations.read_system_prompt()


def _group_alike(requests: Sequence[Any], rows: Mapping[str, Any]) -> list[_Group]:
    """Split requests where the task or its settings change; they come task by task."""
    runs: list[list[Any]] = []
    for request in requests:
        if runs and _settle(runs[-1][0]) == _settle(request):
            runs[-1].append(request)
        else:
            runs.append([request])
    return [_Group(run, rows) for run in runs]


def _settle(request: Any) -> tuple[str, dict[str, Any]]:
    """Return what requests asked together have in common."""
    return request.args[4], {name: value for name, value in request.args[2].items() if name != "seed"}


def _find_turn(messages: Sequence[Mapping[str, Any]], role: str) -> Sequence[Mapping[str, Any]]:
    return [part for message in messages if message["role"] == role for part in message["content"]]
