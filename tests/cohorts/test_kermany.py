import pytest

from glassbox.archives.tables import CatalogError

SICK, WELL = "PNEUMONIA", "NORMAL"


def _patients(project, *names):
    rows = project.tables("kermany", {name: name.encode() for name in names}).rows
    return dict(zip(rows["image_id"], rows["patient_id"], strict=True))


def test_folders_say_what_a_film_shows_and_where_it_belongs(project):
    files = {
        f"chest_xray/{name}": b"x"
        for name in (
            "train/PNEUMONIA/person1_bacteria_1.jpeg",
            "val/NORMAL/NORMAL2-IM-1427-0001.jpeg",
            "test/NORMAL/IM-0001-0001.jpeg",
        )
    }
    rows, images = project.tables("kermany", files)
    assert rows[["image_id", "findings", "official_split"]].to_numpy().tolist() == [
        ["train/PNEUMONIA/person1_bacteria_1.jpeg", ["Pneumonia"], "train"],
        ["val/NORMAL/NORMAL2-IM-1427-0001.jpeg", ["Normal"], "val"],
        ["test/NORMAL/IM-0001-0001.jpeg", ["Normal"], "test"],
    ]
    assert [images[image].name for image in rows["image_id"]] == list(files)


def test_bacteria_and_virus_with_one_number_are_two_patients(project):
    assert _patients(
        project, f"train/{SICK}/person78_bacteria_378.jpeg", f"test/{SICK}/person78_virus_140.jpeg"
    ) == {
        f"train/{SICK}/person78_bacteria_378.jpeg": "bacteria-78",
        f"test/{SICK}/person78_virus_140.jpeg": "virus-78",
    }


def test_films_of_one_patient_stay_with_the_patient(project):
    found = _patients(
        project,
        *(f"train/{SICK}/person23_bacteria_{film}.jpeg" for film in (78, 79, 80)),
        f"train/{SICK}/person1000_virus_1681.jpeg",
        f"train/{SICK}/person1000_virus_1681_2.jpeg",
    )
    assert list(found.values()) == ["bacteria-23"] * 3 + ["virus-1000"] * 2


def test_the_two_series_of_normals_are_numbered_apart(project):
    found = _patients(project, f"train/{WELL}/IM-0439-0001.jpeg", f"train/{WELL}/NORMAL2-IM-0439-0001.jpeg")
    assert list(found.values()) == ["IM-439", "NORMAL2-IM-439"]


def test_a_fourth_field_is_another_film_of_the_same_patient(project):
    found = _patients(
        project,
        *(f"train/{WELL}/{name}.jpeg" for name in ("IM-0439-0001", "IM-0439-0001-0001", "IM-0439-0001-0002")),
        f"train/{WELL}/NORMAL2-IM-0439-0001-0002.jpeg",
    )
    assert list(found.values()) == ["IM-439"] * 3 + ["NORMAL2-IM-439"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_doubled_tree_is_taken_once_from_its_shortest_path(order, project):
    image = f"train/{SICK}/person1_virus_6.jpeg"
    copies = [f"chest_xray/chest_xray/{image}", f"chest_xray/{image}"][::order]
    rows, images = project.tables("kermany", dict.fromkeys(copies, b"x"))
    assert rows["image_id"].tolist() == [image]
    assert images[image].name == f"chest_xray/{image}"


@pytest.mark.parametrize("order", [1, -1])
def test_copies_of_one_image_that_differ_are_refused_with_both(order, project):
    image = f"train/{SICK}/person1_virus_6.jpeg"
    copies = [f"chest_xray/{image}", f"chest_xray/chest_xray/{image}"][::order]
    with pytest.raises(CatalogError) as refusal:
        project.tables("kermany", {copies[0]: b"one", copies[1]: b"two"})
    assert refusal.value.found == (f"the archive has two different images {image!r}: {copies[0]} and {copies[1]}")
    assert refusal.value.expected == "one file an image, or copies of the same bytes"
    assert "make the archive again" in refusal.value.action


def test_one_name_in_two_folders_is_two_images(project):
    names = [f"{fold}/{WELL}/IM-0001-0001.jpeg" for fold in ("train", "test")]
    assert _patients(project, *names) == dict.fromkeys(names, "IM-1")


def test_what_a_desktop_leaves_behind_is_no_image(project):
    image = f"train/{SICK}/person1_virus_6.jpeg"
    found = _patients(
        project,
        f"__MACOSX/chest_xray/train/{SICK}/._person1_virus_6.jpeg",
        f"__MACOSX/chest_xray/train/{SICK}/person2_virus_7.jpeg",
        f"chest_xray/__MACOSX/chest_xray/train/{SICK}/person2_virus_7.jpeg",
        f"chest_xray/train/{SICK}/._person1_virus_6.jpeg",
        "chest_xray/train/.DS_Store",
        "chest_xray/.DS_Store",
        "chest_xray/readme.txt",
        f"chest_xray/{image}",
    )
    assert found == {image: "virus-1"}


@pytest.mark.parametrize(
    "name",
    [
        *("person_virus_6", "person1_fungus_6", "person1_virus", "person1", "1_virus_6", "xperson1_virus_6"),
        *("IM-0439", "IM--0001", "NORMAL3-IM-0439-0001", "IM-0439-0001-0002-0003", "person1_virus_6 (copy)"),
    ],
)
def test_a_name_without_a_patient_is_refused(name, project):
    with pytest.raises(CatalogError) as refusal:
        project.tables("kermany", {f"a/train/{SICK}/{name}.jpeg": b"x"})
    assert refusal.value.found == f"the name of 'train/{SICK}/{name}.jpeg' gives no patient"
    assert "NORMAL2-IM-N-M" in refusal.value.expected
    assert "without patients no split can be trusted" in refusal.value.action


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("person1_virus_6.jpeg", "person1_virus_6.jpeg"),
        ("train/person1_virus_6.jpeg", "train/person1_virus_6.jpeg"),
        ("a/train/OTHER/person1_virus_6.jpeg", "train/OTHER/person1_virus_6.jpeg"),
        ("a/extra/NORMAL/IM-0001-0001.jpeg", "extra/NORMAL/IM-0001-0001.jpeg"),
        ("images/00000001_000.png", "images/00000001_000.png"),
    ],
)
def test_an_image_anywhere_else_is_refused_with_its_place(name, where, project):
    with pytest.raises(CatalogError) as refusal:
        project.tables("kermany", {name: b"x"})
    assert refusal.value.found == f"the archive has an image at {where!r}"
    assert "check the source's layout" in refusal.value.action
