/* SHA-256 of bytes as hex: by the browser, or in script where it offers none.

   Pages from plain HTTP have no WebCrypto; the server wants every chunk's digest all the same. */

const K = new Uint32Array(64);
const START = new Uint32Array(8);
for (let prime = 2, found = 0; found < 64; prime += 1) {
  let isPrime = true;
  for (let by = 2; by * by <= prime; by += 1) if (prime % by === 0) isPrime = false;
  if (!isPrime) continue;
  const fraction = (root) => ((root - Math.floor(root)) * 2 ** 32) >>> 0;
  if (found < 8) START[found] = fraction(Math.sqrt(prime));
  K[found] = fraction(Math.cbrt(prime));
  found += 1;
}

export async function sha256(buffer) {
  const digest = crypto.subtle ? await crypto.subtle.digest("SHA-256", buffer) : inScript(buffer);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function inScript(buffer) {
  const state = START.slice();
  const whole = buffer.byteLength - (buffer.byteLength % 64);
  const data = new DataView(buffer);
  for (let at = 0; at < whole; at += 64) mix(state, data, at);
  // The rest, a one bit, zeros, and the length in bits fill one or two more blocks.
  const rest = new Uint8Array(buffer, whole);
  const last = new DataView(new ArrayBuffer(rest.length < 56 ? 64 : 128));
  new Uint8Array(last.buffer).set(rest);
  last.setUint8(rest.length, 0x80);
  last.setUint32(last.byteLength - 8, Math.floor(buffer.byteLength / 2 ** 29));
  last.setUint32(last.byteLength - 4, (buffer.byteLength * 8) >>> 0);
  for (let at = 0; at < last.byteLength; at += 64) mix(state, last, at);
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((word, index) => out.setUint32(index * 4, word));
  return out.buffer;
}

const words = new Uint32Array(64);
const turn = (word, by) => (word >>> by) | (word << (32 - by));

function mix(state, data, at) {
  for (let i = 0; i < 16; i += 1) words[i] = data.getUint32(at + i * 4);
  for (let i = 16; i < 64; i += 1) {
    const [early, late] = [words[i - 15], words[i - 2]];
    const low = turn(early, 7) ^ turn(early, 18) ^ (early >>> 3);
    const high = turn(late, 17) ^ turn(late, 19) ^ (late >>> 10);
    words[i] = words[i - 16] + low + words[i - 7] + high;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i += 1) {
    const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + words[i]) | 0;
    const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, index) => { state[index] += word; });
}
