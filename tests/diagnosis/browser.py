"""The system's Chromium, headless, for tests of pages: it notes whatever a page should not do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, _NAMES) if path), None)
_COUNT_PIXELS = """(figure, variable) => {
  const drawn = figure.querySelector("canvas"), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [drawn.width, drawn.height];
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(drawn, 0, 0);
  const color = getComputedStyle(figure).getPropertyValue(variable).trim();
  const [r, g, b] = [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16));
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let k = 0; k < data.length; k += 4) if (data[k] === r && data[k + 1] === g && data[k + 2] === b) count += 1;
  return count;
}"""


@dataclass
class Visit:
    """A page that is open; `complaints` are console messages and errors, `requests` what it asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def start_chromium() -> Iterator[Any]:
    """Start a browser; containers run as root, which Chromium's sandbox refuses."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def visit(browser: Any, file: Path, width: int = 1280, height: int = 800, scheme: str = "light") -> Iterator[Visit]:
    """Open a file, wait until it has drawn itself, and close it at the end."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.set_default_timeout(10_000)
    visited = Visit(page)
    page.on("console", lambda message: visited.complaints.append(message.text))
    page.on("pageerror", lambda error: visited.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (visited.complaints.append("a dialog"), dialog.dismiss()))
    page.on("request", lambda request: visited.requests.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]")
    page.wait_for_timeout(100)  # charts are drawn when their sizes are known
    yield visited
    page.close()


def count_pixels(figure: Any, model: int) -> int:
    """Return how many pixels of a figure's canvas have the colour of a model's line, as the style sheet says it."""
    return figure.evaluate(_COUNT_PIXELS, f"--model-{model}")
