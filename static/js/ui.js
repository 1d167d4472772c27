/* Small behaviours of every page: dialogs, confirmation, toasts, times that tick, keys, copying.
   Texts come from data attributes of <body>, rendered in the reader's language. */
import { startClocks } from "./clock.js";
import { placeOf, returnTo } from "./focus.js";

const $ = (selector, within = document) => within.querySelector(selector);
const texts = document.body.dataset;
const MAX_TOASTS = 4;
const TOAST_MS = 6_000;

/* --- requests ---------------------------------------------------------------- */
document.addEventListener("htmx:configRequest", (event) => {
  const token = $("meta[name=csrf-token]")?.content;
  if (token) event.detail.headers["X-CSRFToken"] = token;
});

for (const [kind, text] of [["htmx:sendError", "unreachable"], ["htmx:timeout", "unreachable"]]) {
  document.addEventListener(kind, (event) => {
    if (event.detail.requestConfig?.triggeringEvent?.type !== "live") toast(texts[text], "failed");
  });
}
document.addEventListener("htmx:responseError", ({ detail }) => {
  if (detail.requestConfig?.triggeringEvent?.type === "live") return;
  if (detail.xhr.getResponseHeader("HX-Trigger")?.includes("toast")) return;
  toast(texts[`error${detail.xhr.status}`] ?? texts.failed, "failed");
});

/* --- toasts: from the header HX-Trigger {"toast": {"text", "tone"}} or from script ------------ */
export function toast(text, tone = "done") {
  const region = $("#toasts");
  if (!region || !text) return;
  const entry = $("#toast-template").content.firstElementChild.cloneNode(true);
  entry.classList.add(`tone-${tone}`);
  $("p", entry).textContent = text;
  if (tone === "failed") entry.setAttribute("role", "alert");
  region.append(entry);
  // Above an open dialog only the top layer is visible.
  if (region.showPopover) {
    if (region.matches(":popover-open")) region.hidePopover();
    region.showPopover();
  }
  while (region.children.length > MAX_TOASTS) region.firstElementChild.remove();
  expire(entry);
}
function expire(entry) {
  setTimeout(() => {
    if (entry.matches(":hover, :focus-within")) expire(entry);
    else entry.remove();
  }, TOAST_MS);
}
document.addEventListener("toast", ({ detail }) => toast(detail.text, detail.tone));
document.querySelectorAll("#toasts .toast").forEach(expire);

/* --- dialogs: what is swapped into #dialog or #drawer opens it ------------------------------- */
const openedFrom = new WeakMap(); // dialog -> where the focus was; the row may be replaced meanwhile
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  const dialog = detail.target.closest?.("dialog");
  if (dialog && detail.target.children.length && !dialog.open) {
    openedFrom.set(dialog, placeOf(document.activeElement));
    dialog.showModal();
  }
  alignSpinners();
});
document.addEventListener("dialog:close", () => {
  // What was acted on in the drawer stays to be seen there.
  document.querySelectorAll("dialog[open]:not(#drawer)").forEach((dialog) => dialog.close());
});
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("close", () => {
    const body = $("[data-dialog-body]", dialog);
    if (body) body.replaceChildren();
    returnTo(openedFrom.get(dialog));
    openedFrom.delete(dialog);
    dialog.dispatchEvent(new CustomEvent("dialog:closed", { bubbles: true }));
  });
  dialog.addEventListener("pointerdown", (event) => {
    if (event.target === dialog && !dialog.hasAttribute("data-keep-open")) dialog.close();
  });
}
// A spinner that starts again at each refresh looks like a twitch: keep all in one phase.
function alignSpinners() {
  for (const animation of document.getAnimations()) {
    if (animation.animationName === "turn") animation.startTime = 0;
  }
}

/* --- confirmation: hx-confirm on HTMX elements, data-confirm on plain forms ------------------- */
export function ask(element, question) {
  const dialog = $("#confirm");
  $("[data-confirm-title]", dialog).textContent = element.dataset.confirmTitle ?? texts.confirmTitle;
  $("[data-confirm-text]", dialog).textContent = question;
  const go = $("[data-confirm-go]", dialog);
  go.textContent = element.dataset.confirmAction ?? texts.confirmAction;
  go.classList.toggle("btn-danger", element.dataset.confirmTone !== "plain");
  dialog.returnValue = "";
  // A refresh would replace the element that asks, and its request would go nowhere.
  document.body.toggleAttribute("data-live-pause", true);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "go");
      setTimeout(() => {
        document.body.removeAttribute("data-live-pause");
        document.dispatchEvent(new CustomEvent("live:now"));
      });
    }, { once: true });
  });
}
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const isLive = detail.requestConfig?.triggeringEvent?.type === "live";
  if (isLive && document.body.hasAttribute("data-live-pause")) detail.shouldSwap = false;
});
document.addEventListener("htmx:confirm", async (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  if (await ask(event.detail.elt, event.detail.question)) event.detail.issueRequest(true);
});
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.confirm || form.dataset.confirmed !== undefined) return;
  event.preventDefault();
  if (!(await ask(form, form.dataset.confirm))) return;
  form.dataset.confirmed = "";
  form.requestSubmit(event.submitter);
}, true);

/* --- clicks: close buttons, copying, menus --------------------------------------------------- */
async function copy(button) {
  const source = button.dataset.copy ? $(button.dataset.copy) : button.previousElementSibling;
  const text = source.value ?? source.textContent;
  try {
    await navigator.clipboard.writeText(text.trim());
    toast(texts.copied);
  } catch {
    getSelection().selectAllChildren(source); // plain HTTP has no clipboard: leave it selected
    toast(texts.selected, "running");
  }
}
document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest(selector);
  const closer = at("[data-close]");
  if (closer) (closer.closest(".toast") ?? { remove: () => closer.closest("dialog")?.close() }).remove();
  const copyButton = at("[data-copy]");
  if (copyButton) copy(copyButton);
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target) || at(".menu-item, [data-close-menu]")) menu.open = false;
  }
});

/* --- keyboard: "/" searches, Escape leaves menus and results ---------------------------------- */
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    $("#search")?.select();
    $("#search")?.focus();
  }
  if (event.key === "Escape") {
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      menu.open = false;
      $("summary", menu).focus();
    });
    $("#search-results")?.replaceChildren();
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.target.closest("form[data-submit-keys]")?.requestSubmit();
  }
});
$("#search")?.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") $("#search-results a")?.focus();
});
$("#search-results")?.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const links = [...document.querySelectorAll("#search-results a")];
  (links[links.indexOf(document.activeElement) + step] ?? $("#search")).focus();
});
document.addEventListener("focusin", (event) => {
  if (!event.target.closest(".search")) $("#search-results")?.replaceChildren();
});

startClocks();
