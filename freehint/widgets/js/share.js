// The button that shares a setting: as code, TOML or JSON, to copy or save; and opens another.

function render({model, el}) {
  const make = (parent, tag, properties = {}) => {
    const node = Object.assign(document.createElement(tag), properties);
    parent.append(node);
    return node;
  };
  const press = (parent, text, onclick) =>
    make(parent, "button", {type: "button", textContent: text, onclick});
  const ENDINGS = {code: "py", TOML: "toml", JSON: "json"};
  let format = "code";
  el.classList.add("fh-share");
  const button = press(el, "share", () => show(panel.hidden));
  const panel = make(el, "div", {className: "fh-share-panel", hidden: true});
  const tabs = make(panel, "div", {className: "fh-share-tabs"});
  tabs.setAttribute("role", "group");
  tabs.setAttribute("aria-label", "share as");
  const chosen = {};
  for (const name of [...Object.keys(ENDINGS), "open"]) {
    chosen[name] = press(tabs, name === "open" ? "open another" : name, () => choose(name));
  }
  const text = make(panel, "textarea", {spellcheck: false});
  const line = make(panel, "div", {className: "fh-share-line"});
  const copy = press(line, "copy", async () => {
    try {
      await navigator.clipboard.writeText(text.value);
      said.textContent = "Copied.";
    } catch {
      text.focus();
      text.select();
      said.textContent = "Press Ctrl+C to copy the selected text.";
    }
  });
  const save = press(line, "save", () => {
    const address = URL.createObjectURL(new Blob([text.value]));
    make(el, "a", {href: address, download: `bench.${ENDINGS[format]}`}).click();
    el.lastChild.remove();
    URL.revokeObjectURL(address);
  });
  const open = press(line, "open", () => {
    model.send({open: text.value});
    show(false);
  });
  press(line, "close", () => { show(false); button.focus(); });
  const said = make(line, "span", {className: "fh-share-said"});
  said.setAttribute("aria-live", "polite");

  const write = () => {
    if (format !== "open") text.value = model.get("texts")[format] ?? "";
    text.rows = Math.max(5, Math.min(14, text.value.split("\n").length));
  };
  const choose = (name) => {
    format = name;
    const opens = name === "open";
    for (const [other, tab] of Object.entries(chosen)) {
      tab.setAttribute("aria-pressed", other === name);
    }
    text.readOnly = !opens;
    text.setAttribute("aria-label", opens ? "a setting as JSON, to open" : `the setting as ${name}`);
    text.placeholder = opens ? "Paste the JSON of a setting here." : "";
    if (opens) text.value = "";
    copy.hidden = save.hidden = opens;
    open.hidden = !opens;
    said.textContent = "";
    write();
  };
  const show = (shown) => {
    panel.hidden = !shown;
    button.setAttribute("aria-expanded", shown);
    if (shown) choose("code");
  };
  // Otherwise JupyterLab would use C, Enter and the arrows for its cells.
  el.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") { show(false); button.focus(); }
  });

  model.on("change:texts", write);
  show(false);
  return () => model.off("change:texts", write);
}

export default {render};
