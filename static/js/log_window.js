/* Which part of a log is on the page, and how it moves: the bounded window over any size.
 *
 * Promises: at most MAX_ROWS rows and MAX_TEXT_BYTES of text are kept (three times as many
 * rows while reading backwards); one append per animation frame; nothing is acknowledged
 * before it is drawn, so a slow page slows the server instead of growing. A follower who
 * falls behind skips to the last 2 MB. Owns stream, assembler and view of the window.
 */

import { LineAssembler } from "./log_lines.js";
import { LogStream, readRange } from "./log_stream.js";
import { LogView } from "./log_view.js";

export const TAIL_BYTES = 2 * 1024 * 1024;
const SKIP_BYTES = 8 * 1024 * 1024;
const MAX_ROWS = 40_000, MAX_TEXT_BYTES = 16 * 1024 * 1024;
const ROWS_PER_FRAME = 2_000;
const FRAME_MS_WHEN_HIDDEN = 250;

/** The window of one log element. */
export class LogWindow {
  /** Draw into `body`; `events` has onDrawn(rows count), onRows(rows), onSize, onState. */
  constructor(body, { socketUrl, restUrl, events }) {
    this.urls = { socketUrl, restUrl };
    this.events = events;
    this.view = new LogView(body, { onRows: events.onRows });
    this.isFollowing = true;
    this.size = 0;
    this.isComplete = false;
  }

  /** Show from a byte offset on; `firstNumber` is the number of the line there, if known. */
  open(offset, { firstNumber = offset ? null : 1 } = {}) {
    this.close();
    this.start = offset;
    this.head = [];
    this.queue = [];
    this.view.clear(firstNumber);
    this.#read(offset, { isCut: offset > 0 });
  }

  /** Stop reading. */
  close() {
    this.stream?.stop();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.frameTimer);
    this.isScheduled = false;
  }

  /** Whether everything the server has is on the page. */
  get isCaughtUp() {
    return Boolean(this.stream) && this.stream.offset >= this.size && !this.queue.length;
  }

  /** Whether reading rests until the reader comes to the bottom. */
  get isHeld() {
    return !this.isFollowing && this.view.rowCount >= MAX_ROWS;
  }

  /** Follow the end; skips there when it is far. */
  follow() {
    this.isFollowing = true;
    if (this.size - this.stream.offset > SKIP_BYTES) this.open(this.size - TAIL_BYTES);
    else this.#schedule();
  }

  /** Read on a little although the window is full: the reader is at its bottom. */
  readOn() {
    if (!this.isHeld || this.isCaughtUp) return;
    this.isReadingOn = true;
    this.#schedule();
  }

  /** Put the 2 MB before the window in front of it. */
  async readEarlier() {
    const to = this.start + headBytes(this.head);
    const from = Math.max(0, this.start - TAIL_BYTES);
    const { frames } = await readRange(this.urls, from, this.start);
    const assembler = new LineAssembler(from, { isCut: from > 0 });
    let head = [];
    assembler.onHead = (parts) => { head = parts; };
    assembler.feed([...frames, ...this.head]);
    assembler.close();
    const lines = assembler.take();
    if (lines.length) lines.at(-1).end = to;
    this.view.prepend(lines, this.#numberBefore(from, lines.length));
    this.start = from;
    this.head = head;
    if (this.view.trimBottom(3 * MAX_ROWS, 3 * MAX_TEXT_BYTES)) this.#readFrom(this.view.end);
  }

  #numberBefore(from, count) {
    if (from === 0) return 1;
    return this.view.isRelative ? null : this.view.firstNumber - count;
  }

  #readFrom(offset) {
    this.stream.stop();
    this.isFollowing = false;
    this.queue = [];
    this.#read(offset, {});
  }

  #read(offset, { isCut = false }) {
    this.assembler = new LineAssembler(offset, { isCut });
    this.assembler.onHead = (parts) => { this.head = parts; };
    this.stream = new LogStream({
      ...this.urls,
      offset,
      onFrames: (_, frames) => this.#take(frames),
      onSize: (size, isComplete) => this.#sized(size, isComplete),
      onState: (state) => this.events.onState(state),
    }).start();
  }

  #take(frames) {
    this.assembler.feed(frames);
    this.queue.push(...this.assembler.take());
    this.#schedule();
  }

  #sized(size, isComplete) {
    this.size = size;
    this.isComplete = isComplete;
    this.events.onSize(size, isComplete);
    if (this.isFollowing && size - this.stream.offset > SKIP_BYTES) this.open(size - TAIL_BYTES);
    else this.#schedule();
  }

  /* A hidden page gets no frames; its log must go on, or the socket would starve. */
  #schedule() {
    if (this.isScheduled) return;
    this.isScheduled = true;
    if (document.hidden) this.frameTimer = setTimeout(() => this.#flush(), FRAME_MS_WHEN_HIDDEN);
    else this.frame = requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    this.isScheduled = false;
    if (this.isHeld && !this.isReadingOn) return;
    if (this.isFollowing && this.queue.length > MAX_ROWS) this.#skipQueued();
    const lines = this.queue.splice(0, ROWS_PER_FRAME);
    this.view.append(lines);
    this.#trim();
    this.view.drawUnfinished(this.queue.length ? [] : this.assembler.unfinished());
    this.events.onDrawn(lines.length);
    if (this.queue.length) this.#schedule();
    else {
      this.isReadingOn = false;
      this.stream.acknowledge(this.stream.offset);
    }
  }

  #trim() {
    if (!this.isFollowing && !this.isReadingOn) return;
    if (this.view.trimTop(MAX_ROWS, MAX_TEXT_BYTES)) this.#startsAt(this.view.start);
  }

  /* More lines than the window holds: the older ones would be dropped at once. */
  #skipQueued() {
    const skipped = this.queue.splice(0, this.queue.length - MAX_ROWS).length;
    const firstNumber = this.view.isRelative
      ? null : this.view.firstNumber + this.view.rowCount + skipped;
    this.view.clear(firstNumber);
    this.#startsAt(this.queue[0].offset);
  }

  #startsAt(offset) {
    this.start = offset;
    this.head = [];
  }
}

function headBytes(frames) {
  return frames.reduce((total, frame) => total + frame.payload.length, 0);
}
