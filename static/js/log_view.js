/* The lines of a log on the page: chunks of rows, numbered, bounded, quick to append.
 *
 * Promises: 500 rows a chunk that the browser may skip while out of sight (one div per
 * line and a scroll after each cost 16 s for 5,000 lines, chunks 1.9 s for 40,000); text
 * nodes only; a row knows its byte offset. Knows no connection.
 */

import { draw, PLAIN } from "./ansi.js";
import { STDERR } from "./log_lines.js";

const ROWS_PER_CHUNK = 500;
const ROW_HEIGHT_PX = 19;

/** The rows inside one element. */
export class LogView {
  /** Draw into `body`; `onRows(rows)` is told about every finished row that appears. */
  constructor(body, { onRows = () => {} } = {}) {
    this.body = body;
    this.onRows = onRows;
    this.live = element("div", "log-live");
    this.clear();
  }

  /** Forget everything; the next line is number `firstNumber`, null for unknown. */
  clear(firstNumber = 1) {
    this.chunks = [];
    this.rowCount = 0;
    this.bytes = 0;
    this.states = new Map();
    this.setFirstNumber(firstNumber);
    this.body.replaceChildren(this.live);
    this.live.replaceChildren();
  }

  /** Number the rows from here; null shows numbers relative to the window. */
  setFirstNumber(firstNumber) {
    this.isRelative = firstNumber === null;
    this.firstNumber = firstNumber ?? 1;
    this.body.classList.toggle("is-relative", this.isRelative);
    let number = this.firstNumber;
    for (const chunk of this.chunks) {
      for (const row of chunk.element.children) row.dataset.n = number++;
    }
  }

  /** Return the byte offset of the first row, undefined when there is none. */
  get start() {
    return this.chunks[0]?.offsets[0];
  }

  /** Return the byte offset behind the last row. */
  get end() {
    return this.chunks.at(-1)?.end;
  }

  /** Add finished lines at the end. */
  append(lines) {
    const rows = [];
    for (const line of lines) {
      let chunk = this.chunks.at(-1);
      if (!chunk || chunk.offsets.length >= ROWS_PER_CHUNK) {
        chunk = newChunk();
        this.chunks.push(chunk);
        this.live.before(chunk.element);
      }
      const row = this.#row(line, this.firstNumber + this.rowCount);
      rows.push(row);
      this.#count(chunk, line);
      chunk.element.append(row);
    }
    this.chunks.slice(-1 - Math.ceil(lines.length / ROWS_PER_CHUNK)).forEach(estimate);
    if (rows.length) this.onRows(rows);
  }

  /** Add finished lines before the first; `firstNumber` is null when it is not known. */
  prepend(lines, firstNumber) {
    const before = this.chunks[0]?.element ?? this.live;
    const chunks = [], rows = [];
    const states = this.states;
    this.states = new Map();
    for (let at = 0; at < lines.length; at += ROWS_PER_CHUNK) {
      const chunk = newChunk();
      for (const line of lines.slice(at, at + ROWS_PER_CHUNK)) {
        rows.push(this.#row(line, 0));
        this.#count(chunk, line);
        chunk.element.append(rows.at(-1));
      }
      estimate(chunk);
      chunks.push(chunk);
      before.before(chunk.element);
    }
    this.states = states;
    this.chunks.unshift(...chunks);
    this.setFirstNumber(firstNumber);
    if (rows.length) this.onRows(rows);
  }

  /** Draw the lines that are still being written, always last. */
  drawUnfinished(lines) {
    const rows = lines.map((line, index) => {
      const row = this.#row(line, this.firstNumber + this.rowCount + index, { isFinished: false });
      row.dataset.offset = line.offset;
      return row;
    });
    this.live.replaceChildren(...rows);
  }

  /** Drop whole chunks from the top until the limits hold. */
  trimTop(maxRows, maxBytes) {
    let dropped = 0;
    while (this.chunks.length > 1 && (this.rowCount > maxRows || this.bytes > maxBytes)) {
      dropped += this.#forget(this.chunks.shift());
    }
    this.firstNumber += dropped;
    if (dropped && this.isRelative) this.setFirstNumber(null);
    return dropped;
  }

  /** Drop whole chunks from the bottom until the limits hold. */
  trimBottom(maxRows, maxBytes) {
    let dropped = 0;
    while (this.chunks.length > 1 && (this.rowCount > maxRows || this.bytes > maxBytes)) {
      dropped += this.#forget(this.chunks.pop());
    }
    if (dropped) this.live.replaceChildren();
    return dropped;
  }

  /** Return the row at or behind a byte offset. */
  rowAtOffset(offset) {
    const chunk = this.chunks.find((each) => each.end > offset);
    if (!chunk) return null;
    let index = chunk.offsets.findLastIndex((each) => each <= offset);
    if (index < 0) index = 0;
    return chunk.element.children[index];
  }

  /** Return the row with a number. */
  rowAtNumber(number) {
    let index = number - this.firstNumber;
    for (const chunk of this.chunks) {
      if (index < chunk.offsets.length) return chunk.element.children[index] ?? null;
      index -= chunk.offsets.length;
    }
    return null;
  }

  /** Return the byte offset at which a row's line begins. */
  offsetOf(row) {
    const chunk = this.chunks.find((each) => each.element === row.parentElement);
    if (!chunk) return Number(row.dataset.offset ?? 0);
    return chunk.offsets[Array.prototype.indexOf.call(chunk.element.children, row)];
  }

  /** Return all finished and unfinished rows in order. */
  *rows() {
    for (const chunk of this.chunks) yield* chunk.element.children;
    yield* this.live.children;
  }

  #row({ text, stream, timeMs, isRewritten }, number, { isFinished = true } = {}) {
    const row = element("div", rowClasses(stream, isRewritten));
    row.dataset.n = number;
    if (timeMs) row.dataset.t = clock(timeMs);
    const after = draw(row, text, this.states.get(stream) ?? PLAIN);
    if (isFinished) this.states.set(stream, after);
    return row;
  }

  #count(chunk, line) {
    chunk.offsets.push(line.offset);
    chunk.end = line.end;
    chunk.bytes += line.text.length;
    this.bytes += line.text.length;
    this.rowCount += 1;
  }

  #forget(chunk) {
    chunk.element.remove();
    this.rowCount -= chunk.offsets.length;
    this.bytes -= chunk.bytes;
    return chunk.offsets.length;
  }
}

function rowClasses(stream, isRewritten) {
  return `log-row${stream === STDERR ? " is-err" : ""}${isRewritten ? " is-bar" : ""}`;
}

function newChunk() {
  return { element: element("div", "log-chunk"), offsets: [], end: 0, bytes: 0 };
}

/* Until a chunk was on screen once, the browser takes this as its height. */
function estimate(chunk) {
  chunk.element.style.containIntrinsicBlockSize = `auto ${chunk.offsets.length * ROW_HEIGHT_PX}px`;
}

const TWO = (value) => String(value).padStart(2, "0");
let lastSecond = -1, lastText = "";

/* Building a date per line is what costs; lines of the same second share it. */
function clock(timeMs) {
  const second = Math.floor(timeMs / 1000);
  if (second !== lastSecond) {
    const at = new Date(timeMs);
    lastText = `${TWO(at.getHours())}:${TWO(at.getMinutes())}:${TWO(at.getSeconds())}`;
    lastSecond = second;
  }
  return `${lastText}.${String(timeMs % 1000).padStart(3, "0")}`;
}

function element(name, className) {
  const made = document.createElement(name);
  made.className = className;
  return made;
}
