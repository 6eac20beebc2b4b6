// A question to the reader.  The kernel keeps the answer until it has a guess.

const PATIENCE_MS = 8000;
let numbered = 0;

function render({model, el}) {
  const make = (parent, tag, properties = {}) => {
    const node = Object.assign(document.createElement(tag), properties);
    parent.append(node);
    return node;
  };
  const unit = model.get("unit"), choices = model.get("choices"), name = `fh-guess-${++numbered}`;
  el.classList.add("fh-guess");
  const form = make(el, "form");
  const fields = make(form, "fieldset");
  make(fields, "legend", {textContent: model.get("question")});
  const row = make(fields, "div", {className: "fh-guess-row"});

  // Each kind of field is a pair of functions: read a guess, and show one.
  const number = () => {
    const [min, max] = model.get("between");
    const range = make(row, "input", {type: "range", min, max, step: "any", className: "fh-unset"});
    const field = make(row, "input", {type: "number", min, max, step: "any", required: true});
    const digits = max - min > 20 ? 0 : 1;
    range.value = (min + max) / 2;
    range.setAttribute("aria-label", `your guess, a slider from ${min} to ${max} ${unit}`);
    field.setAttribute("aria-label", `your guess, a number from ${min} to ${max} ${unit}`);
    make(row, "span", {textContent: unit});
    make(row, "small", {textContent: `(${min.toLocaleString("en")} to ${max.toLocaleString("en")})`});
    range.oninput = () => {
      field.value = Number(Number(range.value).toFixed(digits));
      range.classList.remove("fh-unset");
    };
    field.oninput = () => {
      range.value = field.value || (min + max) / 2;
      range.classList.toggle("fh-unset", field.value === "");
    };
    // With step "any" the arrows have no step of their own that suits every range.
    range.addEventListener("keydown", (event) => {
      const to = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1}[event.key];
      if (!to) return;
      event.preventDefault();
      range.value = Number(range.value) + to * 10 ** -digits;
      range.oninput();
    });
    return [() => field.valueAsNumber, (guess) => {
      field.value = guess;
      field.oninput();
    }];
  };
  const choice = () => {
    const radios = choices.map((value) => {
      const label = make(row, "label");
      const radio = make(label, "input", {type: "radio", name, value, required: true});
      label.append(` ${value}`);
      return radio;
    });
    return [() => radios.find((radio) => radio.checked)?.value, (guess) => {
      for (const radio of radios) radio.checked = radio.value === guess;
    }];
  };
  const [read, write] = choices.length ? choice() : number();
  const button = make(row, "button", {type: "submit", textContent: "this is my guess"});
  const said = make(el, "p", {className: "fh-guess-said"});
  said.setAttribute("role", "status");

  let waiting;
  form.onsubmit = (event) => {
    event.preventDefault();
    button.disabled = true;
    model.send({guess: read()});
    waiting = setTimeout(() => {
      button.disabled = false;
      said.textContent = "No answer yet: the kernel is busy, or gone. If it is gone, run the cell again.";
    }, PATIENCE_MS);
  };
  const draw = () => {
    clearTimeout(waiting);
    const done = model.get("done");
    if (done) write(model.get("guess"));
    fields.disabled = done;
    button.disabled = button.hidden = done;
    said.textContent = model.get("said");
  };
  // Otherwise JupyterLab would use the arrows and Enter for its cells.
  el.addEventListener("keydown", (event) => event.stopPropagation());
  const follow = ["change:said", "change:done"];
  for (const event of follow) model.on(event, draw);
  draw();
  return () => {
    clearTimeout(waiting);
    for (const event of follow) model.off(event, draw);
  };
}

export default {render};
