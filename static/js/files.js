/* Sending files to a host: chunks with digests, progress, going on after an interruption.

   A file goes to the server first, at most a chunk in memory; then a task brings it to the host.
   Where the server stands is asked of the server, so an interrupted file goes on there, also
   after the page was loaded anew and the same file chosen again. */

import { sha256 } from "./sha256.js";
import { toast } from "./ui.js";

const TRIES = 5;
const FIRST_PAUSE_MS = 500;
const panel = document.getElementById("files");
const into = document.getElementById("files-into");
const path = document.getElementById("files-path");

const say = (name, figures = {}) =>
  panel.dataset[name].replace(/\{(\w+)\}/g, (_, key) => figures[key] ?? "");
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const keyOf = (file) => `file:${file.name}:${file.size}:${file.lastModified}`;

/* --- talking to the server -------------------------------------------------------- */
class Refused extends Error {
  constructor(answer, body) {
    const field = Object.values(body.fields ?? {})[0]?.[0];
    super(field && body.code === "invalid" ? field : body.detail ?? String(answer.status));
    Object.assign(this, { status: answer.status, body });
  }
}

async function call(method, address, { body, headers = {}, signal } = {}) {
  const token = document.querySelector("meta[name=csrf-token]").content;
  const answer = await fetch(address, {
    method, body, signal, credentials: "same-origin",
    headers: { Accept: "application/json", "X-CSRFToken": token, ...headers },
  });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer, found);
  return found;
}

const post = (address, value, signal) =>
  call("POST", address, {
    body: JSON.stringify(value), headers: { "Content-Type": "application/json" }, signal,
  });

/* --- one file --------------------------------------------------------------------- */
async function announce(file, signal) {
  const known = sessionStorage.getItem(keyOf(file));
  if (known) {
    try {
      return await call("GET", `/api/v1/files/${known}/`, { signal });
    } catch (error) {
      if (error.status !== 404) throw error; // gone: begin anew
    }
  }
  const made = await post("/api/v1/files/", { name: file.name, size_bytes: file.size }, signal);
  sessionStorage.setItem(keyOf(file), made.id);
  return made;
}

async function putChunk(file, made, offset, signal) {
  const data = await file.slice(offset, offset + made.chunk_bytes).arrayBuffer().catch(() => {
    throw new Error(say("changed"));
  });
  const headers = {
    "Content-Type": "application/octet-stream", "X-Chunk-Sha256": await sha256(data),
  };
  const address = `/api/v1/files/${made.id}/content/?offset=${offset}`;
  try {
    return (await call("PUT", address, { body: data, headers, signal })).next;
  } catch (error) {
    if (error.body?.code === "offset_gap") return error.body.next;
    throw error;
  }
}

async function putAll(file, made, signal, draw) {
  let offset = made.next;
  for (let tries = 0; offset < file.size;) {
    draw(offset);
    try {
      offset = await putChunk(file, made, offset, signal);
      tries = 0;
    } catch (error) {
      // What the server decided stays so; a cut line and a busy server are tried again.
      const isFinal = signal.aborted || (error.status && error.status < 500) || tries >= TRIES;
      if (isFinal || !(error.status || error instanceof TypeError)) throw error;
      await pause(FIRST_PAUSE_MS * 2 ** tries);
      tries += 1;
    }
  }
  draw(file.size);
}

async function submit(made, order, signal) {
  return post("/api/v1/tasks/", {
    kind: "file_upload", agent_id: panel.dataset.agent, file: { id: made.id, ...order },
  }, signal);
}

/* --- its row ------------------------------------------------------------------------ */
function start(file, order) {
  const row = document.getElementById("files-row").content.firstElementChild.cloneNode(true);
  const find = (selector) => row.querySelector(selector);
  const [resume, stop, bar] = [find("[data-resume]"), find("[data-stop]"), find("progress")];
  find(".name").textContent = file.name;
  bar.setAttribute("aria-label", file.name);
  find("[data-size]").textContent = `${(file.size / 1e6).toFixed(1)} MB`;
  let control = null;

  const draw = (offset) => { bar.value = file.size ? (100 * offset) / file.size : 100; };
  const run = async () => {
    control = new AbortController();
    row.classList.remove("is-broken");
    [resume.hidden, find("[data-note]").textContent] = [true, ""];
    try {
      const made = await announce(file, control.signal);
      await putAll(file, made, control.signal, draw);
      const task = await submit(made, order, control.signal);
      sessionStorage.removeItem(keyOf(file));
      row.remove();
      toast(say("sent", { name: file.name, id: task.id }));
      document.dispatchEvent(new CustomEvent("live:now"));
    } catch (error) {
      if (control.signal.aborted) return;
      const why = error instanceof TypeError ? say("unreachable") : error.message;
      find("[data-note]").textContent = say("broken", { percent: `${Math.floor(bar.value)} %`, why });
      row.classList.add("is-broken");
      resume.hidden = false;
      resume.focus();
    }
  };
  resume.addEventListener("click", run);
  stop.addEventListener("click", () => {
    control?.abort();
    row.remove();
    document.querySelector("[data-choose]").focus();
  });
  document.getElementById("files-sending").append(row);
  run();
}

function startAll(files) {
  const directory = into.value.trim().replace(/[\\/]+$/, "");
  if (!/^(\/|[A-Za-z]:)/.test(into.value.trim())) {
    toast(say("path"), "failed");
    into.focus();
    return;
  }
  const separator = directory.includes("\\") ? "\\" : "/";
  const overwrite = document.getElementById("files-overwrite").checked;
  for (const file of files) start(file, { path: `${directory}${separator}${file.name}`, overwrite });
}

/* --- wiring -------------------------------------------------------------------------- */
function wire() {
  const chosen = document.getElementById("files-chosen");
  const zone = panel.querySelector("[data-drop]");
  panel.querySelector("[data-choose]").addEventListener("click", () => chosen.click());
  chosen.addEventListener("change", () => {
    startAll([...chosen.files]);
    chosen.value = "";
  });
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    zone.addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      zone.classList.toggle("is-over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop") startAll([...event.dataTransfer.files]);
    });
  }
  const view = document.getElementById("files-view");
  let hadFocus = false;
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    hadFocus = detail.target === view && view.contains(document.activeElement);
  });
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    const shown = document.getElementById("files-shown");
    // The entry that was chosen is gone with the list it was in; what came instead is next to it.
    if (hadFocus && !view.contains(document.activeElement)) view.focus({ preventScroll: true });
    if (detail.target.id !== "files-view" || !shown?.dataset.path) return;
    path.value = shown.dataset.path;
    if ("directory" in shown.dataset) into.value = shown.dataset.path;
  });
}

if (panel && into) wire();
