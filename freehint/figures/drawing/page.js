// Tells the kernel whether the page is dark, also when the user switches; it has no view.

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
  return () => {
    themed.disconnect();
    scheme.removeEventListener("change", look);
  };
}

export default {initialize};
