// The tree as the file has it, and what follows from it: children, depths, the rollouts through a node, its verdict.

const nodes = data.nodes.map((row, id) => ({
  ...row,
  content: typeof row.content === "string" ? { text: row.content } : row.content,
  id,
  depth: 0,
  children: [],
  through: [],
}));
for (const node of nodes.slice(1)) {
  node.depth = nodes[node.parent].depth + 1;
  nodes[node.parent].children.push(node.id);
}
data.rollouts.forEach((end, number) => pathTo(end).forEach((node) => node.through.push(number)));
const gold = data.problem.answer;
const judged = gold !== null && gold !== undefined;

const examplesAt = new Map(); // by theorem node
data.examples.forEach((example, number) => {
  example.number = number;
  examplesAt.set(example.theorem_node, [...(examplesAt.get(example.theorem_node) || []), example]);
});

function pathTo(id) {
  const path = [];
  for (let up = id; up !== null; up = nodes[up].parent) path.unshift(nodes[up]);
  return path;
}

function below(id) {
  const found = [];
  const left = [id];
  while (left.length) {
    const node = nodes[left.pop()];
    found.push(node);
    left.push(...node.children.slice().reverse());
  }
  return found;
}

const textOf = (node) => String(node.content.text ?? "");
const answerOf = (node) => (node.content.answer === undefined || node.content.answer === null ? null : shown(node.content.answer));
const mean = (node) => (node.visits ? node.value / node.visits : null);
const isRight = (node) => judged && node.reward !== null && node.reward >= 1;
const foundAt = (node) => data.found[node.id] || [];

// What is to be said of the answer that a node holds, and of an end without one: {word, sign, kind}, or null.
function verdict(node) {
  if (node.reward === null) {
    if (!node.terminal) return null;
    return { word: node.expanded ? "dead end" : "last depth, no answer", sign: "–", kind: "" };
  }
  if (!judged) return { word: `agreement ${rounded(node.reward)}`, sign: "≈", kind: "" };
  if (isRight(node)) return { word: "right", sign: "✓", kind: "good" };
  const unboxed = data.rules.variant === "code" && node.reward === 0;
  return { word: unboxed ? "no answer in a box" : "wrong", sign: "✗", kind: "bad" };
}

function excerpt(node) {
  const { name, doc_id } = node.content;
  if (node.kind === "query" && name) return [oneLine(String(name)), el("span", { class: "muted" }, ` ${oneLine(String(node.content.statement || ""))}`)];
  if (node.kind === "theorem") return [oneLine(textOf(node)) || el("span", { class: "id" }, doc_id)];
  return oneLine(textOf(node)) || el("span", { class: "muted" }, "no text");
}

// All that the search reads of a node.
function words(node) {
  const own = Object.entries(node.content).map(([name, value]) => (value === null || name === "rewards" ? "" : shown(value)));
  const found = foundAt(node).flatMap((each) => [each.doc_id, each.verdict, each.summary, each.reason]);
  return [`#${node.id}`, node.kind, ...own, ...found].join("\n");
}
