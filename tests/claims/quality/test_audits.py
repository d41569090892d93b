"""Figures of audits, worked by hand; and all that is said of a store."""

from __future__ import annotations

import numpy as np
import pytest

from vapo.claims.quality.audits import measure_audits
from vapo.claims.quality.quality import describe_quality, format_quality, measure_balance, measure_quality
from vapo.claims.store.annotations import Annotation, add_annotations
from vapo.claims.store.audits import Audit, AuditCost, add_audit
from vapo.claims.store.claims import NewClaim, StoredClaim, add_claims, list_claims
from vapo.claims.store.images import StoredImage, add_image_set
from vapo.claims.store.store import Store
from vapo.types import Claim


def make_claims(labels: str, kinds: str = "") -> dict[int, StoredClaim]:
    """Claims 0, 1, ... of one image for each word: `ttf` are two true ones and a false one."""
    found: dict[int, StoredClaim] = {}
    for image_set, word in enumerate(labels.split()):
        for letter in word:
            number = len(found)
            kind = kinds[number] if kinds else "other"
            found[number] = StoredClaim(
                number, image_set, Claim(f"Claim {number}.", letter == "t"), kind, "me", None, None
            )
    return found


def say(question: str, answers: str) -> list[Audit]:
    """One auditor's answers to claims 0, 1, ...: y, n, ? for unreadable, . for not asked."""
    read = {"y": True, "n": False, "?": None}
    letters = answers.replace(" ", "")
    return [Audit(n, "gpt", question, read[letter], None) for n, letter in enumerate(letters) if letter in read]


def measure(claims: dict[int, StoredClaim], *audits: list[Audit]):
    (figures,) = measure_audits([one for some in audits for one in some], claims, np.random.default_rng(0))
    return figures


def test_agreement_with_labels_in_all_by_truth_and_by_kind():
    claims = make_claims("ttff tf tf", kinds="ccppcpcp")
    figures = measure(claims, say("label", "ynnn yn y?"))
    assert (figures.label.count, figures.label.total) == (6, 7)
    assert (figures.label_of_true.count, figures.label_of_true.total) == (3, 4)
    assert (figures.label_of_false.count, figures.label_of_false.total) == (3, 3)
    assert {kind: (rate.count, rate.total) for kind, rate in figures.label_by_kind.items()} == {
        "c": (3, 4),
        "p": (3, 3),
    }
    assert (figures.unreadable.count, figures.unreadable.total) == (1, 8)
    # 14 labels, 7 yes and 7 no; unlike pairs: 2 seen, (196 - 98) / 13 by chance.
    assert figures.alpha == pytest.approx(1 - 2 * 13 / 98)
    assert figures.visual is None and figures.blind is None and figures.order is None


def test_needs_the_image_and_told_without_it():
    figures = measure(make_claims("tf tf"), say("visual", "yyyn"), say("answerable", "yyyy"), say("blind", "yyn."))
    assert (figures.visual.count, figures.answerable.count) == (3, 4)
    assert (figures.blind.count, figures.blind.total) == (1, 3)
    assert figures.label is None and figures.alpha is None


def test_the_shift_of_another_order_and_wording():
    claims = make_claims("tf tf tf tf")
    figures = measure(
        claims, say("label", "yn yn yn yn"), say("no_yes", "yy yn nn y?"), say("true_false", "yn yn yn yn")
    )
    # Images shift by +1/2, 0, -1/2 and 0; of seven claims asked both ways, two change.
    assert figures.order.mean == 0 and (figures.order.changed.count, figures.order.changed.total) == (2, 7)
    assert figures.order.low < 0 < figures.order.high
    assert (figures.wording.mean, figures.wording.low, figures.wording.changed.count) == (0, None, 0)


def test_auditors_are_apart():
    claims = make_claims("tf")
    one, other = say("label", "yn"), [Audit(n, "qwen", "label", True, None) for n in range(2)]
    figures = measure_audits([*one, *other], claims, np.random.default_rng(0))
    assert [(f.auditor, f.label.count) for f in figures] == [("gpt", 2), ("qwen", 1)]


def test_balance_by_image_and_kind():
    claims = make_claims("tftf ttf tttf", kinds="abababababa")
    balance = measure_balance(list(claims.values()))
    assert (balance.num_images, balance.num_even, balance.true.count, balance.true.total) == (3, 2, 7, 11)
    assert {kind: (rate.count, rate.total) for kind, rate in balance.by_kind.items()} == {"a": (4, 6), "b": (3, 5)}
    assert balance.contradicted == 0
    doubled = [StoredClaim(9, 0, Claim("Claim 0.", False), "a", "me", None, None), *claims.values()]
    assert measure_balance(doubled).contradicted == 1
    assert measure_balance([]).true is None


def test_an_empty_store_says_so(store: Store):
    assert describe_quality(measure_quality(store))[0] == ("claims", "none")


def test_all_that_is_known_of_a_store_is_said(store: Store):
    with store.writing():
        for number in range(12):
            image_set = add_image_set(store, [StoredImage(str(number), 1, 1, "image/png", b"")])
            texts = [
                ("It is there.", True),
                ("It is not there.", False),
                ("There is a dog.", True),
                ("No dog.", False),
            ]
            add_claims(store, image_set, "me", [NewClaim(Claim(*text), "other") for text in texts])
        claims = list_claims(store)
        for claim in claims:
            for question in ("label", "visual", "answerable", "blind", "no_yes", "true_false"):
                yes = claim.claim.is_true if question != "no_yes" else claim.image_set % 2 == 0
                add_audit(store, Audit(claim.id, "gpt", question, yes, None), b"", AuditCost(1, 1, 0.0))
        add_annotations(store, [Annotation(claim.id, "ann", "right") for claim in claims[:20]])
        add_annotations(
            store, [Annotation(claim.id, "bob", "wrong" if claim.id % 9 == 0 else "right") for claim in claims[:20]]
        )
    shown = format_quality(measure_quality(store))
    for piece in (
        "claims                       48 about 12 images",
        "true claims                  50.0%; as many as false ones about 12 images",
        "the wording gives the truth away",
        "“not” stands in 12 claims, of which 0 are true",
        "audited by                   gpt",
        "  agrees with the label      100.0% [75.8, 100.0] of 48; alpha 1.00\n",
        "  needs the image            50.0%",
        "  told without the image     100.0%",
        "  asked (no/yes)             +0.0",
        "  asked (true/false)         +0.0 points more often yes; 0.0% of answers change",
        "reviewed                     20 claims: 18 right, 0 wrong, 0 unclear, 2 disputed",
        "  reviewers agree            90.0%",
        "(ann, bob); alpha -0.0",
    ):
        assert piece in shown, piece
    assert format_quality(measure_quality(store)) == shown
