"""Continue many cuts of a response: prompt, images and response are read once, and each branch writes on its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from vapo.diagnosis.transformers.aligned_rows import Branch, score_ends, take_last, write_on
from vapo.diagnosis.transformers.response_reader import ResponseReader
from vapo.errors import ConfigError, ModelError
from vapo.models.images import process_images
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.generation import complete_prompts, find_eos_token_ids
from vapo.models.policy.inference import inference
from vapo.models.policy.prompt_writer import Prompt
from vapo.models.policy.rollout_row import lay_row, reading_row
from vapo.models.vision_tokens import find_image_token_id

MAX_BATCH_TOKENS = 32_768
"""Tokens whose keys and values are held at a time: 1.9 GB with Qwen2.5-VL-7B in bfloat16."""


def continue_branches(
    policy: Policy,
    branches: Sequence[Branch],
    max_new_tokens: int,
    *,
    max_batch_tokens: int = MAX_BATCH_TOKENS,
) -> list[tuple[int, ...]]:
    """Return the tokens that the model writes behind each branch, the likeliest each time, with the end token.

    The same tokens, up to rounding, as if each branch were a prompt of its own; and a model whose memory cannot be
    cut, or that a first look finds to read otherwise, is given them so. Tokens that stand for images are never
    written. Behind an end token nothing is written.

    Args:
        policy: the model and its processor.
        branches: any number, of any responses.
        max_new_tokens: longest continuation, at least 1.
        max_batch_tokens: tokens of branches that are continued together, new ones included; a longer branch is
            continued alone.

    Raises:
        ConfigError: a number is out of its range.
        ModelError: a branch leaves no room in the model's context.
        ValueError: a branch is cut beyond its response.
    """
    for name, value in {"max_new_tokens": max_new_tokens, "max_batch_tokens": max_batch_tokens}.items():
        if value < 1:
            raise ConfigError(f"{name} is {value}; it must be at least 1")
    for branch in branches:
        _check(policy, branch, max_new_tokens)
    eos_ids = find_eos_token_ids(policy)
    open_ends = [number for number, branch in enumerate(branches) if branch.all_ids[-1] not in eos_ids or branch.ids]
    reader = ResponseReader(policy)
    written: list[tuple[int, ...]] = [()] * len(branches)
    image_token_id = find_image_token_id(policy.model.config)
    with inference(policy.model):
        for batch in _split(branches, open_ends, image_token_id, max_new_tokens, max_batch_tokens):
            own = [branches[number] for number in batch]
            responses = reader.read([branch.rollout for branch in own])
            new = None if responses is None else write_on(policy, own, responses, max_new_tokens, eos_ids)
            if new is None:
                new = _start_over(policy, own, max_new_tokens, eos_ids)
            for number, ids in zip(batch, new, strict=True):
                written[number] = ids
    return written


def score_branches(
    policy: Policy,
    branches: Sequence[Branch],
    counts: Sequence[int],
    *,
    max_batch_tokens: int = MAX_BATCH_TOKENS,
) -> list[tuple[float, ...]]:
    """Return the log-probabilities of the last tokens of each branch, in nats, among the whole vocabulary.

    Equal, up to rounding, to those of a plain pass over the whole row; and read so by a model whose memory cannot be
    cut.

    Args:
        policy: the model and its processor.
        branches: any number, of any responses.
        counts: for each branch the number of its last tokens, from 0 to the number of its `ids`.
        max_batch_tokens: as for `continue_branches`.

    Raises:
        ModelError: a branch is longer than the model's context.
        ValueError: a branch is cut beyond its response, or a count is out of its range.
    """
    for branch, count in zip(branches, counts, strict=True):
        _check(policy, branch, 0)
        if not 0 <= count <= len(branch.ids):
            raise ValueError(f"{count} tokens are to be scored of a branch that ends in {len(branch.ids)}")
    reader = ResponseReader(policy)
    scored: list[tuple[float, ...]] = [()] * len(branches)
    image_token_id = find_image_token_id(policy.model.config)
    wanted = [number for number, count in enumerate(counts) if count]
    with inference(policy.model):
        for batch in _split(branches, wanted, image_token_id, 0, max_batch_tokens, before=1):
            own, own_counts = [branches[number] for number in batch], [counts[number] for number in batch]
            responses = reader.read([branch.rollout for branch in own])
            found = None if responses is None else score_ends(policy, own, responses, own_counts)
            if found is None:
                found = [_score_plainly(policy, *one) for one in zip(own, own_counts, strict=True)]
            for number, logprobs in zip(batch, found, strict=True):
                scored[number] = logprobs
    return scored


def _score_plainly(policy: Policy, branch: Branch, count: int) -> tuple[float, ...]:
    ids = branch.rollout.completion_ids[: branch.index] + branch.ids
    row = lay_row(policy, replace(branch.rollout, completion_ids=ids, token_texts=("",) * len(ids)))
    with reading_row(policy, row):
        logits = policy.model(**row.inputs, use_cache=False, logits_to_keep=count + 1).logits[0].float()
    return take_last(logits, row.inputs["input_ids"][0].to(logits.device), count)


def _check(policy: Policy, branch: Branch, max_new_tokens: int) -> None:
    length = len(branch.rollout.completion_ids)
    if not 0 <= branch.index <= length:
        raise ValueError(f"a cut behind {branch.index} tokens of a response that has {length}")
    context: int | None = getattr(policy.model.config.get_text_config(), "max_position_embeddings", None)
    if context is not None and branch.num_tokens + max_new_tokens > context:
        raise ModelError(
            f"sample {branch.rollout.sample.id!r}: {branch.num_tokens} tokens (images included) stand before the "
            f"cut, and with {max_new_tokens} new ones they exceed the model's context of {context}; ask for fewer new "
            "tokens, for shorter responses, or use smaller images"
        )


def _split(
    branches: Sequence[Branch],
    numbers: Sequence[int],
    image_token_id: int,
    max_new_tokens: int,
    max_batch_tokens: int,
    before: int = 0,
) -> Iterator[list[int]]:
    """Yield the numbers of branches to be continued together, those of one response side by side.

    Prompts with images and prompts without are not put together, as some models read only one kind at a time.
    Every row of a batch is fed as many tokens as the longest has behind its cut. Shorter ones are fed the end of
    their response once more, which must not reach back into an image. `before` tokens before the cut are fed too.
    """
    by_response: dict[int, list[int]] = {}
    for number in numbers:
        by_response.setdefault(id(branches[number].rollout), []).append(number)
    batch: list[int] = []
    longest, fed, text, seeing = 0, 0, 0, True
    by_kind = sorted(by_response.values(), key=lambda own: not branches[own[0]].rollout.sample.images)
    for number in (number for own in by_kind for number in own):
        branch = branches[number]
        own_seeing = bool(branch.rollout.sample.images)
        own_longest, own_fed = branch.num_tokens + max_new_tokens, max(1, len(branch.ids) + before)
        own_text = _count_text_behind_images(branch, image_token_id)
        if batch and (
            max(longest, own_longest) * (len(batch) + 1) > max_batch_tokens
            or max(fed, own_fed) > min(text, own_text)
            or own_seeing != seeing
        ):
            yield batch
            batch = []
        if not batch:
            longest, fed, text = own_longest, own_fed, own_text
        batch.append(number)
        seeing = own_seeing
        longest, fed, text = max(longest, own_longest), max(fed, own_fed), min(text, own_text)
    if batch:
        yield batch


def _count_text_behind_images(branch: Branch, image_token_id: int) -> int:
    ids = branch.all_ids
    return next((back for back in range(len(ids)) if ids[-1 - back] == image_token_id), len(ids))


def _start_over(
    policy: Policy, branches: Sequence[Branch], max_new_tokens: int, eos_ids: Sequence[int]
) -> list[tuple[int, ...]]:
    samples = {id(branch.rollout): branch.rollout.sample for branch in branches}
    images = {key: process_images(policy.processor, sample.images) for key, sample in samples.items()}
    prompts = [Prompt(b.rollout.sample, b.all_ids, images[id(b.rollout)]) for b in branches]
    return complete_prompts(policy, prompts, max_new_tokens, eos_ids)
