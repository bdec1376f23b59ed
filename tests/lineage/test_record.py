"""A record says of its images what its folds say, and is JSON but for them."""

import json

import pytest
import small_record


def test_a_record_is_json_but_for_its_images():
    record = small_record.record()
    told = json.loads(json.dumps(record.model_dump(mode="json"), allow_nan=False))
    assert "images" not in told
    assert type(record)(**told, images=record.images).model_dump() == record.model_dump()


@pytest.mark.parametrize("change", ["a patient", "an image", "a draw", "a showing", "a column", "everything"])
def test_images_that_are_not_those_of_the_folds_are_refused(change):
    rows = small_record.images()
    if change == "a patient":
        rows.loc[0, "patient_id"] = "00002"
    elif change == "an image":
        rows = rows.iloc[1:]
    elif change == "a draw":
        rows.loc[0, "draws"] = 7
    elif change == "a showing":
        rows.loc[rows.index[-1], "shown"] = 1
    elif change == "a column":
        rows = rows.drop(columns="shard")
    else:
        rows = rows.iloc[:0]
    with pytest.raises(ValueError, match="images: "):
        small_record.record(images=rows)
