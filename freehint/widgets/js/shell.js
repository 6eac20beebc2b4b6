// What the players of runs and of schedules have in common: elements, the table of keys, the theme.

function make(parent, tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  parent?.append(node);
  return node;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function makeButton(parent, name, label, onclick) {
  const button = make(parent, "button", {type: "button", onclick}, label);
  if (name) Object.assign(button, {title: name, ariaLabel: name});
  return button;
}

// The table of keys, hidden at first.  ``keys``: what is shown of each, and what it does.
function keyTable(root, keys, gestures) {
  const box = make(root, "div", {className: "fh-keys", role: "dialog", "aria-label": "keys",
    hidden: true, "data-unprinted": ""});
  const table = make(box, "table");
  for (const {shown, says} of keys) {
    const row = make(table, "tr");
    make(row, "th", {scope: "row"}, ...shown.map((key) => make(null, "kbd", {}, key)));
    make(row, "td", {}, says);
  }
  for (const says of gestures) make(box, "p", {}, says);
  return box;
}

// Do what a key of the player means; JupyterLab would use the arrows and Enter for its cells.
function obeyKey(event, keys, player) {
  event.stopPropagation();
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.tagName === "SELECT" && event.key.length > 1 && event.key !== "Escape") return;
  if (event.key === " " && event.target.tagName === "BUTTON") return;
  const found = keys.find((one) => one.keys.includes(event.key));
  if (!found) return;
  event.preventDefault();
  found.act(player, event);
}

// The colours of JupyterLab's theme, or of the browser's, as CSS variables of a player.
function wearTheme(root, themes) {
  const light = document.body.dataset.jpThemeLight;
  const dark = light === undefined
    ? matchMedia("(prefers-color-scheme: dark)").matches : light === "false";
  const name = dark ? "dark" : "light";
  root.dataset.theme = name;
  for (const [meaning, colour] of Object.entries(themes[name])) {
    root.style.setProperty(`--fh-${meaning}`, colour);
  }
  return themes[name];
}

// Call ``again`` when the theme changes, until the function that is returned is called.
function followTheme(again) {
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", again);
  const themed = new MutationObserver(again);
  themed.observe(document.body, {attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"]});
  return () => {
    themed.disconnect();
    scheme.removeEventListener("change", again);
  };
}
