import xml.etree.ElementTree as ET

import numpy as np
import pytest

from atrous.figures.receptive_field import Field, Span, draw_receptive_fields, tint

IMAGE = np.full((40, 60, 3), 200, np.uint8)


def parts_of(svg: str, tag: str) -> list[dict[str, str]]:
    return [element.attrib for element in ET.fromstring(svg).iter() if element.tag == tag]


def test_fields_are_squares_of_their_size_round_the_center():
    fields = [Field("small", 8, "#000000"), Field("large", 100, "#ffffff")]
    svg = draw_receptive_fields(IMAGE, fields, center=(10.5, 20.5))
    _, *squares = parts_of(svg, "rect")
    for field, square in zip(fields, squares, strict=True):
        left, top, width, height = (float(square[name]) for name in ("x", "y", "width", "height"))
        assert (width, height) == (field.size, field.size)
        assert (left + width / 2, top + height / 2) == pytest.approx((20.5, 10.5))


def test_image_is_drawn_in_its_own_pixels():
    (image,) = parts_of(draw_receptive_fields(IMAGE, [Field("a", 8, "red")], center=(0, 0)), "image")
    assert (image["x"], image["y"], image["width"], image["height"]) == ("0", "0", "60", "40")
    assert image["href"].startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("center", [(0.0, 0.0), (20.0, 30.0), (40.0, 60.0)])
def test_everything_lies_in_view(center):
    svg = draw_receptive_fields(IMAGE, [Field("a", 8, "red"), Field("b", 90, "blue")], center=center)
    left, top, width, height = map(float, ET.fromstring(svg).attrib["viewBox"].split())
    row, column = center
    assert left <= min(0, column - 45)
    assert top <= min(0, row - 45)
    assert left + width >= max(60, column + 45)
    assert top + height >= max(40, row + 45)


def test_names_sizes_and_spans_are_written():
    span = Span((5.0, 5.0), (25.0, 5.0), "20 px")
    svg = draw_receptive_fields(IMAGE, [Field("a & b", 8, "red")], center=(9.0, 9.0), spans=[span])
    texts = [element.text for element in ET.fromstring(svg).iter() if element.tag == "text"]
    assert texts == ["a & b: 8 px", "20 px"]


def test_tint_goes_from_gray_to_the_color():
    strength = np.array([[0.0, 1.0, 7.0]])
    image = np.array([[[10, 20, 30]] * 3], np.uint8)
    gray, full, beyond = tint(image, strength, "#0b6e69")[0]
    assert len(set(gray.tolist())) == 1
    assert full.tolist() == beyond.tolist() == [0x0B, 0x6E, 0x69]
