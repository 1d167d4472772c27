/* Times without requests: <time data-relative datetime=…> says how long ago, <… data-since=…>
   counts up. The words come from the page's language through Intl; nothing is asked of the server. */
const language = document.documentElement.lang || "en";
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(language, { month: "short", day: "numeric" });
const dayAndYear = new Intl.DateTimeFormat(language, { year: "numeric", month: "short", day: "numeric" });
const STEPS = [["second", 1, 60], ["minute", 60, 60], ["hour", 3_600, 24], ["day", 86_400, 14]];
// Clocks of browser and server differ; the page carries the server's.
const serverNow = Number(document.body.dataset.now) * 1_000;
const skewMs = Number.isFinite(serverNow) && serverNow > 0 ? serverNow - Date.now() : 0;
const now = () => Date.now() + skewMs;

export function relativeTime(at) {
  const seconds = (at - now()) / 1_000;
  for (const [unit, size, count] of STEPS) {
    if (Math.abs(seconds) < size * count) {
      if (unit === "second" && Math.abs(seconds) < 1) return relative.format(0, "second");
      return relative.format(Math.trunc(seconds / size), unit);
    }
  }
  const date = new Date(at);
  return (date.getFullYear() === new Date(now()).getFullYear() ? day : dayAndYear).format(date);
}

/* Same wording as the template filter "duration". */
export function duration(seconds) {
  const units = document.body.dataset.units.split(" "); // d h min s
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 86_400), Math.floor(whole / 3_600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  const first = parts.findIndex((part) => part > 0);
  if (first === -1 || first === 3) return `${whole} ${units[3]}`;
  const second = String(parts[first + 1]).padStart(2, "0");
  return `${parts[first]} ${units[first]} ${second} ${units[first + 1]}`;
}

function update(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tick() {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const at = Date.parse(element.dateTime);
    if (Number.isNaN(at)) continue;
    if (!element.dataset.titled) {
      element.title = exact.format(at);
      element.dataset.titled = "";
    }
    update(element, relativeTime(at));
  }
  for (const element of document.querySelectorAll("[data-since]")) {
    update(element, duration((now() - Date.parse(element.dataset.since)) / 1_000));
  }
}

export function startClocks() {
  tick();
  setInterval(tick, 1_000);
  document.addEventListener("htmx:afterSettle", tick);
  document.addEventListener("visibilitychange", tick);
}
