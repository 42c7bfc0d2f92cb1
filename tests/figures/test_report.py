import base64
import io
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from atrous.figures.report import (
    STYLE,
    build_page,
    chart,
    legend,
    percent_with_bar,
    picture,
    picture_grid,
    table,
)

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Outline(HTMLParser):
    """Fails where tags are not closed in order; keeps every address and every word."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.addresses, self.words = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [
            value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def outline_of(html: str) -> Outline:
    outline = Outline()
    outline.feed(html)
    outline.close()
    assert outline.open == []
    return outline


def assert_loads_nothing(html: str):
    """No address that a browser would fetch, in the page or in its style."""
    outline = outline_of(html)
    assert all(address.startswith("data:") for address in outline.addresses)
    assert not {"script", "link", "iframe", "object", "embed"} & set(outline.tags)
    assert not re.search(r"@import|url\(", html)
    assert not re.search(r"https?:", html)


def noise(height=20, width=30):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def figure_of_a_line():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], [0, 1])
    return figure


def test_page_carries_everything_in_itself():
    body = picture(noise(), "noise") + chart(figure_of_a_line(), "line") + table(["a", "b"], [["x", "1"]])
    page = build_page("A page", body_html=f"<header><h1>A page</h1></header><section>{body}</section>")
    assert page.startswith("<!DOCTYPE html>")
    assert_loads_nothing(page)
    assert outline_of(page).tags.count("img") == 2


def test_style_names_every_class_that_the_page_is_made_of():
    body = (
        legend(["a"], [(1, 2, 3)])
        + picture_grid(["a"], [["<p>x</p>"]])
        + table(["a"], [[percent_with_bar(0.5, tone="first")]], total=["b"])
    )
    style = STYLE.read_text(encoding="utf-8")
    for names in re.findall(r'class="([^"]+)"', body):
        assert all(f".{name}" in style for name in names.split())


def test_picture_holds_the_image():
    image = np.repeat(np.repeat(noise(4, 6), 8, 0), 8, 1)
    (address,) = outline_of(picture(image, "blocks")).addresses
    kind, data = address.split(",")
    assert kind == "data:image/jpeg;base64"
    read = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert read.shape == image.shape
    assert np.abs(read.astype(int) - image).mean() < 3


def test_chart_is_a_drawing_without_fonts():
    (address,) = outline_of(chart(figure_of_a_line(), "line")).addresses
    drawing = ET.fromstring(base64.b64decode(address.split(",")[1]))
    assert drawing.tag.endswith("svg")
    assert not [element for element in drawing.iter() if element.tag.endswith("text")]


def test_table_shows_its_numbers_in_their_places():
    html = table(["class", "IoU"], [["sky", "91.5"], ["road", "88.0"]], total=["mean", "89.8"])
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", html)
    assert [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in rows] == [
        ["class", "IoU"],
        ["sky", "91.5"],
        ["road", "88.0"],
        ["mean", "89.8"],
    ]


def test_bar_is_as_long_as_its_number():
    html = percent_with_bar(0.1234, tone="second")
    assert html.startswith("12.3<")
    assert "width: 12.3%" in html


def test_names_cannot_break_the_page():
    name = '<script>alert("x")</script>'
    html = legend([name], [(0, 0, 0)]) + table([name], []) + picture(noise(), name) + picture_grid([name], [])
    page = build_page(name, body_html=html)
    assert "script" not in outline_of(page).tags
    assert "".join(outline_of(page).words).count(name) == 4


def test_grid_has_a_column_a_head():
    html = picture_grid(["image", "truth"], [["<i>1</i>", "<i>2</i>"], ["<i>3</i>", "<i>4</i>"]])
    assert "repeat(2," in html
    assert "".join(outline_of(html).words).split() == ["image", "truth", "1", "2", "3", "4"]
