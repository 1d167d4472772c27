/* The task list: rows that refresh in place, choosing several, the drawer.
 *
 * Promises: a refresh touches only rows that changed and keeps focus, choice and scroll;
 * nothing is fetched while the page is hidden. Without this module the list is a page.
 */

const list = () => document.getElementById("task-list");
const bulk = () => document.getElementById("bulk");
const chosen = () => [...document.querySelectorAll('#task-list [name="ids"]:checked')];
const shown = new WeakMap(); // row -> the HTML the server sent for it

/* --- rows that refresh in place --------------------------------------------------- */
const stable = (html) => html.replace(/(<[^>]*\sdata-(?:relative|since)\b[^>]*>)[^<]*/g, "$1")
  .replace(/(name="csrfmiddlewaretoken" value=")[^"]*/g, "$1");

let isFetching = false, isWanted = false;

async function refresh() {
  isWanted = true;
  if (isFetching) return;
  isFetching = true;
  try {
    while (isWanted) {
      isWanted = false;
      await fetchAndMerge();
    }
  } catch { /* The next hint or poll tries again; live.js shows that the link is lost. */ }
  isFetching = false;
}

async function fetchAndMerge() {
  const before = location.search;
  const answer = await fetch(location.href, {
    headers: { "HX-Request": "true" }, credentials: "same-origin",
  });
  // While a question is open, the row that asks it must stay; the answer refreshes anew.
  const isPaused = document.body.hasAttribute("data-live-pause");
  if (!answer.ok || answer.status === 204 || location.search !== before || isPaused) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  merge(page);
  for (const fresh of page.querySelectorAll("[hx-swap-oob]")) {
    const current = document.getElementById(fresh.id);
    if (current && current.textContent !== fresh.textContent) current.textContent = fresh.textContent;
  }
}

function merge(page) {
  const fresh = page.getElementById("task-list");
  const body = list()?.querySelector("tbody"), freshBody = fresh?.querySelector("tbody");
  if (!fresh || !list()) return;
  if (!body || !freshBody) {
    const adopted = document.adoptNode(fresh);
    list().replaceWith(adopted);
    window.htmx.process(adopted);
    return;
  }
  const focus = focusKey();
  let previous = null;
  for (const row of [...freshBody.children]) {
    const placed = place(row, body, previous);
    previous = placed;
  }
  const kept = new Set([...freshBody.children].map((row) => row.id));
  for (const row of [...body.children]) if (!kept.has(row.id)) row.remove();
  replacePager(fresh);
  restoreFocus(focus);
  drawBulk();
}

/* Put a row behind the previous one: the one on the page if it shows the same, else a copy. */
function place(fresh, body, previous) {
  const html = stable(fresh.outerHTML);
  let row = document.getElementById(fresh.id);
  if (!row || (shown.get(row) ?? null) !== html) {
    const copy = document.importNode(fresh, true);
    shown.set(copy, html);
    if (row) {
      const box = row.querySelector('[name="ids"]');
      if (box?.checked) copy.querySelector('[name="ids"]').checked = true;
      const isNewState = state(row) !== state(copy);
      row.replaceWith(copy);
      if (isNewState) copy.classList.add("has-changed");
    }
    row = copy;
    window.htmx.process(row);
  }
  const wanted = previous ? previous.nextElementSibling : body.firstElementChild;
  if (row !== wanted) body.insertBefore(row, wanted);
  return row;
}

const state = (row) => row.querySelector(".badge")?.className;

function replacePager(fresh) {
  const pager = list().querySelector(".pager"), other = fresh.querySelector(".pager");
  if (pager && other) pager.replaceWith(document.importNode(other, true));
  else pager?.remove();
  if (!pager && other) list().append(document.importNode(other, true));
}

/* Focus inside a replaced row goes to the same place of its successor. */
function focusKey() {
  const active = document.activeElement;
  const row = active?.closest?.("tr[id]");
  if (!row) return null;
  return { row: row.id, index: focusables(row).indexOf(active) };
}

