/* Terminal colours: turns one line with SGR sequences into spans with classes.
 *
 * Promises: the text ends up in text nodes only, never in markup; every other escape
 * sequence and control character is dropped; the state is a value, so a line can be drawn
 * again (a bar that rewrites itself) from the state before it. Keeps no document of its own.
 */

export const PLAIN = Object.freeze({ fg: null, bg: null, flags: 0 });

const BOLD = 1, DIM = 2, ITALIC = 4, UNDERLINE = 8, INVERSE = 16, HIDDEN = 32, STRIKE = 64;
const FLAG_CLASSES = [[BOLD, "a-b"], [DIM, "a-d"], [ITALIC, "a-i"], [UNDERLINE, "a-u"],
  [INVERSE, "a-v"], [HIDDEN, "a-h"], [STRIKE, "a-s"]];
const SET_FLAGS = { 1: BOLD, 2: DIM, 3: ITALIC, 4: UNDERLINE, 7: INVERSE, 8: HIDDEN, 9: STRIKE };
const CLEAR_FLAGS = { 22: BOLD | DIM, 23: ITALIC, 24: UNDERLINE, 27: INVERSE, 28: HIDDEN, 29: STRIKE };

/* CSI, OSC/DCS-like strings up to their end, two-character escapes, a sequence cut by the
 * end of the text, then every control character but tab. */
// eslint-disable-next-line no-control-regex
const SPECIAL = /\x1b\[([0-9;:?<=>!]*)[ -/]*([@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b\[[0-9;:?<=>! -/]*$|\x1b[ -/]*[0-~]?|[\x00-\x08\x0a-\x1f\x7f]/g;
// eslint-disable-next-line no-control-regex
const HAS_SPECIAL = /[\x00-\x08\x0a-\x1f\x7f]/;

/** Return [[pieces as {text, classes}], the state behind the line]. */
export function parse(text, state = PLAIN) {
  if (!HAS_SPECIAL.test(text)) return [[{ text, classes: classesOf(state) }], state];
  const pieces = [];
  let from = 0;
  const push = (to) => {
    if (to > from) pieces.push({ text: text.slice(from, to), classes: classesOf(state) });
  };
  SPECIAL.lastIndex = 0;
  for (let match = SPECIAL.exec(text); match; match = SPECIAL.exec(text)) {
    push(match.index);
    from = match.index + match[0].length;
    if (match[2] === "m" && !/[?<=>!]/.test(match[1])) state = applySgr(match[1], state);
  }
  push(text.length);
  return [pieces, state];
}

/** Append the line to a parent as text nodes and spans; return the state behind it. */
export function draw(parent, text, state = PLAIN) {
  const [pieces, after] = parse(text, state);
  for (const { text: part, classes } of pieces) {
    if (!classes) {
      parent.append(part);
      continue;
    }
    const span = document.createElement("span");
    span.className = classes;
    span.textContent = part;
    parent.append(span);
  }
  return after;
}

/** Return the line without any sequence. */
export function plainText(text) {
  return HAS_SPECIAL.test(text) ? text.replace(SPECIAL, "") : text;
}

function applySgr(parameters, state) {
  const codes = parameters.split(/[;:]/).map((code) => (code === "" ? 0 : Number(code)));
  let { fg, bg, flags } = state;
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i];
    if (code === 0) ({ fg, bg, flags } = PLAIN);
    else if (code in SET_FLAGS) flags |= SET_FLAGS[code];
    else if (code in CLEAR_FLAGS) flags &= ~CLEAR_FLAGS[code];
    else if (code >= 30 && code <= 37) fg = code - 30;
    else if (code >= 90 && code <= 97) fg = code - 82;
    else if (code >= 40 && code <= 47) bg = code - 40;
    else if (code >= 100 && code <= 107) bg = code - 92;
    else if (code === 39) fg = null;
    else if (code === 49) bg = null;
    else if (code === 38 || code === 48) {
      const [colour, used] = extendedColour(codes, i + 1);
      if (code === 38) fg = colour ?? fg;
      else bg = colour ?? bg;
      i += used;
    }
  }
  return { fg, bg, flags };
}

/* 5;n is the palette; 2;r;g;b is drawn with the nearest colour of the 6x6x6 cube. */
function extendedColour(codes, at) {
  if (codes[at] === 5) {
    const colour = codes[at + 1];
    return [colour >= 0 && colour <= 255 ? colour : null, 2];
  }
  if (codes[at] === 2) {
    const [r, g, b] = codes.slice(at + 1, at + 4).map((part) => Math.round(Math.min(part, 255) / 51));
    return [Number.isFinite(r + g + b) ? 16 + 36 * r + 6 * g + b : null, 4];
  }
  return [null, 1];
}

const classCache = new Map();

function classesOf(state) {
  if (state === PLAIN) return "";
  const key = `${state.fg}|${state.bg}|${state.flags}`;
  let classes = classCache.get(key);
  if (classes === undefined) {
    classes = FLAG_CLASSES.filter(([flag]) => state.flags & flag).map(([, name]) => name);
    if (state.fg !== null) classes.push(colourClass("f", state.fg));
    if (state.bg !== null) classes.push(colourClass("g", state.bg));
    classes = classes.join(" ");
    if (classCache.size < 4096) classCache.set(key, classes);
  }
  return classes;
}

/* The first 16 colours are the theme's (log.css); the rest become rules on first use. */
const made = new Set();
let sheet = null;

function colourClass(kind, colour) {
  const name = `a-${kind}${colour}`;
  if (colour > 15 && !made.has(name) && typeof document !== "undefined") {
    made.add(name);
    if (!sheet) {
      sheet = new CSSStyleSheet();
      document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
    }
    sheet.insertRule(`.${name}{${kind === "f" ? "color" : "background-color"}:${paletteColour(colour)}}`);
  }
  return name;
}

function paletteColour(colour) {
  if (colour >= 232) {
    const grey = 8 + (colour - 232) * 10;
    return `rgb(${grey} ${grey} ${grey})`;
  }
  const cube = colour - 16;
  const level = (part) => (part === 0 ? 0 : 55 + part * 40);
  return `rgb(${level(Math.floor(cube / 36))} ${level(Math.floor(cube / 6) % 6)} ${level(cube % 6)})`;
}
