// A knob: a slider, buttons or a dropdown over the same positions, with its default marked.

const STEPS = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1};
let numbered = 0;

function render({model, el}) {
  const make = (parent, tag, properties = {}) => {
    const node = Object.assign(document.createElement(tag), properties);
    parent.append(node);
    return node;
  };
  let labels, kind, last, show;
  const name = model.get("description"), unit = model.get("unit");
  const id = `fh-knob-${++numbered}`;
  el.classList.add("fh-knob");
  make(el, "label", {textContent: name, htmlFor: id});
  const body = make(el, "div", {className: "fh-knob-body"});

  const normal = () => model.get("default");
  const told = () => {
    const from = kind === "slider" ? `From ${labels[0]} to ${labels[last]}${unit && ` ${unit}`}, b` : "B";
    return `${model.get("help")} ${from}y default ${labels[normal()] ?? "none of these"}.`.trim();
  };
  const go = (index) => {
    if (model.get("disabled")) return;
    model.set("index", Math.max(0, Math.min(last, index)));
    model.save_changes();
    draw();
  };
  const parts = {
    slider() {
      const track = make(body, "div", {className: "fh-knob-track"});
      const input = make(track, "input", {type: "range", min: 0, max: last, step: 1, id});
      const mark = make(track, "i", {className: "fh-knob-default"});
      const said = make(body, "output", {htmlFor: id});
      input.oninput = () => go(+input.value);
      return (index) => {
        input.value = index;
        mark.hidden = normal() < 0;
        mark.style.setProperty("--at", last ? normal() / last : 0);
        const text = labels[index] + (unit && /\d$/.test(labels[index]) ? ` ${unit}` : "");
        said.textContent = text;
        input.setAttribute("aria-valuetext", text);
        return [input];
      };
    },
    dropdown() {
      const select = make(body, "select", {id});
      const options = labels.map((label) => make(select, "option", {value: label}));
      select.onchange = () => go(select.selectedIndex);
      return (index) => {
        options.forEach((option, i) => {
          option.textContent = i === normal() ? `${labels[i]}  ◂ default` : labels[i];
        });
        select.selectedIndex = index;
        return [select];
      };
    },
    buttons() {
      const group = make(body, "div", {className: "fh-knob-group", role: "radiogroup", id});
      group.setAttribute("aria-label", name);
      const buttons = labels.map((label, i) => {
        const button = make(group, "button", {type: "button", textContent: label});
        button.setAttribute("role", "radio");
        button.onclick = () => go(i);
        return button;
      });
      return (index) => {
        const focused = group.contains(document.activeElement);
        buttons.forEach((button, i) => {
          button.setAttribute("aria-checked", i === index);
          button.classList.toggle("fh-knob-normal", i === normal());
          button.tabIndex = i === index ? 0 : -1;
        });
        if (focused) buttons[index].focus();
        return buttons;
      };
    },
  };
  const build = () => {
    labels = model.get("labels"), kind = model.get("kind"), last = labels.length - 1;
    el.dataset.kind = kind;
    body.replaceChildren();
    show = parts[kind]();
    draw();
  };
  const draw = () => {
    const index = Math.min(model.get("index"), last), off = model.get("disabled");
    for (const control of show(index)) {
      control.disabled = off;
      control.title = told();
    }
    el.classList.toggle("fh-off", off);
    el.classList.toggle("fh-changed", index !== normal() && !off);
  };

  // Otherwise JupyterLab would use the arrows and Enter for its cells.
  el.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.ctrlKey || event.metaKey || event.altKey || kind === "slider") return;
    const to = event.key === "Home" ? 0 : event.key === "End" ? last
      : event.key in STEPS ? model.get("index") + STEPS[event.key] : null;
    if (to === null) return;
    event.preventDefault();
    go(to);
  });
  const tell = () => {
    const place = el.closest(".fh-knobs")?.querySelector(".fh-knob-help .widget-html-content");
    if (place) place.textContent = `${name}: ${told()}`;
  };
  el.addEventListener("pointerenter", tell);
  el.addEventListener("focusin", tell);
  const follow = ["change:index", "change:disabled", "change:default"];
  for (const event of follow) model.on(event, draw);
  model.on("change:labels", build);
  build();
  return () => {
    for (const event of follow) model.off(event, draw);
    model.off("change:labels", build);
  };
}

export default {render};
