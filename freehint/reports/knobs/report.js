// Turning a knob shows the run of that combination.  standIn() comes from widgets/js/stand_in.js.

const facts = JSON.parse(document.getElementById("facts").textContent);
const {render} = (await import(
  `data:text/javascript;base64,${document.getElementById("module").textContent.trim()}`)).default;
const found = new Map(facts.combinations.map((one) => [one.key.join(), one]));
const knobs = document.getElementById("knobs"), said = document.getElementById("said");
const rows = [...document.querySelectorAll(".all tbody tr")];
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const stored = (key) => bytesOf(document.getElementById(`run-${key.join("-")}`).textContent);
const through = (bytes, stream) => new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer();

// The differences of reports.pfn inside a payload: freehint/runs/trajectory/payload.py.
function pfnsIn(buffer) {
  const length = new DataView(buffer).getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const {offset, shape} = header.arrays["reports.pfn"];
  return new Uint32Array(buffer, Math.ceil((8 + length) / 8) * 8 + offset, shape[0]);
}

const firstPfns = through(stored(facts.first), new DecompressionStream("deflate")).then((buffer) => {
  let pfn = 0;
  return pfnsIn(buffer).map((by) => (pfn += by));
});

// What the runs report is mostly the same, so the others name rows of the first one's reports
// (_sharing in report.py).
async function payload(key) {
  if (key.join() === facts.first.join()) return stored(key);
  const first = await firstPfns;
  const buffer = await through(stored(key), new DecompressionStream("deflate"));
  const own = pfnsIn(buffer);
  let row = 0, before = 0;
  own.forEach((by, at) => {
    row = (row + by) >>> 0;
    const pfn = row < first.length ? first[row] : row - first.length;
    own[at] = pfn - before;
    before = pfn;
  });
  return new Uint8Array(await through(buffer, new CompressionStream("deflate")));
}

let key = wanted() ?? facts.first, shown = null;
const state = facts.player, model = standIn(state);

// The combination that the address names, as #0-1-2.
function wanted() {
  const named = location.hash.slice(1).split("-").map(Number);
  return found.has(named.join()) ? named : null;
}

async function show() {
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
  shown = one;
  document.getElementById("table").innerHTML = one.table;
  for (const row of rows) row.toggleAttribute("aria-current", row.dataset.key === one.key.join());
  const bytes = await payload(one.key);
  if (shown !== one) return; // Another knob was turned meanwhile.
  // The same time of the other run; set without an event, as the old player has other moments.
  state.moment = Math.max(0, one.times.findLastIndex((time) => time <= state.time_ns));
  model.set("payload", bytes);
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
  return show();
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
await choose(facts.first);
await choose(asked);
await render({model, el: document.getElementById("player")});
