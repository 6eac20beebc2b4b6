// The search, and the widgets that play.  standIn() comes from widgets/js/stand_in.js.

const sections = JSON.parse(document.getElementById("words").textContent).map(
  ([page, anchor, chapter, title, text]) => ({
    page, anchor, chapter, title, text, low: text.toLowerCase(), head: `${chapter} ${title}`.toLowerCase(),
  }));
const search = document.getElementById("search"), found = document.getElementById("found");
const chapters = document.getElementById("chapters"), count = document.getElementById("count");
const MOST = 30, AROUND = 60;

// Every word must occur; one in a heading counts more.
function score(section, words) {
  let sum = 0;
  for (const word of words) {
    const times = section.low.split(word).length - 1, inHead = section.head.includes(word);
    if (!times && !inHead) return 0;
    sum += (inHead ? 20 : 0) + Math.min(times, 10);
  }
  return sum;
}

function excerpt(section, words) {
  const at = Math.max(0, section.low.indexOf(words.find((word) => section.low.includes(word)) ?? ""));
  const begin = Math.max(0, at - AROUND);
  return (begin ? "\u2026" : "") + section.text.slice(begin, at + 2 * AROUND) + "\u2026";
}

// Text nodes and marks alone: what was found is never read as HTML.
function marked(element, text, words) {
  const low = text.toLowerCase();
  let at = 0;
  while (at < text.length) {
    const next = words.map((word) => [low.indexOf(word, at), word]).filter(([place]) => place >= 0)
      .sort((a, b) => a[0] - b[0])[0];
    if (!next) break;
    element.append(text.slice(at, next[0]));
    const mark = document.createElement("mark");
    mark.textContent = text.slice(next[0], next[0] + next[1].length);
    element.append(mark);
    at = next[0] + next[1].length;
  }
  element.append(text.slice(at));
}

function look() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = words.length === 0 ? [] : sections.map((section) => [score(section, words), section])
    .filter(([points]) => points).sort((a, b) => b[0] - a[0]);
  found.replaceChildren(...hits.slice(0, MOST).map(([, section]) => {
    const item = document.createElement("li"), link = document.createElement("a");
    const small = document.createElement("small");
    link.href = `${section.page}#${section.anchor}`;
    link.textContent = section.title === section.chapter ? section.title : `${section.title} (${section.chapter})`;
    marked(small, excerpt(section, words), words);
    item.append(link, small);
    return item;
  }));
  found.hidden = words.length === 0;
  chapters.hidden = words.length > 0;
  count.textContent = words.length ? `${hits.length} ${hits.length === 1 ? "section" : "sections"}` : "";
}

search.addEventListener("input", look);
search.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { search.value = ""; look(); }
  if (event.key === "Enter") found.querySelector("a")?.click();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, textarea, select")) return;
  event.preventDefault();
  search.focus();
});
look();

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

async function play() {
  const saved = document.getElementById("models");
  if (!saved) return;
  // An address within the page, as import() takes no text.
  const modules = await Promise.all([...document.querySelectorAll("script.module")].map(
    (element) => import(`data:text/javascript;base64,${element.textContent}`)));
  const models = {};
  for (const [name, {state, buffers, module}] of Object.entries(JSON.parse(saved.textContent))) {
    for (const [path, data] of Object.entries(buffers)) state[path] = bytesOf(data);
    models[name] = standIn(state);
    models[name].module = modules[module];
  }
  for (const [[a, of], [b, to]] of JSON.parse(document.getElementById("links").textContent)) {
    models[a].on(`change:${of}`, () => models[b].set(to, models[a].get(of)));
    models[b].on(`change:${to}`, () => models[a].set(of, models[b].get(to)));
  }
  for (const el of document.querySelectorAll(".played")) {
    const model = models[el.dataset.model];
    await model.module.default.render({model, el});
  }
}

play();
