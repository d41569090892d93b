from __future__ import annotations

import numpy as np
import pytest

from vapo.claims.filters.kinds import KINDS, find_kind
from vapo.lab.claims import claim_kind, make_claims
from vapo.lab.world import draw_scene


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The car is red.", "colour"),
        ("The cat is black and white.", "colour"),
        ("The walls are light blue in colour.", "colour"),
        ("The man holds a red umbrella.", "other"),
        ("The red car stands left of the tree.", "place"),
        ("There are three dogs in the field.", "counting"),
        ("Two dogs run across the field.", "counting"),
        ("Exactly 1 cup stands on the table.", "counting"),
        ("The table has four legs.", "counting"),
        ("The image shows AU3.", "other"),
        ("There is a 3.", "other"),
        ("The sign reads STOP.", "inscription"),
        ('A poster shows "Tea".', "inscription"),
        ("The tower is taller than the tree.", "comparison"),
        ("A boat floats in the foreground.", "place"),
        ("A woman smiles.", "other"),
    ],
)
def test_kinds(text: str, kind: str):
    assert find_kind(text) == kind and kind in KINDS


def test_claims_of_the_lab_count_nothing():
    rng = np.random.default_rng(0)
    claims = [claim for _ in range(40) for claim in make_claims(rng, draw_scene(rng, 3, 3, "heldout").grid)]
    found = {(claim_kind(claim.text), find_kind(claim.text)) for claim in claims}
    assert found == {("cell", "other"), ("presence", "other"), ("comparison", "comparison")}
