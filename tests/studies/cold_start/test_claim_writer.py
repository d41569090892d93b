"""The shipped writer makes claims about images it never saw, and most of its labels are right."""

from functools import cache

from transformers import AutoModelForImageTextToText, AutoProcessor

from studies.cold_start.claim_writer import describe_writer, measure_writing
from vapo.lab.claim_truth import ClaimScore
from vapo.lab.shipped import resolve_model, shipped_checkpoint, shipped_writer


@cache
def measure() -> ClaimScore:
    folder = shipped_writer()
    model = AutoModelForImageTextToText.from_pretrained(folder)
    return measure_writing(model, AutoProcessor.from_pretrained(folder), seed=17, images=60)


def test_labels_are_right_of_every_kind_of_claim():
    score = measure()
    assert score.labels is not None
    assert score.labels.value > 0.85, f"\n{score}"
    assert set(score.by_kind) == {"cell", "presence", "comparison"}
    assert min(score.by_kind["cell"].value, score.by_kind["presence"].value) > 0.9
    assert score.by_kind["comparison"].value > 0.6


def test_nearly_all_claims_are_in_the_labs_words():
    score = measure()
    assert score.labels is not None
    assert score.num_others <= 0.03 * (score.num_others + score.labels.total)


def test_it_is_small_and_says_where_it_comes_from():
    folder = shipped_writer()
    assert folder != shipped_checkpoint() and resolve_model("lab-writer") == str(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 5_000_000
    readme = (folder / "README.md").read_text()
    for word in ("python -m studies build", "labels right", "scikit-learn", "CC BY 4.0"):
        assert word in readme
    assert readme.startswith(describe_writer(0, None).partition("##")[0])
