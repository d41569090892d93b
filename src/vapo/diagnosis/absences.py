"""Why a part of the report is empty: the sentence that was said when its protocol was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vapo.diagnosis.findings import Diagnosis, ModelFindings

# What a sentence of `Diagnosis.left_out` or `QuestionFindings.notes` about a protocol has among its first words.
_WORDS = {
    "early": ("early",),
    "recovery": ("recover", "early"),
    "perception": ("perception", "claim"),
    "p_label": ("perception", "claim"),
    "yes_rate": ("perception", "claim"),
    "claims_true": ("perception", "claim"),
    "claims_false": ("perception", "claim"),
    "attention_by_depth": ("attention",),
    "attention_by_step": ("attention",),
    "attention_by_head": ("attention",),
    "sensitivity": ("sensitivity",),
    "remedies": ("remed",),
    "categories": ("categor", "judge"),
}
_OPENING = 3  # words; what follows may name a model, or another protocol


def explain_absence(key: str, diagnosis: Diagnosis, missing: Sequence[ModelFindings]) -> str:
    """Return sentences on why a curve or a table is missing, for some models or in part; "" if nothing is.

    Args:
        key: of the curve, or "remedies", "categories", "attention_by_head".
        diagnosis: whose `left_out` is searched first.
        missing: the models without it.
    """
    said = [reason for reason in diagnosis.left_out if _speaks_of(key, reason)]
    if said:
        return " ".join(said)
    if not missing:
        return ""
    if key in ("recovery", "categories") and all(model.accuracy.value == 1 for model in missing):
        return "There are no errors."
    notes = Counter(
        note for model in missing for findings in model.questions for note in findings.notes if _speaks_of(key, note)
    )
    if notes:
        note, count = notes.most_common(1)[0]
        return f"{note} (So on {count} of {sum(len(model.questions) for model in missing)} responses.)"
    if len(missing) == len(diagnosis.models):
        return "Not measured in this diagnosis."
    return f"Not measured for {', '.join(model.name for model in missing)}."


def _speaks_of(key: str, sentence: str) -> bool:
    opening = " ".join(sentence.lower().split()[:_OPENING])
    return any(word in opening for word in _WORDS.get(key, (key.partition("_")[0],)))
