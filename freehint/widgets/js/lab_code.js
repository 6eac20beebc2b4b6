// The button that copies the bench's code; it also tells the kernel whether the page is dark.

function render({model, el}) {
  const make = (parent, tag, properties = {}) => {
    const node = Object.assign(document.createElement(tag), properties);
    parent.append(node);
    return node;
  };
  el.classList.add("fh-code");
  const button = make(el, "button", {type: "button", textContent: "copy as code"});
  const panel = make(el, "div", {className: "fh-code-panel", hidden: true});
  const said = make(panel, "div", {className: "fh-code-said"});
  said.setAttribute("aria-live", "polite");
  const text = make(panel, "textarea", {readOnly: true, spellcheck: false});
  text.setAttribute("aria-label", "code of the scenarios on the bench");
  const close = make(panel, "button", {type: "button", textContent: "close"});
  button.setAttribute("aria-expanded", "false");

  const write = () => {
    text.value = model.get("code");
    text.rows = Math.min(14, text.value.split("\n").length + 1);
  };
  const show = (shown) => {
    panel.hidden = !shown;
    button.setAttribute("aria-expanded", shown);
  };
  button.onclick = async () => {
    write();
    show(true);
    try {
      await navigator.clipboard.writeText(text.value);
      said.textContent = "Copied. Paste it into a cell.";
    } catch {
      text.focus();
      text.select();
      said.textContent = "Press Ctrl+C to copy the selected text.";
    }
  };
  close.onclick = () => { show(false); button.focus(); };
  // Otherwise JupyterLab would use C, Enter and the arrows for its cells.
  el.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") close.onclick();
  });

  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const look = () => {
    const light = document.body.dataset.jpThemeLight;
    const dark = light === undefined ? scheme.matches : light === "false";
    if (model.get("dark") === dark) return;
    model.set("dark", dark);
    model.save_changes();
  };
  const themed = new MutationObserver(look);
  themed.observe(document.body, {attributes: true, attributeFilter: ["data-jp-theme-light"]});
  scheme.addEventListener("change", look);
  model.on("change:code", write);
  write();
  look();
  return () => {
    themed.disconnect();
    scheme.removeEventListener("change", look);
    model.off("change:code", write);
  };
}

export default {render};
