"""The lab's model, whose text layers look back through a window, is the same to vLLM as to transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, LlavaForConditionalGeneration
from vllm_world import start_llm

from vapo.lab.questions import KINDS, ask
from vapo.lab.serving import save_for_vllm
from vapo.lab.shipped import shipped_checkpoint
from vapo.lab.world import draw_scene, photograph

pytestmark = [pytest.mark.vllm, pytest.mark.xdist_group("vllm")]

TOKENS = 160  # three times what the window holds


def test_greedy_responses_are_the_same_tokens(tmp_path):
    checkpoint = shipped_checkpoint()
    model = LlavaForConditionalGeneration.from_pretrained(checkpoint).eval()
    processor = AutoProcessor.from_pretrained(checkpoint)
    rng = np.random.default_rng(0)
    ours: list[list[int]] = []
    prompts: list[dict[str, object]] = []
    for kind in KINDS:
        scene = draw_scene(rng, 2, 3, "heldout")
        image, text = photograph(scene, processor.image_processor.size["height"]), ask(rng, scene.grid, kind).text
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}
        prompt = processor.apply_chat_template([turn], add_generation_prompt=True, tokenize=False)
        inputs = processor(images=[image], text=prompt, return_tensors="pt")
        with torch.no_grad():
            rows = model.generate(**inputs, max_new_tokens=TOKENS, min_new_tokens=TOKENS, do_sample=False)
        ours.append(rows[0, inputs["input_ids"].shape[1] :].tolist())
        prompts.append({"prompt": prompt, "multi_modal_data": {"image": image}})
    engine = start_llm(save_for_vllm(tmp_path / "model"))
    from vllm import SamplingParams

    greedy = SamplingParams(temperature=0, max_tokens=TOKENS, min_tokens=TOKENS)
    for _ in range(2):  # the second time from the prefix cache
        theirs = [list(output.outputs[0].token_ids) for output in engine.generate(prompts, greedy, use_tqdm=False)]
        assert theirs == ours
