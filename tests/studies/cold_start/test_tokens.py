import numpy as np
import pytest
from transformers import AutoModelForImageTextToText, AutoProcessor

from studies.cold_start.model import ModelSize, build_model
from studies.cold_start.tokens import SPECIAL_TOKENS, THINK_TOKENS, build_processor, train_tokenizer
from vapo.lab.world import draw_scene, paint, photograph
from vapo.models.questions import PROBE_TEMPLATE


def write_prompt(processor, question: str) -> str:
    content = [{"type": "image"}, {"type": "text", "text": question}]
    return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(seed=0)


def test_every_special_token_and_verdict_is_one_token(tokenizer):
    for word in (*SPECIAL_TOKENS, *THINK_TOKENS, " yes", " no", "AU", " CW", " FZ"):
        assert len(tokenizer.encode(word)) == 1, word


def test_digits_stay_single_and_any_text_survives(tokenizer):
    assert [tokenizer.decode([token]) for token in tokenizer.encode("3.14=2+17")] == list("3.14=2+17")
    for text in ("Grüße, 世界! 🙂\n\ttab", PROBE_TEMPLATE.format(claim="The picture shows BV7.")):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_thinking_marks_stay_in_decoded_text_and_special_tokens_do_not(tokenizer):
    ids = tokenizer.encode("<think>AU3.</think>\\boxed{3}<|im_end|>")
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<think>AU3.</think>\\boxed{3}"


def test_ends_pads_and_sides_are_those_of_generation(tokenizer):
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.padding_side) == (
        "<|im_end|>",
        "<|endoftext|>",
        "left",
    )


def test_the_template_is_chatml_with_images_where_they_stand(tokenizer):
    messages = [
        {"role": "system", "content": "Look well."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "See "}, {"type": "image"}, {"type": "text", "text": "?"}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
    ]
    image = "<|vision_start|><|image_pad|><|vision_end|>"
    written = tokenizer.apply_chat_template(messages, tokenize=False)
    assert written == (
        "<|im_start|>system\nLook well.<|im_end|>\n"
        f"<|im_start|>user\nSee {image}?<|im_end|>\n"
        "<|im_start|>assistant\nYes.<|im_end|>\n"
    )
    prompted = tokenizer.apply_chat_template(messages[:2], tokenize=False, add_generation_prompt=True)
    assert prompted.endswith("?<|im_end|>\n<|im_start|>assistant\n")


def test_saved_model_and_processor_open_as_any_other(tokenizer, tmp_path):
    model = build_model(ModelSize(text_layers=1, vision_layers=1), tokenizer, seed=1)
    model.save_pretrained(tmp_path)
    build_processor(tokenizer, canvas=64).save_pretrained(tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path)
    scene = draw_scene(np.random.default_rng(0), 3, 3, "train")
    inputs = processor(
        images=[photograph(scene, 64)] * 2,
        text=[write_prompt(processor, text) for text in ("Short?", "What is the sum of row U?")],
        padding=True,
        return_tensors="pt",
    )
    assert inputs["attention_mask"][0, 0] == 0, "padded on the left"
    assert (inputs["input_ids"] == loaded.config.image_token_id).sum() == 2 * 16
    expected = (paint(scene, 64).astype(np.float32) / 255 - 0.5) / 0.5
    np.testing.assert_array_equal(inputs["pixel_values"][0].permute(1, 2, 0), expected)
    written = loaded.generate(**inputs, max_new_tokens=3, min_new_tokens=3)
    assert written.shape[1] == inputs["input_ids"].shape[1] + 3
    assert loaded.generation_config.eos_token_id == processor.tokenizer.eos_token_id


def test_the_same_seed_builds_the_same_model_and_leaves_torch_alone(tokenizer):
    import torch

    before = torch.get_rng_state()
    one, two = (build_model(ModelSize(), tokenizer, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert torch.equal(before, torch.get_rng_state())
