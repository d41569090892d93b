from __future__ import annotations

import re
from dataclasses import replace

import pytest
from prober_contract import make_rollout, make_sample
from tiny_models import FAMILIES, build_tiny

from vapo.diagnosis.transformers.image_replay import REPLAY_SENTENCE, ImageReplay, find_replay_obstacle
from vapo.errors import ConfigError, ModelError
from vapo.models.policy.checkpoint import Policy
from vapo.models.policy.prompt_writer import PromptWriter

SAY = "#{% for p in m.content %}{% if p.type == 'image' %}<|image_pad|>{% else %}{{ p.text }}{% endif %}{% endfor %}"
RESPONSE = "I see a 3, then a 5. So"


@pytest.fixture(scope="module", params=FAMILIES)
def policy(request):
    if request.param == "llava_onevision":
        pytest.skip("several images are shown to it otherwise than one")
    return Policy(*build_tiny(request.param), name="tiny")


@pytest.fixture
def llava():
    return Policy(*build_tiny("llava"), name="tiny")


def write(policy, sample=None):
    return make_rollout(policy.processor, sample or make_sample("first"), RESPONSE)


def count_images(policy, ids):
    return ids.count(policy.model.config.image_token_id)


def write_conversation(policy, sample, again, response=RESPONSE):
    """The definition: the whole conversation as the processor writes it."""

    def user(images, text):
        content = [*({"type": "image", "image": image} for image in images), {"type": "text", "text": text}]
        return {"role": "user", "content": content}

    messages = [
        user(sample.images, sample.question),
        {"role": "assistant", "content": [{"type": "text", "text": response}]},
    ]
    messages.append(user(again, REPLAY_SENTENCE))
    return policy.processor.apply_chat_template(
        [messages], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )


@pytest.mark.parametrize("num_images", [1, 2])
def test_equals_the_conversation_that_the_processor_writes(policy, num_images):
    rollout = write(policy, make_sample("first", num_images=num_images))
    shown = ImageReplay(policy).show_again(rollout, len(rollout.completion_ids), 0.5)
    assert [image.size for image in shown.sample.images] == [(56, 42)] * num_images + [(28, 21)] * num_images
    expected = write_conversation(policy, rollout.sample, shown.sample.images[num_images:])
    assert list(shown.prompt_ids) == expected["input_ids"][0].tolist()
    assert shown.completion_ids == ()


def test_tokens_that_the_tokenizer_would_not_write_stay(policy):
    rollout = write(policy)
    letters = tuple(policy.processor.tokenizer.convert_tokens_to_ids(list("Isee")))
    rollout = replace(rollout, completion_ids=letters, token_texts=tuple("Isee"))
    shown = ImageReplay(policy).show_again(rollout, 3, 0.5)
    assert shown.prompt_ids[: len(rollout.prompt_ids) + 3] == rollout.prompt_ids + letters[:3]


def test_again_and_again(policy):
    replay = ImageReplay(policy)
    once = replay.show_again(write(policy), 4, 0.5)
    twice = replay.show_again(replace(once, completion_ids=(7, 8, 9), token_texts=("", "", "")), 2, 0.5)
    assert [image.size for image in twice.sample.images] == [(56, 42), (28, 21), (28, 21)]
    turn = once.prompt_ids[len(write(policy).prompt_ids) + 4 :]
    assert twice.prompt_ids == (*once.prompt_ids, 7, 8, *turn)


def test_the_end_token_is_left_to_the_template(llava):
    eos_id = llava.processor.tokenizer.eos_token_id
    rollout = write(llava)
    ended = replace(rollout, completion_ids=(*rollout.completion_ids[:3], eos_id), token_texts=("",) * 4)
    assert ImageReplay(llava).show_again(ended, 4, 0.5) == ImageReplay(llava).show_again(ended, 3, 0.5)


def test_places_in_the_question_stay_where_they_are(llava):
    sample = replace(make_sample("first"), question="In <image>, what is it?")
    rollout = replace(write(llava, sample), prompt_ids=PromptWriter(llava).write(sample).ids)
    shown = ImageReplay(llava).show_again(rollout, 2, 0.5)
    assert shown.sample.question == sample.question and len(shown.sample.images) == 2


def test_a_system_prompt(llava):
    prompt = PromptWriter(llava, "Think.").write(make_sample("first"))
    rollout = replace(write(llava), prompt_ids=prompt.ids)
    assert ImageReplay(llava, "Think.").show_again(rollout, 2, 0.5).prompt_ids[: len(prompt.ids)] == prompt.ids
    with pytest.raises(ModelError, match="writes the first turn otherwise"):
        ImageReplay(llava).show_again(rollout, 2, 0.5)


def test_no_image(llava):
    blind = replace(write(llava), sample=replace(make_sample("first"), images=()))
    with pytest.raises(ModelError, match="sample 'first' has no image"):
        ImageReplay(llava).show_again(blind, 2, 0.5)


@pytest.mark.parametrize("scale", [0, 1.01])
def test_scale_out_of_range(llava, scale):
    with pytest.raises(ConfigError, match="scale is"):
        ImageReplay(llava).show_again(write(llava), 2, scale)


class TestObstacles:
    def test_none(self, policy):
        assert find_replay_obstacle(policy) is None

    @pytest.mark.torchvision
    def test_several_images_look_otherwise_than_one(self):
        policy = Policy(*build_tiny("llava_onevision"), name="tiny")
        assert "writes the first turn otherwise once another image follows" in find_replay_obstacle(policy)

    @pytest.mark.parametrize(
        ("template", "message"),
        [
            ("{% for m in messages | reverse %}" + SAY + "{% endfor %}", "writes the first turn otherwise"),
            # From transformers 5.18 on, the processor counts images itself and refuses.
            ("{% for m in messages[-1:] %}" + SAY + "{% endfor %}", "the first turn otherwise|refuses the turns"),
            ("{% for m in messages if m.role == 'user' %}" + SAY + "{% endfor %}", "does not put a user turn"),
            (
                "{% if messages | length > 1 %}{{ raise_exception('one turn alone') }}{% endif %}"
                "{% for m in messages %}" + SAY + "{% endfor %}",
                r"refuses the turns \(one turn alone\)",
            ),
        ],
        ids=["last message first", "last message alone", "user alone", "one turn alone"],
    )
    def test_chat_templates(self, llava, template, message):
        llava.processor.chat_template = template
        assert re.search(message, find_replay_obstacle(llava) or "")
