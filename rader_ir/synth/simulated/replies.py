"""What the simulated solver writes: one function for each task, right or wrong as its skill has it.

Nothing here is a language model. A solution that needs a theorem comes out right for the most part only where the prompt shows
that theorem; queries, judgements and sentences are put together from the corpus's own words, and spoilt at rates that are given.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from rader_ir.synth.simulated.kinds import same, written
from rader_ir.synth.simulated.scene import Scene
from rader_ir.synth.simulated.theorems import Theorem, near_misses, theorems

UNKNOWN = "This is a simulated solver. It knows the problems and the theorems of the demo only, and no other prompt."
_NO_THEOREM = "No theorem is needed here; plain arithmetic will do."
_READY, _NOT_READY = 0.4, 0.1  # how likely a thought finishes, where the way is clear and where it is not
_BLOCKS = (1, 1, 1, 2, 2, 3)  # theorems that a query names
_LABEL = re.compile(r"^\W*theorem\W*:", re.I | re.M)
_LONG_QUERY, _LONG_SUMMARY = 25, 40  # words that are taken of a document that is not of the demo


@dataclass(frozen=True)
class Skill:
    """How well the solver does; all are probabilities from 0 to 1.

    Attributes:
        right_with: an answer is right when the theorem that the question needs is in the prompt.
        right_without: it is right although that theorem is not there.
        right_plain: it is right when the question needs none.
        p_query: a query is for the theorem that is needed, or says that none is; else it is for a near miss.
        p_reflect: a judgement of the theorem that is needed is right, that is, keeps it.
        p_reject: a judgement of any other theorem is right. A tree has some forty of these for each of the former, so even a
            small share of errors here puts theorems of no use among the positives.
        p_judge: a judgement of an answer is right.
        p_general: a general query does without the theorem's name.
        p_lexical: a lexical query uses the theorem's terms; else it is too vague to find it.
        messy: a reply that can be read is formatted carelessly: Markdown, other capitals, no JSON.
        malformed: a reply cannot be read, or holds no answer.

    Raises:
        ValueError: a number that is no probability.
    """

    right_with: float = 0.95
    right_without: float = 0.1
    right_plain: float = 0.95
    p_query: float = 0.9
    p_reflect: float = 0.95
    p_reject: float = 0.999
    p_judge: float = 0.99
    p_general: float = 0.85
    p_lexical: float = 0.95
    messy: float = 0.1
    malformed: float = 0.0

    def __post_init__(self):
        for each in fields(self):
            if not 0 <= getattr(self, each.name) <= 1:
                raise ValueError(f"{each.name} is {getattr(self, each.name)!r}; give a probability from 0 to 1")


def reply(body: Mapping[str, Any], skill: Skill) -> tuple[str | None, str]:
    """(the task that a request's body sets, the text of the reply); the task is None, and the text says so, if it is unknown.

    The reply is a function of messages, seed, schema, and of whether the temperature is 0, which leaves the seed out of account.
    """
    scene = Scene.of(body)
    write = _WRITERS.get(scene.task)
    if write is None or (scene.posed is None and scene.task not in ("summary", "lexical query")):
        return None, UNKNOWN
    if scene.chance.happens(skill.malformed):
        return scene.task, scene.chance.choice(_MALFORMED[scene.task])
    return scene.task, write(scene, skill)


def _boxed_answer(scene: Scene, skill: Skill) -> str:
    """An answer in a box, right as often as the skill has it."""
    able = skill.right_with if scene.helped else skill.right_without
    right = scene.chance.happens(able if scene.needed else skill.right_plain)
    posed = scene.posed
    answer = posed.answer if right else posed.template.kind.wrong(posed.values, scene.chance)
    return rf"\boxed{{{written(answer, scene.chance)}}}"


def _by_the_theorem(theorem: Theorem) -> str:
    return f"By what is known as {theorem.name}, {theorem.plain}"


def _thought(scene: Scene, skill: Skill) -> str:
    """The next step that is not there yet: what is given, what is sought, the theorem; or the end, with the answer."""
    given, goal = scene.posed.filled(scene.posed.template.given), scene.posed.template.goal
    steps = {
        given: scene.chance.choice([f"First I note what is given: {given}.", f"The facts are these: {given}."]),
        goal: scene.chance.choice([f"What is wanted is {goal}.", f"So I look for {goal}."]),
    }
    if scene.helped:
        steps[_by_the_theorem(scene.needed)] = _by_the_theorem(scene.needed) + "; I apply this to the numbers."
    left = [step for said, step in steps.items() if said not in scene.plain]
    ready = scene.helped or scene.needed is None
    if not left or scene.chance.happens(_READY if ready else _NOT_READY):
        return f"Putting in the numbers, I find that the answer is ${_boxed_answer(scene, skill)}$."
    return scene.chance.choice(left)


def _solution(scene: Scene, skill: Skill) -> str:
    posed = scene.posed
    way = f"{_by_the_theorem(scene.needed)}." if scene.helped else "I compute step by step."
    if scene.needed and not scene.helped:
        way = "I know no theorem for this, so I estimate."
    return f"We are after {posed.template.goal}.\n{way}\nWith the numbers put in, the answer is ${_boxed_answer(scene, skill)}$."


def _query(scene: Scene, skill: Skill) -> str:
    """Blocks for the theorem that is needed and is not there yet, first, and for near misses; or for these alone."""
    chance, needed = scene.chance, scene.needed
    if needed is None and chance.happens(skill.p_query):
        return _NO_THEOREM
    others = [theorem for theorem in (near_misses(needed.id) if needed else theorems().values()) if theorem.near]
    wanted = [needed] if needed and not scene.helped and chance.happens(skill.p_query) else []
    first = chance.number(0, len(others) - 1)
    wanted += [*others[first:], *others[:first]][: chance.choice(_BLOCKS) - len(wanted)]
    messy = chance.happens(skill.messy)
    return "\n\n".join(_block(number, theorem, scene, messy) for number, theorem in enumerate(wanted, start=1))


def _block(number: int, theorem: Theorem, scene: Scene, messy: bool) -> str:
    fields_ = {
        f"Theorem {number}": theorem.asked_name,
        "Theorem Name": theorem.asked_name,
        "Theorem Statement": scene.chance.choice(theorem.asked),
        "Preconditions": theorem.preconditions,
        "Why Preconditions are Satisfied": theorem.why,
        "Subject": theorem.subject,
    }
    style = scene.chance.choice(["**{}:** {}", "{}: {}"]) if messy else "{}: {}"
    names = {name: name.capitalize() if messy else name for name in fields_}
    return "\n".join(style.format(names[name], value) for name, value in fields_.items())


def _summary(scene: Scene, skill: Skill) -> str:
    if scene.subject:
        return scene.subject.summary
    return f"Statement - {_unknown_document(scene, _LONG_SUMMARY)}"


def _reflection(scene: Scene, skill: Skill) -> str:
    relevant = scene.needed is not None and scene.subject == scene.needed
    goal = scene.posed.template.goal
    right = scene.chance.happens(skill.p_reflect if relevant else skill.p_reject)
    verdict = relevant if right else not relevant
    about = scene.subject.name if scene.subject else "something else"
    reason = f"It leads to {goal}." if verdict else f"It is about {about}, and what is wanted is {goal}."
    if not scene.chance.happens(skill.messy):
        return scene.json(verdict, reason, "relevant")
    label = str(verdict)
    careless = [f"Relevant: {label}\nReason: {reason}", f"**{label}**\nReason: {reason}", label]
    return scene.chance.choice([*careless, f"```json\n{scene.json(verdict, reason, 'relevant')}\n```"])


def _judge(scene: Scene, skill: Skill) -> str:
    answer = scene.answer_to_mark()
    right = answer is not None and same(answer, scene.posed.answer)
    verdict = right if scene.chance.happens(skill.p_judge) else not right
    return scene.json(verdict, "judged by the value", "equal") if scene.schema else str(verdict)


def _general_query(scene: Scene, skill: Skill) -> str:
    theorem, posed = scene.subject or scene.needed, scene.posed
    plain = f"What general result yields {posed.template.goal}?"
    if theorem is None:
        query = plain
    elif not scene.chance.happens(skill.p_general):
        query = f"How is the statement called {theorem.name} used here?"
    else:
        query = scene.chance.choice(theorem.general) if theorem.general else plain
    conditions = theorem.preconditions if theorem else "none beyond what is given."
    why = theorem.why if theorem else "The question says so."
    return f"Preconditions: {conditions}\nWhy they hold: {why}\nQuery: {query}"


def _lexical_query(scene: Scene, skill: Skill) -> str:
    theorem = scene.subject
    if not scene.chance.happens(skill.p_lexical):
        return "Query: Which known result says something of this sort?"
    if theorem is None:
        return f"Query: What follows from this: {_unknown_document(scene, _LONG_QUERY)}?"
    said = scene.chance.choice([theorem.plain, *theorem.asked]).rstrip(".")
    return f"Query: What is known about {theorem.asked_name}: {said}?"


def _unknown_document(scene: Scene, words: int) -> str:
    """Words of a document that is not of the demo: what stands below the prompt's last label of a theorem."""
    return " ".join(_LABEL.split(scene.text)[-1].split()[:words])


_WRITERS: dict[str | None, Callable[[Scene, Skill], str]] = {
    "thought": _thought,
    "solution": _solution,
    "query": _query,
    "summary": _summary,
    "reflection": _reflection,
    "judge": _judge,
    "general query": _general_query,
    "lexical query": _lexical_query,
}
_NOTHING, _EVASIVE = " ", "It depends on how one looks at it."
_CUT_JSON = '{"rea'
_CONTRADICTION = '{"relevant": true, "reason": "it helps"}\n{"relevant": false, "reason": "it does not help"}'
_MALFORMED = {
    "thought": (_NOTHING,),
    "solution": (_NOTHING, _EVASIVE, r"So we get \boxed{", r"So we get \boxed{}"),
    "query": (_NOTHING, _EVASIVE, "Theorem 1:\nTheorem Name:\nTheorem Statement:"),
    "summary": (_NOTHING,),
    "reflection": (_NOTHING, _EVASIVE, _CUT_JSON, _CONTRADICTION),
    "judge": (_NOTHING, _EVASIVE, _CUT_JSON),
    "general query": (_NOTHING, "Preconditions: those of the theorem.", "Query:"),
    "lexical query": (_NOTHING, "Query:"),
}
