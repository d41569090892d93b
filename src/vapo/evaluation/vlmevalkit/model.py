"""A model of VLMEvalKit that answers as `vapo evaluate` does: the trainer's prompts, greedy, no image tokens."""

# pyright: reportMissingImports=false
# VLMEvalKit is a clone that the user stands in.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL.Image import Image
from vlmeval.vlm.base import BaseModel

from vapo.core.grading import extract_answer, take_answer_part
from vapo.data.image_files import Folder
from vapo.data.images import ImagePolicy, open_image
from vapo.data.prompts import PLACE
from vapo.errors import ConfigError, DataError
from vapo.evaluation.suites.suite import MAX_NEW_TOKENS, PROMPT
from vapo.models.policy.checkpoint import load_policy
from vapo.models.policy.generation import sample_completions
from vapo.run_folder import choose_system_prompt, choose_think_tags
from vapo.types import Sample


class VapoChat(BaseModel):
    r"""Answer VLMEvalKit's messages with a transformers model.

    It returns what stands in the last `\boxed{}` behind the thinking, or all behind the thinking where there is none:
    VLMEvalKit's own rules and judges look for an answer in what they are given.

    Args:
        model: checkpoint folder or name on the hub.
        system_prompt: how it is asked; an empty one stands for no system message. None takes the prompt of the model's
            run, else the recipes'.
        max_new_tokens: longest response.
        device, dtype: as in `vapo evaluate`.
        trust_remote_code: run code that comes with the checkpoint.

    Raises:
        ConfigError: an option is not one of these.
        ModelError: the model cannot be used.
    """

    INTERLEAVE = True

    def __init__(
        self,
        model: str,
        system_prompt: str | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        device: str = "auto",
        dtype: str = "auto",
        trust_remote_code: bool = False,
        use_vllm: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown or use_vllm:
            named = ", ".join(map(repr, [*unknown, *(["use_vllm"] if use_vllm else [])]))
            raise ConfigError(
                f"VapoChat has no option {named}; it has system_prompt, max_new_tokens, device, dtype and "
                "trust_remote_code. For vLLM, start a server and name it with run.py's own --base-url"
            )
        self._policy = load_policy(
            model,
            device=device,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            think_tags=choose_think_tags(None, model),
        )
        given = choose_system_prompt(system_prompt, model, "with the prompt of the paper's suite")
        self._system_prompt = PROMPT if given is None and system_prompt is None else given
        self._max_new_tokens = max_new_tokens

    def generate_inner(self, message: Sequence[Mapping[str, Any]], dataset: str | None = None) -> str:
        """Answer one question.

        Args:
            message: texts and paths of images, in order.
            dataset: the benchmark's name.

        Raises:
            DataError: the question has no image, or one that cannot be opened.
        """
        texts = [PLACE if part["type"] == "image" else str(part["value"]).replace(PLACE, "") for part in message]
        images = tuple(_open(part["value"]) for part in message if part["type"] == "image")
        if not images:
            raise DataError(
                f"{dataset or 'the benchmark'}: a question has no image, which this model cannot answer: "
                f"{''.join(texts)[:80]!r}; leave the row out"
            )
        sample = Sample(str(dataset), images, "".join(texts), "")
        (rollouts,) = sample_completions(
            self._policy,
            [sample],
            max_completion_tokens=self._max_new_tokens,
            temperature=0,
            system_prompt=self._system_prompt,
        )
        response = rollouts[0].answer_text
        return extract_answer(response) or take_answer_part(response)


def _open(path: str) -> Image:
    file = Path(path).resolve()
    try:
        return open_image(file.name, Folder(file.parent, file.parent), ImagePolicy())
    except DataError as error:
        raise DataError(f"{path} cannot be opened as an image ({error}); fetch the benchmark's data anew") from None
