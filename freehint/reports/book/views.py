"""Widgets of an executed notebook as HTML that needs no kernel.

The notebook keeps the state of its widgets.  Boxes, pictures and texts are written as HTML; a
widget with a script of its own, such as the player, is drawn by that script (``book.js``); a knob
is shown with its value, because what it would change needs a kernel.
"""

import base64
import json
from html import escape

STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"
REFERENCE = "IPY_MODEL_"
PLAYED = "payload"  # a widget with a run of its own; others that have scripts help the kernel
DEEPEST = 20  # boxes within boxes


class Views:
    """The widgets of one notebook.

    Parameters
    ----------
    notebook : NotebookNode
        An executed notebook.

    Attributes
    ----------
    played : list of str
        Models that a script draws, in the order in which they were met.
    unknown : list of str
        Kinds of widgets that are not drawn.
    """

    def __init__(self, notebook):
        saved = notebook.metadata.get("widgets", {}).get(STATE, {})
        self._models = saved.get("state", {})
        self.played, self.unknown = [], []

    def __contains__(self, model_id: str) -> bool:
        return model_id in self._models

    def html(self, model_id: str, depth: int = 0) -> str:
        """A widget and all that is in it, as HTML; nothing for one that is not known."""
        model = self._models.get(model_id.removeprefix(REFERENCE))
        if model is None or depth > DEEPEST:
            return ""
        kind, state = model["model_name"].removesuffix("Model"), model["state"]
        if "children" in state:
            inside = "".join(self.html(child, depth + 1) for child in state["children"])
            way = "row" if kind == "HBox" else "column"
            return f'<div class="{way} {_classes(state)}">{inside}</div>' if inside else ""
        if kind in ("HTML", "HTMLMath"):
            return f'<div class="{_classes(state)}">{state.get("value", "")}</div>'
        if kind == "Image":
            return self._picture(model)
        if "_esm" in state:
            return self._scripted(model_id.removeprefix(REFERENCE), state)
        return self._knob(kind, state)

    def _picture(self, model) -> str:
        data = next((b["data"] for b in model.get("buffers", []) if b["path"] == ["value"]), "")
        kind = escape(model["state"].get("format", "png"))
        return f'<img alt="" src="data:image/{kind};base64,{data}">' if data else ""

    def _scripted(self, model_id: str, state: dict) -> str:
        if all(b["path"] != [PLAYED] for b in self._models[model_id].get("buffers", [])):
            return ""
        if model_id not in self.played:
            self.played.append(model_id)
        return f'<div class="played" data-model="{escape(model_id)}"></div>'

    def _knob(self, kind: str, state: dict) -> str:
        label, value = state.get("description", ""), state.get("value")
        if "_options_labels" in state and state.get("index") is not None:
            index, labels = state["index"], state["_options_labels"]
            value = labels[index] if isinstance(index, int) else ""
        if value is None or kind.endswith("Button"):
            if not kind.endswith("Button"):
                self.unknown.append(kind)
            return ""
        told = f"{escape(str(label))} <b>{escape(str(value))}</b>"
        return f'<span class="knob" title="turns in JupyterLab">{told}</span>'

    def scripts(self) -> str:
        """The scripts, styles and states of all widgets that :meth:`html` left to a script."""
        modules, styles, states = [], [], {}
        for model_id in self.played:
            model = self._models[model_id]
            state = dict(model["state"])
            module, style = state.pop("_esm"), state.pop("_css", "")
            modules += [module] if module not in modules else []
            styles += [style] if style not in styles else []
            own = {name: value for name, value in state.items() if not name.startswith("_")}
            buffers = {".".join(b["path"]): b["data"] for b in model["buffers"]}
            states[model_id] = {"module": modules.index(module), "state": own, "buffers": buffers}
        tags = [f"<style>{style}</style>" for style in styles]
        tags += [
            f'<script type="text/plain" class="module">{base64.b64encode(m.encode()).decode()}'
            "</script>"
            for m in modules
        ]
        tags.append(_json("models", states))
        tags.append(_json("links", self._links()))
        return "\n".join(tags)

    def _links(self) -> list:
        """Pairs of (model, attribute) that are kept equal."""
        pairs = [
            [[end[0].removeprefix(REFERENCE), end[1]] for end in (state["source"], state["target"])]
            for model in self._models.values()
            if model["model_name"] in ("LinkModel", "DirectionalLinkModel")
            for state in [model["state"]]
        ]
        return [pair for pair in pairs if all(model in self.played for model, _ in pair)]


def _classes(state: dict) -> str:
    return escape(" ".join(state.get("_dom_classes", ())))


def _json(name: str, value) -> str:
    """A script element that holds JSON, in which no element can end."""
    text = json.dumps(value).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'
