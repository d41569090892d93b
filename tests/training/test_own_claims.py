"""A policy that writes the claims it is trained on."""

from __future__ import annotations

import pytest
from tiny_models import save_tiny
from training.training_world import CLAIMS, even_letters, make_config, make_rows

from vapo import VAPOTrainer
from vapo.claims.store.claims import NewClaim
from vapo.claims.store.store import Store
from vapo.errors import ConfigError
from vapo.types import Claim

OF_THE_DATA = {claim["text"] for claim in CLAIMS}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return str(save_tiny("llava", tmp_path_factory.mktemp("llava")))


@pytest.fixture
def written(monkeypatch) -> list[str]:
    """Policies that wrote, one for each image, in order; each writes claims that name it."""
    names: list[str] = []

    def write(policy, image_sets, settings, *, batch_size):
        names.extend([policy.name] * len(image_sets))
        step = policy.name.rpartition(" ")[2]
        claims = [
            NewClaim(Claim(f"The {thing} of {step} stands near the wall.", thing in ("cup", "lamp")), "other")
            for thing in ("cup", "book", "lamp", "plate")
        ]
        return [claims] * len(image_sets)

    monkeypatch.setattr("vapo.training.own_claims.write_claims", write)
    return names


def train(checkpoint, folder, *, resume: bool = False, rows=None, **options) -> tuple[VAPOTrainer, list[set[str]]]:
    """Train, and return the trainer and the claims that probes were drawn from, by rollout."""
    asked: list[set[str]] = []
    config = make_config(folder, **{"own_claims_steps": 2, "max_steps": 4, "num_anchors": 4, **options})
    trainer = VAPOTrainer(checkpoint, even_letters, config, make_rows() if rows is None else rows)
    reward = trainer._calculate_rewards

    def note(rows, *generated):
        asked.append({claim["text"] for row in rows for claim in row["claims"]})
        return reward(rows, *generated)

    trainer._calculate_rewards = note
    trainer.train(resume_from_checkpoint=resume or None)
    return trainer, asked


def test_its_claims_are_probed_and_written_anew_in_time(checkpoint, tmp_path, written):
    trainer, asked = train(checkpoint, tmp_path)
    spoken = [{text.split()[3] for text in texts} for texts in asked]
    assert set().union(*spoken[: len(spoken) // 2]) <= {"0", "1"} and set().union(*spoken[-2:]) <= {"2", "3"}
    assert sorted(path.name for path in (tmp_path / "claims").glob("*.db")) == ["step-0.db", "step-2.db"]
    assert {entry["claims/own_share"] for entry in trainer.state.log_history if "claims/own_share" in entry} == {1.0}
    images = 0
    for path in (tmp_path / "claims").glob("*.db"):
        with Store(path) as store:
            images += len(store.read("SELECT id FROM subjects"))
    assert len(written) == images  # each image once in a stretch of steps, however often it came up


def test_a_run_that_goes_on_asks_for_nothing_twice(checkpoint, tmp_path, written):
    options = {"save_strategy": "steps", "save_steps": 1}
    train(checkpoint, tmp_path, max_steps=1, **options)
    before = list(written)
    with Store(tmp_path / "claims" / "step-0.db") as store:
        kept = store.read("SELECT * FROM claims ORDER BY id")
    train(checkpoint, tmp_path, resume=True, max_steps=2, **options)
    assert set(written[len(before) :]) <= {"policy at step 1"}
    with Store(tmp_path / "claims" / "step-0.db") as store:
        assert store.read("SELECT * FROM claims ORDER BY id")[: len(kept)] == kept


def test_where_it_writes_none_the_datas_stay(checkpoint, tmp_path):
    trainer, asked = train(checkpoint, tmp_path, max_steps=1)  # a random model writes no JSON
    assert set().union(*asked) <= OF_THE_DATA and any(asked)
    assert {entry["claims/own_share"] for entry in trainer.state.log_history if "claims/own_share" in entry} == {0.0}


def test_without_the_option_nothing_is_asked(checkpoint, tmp_path, written):
    _, asked = train(checkpoint, tmp_path, own_claims_steps=0, max_steps=1)
    assert set().union(*asked) <= OF_THE_DATA and written == [] and not (tmp_path / "claims").exists()


def test_evaluation_keeps_the_datas(checkpoint, tmp_path, written):
    trainer, asked = train(checkpoint, tmp_path, max_steps=1)
    asked.clear()
    trainer.evaluate(make_rows(2))
    assert any(asked) and set().union(*asked) <= OF_THE_DATA


def test_what_is_refused(checkpoint, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="own_claims_steps must be at least 0"):
        make_config(tmp_path, own_claims_steps=-1)
    monkeypatch.setattr(VAPOTrainer, "_forward_is_collective", lambda self: True)
    with pytest.raises(ConfigError, match=r"own_claims_steps needs the whole model .* claims make --model"):
        VAPOTrainer(checkpoint, even_letters, make_config(tmp_path, own_claims_steps=2, packing="off"), make_rows())
