// The page of one problem: what is selected, views, search, keys.

const state = { selected: 0, tab: "outline", example: null, hits: new Map() };
const VIEWS = ["outline", "map", "examples"];

// Everything that shows the selection follows; an example stays only while its theorem is selected.
function select(id, example = null) {
  state.selected = id;
  state.example = example;
  if (reveal(id) || !rows.has(id)) drawOutline();
  const path = pathTo(id);
  markOutline(path);
  markMap(path);
  markRollouts(nodes[id]);
  markExamples();
  showHits();
  drawDetails();
  history.replaceState(null, "", example === null ? `#node-${id}` : `#example-${example}`);
}

// To a node from elsewhere on the page.
function go(id) {
  if (state.tab === "examples") show("outline");
  select(id);
}

function pickExample(number) {
  select(data.examples[number].theorem_node, number);
}

function show(tab) {
  state.tab = tab;
  for (const name of VIEWS) {
    at(`${name}-view`).hidden = name !== tab;
    at(`tab-${name}`).setAttribute("aria-selected", name === tab);
  }
  if (tab === "map" && !dots.size) drawMap();
  at("open-all").hidden = at("close-all").hidden = tab !== "outline";
  if (tab === "examples" && state.example === null && data.examples.length) pickExample(0);
  else select(state.selected, state.example);
  at(tab).focus({ preventScroll: true });
}

function drawHead() {
  const held = nodes.filter((node) => node.reward !== null);
  const ends = data.rollouts.filter((end) => isRight(nodes[end])).length;
  const kinds = (kind) => nodes.filter((node) => node.kind === kind).length;
  const found = Object.values(data.found).flat();
  if (judged) at("verdict").append(ends ? badge("✓ solved", "good") : badge("✗ not solved", "bad"));
  else at("verdict").append(badge("no known answer"));
  const facts = [
    judged && el("span", {}, "known answer ", el("b", { class: "id" }, shown(gold))),
    `${ends} of ${plural(data.rollouts.length, "rollout")} right`,
    plural(nodes.length, "node"),
    plural(held.length, "answer"),
    plural(kinds("query"), "query", "queries"),
    found.length > 0 && `retrieved: ${tally(found)}`,
    data.rollouts.length < data.rules.rollouts && `unfinished: ${data.rollouts.length} of ${data.rules.rollouts} rollouts`,
  ];
  at("facts").append(...facts.filter(Boolean).map((fact) => el("span", {}, fact)));
  const { index, previous, next } = data.links;
  at("links").append(...[index && link(index, { title: "All problems" }, "☰ all"), previous && link(previous, { title: "The problem before", rel: "prev" }, "‹"), next && link(next, { title: "The problem after", rel: "next" }, "›")].filter(Boolean));
}

function drawRollouts() {
  if (!data.rollouts.length) return;
  const one = (end, number) => {
    const said = verdict(nodes[end]);
    const words = `Rollout ${number + 1} ended at #${end}: ${[answerOf(nodes[end]), said?.word].filter(Boolean).join(", ")}`;
    return el("button", { type: "button", class: said?.kind || "", title: words, "aria-label": words, onclick: () => go(end) }, String(number + 1));
  };
  at("rollouts").append("rollouts ", ...data.rollouts.map(one));
}

function markRollouts(node) {
  at("rollouts").querySelectorAll("button").forEach((made, number) => made.classList.toggle("passes", node.parent !== null && node.through.includes(number)));
}

function drawExamples() {
  at("tab-examples").append(` ${data.examples.length}`);
  const kinds = [...new Set(data.examples.map((each) => each.kind))];
  const one = (each) =>
    el(
      "div",
      { class: "example", role: "option", id: `example-${each.number}`, "aria-selected": "false", onclick: () => pickExample(each.number), ondblclick: () => go(each.theorem_node) },
      el("span", { class: "excerpt" }, oneLine(each.query, 400)),
      el("span", { class: "count" }, `theorem #${each.theorem_node} · ${plural(each.negatives.length, "negative")}`),
    );
  const none = "No examples: either none were made of this tree, or the page was made without a file of examples.";
  at("examples").append(...(data.examples.length ? kinds.flatMap((kind) => [el("h3", {}, kind || "no kind"), ...data.examples.filter((each) => each.kind === kind).map(one)]) : [el("p", { class: "none" }, none)]));
}

function markExamples() {
  for (const row of at("examples").querySelectorAll("[role='option']")) {
    const picked = row.id === `example-${state.example}`;
    row.setAttribute("aria-selected", picked);
    if (picked && state.tab === "examples") row.scrollIntoView({ block: "nearest" });
  }
}

