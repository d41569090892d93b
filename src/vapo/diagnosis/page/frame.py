"""The frame of a page: template, style, scripts, plotting library and data, joined into one HTML file."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

_STYLES = ("uplot/uPlot.min.css", "style.css", "inspector.css")
_SCRIPTS = (
    "elements.js",
    "curves.js",
    "tables.js",
    "ruler.js",
    "looks.js",
    "response.js",
    "inspector.js",
    "unpacking.js",
)
_LIBRARY, _LICENCE = "uplot/uPlot.iife.min.js", "uplot/LICENSE"


@dataclass(frozen=True, slots=True)
class Frame:
    """What one kind of page has for itself; all else is shared.

    Attributes:
        title: of the window.
        body: HTML, to be filled by the scripts; nothing from models or data.
        scripts: in the order they run, behind the shared ones.
        style: CSS behind the shared one.
    """

    title: str
    body: str
    scripts: tuple[str, ...]
    style: str = ""


def join_page(frame: Frame, data: Any) -> str:
    """Return one HTML file that opens offline.

    Text from models and data is carried as JSON, which scripts show as text; the page's policy lets no script run but
    its own, and nothing be fetched.

    Args:
        frame: the kind of page.
        data: plain values, for the scripts.

    Raises:
        ValueError: a number is not finite.
    """
    style = "\n".join([*map(_read, _STYLES), frame.style])
    scripts = [f"/*\n{_read(_LICENCE)}*/\n{_read(_LIBRARY)}", *map(_read, _SCRIPTS), *frame.scripts]
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",  # no text is ever parsed as HTML
            "trusted-types 'none'",
        ]
    )
    parts = {
        "policy": policy,
        "title": frame.title,
        "style": f"<style>{style}</style>",
        "body": frame.body.strip(),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
        "data": write_data(data),
    }
    # One pass: what is put in is not searched again.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _read("template.html"))


def write_data(value: Any) -> str:
    """Write JSON that can stand in any place of an HTML page: in ASCII, without <, > and &."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(code: str) -> str:
    return f"'sha256-{b64encode(sha256(code.encode()).digest()).decode()}'"


def _read(name: str) -> str:
    return files("vapo.diagnosis.page").joinpath(name).read_text(encoding="utf-8")
