"""Why a part of the report is empty: the sentence that was said when its protocol was left out."""

from __future__ import annotations

from collections.abc import Sequence

from vapo.diagnosis.findings import Diagnosis, ModelFindings

# A protocol is known in the sentences of `Diagnosis.left_out` and `QuestionFindings.notes` by these words.
_WORDS = {
    "early": ("early",),
    "recovery": ("recover", "early"),
    "perception": ("perception", "claim"),
    "p_label": ("perception", "claim"),
    "attention_by_depth": ("attention",),
    "attention_by_step": ("attention",),
    "attention_by_head": ("attention",),
    "sensitivity": ("sensitivity",),
    "remedies": ("remed",),
    "categories": ("categor", "judge"),
    "confusion": ("categor", "judge"),
}


def explain_absence(key: str, diagnosis: Diagnosis, missing: Sequence[ModelFindings]) -> str:
    """Return sentences on why `key`, a curve or a table, is missing for the models `missing`; "" if that is none."""
    if not missing:
        return ""
    said = [reason for reason in diagnosis.left_out if _speaks_of(key, reason)]
    if said:
        return " ".join(said)
    if key == "recovery" and all(model.accuracy.value == 1 for model in missing):
        return "There are no errors to recover from."
    if key in ("categories", "confusion") and all(model.accuracy.value == 1 for model in missing):
        return "There are no errors to sort."
    if len(missing) == len(diagnosis.models):
        return "Not measured in this diagnosis."
    return f"Not measured for {', '.join(model.name for model in missing)}."


def _speaks_of(key: str, reason: str) -> bool:
    # What stands first names the protocol; words further on may be about others.
    opening = reason.partition(":")[0].lower() if ":" in reason else reason.lower()
    return any(word in opening for word in _WORDS[key])
