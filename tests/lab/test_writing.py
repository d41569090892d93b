"""Lessons in writing claims: what they hold, and that they say the same as the prompt that a server is sent."""

import json
import re

import numpy as np
import pytest
import torch

from vapo.claims.making.instruction import Order, write_instruction
from vapo.lab.claim_truth import judge_claim
from vapo.lab.claims import make_claims, write_claims
from vapo.lab.lessons import JUDGING, SAYING, TELLING, Branch, Lesson, pack_lessons
from vapo.lab.model import ModelSize, build_model
from vapo.lab.study import read_lessons
from vapo.lab.tokens import build_processor, train_tokenizer
from vapo.lab.world import draw_scene, paint, photograph
from vapo.lab.writing import WRITING, WritingStage, WritingTeacher

WINDOW, LAYERS = 40, 3

_CLAIM = re.compile(r"The picture shows [A-F][U-Z]\d\.|There is a \d\.|[A-F][U-Z] is larger than [A-F][U-Z]\.")


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(seed=0)


def path_to(lesson: Lesson, index: int) -> list[int]:
    branch = lesson.branches[index]
    if branch.parent is None:
        return branch.ids
    return [*path_to(lesson, branch.parent), *branch.ids]


def test_a_cut_prompt_says_the_same_as_the_whole_one(tokenizer):
    """The last layer reaches `layers * (window - 1)` tokens back, and what lies before may be left out."""
    size = ModelSize(
        vision_width=32, vision_layers=1, text_width=32, text_mlp=32, text_layers=LAYERS, sliding_window=WINDOW
    )
    model, processor = build_model(size, tokenizer, seed=0).eval(), build_processor(tokenizer, canvas=64)
    rng = np.random.default_rng(0)
    scene = draw_scene(rng, 2, 3, "heldout")
    instruction = write_instruction(Order(1, 1), ["The picture shows AU3."], [("There is a 7.", "too long")])
    answer = write_claims(make_claims(rng, scene.grid, number=2))
    turn = {"role": "user", "content": [{"type": "text", "text": instruction}, {"type": "image"}]}
    prompt = processor.apply_chat_template([turn], add_generation_prompt=True, tokenize=False)
    inputs = processor(images=[photograph(scene, 64)], text=prompt + answer, return_tensors="pt")
    written = tokenizer.encode(answer)

    def read(reach: int) -> torch.Tensor:
        teacher = WritingTeacher(tokenizer, canvas=64, reach=reach)
        trunk = [*teacher.write_trunk(instruction), *teacher.asked]
        targets = [(place, SAYING, 1.0) for place in range(len(written))]
        branches = [Branch(trunk, None, 0), Branch(written, 0, len(trunk), targets)]
        batch = pack_lessons([Lesson(paint(scene, 64), branches)], pad_id=teacher.pad_id, window=WINDOW)
        return read_lessons(model, batch)

    with torch.inference_mode():
        whole = model(**inputs).logits[0, -len(written) - 1 : -1]
        reach = LAYERS * (WINDOW - 1)
        torch.testing.assert_close(read(reach), whole, atol=2e-5, rtol=0)
        assert (read(reach - 30)[0] - whole[0]).abs().max() > 1e-4, "the bound is no looser than it must be"


@pytest.mark.parametrize("stage", WRITING.stages)
def test_every_verdict_is_right(tokenizer, stage: WritingStage):
    teacher = WritingTeacher(tokenizer, canvas=64, reach=204)
    words = {tokenizer.encode(f" {word}")[0]: word in ("true", "yes") for word in ("true", "false", "yes", "no")}
    for seed in range(10):
        lesson = teacher.write_writing_lesson(np.random.default_rng(seed), stage)
        again = np.random.default_rng(seed)
        grid = draw_scene(again, *teacher.grids[again.integers(len(teacher.grids))], "practice").grid
        verdicts = 0
        for index, branch in enumerate(lesson.branches):
            before = tokenizer.decode(path_to(lesson, index)[: -len(branch.ids)] if branch.parent is not None else [])
            for place, group, _ in branch.targets:
                if group == JUDGING:
                    said = before + tokenizer.decode(branch.ids[:place])
                    claim = _CLAIM.findall(said)[-1]
                    assert judge_claim(claim, grid) == words[branch.ids[place]], said
                    verdicts += 1
        assert verdicts >= stage.first + stage.bridges + stage.probes + 2 * stage.answers


def test_whole_answers_are_in_the_asked_form_and_about_nothing_known(tokenizer):
    teacher = WritingTeacher(tokenizer, canvas=64, reach=204)
    for seed in range(10):
        lesson = teacher.write_writing_lesson(np.random.default_rng(seed), WRITING.stages[-1])
        instruction = tokenizer.decode(lesson.branches[0].ids)
        whole = [branch for branch in lesson.branches if branch.ids[-1] == teacher.end_id]
        assert len(whole) == WRITING.stages[-1].answers
        for branch in whole:
            claims = json.loads(tokenizer.decode(branch.ids[:-1]))["claims"]
            assert [set(claim) for claim in claims] == [{"text", "is_true"}] * 2
            assert not any(f"- {claim['text']}\n" in instruction for claim in claims)
            assert [place for place, _, _ in branch.targets] == list(range(len(branch.ids)))


def test_wrong_digits_are_learned_only_where_that_is_meant(tokenizer):
    teacher = WritingTeacher(tokenizer, canvas=64, reach=204)
    weights = {
        stage.lies: {
            weight
            for seed in range(5)
            for branch in teacher.write_writing_lesson(np.random.default_rng(seed), stage).branches
            for _, group, weight in branch.targets
            if group == TELLING
        }
        for stage in WRITING.stages
    }
    assert weights == {lies: {1.0, lies} for lies in weights}


def test_its_stages_cover_every_step():
    assert WRITING.stage_at(0) == WRITING.stages[0] and WRITING.stage_at(WRITING.steps - 1) == WRITING.stages[-1]
