/* The focus stays where it was: in a part of the page that is replaced, and when a dialog closes
   over a page that has changed meanwhile. A place is said by what stays the same: an id, else
   the nearest ancestor with one and the test id, address or number of the element in it. */

const FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]";

const inside = (home) => [...home.querySelectorAll(FOCUSABLE)];
const markOf = (element) => element.dataset.testid ?? element.getAttribute("href");

/** Say where an element is; null for none and for the body. */
export function placeOf(element) {
  const home = element?.closest?.("[id]");
  if (!home || element === document.body) return null;
  return { element, id: home.id, isHome: home === element, mark: markOf(element), index: inside(home).indexOf(element) };
}

/** Focus what is at a place now; where nothing is any more, the content of the page. */
export function returnTo(place) {
  if (!place || place.element.isConnected) return;
  const home = document.getElementById(place.id);
  const same = home && !place.isHome && inside(home);
  const found = place.isHome ? home
    : same?.find((one) => place.mark && markOf(one) === place.mark) ?? same?.[place.index];
  (found ?? document.getElementById("main"))?.focus({ preventScroll: true });
}

/* A part of the page that is replaced: only what had the focus gets it back. */
let replaced = null;
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const active = document.activeElement;
  replaced = detail.target?.contains?.(active) ? placeOf(active) : null;
});
document.addEventListener("htmx:afterSwap", () => {
  if (document.activeElement === document.body) returnTo(replaced);
  replaced = null;
});
