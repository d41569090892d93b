from __future__ import annotations

from types import SimpleNamespace

from tiny_models import build_tiny, tiny_tokenizer
from tiny_models.tokens import QWEN_ROLES

from vapo.models.media_tokens import find_vision_token_ids

MEDIA = (
    *("<|begin_of_image|>", "<|end_of_video|>", "<|IMG_LINE_BREAK|>", "[IMG_BREAK]", "<|img_row_1_col_2|>"),
    *("<row_3_col_4>", "<|tile_x_separator|>", "<patch_start>", "<frame_end>", "<slice>", "<|media_begin|>"),
    *("<audio_soft_token>", "<|VISION_START|>", "<unused_visual_atom>"),
)
TEXT = ("<think>", "[THINK]", "<|channel|>", "<tool_call>", "<|object_ref_start|>", "<box>", "<revision>", "<im_code>")


class Configuration(SimpleNamespace):
    """A configuration with one of its vision part within it."""

    def to_dict(self):
        return vars(self)

    def get_text_config(self):
        return SimpleNamespace(vocab_size=self.vocab_size)


def ids_of(tokenizer, names):
    return set(tokenizer.convert_tokens_to_ids(list(names)))


def test_every_marker_of_an_image_or_video_is_found():
    model, processor = build_tiny("llava")
    tokenizer = tiny_tokenizer()
    names = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
    for known_by in (tokenizer, processor):
        assert find_vision_token_ids(model.config, known_by) == tuple(sorted(ids_of(tokenizer, names)))


def test_a_tokenizer_alone_names_tokens_of_media_and_leaves_those_of_text():
    plain = set(find_vision_token_ids(None, tiny_tokenizer()))
    tokenizer = tiny_tokenizer((*MEDIA, *TEXT))
    assert set(find_vision_token_ids(None, tokenizer)) == plain | ids_of(tokenizer, MEDIA)


def test_special_tokens_count_by_the_names_of_their_roles():
    tokenizer = tiny_tokenizer(("<@>", "<#>"), (*QWEN_ROLES, ("boi_token", "<@>"), ("answer_token", "<#>")))
    found = set(find_vision_token_ids(None, tokenizer))
    assert ids_of(tokenizer, ["<@>"]) <= found and not ids_of(tokenizer, ["<#>"]) & found


def test_a_configuration_names_tokens_at_any_depth_in_lists_and_beyond_the_tokenizer():
    tokenizer = tiny_tokenizer()
    size = len(tokenizer)
    config = Configuration(
        vocab_size=size + 10,
        id2label={0: "LABEL_0"},
        eos_token_id=7,
        image_seq_length=3,
        vision_use_cls_token=True,
        eoa_token_index=8,
        visual_indicator_token_ids=[9, size + 2, size + 99],
        vision_config={"image_token_id": 11, "pad_token_id": 12, "num_image_tokens": 13},
    )
    found = set(find_vision_token_ids(config, tokenizer))
    assert found - set(find_vision_token_ids(None, tokenizer)) == {8, 9, 11, size + 2}


def test_what_a_processor_writes_for_an_image_counts_under_any_name():
    _, processor = build_tiny("llava")
    tokenizer = tiny_tokenizer(("<a>", "<b>", "<c>"), QWEN_ROLES, "<a><|image_pad|><b>")
    processor.tokenizer, processor.chat_template = tokenizer, tokenizer.chat_template
    found = set(find_vision_token_ids(None, processor))
    assert found - set(find_vision_token_ids(None, tokenizer)) == ids_of(tokenizer, ["<a>", "<b>"])


def test_the_token_that_ends_a_text_is_always_sampled():
    tokenizer = tiny_tokenizer()
    config = Configuration(vocab_size=10, image_end_token_id=tokenizer.eos_token_id)
    assert find_vision_token_ids(config, tokenizer) == find_vision_token_ids(None, tokenizer)
