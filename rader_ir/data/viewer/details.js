// The right side: all that is known of the selected node, or of the selected example, and the path to it.

function drawDetails() {
  const node = nodes[state.selected];
  const example = state.example === null ? null : data.examples[state.example];
  at("details").replaceChildren(
    ...[example && exampleBox(example, true), title(node), numbers(node), ...SECTIONS[node.kind](node), path(node), examplesOf(node)]
      .flat(Infinity)
      .filter(Boolean),
  );
  at("details").scrollTop = 0;
}

const SECTIONS = {
  question: (node) => [el("div", { class: "prose" }, prose(textOf(node))), answers(), lookups(node), setting()],
  thought: (node) => [el("div", { class: "prose box" }, prose(textOf(node))), versus(node), others(node), lookups(node)],
  solution: (node) => [versus(node), samples(node), others(node), el("h3", {}, "Solution"), el("div", { class: "prose box" }, prose(textOf(node)))],
  query: (node) => [queryFields(node), lookups(node)],
  theorem: (node) => [theoremText(node), rightBelow(node)],
};

function title(node) {
  const said = verdict(node);
  return el(
    "div",
    { class: "title" },
    el("span", { class: `kind ${node.kind}` }, node.kind),
    el("span", { class: "id muted" }, `#${node.id}`),
    node.kind === "theorem" && el("span", { class: "id" }, marked(node.content.doc_id)),
    said && badge(`${said.sign} ${said.word}`, said.kind),
  );
}

function numbers(node) {
  const value = mean(node);
  const facts = {
    visits: node.visits,
    "mean reward": value === null ? "–" : rounded(value),
    "sum of rewards": rounded(node.value),
    reward: node.reward === null ? "–" : rounded(node.reward),
    "made in rollout": node.parent === null ? "–" : node.rollout + 1,
    depth: node.depth,
  };
  if (node.kind === "theorem" && typeof node.content.score === "number") facts["retriever's score"] = rounded(node.content.score);
  return [
    el("div", { class: "numbers" }, Object.entries(facts).map(([name, fact]) => el("div", {}, el("b", {}, String(fact)), el("span", {}, name)))),
    node.through.length > 0 && node.parent !== null && el("p", { class: "muted" }, `Rollouts through it: ${node.through.map((number) => number + 1).join(", ")}`),
  ];
}

function versus(node) {
  const said = verdict(node);
  if (node.reward === null) return null;
  return el(
    "dl",
    { class: "box versus" },
    el("div", {}, el("dt", {}, "Answer found"), el("dd", {}, answerOf(node) === null ? "none" : marked(answerOf(node)))),
    el("div", {}, el("dt", {}, "Known answer"), el("dd", {}, judged ? marked(shown(gold)) : "none")),
    badge(`${said.sign} ${said.word}`, said.kind),
  );
}

// What else the search noted of an answer, such as the word of a judge.
function others(node) {
  const more = Object.entries(node.content).filter(([name]) => !["text", "answer", "rewards"].includes(name));
  return more.length > 0 && el("dl", { class: "facts" }, more.map(([name, value]) => [el("dt", {}, name), el("dd", { class: "prose" }, prose(shown(value)))]));
}

function samples(node) {
  const rewards = node.content.rewards;
  if (!Array.isArray(rewards) || rewards.length < 2) return null;
  const chips = rewards.map((reward) => [badge(rounded(reward), judged ? (reward >= 1 ? "good" : "bad") : ""), " "]);
  return el("p", {}, el("span", { class: "muted" }, `Rewards of its ${rewards.length} samples, of which the best is shown: `), chips);
}

function answers() {
  const held = nodes.filter((node) => node.reward !== null);
  if (!held.length) return null;
  const right = held.filter(isRight).length;
  const counted = new Map();
  for (const node of held) counted.set(answerOf(node) ?? "none", [...(counted.get(answerOf(node) ?? "none") || []), node]);
  const sorted = [...counted].sort((a, b) => b[1].length - a[1].length);
  return [
    el("h3", {}, "Answers in the tree"),
    judged && el("p", {}, `Known answer: `, el("b", { class: "id" }, marked(shown(gold))), ` · ${right} of ${plural(held.length, "answer")} right`),
    el("p", {}, sorted.slice(0, 20).map(([answer, those]) => [
      el("button", { type: "button", class: `badge ${verdict(those[0]).kind}`, title: "Go to the first", onclick: () => go(those[0].id) }, `${oneLine(answer, 40)} × ${those.length}`), " "])),
  ];
}

function queryFields(node) {
  const { text, name, statement, preconditions, why, subject } = node.content;
  const fields = { Theorem: name, Statement: statement, Preconditions: preconditions, "Why they hold": why, Subject: subject };
  return [
    el("dl", { class: "facts" }, Object.entries(fields).filter(([, value]) => value).map(([label, value]) => [el("dt", {}, label), el("dd", { class: "prose" }, prose(shown(value)))])),
    el("details", { open: !name }, el("summary", {}, "Searched for"), el("div", { class: "prose" }, prose(String(text ?? "")))),
  ];
}

