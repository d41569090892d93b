"""The truth of claims about a grid, against those whose truth is known because the lab made them."""

from __future__ import annotations

import numpy as np
import pytest

from vapo.claims.store.claims import NewClaim, add_claims
from vapo.claims.store.images import StoredImage, add_image_set, add_row
from vapo.claims.store.store import Store
from vapo.cli import main
from vapo.errors import DataError
from vapo.lab.claim_truth import judge_claim, score_claims
from vapo.lab.claims import make_claims
from vapo.lab.world import Grid
from vapo.types import Claim

GRID = Grid(((3, 5, 3), (0, 7, 5)))  # AU BU CU / AV BV CV


@pytest.mark.parametrize("seed", range(20))
def test_claims_that_the_lab_makes_are_judged_as_they_were_made(seed):
    rng = np.random.default_rng(seed)
    grid = Grid(tuple(tuple(line) for line in rng.integers(0, 10, (rng.integers(2, 5), rng.integers(2, 5))).tolist()))
    for claim in make_claims(rng, grid):
        assert judge_claim(claim.text, grid) is claim.is_true, claim


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("The picture shows BV7.", True),
        ("The picture shows BV5.", False),
        ("The picture shows FZ7.", False),
        ("There is a 7.", True),
        ("There is a 9.", False),
        ("BV is larger than CV.", True),
        ("AU is larger than CU.", False),
        ("FZ is larger than AV.", False),
        ("The picture shows BV 7.", None),
        ("There is a seven.", None),
        ("The image is bright.", None),
        ("", None),
    ],
)
def test_truth_by_hand(text, truth):
    assert judge_claim(text, GRID) is truth


def fill(path) -> None:
    claims = [
        ("The picture shows BV7.", True),
        ("The picture shows BV5.", True),
        ("AU is larger than CU.", False),
        ("Hm.", True),
    ]
    with Store(path, create=True) as store, store.writing():
        subject = add_image_set(store, [StoredImage("a", 1, 1, "image/png", b"")])
        add_row(store, "lab", "lab-train-0-00000", "", subject)
        add_claims(store, subject, "lab", [NewClaim(Claim(*claim), "other") for claim in claims])


def test_labels_are_scored_in_all_and_by_kind(tmp_path):
    fill(tmp_path / "claims.db")
    with Store(tmp_path / "claims.db") as store:
        score = score_claims(store, {"lab-train-0-00000": GRID})
        assert (score.labels.count, score.labels.total, score.num_others) == (2, 3, 1)
        assert {kind: (rate.count, rate.total) for kind, rate in score.by_kind.items()} == {
            "cell": (1, 2),
            "comparison": (1, 1),
        }
        with pytest.raises(DataError, match="--split"):
            score_claims(store, {"lab-heldout-0-00000": GRID})


def test_the_command_knows_the_shipped_images(tmp_path, capsys):
    assert main(["claims", "import", "lab", "--limit", "5", "--out", str(tmp_path / "claims.db")]) == 0
    assert main(["lab", "score", str(tmp_path / "claims.db")]) == 0
    assert "labels right    100.0% [56.6, 100.0] of 100" in capsys.readouterr().out
    assert main(["lab", "score", str(tmp_path / "claims.db"), "--split", "heldout"]) == 1


def test_the_checkpoint_for_vllm_differs_in_names_alone(tmp_path, capsys):
    from safetensors.torch import load_file

    from vapo.lab.shipped import shipped_checkpoint

    assert main(["lab", "save", "--out", str(tmp_path / "model")]) == 0
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (shipped_checkpoint(), tmp_path / "model"))
    assert len(theirs) == len(ours) and set(theirs) != set(ours)
    for name, weights in ours.items():
        assert theirs[name.replace("vision_tower.", "vision_tower.vision_model.")].equal(weights)
    assert main(["lab", "save", "--out", str(tmp_path / "model")]) == 1
    assert "name another folder" in capsys.readouterr().err
