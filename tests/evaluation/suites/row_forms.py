"""Small copies of the rows of each benchmark: the columns of the published data, questions and images made by hand.

Columns as the stock tasks of lmms-eval 0.7.3 read them, and for Geometry3K as its data card lists them.
"""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import Any

from PIL import Image


def paint(number: int) -> Image.Image:
    """Return an image of its own for each number."""
    image = Image.new("RGB", (56, 56), (40 * number % 256, 90, 200))
    image.paste((255, 255, 255), (number % 8 * 6, 8, number % 8 * 6 + 8, 40))
    return image


MMSTAR_ROWS = [
    {
        "index": 0,
        "question": "What is in the sky?\nOptions: A: a kite, B: a bird, C: a plane, D: nothing",
        "image": paint(5),
        "answer": "A",
        "category": "coarse perception",
        "l2_category": "image scene and topic",
    }
]


def make_rows() -> dict[str, list[dict[str, Any]]]:
    """Return rows by benchmark, images included."""
    return {
        "mathverse": [
            _mathverse(0, "multi-choice", "B"),
            _mathverse(1, "free-form", "25\\sqrt{3}"),
        ],
        "mathvista": [
            _mathvista("1", "Which bar is highest?", "Rome", choices=["Paris", "Rome", "Oslo"]),
            _mathvista("2", "How long is it?", "1.50", answer_type="float", precision=2.0, unit="cm"),
            _mathvista("3", "How many are red?", "4", answer_type="integer"),
            _mathvista("4", "Between which years?", "[2007, 2008]", answer_type="list"),
        ],
        "mathvision": [
            _mathvision("1", "Which one is it?\n<image1>", "C", ["A", "B", "C", "D", "E"]),
            _mathvision("2", "How large is $x$ in <image1>?", "B", ["$\\frac{1}{2}$", "$2$", "$7$"]),
            _mathvision("3", "Count the cubes. <image1>", "12", []),
        ],
        "logicvista": [
            {"question": "Which figure comes next? A, B, C or D", "answer": "D", "image": paint(1)},
            {"question": "Which two belong together?", "answer": "A, C", "image": paint(2)},
        ],
        "wemath": [
            _wemath("1", "2steps_1", "A"),
            _wemath("1", "2steps_2", "B"),
            _wemath("1", "2steps_multi", "C"),
            _wemath("2", "2steps_1", "A"),
            _wemath("2", "2steps_2", "B"),
            _wemath("2", "2steps_multi", "C"),
            _wemath("1", "3steps_1", "A"),
            _wemath("1", "3steps_2", "B"),
            _wemath("1", "3steps_3", "D"),
            _wemath("1", "3steps_multi", "C"),
        ],
        "geometry3k": [
            {"images": [paint(3)], "problem": "<image>Find $x$.", "answer": "3\\sqrt{2}", "id": 2101},
            {"images": [paint(4)], "problem": "<image>Find the area.", "answer": "12", "id": 2102},
        ],
        "mmmu": [
            _mmmu("validation_Art_1", "Who made <image 1> and <image 2>, not <image 1>?", "['Goya', 'Klee']", "B", 2),
            _mmmu("validation_Math_2", "What is the sum in <image 1>?", "[]", "['24', 'twenty-four']", 1, "open"),
        ],
        "mmstar": MMSTAR_ROWS,
        "mmstar_perception": MMSTAR_ROWS,
        "hallusionbench": [
            _hallusion("0", "0", "Is the left line longer?", "0"),
            _hallusion("0", "1", "Are both lines alike?", "1"),
            _hallusion("1", "0", "Is the left line longer?", "1"),
            _hallusion("1", "1", "Are both lines alike?", "0"),
        ],
        "pope": [
            _pope("1", "Is there a dog in the image?", "yes", "adversarial"),
            _pope("2", "Is there a cat in the image?", "no", "adversarial"),
            _pope("1", "Is there a dog in the image?", "yes", "random"),
        ],
        "mmvp": [_mmvp(1, "(a)"), _mmvp(2, "(b)"), _mmvp(3, "(b)")],
        "vstar": [
            {
                "image": paint(1),
                "text": "What color is the umbrella?\n(A) red\n(B) blue\n(C) green\n(D) white\n"
                "Answer with the option's letter from the given choices directly.",
                "category": "direct_attributes",
                "label": "B",
                "question_id": "0",
            }
        ],
        "blink": [_blink("val_Counting_1", "Counting", "(C)", 1), _blink("val_Jigsaw_1", "Jigsaw", "(A)", 3)],
        "realworldqa": [
            {
                "image": paint(2),
                "question": "Which way does the lane go?\n\nA. Left\nB. Right\n\nPlease answer directly with only the "
                "letter of the correct option and nothing else.",
                "answer": "B",
            },
            {
                "image": paint(3),
                "question": "How many signs are there?\nPlease answer directly with a single word or number.",
                "answer": "2",
            },
            {
                "image": paint(3),
                "question": "Is the light red? Please answer directly with a single word or number.",
                "answer": "Yes",
            },
        ],
        "hrbench_4k": [_hrbench(3, "cross", "A")],
        "hrbench_8k": [_hrbench(0, "single", "B"), _hrbench(0, "single", "C", cycle="1")],
        "mmvet": [
            _mmvet("v1_0", "What is x in the equation?", "-1<AND>-5"),
            _mmvet("v1_1", "Which country is it?", "Italy<OR>the Italian Republic"),
        ],
    }


