"""Print an HTML file as PDF by Chromium, which draws it as on the screen."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from freehint.config import InputError
from freehint.files import whole_file

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = (
    "--headless",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
)
PATIENCE_S = 120


def find_chromium() -> str:
    """The path of Chromium.

    Raises
    ------
    InputError
        Chromium is not installed.
    """
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    raise InputError(
        "a PDF is printed by Chromium, which is not installed (Debian: apt-get install chromium);"
        " without --pdf only the HTML is written"
    )


def pdf_beside(path: Path) -> Path:
    """The path of the PDF beside an HTML file.

    Raises
    ------
    InputError
        It is the path of the HTML file itself.
    """
    beside = path.with_suffix(".pdf")
    if beside == path:
        raise InputError(f"{path}: -o names the HTML file, and the PDF is written beside it")
    return beside


def write_page(path: Path, html: str, pdf: bool = False) -> None:
    """Write an HTML file and, if wanted, its PDF beside it; all of it appears or nothing does."""
    if not pdf:
        with whole_file(path) as temporary:
            temporary.write_text(html)
        return
    with whole_file(path) as temporary, whole_file(pdf_beside(path)) as printed:
        temporary.write_text(html)
        _print(html, printed)


def _print(html: str, pdf: Path) -> None:
    """Print a page from a copy that ends in .html, by which Chromium knows a page."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(html)
        command = [
            find_chromium(),
            *ARGUMENTS,
            # The sandbox refuses to run as root.
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            f"--user-data-dir={folder}/profile",
            f"--print-to-pdf={pdf}",
            page.as_uri(),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise ChildProcessError(f"Chromium printed nothing in {PATIENCE_S} s") from None
    if done.returncode or not pdf.read_bytes().startswith(b"%PDF-"):
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ChildProcessError(f"Chromium could not print: {last}")
