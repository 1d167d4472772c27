/* From frames to lines: the wire format of the live log, and lines assembled per stream.
 *
 * Promises: each stream has its own unfinished line, so that the two never cut each other;
 * a carriage return keeps only what was written last; what is held is bounded. Knows no
 * document and no connection.
 */

const MESSAGE_HEADER_BYTES = 8;
const FRAME_HEADER_BYTES = 13;
const NEWLINE = 10, RETURN = 13;
export const STDOUT = 1, STDERR = 2;
export const LINE_LIMIT_BYTES = 16 * 1024;

/** Return {offset, frames: [{stream, timeMs, payload}]} of one binary message. */
export function decodeMessage(buffer) {
  const view = new DataView(buffer);
  const frames = [];
  let at = MESSAGE_HEADER_BYTES;
  while (at + FRAME_HEADER_BYTES <= buffer.byteLength) {
    const length = view.getUint32(at + 9);
    frames.push({
      stream: view.getUint8(at),
      timeMs: Number(view.getBigUint64(at + 1)),
      payload: new Uint8Array(buffer, at + FRAME_HEADER_BYTES, length),
    });
    at += FRAME_HEADER_BYTES + length;
  }
  return { offset: Number(view.getBigUint64(0)), frames };
}

/** Return the frames without the first `bytes` bytes of payload. */
export function dropBytes(frames, bytes) {
  const kept = [];
  for (const frame of frames) {
    const { length } = frame.payload;
    if (bytes >= length) bytes -= length;
    else {
      kept.push(bytes ? { ...frame, payload: frame.payload.subarray(bytes) } : frame);
      bytes = 0;
    }
  }
  return kept;
}

/** Return the number of payload bytes. */
export function payloadBytes(frames) {
  return frames.reduce((total, frame) => total + frame.payload.length, 0);
}

/** Assembles lines {text, stream, timeMs, offset, isRewritten} from frames in order. */
export class LineAssembler {
  /** Begin at a byte offset; `isCut` when that may be the middle of a line. */
  constructor(offset, { isCut = false } = {}) {
    this.offset = offset;
    this.lines = [];
    this.head = isCut ? [] : null; // what belongs to a line that began before the window
    this.headBytes = 0;
    this.open = new Map();
    this.decoder = new TextDecoder("utf-8");
  }

  /** Take the frames that follow. */
  feed(frames) {
    for (const frame of frames) {
      const rest = this.head ? this.#feedHead(frame) : frame;
      if (rest) this.#feedFrame(rest);
    }
  }

  /** Return and forget the finished lines. */
  take() {
    const { lines } = this;
    this.lines = [];
    return lines;
  }

  /** Return the unfinished lines, as they would be drawn now. */
  unfinished() {
    return [...this.open.values()].filter((line) => line.bytes > 0).map((line) => this.#finish(line));
  }

  /** End every line that has no newline: nothing will follow. */
  close() {
    this.lines.push(...this.unfinished());
    this.open.clear();
  }

  #feedHead(frame) {
    const end = frame.payload.indexOf(NEWLINE);
    const cut = end < 0 ? frame.payload.length : end + 1;
    this.head.push({ ...frame, payload: frame.payload.subarray(0, cut) });
    this.headBytes += cut;
    this.offset += cut;
    // A window that opens inside an endless line must not swallow everything.
    if (end < 0 && this.headBytes < LINE_LIMIT_BYTES) return null;
    this.onHead?.(this.head, this.headBytes);
    this.head = null;
    return { ...frame, payload: frame.payload.subarray(cut) };
  }

  #feedFrame({ stream, timeMs, payload }) {
    let from = 0;
    while (from < payload.length) {
      const newline = payload.indexOf(NEWLINE, from);
      const to = newline < 0 ? payload.length : newline;
      this.#add(stream, timeMs, payload.subarray(from, to));
      from = to;
      if (newline >= 0) {
        this.offset += 1;
        from += 1;
        this.#end(this.#openLine(stream, timeMs));
      }
    }
  }

  #openLine(stream, timeMs) {
    let line = this.open.get(stream);
    if (!line) {
      line = { stream, timeMs, offset: this.offset, parts: [], bytes: 0, isRewritten: false };
      this.open.set(stream, line);
    }
    return line;
  }

  /* A return that something follows starts the line anew: a bar keeps its last state. */
  #add(stream, timeMs, piece) {
    let line = this.#openLine(stream, timeMs);
    this.offset += piece.length;
    if (!piece.length) return;
    if (line.endsInReturn && piece[0] !== RETURN) rewrite(line);
    line.endsInReturn = piece[piece.length - 1] === RETURN;
    let kept = piece.subarray(lastStart(piece));
    if (kept.length < piece.length) {
      line.bytes += piece.length - kept.length;
      rewrite(line);
    }
    for (let room = LINE_LIMIT_BYTES - line.bytes; kept.length > room; room = LINE_LIMIT_BYTES) {
      line.parts.push(kept.slice(0, room));
      this.#end(line);
      kept = kept.subarray(room);
      line = this.#openLine(stream, timeMs);
    }
    // A copy: the message's buffer must not live as long as an unfinished line.
    line.parts.push(kept.slice());
    line.bytes += kept.length;
  }

  #end(line) {
    this.lines.push(this.#finish(line));
    this.open.delete(line.stream);
  }

  #finish({ stream, timeMs, offset, parts, isRewritten }) {
    const bytes = parts.length === 1 ? parts[0] : join(parts);
    let end = bytes.length;
    while (end > 0 && bytes[end - 1] === RETURN) end -= 1;
    const text = this.decoder.decode(bytes.subarray(0, end));
    return { text, stream, timeMs, offset, end: this.offset, isRewritten };
  }
}

function rewrite(line) {
  line.isRewritten ||= line.bytes > 0;
  line.parts = [];
  line.bytes = 0;
}

/* Where the text begins that the last return before it left standing. */
function lastStart(piece) {
  let end = piece.length;
  while (end > 0 && piece[end - 1] === RETURN) end -= 1;
  return end ? piece.lastIndexOf(RETURN, end - 1) + 1 : 0;
}

function join(parts) {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
