// The outline: a row for each node whose ancestors are open. A row is made once and kept.

const opened = new Set([0]);
const rows = new Map();

function rowOf(node) {
  if (!rows.has(node.id)) rows.set(node.id, madeRow(node));
  const row = rows.get(node.id);
  if (node.children.length) row.setAttribute("aria-expanded", opened.has(node.id));
  row.classList.toggle("hit", state.hits.has(node.id));
  return row;
}

function madeRow(node) {
  const said = verdict(node);
  const made = examplesAt.get(node.id);
  const value = mean(node);
  return el(
    "div",
    {
      id: `row-${node.id}`,
      class: `row ${node.visits ? "" : "unmet"}`,
      role: "treeitem",
      "aria-level": node.depth + 1,
      "aria-selected": "false",
      "--depth": node.depth,
      onclick: () => select(node.id),
      ondblclick: () => toggle(node.id),
    },
    el(
      "span",
      { class: "step" },
      el("span", { class: "twisty", onclick: (event) => (event.stopPropagation(), toggle(node.id)) }, node.children.length ? "▸" : ""),
      el("span", { class: `kind ${node.kind}` }, node.kind),
      el("span", { class: "excerpt" }, excerpt(node)),
      made && el("span", { class: "made badge warn", title: `${plural(made.length, "example")} made here` }, `◆ ${made.length}`),
    ),
    el("span", { class: `answer ${said?.kind || ""}`, title: said && [answerOf(node), said.word].filter(Boolean).join(": ") }, said && `${said.sign} ${answerOf(node) ?? said.word}`),
    el("span", { class: "visits" }, node.visits ? `${node.visits}` : "–"),
    el("span", { class: "mean" }, value === null ? "–" : el("span", { class: "meter", "--share": Math.max(0, Math.min(1, value)) }, el("i"), el("b", {}, rounded(value)))),
  );
}

function visible() {
  const found = [];
  const left = [0];
  while (left.length) {
    const node = nodes[left.pop()];
    found.push(node);
    if (opened.has(node.id)) left.push(...node.children.slice().reverse());
  }
  return found;
}

function drawOutline() {
  at("outline").replaceChildren(...visible().map(rowOf));
}

// Opens what lies above a node; says whether a row was added.
function reveal(id) {
  const closed = pathTo(id).slice(0, -1).filter((node) => !opened.has(node.id));
  closed.forEach((node) => opened.add(node.id));
  return closed.length > 0;
}

function toggle(id, open = !opened.has(id)) {
  if (!nodes[id].children.length) return;
  if (open) opened.add(id);
  else opened.delete(id);
  if (!open && state.selected !== id && pathTo(state.selected).some((node) => node.id === id)) select(id);
  drawOutline();
}

function openAll(open) {
  opened.clear();
  for (const node of open ? nodes : nodes.slice(0, 1)) opened.add(node.id);
  if (!open) select(pathTo(state.selected)[Math.min(1, nodes[state.selected].depth)].id);
  drawOutline();
  rows.get(state.selected)?.scrollIntoView({ block: "nearest" });
}

function markOutline(path) {
  for (const row of at("outline").querySelectorAll(".on-path, [aria-selected='true']")) {
    row.classList.remove("on-path");
    row.setAttribute("aria-selected", "false");
  }
  for (const node of path) rows.get(node.id)?.classList.add("on-path");
  const row = rows.get(state.selected);
  row.setAttribute("aria-selected", "true");
  at("outline").setAttribute("aria-activedescendant", row.id);
  if (state.tab === "outline") row.scrollIntoView({ block: "nearest" });
}

const outlineKeys = {
  ArrowDown: () => step(visible(), 1),
  ArrowUp: () => step(visible(), -1),
  Home: () => select(0),
  End: () => select(visible().at(-1).id),
  ArrowRight: () => {
    const node = nodes[state.selected];
    if (!node.children.length) return;
    if (opened.has(node.id)) select(node.children[0]);
    else toggle(node.id);
  },
  ArrowLeft: () => {
    const node = nodes[state.selected];
    if (node.children.length && opened.has(node.id)) toggle(node.id);
    else if (node.parent !== null) select(node.parent);
  },
  Enter: () => toggle(state.selected),
};

function step(list, by) {
  const next = list[list.findIndex((node) => node.id === state.selected) + by];
  if (next) select(next.id);
}
