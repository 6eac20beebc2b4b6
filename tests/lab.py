"""A real JupyterLab in headless Chromium, and a browser that has no network, for tests.

with lab_server(folder) as lab:
    page = lab.open(path)
    page.run_all()
    page.assert_clean()
    ms = page.median_ms("ring size", ["ArrowRight", "ArrowLeft"], "img")
    page.screenshot("00_start_here")
"""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import nbformat
from playwright.sync_api import Browser, Locator, Page, sync_playwright

import forks

KEYS = ("ArrowLeft", "ArrowRight", "Home", "End")  # that turn a knob of any kind
PLAYER = ".fh-player[data-ready]"
MOMENT = "Number(document.querySelector('.fh-player').dataset.moment)"
# JupyterLab 4.6 asks a kernel for a subshell, and complains if the kernel is left meanwhile.
OWN_COMPLAINT = "Canceled future for create_subshell_request"
POLL_MS = 100
# Of every wait for a page: a loaded machine is slow, and what never comes fails all the same.
PATIENCE_S = 120
FORKED = "forked"  # a kind of kernel
KERNEL = """
import sys
from ipykernel import kernelapp
sys.argv = ["ipykernel_launcher", "-f", sys.argv[1]]
kernelapp.launch_new_instance()
"""
IMPORTED = (
    *("ipykernel.kernelapp", "IPython.core.pylabtools", "pandas", "matplotlib.figure", "ipympl"),
    *("freehint.figures", "freehint.widgets", "freehint.runs.simulate", "freehint.sweeps.sweep"),
    *("freehint.studies.verdicts", "freehint.replay.replay", "freehint.runs.overcommit"),
)
SCREENSHOTS = Path(__file__).parent.parent / "out" / "screenshots"
# A page 12,000 pixels high takes the browser and the kernel, which draws anew, 2 to 3 s of CPU.
WHOLE_NOTEBOOKS = "FREEHINT_SCREENSHOTS" in os.environ

CHROMIUM_MISSING = (
    "The tests drive a real JupyterLab and need chromium, which is not installed "
    "(Debian: apt-get install chromium)."
)
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Running all cells leaves the last one in view.
SCROLL_UP = "document.querySelectorAll('.jp-WindowedPanel-outer').forEach(p => p.scrollTop = 0)"
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # Else cells out of sight are taken out of the page, and screenshots show them empty.
    "notebook-extension/tracker": {"windowingMode": "none"},
}

# JupyterLab answers restored before the notebook is there, and a run-all before the kernel is
# idle silently runs nothing: wait for each in turn.
OPENED = """async (name) => {
  const app = window.jupyterapp;
  await app.restored;
  await app.commands.execute('docmanager:open', {path: name});
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  let panel;
  while (!(panel = [...app.shell.widgets('main')].find((w) => w.context?.path === name))) {
    await sleep(50);
  }
  await panel.context.ready;
  await panel.sessionContext.ready;
  app.shell.activateById(panel.id);
  window.freehintPanel = panel;
}"""
# What was open leaves no kernel, no panel and no question whether it is to be saved.
CLOSED = """async () => {
  const panels = [...window.jupyterapp.shell.widgets('main')].filter((w) => w.sessionContext);
  for (const panel of panels) {
    await panel.sessionContext.shutdown();
    panel.dispose();
  }
}"""
IDLE = "() => window.freehintPanel.sessionContext.session?.kernel?.status === 'idle'"
RUN_ALL = "() => window.jupyterapp.commands.execute('notebook:run-all-cells')"
CHANGE = "() => window.freehintChange"
CELLS = "() => window.freehintPanel.content.model.toJSON().cells"
NOTEBOOK_HEIGHT = """() => {
  const scroller = window.freehintPanel.content.node.querySelector('.jp-WindowedPanel-outer');
  return scroller.scrollHeight - scroller.clientHeight;
}"""

# What the pictures of a selector show, as a string; null while one of them still loads.
# Pixels, not addresses: ipywidgets gives an image a new blob address even for equal content.
SHOWN = """window.freehintShown = (selector) => {
  const shown = [];
  for (const picture of document.querySelectorAll(selector)) {
    const [width, height] = [picture.naturalWidth ?? picture.width,
                             picture.naturalHeight ?? picture.height];
    if (picture.complete === false || !width || !height) return null;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.drawImage(picture, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
    let hash = 2166136261;
    for (const pixel of pixels) hash = Math.imul(hash ^ pixel, 16777619);
    shown.push(`${width}x${height}:${hash >>> 0}`);
  }
  return shown.length ? shown.join(' ') : null;
};"""
# Promises the milliseconds from the next turn of a knob to a changed picture.
MEASURE = """([selector, before]) => {
  window.freehintChange = new Promise((resolve) => {
    const turns = ['keydown', 'input', 'click'];
    const turned = () => {
      const start = performance.now();
      for (const turn of turns) window.removeEventListener(turn, turned, true);
      const look = () => {
        const shown = window.freehintShown(selector);
        if (shown !== null && shown !== before) resolve(performance.now() - start);
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    };
    for (const turn of turns) window.addEventListener(turn, turned, true);
  });
}"""


