"""What a model can do in the lab, measured on digits it never saw: reading, judging claims, answering."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vapo.core.boundaries import find_boundaries
from vapo.models.questions import PROBE_TEMPLATE

from .claims import claim_kind, make_claims
from .model import LabModel, LabProcessor, LabTokenizer
from .questions import KINDS, Question, ask
from .world import GRIDS, Scene, Split, draw_scene, photograph

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

_ANSWER = re.compile(r"<think>.*</think>\\boxed\{(.*)\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Ability:
    """Shares in 0..1. `reading`: single cells; `claims`: by kind, right after the question; `late_claims`: by quarter
    of sampled chains; `greedy` and `sampled`: answers by kind of question; `chain_tokens`: mean sampled length."""

    reading: float
    claims: dict[str, float]
    late_claims: dict[str, float]
    greedy: dict[str, float]
    sampled: dict[str, float]
    chain_tokens: float
    counts: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the measures as a Markdown table."""
        lines = ["| measure | share | number |", "|---|---|---|"]
        lines.append(f"| reading a cell | {self.reading:.3f} | {self.counts['reading']} |")
        for title, shares, number in (
            ("claim at the start", self.claims, self.counts["claims"]),
            ("claim along a sampled chain", self.late_claims, self.counts["late_claims"]),
            ("answer, greedy", self.greedy, self.counts["answers"]),
            ("answer, temperature 1", self.sampled, self.counts["answers"]),
        ):
            lines += [f"| {title}: {name} | {share:.3f} | {number} in all |" for name, share in shares.items()]
        lines.append(f"| tokens in a sampled completion | {self.chain_tokens:.1f} | |")
        return "\n".join(lines)


def measure_ability(
    model: LabModel,
    processor: LabProcessor,
    *,
    seed: int = 0,
    split: Split = "heldout",
    readings: int = 400,
    answers: int = 400,
    claim_scenes: int = 60,
    grids: tuple[tuple[int, int], ...] = GRIDS,
    batch_size: int = 64,
) -> Ability:
    """Measure a model on newly drawn pictures of a split; the same seed gives the same pictures and samples."""
    rng = np.random.default_rng([seed, 21])
    canvas = processor.image_processor.crop_size["height"]
    was_training = model.training
    model.eval()

    def draw(kind: str) -> tuple[Scene, Question]:
        scene = draw_scene(rng, *grids[rng.integers(len(grids))], split)
        return scene, ask(rng, scene.grid, kind)

    def put(cases: list[tuple[Scene, Question]], *, temperature: float) -> list[list[int]]:
        completions: list[list[int]] = []
        for start in range(0, len(cases), batch_size):
            some = cases[start : start + batch_size]
            pictures = [photograph(scene, canvas) for scene, _ in some]
            completions += complete(
                model, processor, pictures, [question.text for _, question in some], temperature, seed + start
            )
        return completions

    reading_cases = [draw("read") for _ in range(readings)]
    reading = _share_right(processor, reading_cases, put(reading_cases, temperature=0))
    cases = [draw(KINDS[number % len(KINDS)]) for number in range(answers)]
    greedy, sampled = put(cases, temperature=0), put(cases, temperature=1)
    claims, late = _judge_claims(model, processor, rng, cases[:claim_scenes], sampled, canvas, batch_size)
    model.train(was_training)
    late_total = sum(len(verdicts) for verdicts in late.values())
    return Ability(
        reading=reading["read"],
        claims=_means(claims),
        late_claims=_means(late),
        greedy=_share_right(processor, cases, greedy),
        sampled=_share_right(processor, cases, sampled),
        chain_tokens=float(np.mean([len(ids) for ids in sampled])),
        counts={
            "reading": readings,
            "claims": sum(len(verdicts) for verdicts in claims.values()),
            "late_claims": late_total,
            "answers": answers,
        },
    )


def write_prompt(processor: LabProcessor, question: str) -> str:
    """Return the chat prompt for one picture and a question, ready for the assistant to speak."""
    content = [{"type": "image"}, {"type": "text", "text": question}]
    return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)


