"use strict";

// What both pages share: elements, text, light and dark, the list of keys. Whatever comes from the data goes in as text or as
// the value of an attribute; nothing here, or in the other scripts, reads markup.

const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
let pattern = null; // what is searched for, as a RegExp

function el(name, set, ...inside) {
  return filled(document.createElement(name), set, inside);
}

function svg(name, set, ...inside) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), set, inside);
}

// `set`: functions are listeners (onclick), names with two hyphens variables of the style, the rest attributes.
function filled(made, set, inside) {
  for (const [name, value] of Object.entries(set || {})) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) made.style.setProperty(name, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...inside.flat(Infinity).filter((each) => each !== null && each !== undefined && each !== false));
  return made;
}

const badge = (word, kind, title) => el("span", { class: `badge ${kind || ""}`, title }, word);
const plural = (n, one, many) => `${n} ${n === 1 ? one : many || `${one}s`}`;
const rounded = (x) => (Number.isInteger(x) ? String(x) : x.toFixed(2).replace(/^(-?)0\./, "$1."));
const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const oneLine = (text, most = 220) => text.slice(0, 4 * most).replace(/\s+/g, " ").trim().slice(0, most);

// Formulas stay LaTeX, set apart from the words around them. A lone dollar is money.
const TEX = new RegExp(
  [
    /\$\$[^]+?\$\$/,
    /\\\[[^]+?\\\]/,
    /\\\([^]+?\\\)/,
    /\\begin\{((?:align|aligned|equation|eqnarray|gather|multline|cases|array|[bpvV]?matrix)\*?)\}[^]+?\\end\{\1\}/,
    /\$(?!\s)(?:\\.|[^$\\\n])*?(?<!\s)\$(?!\d)/,
    /\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}/,
  ]
    .map((each) => each.source)
    .join("|"),
  "g",
);

function prose(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(TEX)) {
    parts.push(marked(text.slice(end, found.index)), el("span", { class: "tex" }, marked(found[0])));
    end = found.index + found[0].length;
  }
  return [...parts, marked(text.slice(end))];
}

function marked(text) {
  if (!pattern) return text;
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(pattern)) {
    parts.push(text.slice(end, found.index), el("mark", {}, found[0]));
    end = found.index + found[0].length;
  }
  return [...parts, text.slice(end)];
}

// Letter by letter and in any case.
function patternOf(text) {
  return text.trim() ? new RegExp(text.trim().replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"), "giu") : null;
}

// `search` begins at the start; `test` would go on where a global pattern stopped.
const matches = (text) => text.search(pattern) >= 0;

// A page of this folder, by the name of its file.
const link = (page, set, ...inside) => el("a", { href: `./${encodeURIComponent(page)}`, ...set }, ...inside);

const THEME = "rader-theme"; // a page read from a file may have no storage

function startTheme() {
  const root = document.documentElement;
  try {
    const kept = localStorage.getItem(THEME);
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch {}
  at("theme").addEventListener("click", changeTheme);
}

function changeTheme() {
  const root = document.documentElement;
  const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(THEME, root.dataset.theme);
  } catch {}
}

// `keys`: [names of the key, what it does, what to run]; `busy` says of an element that it keeps its keys to itself.
function startKeys(keys, busy) {
  const list = at("keys").querySelector("dl");
  for (const [names, does] of keys) {
    list.append(el("dt", {}, names.map((name) => [el("kbd", {}, SIGNS[name] || name), " "])), el("dd", {}, does));
  }
  at("help").addEventListener("click", () => at("keys").showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || at("keys").open || busy(event)) return;
    const run = keys.find(([names]) => names.includes(event.key))?.[2];
    if (!run) return;
    event.preventDefault();
    run(event.key);
  });
}

const SIGNS = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", "-": "−", Escape: "Esc" };
