from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from proxy.watch.vector import (
    CELLS,
    DIMENSIONS,
    MOST,
    Projection,
    basis_of,
    cells,
    counts,
    shipped,
)

SECRET, OTHER = b"a secret of thirty-two bytes, one", b"a secret of thirty-two bytes, two"
TEXTS = (
    "Write a Python function that returns the second largest number of a list.",
    "My parcel says delivered but there is nothing at the door.",
    "How many rolls are left? 14 trays with 12 rolls each, 129 sold.",
)


@pytest.fixture(scope="module")
def project() -> Projection:
    return Projection(SECRET)


def test_a_vector_is_of_the_length_that_profiles_have_room_for(project):
    vector = project(TEXTS[0])
    assert (vector.shape, vector.dtype) == ((DIMENSIONS,), np.float32)


def test_another_key_gives_another_vector(project):
    own, others = project(TEXTS[0]), Projection(OTHER)(TEXTS[0])
    cosine = own @ others / np.linalg.norm(own) / np.linalg.norm(others)
    assert abs(cosine) < 0.5


def test_the_same_key_gives_the_same_vector_in_another_process(project):
    program = (
        "import sys; from proxy.watch.vector import Projection;"
        "sys.stdout.buffer.write(Projection(sys.argv[1].encode())(sys.argv[2]).tobytes())"
    )
    for seed in ("0", "77"):
        told = subprocess.run(
            [sys.executable, "-c", program, SECRET.decode(), TEXTS[0]],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            check=True,
        )
        assert told.stdout == project(TEXTS[0]).tobytes()


def test_the_mean_of_vectors_is_the_vector_of_the_mean_counts(project):
    mean = np.mean([counts(text) for text in TEXTS], axis=0, dtype=np.float32)
    vectors = np.mean([project(text) for text in TEXTS], axis=0)
    np.testing.assert_allclose(project.of_raw(mean), vectors, atol=1e-4)


def test_vectors_are_coordinates_turned_by_the_key(project):
    rows = np.stack([counts(text) for text in TEXTS])
    turned = project.basis(rows) @ project.key
    np.testing.assert_allclose(turned, [project(text) for text in TEXTS], atol=1e-4)


@pytest.mark.parametrize("text", ["", "  \n\t ", "\x00"], ids=["nothing", "spaces", "a zero"])
def test_a_text_without_a_word_has_no_vector(project, text):
    assert not project(text).any()
    assert not counts(text).any()


def test_case_spaces_and_the_digits_of_numbers_make_no_difference():
    assert list(cells("Add  17 and\n4!")) == list(cells("add 99 and 3 !"))


def test_a_word_has_its_cell_wherever_it_stands():
    assert cells("ferry")[0] == cells("the harbour has no ferry")[-1]
    assert cells("ferry,harbour")[2] == cells("harbour")[0]


def test_the_signs_of_a_script_without_spaces_are_words_each():
    assert len(cells("東京都")) == 3
    assert cells("東京都")[0] == cells("東")[0]


@pytest.mark.parametrize(
    "text",
    ["\ud800 alone", "é" * 9_000, "x" * 9_000, "日" * 9_000, "\U0001f600" * 5_000],
    ids=["half a pair", "accents", "one long word", "signs", "faces"],
)
def test_any_text_has_a_vector_of_numbers(project, text):
    assert np.isfinite(project(text)).all()
    assert all(0 <= cell < CELLS for cell in cells(text))


def test_of_a_long_text_the_beginning_is_read(project):
    text = "the harbour " * MOST
    assert project(text + "ferry").tobytes() == project(text).tobytes()


def test_near_texts_have_near_vectors(project):
    one, like, other = (
        project("A baker fills 14 trays with 12 rolls each. How many rolls are there?"),
        project("A grocer fills 31 boxes with 25 pears each. How many pears are there?"),
        project(TEXTS[1]),
    )
    assert np.linalg.norm(one - like) < np.linalg.norm(one - other)


def test_the_shipped_basis_is_read_as_it_is_written():
    basis = shipped()
    assert basis_of(basis.to_bytes()).to_bytes() == basis.to_bytes()
    assert len(basis.to_bytes()) < 300_000


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: b"x" + data[1:], lambda _: b""],
                         ids=["cut", "another file", "empty"])  # fmt: skip
def test_what_is_no_basis_is_refused(change):
    with pytest.raises(ValueError, match="is no basis of words"):
        basis_of(change(shipped().to_bytes()))
