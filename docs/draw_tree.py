"""Draw docs/tree.svg, the image in the README, with the library's own arithmetic: `python docs/draw_tree.py`.

The image and its digits are real, the three completions and the verdicts on their probes are made up. Where the
anchors hang, what perception is worth, the rewards and the advantages are computed by vapo.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from vapo.core.advantages import group_advantages
from vapo.core.anchors import place_anchors
from vapo.core.perception import perception_reward
from vapo.core.rewards import compose_reward
from vapo.types import Anchor, Reward

GRID = ((3, 5), (1, 9))
QUESTION = ("Which row has the", "larger sum?")
# Text, whether the answer is right, and one verdict per anchor: "y" where the model judged the claim rightly.
COMPLETIONS = (
    ("Row 1 has 3 and 5, so 8. Row 2 has 1 and 9, so 10. As 10 > 8, it is row 2.", True, "yyyy"),
    ("Row 1 has 3 and 5, so 8. Then row 2, it must be more, as it comes last.", True, "yynn"),
    ("Row 1 has 8 and 5, so 13. Row 2 has 1 and 9, so 10. As 13 > 10, it is row 1.", False, "nyny"),
)
NUM_ANCHORS = 4
SEED = 3

WIDTH, HEIGHT = 960, 336
CHARACTER = 6.4
BRANCH_X, BRANCH_Y, BRANCH_GAP = 236, 84, 88
RIGHT, WRONG, WOOD, INK, FAINT = "#2e7d4f", "#c0392b", "#8a6d4b", "#1f2328", "#6b7280"


def draw_tree() -> str:
    """Return the image as SVG."""
    rng = np.random.default_rng(SEED)
    grown = [grow_branch(text, right, verdicts, rng) for text, right, verdicts in COMPLETIONS]
    advantages = group_advantages([reward.total for _, reward in grown], group_size=len(grown))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="{INK}">',
        "<title>A prompt with its image, three completions, and probes hung at anchors along each</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="#fbfaf6"/>',
        *draw_trunk(),
    ]
    for number, ((text, right, verdicts), (anchors, reward)) in enumerate(zip(COMPLETIONS, grown, strict=True)):
        y = BRANCH_Y + number * BRANCH_GAP
        parts += draw_branch(text, verdicts, anchors, y)
        parts += draw_account(right, reward, float(advantages[number]), y)
    return "\n".join([*parts, *draw_legend(), "</svg>", ""])


def grow_branch(text: str, right: bool, verdicts: str, rng: np.random.Generator) -> tuple[list[Anchor], Reward]:
    """Place a completion's anchors and add up its reward."""
    anchors = list(place_anchors(split_words(text), NUM_ANCHORS, rng))
    hits = [verdict == "y" for verdict in verdicts]
    perception = perception_reward(hits, [anchor.depth for anchor in anchors])
    return anchors, compose_reward(float(right), 1.0, perception)


def split_words(text: str) -> list[str]:
    """Split a text into words and marks, each with the space before it, as tokenizers do."""
    return re.findall(r"\s?[\w<>]+|\s?[^\w\s]", text)


