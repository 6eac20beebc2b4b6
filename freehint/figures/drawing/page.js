// Tells the kernel whether the page is dark, also when the user switches, and how wide each figure
// that it is asked about may be.  It has no view.

function initialize({model}) {
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const look = () => {
    const light = document.body.dataset.jpThemeLight;
    const dark = light === undefined ? scheme.matches : light === "false";
    if (model.get("theme") === (dark ? "dark" : "light")) return;
    model.set("theme", dark ? "dark" : "light");
    model.save_changes();
  };
  const themed = new MutationObserver(look);
  themed.observe(document.body, {attributes: true, attributeFilter: ["data-jp-theme-light"]});
  scheme.addEventListener("change", look);
  look();

  const asked = new Set(), watched = new Map();
  const told = new ResizeObserver((entries) => {
    for (const {target, contentRect} of entries) {
      const width = Math.floor(contentRect.width);
      if (width) model.send({figure: watched.get(target), width});
    }
  });
  // A figure comes into the page some time after the kernel has shown it.
  const find = () => {
    for (const name of asked) {
      const place = document.querySelector(`.${name}`)?.parentElement;
      if (!place) continue;
      asked.delete(name);
      watched.set(place, name);
      told.observe(place);
    }
    if (!asked.size) come.disconnect();
  };
  const come = new MutationObserver(find);
  const ask = () => {
    const shown = model.get("figures");
    for (const [place, name] of watched) {
      if (shown.includes(name) && place.isConnected) continue;
      told.unobserve(place);
      watched.delete(place);
    }
    asked.clear();
    for (const name of shown) if (![...watched.values()].includes(name)) asked.add(name);
    come.observe(document.body, {childList: true, subtree: true});
    find();
  };
  model.on("change:figures", ask);
  ask();
  return () => {
    themed.disconnect();
    told.disconnect();
    come.disconnect();
    scheme.removeEventListener("change", look);
    model.off("change:figures", ask);
  };
}

export default {initialize};
