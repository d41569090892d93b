"""Where models look, as figures: the image under the attention on its parts, stretch by stretch, for papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from vapo.diagnosis.figures import import_matplotlib
from vapo.diagnosis.findings import Diagnosis, QuestionFindings
from vapo.diagnosis.image_looks import GROUPS, Look, read_map

MOST_QUESTIONS = 12
"""Questions of each model that are drawn."""
_CELL_INCHES = 1.5
_STRONGEST = 0.7  # opacity of the cell with most attention
_INK = (214, 40, 40)


def write_maps(diagnosis: Diagnosis, images: Mapping[str, Sequence[Image.Image]], folder: Path) -> list[Path]:
    """Write the maps of each model's first questions as `folder/figures/looks_<model>_<question>.png`, both numbers.

    Args:
        diagnosis: any; without maps nothing is written.
        images: of each question, by the row's id.
        folder: of the report; made if it is missing. Figures of the same name are replaced.

    Raises:
        ConfigError: matplotlib is not installed.
        OSError: a file cannot be written.
    """
    matplotlib = import_matplotlib()
    written: list[Path] = []
    for model_number, model in enumerate(diagnosis.models):
        drawn = [(number, question) for number, question in enumerate(model.questions) if _list_maps(question)]
        for number, question in drawn[:MOST_QUESTIONS]:
            shown = images.get(question.sample_id, ())
            if not shown:
                continue
            maps = _list_maps(question)
            stretches = list(dict.fromkeys((look.index, look.stop) for look in maps))
            size = (_CELL_INCHES * len(GROUPS), _CELL_INCHES * len(stretches))
            figure = matplotlib.figure.Figure(size, layout="constrained")
            axes = figure.subplots(len(stretches), len(GROUPS), squeeze=False)
            for axis in axes.flat:
                axis.set_axis_off()
            for look in maps:
                place = stretches.index((look.index, look.stop)), GROUPS.index(look.what)
                axes[place].imshow(overlay_map(shown[0], look))
                axes[place].set_title(f"{look.what}, {look.depth:.0%}: {look.value:.1%}", fontsize=6)
            file = folder / "figures" / f"looks_{model_number + 1}_{number + 1}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(file, dpi=200)
            written.append(file)
    return written


def overlay_map(image: Image.Image, look: Look) -> Image.Image:
    """Return an image, in RGB, with red over each part, the more opaque the more attention it gets."""
    cells = read_map(look)
    opacity = Image.fromarray(np.rint(255 * _STRONGEST * cells / max(cells.max(), 1e-12)).astype(np.uint8))
    ink = Image.new("RGB", image.size, _INK)
    return Image.composite(ink, image.convert("RGB"), opacity.resize(image.size, Image.Resampling.NEAREST))


def _list_maps(question: QuestionFindings) -> list[Look]:
    return [row for row in question.rows.get("looks") or () if row.what in GROUPS]