def draw_trunk() -> list[str]:
    """Draw the prompt: image, question, and the wood that the branches grow from."""
    left, top, cell = 34, 86, 56
    digits = load_digits()
    parts = [
        f'<text x="{left}" y="{top - 34}" font-weight="bold">prompt</text>',
        f'<text x="{left}" y="{top - 14}" fill="{FAINT}">image and question</text>',
    ]
    for row, line in enumerate(GRID):
        for column, digit in enumerate(line):
            pixels = digits.images[int(np.flatnonzero(digits.target == digit)[1])].astype(int)
            x, y = left + column * cell, top + row * cell
            parts.append(f'<rect x="{x}" y="{y}" width="{cell}" height="{cell}" fill="#fff" stroke="#cfcfcf"/>')
            parts += draw_digit(pixels, x + 4, y + 4, (cell - 8) // 8)
    bottom = top + len(GRID) * cell
    parts += [f'<text x="{left}" y="{bottom + 22 + 16 * n}">{escape(t)}</text>' for n, t in enumerate(QUESTION)]
    start = left + len(GRID[0]) * cell + 8
    middle = BRANCH_Y + BRANCH_GAP
    for number in range(len(COMPLETIONS)):
        y = BRANCH_Y + number * BRANCH_GAP
        parts.append(
            f'<path d="M{start} {middle} C{start + 45} {middle} {BRANCH_X - 45} {y} {BRANCH_X} {y}" '
            f'fill="none" stroke="{WOOD}" stroke-width="5" stroke-linecap="round"/>'
        )
    return parts


def draw_digit(pixels: np.ndarray, x: int, y: int, size: int) -> list[str]:
    """Draw an 8 x 8 digit in five tones, one path a tone."""
    tones = np.ceil(pixels / 4).astype(int)
    parts: list[str] = []
    for tone in range(1, 5):
        squares = "".join(
            f"M{x + column * size} {y + row * size}h{size}v{size}h-{size}z"
            for row, column in np.argwhere(tones == tone)
        )
        parts.append(f'<path d="{squares}" fill-opacity="{tone / 4}"/>')
    return parts


def draw_branch(text: str, verdicts: str, anchors: list[Anchor], y: int) -> list[str]:
    """Draw a completion: its text on the branch, and a twig at each anchor."""
    words = split_words(text)
    end = BRANCH_X + len(text) * CHARACTER
    parts = [
        f'<text x="{BRANCH_X + 4}" y="{y - 9}" font-family="monospace" font-size="10.5" '
        f'textLength="{len(text) * CHARACTER - 4:.0f}">{escape(text)}</text>',
        f'<path d="M{BRANCH_X} {y}H{end:.0f}" stroke="{WOOD}" stroke-width="3" stroke-linecap="round"/>',
    ]
    for anchor, verdict in zip(anchors, verdicts, strict=True):
        x = BRANCH_X + len("".join(words[: anchor.index])) * CHARACTER
        colour = RIGHT if verdict == "y" else WRONG
        parts += [
            f'<path d="M{x:.0f} {y}q2 12 10 20" fill="none" stroke="{WOOD}" stroke-width="1.5"/>',
            f'<circle cx="{x:.0f}" cy="{y}" r="3" fill="{WOOD}"/>',
            f'<circle cx="{x + 12:.0f}" cy="{y + 25}" r="7" fill="{colour}"/>',
            f'<path d="{"M-3 0l2 3l4 -6" if verdict == "y" else "M-3 -3l6 6M3 -3l-6 6"}" stroke="#fff" '
            f'stroke-width="1.6" fill="none" transform="translate({x + 12:.0f} {y + 25})"/>',
        ]
    return parts


def draw_account(right: bool, reward: Reward, advantage: float, y: int) -> list[str]:
    """Write what a completion earned, at the end of its branch."""
    answer = ("answer right", RIGHT) if right else ("answer wrong", WRONG)
    gate = f"{reward.bonus:.3f}" if right else "gate shut"
    return [
        f'<text x="768" y="{y - 9}" fill="{answer[1]}">{answer[0]}</text>',
        f'<text x="768" y="{y + 8}">perception {reward.perception:.2f} <tspan fill="{FAINT}">({gate})</tspan></text>',
        f'<text x="768" y="{y + 25}">reward {reward.total:.3f}, <tspan font-weight="bold">A = {advantage:+.2f}</tspan>'
        "</text>",
    ]


def draw_legend() -> list[str]:
    """Say what branches and twigs stand for."""
    return [
        f'<text x="{BRANCH_X}" y="30"><tspan font-weight="bold">branches</tspan>'
        f'<tspan fill="{FAINT}"> are a group of sampled completions;</tspan>'
        '<tspan font-weight="bold"> twigs</tspan>'
        f'<tspan fill="{FAINT}"> ask at an anchor whether a claim about the image is true</tspan></text>',
        f'<text x="{BRANCH_X}" y="{HEIGHT - 14}" fill="{FAINT}">green: judged rightly, red: wrongly; late ones count '
        "more. Perception pays only where the answer is right.</text>",
    ]


if __name__ == "__main__":
    (Path(__file__).parent / "tree.svg").write_text(draw_tree(), encoding="utf-8")
