"""The same random model and questions as in the tests of diagnosis."""

from diagnosis.conftest import few_resamples, policy, samples

__all__ = ["few_resamples", "policy", "samples"]
