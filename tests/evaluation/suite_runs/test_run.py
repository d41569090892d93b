from __future__ import annotations

import json

import pytest
from think_tokens import save_with_think_tokens

from vapo.errors import ConfigError
from vapo.evaluation.suite_runs.run import check_engine_tags
from vapo.lab.shipped import shipped_checkpoint


def test_tags_that_vllm_would_write_otherwise_are_refused(tmp_path):
    folder = save_with_think_tokens(tmp_path / "model", trained=False)
    with pytest.raises(ConfigError, match=r"are 'text', and vLLM writes <think> </think> as the tokenizer has them"):
        check_engine_tags(str(folder))
    (folder / "settings.json").write_text(json.dumps({"think_tags": "<why> </why>"}))
    with pytest.raises(ConfigError, match=r"are '<why> </why>'.*use --engine transformers"):
        check_engine_tags(str(folder))
    (folder / "settings.json").write_text(json.dumps({"think_tags": "tokenizer"}))
    check_engine_tags(str(folder))
    check_engine_tags(str(shipped_checkpoint()))
