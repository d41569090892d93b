r"""Where a model looks in its image, and whether it uses what it looks at.

The thinking part is cut into stretches at its logical boundaries ("sentences" here). For a stretch s, a third g of the
layers (early, middle, late) and a cell c of the grid that the image's tokens show::

    map(s, g, c) = mean over tokens t of s, layers l of g and heads h of the attention of t on c

so that a map's sum is the attention on the image (see `vapo.models.image_attention`). Attention is no proof of use. So
cells are painted grey, at each depth d from which the rest of the response, r, is scored::

    loss(d, C) = 1/|r| log p(r | image, text to d) - 1/|r| log p(r | image with cells C grey, text to d)     in nats

C are the tenth of the cells with most attention of r, or as many drawn at random among those that tokens show. Where
the model uses what it looks at, the first loss is above the second; `looks_used` is their difference, paired by
question.

Source: visual attention after arXiv 2509.25848, Appendix A.4; masking what is attended to, against as much at random,
is the deletion test of RISE (arXiv 1806.07421), with attention as the map that is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from vapo.diagnosis.estimate_words import FEWEST
from vapo.diagnosis.estimates import Estimate, estimate_difference
from vapo.diagnosis.findings import Point, QuestionFindings
from vapo.diagnosis.other_images import OtherImages
from vapo.diagnosis.responses import Response
from vapo.diagnosis.row_protocol import Chart, Numbers, RowProtocol
from vapo.diagnosis.settings import DiagnosisSettings
from vapo.errors import ModelError
from vapo.models.diagnosed_model import DiagnosedModel, LocatesAttention

GROUPS = ("early", "middle", "late")
"""Thirds of the layers."""
MASKED_SHARE = 0.1
"""Share of the cells that is painted grey, at least one of them."""
MOST_CELLS = 16
"""Rows and columns of a map that is kept; finer ones are summed over neighbours."""
MOST_MAPS = 6
"""Stretches of a response that have maps; a longer response's neighbours are joined."""

_CELL_DRAWS = 11  # keeps this generator apart from others with the same seed


@dataclass(frozen=True, slots=True)
class Look:
    """A map of one stretch, or what painting cells grey costs from a depth on.

    Attributes:
        what: a third of the layers, for a map; "attended" or "random", for cells that were painted.
        index, stop: the stretch's tokens, or those that were scored.
        depth: where they begin, as a share of the thinking part.
        value: attention on the image, in [0, 1]; or the loss, in nats per token.
        rows, columns: of the map that is kept; or of the grid whose cells were painted.
        cells: for a map, a hexadecimal digit per cell, row by row, in 15ths of the greatest; else how many were
            painted.
    """

    what: str
    index: int
    stop: int
    depth: float
    value: float
    rows: int
    columns: int
    cells: str


def find_looks(
    diagnosed_model: DiagnosedModel,
    responses: Sequence[Response],
    settings: DiagnosisSettings,
    other_images: OtherImages,
) -> list[tuple[Look, ...]]:
    """Map attention and paint what is attended to.

    Args:
        diagnosed_model: a model that can locate its attention.
        responses: any number; those that were cut off, or have no boundary, have no rows.
        settings: number of depths, seed.
        other_images: not used.

    Raises:
        ModelError: the model cannot locate its attention, or not on one of the images.
    """
    if not isinstance(diagnosed_model, LocatesAttention):
        raise ModelError(f"{diagnosed_model.name} cannot locate its attention; leave out protocol 'looks'")
    return [_look(diagnosed_model, response, settings) for response in responses]


def _look(model: LocatesAttention, response: Response, settings: DiagnosisSettings) -> tuple[Look, ...]:
    if not (response.finished and response.boundaries and response.rollout.sample.images):
        return ()
    maps = model.map_attention(response.rollout)
    return (*_keep_maps(maps, response), *_paint(model, maps, response, settings))


def _keep_maps(maps: NDArray[np.float32], response: Response) -> list[Look]:
    start, stop = response.thinking
    edges = sorted({start, *response.boundaries, stop})
    if len(edges) > MOST_MAPS + 1:
        edges = [edges[place] for place in np.linspace(0, len(edges) - 1, MOST_MAPS + 1).round().astype(int)]
    found: list[Look] = []
    layers = np.array_split(np.arange(len(maps)), len(GROUPS))
    for first, last in pairwise(edges):
        for name, part in zip(GROUPS, layers, strict=True):
            if not len(part):
                continue
            cells = maps[part, first:last].mean((0, 1), dtype=np.float64)
            depth = (first - start) / max(1, stop - start)
            small = coarsen(cells)
            digits = np.rint(15 * small / max(small.max(), 1e-12)).astype(int).ravel()
            packed = "".join(f"{digit:x}" for digit in digits)
            found.append(
                Look(name, first, last, round(depth, 6), float(cells.sum()), len(small), small.shape[1], packed)
            )
    return found


