/* The template's form: the editor follows the chosen language, and a dropped file chooses it. */
const form = document.querySelector("#template-form");
const editor = form?.querySelector("code-editor");

form?.addEventListener("change", (event) => {
  if (event.target.name === "script_type") editor.setAttribute("language", event.target.value);
});
form?.addEventListener("code-file", ({ detail }) => {
  const radio = detail.type && form.querySelector(`[name=script_type][value=${detail.type}]`);
  if (radio) {
    radio.checked = true;
    editor.setAttribute("language", detail.type);
  }
  const name = form.querySelector("[name=name]");
  if (!name.value) name.value = detail.name;
});
