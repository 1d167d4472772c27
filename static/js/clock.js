/* Times without requests: <time data-relative datetime=…> says how long ago, <… data-since=…>
   counts up. The words come from data attributes of <body>; nothing is asked of the server. */
const { lang } = document.documentElement;
const exact = new Intl.DateTimeFormat(lang || "en", { dateStyle: "medium", timeStyle: "medium" });
const words = document.body.dataset;
const units = (words.units ?? "d h m s").split(" ");
const AGE_LIMIT_SECONDS = 14 * 86_400; // beyond it the date, which the server wrote, says more
// Clocks of browser and server differ; the page carries the server's.
const serverNow = Number(document.body.dataset.now) * 1_000;
// A page taken from the history carries an old time: then the browser is believed.
const isOld = performance.getEntriesByType("navigation")[0]?.type === "back_forward";
const skewMs = serverNow > 0 && !isOld ? serverNow - Date.now() : 0;
const now = () => Date.now() + skewMs;

/* Same wording as the template tag "relative_time"; null leaves the server's date alone. */
export function relativeTime(at) {
  const seconds = (now() - at) / 1_000;
  const age = Math.abs(seconds);
  if (age >= AGE_LIMIT_SECONDS) return null;
  if (age < 1) return words.justNow;
  const sizes = [86_400, 3_600, 60, 1];
  const index = sizes.findIndex((size) => age >= size);
  const text = `${Math.floor(age / sizes[index])} ${units[index]}`;
  return (seconds > 0 ? words.ago : words.in).replace("{}", text);
}

/* Same wording as the template filter "duration". */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 86_400), Math.floor(whole / 3_600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  const first = parts.findIndex((part) => part > 0);
  if (first === -1 || first === 3) return `${whole} ${units[3]}`;
  const second = String(parts[first + 1]).padStart(2, "0");
  return `${parts[first]} ${units[first]} ${second} ${units[first + 1]}`;
}

function update(element, text) {
  if (text !== null && element.textContent !== text) element.textContent = text;
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
