"""Local copies of the benchmarks, and caches of their own."""

from __future__ import annotations

import pytest


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """A folder with copies of all benchmarks, which is the working directory."""
    from evaluation.lmms_eval.local_copies import write_copies

    write_copies(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMMS_EVAL_DATASETS_CACHE", str(tmp_path / "cache"))
    from lmms_eval.api.task import _resolve_hf_datasets_cache_dir

    _resolve_hf_datasets_cache_dir.cache_clear()
    return tmp_path
