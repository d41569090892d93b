"""The card of an exported model: where it comes from, and how good it is, as far as that is recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vapo.claims.contents import Contents
from vapo.claims.exchange.markdown import escape, fence, quote, write_table
from vapo.claims.quality.quality import Quality
from vapo.diagnosis.summary import Evaluation
from vapo.export.agreement import Agreement
from vapo.export.base import Base
from vapo.export.figures import write_diagnosis, write_evaluations
from vapo.export.measured import FoundDiagnosis
from vapo.export.origin import Origin
from vapo.export.provenance import write_claims, write_data, write_training

_METHOD = "[Vision-Anchored Policy Optimization](https://arxiv.org/abs/2509.25848)"
_CHECKS = re.compile(r"<!-- checks -->\n.*<!-- end of checks -->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CardContents:
    """All that a card tells; None, or nothing, where it is not known.

    Attributes:
        name: of the model.
        origin: its checkpoint and run.
        base: what it was trained from.
        merged: whether an adapter was merged into it.
        dtype: precision of its weights.
        num_parameters: in it.
        agreements: how far copies of it answered as the checkpoint did.
        evaluations: of the checkpoint, and whether each is known to be of these weights.
        diagnosis: of it, perhaps beside others.
        claims: what is in the store of claims it was trained on, and how good they are.
        version: of vapo.
    """

    name: str
    origin: Origin
    base: Base | None
    merged: bool
    dtype: str
    num_parameters: int
    agreements: Sequence[Agreement]
    evaluations: Sequence[tuple[Evaluation, bool]]
    diagnosis: FoundDiagnosis | None
    claims: tuple[Contents, Quality] | None
    version: str


def write_card(contents: CardContents) -> str:
    """Return the card as Markdown with the front matter that the Hugging Face hub reads.

    Folders of the machine that trained are told by their last part alone.
    """
    sections = {
        "How to ask it": _write_usage(contents),
        "Data": write_data(contents.origin),
        "Claims": write_claims(contents.claims),
        "How it was trained": write_training(contents.origin),
        "What was measured": write_evaluations(contents.evaluations, contents.origin),
        "What it sees along its responses": write_diagnosis(contents.diagnosis),
        "Checked when it was exported": write_checks(contents.agreements),
        "Licence": _write_licence(contents.base),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    end = f"Exported by vapo {contents.version}."
    return f"{_write_front_matter(contents)}\n# {escape(contents.name)}\n\n{_introduce(contents)}\n\n{body}\n\n{end}\n"


def write_checks(agreements: Sequence[Agreement]) -> str:
    """Return the part of a card that says how far copies answer as the checkpoint did."""
    rows = [(one.copy, f"{one}; {'alike' if one.holds else 'NOT ALIKE'}") for one in agreements]
    table = write_table(("asked by", "against the checkpoint it was made from"), rows)
    return f"<!-- checks -->\n{table or 'Nothing.'}\n<!-- end of checks -->"


def replace_checks(card: str, agreements: Sequence[Agreement]) -> str:
    """Return a card with that part written anew."""
    checks = write_checks(agreements)
    return _CHECKS.sub(lambda _: checks, card)


def name_algorithm(settings: Mapping[str, Any]) -> str:
    """Return how a run trained, in words; "" if that was not recorded."""
    algorithm = settings.get("algorithm")
    if algorithm == "vapo" and settings.get("perception_weight") == 0:
        return f"GRPO (what {_METHOD} rewards was measured, and weighed nothing)"
    known = {"vapo": _METHOD, "grpo": f"GRPO, without the reward of {_METHOD}", None: ""}
    return known.get(algorithm, escape(str(algorithm)))


def _write_front_matter(contents: CardContents) -> str:
    lines = ["---", "library_name: transformers", "pipeline_tag: image-text-to-text"]
    if contents.base is not None:
        lines += [f"base_model: {quote(contents.base.name)}"] if contents.base.on_hub else []
        lines += [f"{key}: {quote(value)}" for key, value in contents.base.licence.items()]
    algorithm = contents.origin.settings.get("algorithm")
    chosen = [f"- {quote(str(algorithm))}"] if algorithm not in (None, "vapo") else []
    lines += ["tags:", "- vapo", *chosen]
    return "\n".join([*lines, "---", ""])


def _introduce(contents: CardContents) -> str:
    origin, algorithm = contents.origin, name_algorithm(contents.origin.settings)
    base = f" from {escape(contents.base.name)}" if contents.base is not None else ""
    how = f"trained{base} with {algorithm}" if algorithm else f"trained{base} in a way that vapo has no record of"
    size = f"{contents.num_parameters / 1e6:,.1f} million parameters in {contents.dtype}"
    said = [f"A vision-language model, {how}. It has {size}."]
    if contents.merged:
        said.append("Its adapter is merged into the weights: transformers opens it without peft.")
    if origin.is_quantised:
        said.append(
            "The adapter was trained on quantised weights (QLoRA) and is merged into the unquantised ones, so answers "
            "may differ a little from those in training."
        )
    if origin.steps is not None and origin.steps[0] < origin.steps[1]:
        said.append(f"The run was not at its end: this is step {origin.steps[0]} of {origin.steps[1]}.")
    return " ".join(said)


def _write_usage(contents: CardContents) -> str:
    prompt = contents.origin.settings.get("system_prompt")
    turns = [{"role": "system", "content": [{"type": "text", "text": prompt}]}] if prompt else []
    parts = [{"type": "image", "path": "image.png"}, {"type": "text", "text": "What is it?"}]
    conversation = ",\n".join(f"    {turn!r}" for turn in [*turns, {"role": "user", "content": parts}])
    asked = "It was trained without a system message."
    if prompt:
        asked = "It was trained with this system message."
    elif not contents.origin.settings:
        asked = "Which system message it was trained with is not recorded."
    code = f"""from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained({contents.name!r}, dtype="auto", device_map="auto")
processor = AutoProcessor.from_pretrained({contents.name!r})
conversation = [
{conversation},
]
inputs = processor.apply_chat_template(
    conversation, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
).to(model.device)
answer = model.generate(**inputs, max_new_tokens=2048)[0, inputs["input_ids"].shape[1] :]
print(processor.decode(answer, skip_special_tokens=True))"""
    return f"{fence(code, 'python')}\n\n{asked}"


def _write_licence(base: Base | None) -> str:
    if base is None:
        return "What it was trained from is not recorded, and neither is the licence."
    if not base.licence:
        return f"The licence of {escape(base.name)}, which binds this model, is not recorded. Look it up."
    said = ", ".join(map(escape, base.licence.values()))
    return f"That of {escape(base.name)}, from which it was trained: {said}."
