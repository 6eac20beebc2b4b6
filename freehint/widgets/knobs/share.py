"""A panel's setting to hand on: as Python, as TOML, and as JSON that a panel opens."""

import json
from pathlib import Path

import anywidget
import traitlets

from freehint.config import InputError, require, shown_json
from freehint.inputs.reading import json_of, read_bytes
from freehint.runs.scenario import Scenario
from freehint.runs.scenario_dict import changes, scenario_of
from freehint.runs.scenario_file import scenario_toml
from freehint.version import __version__
from freehint.widgets.scenario_code import scenario_code

FOLDER = Path(__file__).parents[1]
FORMAT = "freehint_bench"  # the key that holds the version of a setting
VERSION = 1
SIDES = ("A", "B")


def code_of(scenarios: dict) -> str:
    """Python that makes the scenarios of a dict, each in a variable called by its side."""
    lines = [scenario_code(one, side.lower()) for side, one in scenarios.items()]
    return "\n".join(["import freehint as fh", "", *lines, ""])


def toml_of(scenarios: dict) -> str:
    """One TOML file for each scenario, as ``freehint simulate`` reads it."""
    for one in scenarios.values():
        changes(one)  # raises if no text can describe it
    texts = {side: scenario_toml(one) for side, one in scenarios.items()}
    if len(texts) == 1:
        return texts.popitem()[1]
    return "\n".join(f"# {side}, a file of its own\n{text}" for side, text in texts.items())


def json_text(scenarios: dict) -> str:
    """The setting as JSON, with only the values that differ from the defaults.

    Raises
    ------
    InputError
        A memory or a policy was made by hand, so that no text can describe it.
    """
    sides = {side: changes(one) for side, one in scenarios.items()}
    return json.dumps({FORMAT: VERSION, "freehint": __version__, **sides}, indent=1) + "\n"


def read_setting(file_or_text) -> dict:
    """The scenarios of a setting that :func:`json_text` wrote.

    Parameters
    ----------
    file_or_text : str or Path
        The name of a file, or the JSON itself.

    Returns
    -------
    dict
        "A", and maybe "B" -> Scenario.

    Raises
    ------
    InputError
        It cannot be read, is no setting, is one of another version, or a field or value in it is
        refused.
    """
    text = str(file_or_text).strip()
    if isinstance(file_or_text, str) and (text.startswith("{") or "\n" in text or not text):
        where, content = "the setting", text.encode(errors="replace")
    else:
        where, content = str(file_or_text), read_bytes(Path(file_or_text))
    table = json_of(content, where)
    require(isinstance(table, dict) and FORMAT in table, where, f"have a {FORMAT}", table)
    if table[FORMAT] != VERSION:
        raise InputError(
            f"{where}: {FORMAT} must be {VERSION}, got {shown_json(table[FORMAT])}: this setting is"
            f" of another version than freehint {__version__} reads"
        )
    for name in table:
        require(name in (FORMAT, "freehint", *SIDES), where, "have A and B alone", name)
    require("A" in table, where, "have an A", list(table))
    return {side: _scenario(table[side], f"{where}: {side}") for side in SIDES if side in table}


def _scenario(table, where: str) -> Scenario:
    require(isinstance(table, dict), where, "be a table of fields", table)
    try:
        return scenario_of(table)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


class Share(anywidget.AnyWidget):
    """A button that shows a setting as code, TOML and JSON, and opens another one.

    Parameters
    ----------
    opened : callable
        Called with a text that the user wants to open.

    Attributes
    ----------
    texts : dict
        "code", "TOML", "JSON" -> text.
    """

    _esm = (FOLDER / "js" / "share.js").read_text()
    texts = traitlets.Dict().tag(sync=True)

    def __init__(self, opened):
        super().__init__()
        self.on_msg(lambda _, content, __: opened(str(content.get("open", ""))))

    def show(self, scenarios: dict) -> None:
        """Share other scenarios, side -> Scenario."""
        made = {"code": code_of, "TOML": toml_of, "JSON": json_text}
        self.texts = {name: _text_or_why(make, scenarios) for name, make in made.items()}


def _text_or_why(make, scenarios: dict) -> str:
    try:
        return make(scenarios)
    except InputError as error:
        return f"# {error}\n"