const listed = () => [...at("examples").querySelectorAll("[role='option']")].map((row) => Number(row.id.slice(8)));
const otherExample = (by) => {
  const next = listed()[listed().indexOf(state.example) + by];
  if (next !== undefined) pickExample(next);
};
const exampleKeys = {
  ArrowDown: () => otherExample(1),
  ArrowUp: () => otherExample(-1),
  Home: () => listed().length && pickExample(listed()[0]),
  End: () => listed().length && pickExample(listed().at(-1)),
  Enter: () => go(state.selected),
};

function searchFor(text) {
  pattern = patternOf(text);
  const found = pattern ? below(0).filter((node) => matches(words(node))) : [];
  state.hits = new Map(found.map((node, place) => [node.id, place + 1])); // in the order of the outline
  for (const made of [rows, dots]) for (const [id, mark] of made) mark.classList.toggle("hit", state.hits.has(id));
  showHits();
}

function showHits() {
  at("found").textContent = pattern ? `${state.hits.get(state.selected) ?? "–"} / ${state.hits.size}` : "";
}

// To the next node that is `wanted` in the order of the outline, and round.
function nextOf(wanted, by) {
  const order = below(0);
  const here = order.findIndex((node) => node.id === state.selected);
  const round = [...order.slice(here + 1), ...order.slice(0, here + 1)];
  const next = by > 0 ? round.find(wanted) : round.slice(0, -1).findLast(wanted);
  if (next) go(next.id);
}

const isHit = (node) => state.hits.has(node.id);

const KEYS = [
  [["ArrowUp", "ArrowDown"], "step before, step after", (key) => move(key)],
  [["ArrowRight", "ArrowLeft"], "open or go down, close or go up", (key) => move(key)],
  [["Home", "End"], "first, last", (key) => move(key)],
  [["Enter"], "open or close a node; from an example to its theorem", (key) => move(key)],
  [["/"], "search; Enter and Shift+Enter go through the hits", () => at("search").select()],
  [["n", "N"], "next hit, hit before", (key) => nextOf(isHit, key === "n" ? 1 : -1)],
  [["r", "R"], "next right answer, right answer before", (key) => nextOf(isRight, key === "r" ? 1 : -1)],
  [["1", "2", "3"], "outline, map, examples", (key) => show(VIEWS[key - 1])],
  [["+", "-"], "open all, close all", (key) => openAll(key === "+")],
  [["q"], "the whole question, or its first lines", unfold],
  [["t"], "light or dark", changeTheme],
  [["Escape"], "leave the search", () => endSearch()],
  [["?"], "these keys", () => at("keys").showModal()],
];

const move = (key) => ({ outline: outlineKeys, map: mapKeys, examples: exampleKeys })[state.tab][key]?.();

function endSearch() {
  at("search").value = "";
  searchFor("");
  drawDetails();
  at(state.tab).focus({ preventScroll: true });
}

// Fields, links, and what scrolls (the details, a long question) keep the keys that mean something there.
function busy(event) {
  const inside = event.target;
  if (inside.id === "search") return true;
  if (inside.closest("button, a, summary") && ["Enter", " "].includes(event.key)) return true;
  return inside.closest("#details, #question") && (event.key.startsWith("Arrow") || ["Home", "End", "Enter"].includes(event.key));
}

function searchKeys(event) {
  if (event.key === "Enter" && !event.isComposing) nextOf(isHit, event.shiftKey ? -1 : 1);
  else if (event.key === "Escape") endSearch();
  else return;
  event.preventDefault();
}

// At first the outline shows the way to the first right answer, and a small tree whole.
function openFirst() {
  if (nodes.length <= 60) nodes.forEach((node) => opened.add(node.id));
  const first = data.rollouts.find((end) => isRight(nodes[end])) ?? data.rollouts[0];
  if (first !== undefined) reveal(first);
}

function fromAddress(address) {
  const [, kind, number] = /^#(node|example)-(\d+)$/.exec(address) || [];
  if (kind === "node" && nodes[number]) go(Number(number));
  else if (kind === "example" && data.examples[number]) pickExample(Number(number));
  else select(0);
}

function start() {
  startTheme();
  drawHead();
  drawQuestion();
  drawRollouts();
  drawExamples();
  startKeys(KEYS, busy);
  for (const name of VIEWS) at(`tab-${name}`).addEventListener("click", () => show(name));
  at("open-all").addEventListener("click", () => openAll(true));
  at("close-all").addEventListener("click", () => openAll(false));
  at("search").addEventListener("input", () => (searchFor(at("search").value), drawDetails()));
  at("search").addEventListener("keydown", searchKeys);
  const { hash } = location; // every selection writes it
  openFirst();
  drawOutline();
  show("outline");
  fromAddress(hash);
  addEventListener("hashchange", () => fromAddress(location.hash));
}

start();
