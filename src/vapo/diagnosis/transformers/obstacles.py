"""What keeps a transformers model from being diagnosed, found before anything is computed and said by name."""

from __future__ import annotations

from typing import get_args

from vapo.diagnosis.transformers.image_looks import find_looks_obstacle
from vapo.diagnosis.transformers.image_replay import find_replay_obstacle
from vapo.errors import ModelError
from vapo.models.diagnosed_model import Ability
from vapo.models.image_attention import find_attention_obstacle
from vapo.models.image_features import find_feature_module
from vapo.models.policy.checkpoint import Policy, adopt_chat_template
from vapo.models.policy.generation import find_eos_token_ids, find_generator
from vapo.models.questions import ClaimQuestions
from vapo.models.vision_tokens import find_image_token_id


def find_obstacles(policy: Policy, probe_template: str, system_prompt: str | None = None) -> dict[Ability, str]:
    """Return, for each ability that a model lacks, why.

    Args:
        policy: the model and its processor.
        probe_template: how claims are asked; see `vapo.models.questions`.
        system_prompt: as for the responses.

    Raises:
        ConfigError: the template cannot carry a claim.
    """
    basic = _find_basic_obstacle(policy)
    if basic is not None:
        return dict.fromkeys(get_args(Ability), basic)
    found: dict[Ability, str] = {}
    try:
        ClaimQuestions(policy.processor.tokenizer, probe_template)
    except ModelError as error:
        found["probe"] = str(error)
    replay = find_replay_obstacle(policy, system_prompt)
    if replay is not None:
        found["replay"] = replay
    attention = find_attention_obstacle(policy.model)
    if attention is not None:
        found["attend"] = attention
    looks = attention or find_looks_obstacle(policy)
    if looks is not None:
        found["locate"] = looks
    return found


def _find_basic_obstacle(policy: Policy) -> str | None:
    try:
        adopt_chat_template(policy.processor, policy.name)
        find_image_token_id(find_feature_module(policy.model).config)
        find_generator(policy.model)
        find_eos_token_ids(policy)
    except ModelError as error:
        return str(error)
    return None
