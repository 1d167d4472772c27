/* <code-editor language="…"> makes the textarea inside it an editor with highlighting;
 * <code-view language="…"> colours a script that is only shown.
 *
 * Promises: without this module the plain textarea works and is what the form sends; with
 * it the textarea always holds the editor's text. A file dropped on it replaces the text.
 */

import {
  createEditor, defaultKeymap, editHistory, editorCommands, highlightText, matchBrackets,
} from "../vendor/prism-code-editor/prism-code-editor.js";

const GRAMMARS = { shell: "bash", python: "python", powershell: "powershell" };
const HIGHLIGHT_LIMIT_CHARACTERS = 200_000; // colouring more would be felt while typing
const FILE_LIMIT_BYTES = 1024 * 1024;
const TYPE_BY_SUFFIX = { py: "python", ps1: "powershell", sh: "shell", bash: "shell" };

class CodeEditor extends HTMLElement {
  static observedAttributes = ["language"];

  connectedCallback() {
    this.field = this.querySelector("textarea");
    if (!this.field || this.editor) return;
    this.editor = createEditor(
      this,
      { language: this.grammar(), value: this.field.value, tabSize: 4, wordWrap: false,
        onUpdate: (value) => this.changed(value) },
      editorCommands(defaultKeymap), editHistory(), matchBrackets(false),
    );
    this.classList.add("is-ready");
    const { textarea } = this.editor;
    textarea.setAttribute("aria-label", this.field.getAttribute("aria-label") ?? this.field.name);
    textarea.setAttribute("aria-describedby", this.field.getAttribute("aria-describedby") ?? "");
    this.wireDrop();
  }

  attributeChangedCallback() {
    this.editor?.setOptions({ language: this.grammar() });
  }

  /** The text, in both directions. */
  get value() {
    return this.field.value;
  }

  set value(text) {
    this.field.value = text;
    this.editor.setOptions({ value: text });
    this.announce();
  }

  focus() {
    this.editor.textarea.focus();
  }

  grammar() {
    if ((this.field?.value.length ?? 0) > HIGHLIGHT_LIMIT_CHARACTERS) return "text";
    return GRAMMARS[this.getAttribute("language")] ?? "text";
  }

  changed(value) {
    if (this.field.value === value) return;
    this.field.value = value;
    this.announce();
  }

  announce() {
    this.dispatchEvent(new CustomEvent("code-change", { bubbles: true }));
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  wireDrop() {
    const over = (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      this.classList.add("is-over");
    };
    this.addEventListener("dragenter", over);
    this.addEventListener("dragover", over);
    this.addEventListener("dragleave", (event) => {
      if (!this.contains(event.relatedTarget)) this.classList.remove("is-over");
    });
    this.addEventListener("drop", (event) => {
      this.classList.remove("is-over");
      const [file] = event.dataTransfer?.files ?? [];
      if (!file) return;
      event.preventDefault();
      this.load(file);
    });
  }

  /** Take the text of a file; its suffix says the language. */
  async load(file) {
    if (file.size > FILE_LIMIT_BYTES) {
      this.dispatchEvent(new CustomEvent("code-too-large", { bubbles: true, detail: { file } }));
      return;
    }
    this.value = (await file.text()).replace(/\r\n/g, "\n");
    const type = TYPE_BY_SUFFIX[file.name.split(".").at(-1).toLowerCase()];
    this.dispatchEvent(new CustomEvent("code-file", { bubbles: true, detail: { name: file.name, type } }));
  }
}

class CodeView extends HTMLElement {
  connectedCallback() {
    const text = this.textContent;
    const grammar = GRAMMARS[this.getAttribute("language")];
    // highlightText escapes the text; its markup holds classes only.
    if (grammar && text.length <= HIGHLIGHT_LIMIT_CHARACTERS) this.innerHTML = highlightText(text, grammar);
  }
}

customElements.define("code-editor", CodeEditor);
customElements.define("code-view", CodeView);
