// Shows the meanings of the glossary's words under the pointer.  Called with [word, meaning] pairs.
(pairs) => {
  // Prose of JupyterLab and nbconvert, tables of results, and what a page of ours marks.
  const PROSE = ".jp-RenderedMarkdown, .jp-RenderedHTML table, .text_cell_render, .output_markdown,"
    + " .output_html table, [data-glossary]";
  const LEFT_OUT = "a, pre, h1, h2, h3, h4, abbr, script, style, svg, button, mjx-container, .fh-glossary";
  // An abbreviation is met as it is written; any other word also in the plural, and with a capital.
  const plural = (word) => (/[A-Z0-9]$/.test(word) ? word : `${word}s?`);
  const any = (word) => (/^[a-z]/.test(word) ? `[${word[0].toUpperCase()}${word[0]}]` : word[0])
    + plural(word).slice(1);
  const meanings = pairs.map(([word, meaning]) => [new RegExp(`^${any(word)}$`), word, meaning]);
  const longest = pairs.map(([word]) => word).sort((a, b) => b.length - a.length);
  const words = new RegExp(`(?<![\\w-])(?:${longest.map(any).join("|")})(?![\\w-])`, "g");
  const found = (text) => meanings.find(([pattern]) => pattern.test(text));

  function abbreviated(text, meaning) {
    const abbr = document.createElement("abbr");
    abbr.title = meaning;
    abbr.textContent = text;
    return abbr;
  }

  // Each word once in a cell or table: more dots would only disturb the reader.
  function mark(root) {
    if (root.closest(LEFT_OUT)) return;
    const known = new Set([...root.querySelectorAll("abbr")].map((abbr) => abbr.title));
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT), texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode);
    for (const node of texts) {
      const parent = node.parentElement;
      if (parent.closest(LEFT_OUT)) continue;
      const code = parent.closest("code");
      if (code && !found(code.textContent)) continue;
      const parts = [];
      let at = 0;
      for (const {0: text, index} of node.data.matchAll(words)) {
        const meaning = found(text)[2];
        if (known.has(meaning)) continue;
        known.add(meaning);
        parts.push(node.data.slice(at, index), abbreviated(text, meaning));
        at = index + text.length;
      }
      if (parts.length) node.replaceWith(...parts, node.data.slice(at));
    }
  }

  // The table that is folded away: a row for each meaning, with its words before it.
  function fill(place) {
    const table = document.createElement("table");
    for (const meaning of new Set(pairs.map((pair) => pair[1]))) {
      const row = table.insertRow();
      row.insertCell().textContent = pairs.filter((pair) => pair[1] === meaning).map(([word]) => word).join(", ");
      row.insertCell().textContent = meaning;
      for (const cell of row.cells) cell.style.textAlign = "left";
    }
    place.replaceChildren(table);
  }

  const roots = (element) => [...element.querySelectorAll(PROSE), element.closest(PROSE)].filter(Boolean);
  const watcher = new MutationObserver((changes) => {
    const changed = changes.filter(({addedNodes}) => addedNodes.length).map(({target}) => target);
    new Set(changed.filter((target) => target.isConnected).flatMap(roots)).forEach(mark);
    watcher.takeRecords(); // what was just marked
  });
  window.freehintGlossary?.disconnect();
  window.freehintGlossary = watcher;
  document.querySelectorAll(".fh-glossary").forEach(fill);
  roots(document.body).forEach(mark);
  // JupyterLab takes cells out of the page while they are out of sight, and puts them back.
  watcher.observe(document.body, {childList: true, subtree: true});
}
