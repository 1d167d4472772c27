/* Live pages: hints over one socket, HTML over HTTP.

   An element that shows changing things says so:
     <div id="task-list" data-live="tasks agents" hx-get="…" hx-trigger="live" hx-swap="outerHTML">
   On a hint for one of its topics it gets the event "live" (htmx refetches it); the document gets
   "live:hint" with {topic, version}. Without a socket every element gets "live" every 3 s while
   the page is used and every 60 s otherwise. Nothing is refetched while the page is hidden.

   data-live-gap (ms) spaces refreshes further apart; data-live-pause on it or around it holds them.
   The event "live:now" refreshes everything at once, as after an action.

   The server answers 204 when a fragment has not changed: its version travels in a header. */

const GAP_MS = 400;
const POLL_ACTIVE_MS = 3_000;
const POLL_IDLE_MS = 60_000;
const IDLE_AFTER_MS = 60_000;
const RETRY_FIRST_MS = 1_000;
const RETRY_LAST_MS = 30_000;
const POLL_WHEN_CONNECTED_MS = 30_000;

const root = document.documentElement;
const lastRefresh = new WeakMap();
const waiting = new WeakSet();
const versions = new Map(); // element id -> what it shows; one entry per live element
let socket = null;
let retryMs = RETRY_FIRST_MS;
let usedAt = Date.now();
let polledAt = Date.now();
let missedWhileHidden = false;
let subscribed = "";

const liveElements = () => [...document.querySelectorAll("[data-live]")];
const topicsOf = (element) => element.dataset.live.split(/\s+/).filter(Boolean);

function refresh(element) {
  if (document.hidden) {
    missedWhileHidden = true;
    return;
  }
  if (waiting.has(element)) return;
  const gap = Number(element.dataset.liveGap) || GAP_MS;
  const left = gap - (Date.now() - (lastRefresh.get(element) ?? 0));
  waiting.add(element);
  setTimeout(() => {
    waiting.delete(element);
    const current = element.isConnected ? element : element.id && document.getElementById(element.id);
    if (!current || current.matches("[data-live-pause], [data-live-pause] *")) return;
    if (current.querySelector("details.menu[open]")) {
      setTimeout(refresh, GAP_MS * 2, current); // somebody is choosing from a menu in it
      return;
    }
    lastRefresh.set(current, Date.now());
    current.dispatchEvent(new CustomEvent("live", { bubbles: false }));
  }, Math.max(0, left));
}

// A menu that was opened while the answer was on its way: the answer waits for another time.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, requestConfig } = event.detail;
  if (requestConfig.triggeringEvent?.type !== "live") return;
  if (!target.querySelector("details.menu[open]")) return;
  event.detail.shouldSwap = false;
  setTimeout(refresh, GAP_MS * 2, target);
});

function refreshAll() {
  polledAt = Date.now();
  liveElements().forEach(refresh);
}

function subscribe() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const topics = [...new Set(liveElements().flatMap(topicsOf))].sort().slice(0, 64);
  const wanted = topics.join(" ");
  if (wanted === subscribed) return;
  subscribed = wanted;
  socket.send(JSON.stringify({ subscribe: topics }));
}

function onHint(hint) {
  document.dispatchEvent(new CustomEvent("live:hint", { detail: hint }));
  for (const element of liveElements()) {
    if (topicsOf(element).includes(hint.topic)) refresh(element);
  }
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  let wasOpen = false;
  try {
    socket = new WebSocket(`${scheme}://${location.host}/ws/live/`);
  } catch {
    root.dataset.link = "polling";
    return;
  }
  socket.addEventListener("open", () => {
    wasOpen = true;
    retryMs = RETRY_FIRST_MS;
    subscribed = "";
    root.dataset.link = "live";
    subscribe();
    // Whatever happened before the subscription is caught up once.
    if (Date.now() - polledAt > RETRY_FIRST_MS) refreshAll();
  });
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.topic) onHint(message);
  });
  socket.addEventListener("close", () => {
    if (!wasOpen || retryMs > RETRY_FIRST_MS) root.dataset.link = "polling";
    setTimeout(connect, retryMs * (0.75 + Math.random() / 2));
    retryMs = Math.min(retryMs * 2, RETRY_LAST_MS);
  });
}

function pollInterval() {
  if (socket?.readyState === WebSocket.OPEN) return POLL_WHEN_CONNECTED_MS; // heals lost hints
  return Date.now() - usedAt < IDLE_AFTER_MS ? POLL_ACTIVE_MS : POLL_IDLE_MS;
}

function keepVersions() {
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    const known = versions.get(detail.elt.id);
    if (detail.triggeringEvent?.type === "live" && known?.path === detail.path) {
      detail.headers["X-Fragment-Version"] = known.version;
    }
  });
  document.addEventListener("htmx:afterOnLoad", ({ detail }) => {
    const version = detail.xhr.getResponseHeader("X-Fragment-Version");
    const id = detail.target?.id;
    if (id && version) versions.set(id, { path: detail.pathInfo.requestPath, version });
  });
  document.addEventListener("htmx:afterSettle", subscribe);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden || !missedWhileHidden) return;
  missedWhileHidden = false;
  refreshAll();
});
for (const kind of ["pointermove", "keydown", "scroll", "pointerdown"]) {
  addEventListener(kind, () => { usedAt = Date.now(); }, { passive: true });
}
document.addEventListener("live:now", refreshAll);
keepVersions();
if (liveElements().length) connect();
setInterval(() => {
  if (!document.hidden && Date.now() - polledAt >= pollInterval()) refreshAll();
}, 1_000);
