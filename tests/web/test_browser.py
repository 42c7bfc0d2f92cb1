"""The page as a person uses it: a real server, a real browser."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.data.score_file import read_logits
from atrous.inference.predictor import Predictor
from web.serving import as_file, bomb, noise, running, save_small

CHROMIUM = shutil.which("chromium")
PATIENCE = 30_000  # ms, on a busy machine

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"),
        reason="needs chromium on the path; Debian: apt-get install chromium",
    ),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("serve") / "model.safetensors")


@pytest.fixture(scope="module")
def served(checkpoint):
    """The address of a server, and a folder that all its temporary files go to."""
    folder = checkpoint.parent / "tmp"
    folder.mkdir()
    flags = ("--max-upload-mb", "2", "--max-pixels", "100000")
    with running(checkpoint, *flags, environment={"TMPDIR": str(folder)}) as (_, url):
        yield url, folder


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "CI requires the browser tests, and there is no chromium; install it"
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, served):
    """A fresh page; at the end nothing may have failed in it, and nothing come from elsewhere."""
    url, _ = served
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    page.wait_for_selector(".at-labeler[data-started]")
    yield page
    elsewhere = [each for each in asked if not each.startswith((url, "data:", "blob:"))]
    refused = "Failed to load resource: the server responded with a status of 4"  # how browsers log refusals
    context.close()
    assert elsewhere == []
    assert [each for each in wrong if not each.startswith(refused)] == []


def upload(page, data: bytes, name: str = "photo.png") -> None:
    page.set_input_files("input[type=file]", {"name": name, "mimeType": "image/png", "buffer": data})


def label(page) -> None:
    upload(page, as_file(noise(96, 128)))
    page.wait_for_selector(".at-legend input")
    page.wait_for_function("document.querySelector('.at-busy').hidden")


def colors(page) -> np.ndarray:
    """The overlay's own pixels (h, w, 4)."""
    values = page.evaluate(
        "() => { const c = document.querySelector('.at-colors');"
        " return [c.height, c.width, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]; }"
    )
    return np.array(values[2:], np.uint8).reshape(values[0], values[1], 4)


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def expected_colors(checkpoint: Path) -> np.ndarray:
    prediction = Predictor(checkpoint, device="cpu")(noise(96, 128))
    return np.asarray(prediction.label_set.palette, np.uint8)[prediction.label_map]


def test_an_upload_is_shown_under_the_colors_of_its_labels(page, checkpoint):
    label(page)
    found = colors(page)
    np.testing.assert_array_equal(found[..., :3], expected_colors(checkpoint))
    assert (found[..., 3] == 255).all()
    assert "photo.png · 128 × 96 px · network" in page.inner_text(".at-facts")  # noqa: RUF001
    shares = page.locator(".at-legend .at-share").all_inner_texts()
    assert sum(float(each.rstrip("%")) for each in shares) == pytest.approx(100, abs=0.3)


def test_legend_and_opacity_work_at_once_and_ask_nothing(page):
    label(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    before = colors(page)
    box = page.locator(".at-legend input").first
    number = int(box.get_attribute("data-label"))
    name = page.locator(".at-legend .at-name").first.inner_text()
    page.get_by_label(name).uncheck()
    after = colors(page)
    gone = after[..., 3] == 0
    assert gone.any()
    palette = before[gone][:, :3]
    assert (palette == palette[0]).all()
    page.get_by_label("Show no class").click()
    assert (colors(page)[..., 3] == 0).all()
    page.get_by_label("Show all classes").click()
    np.testing.assert_array_equal(colors(page), before)
    page.get_by_label("Opacity of the overlay").fill("80")
    assert page.eval_on_selector(".at-colors", "each => getComputedStyle(each).opacity") == "0.8"
    assert number in (0, 1, 2)
    assert asked == []


def test_a_click_on_a_pixel_tells_why(page, checkpoint):
    label(page)
    box = page.locator(".at-frame").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 50.5 / 128, box["y"] + box["height"] * 40.5 / 96)
    page.wait_for_selector(".at-looking image")
    assert "(50, 40)" in page.inner_text(".at-decision")
    probabilities = Predictor(checkpoint, device="cpu")(noise(96, 128)).probabilities()[:, 40, 50]
    shown = [float(each.rstrip("%")) for each in page.locator(".at-bars .at-share").all_inner_texts()]
    np.testing.assert_allclose(shown, 100 * np.sort(probabilities)[::-1], atol=0.06)
    told = page.inner_text(".at-sight")
    assert "This decision can see" in told
    assert "95% of what moves it lies in" in told
    assert page.locator(".at-box").count() == 1
    page.locator(".at-frame").press("ArrowRight")
    page.wait_for_function("document.querySelector('.at-decision').textContent.startsWith('(51, 40)')")
    page.get_by_label("Show what it looks at").uncheck()
    assert page.locator(".at-looking").count() == 0
    page.get_by_role("button", name="close").click()
    assert page.locator(".at-pixel").is_hidden()


