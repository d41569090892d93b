"""The curves of a diagnosis as figures for a paper, drawn by matplotlib (`pip install 'vapo[report]'`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vapo.diagnosis.curves import Curve, Line, list_curves
from vapo.diagnosis.findings import Diagnosis
from vapo.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (3.4, 2.5)
"""Width and height in inches: one column of a paper in two columns."""

# Models differ in colour, dashes and the shape of their points; colours are told apart with any colour vision.
_COLORS = ("#0a5fa8", "#c2410c", "#00795a", "#8b3fa0", "#86690a", "#475569")
_SHAPES = ("o", "s", "^", "D")
_DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)))
_MOST_POINTS = 24
_STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e2e0d8",
    "grid.linewidth": 0.5,
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a $ in a model's name is a $
}


def write_figures(diagnosis: Diagnosis, folder: Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write each curve of a diagnosis that has lines as a figure of its own; see `write_curves`."""
    return write_curves(list_curves(diagnosis), [model.name for model in diagnosis.models], folder, formats)


def write_curves(
    curves: Sequence[Curve], names: Sequence[str], folder: Path, formats: Sequence[str] = ("png", "svg")
) -> list[Path]:
    """Write each curve that has lines as a figure of its own, `folder/figures/<key>.<format>`.

    Args:
        curves: what to draw.
        names: of the models, for the legends.
        folder: of the report; made if it is missing. Figures of the same name are replaced.
        formats: "png" (300 dots per inch), "svg" or "pdf".

    Returns:
        The files, curve by curve.

    Raises:
        ConfigError: matplotlib is not installed, or a format is unknown.
        OSError: a file cannot be written.
    """
    unknown = [name for name in formats if name not in ("png", "svg", "pdf")]
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no format of figures; choose among png, svg and pdf")
    matplotlib = import_matplotlib()
    place = folder / "figures"
    place.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with matplotlib.rc_context(_STYLE):
        for curve in curves:
            if not curve.lines:
                continue
            # A figure of its own, not pyplot's: no window, nothing kept open.
            figure = matplotlib.figure.Figure(SIZE, layout="constrained")
            draw_curve(figure.subplots(), curve, names)
            for name in formats:
                file = place / f"{curve.key}.{name}"
                figure.savefig(file, dpi=300)
                written.append(file)
    return written


def draw_curve(axes: Axes, curve: Curve, names: Sequence[str]) -> None:
    """Draw one curve with bands for its intervals; `names` are those of the models."""
    variants = list(dict.fromkeys(line.variant for line in curve.lines))
    y_scale = 100 if curve.y_is_share else 1
    for line in curve.lines:
        _draw_line(axes, curve, line, variants.index(line.variant), _name(line, names))
    if curve.reference is not None:
        axes.axhline(y_scale * curve.reference[0], color="#5d6672", linewidth=0.6, linestyle=(0, (2, 3)), zorder=1)
    axes.set_xlabel(curve.x_label + (", %" if curve.x_is_share else ""))
    axes.set_ylabel(curve.y_label + (", %" if curve.y_is_share else ""))
    if curve.x_is_share:
        axes.set_xlim(-2, 102)  # room for the points at both ends
    # What shrinks towards nothing is shown with nothing on the scale; what is compared with a level is shown near it.
    if curve.reference is None:
        axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=6.5, handlelength=2.4)


def _draw_line(axes: Axes, curve: Curve, line: Line, variant: int, name: str) -> None:
    x_scale, y_scale = (100 if share else 1 for share in (curve.x_is_share, curve.y_is_share))
    points = sorted(line.points, key=lambda point: point.at)
    xs = [x_scale * point.at for point in points]
    color = _COLORS[line.model % len(_COLORS)]
    axes.plot(
        xs,
        [y_scale * point.estimate.value for point in points],
        color=color,
        linestyle=_DASHES[variant % len(_DASHES)],
        linewidth=1.2,
        marker=_SHAPES[line.model % len(_SHAPES)],
        markersize=3,
        markevery=max(1, len(points) // _MOST_POINTS),
        markerfacecolor="white" if variant else color,
        label=name,
    )
    nan = float("nan")  # no band where there is no interval
    lows = [nan if point.estimate.low is None else y_scale * point.estimate.low for point in points]
    highs = [nan if point.estimate.high is None else y_scale * point.estimate.high for point in points]
    axes.fill_between(xs, lows, highs, color=color, alpha=0.08 if variant else 0.16, linewidth=0)


def _name(line: Line, names: Sequence[str]) -> str:
    if not line.variant:
        return names[line.model]
    return f"{names[line.model]}, {line.variant}" if len(names) > 1 else line.variant


def import_matplotlib() -> Any:
    """Import matplotlib, or raise ConfigError that says how to install it."""
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError as error:
        raise ConfigError(
            "figures are drawn by matplotlib, which is not installed; run: pip install 'vapo[report]'"
        ) from error
    return matplotlib
