"""Forms are filled in one pass and leave texts alone."""

import pytest

from rader_ir.prompts import fields, fill


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
