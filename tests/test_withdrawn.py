"""The lists of withdrawn patients, and the section of params.yaml that must say what they say."""

from __future__ import annotations

import builders
import pytest
import yaml

from glassbox.params import withdrawn
from glassbox.params.document import checked, load
from glassbox.params.read import ParamsError, block
from glassbox.params.withdrawn import Withdrawn
from glassbox.paths import PARAMS


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project with one source, `films`, of which nobody is withdrawn; the working directory."""
    monkeypatch.chdir(tmp_path)
    builders.parameters(builders.document())


def write(content):
    withdrawn.LISTS.mkdir(parents=True, exist_ok=True)
    withdrawn.path("films").write_bytes(content)


def section(value):
    PARAMS.write_text(yaml.safe_dump(builders.document() | {"withdrawn": value}))


def refusal(work):
    with pytest.raises(ParamsError) as refused:
        work()
    return refused.value


def test_a_list_has_an_id_a_line_sorted_and_is_read_as_it_was_written():
    ids = ["9", "10", "IM-7", "Ørsted 3"]
    withdrawn.write("films", ids)
    assert withdrawn.path("films").read_bytes() == "10\n9\nIM-7\nØrsted 3\n".encode()
    assert withdrawn.read("films") == sorted(ids)
    assert withdrawn.read("other") == []


@pytest.mark.parametrize("content", [b"", b"2\n1", b"2\n1\n", b"1\n2\n"])
def test_a_list_may_be_empty_out_of_order_or_without_its_last_line_end(content):
    write(content)
    assert withdrawn.read("films") == (["1", "2"] if content else [])


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"1\n\n2\n", "line 2: '' is no patient's id"),
        (b"1\n2\n\n", "line 3: '' is no patient's id"),
        (b"1\r\n", r"line 1: '1\r' is no patient's id"),
        (b"1\n2\t3\n", r"line 2: '2\t3' is no patient's id"),
        (b"1\n\x1b[2J\n", r"line 2: '\x1b[2J' is no patient's id"),
        (b"1\n 2\n", "line 2: ' 2' is no patient's id"),
        ("1\n2\u20283\n".encode(), r"line 2: '2\u20283' is no patient's id"),
        (b"4\n5\n4\n", "line 3: '4' stands in line 1 already"),
    ],
)
def test_a_line_that_is_no_id_is_refused_by_its_number(content, found):
    write(content)
    error = refusal(lambda: withdrawn.read("films"))
    assert error.found.startswith(f"conf/withdrawn/films.txt, {found}")
    assert refusal(load).found == error.found


def test_a_list_that_is_no_text_is_refused():
    write(b"1\n\xff\n")
    assert refusal(lambda: withdrawn.read("films")).found == "conf/withdrawn/films.txt is no UTF-8: byte 2"


@pytest.mark.parametrize("ids", [[""], ["1\n2"], [" 1"], ["1", "1"]])
def test_what_could_not_be_read_again_is_not_written(ids):
    refusal(lambda: withdrawn.write("films", ids))
    assert not withdrawn.LISTS.exists()


# --- the section -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"films": ["2"]}, "films does not say what conf/withdrawn/films.txt says"),
        ({"films": ["1", "2", "3"]}, "films does not say what conf/withdrawn/films.txt says"),
        ({}, "films is missing"),
        ({"films": ["2", "1"], "gone": []}, "gone is of no source"),
    ],
)
def test_parameters_that_do_not_say_what_the_lists_say_are_refused(value, said):
    write(b"1\n2\n")
    section(value)
    error = refusal(load)
    assert error.found == f"params.yaml: withdrawn.{said}"
    assert "`glassbox use PROFILE`" in error.action
    section({"films": ["2", "1"]})
    assert load().withdrawn == {"films": ("2", "1")}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"films": [12]}, "withdrawn.films.0: found 12; allowed here: string"),
        ({"films": "12"}, "withdrawn.films: found '12'; allowed here: array"),
        ({"films": ["1", ""]}, "withdrawn.films.1: found '': no patient's id"),
        ({"films": ["1", "1"]}, "withdrawn.films: found ['1', '1']: a patient is named twice"),
    ],
)
def test_what_is_no_list_of_ids_is_refused_with_its_place(value, said):
    section(value)
    error = refusal(lambda: block("withdrawn", "films", Withdrawn))
    assert error.found.startswith(f"params.yaml: {said}")
    assert refusal(lambda: checked(yaml.safe_load(PARAMS.read_text()), "params.yaml")).found == error.found
