"""What every probe backend must satisfy. A backend's test module subclasses `ProberContract` and makes its prober."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from vapo.models.questions import PROBE_TEMPLATE, find_answer_tokens
from vapo.models.vision_tokens import TOKEN_TYPE_INPUTS
from vapo.types import Anchor, Claim, Probe, Rollout, Sample


def make_sample(name: str, size: tuple[int, int] = (56, 42), num_images: int = 1) -> Sample:
    rng = np.random.default_rng(list(name.encode()))
    images = tuple(
        Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3)).astype("uint8")) for _ in range(num_images)
    )
    claims = (Claim("there is a cat", True), Claim("the sky is green, {really}", False))
    return Sample(id=name, images=images, question="What is it?", answer="1", claims=claims)


def encode_prompt(processor, sample: Sample):
    content = [{"type": "image", "image": image} for image in sample.images]
    messages = [{"role": "user", "content": [*content, {"type": "text", "text": sample.question}]}]
    return processor.apply_chat_template(
        [messages], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )


def extend_prompt(prompt, ids: Sequence[int]) -> dict[str, torch.Tensor]:
    """The processor's tensors with text behind: one more id each, seen, and no part of an image."""
    behind = {"input_ids": torch.tensor([ids], dtype=torch.long)}
    behind["attention_mask"] = torch.ones_like(behind["input_ids"])
    behind |= {name: torch.zeros_like(behind["input_ids"]) for name in TOKEN_TYPE_INPUTS}
    return {k: torch.cat([v, behind[k].to(v.dtype)], dim=1) if k in behind else v for k, v in prompt.items()}


def make_rollout(processor, sample: Sample, completion: str) -> Rollout:
    prompt_ids = encode_prompt(processor, sample)["input_ids"][0].tolist()
    completion_ids = processor.tokenizer.encode(completion, add_special_tokens=False)
    texts = [processor.tokenizer.decode([i]) for i in completion_ids]
    return Rollout(sample, tuple(prompt_ids), tuple(completion_ids), tuple(texts))


def make_probes(rollouts: list[Rollout]) -> list[Probe]:
    probes = []
    for rollout in rollouts:
        length = len(rollout.completion_ids)
        for index in sorted({1, length // 2, length}):
            probes += [Probe(rollout, Anchor(index, index / length), claim) for claim in rollout.sample.claims]
    return probes


def ask_plainly(model, processor, probe: Probe) -> float:
    """The definition: one row, nothing shared, the processor's own image tensors, every logit."""
    tokenizer = processor.tokenizer
    question = PROBE_TEMPLATE.replace("{claim}", probe.claim.text)
    ids = [
        *probe.rollout.completion_ids[: probe.anchor.index],
        *tokenizer.encode(question, add_special_tokens=False),
    ]
    inputs = extend_prompt(encode_prompt(processor, probe.rollout.sample), ids)
    with torch.no_grad():
        logits = model(**inputs).logits[0, -1].float()
    answers = find_answer_tokens(tokenizer, question)
    probabilities = logits.softmax(-1)
    yes, no = probabilities[list(answers.yes)].sum(), probabilities[list(answers.no)].sum()
    return float(yes / (yes + no))


class ProberContract:
    """Subclasses give the fixtures `model`, `processor` and `prober`."""

    atol = 1e-5  # of probabilities; engines with arithmetic of their own need more

    @pytest.fixture
    def probes(self, processor) -> list[Probe]:
        first, second = make_sample("first"), make_sample("second", (42, 56))
        texts = ["I see a 3, then a 5.", "<think>One cat. No, two!</think> \\boxed{2}"]
        return make_probes([make_rollout(processor, s, text) for s in (first, second) for text in texts])

    def test_verdicts_equal_one_plain_forward_per_probe(self, model, processor, prober, probes):
        expected = [ask_plainly(model, processor, probe) for probe in probes]
        verdicts = prober.score(probes)
        assert [verdict.probe for verdict in verdicts] == probes
        np.testing.assert_allclose([verdict.p_true for verdict in verdicts], expected, atol=self.atol)

    def test_several_images_in_one_prompt(self, model, processor, prober):
        probes = make_probes([make_rollout(processor, make_sample("pair", num_images=2), "Two, I think.")])
        expected = [ask_plainly(model, processor, probe) for probe in probes]
        np.testing.assert_allclose([v.p_true for v in prober.score(probes)], expected, atol=self.atol)

    def test_images_of_different_sizes_in_one_prompt(self, model, processor, prober):
        few, many = make_sample("few", (28, 56)), make_sample("many", num_images=3)
        images = (many.images[0], many.images[1].resize((56, 20)), many.images[2].resize((20, 84)))
        samples = (few, replace(many, images=images))
        probes = make_probes([make_rollout(processor, sample, "Three, I think.") for sample in samples])
        expected = [ask_plainly(model, processor, probe) for probe in probes]
        np.testing.assert_allclose([v.p_true for v in prober.score(probes)], expected, atol=self.atol)

    def test_the_image_matters(self, processor, prober, probes):
        swapped = [
            Probe(
                Rollout(make_sample("other"), p.rollout.prompt_ids, p.rollout.completion_ids, p.rollout.token_texts),
                p.anchor,
                p.claim,
            )
            for p in probes[:6]
        ]
        before = [v.p_true for v in prober.score(probes[:6])]
        after = [v.p_true for v in prober.score(swapped)]
        assert np.abs(np.subtract(before, after)).max() > 1e-6

    def test_order_changes_nothing(self, prober, probes):
        order = np.random.default_rng(0).permutation(len(probes))
        straight = prober.score(probes)
        shuffled = prober.score([probes[i] for i in order])
        np.testing.assert_allclose([v.p_true for v in shuffled], [straight[i].p_true for i in order], atol=self.atol)

    def test_leaves_parameters_modes_gradients_and_random_state_alone(self, model, prober, probes):
        model.train()
        frozen = next(model.modules())
        parameters = {name: parameter.clone() for name, parameter in model.named_parameters()}
        state = torch.get_rng_state()
        prober.score(probes)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.is_grad_enabled()
        assert frozen.training and all(module.training for module in model.modules())
        for name, parameter in model.named_parameters():
            assert torch.equal(parameter, parameters[name]) and parameter.grad is None
        model.eval()

    def test_nothing_to_ask(self, prober):
        assert prober.score([]) == []