def _pope(question_id: str, question: str, answer: str, category: str) -> dict[str, Any]:
    return {
        "id": question_id,
        "question_id": question_id,
        "question": question,
        "answer": answer,
        "image_source": "made",
        "image": paint(int(question_id)),
        "category": category,
    }


def _mmvp(index: int, answer: str) -> dict[str, Any]:
    return {
        "Index": index,
        "Question": "Where is the tail?",
        "Options": "(a) On the left (b) On the right",
        "Correct Answer": answer,
        "image": paint(index),
    }


def _blink(idx: str, task: str, answer: str, shown: int) -> dict[str, Any]:
    return {
        "idx": idx,
        "question": "How many are there?",
        "sub_task": task,
        **{f"image_{number}": paint(number) if number <= shown else None for number in range(1, 5)},
        "choices": ["one", "two", "three"],
        "answer": answer,
        "prompt": "How many are there?\nSelect from the following choices.\n(A) one\n(B) two\n(C) three",
        "explanation": None,
    }


def _hrbench(index: int, category: str, answer: str, cycle: str = "0") -> dict[str, Any]:
    file = BytesIO()
    paint(index).save(file, "PNG")
    return {
        "index": index,
        "question": "What does the sign say?",
        "answer": answer,
        "A": "Stop",
        "B": "Go",
        "C": "Wait",
        "D": "Turn",
        "category": category,
        "cycle_category": cycle,
        "image": b64encode(file.getvalue()).decode(),
    }


def _mathverse(number: int, kind: str, answer: str) -> dict[str, Any]:
    return {
        "sample_index": str(number),
        "problem_index": str(number),
        "problem_version": "Vision Only",
        "question": "",
        "image": paint(number),
        "answer": answer,
        "question_type": kind,
        "metadata": {"split": "testmini", "source": "made", "subject": "Plane Geometry", "subfield": "Length"},
        "query_wo": "Please directly answer the question that the picture shows.",
        "query_cot": "Please reason first about the question that the picture shows.",
        "question_for_eval": "Find x.",
    }


def _mathvista(
    pid: str,
    question: str,
    answer: str,
    *,
    choices: list[str] | None = None,
    answer_type: str = "text",
    precision: float | None = None,
    unit: str = "",
) -> dict[str, Any]:
    return {
        "pid": pid,
        "question": question,
        "image": f"images/{pid}.jpg",
        "decoded_image": paint(int(pid)),
        "choices": choices,
        "unit": unit,
        "precision": precision,
        "answer": answer,
        "question_type": "multi_choice" if choices else "free_form",
        "answer_type": answer_type,
        "query": question,
    }


def _mathvision(number: str, question: str, answer: str, options: list[str]) -> dict[str, Any]:
    return {
        "id": number,
        "question": question,
        "options": options,
        "image": f"images/{number}.jpg",
        "decoded_image": paint(int(number)),
        "answer": answer,
        "solution": None,
        "level": 1,
        "subject": "counting",
    }


def _wemath(number: str, key: str, answer: str) -> dict[str, Any]:
    return {
        "ID": number,
        "split": "testmini",
        "knowledge concept": "Area",
        "question": f"What is the answer of {key}?",
        "option": "A. 1; B. 2; C. 3; D. 4",
        "answer": answer,
        "image_path": paint(int(number)),
        "key": key,
        "question number": 1,
        "knowledge concept description": "made",
    }


def _mmmu(
    name: str, question: str, options: str, answer: str, shown: int, kind: str = "multiple-choice"
) -> dict[str, Any]:
    images = {f"image_{number}": paint(number) if number <= shown else None for number in range(1, 8)}
    return {"id": name, "question": question, "options": options, "answer": answer, "question_type": kind, **images}


def _hallusion(figure: str, question_id: str, question: str, answer: str) -> dict[str, Any]:
    return {
        "category": "VD",
        "subcategory": "illusion",
        "visual_input": "1",
        "set_id": "0",
        "figure_id": figure,
        "sample_note": "made",
        "question_id": question_id,
        "question": question,
        "gt_answer_details": "made",
        "gt_answer": answer,
        "filename": f"{figure}.png",
        "image": paint(int(figure) + 6),
    }


def _mmvet(name: str, question: str, answer: str) -> dict[str, Any]:
    return {
        "question_id": name,
        "question": question,
        "answer": answer,
        "image_source": "made",
        "image": paint(1),
        "capability": "rec",
    }
