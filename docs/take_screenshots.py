"""Make the report that the docs link to, and the images in them: `python docs/take_screenshots.py`.

All are real, of the lab's checkpoint on its held-out questions and of claims about its images; Chromium photographs
them. The report takes about two minutes on two cores, the demo ten, the review's page seconds; `python
docs/take_screenshots.py report`, or `demo`, or `review`, remakes one of them.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from vapo.claims.review.server import ReviewServer
from vapo.claims.review.session import ReviewSession
from vapo.cli import main

DOCS = Path(__file__).parent
NUM_QUESTIONS = 100
MAX_BYTES = 300_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def take_report(folder: Path) -> list[Path]:
    """Diagnose, keep the report, photograph its first screen and its inspector; return the files."""
    run(["diagnose", "lab", "--limit", str(NUM_QUESTIONS), "--closing", "</think>", "--out", str(folder)])
    example = Path(shutil.copy(folder / "report.html", DOCS / "example_report.html"))
    files = [DOCS / "diagnosis_report.png", DOCS / "diagnosis_inspector.png"]
    with open_page(example.as_uri()) as page:
        page.screenshot(path=files[0])
        show_a_lost_answer(page)
        photograph(page, "#inspector", files[1])
    return [*map(shrink, files), example]


def take_demo(folder: Path) -> list[Path]:
    """Run the demo, photograph its page's first screen and its inspector; return the files."""
    run(["demo", "--out", str(folder)])
    files = [DOCS / "demo_page.png", DOCS / "demo_inspector.png"]
    with open_page((folder / "demo.html").as_uri()) as page:
        page.screenshot(path=files[0])
        photograph(page, "#inspector", files[1])
    return [*map(shrink, files)]


def take_review(folder: Path) -> list[Path]:
    """Judge some claims of the lab's on the page, and photograph it; return the file."""
    run(["claims", "import", "lab", "--limit", "12", "--out", str(folder / "claims.db")])
    file = DOCS / "claims_review.png"
    with ReviewServer(ReviewSession(folder / "claims.db", "ann")) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        with open_page(server.url) as page:
            page.keyboard.type("r" * 20 + "rrrrruww" + "r" * 12 + "rrrrrwrr")
            page.get_by_text("48 of 240 claims").wait_for()
            page.screenshot(path=file)
        server.shutdown()
        thread.join()
    return [shrink(file)]


def run(words: list[str]) -> None:
    """Run a command of vapo; stop if it fails."""
    status = main(words)
    if status:
        sys.exit(status)


@contextmanager
def open_page(url: str) -> Iterator[Page]:
    """Open a page in the system's Chromium and wait until it has drawn itself."""
    chromium = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if chromium is None:
        sys.exit("no Chromium was found; install one, for example by apt-get install chromium")
    with sync_playwright() as playwright:
        # Containers run as root, which Chromium's sandbox refuses.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        page.goto(url)
        page.wait_for_selector("html[data-ready]")
        page.wait_for_timeout(300)
        yield page
        browser.close()


def photograph(page: Page, part: str, file: Path) -> None:
    """Photograph a part of the page with some room around it."""
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")  # boxes are measured from the top of the window
    box = page.locator(part).bounding_box()
    assert box is not None, f"{part} is not shown"
    clip = {"x": box["x"] - 24, "y": box["y"] - 12, "width": box["width"] + 48, "height": box["height"] + 24}
    page.screenshot(path=file, full_page=True, clip=clip)


def show_a_lost_answer(page: Page) -> None:
    """Choose an error that was right at an earlier cut, if there is one, and stop its response there."""
    lost = page.locator("button[data-filter=recoverable]")
    if lost.count():
        lost.click()
        page.locator(".run.right").first.click()


def shrink(file: Path) -> Path:
    """Keep 256 colours: the page has few."""
    with Image.open(file) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    if file.stat().st_size > MAX_BYTES:
        sys.exit(f"{file} has {file.stat().st_size} bytes, more than {MAX_BYTES}; show less on it")
    return file


TAKEN: dict[str, Callable[[Path], list[Path]]] = {"report": take_report, "demo": take_demo, "review": take_review}

if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(TAKEN)
    if unknown:
        sys.exit(f"there is nothing called {', '.join(sorted(unknown))} to take; there are {', '.join(TAKEN)}")
    for name in sys.argv[1:] or TAKEN:
        with TemporaryDirectory() as folder:
            for file in TAKEN[name](Path(folder)):
                print(f"{file}: {file.stat().st_size} bytes")
