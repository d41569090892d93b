"""What `log_completions` shows in the terminal, and what it leaves to its file."""

from __future__ import annotations

import json

import pandas as pd
from training.training_world import even_letters

from vapo.training.completion_table import MOST_COMPLETIONS, print_completions


def test_anchors_go_to_the_file_and_the_terminal_gets_a_table(make_trainer, tmp_path, capsys):
    make_trainer(reward_funcs=even_letters, max_steps=1, log_completions=True).train()
    printed = capsys.readouterr().out
    assert "p_true" not in printed and "claims" in printed and len(printed.splitlines()) < 100
    (file,) = (tmp_path / "completions").glob("*.parquet")
    kept = pd.read_parquet(file)
    assert len(kept) == 8 and all("p_true" in anchors for anchors in kept["anchors"] if json.loads(anchors))


def test_long_texts_are_cut_and_few_rows_shown(capsys):
    count, long = 20, [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "why " * 2000}]}]
    verdicts = json.dumps([{"correct": True}, {"correct": False}])
    arguments = ([long] * count, ["so \x1b[31m" * 500] * count, {"own": [0.5] * count}, [0.0] * count, 3)
    print_completions(*arguments, extra={"anchors": [verdicts] * count, "num_tokens": [7] * count})
    printed = capsys.readouterr().out
    assert f"{MOST_COMPLETIONS} of {count} completions; all, with their anchors, are in completions/" in printed
    assert "\x1b[31m" not in printed and len(printed.splitlines()) < 60 * MOST_COMPLETIONS
    print_completions(*arguments, 2, extra={"anchors": [verdicts] * count})
    few = capsys.readouterr().out
    assert len(few) < len(printed) / 2 and "of 20" not in few
