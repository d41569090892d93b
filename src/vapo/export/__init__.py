"""A checkpoint as a folder for others, with its card."""

from vapo.export.agreement import MEAN_TOLERANCE, TIE

__all__ = ["MEAN_TOLERANCE", "TIE"]
