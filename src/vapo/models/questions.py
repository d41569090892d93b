"""How a claim is put to a model, and which tokens count as its answer.

The question ends without a space. Tokenizers of the GPT-2 kind fold the space into the word that follows, so a
prompt that ends in a space asks for a token sequence that the model has hardly ever seen.
"""

from __future__ import annotations

PROBE_TEMPLATE = "\n<anchor> {claim} Is this claim correct? Answer (yes/no):"
"""Text appended to a cut chain (arXiv 2509.25848, Section 4); `{claim}` is replaced by the claim's text."""
