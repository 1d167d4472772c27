/* <task-log>: the log of one task with its toolbar, live.
 *
 * Reads from attributes: data-socket, data-rest, data-page (for permalinks), data-size,
 * data-complete, data-stored (bytes the task says it wrote) and data-text-… for sentences.
 * The toolbar is server-rendered; elements inside with data-log="name" are wired here.
 * Follows the end until the reader scrolls up.
 */

import { LogSearch } from "./log_search.js";
import { fetchSize } from "./log_stream.js";
import { LogWindow, TAIL_BYTES } from "./log_window.js";

const AT_END_PX = 32;
const INTENT_MS = 700;
const SEARCH_PAUSE_MS = 150;
const RATE_EVERY_MS = 1_000;
const LINK_LOOKBACK_BYTES = 512 * 1024;
const PREFERENCES = ["wrap", "time"];

class TaskLog extends HTMLElement {
  connectedCallback() {
    this.body = this.part("body");
    this.newRows = 0;
    this.rate = { rows: 0, at: performance.now(), isCatchingUp: true };
    this.window = new LogWindow(this.body, {
      socketUrl: this.dataset.socket,
      restUrl: this.dataset.rest,
      events: {
        onRows: (rows) => this.search.extend(rows),
        onDrawn: (count) => this.drawn(count),
        onSize: () => this.drawFooter(),
        onState: (state) => this.stateChanged(state),
      },
    });
    this.search = new LogSearch(this.window.view, {
      onCount: (current, total, more) => this.drawCount(current, total, more),
    });
    this.wireToolbar();
    this.wireScroll();
    this.ticker = setInterval(() => this.drawRate(), RATE_EVERY_MS);
    this.begin();
  }

  disconnectedCallback() {
    clearInterval(this.ticker);
    this.window.close();
    this.search.search("");
  }

  /** Return the wired element with a name, a stand-in when the page has none. */
  part(name) {
    return this.querySelector(`[data-log="${name}"]`) ?? document.createElement("span");
  }

  /** Return a sentence of the page's language with its figures filled in. */
  text(name, figures = {}) {
    return (this.dataset[`text${name}`] ?? "").replace(/\{(\w+)\}/g, (_, key) => figures[key] ?? "");
  }

  async begin() {
    const link = readLink(location.hash);
    let size = Number(this.dataset.size ?? 0);
    try {
      ({ size } = await fetchSize(this.dataset.rest));
    } catch { /* The stream will say what is wrong, and try again. */ }
    if (!this.isConnected) return;
    this.window.size = size;
    if (link) this.goTo(link);
    else this.window.open(size > 2 * TAIL_BYTES ? size - TAIL_BYTES : 0);
    this.drawFooter();
  }

  /* --- toolbar ----------------------------------------------------------- */

  wireToolbar() {
    this.addEventListener("click", (event) => this.clicked(event));
    for (const name of PREFERENCES) this.toggle(name, localStorage.getItem(`log.${name}`) === "1");
    const input = this.part("search");
    input.addEventListener("input", () => {
      clearTimeout(this.searchTimer);
      this.searchTimer = setTimeout(() => this.find(input.value), SEARCH_PAUSE_MS);
    });
    input.addEventListener("keydown", (event) => this.searchKey(event, input));
  }

  clicked(event) {
    const button = event.target.closest("[data-log-do]");
    if (button) this.actions[button.dataset.logDo]?.call(this, button);
    else if (event.target.classList.contains("log-row")) this.rowClicked(event);
  }

  actions = {
    follow() { this.setFollowing(!this.window.isFollowing); },
    end() { this.setFollowing(true); },
    start() { this.window.isFollowing = false; this.window.open(0); this.drawFollowing(); this.body.scrollTop = 0; },
    earlier(button) { this.readEarlier(button); },
    wrap(button) { this.prefer("wrap", button); },
    time(button) { this.prefer("time", button); },
    stdout(button) { this.showStream("stdout", button); },
    stderr(button) { this.showStream("stderr", button); },
    next() { this.search.step(1); },
    previous() { this.search.step(-1); },
    copy(button) { this.copy(button); },
  };

