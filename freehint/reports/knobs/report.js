// Turning a knob shows the run of that combination.  standIn() comes from widgets/js/stand_in.js.

const facts = JSON.parse(document.getElementById("facts").textContent);
const {render} = (await import(
  `data:text/javascript;base64,${document.getElementById("module").textContent.trim()}`)).default;
const found = new Map(facts.combinations.map((one) => [one.key.join(), one]));
const knobs = document.getElementById("knobs"), said = document.getElementById("said");
const rows = [...document.querySelectorAll(".all tbody tr")];
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const bytes = (key) => bytesOf(document.getElementById(`run-${key.join("-")}`).textContent);

let key = wanted() ?? facts.first, shown = null;
const state = facts.player, model = standIn(state);

// The combination that the address names, as #0-1-2.
function wanted() {
  const named = location.hash.slice(1).split("-").map(Number);
  return found.has(named.join()) ? named : null;
}

function show() {
  const one = found.get(key.join());
  history.replaceState(null, "", `#${key.join("-")}`);
  mark();
  said.hidden = !one.said;
  if (one.said) {
    const small = document.createElement("small");
    small.textContent = "The last run that was possible is still shown.";
    said.replaceChildren(one.said, small);
  }
  if (one.said || one === shown) return;
  // The same time of the other run; set without an event, as the old player has other moments.
  state.moment = Math.max(0, one.times.findLastIndex((time) => time <= state.time_ns));
  shown = one;
  document.getElementById("table").innerHTML = one.table;
  for (const row of rows) row.toggleAttribute("aria-current", row.dataset.key === one.key.join());
  model.set("payload", bytes(one.key));
}

function mark() {
  for (const input of knobs.querySelectorAll("input")) {
    const knob = Number(input.name.slice(5)), value = Number(input.value);
    const other = found.get(key.map((old, at) => (at === knob ? value : old)).join());
    input.checked = key[knob] === value;
    input.parentElement.classList.toggle("refused", Boolean(other.said));
    input.parentElement.title = other.said ?? "";
  }
}

function choose(next) {
  key = next;
  show();
}

knobs.addEventListener("input", ({target}) => {
  const knob = Number(target.name.slice(5));
  choose(key.map((old, at) => (at === knob ? Number(target.value) : old)));
});
for (const row of rows) {
  const pick = () => choose(row.dataset.key.split(",").map(Number));
  row.addEventListener("click", pick);
  row.addEventListener("keydown", (event) => event.key === "Enter" && pick());
}
window.addEventListener("hashchange", () => choose(wanted() ?? key));

const asked = key;
choose(facts.first);
choose(asked);
render({model, el: document.getElementById("player")});