def read_map(look: Look) -> NDArray[np.float64]:
    """Return the attention on each cell of a map, to a 15th of the greatest; shape (rows, columns)."""
    cells = np.array([int(digit, 16) for digit in look.cells], dtype=np.float64).reshape(look.rows, look.columns)
    return cells * (look.value / max(cells.sum(), 1.0))


def coarsen(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum neighbouring cells until there are at most `MOST_CELLS` rows and columns; the sum is kept."""
    for axis in (0, 1):
        count = cells.shape[axis]
        if count > MOST_CELLS:
            starts = np.arange(MOST_CELLS) * count // MOST_CELLS
            cells = np.add.reduceat(cells, starts, axis=axis)
    return cells


def _paint(
    model: LocatesAttention, maps: NDArray[np.float32], response: Response, settings: DiagnosisSettings
) -> list[Look]:
    rollout = response.rollout
    rows, columns = maps.shape[2:]
    count = max(1, round(MASKED_SHARE * rows * columns))
    # A processor that crops leaves cells that no token shows. A model that is kept from its image attends to none.
    shown = np.flatnonzero(maps.sum((0, 1)) if maps.any() else np.ones((rows, columns)))
    if 2 * count > len(shown):  # nothing else could be drawn
        return []
    rng = np.random.default_rng([_CELL_DRAWS, settings.seed, crc32(rollout.sample.id.encode())])
    found: list[Look] = []
    for depth in settings.intervention_depths():
        index = response.cut_near(depth)
        if index is None or index >= len(rollout.completion_ids):
            continue
        attended = maps[:, index:].mean((0, 1), dtype=np.float64).ravel()
        drawn = {
            "attended": np.argsort(-attended, kind="stable")[:count],
            "random": rng.choice(shown, count, replace=False),
        }
        plain = model.score_rest(rollout, index)
        for what, numbers in drawn.items():
            cells = np.zeros(rows * columns, dtype=bool)
            cells[numbers] = True
            loss = plain - model.score_rest(rollout, index, cells.reshape(rows, columns))
            stop = len(rollout.completion_ids)
            found.append(Look(what, index, stop, depth, loss, rows, columns, str(count)))
    return found


def _loss(question: QuestionFindings, what: str, depth: float) -> float | None:
    rows: tuple[Look, ...] = question.rows.get("looks") or ()
    return next((row.value for row in rows if (row.what, row.depth) == (what, depth)), None)


def sum_up_looks(questions: Sequence[QuestionFindings], settings: DiagnosisSettings) -> Numbers:
    """Return what painted cells cost over depth, attended, random, and their paired difference."""
    curves: dict[str, list[Point]] = {"looks_attended": [], "looks_random": [], "looks_used": []}
    for depth in settings.intervention_depths():
        pairs = [(q.image, _loss(q, "attended", depth), _loss(q, "random", depth)) for q in questions]
        both = [(image, own, drawn) for image, own, drawn in pairs if own is not None and drawn is not None]
        if not both:
            continue
        images = [image for image, *_ in both]
        values = {
            "looks_attended": [own for _, own, _ in both],
            "looks_random": [drawn for *_, drawn in both],
            "looks_used": [own - drawn for _, own, drawn in both],
        }
        for name, list_of in values.items():
            estimate = estimate_difference(list_of, seed=settings.seed, name=f"{name} {depth}", images=images)
            curves[name].append(Point(depth, estimate))
    return {name: tuple(points) for name, points in curves.items() if points}


def phrase_looks(numbers: Numbers) -> tuple[str, ...]:
    """Say whether the parts of the image that are attended to from the beginning on matter more than others."""
    points = numbers.get("looks_used")
    if not isinstance(points, tuple) or points[0].estimate.num_questions < FEWEST:
        return ()
    one: Estimate = points[0].estimate
    within = "" if one.low is None or one.high is None else f" [{one.low:.3f}, {one.high:.3f}]"
    matter = "matter" if one.low is not None and one.low > 0 else "do not measurably matter"
    return (
        f"The parts of the image that it attends to most {matter} more than parts drawn at random: painting them grey "
        f"costs {one.value:.3f}{within} nats per token more.",
    )


def _measure(depth: float) -> Callable[[QuestionFindings], float | None]:
    def measure(question: QuestionFindings) -> float | None:
        own, drawn = _loss(question, "attended", depth), _loss(question, "random", depth)
        return None if own is None or drawn is None else own - drawn

    return measure


IMAGE_LOOKS = RowProtocol(
    name="looks",
    title="Where it looks",
    needs="locate",
    row_type=Look,
    find=find_looks,
    sum_up=sum_up_looks,
    charts=(
        Chart(
            "looks",
            "painted grey",
            "What it looks at, painted grey",
            "How much less likely the rest of the response is when a tenth of the image is painted grey: what is "
            "attended to most, or drawn at random. Where the lines meet, what it looks at is not what it uses.",
            "share of the response before what is scored",
            "nats per token",
            {"looks_attended": "attended to most", "looks_random": "at random"},
        ),
    ),
    phrase=phrase_looks,
    measures={"cost of painting grey what is attended to, over random": _measure(0.0)},
    by_default=False,
)
