// The map: the whole tree from left to right, by depth; what rollouts met is drawn larger, the more often the larger.

const dots = new Map();
const edges = new Map();
const NEAR = 9; // pixels from a leaf that no rollout met to the next
const APART = 18; // and from one that was met
const EDGE = 26;

function drawMap() {
  const deepest = Math.max(1, ...nodes.map((node) => node.depth));
  const across = Math.max(70, Math.min(170, (at("map").clientWidth - 2 * EDGE - 90) / deepest));
  const places = placed(across);
  const height = Math.max(...places.map((place) => place.y)) + EDGE;
  const lines = nodes.slice(1).map((node) => edge(node, places[node.parent], places[node.id]));
  const marks = nodes.map((node) => dot(node, places[node.id]));
  const size = { width: EDGE * 2 + across * deepest + 90, height };
  at("map").replaceChildren(legend(), svg("svg", { ...size, viewBox: `0 0 ${size.width} ${size.height}`, role: "img", "aria-label": "The whole tree" }, lines, marks));
}

function placed(across) {
  const places = nodes.map((node) => ({ x: EDGE + across * node.depth, y: 0 }));
  let y = EDGE;
  for (const node of below(0)) {
    if (node.children.length) continue;
    y += node.visits ? APART / 2 : NEAR / 2;
    places[node.id].y = y;
    y += node.visits ? APART / 2 : NEAR / 2;
  }
  for (const node of nodes.slice().reverse()) {
    const ends = [node.children[0], node.children.at(-1)].map((child) => places[child]?.y);
    if (node.children.length) places[node.id].y = (ends[0] + ends[1]) / 2;
  }
  return places;
}

function edge(node, from, to) {
  const middle = (from.x + to.x) / 2;
  const made = svg("path", {
    class: `edge ${node.visits ? "" : "unmet"}`,
    d: `M${from.x} ${from.y}C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`,
    "stroke-width": node.visits ? 1.2 + 5 * Math.sqrt(node.visits / Math.max(1, nodes[0].visits)) : 1,
  });
  edges.set(node.id, made);
  return made;
}

function dot(node, place) {
  const said = verdict(node);
  const radius = node.visits ? 4.5 + 4.5 * Math.sqrt(node.visits / Math.max(1, nodes[0].visits)) : 3.5;
  const made = svg("circle", { class: `dot ${node.kind} ${node.visits ? "" : "unmet"} ${state.hits.has(node.id) ? "hit" : ""}`, cx: place.x, cy: place.y, r: radius, "data-node": node.id });
  dots.set(node.id, made);
  const label = node.visits || isRight(node) ? said && `${said.sign} ${oneLine(answerOf(node) ?? "", 14)}` : null;
  return svg(
    "g",
    { onclick: () => select(node.id) },
    svg("title", {}, `#${node.id} ${node.kind}: ${oneLine(textOf(node), 140)}`),
    made,
    label && svg("text", { x: place.x + Math.max(radius, 9) + 4, y: place.y + 4, class: said.kind || "muted" }, label),
  );
}

function legend() {
  const kinds = ["question", "thought", "query", "theorem", "solution"].filter((kind) => nodes.some((node) => node.kind === kind));
  return el(
    "div",
    { class: "legend" },
    kinds.map((kind) => el("span", { class: `kind ${kind}` }, el("i"), kind)),
    el("span", { class: "muted" }, "larger: more visits; pale: no rollout met it"),
  );
}

function markMap(path) {
  for (const made of at("map").querySelectorAll(".on-path, .picked")) made.classList.remove("on-path", "picked");
  for (const node of path) {
    dots.get(node.id)?.classList.add("on-path");
    edges.get(node.id)?.classList.add("on-path");
  }
  const picked = dots.get(state.selected);
  picked?.classList.add("picked");
  if (state.tab === "map") picked?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

const mapKeys = {
  ArrowRight: () => nodes[state.selected].children.length && select(best(nodes[state.selected].children)),
  ArrowLeft: () => nodes[state.selected].parent !== null && select(nodes[state.selected].parent),
  ArrowDown: () => step(column(), 1),
  ArrowUp: () => step(column(), -1),
  Home: () => select(0),
};

const column = () => below(0).filter((node) => node.depth === nodes[state.selected].depth);
const best = (ids) => ids.reduce((kept, id) => (nodes[id].visits > nodes[kept].visits ? id : kept));
