/* The new-task form: words of the slider, templates into the editor, dependencies by click.
 *
 * Everything here is comfort: without it the form is plain HTML that the server judges.
 * Handlers hang on the document, because a refused form is swapped for a new one.
 */

import { ask, toast } from "./ui.js";

const form = () => document.getElementById("task-form");
const editor = () => form().querySelector("code-editor");
const field = (name) => form().elements.namedItem(name);
const text = (name, figures) =>
  form().dataset[name].replace(/\{(\w+)\}/g, (_, key) => figures[key] ?? "");

let filledWith = ""; // what a template put into the editor; replacing that needs no question

/* --- priority -------------------------------------------------------------------- */
function drawPriority() {
  const slider = field("priority");
  if (!slider) return;
  const word = form().querySelectorAll(".range-words span")[slider.value - 1]?.textContent ?? "";
  form().querySelector(".priority-word").textContent = `${slider.value} · ${word}`;
  slider.setAttribute("aria-valuetext", `${slider.value}, ${word}`);
}

/* --- templates -------------------------------------------------------------------- */
function chosenTemplate(name) {
  const options = document.querySelectorAll("#template-types option[data-template]");
  return [...options].find((option) => option.value === name);
}

async function takeTemplate(name) {
  const option = chosenTemplate(name);
  if (!option) return;
  const { value } = editor();
  const isUntouched = !value.trim() || value === filledWith;
  if (!isUntouched && !(await ask(option, text("textFill", { name })))) return;
  const answer = await fetch(`/api/v1/templates/${option.dataset.template}/`, {
    headers: { Accept: "application/json" }, credentials: "same-origin",
  });
  if (!answer.ok) return;
  const template = await answer.json();
  filledWith = template.script_content;
  setType(template.script_type);
  editor().value = template.script_content;
  if (!field("name").value.trim()) field("name").value = template.name;
  toast(text("textFilled", { name }));
}

function setType(type) {
  const radio = form().querySelector(`[name=script_type][value="${CSS.escape(type ?? "")}"]`);
  if (radio) radio.checked = true;
  if (radio) editor().setAttribute("language", type);
}

/* --- dependencies ------------------------------------------------------------------- */
function addDependency(id) {
  const input = field("depends_on");
  const done = input.value.split(/[,，]/).slice(0, -1).map((part) => part.trim()).filter(Boolean);
  input.value = `${[...new Set([...done, id])].join(", ")}, `;
  input.focus();
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

/* --- what is wrong ------------------------------------------------------------------- */
function drawErrors() {
  for (const row of form().querySelectorAll("[data-field]")) {
    const errors = row.querySelector(".field-errors");
    const isWrong = Boolean(errors?.querySelector(".error"));
    // A refusal counts as touching: the live check replaces its sentences right away, and live
    // ones stay hidden in rows nobody has been in.
    if (isWrong && !errors.classList.contains("is-live")) touch(row);
    row.classList.toggle("has-error", isWrong && row.classList.contains("is-touched"));
    const input = row.querySelector(".field");
    if (row.classList.contains("has-error")) input?.setAttribute("aria-invalid", "true");
    else input?.removeAttribute("aria-invalid");
  }
}

/* --- wiring -------------------------------------------------------------------------- */
function touch(target) {
  target.closest?.("[data-field]")?.classList.add("is-touched");
}

document.addEventListener("input", ({ target }) => {
  if (!target.closest("#task-form")) return;
  if (target.name === "priority") drawPriority();
  if (target.name === "script_content") field("script_size").value = target.value.length;
  if (target.name === "template_type") takeTemplate(target.value);
  if (target.value) touch(target);
});
document.addEventListener("change", ({ target }) => {
  if (target.name === "script_type") setType(target.value);
});
document.addEventListener("focusout", ({ target }) => {
  if (target.closest?.("#task-form")) touch(target);
});
document.addEventListener("click", ({ target }) => {
  const hit = target.closest("[data-dependency]");
  if (hit) addDependency(hit.dataset.dependency);
});
document.addEventListener("code-file", ({ detail }) => {
  if (detail.type) setType(detail.type);
  if (!field("name").value.trim()) field("name").value = detail.name;
});
document.addEventListener("code-too-large", ({ detail }) => {
  toast(text("textLarge", { name: detail.file.name }), "failed");
});
// After the settling: until then what is new has the classes of what it replaces, and a live
// sentence would be taken for a refusal.
document.addEventListener("htmx:afterSettle", () => {
  if (!form()) return;
  drawPriority();
  drawErrors();
});
drawPriority();
drawErrors();