const VERDICTS = {
  kept: "✓ kept",
  rejected: "✕ rejected",
  used: "↺ on the path already",
  failed: "! no judgement",
};

function lookups(node) {
  const found = foundAt(node);
  if (!found.length) return node.kind === "query" && el("p", { class: "none" }, node.expanded ? "The lookup found nothing." : "No rollout came here, so nothing was looked up.");
  return [el("h3", {}, `Retrieved: ${tally(found)}`), found.map((each, rank) => lookup(node, each, rank + 1))];
}

function tally(found) {
  const counts = Object.keys(VERDICTS).map((name) => [found.filter((each) => each.verdict === name).length, name]);
  return counts.filter(([n]) => n).map(([n, name]) => `${n} ${name}`).join(", ");
}

function lookup(node, each, rank) {
  const child = node.children.find((id) => nodes[id].kind === "theorem" && nodes[id].content.doc_id === each.doc_id);
  return el(
    "div",
    { class: `lookup ${each.verdict}` },
    el(
      "div",
      { class: "top" },
      el("span", { class: "muted" }, `${rank}.`),
      el("span", { class: "id" }, marked(each.doc_id)),
      badge(VERDICTS[each.verdict], each.verdict),
      el("span", { class: "muted" }, `score ${rounded(each.score)}`),
      child !== undefined && el("button", { type: "button", class: "link", onclick: () => go(child) }, `theorem #${child}`),
    ),
    each.summary && el("div", { class: "prose" }, prose(each.summary)),
    each.reason && el("div", { class: "prose why" }, marked(each.reason)),
    original(each.doc_id),
  );
}

const original = (doc_id) => doc_id in data.documents && el("details", {}, el("summary", {}, "The document's own text"), el("div", { class: "prose" }, prose(data.documents[doc_id])));

function theoremText(node) {
  return [
    el("div", { class: "prose box" }, prose(textOf(node))),
    node.content.reason && el("div", { class: "lookup kept" }, el("div", { class: "prose why" }, marked(String(node.content.reason)))),
    original(node.content.doc_id),
  ];
}

function rightBelow(node) {
  const right = below(node.id).filter(isRight).sort((a, b) => a.id - b.id);
  if (!right.length) return judged && el("p", { class: "muted" }, "No right answer below it.");
  return el("p", {}, el("span", { class: "muted" }, "Right answers below it: "), right.slice(0, 30).map((each) => [jump(each), " "]), right.length > 30 && `and ${right.length - 30} more`);
}

const jump = (node) => el("button", { type: "button", class: "link", onclick: () => go(node.id) }, `#${node.id}`);

function path(node) {
  const steps = pathTo(node.id).slice(0, -1);
  if (!steps.length) return null;
  const step = (each) => el("li", { class: "here" }, el("button", { type: "button", class: `link kind ${each.kind}`, title: `#${each.id}`, onclick: () => go(each.id) }, each.kind), el("div", { class: "prose" }, prose(textOf(each))));
  return [el("h3", {}, "Path to here"), el("ol", { class: "path" }, steps.map(step))];
}

function examplesOf(node) {
  const made = data.examples.filter((each) => each.number !== state.example && (each.theorem_node === node.id || each.query_node === node.id));
  return made.length > 0 && [el("h3", {}, `${plural(made.length, "training example")} made here`), made.map((each) => exampleBox(each, false))];
}

function exampleBox(example, picked) {
  const passages = (ids, word) => ids.length > 0 && el("details", {}, el("summary", {}, plural(ids.length, word)), ids.map((id) => el("div", {}, el("span", { class: "id" }, marked(id)), el("div", { class: "prose" }, prose(data.documents[id])))));
  return el(
    "div",
    { class: "box" },
    el("div", { class: "title" }, el("span", { class: "kind" }, picked ? `example: ${example.kind || "no kind"}` : example.kind || "no kind"), el("span", { class: "id muted" }, marked(example.query_id))),
    el("div", { class: "prose" }, prose(example.query)),
    passages(example.positives, "positive"),
    passages(example.negatives, "negative"),
    el("p", { class: "muted" }, "Path: ", [...new Set([0, example.query_node, example.theorem_node])].filter((id) => id !== null).map((id, place) => [place > 0 && " → ", el("button", { type: "button", class: "link", onclick: () => go(id) }, `${nodes[id].kind} #${id}`)])),
  );
}

function setting() {
  const facts = (values) => el("dl", { class: "facts" }, Object.entries(values).map(([name, value]) => [el("dt", {}, name.replaceAll("_", " ")), el("dd", {}, value === null ? "default" : shown(value))]));
  const { gold_documents } = data.problem;
  return [
    gold_documents.length > 0 && [el("h3", {}, "Documents known to help"), el("p", { class: "id" }, gold_documents.join(", "))],
    Object.keys(data.counts).length > 0 && [el("h3", {}, "Events"), facts(data.counts)],
    el("details", {}, el("summary", {}, "How it was searched"), facts({ ...data.about, seed: data.seed, ...data.rules })),
  ];
}
