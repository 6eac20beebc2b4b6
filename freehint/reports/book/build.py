"""Build the book: run the notebooks that have changed, and write one page for each.

python -m freehint.reports.book.build notebooks/index.ipynb out/book     # make book

The contents are a notebook whose links give the chapters and their order.  Each chapter is run in
a kernel of its own, two at a time, and kept executed in ``executed/``; it is run again only if
its notebook, freehint or its data has changed.  Every file appears whole or not at all, so a
build that was killed goes on where it was.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from html import escape
from pathlib import Path
from string import Template

from freehint.config import InputError, extra
from freehint.data import data
from freehint.files import whole_file
from freehint.jit.closure import PACKAGE
from freehint.reports.book.chapter import Chapter, contents, render_chapter
from freehint.reports.glossary import glossary_script
from freehint.reports.parameters import read_notebook
from freehint.version import __version__
from freehint.widgets.player.html import STAND_IN

FOLDER = Path(__file__).parent
AT_ONCE = 2  # kernels; each may use several threads
KEY = "freehint_book"  # entry of an executed notebook's metadata
EXECUTED = "executed"


def write_book(index, folder, said=print) -> Path:
    """Write a book of executed notebooks as a website that asks no host.

    Parameters
    ----------
    index : str or Path
        The notebook with the contents; its links to notebooks beside it are the chapters.
    folder : str or Path
        ``index.html`` and a page for each chapter are written there.
    said : callable
        Gets one line for each chapter that was run.

    Returns
    -------
    Path
        The page of the contents.

    Raises
    ------
    InputError
        The contents name no chapter, or one that does not exist.
    ChildProcessError
        A chapter failed, or the build was interrupted.  The others are kept; no page is written.
    """
    index, folder = Path(index), Path(folder)
    names = [index.stem, *chapters_of(index)]
    source = fingerprint()
    keys = {name: _key(index.with_name(f"{name}.ipynb"), source) for name in names}
    stored = {name: folder / EXECUTED / f"{name}.ipynb" for name in names}
    left = [name for name in names if not is_fresh(stored[name], keys[name])]
    said(f"{len(names) - len(left)} of {len(names)} notebooks are unchanged")
    _execute_all(index.parent, left, stored, keys, said)
    chapters = [
        render_chapter(name, read_notebook(stored[name]), index.parent, names) for name in names
    ]
    for chapter in chapters:
        for kind in chapter.unknown:
            said(f"{chapter.name}: a widget of kind {kind} is not drawn")
        write_chapter(folder / f"{chapter.name}.html", chapter, chapters)
    return folder / f"{index.stem}.html"


def chapters_of(index: Path) -> list:
    """Names of the notebooks that the contents link to, in order.

    Raises
    ------
    InputError
        There is none, or one does not exist.
    """
    prose = "\n".join(c.source for c in read_notebook(index).cells if c.cell_type == "markdown")
    names = list(dict.fromkeys(re.findall(r"\]\((\w+)\.ipynb\)", prose)))
    if not names:
        raise InputError(f"{index}: the contents have no link to a notebook")
    for name in names:
        if not index.with_name(f"{name}.ipynb").is_file():
            raise InputError(f"{index}: there is no notebook {name}.ipynb beside it")
    return names


# Running.


def fingerprint() -> str:
    """A sha256 of freehint's files and its data, but for this folder, which only renders."""
    found = hashlib.sha256()
    for root in (PACKAGE, data("linux-6.1").parent):
        for path in sorted(root.rglob("*")):
            own = FOLDER in path.parents or "__pycache__" in path.parts
            if path.is_file() and not own:
                found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _key(notebook: Path, source: str) -> str:
    return hashlib.sha256(source.encode() + notebook.read_bytes()).hexdigest()