function restoreFocus(key) {
  if (!key || document.activeElement?.closest?.("tr[id]")) return;
  const row = document.getElementById(key.row);
  if (row) focusables(row)[key.index]?.focus({ preventScroll: true });
}

const focusables = (row) => [...row.querySelectorAll("a[href], button, input")];

function remember() {
  for (const row of list()?.querySelectorAll("tbody tr") ?? []) {
    if (!shown.has(row)) shown.set(row, stable(row.outerHTML));
  }
}

document.addEventListener("live", ({ target }) => target.id === "task-list" && refresh(), true);

/* --- choosing several --------------------------------------------------------------- */
function drawBulk() {
  if (!bulk()) return;
  const count = chosen().length;
  bulk().hidden = count === 0;
  document.getElementById("bulk-count").textContent = bulk().dataset.textChosen.replace("{count}", count);
  const boxes = [...document.querySelectorAll('#task-list [name="ids"]')];
  const all = document.querySelector('[data-bulk="all"]');
  if (!all) return;
  all.checked = count > 0 && count === boxes.length;
  all.indeterminate = count > 0 && count < boxes.length;
  for (const box of boxes) box.closest("tr").toggleAttribute("aria-selected", box.checked);
}

function choose(isChosen, boxes = document.querySelectorAll('#task-list [name="ids"]')) {
  for (const box of boxes) box.checked = isChosen;
  drawBulk();
}

let lastBox = null;

document.addEventListener("click", (event) => {
  const { target } = event;
  if (target.matches?.('[data-bulk="all"]')) choose(target.checked);
  if (target.closest?.('[data-bulk="clear"]')) choose(false);
  const action = target.closest?.("#bulk [name=action]");
  if (action) askFor(action.value);
  if (target.matches?.('#task-list [name="ids"]')) {
    if (event.shiftKey && lastBox?.isConnected) chooseRange(lastBox, target);
    lastBox = target;
    drawBulk();
  }
}, true);

function chooseRange(from, to) {
  const boxes = [...document.querySelectorAll('#task-list [name="ids"]')];
  const [first, last] = [boxes.indexOf(from), boxes.indexOf(to)].sort((a, b) => a - b);
  choose(to.checked, boxes.slice(first, last + 1));
}

/* The question names the action and how many tasks it is about. */
function askFor(action) {
  const { dataset } = bulk();
  const name = action === "cancel" ? "Cancel" : "Rerun";
  const title = dataset[`text${name}`].replace("{count}", chosen().length);
  bulk().dataset.confirmTitle = title;
  bulk().dataset.confirmTone = action === "cancel" ? "danger" : "plain";
  bulk().setAttribute("hx-confirm", dataset[`text${name}More`]);
}

document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.elt.id === "bulk" && detail.successful) choose(false);
});

/* --- the drawer ---------------------------------------------------------------------- */
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[hx-get]");
  if (link && (event.ctrlKey || event.metaKey || event.shiftKey)) event.stopImmediatePropagation();
}, true);

document.addEventListener("click", (event) => {
  const row = event.target.closest?.("#task-list tbody tr");
  if (!row || event.target.closest("a, button, input, label, form") || getSelection().toString()) return;
  row.querySelector("a.name").click();
});

/* --- filters ---------------------------------------------------------------------------- */
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.elt.id !== "task-filters") return;
  // Empty fields stay out of the URL, so that a saved link says only what it filters.
  for (const [name, value] of [...detail.formData.entries()]) {
    if (value === "") detail.formData.delete(name);
  }
});
document.addEventListener("htmx:afterSwap", () => {
  const clear = document.getElementById("filters-clear");
  if (clear && list()) clear.hidden = !list().dataset.filtered;
  remember();
  drawBulk();
});

remember();
drawBulk();
