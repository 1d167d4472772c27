/* Theme and sidebar, set before the first paint: a classic script in the head on purpose. */
(() => {
  const root = document.documentElement;
  const stored = (name) => {
    try { return localStorage.getItem(name); } catch { return null; }
  };
  const store = (name, value) => {
    try { localStorage.setItem(name, value); } catch { /* private mode: not remembered */ }
  };

  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  apply(stored("theme"));
  if (stored("side") === "collapsed") root.dataset.side = "collapsed";
  root.dataset.js = "";

  const choices = ["system", "light", "dark"];
  const label = (button) => {
    const theme = root.dataset.theme ?? "system";
    button.dataset.current = theme;
    const words = button.dataset[theme];
    if (words) {
      button.title = words;
      button.setAttribute("aria-label", words);
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-theme-switch]").forEach(label);
  });
  document.addEventListener("click", (event) => {
    const themeSwitch = event.target.closest("[data-theme-switch]");
    if (themeSwitch) {
      const now = root.dataset.theme ?? "system";
      const next = choices[(choices.indexOf(now) + 1) % choices.length];
      store("theme", next);
      apply(next);
      label(themeSwitch);
    }
    if (event.target.closest("[data-side-switch]")) {
      if (root.dataset.side === "collapsed") delete root.dataset.side;
      else root.dataset.side = "collapsed";
      store("side", root.dataset.side ?? "");
    }
  });
})();
