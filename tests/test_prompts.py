"""Forms are filled in one pass and leave texts alone; files of prompts are whole or refused by name."""

import json
from pathlib import Path

import pytest

from rader_ir.prompts import HOLES, Prompt, fields, fill, load_prompts


def test_fills_only_the_named_fields_once():
    assert (
        fill("query: {query} document: {document}", query="{document}", document="d") == "query: {document} document: d"
    )


@pytest.mark.parametrize("text", ["{text}", r"\frac{1}{2}", "{", "}{", r"\1 \g<0>", "{unknown} {0}"])
def test_leaves_what_is_put_in_alone(text):
    assert fill("document: {text}", text=text) == f"document: {text}"


def test_leaves_unknown_fields_of_the_form():
    assert fill("{a} {b}", a="1") == "1 {b}"
    assert fields("{a} {b} {A} {1}") == {"a", "b"}


HEADLINES = {  # by section, what the first line of its text says that it is about
    "thought": "Task: thought",
    "solution": "Task: solution",
    "query": "Task: query",
    "summary": "Task: summary",
    "reflection": "Task: reflection",
    "judge": "Task: judge",
    "general_query": "Task: general query",
    "lexical_query": "Task: lexical query",
}


@pytest.mark.parametrize("section", HOLES["synth"])
def test_a_shipped_prompt_says_its_task_and_takes_its_values(section):
    prompt = load_prompts()[section]
    values = {hole: f"<{hole} {{question}}>" for hole in HOLES["synth"][section]}
    (message,) = prompt.messages(values)
    assert message["role"] == "user" and message["content"].splitlines()[0] == HEADLINES[section]
    assert all(message["content"].count(value) == 1 for value in values.values())  # what is put in is not filled again


def test_the_shipped_prompts_are_those_of_the_table():
    assert load_prompts().keys() == HOLES["synth"].keys() == HEADLINES.keys()
    prompts = load_prompts()
    assert [name for name, prompt in prompts.items() if prompt.schema] == ["reflection", "judge"]
    assert json.loads(prompts["reflection"].schema)["required"] == ["relevant", "reason"]
    assert prompts["judge"].temperature == 0.0 and prompts["thought"].temperature is None


def test_the_prompts_of_answering_differ_by_the_documents_alone():
    prompts = load_prompts(name="rag")
    assert prompts.keys() == HOLES["rag"].keys()
    plain, shown = (prompts[name].messages({"question": "<Q {documents}>"})[0]["content"] for name in HOLES["rag"])
    assert plain.count("<Q {documents}>") == shown.count("<Q {documents}>") == 1 and "\\boxed{}" in plain
    said = " Some texts from a library of theorems come first. Use those that help, and pay no attention to the others: there "
    said += "may be none that helps."
    assert shown.replace(said, "").replace("Texts:\n{documents}\n\n", "") == plain


def test_a_system_message_stands_first_and_is_filled_too():
    prompt = Prompt("solve {question}", "so far: {partial}", 5)
    assert prompt.messages({"question": "Q", "partial": "{question}"}) == [
        {"role": "system", "content": "solve Q"},
        {"role": "user", "content": "so far: {question}"},
    ]


def test_a_value_without_a_hole_is_refused():
    with pytest.raises(ValueError, match=r"no hole \{theorem\}"):
        Prompt("", "{question}", 5).messages({"question": "q", "theorem": "t"})


def file_of(tmp_path, **changes) -> Path:
    """The shipped sections as a file of a user's own; a change is a section's whole text, or None to leave it out."""
    sections = {
        name: "max_tokens = 9\nuser = '''" + " ".join(f"{{{hole}}}" for hole in holes) + "'''"
        for name, holes in HOLES["synth"].items()
    } | changes
    path = tmp_path / "own.toml"
    path.write_text("\n".join(f"[{name}]\n{text}" for name, text in sections.items() if text is not None), "utf-8")
    return path


def test_a_users_own_file(tmp_path):
    own = "max_tokens = 7\nstop = ['X']\ntemperature = 1\nsystem = 'be {question}'\nuser = '''\\frac{1}{2} {partial}'''"
    prompts = load_prompts(file_of(tmp_path, thought=own))
    assert prompts["thought"] == Prompt("be {question}", r"\frac{1}{2} {partial}", 7, ("X",), 1)
    assert prompts["summary"] == Prompt("", "{theorem}", 9)


@pytest.mark.parametrize(
    ("section", "text", "told"),
    [
        ("judge", None, r"has no section \[judge\]"),
        ("summary", "user = '''{theorem}'''", r"\[summary\] has no field 'max_tokens'"),
        ("summary", "max_tokens = 5", r"\[summary\] has no field 'user'"),
        ("summary", "max_tokens = 5\nuser = '''the theorem'''", r"\[summary\]: the text lacks the hole \{theorem\}"),
        (
            "query",
            "max_tokens = 5\nuser = '''{question}'''",
            r"lacks the hole \{partial\}; it needs \{question\}, \{partial\}",
        ),
        ("summary", "max_tokens = 0\nuser = '''{theorem}'''", "max_tokens is 0; expected a whole number from 1"),
        ("summary", "max_tokens = true\nuser = '''{theorem}'''", "max_tokens is True"),
        ("summary", "max_tokens = 5\nuser = 7", "user is 7; expected a text that is not blank"),
        ("summary", "max_tokens = 5\nstop = 'x'\nuser = '''{theorem}'''", "stop is 'x'; expected a list of texts"),
        ("summary", "max_tokens = 5\ntemperature = -1\nuser = '''{theorem}'''", "temperature is -1"),
        ("summary", "max_tokens = 5\nschema = '{'\nuser = '''{theorem}'''", "expected a JSON object as text"),
        ("summary", "max_tokens = 5\nmax_token = 5\nuser = '''{theorem}'''", "unknown field 'max_token'"),
        ("summarise", "max_tokens = 5\nuser = '''{theorem}'''", r"section \[summarise\] is unknown"),
        ("summary", "max_tokens = 5\nuser = '''{theorem} \\begin{theorem}'''", r"\\begin\{theorem\} would be filled"),
        ("summary", "max_tokens = = 5", "is no TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_name_and_place(tmp_path, section, text, told):
    path = file_of(tmp_path, **{section: text})
    with pytest.raises(ValueError, match=told) as error:
        load_prompts(path)
    assert str(path) in str(error.value)


def test_a_file_or_a_system_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.toml"):
        load_prompts(tmp_path / "none.toml")
    with pytest.raises(ValueError, match="'rank' has no prompts; choose one of synth"):
        load_prompts(name="rank")
