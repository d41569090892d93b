"""Draw docs/rollout_tree.svg, who sees whom in a packed row, from the library's own layout.

Run by `python docs/draw_mask.py`.

Every coloured rectangle is one of `Layout.blocks`; nothing is placed by hand.
"""

from __future__ import annotations

from pathlib import Path

from vapo.core.tree import Layout, Tree, Twig, lay_out

TREE = Tree(prompt=14, branches=(12, 9), twigs=(Twig(0, 4, 3), Twig(0, 9, 3), Twig(1, 6, 3)))
IMAGE_TOKENS = range(2, 9)
CELL, LEFT, TOP = 9, 130, 66
TRUNK, BRANCH, TWIG, INK, FAINT, PAPER = "#8a6d4b", "#2e7d4f", "#3465a4", "#1f2328", "#6b7280", "#fbfaf6"


def draw_mask() -> str:
    """Return the image as SVG."""
    layout = lay_out([TREE])
    size = layout.num_tokens * CELL
    width, height = LEFT + size + 20, TOP + size + 44
    kinds = kinds_of_rows(layout)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12" fill="{INK}">',
        "<title>A rollout tree in one row of tokens, and which token attends to which</title>",
        f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>',
        f'<rect x="{LEFT}" y="{TOP}" width="{size}" height="{size}" fill="#fff" stroke="#d8d4c8"/>',
    ]
    for block in layout.blocks:
        color = kinds[block.keys.start][1]
        x, y = LEFT + block.keys.start * CELL, TOP + block.queries.start * CELL
        if block.causal:
            steps = "".join(f" h{CELL} v{CELL}" for _ in block.queries)
            parts.append(f'<path d="M{x} {y}{steps} h{-len(block.keys) * CELL} z" fill="{color}" opacity="0.8"/>')
        else:
            parts.append(
                f'<rect x="{x}" y="{y}" width="{len(block.keys) * CELL}" height="{len(block.queries) * CELL}" '
                f'fill="{color}" opacity="0.45"/>'
            )
    for name, color, rows in segments_of(layout):
        x, y, length = LEFT + rows.start * CELL, TOP + rows.start * CELL, len(rows) * CELL
        parts += [
            f'<rect x="{x + 1}" y="{TOP - 14}" width="{length - 2}" height="9" rx="2" fill="{color}"/>',
            f'<rect x="{LEFT - 14}" y="{y + 1}" width="9" height="{length - 2}" rx="2" fill="{color}"/>',
            f'<text x="{LEFT - 20}" y="{y + length / 2 + 4}" text-anchor="end">{name}</text>',
        ]
    image = LEFT + IMAGE_TOKENS.start * CELL
    parts += [
        f'<text x="{image}" y="{TOP - 32}" fill="{FAINT}">image</text>',
        f'<path d="M{image} {TOP - 24} v-4 h{len(IMAGE_TOKENS) * CELL} v4" fill="none" stroke="{FAINT}"/>',
        f'<text x="20" y="{TOP + size + 26}" fill="{FAINT}">'
        "Each row attends to the coloured columns. Image and prompt are encoded once.</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def segments_of(layout: Layout) -> list[tuple[str, str, range]]:
    """Return name, colour and rows of each segment."""
    segments = [("prompt", TRUNK, layout.trunks[0])]
    segments += [(f"completion {n + 1}", BRANCH, rows) for n, rows in enumerate(layout.branches[0])]
    segments += [(f"probe {n + 1}", TWIG, rows) for n, rows in enumerate(layout.twigs[0])]
    return segments


def kinds_of_rows(layout: Layout) -> dict[int, tuple[str, str]]:
    """Return name and colour of each row's segment."""
    return {row: (name, color) for name, color, rows in segments_of(layout) for row in rows}


if __name__ == "__main__":
    Path(__file__).with_name("rollout_tree.svg").write_text(draw_mask(), encoding="utf-8")