def test_the_crf_refines_and_its_sliders_do_too(page):
    label(page)
    before = colors(page)
    page.get_by_label("Refine by a dense CRF").check()
    page.wait_for_function("document.querySelector('.at-facts').textContent.includes('CRF')")
    first = colors(page)
    assert (first != before).any()
    slider = page.get_by_label("CRF: Weight")
    with page.expect_response(lambda answer: answer.url.endswith("/labels")):
        slider.fill("0")
    page.wait_for_function("document.querySelector('.at-busy').hidden")
    assert (colors(page) != first).any()
    with page.expect_response(lambda answer: answer.url.endswith("/labels")):
        page.get_by_label("Refine by a dense CRF").uncheck()
    page.wait_for_function("!document.querySelector('.at-facts').textContent.includes('CRF')")
    np.testing.assert_array_equal(colors(page), before)


def test_downloads_are_what_is_shown(page, checkpoint, tmp_path):
    label(page)

    def fetched(words: str) -> Path:
        with page.expect_download() as waiting:
            page.get_by_role("link", name=words).click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path

    mask = fetched("Mask")
    assert mask.name == "photo.mask.png"
    prediction = Predictor(checkpoint, device="cpu")(noise(96, 128))
    np.testing.assert_array_equal(opened(mask), prediction.label_map)
    scores = read_logits(fetched("Probabilities"))
    assert (scores.argmax(0) == prediction.label_map).mean() > 0.999  # float16 makes ties of near ones
    page.get_by_label("Opacity of the overlay").fill("100")
    page.get_by_label("Show no class").click()
    bare = opened(fetched("Overlay")).astype(int)
    assert np.abs(bare - noise(96, 128)).mean() < 8


def test_bad_files_are_a_sentence_and_the_page_goes_on(page):
    for data, words in (
        (b"%PDF-1.7", "is no image"),
        (as_file(noise())[:120], "cannot be read as an image"),
        (bomb(), "far too many pixels"),
        (b"\x89PNG" * 600_000, "larger than 2 MB"),
    ):
        upload(page, data, "bad.png")
        page.wait_for_function(
            "words => document.querySelector('.at-alert').textContent.includes(words)", arg=words
        )
    label(page)
    assert page.locator(".at-alert").is_hidden()


def test_examples_and_the_camera_are_labeled(page):
    page.get_by_role("button", name="scene 2").click()
    page.wait_for_function("document.querySelector('.at-facts').textContent.startsWith('scene 2')")
    page.get_by_role("button", name="Use the camera").click()
    page.wait_for_function("document.querySelector('video').videoWidth > 0")
    page.evaluate("document.querySelector('video').dataset.width = 1")
    page.get_by_role("button", name="Cancel").click()
    assert page.locator("video").is_hidden()


def test_the_designer_follows_what_is_typed(page):
    page.get_by_role("tab", name="Designer").click()
    shown = page.locator("#design")
    shown.get_by_text("Better:").wait_for()
    box = page.get_by_label("Dilations")
    box.fill("2, 4, 8")
    shown.get_by_text("29 cells", exact=True).wait_for()
    assert "51.7%" in shown.inner_text()
    box.fill("2, x")
    shown.get_by_role("alert").wait_for()
    box.fill("1, 2, 9")
    shown.get_by_text("84.0%").wait_for()
    page.get_by_role("button", name="Use the better one").click()
    shown.get_by_text("100.0%").wait_for()
    assert box.input_value() == "1, 3, 8"
    assert shown.locator("img").evaluate("each => each.naturalWidth") > 500


def test_a_phone_shows_all_without_scrolling_sideways(page):
    page.set_viewport_size({"width": 390, "height": 844})
    label(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    frame, panel = page.locator(".at-frame").bounding_box(), page.locator(".at-panel").bounding_box()
    assert frame["width"] > 300
    assert panel["y"] > frame["y"] + frame["height"]


def test_the_server_keeps_no_file_of_what_was_shown(page, served):
    _, folder = served
    before = sorted(folder.rglob("*"))
    label(page)
    page.get_by_role("tab", name="Designer").click()
    page.locator("#design img").wait_for()
    assert sorted(folder.rglob("*")) == before
    assert not [path for path in before if path.suffix in (".png", ".jpg", ".webp")]
