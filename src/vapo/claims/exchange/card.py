"""The card of a folder of claims: what it is, how it was made, and how good it is as far as that is known."""

from __future__ import annotations

from vapo.claims.contents import Contents
from vapo.claims.exchange.markdown import escape, quote, write_table
from vapo.claims.quality.quality import Quality, describe_quality

_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


def write_card(name: str, num_rows: int, num_claims: int, contents: Contents, quality: Quality, version: str) -> str:
    """Return the card as Markdown with the front matter that the Hugging Face hub reads.

    Servers and their addresses are not told: who publishes a set need not say where it was made.

    Args:
        name: of the set.
        num_rows, num_claims: that were written.
        contents: of the store.
        quality: of its claims.
        version: of vapo.
    """
    size = next((words for bound, words in _SIZES.items() if num_rows < bound), "n>1M")
    return f"""---
pretty_name: {quote(name)}
size_categories:
- {size}
task_categories:
- visual-question-answering
tags:
- vapo
- visual-claims
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
---

# {escape(name)}

{num_claims} claims about the images of {num_rows} rows. A claim says one thing that can be seen in an image, and
carries its truth. Vision-Anchored Policy Optimization ([arXiv 2509.25848](https://arxiv.org/abs/2509.25848)) asks them
along a model's chains of thought to see whether it still looks.

| Column | Holds |
|---|---|
| `id`, `source` | the row that the claims were made for |
| `images` | its images as the model that made the claims was sent them, which may be smaller than they were |
| `image_names` | SHA-256 of the images' own pixels (RGB, upright); by these, `vapo data attach` finds them again |
| `claims` | a list of `text` and `is_true` |
| `makers` | who made each claim |

## How it was made

{write_making(contents)}

## How good it is

{write_quality(quality)}

Written by vapo {version}. The licence of the images is that of the data set they come from: check it before you
publish them.
"""


def write_making(contents: Contents) -> str:
    """Return who made a store's claims, who was asked, and what was rejected, as tables."""
    prompts = [(f"{model}, instruction {prompt}", number) for (model, prompt), number in contents.prompts.items()]
    rejected = contents.rejected.items()
    return "\n\n".join(
        (
            write_table(("made by", "claims"), contents.kept.items()),
            write_table(("asked", "answers"), prompts) or "No model was asked.",
            write_table(("rejected, and asked for anew, for" if prompts else "rejected for", "claims"), rejected)
            or "No claim was rejected.",
        )
    )


def write_quality(quality: Quality) -> str:
    """Return how good a store's claims are as a table, with what its brackets hold."""
    intervals = "Brackets hold 95 % intervals that take claims about one image together."
    return f"{intervals}\n\n{write_table(('', ''), describe_quality(quality))}"