class NotebookPage:
    """One notebook, open in JupyterLab with its kernel running.

    page             : the Playwright Page, for what has no helper here
    errors           : uncaught errors of the page so far
    foreign_requests : addresses of requests to any host but the server
    """

    def __init__(self, page: Page, server: str, name: str):
        self.scope = "body"  # CSS selector: where knobs are looked for
        self.page = page
        self.errors: list[str] = []
        self.foreign_requests: list[str] = []
        self._server = urlsplit(server).netloc
        self._listeners = {
            "pageerror": self._note_error,
            "request": lambda request: self._note(request.url),
            "websocket": lambda socket: self._note(socket.url),
        }
        for event, listener in self._listeners.items():
            page.on(event, listener)
        self._evaluate(OPENED, name)
        self.wait_idle()

    def close(self) -> None:
        """End the kernel and take the notebook out of the page."""
        self._evaluate(CLOSED)
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self._server:
            self.foreign_requests.append(url)

    def _evaluate(
        self, function: str, argument: object = None, timeout: float = PATIENCE_S
    ) -> object:
        """The value that a function returns or promises; fails after ``timeout`` seconds."""
        late = f"setTimeout(() => fail(Error('nothing came in {timeout} s')), {timeout * 1000})"
        race = f"[({function})(argument), new Promise((_, fail) => {late})]"
        return self.page.evaluate(f"(argument) => Promise.race({race})", argument)

    @property
    def cells(self) -> list[dict]:
        """The cells as nbformat has them, with their outputs in the browser."""
        return self.page.evaluate(CELLS)

    @property
    def cell_outputs(self) -> list[list[dict]]:
        """The outputs of each code cell, in order."""
        return [cell["outputs"] for cell in self.cells if cell["cell_type"] == "code"]

    def wait_idle(self, timeout: float = PATIENCE_S) -> None:
        """Wait up to ``timeout`` seconds until the kernel has nothing to do."""
        self.page.wait_for_function(IDLE, timeout=timeout * 1000, polling=POLL_MS)

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds that the page has noted."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, f"nothing came in {PATIENCE_S} s"
            self.page.wait_for_timeout(POLL_MS)

    def run_all(self, timeout: float = 600) -> None:
        """Run every cell; returns when the last has finished or one has failed."""
        self._evaluate(RUN_ALL, timeout=timeout)
        self.wait_idle()

    def _note_error(self, error) -> None:
        if OWN_COMPLAINT not in str(error):
            self.errors.append(str(error))

    def assert_clean(self) -> None:
        """Every cell ran, none failed, the page had no error and asked no other host."""
        code = [c for c in self.cells if c["cell_type"] == "code" and "".join(c["source"]).strip()]
        failures = [o for c in code for o in c["outputs"] if o["output_type"] == "error"]
        assert not failures, f"{failures[0]['ename']}: {failures[0]['evalue']}"
        counts = [c["execution_count"] for c in code]
        assert counts == list(range(1, len(code) + 1)), f"execution counts: {counts}"
        assert not self.errors, f"errors of the page: {self.errors}"
        assert not self.foreign_requests, f"requests to other hosts: {self.foreign_requests}"

    def knob(self, label: str) -> Locator:
        """The focused element of the slider, dropdown or other input described as ``label``."""
        text = re.compile(rf"^\s*{re.escape(label)}\s*$")
        # The label is a child: the boxes around the widget hold it too, with other knobs.
        described = self.page.locator(":scope > label", has_text=text)
        widget = self.page.locator(self.scope).locator("div", has=described)
        return widget.locator(".noUi-handle, select, input, button").locator("visible=true")

    def turn(self, label: str, to: str) -> None:
        """Choose the position ``to`` of a dropdown or of buttons; else press the key ``to``.

        Keys have Playwright's names: ArrowRight, Home, PageUp, Space.
        """
        knob = self.knob(label)
        tag = knob.first.evaluate("(element) => element.tagName")
        button = knob.filter(has_text=re.compile(rf"^\s*{re.escape(to)}\s*$"))
        if tag == "BUTTON" and button.count():
            button.click()
        elif tag == "SELECT" and to not in KEYS:
            knob.select_option(to)
        else:
            knob.and_(self.page.locator(":not([tabindex='-1'])")).first.focus()
            self.page.keyboard.press(to)

    def shown(self, pictures: str) -> str:
        """A fingerprint of the img and canvas elements of a CSS selector, once they are loaded."""
        return self.wait_picture_changed(pictures, before=None)

    def wait_picture_changed(self, pictures: str, before: str | None) -> str:
        """Wait until the pictures are not ``before`` any more, and return their new fingerprint."""
        look = "([pictures, before]) => { const now = window.freehintShown(pictures);"
        look += " return now !== before && now; }"
        # Each look reads every pixel, so not at every frame, as Playwright would.
        changed = self.page.wait_for_function(look, arg=[pictures, before], polling=POLL_MS)
        return changed.json_value()

    def wait_picture_is(self, pictures: str, wanted: str) -> None:
        """Wait until the pictures are those of a fingerprint."""
        same = "([pictures, wanted]) => window.freehintShown(pictures) === wanted"
        self.page.wait_for_function(same, arg=[pictures, wanted], polling=POLL_MS)

    def turn_ms(self, label: str, to: str, pictures: str, timeout: float = PATIENCE_S) -> float:
        """Milliseconds from turning a knob (the key press, the choice) to changed pictures."""
        self.page.evaluate(MEASURE, [pictures, self.settled(pictures)])
        self.turn(label, to)
        return self._evaluate(CHANGE, timeout=timeout)

    def median_ms(self, label: str, to: Sequence[str], pictures: str, turns: int = 9) -> float:
        """Median of ``turn_ms`` over turns that go through ``to`` again and again."""
        return statistics.median(
            self.turn_ms(label, each, pictures) for each in islice(cycle(to), turns)
        )

    def settled(self, pictures: str) -> str:
        """The fingerprint when the last redraw is over, so that it is not taken for the next."""
        last, shown = None, self.shown(pictures)
        while shown != last:
            self.page.wait_for_timeout(150)
            self.wait_idle()
            last, shown = shown, self.shown(pictures)
        return shown

    def screenshot(self, name: str) -> Path:
        """What is in view as out/screenshots/NAME.png; ``make screenshots``: the whole notebook."""
        if not WHOLE_NOTEBOOKS:
            return _screenshot(self.page, name)
        size = self.page.viewport_size
        hidden = min(max(self.page.evaluate(NOTEBOOK_HEIGHT), 0), 12_000)
        self.page.set_viewport_size({"width": size["width"], "height": size["height"] + hidden})
        self.page.wait_for_timeout(500)  # JupyterLab lays its panels out anew
        self.page.evaluate(SCROLL_UP)
        self.page.wait_for_timeout(200)
        path = _screenshot(self.page, name)
        self.page.set_viewport_size(size)
        return path


