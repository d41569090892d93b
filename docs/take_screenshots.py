"""Make the report that the docs link to, and the pictures of it: `python docs/take_screenshots.py`.

The report is a real one, of the lab's checkpoint on its held-out questions; Chromium photographs it. Takes about two
minutes on two cores.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from vapo.cli import main

DOCS = Path(__file__).parent
NUM_QUESTIONS = 100
MAX_BYTES = 300_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def take_screenshots(report: Path, folder: Path) -> list[Path]:
    """Photograph a report's first screen and its inspector; return the files."""
    chromium = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if chromium is None:
        sys.exit("no Chromium was found; install one, for example by apt-get install chromium")
    files = [folder / "diagnosis_report.png", folder / "diagnosis_inspector.png"]
    with sync_playwright() as playwright:
        # Containers run as root, which Chromium's sandbox refuses.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        page.goto(report.as_uri())
        page.wait_for_selector("html[data-ready]")
        page.wait_for_timeout(300)
        page.screenshot(path=files[0])
        show_a_lost_answer(page)
        photograph(page, "#inspector", files[1])
        browser.close()
    for file in files:
        shrink(file)
    return files


def photograph(page: Page, part: str, file: Path) -> None:
    """Photograph a part of the page with some room around it."""
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")  # boxes are measured from the top of the window
    box = page.locator(part).bounding_box()
    assert box is not None, f"{part} is not shown"
    clip = {"x": box["x"] - 24, "y": box["y"] - 12, "width": box["width"] + 48, "height": box["height"] + 24}
    page.screenshot(path=file, full_page=True, clip=clip)


def show_a_lost_answer(page: Page) -> None:
    """Choose an error that was right at an earlier cut, if there is one, and stop its chain there."""
    lost = page.locator("button[data-filter=recoverable]")
    if lost.count():
        lost.click()
        page.locator(".run.right").first.click()


def shrink(file: Path) -> None:
    """Keep 256 colours: the page has few."""
    with Image.open(file) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    if file.stat().st_size > MAX_BYTES:
        sys.exit(f"{file} has {file.stat().st_size} bytes, more than {MAX_BYTES}; show less on it")


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        status = main(["diagnose", "lab", "--limit", str(NUM_QUESTIONS), "--out", folder])
        if status:
            sys.exit(status)
        example = Path(shutil.copy(Path(folder) / "report.html", DOCS / "example_report.html"))
        for file in [*take_screenshots(example, DOCS), example]:
            print(f"{file}: {file.stat().st_size} bytes")
