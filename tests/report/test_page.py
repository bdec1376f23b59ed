import base64
from html.parser import HTMLParser

import builders
import pytest

from glassbox.paths import REPORTS
from glassbox.report.comparison import compare
from glassbox.report.page import _title

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """The page as tests look at it: its elements with their attributes and texts."""

    def __init__(self):
        super().__init__()
        self.elements, self.open = [], []
        self.source = (REPORTS / "comparison.html").read_text()
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", "inside": [e["tag"] for e in self.open], **dict(attributes)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attributes):
        return [
            element
            for element in self.elements
            if element["tag"] == tag and all(element.get(k) == v for k, v in attributes.items())
        ]

    def text(self):
        return " ".join(self.all("html")[0]["text"].split())


@pytest.fixture
def page(compared, monkeypatch):
    monkeypatch.chdir(compared)
    return Page()


def shown(values):
    """The page of what a params.yaml says."""
    compare(builders.resolve(values))
    return Page()


def words(element):
    return " ".join(element["text"].split())


def test_every_element_is_closed(page):
    assert page.open == []


def test_the_page_asks_for_nothing(page):
    assert "http://" not in page.source
    assert "https://" not in page.source
    assert "//" not in page.source.replace("data:image/png;base64,", "").split("</style>")[0]
    assert "url(" not in page.source
    assert "@import" not in page.source
    assert not [e for e in page.elements if e["tag"] in ("script", "link", "iframe", "object", "base")]
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    policy = next(e["content"] for e in page.all("meta") if e.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_every_figure_of_every_experiment_is_inside_and_described(page, make):
    images = page.all("img")
    assert len(images) == 6
    assert all(base64.b64decode(image["src"].split(",")[1]) == make.pixel for image in images)
    assert [image["alt"] for image in images[:3]] == [
        "ROC curves of vgg: area 0.800 clean, area 0.700 augmented",
        "Confusion matrices of vgg",
        "Loss and accuracy by epoch of vgg",
    ]


def test_experiments_stand_in_the_order_of_params(page):
    assert [section["id"] for section in page.all("section") if "id" in section] == ["vgg", "resnet"]


def test_titles_are_escaped(page):
    assert "A <VGG> & more" in page.text()
    assert "<VGG>" not in page.source


def test_tables_have_captions_and_their_headers_a_scope(page):
    assert len(page.all("table")) == len(page.all("caption")) == 3
    assert page.all("th")
    assert all(header["scope"] in ("col", "row", "rowgroup", "colgroup") for header in page.all("th"))
    assert all(header["text"].strip() for header in page.all("th"))


def test_augmented_is_held_against_clean(page):
    differences = [words(cell) for cell in page.all("td") if words(cell).startswith(("\N{MINUS SIGN}", "+"))]
    assert differences[0] == "\N{MINUS SIGN}0.100"
    assert "\N{MINUS SIGN}0.050" in differences


def test_a_published_figure_says_where_it_lies_from_our_interval(page):
    cells = [words(cell) for cell in page.all("td")]
    assert "0.760 inside our interval" in cells  # 0.75-0.85
    assert "0.900 above our interval" in cells  # 0.66-0.78
    assert "0.600 below our interval" in cells  # 0.65-0.75
    assert "0.610 not measured" in cells
    assert "2.43" in cells  # a loss has no interval


def test_the_majority_classifier_stands_beside_accuracy_with_the_difference(page):
    rows = [words(row) for row in page.all("tr") if any(tag == "table" for tag in row["inside"])]
    names = [words(header) for header in page.all("th", **{"class": "metric"})]
    place = names.index("Accuracy")
    assert names[place : place + 3] == [
        "Accuracy",
        "Majority classifier: accuracy",
        "Accuracy \N{MINUS SIGN} majority classifier",
    ]
    difference = next(row for row in rows if row.startswith(names[place + 2]))
    assert "+0.220" in difference


def test_folds_that_share_nothing_are_said_to(page):
    assert page.text().count("Its folds share no patient, no image and no identical file.") == 2
    assert "overlap:" not in page.text()


def test_folds_that_overlap_are_shown_at_the_top_beside_the_scores_and_with_the_experiment(values, make):
    make.split("rows", train_test={"patients": 12, "images": 30})
    values["splits"]["rows"] = values["splits"]["squares"] | {"procedure": "by_image"}
    values["experiments"]["vgg"] |= {"title": "Leaking", "split": "rows"}
    page = shown(values)
    notices = [words(notice) for notice in page.all("p", **{"class": "notice leak"})]
    said = "train and test share 12 patients, 30 images"
    assert notices[0].startswith(f"The folds of Leaking overlap: {said}.")
    assert notices[1] == f"Its folds overlap: {said}."
    assert len(notices) == 2
    assert [words(tag) for tag in page.all("span", **{"class": "tag"})].count("folds overlap") == 1
    assert page.text().count("Its folds share no patient") == 1


def test_departures_are_listed_with_the_experiment_that_has_them(values, make):
    values["experiments"]["vgg"] |= {"weights": "none", "departures": {"batches": "Its batch size is <ours>."}}
    page = shown(values)
    listed = [words(item) for item in page.all("li") if "section" in item["inside"]]
    departures = [item for item in listed if item.endswith(".")]
    assert departures[0] == "Its batch size is <ours>."
    assert departures[1].startswith("Weights are random, so nothing is frozen in the warm-start")
    assert page.text().count("Where it departs from its source") == 1


def test_a_class_without_an_area_is_a_dash(values, make):
    of_class = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0, "prevalence": 0.0, "roc_auc": None}
    make.evaluated("vgg", classes={"No Finding": of_class, "Hernia": of_class, "Mass": of_class})
    page = shown(values)
    rows = [words(row) for row in page.all("tr") if "Hernia" in words(row)]
    assert rows == ["Hernia 0 0.0% \N{EN DASH} 0.000 0.000 0.000 \N{EN DASH} 0.000 0.000 0.000"]
    assert len(page.all("div", **{"class": "figures many"})) == 1


def test_a_metric_of_one_class_is_named_by_class_and_metric():
    assert _title("classes_Pleural_Thickening_roc_auc") == "Pleural_Thickening: ROC AUC"
    assert _title("classes_Mass_recall") == "Mass: Recall"


def test_settings_that_differ_are_marked(page):
    differing = [words(row) for row in page.all("tr", **{"class": "differs"})]
    assert differing == ["training.batch_size 16 64"]


def test_generated_films_are_called_so(page):
    assert "These films are generated." in page.text()


def test_real_films_are_not_called_generated(values):
    values["sources"]["films"] = {
        "kind": "kaggle",
        "layout": "nih",
        "ref": "nih-chest-xrays/data",
        "version": 3,
    }
    for experiment in values["experiments"].values():
        experiment["weights"] = "none"
    text = shown(values).text()
    assert "generated" not in text
    assert "source.ref nih-chest-xrays/data nih-chest-xrays/data source.version 3 3" in text