class Lab:
    """A running JupyterLab server and a page of it, which shows one notebook at a time."""

    def __init__(self, folder: Path, address: str, page: Page):
        self._folder, self._address, self.page = folder, address, page
        self._opened: NotebookPage | None = None

    def open(self, notebook: Path, forked: bool = False) -> NotebookPage:
        """Open a copy of a notebook, with a kernel of its own, in place of the one before.

        Pictures that the notebooks show, in a folder ``gallery`` beside them, come along.

        Parameters
        ----------
        notebook : Path
        forked : bool
            Whether the kernel is forked from a process that has imported already what it needs.
        """
        self.close()
        copy = shutil.copy(notebook, self._folder)
        if forked:
            content = nbformat.read(copy, as_version=4)
            content.metadata.kernelspec = {"name": FORKED, "display_name": FORKED}
            nbformat.write(content, copy)
        if (gallery := notebook.parent / "gallery").is_dir():
            shutil.copytree(gallery, self._folder / "gallery", dirs_exist_ok=True)
        self._opened = NotebookPage(self.page, self._address, notebook.name)
        return self._opened

    def close(self) -> None:
        """Close what is open."""
        if self._opened:
            self._opened.close()
            self._opened = None


@contextmanager
def lab_server(tmp: Path) -> Iterator[Lab]:
    """A JupyterLab whose every setting lies below ``tmp``, and a browser that shows it."""
    folder = tmp / "notebooks"
    folder.mkdir()
    token, port = secrets.token_hex(16), _free_port()
    address = f"http://127.0.0.1:{port}"
    with chromium() as browser, forked_kernels(tmp), (tmp / "server.log").open("w") as log:
        server = subprocess.Popen(
            _server_command(folder, port, token),
            env=os.environ | _fresh_folders(tmp),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_up(server, f"{address}/api/status?token={token}", tmp / "server.log")
            page = new_page(browser, viewport={"width": 1400, "height": 1000})
            page.add_init_script(SHOWN)
            page.goto(f"{address}/lab?token={token}")
            page.wait_for_function("window.jupyterapp")
            yield Lab(folder, address, page)
        finally:
            _stop(server)


@contextmanager
def forked_kernels(tmp: Path) -> Iterator[None]:
    """A kind of kernel for a server of ``tmp``, forked from a process that has imported much."""
    path = tmp / FORKED
    run = [sys.executable, "-I", "-S", forks.__file__, "sit", str(path), KERNEL]
    kind = tmp / "jupyter_data_dir" / "kernels" / FORKED / "kernel.json"
    kind.parent.mkdir(parents=True)
    named = {"argv": [*run, "{connection_file}"], "display_name": FORKED, "language": "python"}
    kind.write_text(json.dumps(named | {"interrupt_mode": "message"}))
    with forks.forking(path, IMPORTED):
        yield


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    executable = shutil.which("chromium")
    if executable is None:
        raise RuntimeError(CHROMIUM_MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=CHROMIUM_ARGUMENTS, timeout=PATIENCE_S * 1000
        )
        try:
            yield browser
        finally:
            browser.close()


def new_page(browser: Browser, **options) -> Page:
    """A page of its own context, patient in every wait; options as Browser.new_page() has them."""
    page = browser.new_page(**options)
    page.set_default_timeout(PATIENCE_S * 1000)
    return page


class OfflinePage(NamedTuple):
    """The result of opening a file without a network.

    requests   : addresses asked for beyond the file itself; data: and blob: are part of the file
    errors     : uncaught errors of the page
    text       : the text that a reader sees
    screenshot : path of a picture of the whole page
    """

    requests: list[str]
    errors: list[str]
    text: str
    screenshot: Path


def open_offline(
    html_path: Path, name: str | None = None, browser: Browser | None = None
) -> OfflinePage:
    """Open an HTML file with the network cut; the picture is called ``name`` or as the file.

    A test that opens several gives the browser; each has a context of its own.
    """
    address = Path(html_path).resolve().as_uri()
    requests, errors = [], []
    with nullcontext(browser) if browser else chromium() as browser:
        page = new_page(browser, offline=True, viewport={"width": 1200, "height": 900})
        page.on("request", lambda request: requests.append(request.url))
        page.on("websocket", lambda socket: requests.append(socket.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address, wait_until="load")
        page.wait_for_timeout(1000)  # for what a script asks for only after the page is there
        foreign = [url for url in requests if urlsplit(url).scheme not in ("data", "blob")]
        foreign.remove(address)
        picture = _screenshot(page, name or Path(html_path).stem, full_page=True)
        text = page.inner_text("body")
        page.close()
        return OfflinePage(foreign, errors, text, picture)


def _screenshot(page: Page, name: str, **how) -> Path:
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path, **how)
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _server_command(folder: Path, port: int, token: str) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        "--LabApp.expose_app_in_browser=True",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}",
        f"--IdentityProvider.token={token}",
    ]


def _fresh_folders(tmp: Path) -> dict[str, str]:
    """Fresh folders in place of those in the user's home, with settings that ask for no news."""
    variables = [
        *("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"),
        *("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"),
    ]
    folders = {variable: tmp / variable.lower() for variable in variables}
    for name, values in SETTINGS.items():
        setting = folders["JUPYTERLAB_SETTINGS_DIR"] / f"@jupyterlab/{name}.jupyterlab-settings"
        setting.parent.mkdir(parents=True)
        setting.write_text(json.dumps(values))
    return {variable: str(folder) for variable, folder in folders.items()}


def _wait_until_up(server: subprocess.Popen, address: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not come up:\n{log.read_text()[-2000:]}")


def _stop(server: subprocess.Popen) -> None:
    """End the server and, through it, its kernels; kill it if it does not listen."""
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def write_notebook(path: Path, *sources: str) -> Path:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)
    return path


def executed(code: str) -> dict:
    """The variables that code of the bench makes."""
    made = {}
    exec(code, made)
    return made
