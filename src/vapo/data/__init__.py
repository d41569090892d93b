"""Data sets, whatever their form, as samples: any row in, a checked `Sample` out."""

from vapo.data.checks import RowProblem
from vapo.data.columns import Columns
from vapo.data.inspection import Inspection, inspect_samples
from vapo.data.inspection_table import format_inspection
from vapo.data.prompts import build_messages
from vapo.data.samples import Samples, load_samples

__all__ = [
    "Columns",
    "Inspection",
    "RowProblem",
    "Samples",
    "build_messages",
    "format_inspection",
    "inspect_samples",
    "load_samples",
]
