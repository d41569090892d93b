"""Show a model its image again in the middle of its response, as a user turn (arXiv 2509.25848, Appendix A.5).

Behind the sampled tokens stands what the model's own chat template writes between an assistant turn and the next one:
the end of the turn, a user turn with the image, and the beginning of a new assistant turn. The sampled tokens stay
as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PIL.Image import Image
from PIL.Image import new as new_image
from trl.data_utils import prepare_multimodal_messages

from vapo.data.image_views import GREY
from vapo.data.prompts import PLACE, build_messages
from vapo.data.repeated_images import REPLAY_SENTENCE, STAND_INS, find_common_end, repeat_images
from vapo.errors import ModelError
from vapo.models.images import apply_chat_template
from vapo.models.plain_text import make_escaper
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import find_eos_token_ids
from vapo.models.policy.prompt_writer import PromptWriter
from vapo.models.vision_tokens import find_image_token_id
from vapo.types import Rollout, Sample


class ImageReplay:
    """Write the turn that shows images again, for one model.

    Args:
        policy: the model and its processor.
        system_prompt: as for the responses.
    """

    def __init__(self, policy: Policy, system_prompt: str | None = None) -> None:
        self._name = policy.name
        self._processor = policy.processor
        self._system_prompt = system_prompt
        self._image_token_id = find_image_token_id(policy.model.config)
        self._eos_ids = find_eos_token_ids(policy)
        self._escape = make_escaper(policy.processor)

    def show_again(self, rollout: Rollout, index: int, scale: float) -> Rollout:
        """Return a rollout without completion, whose prompt holds everything up to the new assistant turn.

        Its sample has one image more for each of the question's own. A rollout that was made here can be cut and
        shown the image again.

        Args:
            rollout: the response.
            index: tokens of it that are kept; its end token is left to the template.
            scale: factor of the image's sides, in (0, 1].

        Raises:
            ConfigError: the scale is out of its range.
            ModelError: the chat template cannot carry the turn, or the images' tokens depend on one another.
        """
        sample = rollout.sample
        shown = repeat_images(sample, scale)
        own = sample.images[: shown.question.count(PLACE)]
        again = shown.images[len(sample.images) :]
        turn = self._write_turn(replace(sample, images=own), again, rollout.prompt_ids)
        kept = rollout.completion_ids[:index]
        if kept and kept[-1] in self._eos_ids:
            kept = kept[:-1]
        prompt_ids = (*rollout.prompt_ids, *kept, *turn)
        self._check_images(shown.images, prompt_ids)
        return Rollout(shown, prompt_ids, (), ())

    def _write_turn(self, sample: Sample, again: Sequence[Image], prompt_ids: tuple[int, ...]) -> tuple[int, ...]:
        asked = self._render(sample, [], ())
        first, second = (
            self._render(sample, [_say("assistant", text), _say("user", REPLAY_SENTENCE, len(again))], again)
            for text in STAND_INS
        )
        if any(ids[: len(asked)] != asked for ids in (first, second, prompt_ids)):
            raise ModelError(
                f"{self._name} cannot be shown its image again: its chat template or its processor writes the first "
                "turn otherwise once another image follows; leave visual replay out"
            )
        turn = find_common_end(first, second)
        images_between = first[len(asked) : len(first) - len(turn)].count(self._image_token_id)
        if first == second or images_between or self._image_token_id not in turn:
            raise ModelError(
                f"{self._name} cannot be shown its image again: its chat template does not put a user turn with a "
                "image behind an assistant turn; leave visual replay out"
            )
        return turn

    def _render(self, sample: Sample, turns: list[dict[str, Any]], again: Sequence[Image]) -> tuple[int, ...]:
        messages = [*build_messages(sample, self._system_prompt, self._escape), *turns]
        messages = prepare_multimodal_messages(messages, [*sample.images, *again])
        try:
            encoded = apply_chat_template(self._processor, messages, add_generation_prompt=bool(turns))
        except ModelError as error:  # most often a template's, for the order of turns
            raise ModelError(
                f"{self._name} cannot be shown its image again: its chat template refuses the turns "
                f"({error.__cause__ or error}); leave visual replay out"
            ) from error
        return tuple(encoded["input_ids"][0].tolist())

    def _check_images(self, images: Sequence[Image], prompt_ids: tuple[int, ...]) -> None:
        messages = [{"role": "user", "content": [{"type": "image", "image": image} for image in images]}]
        messages[0]["content"].append({"type": "text", "text": "?"})
        together = apply_chat_template(self._processor, messages)["input_ids"][0].tolist()
        if together.count(self._image_token_id) != prompt_ids.count(self._image_token_id):
            raise ModelError(
                f"{self._name} cannot be shown its image again: how many tokens its processor makes of an image "
                "depends on the others; leave visual replay out"
            )


def find_replay_obstacle(policy: Policy, system_prompt: str | None = None) -> str | None:
    """Return why a model cannot be shown its image again, tried on a grey one, or None if it can."""
    sample = Sample("trial", (new_image("RGB", (112, 112), GREY),), "What is it?", "")
    try:
        prompt = PromptWriter(policy, system_prompt).write(sample)
        ImageReplay(policy, system_prompt).show_again(Rollout(sample, prompt.ids, (), ()), 0, 0.5)
    except ModelError as error:
        return str(error)
    return None


def _say(role: str, text: str, num_images: int = 0) -> dict[str, Any]:
    return {"role": role, "content": [*({"type": "image"} for _ in range(num_images)), {"type": "text", "text": text}]}