  prefer(name, button) {
    const isOn = button.getAttribute("aria-pressed") !== "true";
    localStorage.setItem(`log.${name}`, isOn ? "1" : "0");
    this.toggle(name, isOn);
    this.keepEnd();
  }

  toggle(name, isOn) {
    this.body.classList.toggle(`shows-${name}`, isOn);
    this.part(name).setAttribute("aria-pressed", isOn);
  }

  showStream(name, button) {
    const isOn = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", isOn);
    this.body.classList.toggle(`hides-${name}`, !isOn);
    this.keepEnd();
  }

  find(query) {
    if (query) this.setFollowing(false);
    this.search.search(query);
  }

  searchKey(event, input) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.search.step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape" && input.value) {
      event.stopPropagation();
      event.preventDefault();
      input.value = "";
      this.find("");
    }
  }

  async copy(button) {
    const selected = getSelection().toString();
    const text = selected || [...this.window.view.rows()].map((row) => row.textContent).join("\n");
    await copyText(text);
    button.dataset.done = this.text("Copied");
    setTimeout(() => delete button.dataset.done, 1_500);
  }

  async readEarlier(button) {
    button.disabled = true;
    this.setFollowing(false);
    // The browser keeps the rows in sight where they are: rows are added above them.
    const { scrollHeight, scrollTop } = this.body;
    await this.window.readEarlier();
    if (this.body.scrollTop === scrollTop) this.body.scrollTop += this.body.scrollHeight - scrollHeight;
    button.disabled = false;
    this.drawBar();
  }

  /* --- following --------------------------------------------------------- */

  wireScroll() {
    let intentAt = -INTENT_MS;
    const intend = () => { intentAt = performance.now(); };
    for (const kind of ["wheel", "touchmove", "pointerdown", "keydown"]) {
      this.body.addEventListener(kind, intend, { passive: true });
    }
    this.body.addEventListener("scroll", () => {
      if (this.isAtEnd()) this.reachedEnd();
      else if (performance.now() - intentAt < INTENT_MS) this.setFollowing(false);
    }, { passive: true });
  }

  isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.body;
    return scrollHeight - scrollTop - clientHeight <= AT_END_PX;
  }

  reachedEnd() {
    if (this.window.isCaughtUp) this.setFollowing(true);
    else this.window.readOn();
  }

  setFollowing(isFollowing) {
    if (isFollowing !== this.window.isFollowing) {
      if (isFollowing) this.window.follow();
      else this.window.isFollowing = false;
    }
    this.newRows = isFollowing ? 0 : this.newRows;
    this.drawFollowing();
    this.keepEnd();
  }

  keepEnd() {
    if (this.window.isFollowing) this.body.scrollTop = this.body.scrollHeight;
  }

  /* --- what is shown ------------------------------------------------------ */

  drawn(count) {
    this.rate.rows += count;
    if (this.window.isFollowing) this.keepEnd();
    else this.newRows += count;
    if (this.wanted) this.showWanted();
    this.drawFollowing();
    this.drawBar();
    this.drawFooter();
  }

  drawFollowing() {
    const { isFollowing } = this.window;
    this.part("follow").setAttribute("aria-pressed", isFollowing);
    const pill = this.part("new");
    pill.hidden = isFollowing || (!this.newRows && this.window.isCaughtUp);
    const count = `${number(this.newRows)}${this.window.isHeld ? "+" : ""}`;
    pill.textContent = this.newRows ? this.text("NewLines", { count }) : this.text("ToEnd");
  }

  drawBar() {
    const { start, size, isCaughtUp, view } = this.window;
    const isWhole = !start && (isCaughtUp || !this.window.isHeld);
    this.part("bar").hidden = isWhole;
    if (isWhole) return;
    this.part("shown").textContent = isCaughtUp || !view.end
      ? this.text("Shown", { part: bytes(size - start), size: bytes(size) })
      : this.text("ShownPart", { from: bytes(start), to: bytes(view.end), size: bytes(size) });
    // The search knows only what is on the page; a "no match" must not be taken for all of it.
    if (this.isSearching) this.part("shown").textContent += ` · ${this.text("SearchedPart")}`;
    for (const name of ["earlier", "start"]) this.part(name).hidden = !start;
  }

  drawFooter() {
    const { size, isComplete, view } = this.window;
    const total = Math.max(size, Number(this.dataset.stored ?? 0));
    const isFull = isComplete || total > size;
    this.part("stored").textContent = isFull
      ? this.text("StoredOf", { size: number(size), total: number(total) })
      : this.text("Stored", { size: number(size) });
    this.part("empty").hidden = size > 0 || view.rowCount > 0;
    this.part("empty").textContent = isComplete ? this.text("Nothing") : this.text("NothingYet");
  }

  drawCount(current, total, { isCut, isActive }) {
    this.part("count").textContent = isActive ? `${current}/${number(total)}${isCut ? "+" : ""}` : "";
    this.isSearching = isActive;
    this.drawBar();
  }

  drawRate() {
    const now = performance.now();
    const rows = Math.round((this.rate.rows * 1000) / (now - this.rate.at));
    // What was there already came at once; that says nothing about the script.
    const isShown = rows && !this.rate.isCatchingUp;
    this.rate = { rows: 0, at: now, isCatchingUp: !this.window.isCaughtUp };
    this.part("rate").textContent = isShown ? this.text("Rate", { count: number(rows) }) : "";
  }

  stateChanged(state) {
    this.dataset.state = state;
    this.part("state").textContent = this.text(`State-${state}`.replace(/-(\w)/g, (_, c) => c.toUpperCase()));
    this.body.classList.toggle("has-streams", state !== "polling");
    this.drawFooter();
    this.drawFollowing();
  }

  /* --- permalinks: #L120, #L120@8123 (with its byte offset), #@8123 -------- */

  rowClicked(event) {
    // The number is generated content of the row: its left edge belongs to it.
    if (event.clientX - event.target.getBoundingClientRect().left > 64) return;
    const { view } = this.window;
    const row = event.target;
    const offset = view.offsetOf(row);
    const line = view.isRelative ? "" : `L${row.dataset.n}`;
    const link = `#${line}${!line || offset > LINK_LOOKBACK_BYTES ? `@${offset}` : ""}`;
    if (this.dataset.page === location.pathname) history.replaceState(null, "", link);
    copyText(new URL(this.dataset.page + link, location.href).href);
    this.mark(row);
    this.part("state").textContent = this.text("LinkCopied");
  }

  goTo(link) {
    this.window.isFollowing = false;
    this.wanted = link;
    const isFar = link.offset > LINK_LOOKBACK_BYTES;
    this.window.open(isFar ? link.offset - LINK_LOOKBACK_BYTES : 0);
  }

  showWanted() {
    const { view } = this.window;
    const { line, offset } = this.wanted;
    const row = offset === null
      ? view.rowAtNumber(line)
      : view.end > offset && view.rowAtOffset(offset);
    if (!row) return;
    this.wanted = null;
    if (line && view.isRelative) view.setFirstNumber(line - Number(row.dataset.n) + 1);
    this.mark(row);
    row.scrollIntoView({ block: "center" });
  }

  mark(row) {
    this.body.querySelector(".is-linked")?.classList.remove("is-linked");
    row.classList.add("is-linked");
  }
}

function readLink(hash) {
  const match = /^#(?:L(\d+))?(?:@(\d+))?$/.exec(hash);
  if (!match || (!match[1] && !match[2])) return null;
  return { line: Number(match[1] ?? 0), offset: match[2] === undefined ? null : Number(match[2]) };
}

const format = new Intl.NumberFormat(document.documentElement.lang || undefined);
const number = (value) => format.format(value);

function bytes(value) {
  const units = ["B", "KB", "MB", "GB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/* The clipboard needs a secure origin; a console in the local network may have none. */
async function copyText(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text).catch(() => {});
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

customElements.define("task-log", TaskLog);
