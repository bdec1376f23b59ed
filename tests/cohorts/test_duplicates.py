import pytest

from glassbox.artifacts import members
from glassbox.cohorts import duplicates

SICK, WELL = "train/PNEUMONIA", "test/NORMAL"


def _groups(project, files):
    project.zip(files)
    return duplicates.groups({member.name: member for member in members.read("films")[0]})


def test_files_of_the_same_bytes_are_one_group_in_the_order_of_the_archive(project):
    files = {"c": b"one", "a": b"two", "b": b"one", "f": b"four", "e": b"two", "d": b"one"}
    assert _groups(project, files) == [["c", "b", "d"], ["a", "e"]]


def test_files_whose_size_and_crc_agree_by_chance_are_none(project):
    # Two of the shortest texts with one CRC-32.
    assert _groups(project, {"a": b"plumless", "b": b"buckeroo"}) == []
    one, other = members.read("films")[0]
    assert (one.size, one.crc) == (other.size, other.crc)


def test_duplicates_stand_in_the_metrics_with_their_images_and_how_many_groups_cross_patients(project):
    project.build(
        "kermany",
        {
            f"{SICK}/person1_virus_1.jpeg": b"one",
            f"{SICK}/person1_virus_2.jpeg": b"one",
            f"{SICK}/person2_virus_3.jpeg": b"two",
            f"{WELL}/IM-0001-0001.jpeg": b"two",
            f"{WELL}/IM-0002-0001.jpeg": b"three",
        },
    )
    assert project.counts()["duplicates"] == {
        "images": 4,
        "groups": 2,
        "of_several_patients": 1,
        "first": [
            [f"{SICK}/person1_virus_1.jpeg", f"{SICK}/person1_virus_2.jpeg"],
            [f"{SICK}/person2_virus_3.jpeg", f"{WELL}/IM-0001-0001.jpeg"],
        ],
    }


def test_a_second_copy_of_the_tree_makes_no_duplicates(project):
    image = f"{SICK}/person1_virus_6.jpeg"
    project.build("kermany", {f"chest_xray/{image}": b"x", f"chest_xray/chest_xray/{image}": b"x"})
    assert project.counts()["duplicates"] == {
        "images": 0,
        "groups": 0,
        "of_several_patients": 0,
        "first": None,
    }


@pytest.mark.parametrize("groups", [10, 12])
def test_ten_groups_at_most_are_named(groups, project):
    files = {
        f"{SICK}/person{number}_virus_{film}.jpeg": b"%d" % number for number in range(groups) for film in (1, 2)
    }
    project.build("kermany", files)
    counts = project.counts()["duplicates"]
    assert (counts["images"], counts["groups"], len(counts["first"])) == (2 * groups, groups, 10)
    assert counts["first"][-1] == [f"{SICK}/person9_virus_{film}.jpeg" for film in (1, 2)]
