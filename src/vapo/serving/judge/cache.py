"""What a judge has answered before, on disk: one small file per answer, named by all that the answer depends on."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class JudgeAnswer:
    """What a judge said, as it said it, and the tokens it took."""

    text: str
    prompt_tokens: int
    completion_tokens: int


class JudgeCache:
    """Keep answers.

    Args:
        folder: where; None is `vapo/judge` in the user's cache (`XDG_CACHE_HOME`).
    """

    def __init__(self, folder: Path | None = None) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self.folder = folder or cache / "vapo" / "judge"

    def find(self, key: str) -> JudgeAnswer | None:
        """Return the answer under a key, or None; a file that cannot be read is as good as none."""
        try:
            return JudgeAnswer(**json.loads(self._path(key).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, key: str, answer: JudgeAnswer) -> bool:
        """Write an answer, whole or not at all, and return whether that went well: a full disk costs no answer."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as file:
                try:
                    file.write(json.dumps(asdict(answer)))
                    file.close()
                    os.replace(file.name, path)
                except OSError:
                    os.unlink(file.name)
                    raise
        except OSError:
            return False
        return True

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def make_key(parts: Mapping[str, Any]) -> str:
    """Return 64 hexadecimal digits that change whenever a part does; the parts must be JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
