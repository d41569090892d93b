"""Claims that a policy in this process writes, with the instruction, the filters and the tries of `vapo claims make`.

Nothing is kept here. What is asked follows from what the policy wrote before, as it does where a server is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from vapo.claims.filters.claim_filter import filter_claims
from vapo.claims.making.image_set_state import ImageSetState
from vapo.claims.making.response_parser import parse_claims
from vapo.claims.making.settings import MakingSettings
from vapo.claims.store.claims import NewClaim, StoredClaim
from vapo.claims.store.images import StoredImage, name_image_set
from vapo.claims.store.requests import NewRequest, StoredRequest
from vapo.data.images import ImagePolicy, open_image
from vapo.data.prompts import PLACE
from vapo.errors import ModelError
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import find_eos_token_ids, is_finished, sample_completions
from vapo.models.policy.prompt_writer import PromptWriter
from vapo.types import Sample


def write_claims(
    policy: Policy, image_sets: Sequence[Sequence[StoredImage]], settings: MakingSettings, *, batch_size: int
) -> list[list[NewClaim]]:
    """Return the claims that a policy writes about images, those that are left out with the reason.

    There are none about images whose prompt leaves no room in the model's context.

    Args:
        policy: the model and its processor; the model's mode is restored after each batch.
        image_sets: the images of each.
        settings: what is asked for.
        batch_size: image sets asked about together, at most.

    Raises:
        ModelError: no prompt leaves any room.
    """
    pending = [_Pending(policy, images, settings) for images in image_sets]
    while waiting := [one for one in pending if not one.is_done]:
        for start in range(0, len(waiting), batch_size):
            _ask(policy, waiting[start : start + batch_size])
    refused = [one.refused for one in pending if one.refused is not None]
    if refused and len(refused) == len(pending):
        raise refused[0]
    return [[NewClaim(own.claim, own.kind, own.rejected_for) for own in one.state.claims] for one in pending]


class _Pending:
    """What was asked about an image set, and what came of it."""

    def __init__(self, policy: Policy, images: Sequence[StoredImage], settings: MakingSettings) -> None:
        self.images = images
        self.settings = settings
        self.refused: ModelError | None = None
        self.state = ImageSetState(name_image_set([image.name for image in images]), (), ())
        self._policy = policy

    @property
    def is_done(self) -> bool:
        return self.refused is not None or self.state.find_outcome(self.settings) is not None

    def write_question(self) -> NewRequest:
        return self.state.write_request(self.settings, len(self.images), self._policy.name, "this process")

    def read(self, question: NewRequest, text: str, finish_reason: str) -> None:
        """Add the claims of an answer."""
        before, name = self.state, self._policy.name
        reading, number = parse_claims(text, finish_reason), len(before.requests) + 1
        kept = filter_claims(reading.claims, before.make_pool(self.settings.per_image), self.settings.filters)
        claims = [StoredClaim(0, 0, new.claim, new.kind, name, number, new.rejected_for) for new in kept]
        trouble = reading.trouble or None
        request = StoredRequest(number, 0, number, "read", name, question.num_true, question.num_false, trouble)
        self.state = ImageSetState(before.key, [*before.claims, *claims], [*before.requests, request])


def _ask(policy: Policy, pending: Sequence[_Pending]) -> None:
    """Ask about some image sets together."""
    writer, eos_ids = PromptWriter(policy), find_eos_token_ids(policy)
    asked: list[tuple[_Pending, NewRequest, Sample]] = []
    rooms: list[int] = []
    for one in pending:
        question = one.write_question()
        sample = write_sample(question.instruction, one.images, question.options["seed"])
        try:
            rooms.append(find_room(policy, writer, sample, one.settings.max_tokens))
        except ModelError as error:
            one.refused = error
        else:
            asked.append((one, question, sample))
    if not asked:
        return
    rollouts = sample_completions(
        policy,
        [sample for _, _, sample in asked],
        max_completion_tokens=min(rooms),
        temperature=pending[0].settings.temperature,
        batch_size=len(asked),
    )
    for (one, question, _), (rollout,) in zip(asked, rollouts, strict=True):
        finish_reason = "stop" if is_finished(rollout, eos_ids) else "length"
        one.read(question, "".join(rollout.token_texts), finish_reason)


def write_sample(instruction: str, images: Sequence[StoredImage], seed: int) -> Sample:
    """Return what a policy is asked: the instruction, and behind it the images; draws depend on the seed alone."""
    shown = tuple(open_image(image.content, None, ImagePolicy()) for image in images)
    return Sample(id=str(seed), images=shown, question=instruction + PLACE * len(images), answer="")


def find_room(policy: Policy, writer: PromptWriter, sample: Sample, max_tokens: int) -> int:
    """Return how many tokens an answer may have: so many, or what the context leaves behind the prompt.

    Raises:
        ModelError: it leaves nothing.
    """
    context: int | None = getattr(policy.model.config.get_text_config(), "max_position_embeddings", None)
    length = len(writer.write(sample, room_for=1).ids)
    return max_tokens if context is None else min(max_tokens, context - length)
