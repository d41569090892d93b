"""A model that always does as it is told: claims that follow from the image, the seed and what is asked for."""

from __future__ import annotations

import hashlib
import json
import random
import re
from typing import Any

from openai_stub import Reply, say

THINGS = (
    "cat",
    "dog",
    "tree",
    "house",
    "car",
    "boat",
    "lamp",
    "table",
    "chair",
    "cup",
    "plate",
    "book",
    "road",
    "sign",
)
PLACES = ("above", "below", "beside", "behind", "near", "under", "in front of", "opposite")
_ORDER = re.compile(r"exactly (\d+) different claims about [^:]+: (?:(\d+) true and (\d+) false|all of them (\w+)),")


def write_claims(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the claims that a request asks for; the same for the same request."""
    content = body["messages"][0]["content"]
    num_true, num_false = read_order(content[0]["text"])
    images = "".join(part["image_url"]["url"] for part in content[1:])
    digest = hashlib.sha256(f"{images} {body.get('seed')}".encode()).digest()
    rng = random.Random(digest)
    texts: list[str] = []
    while len(texts) < num_true + num_false:
        one, other = rng.sample(THINGS, 2)
        text = f"The {one} with {rng.randrange(2, 999)} dots lies {rng.choice(PLACES)} the {other}."
        if text not in texts:
            texts.append(text)
    claims = [{"text": text, "is_true": number < num_true} for number, text in enumerate(texts)]
    rng.shuffle(claims)
    return claims


def read_order(instruction: str) -> tuple[int, int]:
    """Return how many true and false claims an instruction asks for."""
    found = _ORDER.search(instruction)
    assert found is not None, instruction
    if found[4]:
        return (int(found[1]), 0) if found[4] == "true" else (0, int(found[1]))
    return int(found[2]), int(found[3])


def describe_claims(claims: list[dict[str, Any]], **message: Any) -> Reply:
    return say(json.dumps({"claims": claims}), **message)


def answer(body: dict[str, Any]) -> Reply:
    """What the model replies to a request."""
    return describe_claims(write_claims(body), tokens=(1200, 300))