def is_fresh(executed: Path, key: str) -> bool:
    """Whether a notebook was executed by these sources."""
    try:
        return json.loads(executed.read_text())["metadata"][KEY]["key"] == key
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _execute_all(folder: Path, left: list, stored: dict, keys: dict, said) -> None:
    """Run the chapters that are left; all have their turn even if one fails."""
    clients, failures = {}, []

    def execute(name):
        clients[name] = client = _client(folder / f"{name}.ipynb")
        begin = time.perf_counter()
        if any(cell.cell_type == "code" for cell in client.nb.cells):
            # A kernel's own log; what its cells say, and their errors, come as messages.
            asyncio.run(client.async_execute(stderr=subprocess.DEVNULL))
        seconds = round(time.perf_counter() - begin, 1)
        client.nb.metadata[KEY] = {"key": keys[name], "seconds": seconds}
        _write_notebook(client.nb, stored[name])
        return seconds

    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(execute, name): name for name in left}
        try:
            for done, future in enumerate(as_completed(running), 1):
                name = running[future]
                try:
                    said(f"{done} of {len(left)}: {name}, {future.result()} s")
                except Exception as error:
                    failures.append(f"{name}: {_sentence(error)}")
                    said(failures[-1])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            _kill(clients.values())
            finished = sum(is_fresh(stored[name], keys[name]) for name in left)
            raise ChildProcessError(
                f"interrupted with {finished} of {len(left)} run; the same command continues"
            ) from None
    if failures:
        raise ChildProcessError(f"{len(failures)} of {len(left)} failed: {'; '.join(failures)}")


def _client(notebook: Path):
    nbclient = extra("nbclient", "a book", "lab")
    where = {"metadata": {"path": str(notebook.parent)}}
    return nbclient.NotebookClient(read_notebook(notebook), timeout=None, resources=where)


def _write_notebook(notebook, path: Path) -> None:
    import nbformat

    with whole_file(path) as temporary:
        nbformat.write(notebook, temporary)


def _sentence(error: Exception) -> str:
    """The error of a cell, or of its kernel, as one line."""
    name = getattr(error, "ename", type(error).__name__)
    lines = str(getattr(error, "evalue", error)).strip().splitlines()
    return f"{name}: {lines[0]}" if lines else name


def _kill(clients) -> None:
    """End kernels at once; they have sessions of their own and would go on."""
    for client in clients:
        process = getattr(getattr(client.km, "provisioner", None), "process", None)
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


# Pages.


def write_chapter(path: Path, chapter: Chapter, chapters: list) -> None:
    """Write the page of a chapter, with the sidebar and the index for the search."""
    words = [
        [f"{one.name}.html", s.anchor, one.title, s.title, s.text]
        for one in chapters
        for s in one.sections
    ]
    page = Template((FOLDER / "book.html").read_text()).substitute(
        title=escape(chapter.title),
        book=escape(chapters[0].title),
        home=escape(f"{chapters[0].name}.html"),
        style=(FOLDER / "book.css").read_text() + _code_style(),
        chapters="".join(_entry(one, one is chapter) for one in chapters[1:]),
        body=chapter.body,
        words=json.dumps(words).replace("<", "\\u003c"),
        scripts=chapter.scripts,
        script=f"{STAND_IN}\n{(FOLDER / 'book.js').read_text()}",
        version=escape(__version__),
        glossary=glossary_script(),
    )
    with whole_file(path) as temporary:
        temporary.write_text(page)


def _entry(chapter: Chapter, current: bool) -> str:
    mark = ' aria-current="page"' if current else ""
    link = f'<a href="{escape(chapter.name)}.html"{mark}>{escape(chapter.title)}</a>'
    return f"<li>{link}{contents(chapter) if current else ''}</li>"


def _code_style() -> str:
    """Colours of code, for light and for dark pages."""
    formatters = extra("pygments.formatters", "a book", "lab")
    light, dark = (
        formatters.HtmlFormatter(style=style).get_style_defs(".highlight")
        for style in ("default", "github-dark")
    )
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def main(arguments) -> int:
    """Build the book of the command line; 1 if a chapter failed, 2 for bad input."""
    try:
        index, folder = arguments
        print(f"book: {write_book(index, folder, lambda line: print(line, flush=True))}")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except ChildProcessError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
