/* Where the bytes of a log come from: the live socket, or polling when it is blocked.
 *
 * Promises: frames are handed over in order and without gaps from the asked offset; what
 * was not acknowledged stays with the server (at most 1 MiB is under way); a lost
 * connection resumes at the last offset after a growing, jittered pause. Draws nothing.
 */

import { decodeMessage, dropBytes, payloadBytes, STDOUT } from "./log_lines.js";

const FIRST_PAUSE_MS = 400, LONGEST_PAUSE_MS = 10_000;
const OPENING_LIMIT_MS = 4_000;
const TRIES_BEFORE_POLLING = 2;
const POLL_PAUSE_MS = 1_000;
const SOCKET_RETRY_MS = 30_000; // a proxy that blocks sockets will go on doing so
const SOCKET_RETRY_AFTER_LOSS_MS = 3_000; // it worked before: the server restarted
const POLL_LIMIT_BYTES = 512 * 1024;

/** One reader of one log, from an offset on. */
export class LogStream {
  /** Keep the addresses and the callbacks onFrames(offset, frames), onSize(size, complete), onState(name). */
  constructor({ socketUrl, restUrl, offset, onFrames, onSize, onState }) {
    Object.assign(this, { socketUrl, restUrl, offset, onFrames, onSize, onState });
    this.acknowledged = offset;
    this.tries = 0;
    this.isComplete = false;
    this.isStopped = false;
  }

  /** Begin to read. */
  start() {
    this.#open();
    return this;
  }

  /** End for good. */
  stop() {
    this.isStopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.opening);
    this.abort?.abort();
    this.socket?.close();
  }

  /** Say up to where the frames have been used up; more is sent only then. */
  acknowledge(offset) {
    if (offset <= this.acknowledged) return;
    this.acknowledged = offset;
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ ack: offset }));
    if (this.isPollWaiting && offset === this.offset) this.#poll();
  }

  #open() {
    if (this.isStopped) return;
    const socket = new WebSocket(withOffset(this.socketUrl, this.offset));
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.opening = setTimeout(() => socket.close(), OPENING_LIMIT_MS);
    socket.onopen = () => {
      clearTimeout(this.opening);
      this.tries = 0;
      this.hasOpened = true;
      this.onState("live");
    };
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.#control(data) : this.#take(data));
    socket.onclose = () => {
      clearTimeout(this.opening);
      if (this.socket === socket) this.#closed();
    };
  }

  #closed() {
    if (this.isStopped || this.#isAtEnd()) return;
    this.tries += 1;
    if (this.tries >= TRIES_BEFORE_POLLING) {
      this.socketRetryAt = performance.now()
        + (this.hasOpened ? SOCKET_RETRY_AFTER_LOSS_MS : SOCKET_RETRY_MS);
      this.#poll();
      return;
    }
    this.onState("reconnecting");
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.tries);
    this.timer = setTimeout(() => this.#open(), pause * (0.5 + Math.random() / 2));
  }

  #control(text) {
    const { size, complete } = JSON.parse(text);
    this.#sized(size, complete);
  }

  #sized(size, complete) {
    this.size = size;
    this.isComplete = complete;
    this.onSize(size, complete);
    if (this.#isAtEnd()) this.#end();
  }

  #take(buffer) {
    this.#hand(decodeMessage(buffer));
    if (this.#isAtEnd()) this.#end();
  }

  /* A server may repeat after a reconnect; a gap means that we ask again. */
  #hand({ offset, frames }) {
    if (offset > this.offset) {
      this.socket?.close();
      return;
    }
    const fresh = offset < this.offset ? dropBytes(frames, this.offset - offset) : frames;
    if (!fresh.length) return;
    const start = this.offset;
    this.offset += payloadBytes(fresh);
    this.onFrames(start, fresh);
  }

  #isAtEnd() {
    return this.isComplete && this.offset >= this.size;
  }

  #end() {
    if (this.isStopped) return;
    this.stop();
    this.onState("complete");
  }

  async #poll() {
    this.isPollWaiting = false;
    if (this.isStopped) return;
    if (performance.now() > this.socketRetryAt) {
      this.#open();
      return;
    }
    this.onState("polling");
    let isMore = false;
    try {
      isMore = await this.#fetchNext();
      this.pollPause = POLL_PAUSE_MS;
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.isFinal) {
        this.stop();
        this.onState("refused");
        return;
      }
      this.onState("reconnecting");
      this.pollPause = Math.min(LONGEST_PAUSE_MS, (this.pollPause ?? POLL_PAUSE_MS) * 2);
    }
    if (this.#isAtEnd()) this.#end();
    // The next piece is asked for when this one has been drawn.
    else if (isMore) this.isPollWaiting = true;
    else this.timer = setTimeout(() => this.#poll(), this.pollPause);
    if (this.isPollWaiting && this.acknowledged === this.offset) this.#poll();
  }

  async #fetchNext() {
    this.abort = new AbortController();
    const piece = await fetchPiece(this.restUrl, this.offset, POLL_LIMIT_BYTES, this.abort.signal);
    if (this.isStopped) return false;
    if (piece.payload.length) this.#hand(asFrames(piece));
    this.#sized(piece.size, piece.isComplete);
    return piece.payload.length > 0;
  }
}

/** Return {offset, frames} of the bytes [from, to), for showing what came before a window. */
export async function readRange({ restUrl, socketUrl }, from, to) {
  const parts = [];
  await new Promise((resolve) => {
    const stream = new LogStream({
      socketUrl, restUrl, offset: from,
      onFrames: (offset, frames) => {
        parts.push(...frames);
        stream.acknowledge(stream.offset);
        if (stream.offset >= to) {
          stream.stop();
          resolve();
        }
      },
      onSize: () => {},
      onState: (state) => state === "complete" && resolve(),
    });
    stream.start();
  });
  return { offset: from, frames: takeBytes(parts, to - from) };
}

/** Return {size, isComplete} of the log as the server has it now. */
export async function fetchSize(restUrl) {
  const { size, isComplete } = await fetchPiece(restUrl, 0, 1);
  return { size, isComplete };
}

async function fetchPiece(restUrl, offset, limit, signal) {
  const url = withOffset(restUrl, offset);
  url.searchParams.set("limit", limit);
  const answer = await fetch(url, { signal, credentials: "same-origin" });
  if (!answer.ok) {
    const isFinal = [401, 403, 404].includes(answer.status);
    throw Object.assign(new Error(`log answered ${answer.status}`), { isFinal });
  }
  return {
    offset: Number(answer.headers.get("X-Log-Offset") ?? offset),
    size: Number(answer.headers.get("X-Log-Size")),
    isComplete: answer.headers.get("X-Log-Complete") === "true",
    payload: new Uint8Array(await answer.arrayBuffer()),
  };
}

function asFrames({ offset, payload }) {
  return { offset, frames: [{ stream: STDOUT, timeMs: 0, payload }] };
}

function takeBytes(frames, bytes) {
  const kept = [];
  for (const frame of frames) {
    if (bytes <= 0) break;
    const payload = frame.payload.subarray(0, bytes);
    kept.push({ ...frame, payload });
    bytes -= payload.length;
  }
  return kept;
}

function withOffset(address, offset) {
  const url = new URL(address, document.baseURI);
  if (address.startsWith("/ws/")) url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("offset", offset);
  return url;
}
