// The question in the head of the page: folded to some lines where it is long, whole at a click or a key.

function drawQuestion() {
  const text = el("p", { id: "question", class: "folded" }, prose(data.problem.question));
  const button = el("button", { type: "button", id: "unfold", class: "link", title: "Whole question, or its first lines (q)", "aria-controls": "question", onclick: unfold });
  at("facts").parentElement.before(text, button);
  new ResizeObserver(markFold).observe(text);
  markFold();
}

const isFolded = () => at("question").classList.contains("folded");
const isCut = () => at("question").scrollHeight > at("question").clientHeight + 1; // heights are rounded

// A whole question that is higher than its place scrolls, with the arrows too; folded again it leaves the keys to the tree.
function unfold() {
  if (isFolded() && !isCut()) return;
  const text = at("question");
  text.classList.toggle("folded");
  text.scrollTop = 0;
  if (!isFolded() && isCut()) {
    text.tabIndex = 0;
    text.focus({ preventScroll: true });
  } else {
    const within = document.activeElement === text;
    text.removeAttribute("tabindex");
    if (within) at(state.tab).focus({ preventScroll: true });
  }
  markFold();
}

function markFold() {
  at("unfold").hidden = isFolded() && !isCut();
  at("unfold").setAttribute("aria-expanded", !isFolded());
  at("unfold").textContent = isFolded() ? "Whole question" : "First lines only";
}
