"""A packed lesson is the same to the model as each of its paths alone: the real single-turn format."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from studies.cold_start.curriculum import Mixture, Teacher
from studies.cold_start.lessons import JUDGING, SAYING, Branch, Lesson, pack_lessons
from studies.cold_start.model import ModelSize, build_model
from studies.cold_start.study import read_lessons
from studies.cold_start.tokens import build_processor, train_tokenizer
from studies.cold_start.vision import scale_pixels
from vapo.core.boundaries import find_boundaries


@pytest.fixture(scope="module")
def world():
    tokenizer = train_tokenizer(seed=0)
    model = build_model(ModelSize(vision_width=32, vision_layers=1, text_width=32, text_layers=2), tokenizer, seed=0)
    return tokenizer, model.eval(), Teacher(tokenizer, canvas=64)


def path_to(lesson: Lesson, index: int) -> list[int]:
    branch = lesson.branches[index]
    if branch.parent is None:
        return branch.ids
    return path_to(lesson, branch.parent)[: length_before(lesson, branch)] + branch.ids


def length_before(lesson: Lesson, branch: Branch) -> int:
    parent = lesson.branches[branch.parent]
    return branch.kept + (0 if parent.parent is None else length_before(lesson, parent))


@pytest.mark.parametrize("window", [None, 24])
def test_a_packed_lesson_predicts_as_each_path_alone(world, window):
    """Notes out of reach of the image are read as if they stood alone; they are tested below."""
    tokenizer, _, teacher = world
    size = ModelSize(vision_width=32, vision_layers=1, text_width=32, text_layers=2, sliding_window=window)
    model = build_model(size, tokenizer, seed=0).eval()
    rng = np.random.default_rng(0)
    mixture = Mixture(dictations=1, judgements=1, writings=1)
    lessons = [teacher.write_lesson(rng, mixture) for _ in range(2)]
    batch = pack_lessons(lessons, pad_id=teacher.pad_id, window=window)
    with torch.inference_mode():
        packed = read_lessons(model, batch).log_softmax(-1)
        place = 0
        for lesson in lessons:
            pixels = scale_pixels(lesson.pixels[None])
            for index, branch in enumerate(lesson.branches):
                if not branch.targets:
                    continue
                ids = path_to(lesson, index)
                alone = model(input_ids=torch.tensor([ids]), pixel_values=pixels).logits[0].log_softmax(-1)
                before = len(ids) - len(branch.ids)
                for target, _, _ in branch.targets:
                    assert batch.wanted[place] == ids[before + target]
                    torch.testing.assert_close(packed[place], alone[before + target - 1], atol=2e-5, rtol=0)
                    place += 1
        assert place == len(batch.wanted)


def test_notes_out_of_reach_see_themselves_alone(world):
    _, model, teacher = world
    mixture = Mixture(responses=0, readings=0, recalls=1, probes=6)
    lesson = teacher.write_lesson(np.random.default_rng(4), mixture)
    (notes,) = (branch for branch in lesson.branches if branch.out_of_reach)
    batch = pack_lessons([lesson], pad_id=teacher.pad_id, window=52)
    with torch.inference_mode():
        packed = read_lessons(model, batch).log_softmax(-1)
        place = 0
        for branch in lesson.branches[1:]:
            before = [] if branch is notes else notes.ids[: branch.kept]
            alone = model(input_ids=torch.tensor([[*before, *branch.ids]])).logits[0].log_softmax(-1)
            for target, _, _ in branch.targets:
                torch.testing.assert_close(packed[place], alone[len(before) + target - 1], atol=2e-5, rtol=0)
                place += 1
        assert place == len(batch.wanted) > 6


def test_a_lesson_is_written_in_the_format_of_use(world):
    tokenizer, _, teacher = world
    processor = build_processor(tokenizer, canvas=64)
    lesson = teacher.write_lesson(np.random.default_rng(1), Mixture(readings=0))
    response = next(index for index, branch in enumerate(lesson.branches) if (0, SAYING, 1.0) in branch.targets)
    text = tokenizer.decode(path_to(lesson, response))
    question = text.split("<|vision_end|>")[1].split("<|im_end|>")[0]
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text_of_prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(images=Image.fromarray(lesson.pixels), text=text_of_prompt)
    prompt = list(inputs["input_ids"][0])
    assert path_to(lesson, response)[: len(prompt)] == prompt
    assert text.endswith("}<|im_end|>")
    np.testing.assert_array_equal(inputs["pixel_values"][0], scale_pixels(lesson.pixels[None])[0].numpy())


def test_weight_is_on_what_is_read_and_worked_out_and_not_on_what_is_chosen_or_random(world):
    tokenizer, _, teacher = world
    rng, seen = np.random.default_rng(5), set()
    for number in range(120):
        blind = bool(number % 2)
        mixture = Mixture(readings=0, probes=0, guesses=0.5, looks=(1, 0, 0, 0) if blind else (0, 0, 0, 1), stress=3.0)
        response = teacher.write_lesson(rng, mixture).branches[-1]
        heavy = "".join(
            tokenizer.decode([response.ids[index]]) if weight == 3.0 else "_" for index, _, weight in response.targets
        )
        notes, work, *checks = tokenizer.decode(response.ids).split("</think>")[0].replace("?", ".").split(".")[:-1]
        told = re.sub("_+", "_", heavy).strip("_").split("_")
        read = re.findall(r"(?<=[A-F][U-Z])\d", notes)
        assert told[:6] == read, "digits, and not their names"
        guessed = work.startswith(" I say")
        assert guessed or work.partition(" ")[2].partition(" ")[2] in heavy.replace("?", "."), "behind its first word"
        last = checks[-1].startswith(" There")
        assert sum(map(str.isdigit, "".join(told[6 if guessed else 7 :]))) == (0 if blind else 18 + last)
        seen.add((guessed, blind, last))
    assert len(seen) == 8


def test_probes_hang_on_boundaries_and_are_tokenised_apart(world):
    tokenizer, _, teacher = world
    lesson = teacher.write_lesson(np.random.default_rng(2), Mixture(probes=6, readings=0))
    probes = [branch for branch in lesson.branches if any(group == JUDGING for _, group, _ in branch.targets)]
    assert len(probes) == 6
    for probe in probes:
        text = tokenizer.decode(probe.ids[:-1])
        assert text.startswith("\n<anchor> ")
        assert probe.ids[:-1] == tokenizer.encode(text)
        assert tokenizer.decode(probe.ids[-1:]) in (" yes", " no")
        parent = lesson.branches[probe.parent]
        if parent.targets:
            pieces = [tokenizer.decode([token]) for token in parent.ids[:-1]]
            assert probe.kept in find_boundaries(pieces)
        else:
            assert probe.kept == len(parent.ids), "depth 0 is straight after the question"


def test_probes_hang_anywhere_along_a_response_and_some_straight_after_the_question(world):
    _, _, teacher = world
    rng, depths = np.random.default_rng(3), []
    for _ in range(60):
        lesson = teacher.write_lesson(rng, Mixture(readings=0, probes=10))
        for branch in lesson.branches:
            if any(group == JUDGING for _, group, _ in branch.targets):
                parent = lesson.branches[branch.parent]
                depths.append(branch.kept / len(parent.ids) if parent.targets else 0.0)
    assert np.mean(np.array(depths) == 0) == pytest.approx(1 / 6, abs=0.05)
    along = [depth for depth in depths if depth]
    assert np.histogram(along, bins=4, range=(0, 1))[0].min() > len(along) / 8


def test_the_same_seed_writes_the_same_lesson(world):
    _, _, teacher = world
    one, two = (teacher.write_lesson(np.random.default_rng(9), Mixture()) for _ in range(2))
    assert one.branches == two.branches
    np.testing.assert_array_equal(one.pixels, two.pixels)


def test_the_first_token_of_a_trunk_cannot_be_predicted():
    lesson = Lesson(np.zeros((16, 16, 3), np.uint8), [Branch([1, 2], None, 0, [(0, SAYING, 1.0)])])
    with pytest.raises(ValueError, match="trunk"):
        pack_lessons([lesson], pad_id=0)