def complete(
    model: LabModel,
    processor: LabProcessor,
    pictures: Sequence[Image],
    questions: Sequence[str],
    temperature: float,
    seed: int,
    max_tokens: int = 128,
) -> list[list[int]]:
    """Let the model answer each question about its picture; return completion ids without end and padding.

    Temperature 0 is greedy. The global random state of torch is left as it was.
    """
    import torch

    prompts = [write_prompt(processor, question) for question in questions]
    inputs = processor(images=list(pictures), text=prompts, padding=True, return_tensors="pt").to(model.device)
    how: dict[str, Any] = {"do_sample": False}
    if temperature > 0:
        how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(seed)
        ids = model.generate(**inputs, max_new_tokens=max_tokens, **how)
    end = processor.tokenizer.eos_token_id
    completions = ids[:, inputs["input_ids"].shape[1] :].tolist()
    return [row[: row.index(end)] if end in row else row for row in completions]


def _share_right(
    processor: LabProcessor, cases: list[tuple[Scene, Question]], completions: list[list[int]]
) -> dict[str, float]:
    right: dict[str, list[bool]] = defaultdict(list)
    for (_, question), ids in zip(cases, completions, strict=True):
        found = _ANSWER.fullmatch(processor.tokenizer.decode(ids))
        right[question.kind].append(found is not None and found.group(1) == question.answer)
    shares = _means(right)
    if len(right) > 1:
        shares["all"] = float(np.mean([verdict for verdicts in right.values() for verdict in verdicts]))
    return shares


def _means(verdicts: dict[str, list[bool]]) -> dict[str, float]:
    return {name: float(np.mean(verdicts[name])) for name in sorted(verdicts)}


def _judge_claims(
    model: LabModel,
    processor: LabProcessor,
    rng: np.random.Generator,
    cases: list[tuple[Scene, Question]],
    completions: list[list[int]],
    canvas: int,
    batch_size: int,
) -> tuple[dict[str, list[bool]], dict[str, list[bool]]]:
    """Ask each picture's claims right after the question, and once more at random boundaries of the chain."""
    tokenizer = processor.tokenizer
    names: list[tuple[str, str]] = []
    rows: list[list[int]] = []
    pictures: list[torch.Tensor] = []
    truths: list[bool] = []
    for (scene, question), completion in zip(cases, completions, strict=False):
        inputs = processor(
            images=photograph(scene, canvas), text=write_prompt(processor, question.text), return_tensors="pt"
        )
        prompt = inputs["input_ids"][0].tolist()
        boundaries = find_boundaries([tokenizer.decode([token]) for token in completion])
        for claim in make_claims(rng, scene.grid):
            probe = tokenizer.encode(PROBE_TEMPLATE.format(claim=claim.text))
            places = [0, int(rng.choice(boundaries))] if boundaries else [0]
            for kept in places:
                quarter = f"quarter {min(4, 1 + 4 * kept // len(completion))}" if completion else ""
                names.append(("start", claim_kind(claim.text)) if kept == 0 else ("late", quarter))
                rows.append(prompt + completion[:kept] + probe)
                pictures.append(inputs["pixel_values"][0])
                truths.append(claim.is_true)
    said_yes = _say_yes(model, tokenizer, rows, pictures, batch_size)
    found: dict[str, dict[str, list[bool]]] = {"start": defaultdict(list), "late": defaultdict(list)}
    for (place, name), yes, truth in zip(names, said_yes, truths, strict=True):
        found[place][name].append(yes == truth)
    return found["start"], found["late"]


def _say_yes(
    model: LabModel,
    tokenizer: LabTokenizer,
    rows: list[list[int]],
    pictures: list[torch.Tensor],
    batch_size: int,
) -> list[bool]:
    import torch

    yes, no = tokenizer.encode(" yes")[0], tokenizer.encode(" no")[0]
    answers = [False] * len(rows)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    for start in range(0, len(order), batch_size):
        some = order[start : start + batch_size]
        length = max(len(rows[index]) for index in some)
        ids = torch.full((len(some), length), tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for place, index in enumerate(some):
            ids[place, length - len(rows[index]) :] = torch.tensor(rows[index])
            mask[place, length - len(rows[index]) :] = 1
        with torch.inference_mode():
            logits = model(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                pixel_values=torch.stack([pictures[index] for index in some]).to(model.device),
                logits_to_keep=1,
            ).logits[:, -1]
        for index, likelier in zip(some, (logits[:, yes] > logits[:, no]).tolist(), strict=True):
            answers[index] = likelier
    return answers
