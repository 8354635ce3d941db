// The list of all problems: totals, a table that sorts and filters, a way into each page.

const COLUMNS = [
  ["problem", "id", (row) => row.problem_id],
  ["question", "text", (row) => row.question],
  ["answer", "id", (row) => (row.answer === null ? "" : shown(row.answer))],
  ["solved", "", (row) => (row.answer === null ? -1 : row.right_rollouts > 0 ? 1 : 0)],
  ["right rollouts", "number", (row) => row.right_rollouts],
  ["rollouts", "number", (row) => row.rollouts],
  ["nodes", "number", (row) => row.nodes],
  ["kept", "number", (row) => row.found.kept || 0],
  ["rejected", "number", (row) => row.found.rejected || 0],
  ["examples", "number", (row) => made(row)],
];
const state = { sorted: -1, by: 1, picked: 0, list: data.problems };

const made = (row) => Object.values(row.examples).reduce((sum, n) => sum + n, 0);
const total = (value) => data.problems.reduce((sum, row) => sum + value(row), 0);

function drawHead() {
  const kinds = {};
  for (const row of data.problems) for (const [kind, n] of Object.entries(row.examples)) kinds[kind] = (kinds[kind] || 0) + n;
  const list = Object.entries(kinds).sort().map(([kind, n]) => `${n} ${kind || "without a kind"}`);
  const facts = [
    plural(data.problems.length, "problem"),
    `${data.problems.filter((row) => row.answer !== null && row.right_rollouts > 0).length} solved`,
    plural(total((row) => row.rollouts), "rollout"),
    plural(total((row) => row.nodes), "node"),
    `retrieved: ${total((row) => row.found.kept || 0)} kept, ${total((row) => row.found.rejected || 0)} rejected`,
    list.length > 0 && `examples: ${list.join(", ")}`,
  ];
  at("facts").append(...facts.filter(Boolean).map((fact) => el("span", {}, fact)));
  at("columns").append(...COLUMNS.map(([name, kind], place) => el("th", { scope: "col", class: kind }, el("button", { type: "button", onclick: () => sortBy(place) }, name))));
}

function drawRows() {
  at("rows").replaceChildren(...state.list.map(tableRow));
  at("found").textContent = pattern ? `${state.list.length} found` : "";
  pick(0);
}

function tableRow(row) {
  const cells = COLUMNS.map(([name, kind, value]) => {
    if (name === "problem") return el("td", { class: "id" }, link(row.page, {}, marked(row.problem_id)));
    if (name === "question") return el("td", { class: "text" }, el("div", {}, prose(row.question)));
    if (name === "solved") return el("td", {}, solved(row));
    if (name === "rollouts" && row.rollouts < row.wanted) return el("td", { class: kind, title: "unfinished" }, `${row.rollouts} of ${row.wanted}`);
    return el("td", { class: kind }, typeof value(row) === "number" ? String(value(row)) : marked(value(row)));
  });
  return el("tr", { onclick: (event) => event.target.closest("a") || enter(row) }, cells);
}

function solved(row) {
  if (row.answer === null) return badge("no known answer");
  return row.right_rollouts > 0 ? badge("✓ solved", "good") : badge("✗ not solved", "bad");
}

function sortBy(place) {
  const [, kind, value] = COLUMNS[place];
  state.by = state.sorted === place ? -state.by : kind === "number" || !kind ? -1 : 1;
  state.sorted = place;
  [...at("columns").children].forEach((head, here) => (here === place ? head.setAttribute("aria-sort", state.by > 0 ? "ascending" : "descending") : head.removeAttribute("aria-sort")));
  filter();
}

function compared(one, other) {
  const value = COLUMNS[state.sorted][2];
  const [a, b] = [value(one), value(other)];
  return state.by * (typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0);
}

function filter() {
  pattern = patternOf(at("search").value);
  const list = data.problems.filter((row) => !pattern || matches([row.problem_id, row.question, row.answer === null ? "" : shown(row.answer)].join("\n")));
  state.list = state.sorted < 0 ? list : list.toSorted(compared);
  drawRows();
}

function pick(place) {
  if (place < 0 || place >= state.list.length) return;
  state.picked = place;
  at("rows").querySelector(".picked")?.classList.remove("picked");
  at("rows").children[place].classList.add("picked");
  at("rows").children[place].scrollIntoView({ block: "nearest" });
}

const enter = (row) => row && location.assign(`./${encodeURIComponent(row.page)}`);

const KEYS = [
  [["ArrowUp", "ArrowDown"], "problem before, problem after", (key) => pick(state.picked + (key === "ArrowDown" ? 1 : -1))],
  [["Home", "End"], "first, last", (key) => pick(key === "Home" ? 0 : state.list.length - 1)],
  [["Enter"], "open the problem", () => enter(state.list[state.picked])],
  [["/"], "search", () => at("search").select()],
  [["t"], "light or dark", changeTheme],
  [["Escape"], "leave the search", () => endSearch()],
  [["?"], "these keys", () => at("keys").showModal()],
];

function endSearch() {
  at("search").value = "";
  at("search").blur();
  filter();
}

function searchKeys(event) {
  if (event.key === "Escape") endSearch();
  else if (event.key === "Enter" || event.key === "ArrowDown") at("search").blur();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

startTheme();
drawHead();
filter();
at("search").addEventListener("input", filter);
at("search").addEventListener("keydown", searchKeys);
startKeys(KEYS, (event) => event.target.id === "search" || (event.target.closest("a, button") && event.key === "Enter"));
