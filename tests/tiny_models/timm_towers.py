"""Families whose vision tower is timm's: PerceptionLM, FastVLM and Gemma 3n."""

from __future__ import annotations

import torch

from tiny_models.tokens import text_options, tiny_tokenizer

MARK = (("image_token", "<image>"), ("video_token", "<video>"))


def build_perception_lm(max_tiles: int = 1):
    """Each image is shown whole and as tiles, of which all images of a batch must have equally many."""
    from transformers import (
        LlamaConfig,
        PerceptionLMConfig,
        PerceptionLMForConditionalGeneration,
        PerceptionLMProcessor,
        TimmWrapperConfig,
    )
    from transformers.models.perception_lm import image_processing_perception_lm, video_processing_perception_lm

    tokenizer = tiny_tokenizer(("<image>", "<video>"), MARK, "<image>")
    vision = TimmWrapperConfig(
        architecture="vit_pe_core_tiny_patch16_384",
        model_args={
            "embed_dim": 32,
            "depth": 2,
            "num_heads": 2,
            "img_size": [32, 32],
            "global_pool": "",
            "use_post_transformer_norm": False,
            "init_values": 0.1,
            "ref_feat_shape": [2, 2],
        },
    )
    config = PerceptionLMConfig(
        vision_config=vision,
        text_config=LlamaConfig(**text_options(tokenizer)),
        vision_use_cls_token=True,
        projector_pooling_ratio=1,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
    )
    processor = PerceptionLMProcessor(
        image_processor=image_processing_perception_lm.PerceptionLMImageProcessor(
            tile_size=32, max_num_tiles=max_tiles, vision_input_type="thumb+tile", size={"height": 32, "width": 32}
        ),
        video_processor=video_processing_perception_lm.PerceptionLMVideoProcessor(size={"height": 32, "width": 32}),
        tokenizer=tokenizer,
        patch_size=16,
        pooling_ratio=1,
        chat_template=tokenizer.chat_template,
    )
    return PerceptionLMForConditionalGeneration(config), processor


def build_fast_vlm():
    """A tower of convolutions that normalises by batches and gives a map of features."""
    from transformers import (
        CLIPImageProcessor,
        FastVlmConfig,
        FastVlmForConditionalGeneration,
        LlavaProcessor,
        Qwen2Config,
        TimmWrapperConfig,
    )

    tokenizer = tiny_tokenizer(("<image>",), (("image_token", "<image>"),), "<image>")
    vision = TimmWrapperConfig(
        architecture="fastvit_mci3",
        do_pooling=True,
        global_pool="avg",
        hidden_size=128,
        model_args={"layers": [1, 1, 1, 1, 1], "embed_dims": [8, 16, 32, 64, 64], "inference_mode": True},
    )
    config = FastVlmConfig(
        vision_config=vision,
        text_config=Qwen2Config(**text_options(tokenizer)),
        image_token_index=tokenizer.image_token_id,
        image_seq_length=4,
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"height": 128, "width": 128}, do_center_crop=False, image_mean=[0.0] * 3, image_std=[1.0] * 3
        ),
        tokenizer=tokenizer,
        patch_size=64,
        vision_feature_select_strategy="full",
        chat_template=tokenizer.chat_template,
    )
    model = FastVlmForConditionalGeneration(config)
    # As made, blocks add next to nothing, images fade on their way, and statistics are those of no images.
    for name, parameter in model.named_parameters():
        if name.endswith("gamma"):
            torch.nn.init.ones_(parameter)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return model, processor


def build_gemma3n():
    """Soft tokens of images and sound lie behind the text's vocabulary; layers share keys, and have own embeddings."""
    from transformers import (
        Gemma3nAudioConfig,
        Gemma3nConfig,
        Gemma3nForConditionalGeneration,
        Gemma3nProcessor,
        Gemma3nTextConfig,
        Gemma3nVisionConfig,
        SiglipImageProcessor,
    )
    from transformers.models.gemma3n.feature_extraction_gemma3n import Gemma3nAudioFeatureExtractor

    roles = {  # the last four are no text: two of images, and two of sound
        "boi_token": "<start_of_image>",
        "boa_token": "<start_of_audio>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
        "eoa_token": "<end_of_audio>",
        "audio_token": "<audio_soft_token>",
    }
    tokenizer = tiny_tokenizer(tuple(roles.values()), tuple(roles.items()), "<image_soft_token>", "<bos>")
    length = len(tokenizer) - 4
    text = text_options(
        tokenizer,
        head_dim=8,
        num_hidden_layers=4,
        num_kv_shared_layers=2,
        sliding_window=16,
        layer_types=["sliding_attention", "full_attention"] * 2,
        hidden_size_per_layer_input=8,
        vocab_size_per_layer_input=length,
        laurel_rank=4,
        altup_num_inputs=2,
        activation_sparsity_pattern=[0.0] * 4,
    )
    ids = {f"{role}_id": tokenizer.convert_tokens_to_ids(token) for role, token in roles.items()}
    config = Gemma3nConfig(
        text_config=Gemma3nTextConfig(**text),
        vision_config=Gemma3nVisionConfig(
            architecture="mobilenetv5_300m_enc",
            model_args={"channel_multiplier": 0.05},
            hidden_size=2048,
            vocab_size=2,
            vocab_offset=length,
        ),
        audio_config=Gemma3nAudioConfig(
            vocab_size=text["vocab_size"] - length - 2,
            vocab_offset=length + 2,
            hidden_size=16,
            conf_num_attention_heads=2,
            conf_num_hidden_layers=1,
            sscp_conv_channel_size=[4, 4],
        ),
        vision_soft_tokens_per_image=256,
        audio_soft_tokens_per_image=4,
        tie_word_embeddings=True,
        **ids,
    )
    processor = Gemma3nProcessor(
        feature_extractor=Gemma3nAudioFeatureExtractor(),
        image_processor=SiglipImageProcessor(size={"height": 64, "width": 64}),
        tokenizer=tokenizer,
        image_seq_length=256,
        audio_seq_length=4,
        chat_template=tokenizer.chat_template,
    )
    model = Gemma3nForConditionalGeneration(config)
    # As made, padding is embedded as 0, and the model divides by the length of embeddings.
    torch.nn.init.normal_(model.model.language_model.embed_tokens.weight[tokenizer.pad_token_id], std=0.02)
    return model, processor
