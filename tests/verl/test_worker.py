"""What a worker process of verl makes of a model's tokenizer."""

from __future__ import annotations

import pytest
from think_tokens import save_with_think_tokens

from vapo.core.boundaries import THINK_TAGS
from vapo.models.policy.checkpoint import load_processor
from vapo.verl.settings import LoopSettings
from vapo.verl.worker import Worker


@pytest.mark.parametrize(
    ("trained", "option", "tags", "are_tokens"),
    [
        (False, "auto", THINK_TAGS, False),
        (True, "auto", THINK_TAGS, True),
        (True, "text", THINK_TAGS, False),
        (False, "<why> </why>", ("<why>", "</why>"), True),
    ],
)
def test_think_tags_are_written_as_in_training_on_trl(trained, option, tags, are_tokens, tmp_path):
    folder = str(save_with_think_tokens(tmp_path / "model", trained=trained))
    processor = load_processor(folder)
    worker = Worker(processor, folder, LoopSettings(think_tags=option), trust_remote_code=False)
    assert worker.think_tags == tags
    assert (THINK_TAGS[0] in worker.tokenizer.get_added_vocab()) is are_tokens
    assert worker.opens_thinking(worker.tokenizer.encode(f"hello {tags[0]}\n"))
    assert worker.opens_thinking(worker.tokenizer.encode("hello <think>\n")) is (tags == THINK_TAGS)
