/* Search in the part of a log that is on the page.
 *
 * Promises: no change to the rows (matches are painted by the highlight registry where the
 * browser has one, by a class on the row elsewhere); at most 5,000 matches are kept; new
 * rows are searched as they appear. Searches plain text, case-insensitively.
 */

const MATCH_LIMIT = 5_000;
const canHighlight = typeof Highlight !== "undefined" && CSS.highlights;

/** The search of one log view. */
export class LogSearch {
  /** Search the rows of `view`; `onCount(current, total)` is told about every change. */
  constructor(view, { onCount }) {
    this.view = view;
    this.onCount = onCount;
    this.query = "";
    this.matches = [];
    this.current = -1;
  }

  /** Look for a new text; empty ends the search. */
  search(query) {
    this.#clear();
    this.query = query.toLowerCase();
    if (this.query) this.#collect(this.view.rows());
    if (this.matches.length) this.step(1);
    else this.#report();
  }

  /** Look also at rows that just appeared. */
  extend(rows) {
    if (!this.query) return;
    this.#collect(rows);
    this.#report();
  }

  /** Go to the next (1) or previous (-1) match. */
  step(direction) {
    this.matches = this.matches.filter(({ row }) => row.isConnected);
    const { length } = this.matches;
    if (!length) {
      this.#report();
      return;
    }
    this.#mark(false);
    this.current = this.current < 0 ? 0 : (this.current + direction + length) % length;
    this.#mark(true);
    this.matches[this.current].row.scrollIntoView({ block: "center", inline: "nearest" });
    this.#report();
  }

  #collect(rows) {
    for (const row of rows) {
      if (this.matches.length >= MATCH_LIMIT) return;
      const text = lower(row.textContent);
      for (let at = text.indexOf(this.query); at >= 0; at = text.indexOf(this.query, at + 1)) {
        this.#add(row, at);
      }
    }
  }

  #add(row, at) {
    const match = { row };
    if (canHighlight) {
      match.range = rangeIn(row, at, at + this.query.length);
      registry("log-match").add(match.range);
    } else row.classList.add("is-match");
    this.matches.push(match);
  }

  #mark(isCurrent) {
    const match = this.matches[this.current];
    if (!match) return;
    match.row.classList.toggle("is-current", isCurrent);
    if (!match.range) return;
    if (isCurrent) registry("log-current").add(match.range);
    else registry("log-current").delete(match.range);
  }

  #clear() {
    this.#mark(false);
    for (const { row, range } of this.matches) {
      row.classList.remove("is-match");
      if (range) registry("log-match").delete(range);
    }
    this.matches = [];
    this.current = -1;
  }

  #report() {
    const isCut = this.matches.length >= MATCH_LIMIT;
    this.onCount(this.current + 1, this.matches.length, { isCut, isActive: this.query !== "" });
  }
}

/* Lower case of the same length: a few letters grow, and the ranges would be off. */
function lower(text) {
  const lowered = text.toLowerCase();
  return lowered.length === text.length ? lowered : text;
}

function registry(name) {
  if (!CSS.highlights.has(name)) CSS.highlights.set(name, new Highlight());
  return CSS.highlights.get(name);
}

/* A row holds text nodes and spans of one text node each. */
function rangeIn(row, from, to) {
  const range = document.createRange();
  let position = 0;
  for (const child of row.childNodes) {
    const node = child.firstChild ?? child;
    const end = position + node.length;
    if (from >= position && from < end) range.setStart(node, from - position);
    if (to > position && to <= end) {
      range.setEnd(node, to - position);
      break;
    }
    position = end;
  }
  return range;
}
