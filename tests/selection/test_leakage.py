import pandas as pd

from glassbox.selection import leakage

FOLDS = ("train", "validation", "test")


def split(make, **changes):
    """Twelve images of as many patients, four in each fold, in which some cells are replaced."""
    rows = make.table(*["No Finding"] * 12)[["image_id", "patient_id"]]
    rows["fold"] = [fold for fold in FOLDS for _ in range(4)]
    rows["source_sha256"] = [f"{number:064x}" for number in range(12)]
    for column, cells in changes.items():
        for row, value in cells.items():
            rows.loc[row, column] = value
    return rows


def pairs(train_validation=0, train_test=0, validation_test=0):
    return {"train-validation": train_validation, "train-test": train_test, "validation-test": validation_test}


def count(rows):
    """The counts by what is shared, then by folds."""
    counted = {}
    for row in leakage.count(rows):
        counted.setdefault(row.what, {})[row.folds] = row.shared
    return counted


def test_folds_that_share_nothing_count_zero(make):
    assert count(split(make)) == {"patients": pairs(), "images": pairs(), "identical_files": pairs()}


def test_a_patient_in_two_folds_is_counted_once_however_many_images_there_are(make):
    counted = count(split(make, patient_id={0: "9", 1: "9", 10: "9"}))
    assert counted == {"patients": pairs(train_test=1), "images": pairs(), "identical_files": pairs()}


def test_a_patient_in_all_folds_counts_for_each_pair(make):
    assert count(split(make, patient_id={0: "9", 4: "9"}))["patients"] == pairs(1, 1, 1)


def test_an_image_in_two_folds_is_counted(make):
    counted = count(split(make, image_id={4: "8.png", 5: "9.png"}))
    assert counted == {"patients": pairs(), "images": pairs(validation_test=2), "identical_files": pairs()}


def test_one_file_under_two_names_is_counted(make):
    counted = count(split(make, source_sha256={0: f"{5:064x}"}))
    assert counted == {"patients": pairs(), "images": pairs(), "identical_files": pairs(train_validation=1)}


def test_two_of_a_kind_within_one_fold_are_no_leak(make):
    counted = count(split(make, patient_id={0: "1"}, source_sha256={0: f"{1:064x}"}))
    assert counted == {"patients": pairs(), "images": pairs(), "identical_files": pairs()}


def test_an_image_that_has_a_row_in_two_folds_shares_its_patient_and_its_file_however_often_it_is_drawn(make):
    rows = split(make).assign(draws=7)
    once_more = rows.iloc[[8, 9]].assign(fold="validation", draws=3)
    both = pd.concat([rows, once_more, rows.iloc[[8]].assign(fold="train")])
    shared = pairs(train_validation=1, train_test=1, validation_test=2)
    assert count(both) == {"patients": shared, "images": shared, "identical_files": shared}
