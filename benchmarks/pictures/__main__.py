"""Make the README's pictures: the demo runs in a terminal of its own, and a browser photographs it and its report.

.venv/bin/python -m benchmarks.pictures [--only terminal|report]; the run is kept in output/pictures/. Needs Chromium.
"""

import argparse
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from benchmarks.pictures.screen import Cell, Screen, page

WORK, PICTURES = Path("output/pictures"), Path("docs/pictures")
COLUMNS, ROWS = 104, 24
REPORT_SIZE = {"width": 1200, "height": 1300}
LARGEST = 300_000  # bytes of a picture
PATHS = [f"paths.{name}={WORK / name}" for name in ("input", "submissions")] + [f"paths.output={WORK}"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Make both pictures, or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", choices=("terminal", "report"), help="the report: made anew from the run that is there"
    )
    only = parser.parse_args().only
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("no Chromium is installed (Debian: apt install chromium)")
    if only == "report":
        subprocess.run(_ripik("report", "--config", "configs/demo.toml"), check=True)
    else:
        shutil.rmtree(WORK, ignore_errors=True)
        lines = during_training(_ripik("demo"))
    with tempfile.TemporaryDirectory() as folder:
        if only != "report":
            shot = Path(folder) / "terminal.html"
            shot.write_text(page(lines), encoding="utf-8")
            photograph(browser, shot, PICTURES / "terminal.png", "pre")
        if only != "terminal":
            photograph(browser, WORK / "demo" / "report" / "index.html", PICTURES / "report.png", None)


def _ripik(*words: str) -> list[str]:
    return [sys.executable, "-m", "ripik", *words, *(part for path in PATHS for part in ("--set", path))]


def during_training(command: list[str]) -> list[list[Cell]]:
    """Run a command in a terminal; return what that showed when most trainings told a loss, halfway through that."""
    screen, moments = Screen(COLUMNS), list[tuple[int, list[list[Cell]]]]()
    screen.feed("$ make demo\r\n")
    for text in output_of(command):
        screen.feed(text)
        at_work = sum("finetuned/" in line and "epoch" in line and "loss" in line for line in screen.text(ROWS))
        moments.append((at_work, screen.snapshot(ROWS)))
    most = max(at_work for at_work, _ in moments)
    best = [shown for at_work, shown in moments if at_work == most]
    return best[len(best) // 2]


def output_of(command: list[str]) -> Iterator[str]:
    """Run a command in a pseudo-terminal and yield what it writes; exits where it fails."""
    import fcntl
    import termios

    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    left_out = ("COLORTERM", "COLUMNS", "LINES", "NO_COLOR")
    surroundings = {key: value for key, value in os.environ.items() if key not in left_out} | {"TERM": "xterm"}
    running = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=surroundings, close_fds=True)
    os.close(its)
    kept = b""
    while chunk := _read(ours):
        text = (kept + chunk).decode(errors="ignore")
        kept = (kept + chunk)[len(text.encode()) :]
        yield text
    if running.wait():
        sys.exit(f"{' '.join(command)} ended with {running.returncode}")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the program has ended
        return b""


def photograph(browser: str, shown: Path, target: Path, element: str | None) -> None:
    """Write a PNG of a page's top, or of one element, of at most 300 KB: with fewer colours where it needs to."""
    from playwright.sync_api import sync_playwright

    target.parent.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        opened = launched.new_page(viewport=REPORT_SIZE, color_scheme="light")
        opened.goto(shown.resolve().as_uri())
        (opened.locator(element) if element else opened).screenshot(path=target)
        launched.close()
    for colours in (256, 64, 16):
        if target.stat().st_size <= LARGEST:
            break
        with Image.open(target) as picture:
            fewer = picture.convert("RGB").quantize(colours)
        fewer.save(target, optimize=True)
    print(f"{target}: {target.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
