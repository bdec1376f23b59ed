import base64
from html.parser import HTMLParser

import pytest

from glassbox import layout
from glassbox.report.comparison import compare
from glassbox.report.results import Number

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """The page as tests look at it: its elements with their attributes and texts."""

    def __init__(self):
        super().__init__()
        self.elements, self.open = [], []
        compared = layout.REPORTS / "comparison.html"
        self.source = compared.read_text()
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
def page(project):
    compare(project, "")
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
    assert "2.43 not measured" in cells


@pytest.mark.parametrize(
    ("published", "verdict"),
    [(0.7, "inside"), (0.8, "inside"), (0.69, "below"), (0.81, "above"), (None, None)],
)
def test_the_ends_of_an_interval_are_inside(published, verdict):
    assert Number(measured=0.75, low=0.7, high=0.8, published=published).verdict == verdict


def test_settings_that_differ_are_marked(page):
    differing = [words(row) for row in page.all("tr", **{"class": "differs"})]
    assert differing == ["Batch size 8 64"]


def test_settings_say_what_was_run(page):
    text = page.text()
    for setting in (
        "Backbone compact",
        "Learning rate 0.001",
        "Frozen first 10 layers",
        "Epochs 4 at most, patience 3",
        "Question Infiltration against No Finding",
        "generated films of 50 patients, seed 1",
        "rotation \N{PLUS-MINUS SIGN}5\N{DEGREE SIGN}",
        "Patients 90",
    ):
        assert setting in text


def test_generated_films_are_called_so(page):
    assert "These films are generated." in page.text()


def test_real_films_are_not_called_generated(project, make):
    kaggle = {"films": {"kind": "kaggle", "layout": "nih", "ref": "nih-chest-xrays/data", "version": 3}}
    compare(make.parameters(sources=kaggle, vgg=make.experiment(), resnet=make.experiment()), "")
    assert "generated" not in Page().text()
    assert "Kaggle, nih-chest-xrays/data, version 3" in Page().text()
