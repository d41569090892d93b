"""Rollout trees grown from completions: those that share a prompt and its images hang on one trunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vapo.models.images import ImageInputs
from vapo.models.tree.packed import Question, TokenTree


@dataclass(frozen=True, slots=True)
class Branch:
    """A completion with its prompt, and what to ask along it.

    Attributes:
        prompt_ids: tokens of the prompt.
        images: its images; branches of one tree hold the same object.
        completion_ids: tokens of the completion, as far as anybody looks at them.
        questions: their `completion` is filled in as the tree grows.
    """

    prompt_ids: tuple[int, ...]
    images: ImageInputs | None
    completion_ids: tuple[int, ...]
    questions: Sequence[Question] = ()


def grow_trees(branches: Sequence[Branch]) -> tuple[list[TokenTree], list[list[int]]]:
    """Return trees of the branches with the same prompt and images, and the numbers of each one's branches."""
    members: dict[tuple[tuple[int, ...], int], list[int]] = {}
    for number, own in enumerate(branches):
        members.setdefault((own.prompt_ids, id(own.images)), []).append(number)
    trees = [
        TokenTree(
            branches[numbers[0]].prompt_ids,
            branches[numbers[0]].images,
            tuple(branches[number].completion_ids for number in numbers),
            tuple(
                Question(place, question.anchor, question.ids)
                for place, number in enumerate(numbers)
                for question in branches[number].questions
            ),
        )
        for numbers in members.values()
    ]
    return trees, list(members.values())
