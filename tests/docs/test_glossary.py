"""The glossary holds, and what looks after it finds what it should."""

from __future__ import annotations

import pytest

from tests.docs import glossary


def test_code_and_documents_keep_to_the_glossary() -> None:
    found = [str(one) for one in glossary.offences()]
    assert not found, "\n".join(found)


def test_every_idea_has_one_row() -> None:
    terms = [term for term, _ in glossary.rows(glossary.GLOSSARY.read_text("utf-8"))]
    assert len(terms) > 40
    assert len(set(terms)) == len(terms)


@pytest.mark.parametrize(
    "text", ["fence", "the Fence", "_fence", "aFence", "FENCE_PORT", "fences", "fence.py", "fenceFor"]
)
def test_a_word_is_found_in_texts_and_names(text: str) -> None:
    assert glossary.pattern("fence").search(text)


@pytest.mark.parametrize("text", ["defence", "fencing", "DEFENCES", "offence", "fenced"])
def test_a_word_is_not_found_inside_another_one(text: str) -> None:
    assert not glossary.pattern("fence").search(text)


@pytest.mark.parametrize(
    "text", ["held back", "held\n    # back", 'held "\n  "back', "held_back", "heldBack"]
)
def test_a_phrase_is_found_however_it_is_broken(text: str) -> None:
    assert glossary.pattern("held back").search(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"fence": 1}', False),
        ('{"fence_port": 1}', False),
        ("the `fence`", False),
        ('"a fence"', True),
        ("label: 'held back'", True),
    ],
)
def test_fields_of_data_keep_their_names(text: str, found: bool) -> None:
    matches = [
        match for phrase in ("fence", "held back") for match in glossary.pattern(phrase).finditer(text)
    ]
    assert [not glossary.is_name_of_data(text, match) for match in matches] == [found]


def test_a_star_stands_for_any_ending() -> None:
    assert glossary.pattern("recognis*").search("unless it recognises them")
    assert not glossary.pattern("recognis*").search("recognition")
