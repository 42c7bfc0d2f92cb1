import base64
import io

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from atrous.jobs.crf_settings import CRFSettings
from atrous.web.app import build_app
from atrous.web.limits import Limits
from web.serving import LABELS, as_file, bomb, depth_predictor, noise, service_of, small_predictor

pytestmark = pytest.mark.slow

LIMITS = Limits(max_upload_mb=0.1, max_pixels=10_000, max_crf_pixels=5_000)


@pytest.fixture(scope="module")
def service():
    return service_of(small_predictor(), LIMITS)


@pytest.fixture(scope="module")
def client(service):
    return TestClient(build_app(service))


def predict(client, data=None, **fields):
    data = as_file(noise()) if data is None else data
    return client.post("/predict", files={"image": ("photo.png", data)}, data=fields)


def labels_of(service, image):
    return service.labeler.predictor(image).label_map


def test_predict_gives_the_palette_png_of_the_predictor(client, service):
    answer = predict(client)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    found = Image.open(io.BytesIO(answer.content))
    assert found.mode == "P"
    np.testing.assert_array_equal(np.asarray(found), labels_of(service, noise()))
    palette = found.getpalette()
    assert palette is not None
    assert tuple(palette[:9]) == sum(LABELS.palette, ())


@pytest.mark.parametrize("form", ["rle", "png", "none"])
def test_predict_gives_labels_in_json_as_wanted(client, service, form):
    told = predict(client, format="json", labels=form).json()
    expected = labels_of(service, noise())
    assert (told["height"], told["width"]) == expected.shape
    counts = np.bincount(expected.ravel(), minlength=3)
    assert [each["pixels"] for each in told["classes"]] == counts.tolist()
    assert [each["share"] for each in told["classes"]] == pytest.approx(counts / expected.size, abs=1e-6)
    if form == "none":
        assert "labels" not in told
        return
    if form == "rle":
        values, lengths = np.array(told["labels"]["rle"]).T
        found = np.repeat(values, lengths).reshape(expected.shape)
    else:
        found = np.asarray(Image.open(io.BytesIO(base64.b64decode(told["labels"]["png"]))))
    np.testing.assert_array_equal(found, expected)


def test_predict_gives_an_overlay_and_probabilities(client, service):
    mixed = predict(client, format="overlay", opacity="0")
    assert mixed.headers["content-type"] == "image/jpeg"
    assert np.asarray(Image.open(io.BytesIO(mixed.content))).shape == noise().shape
    with np.load(io.BytesIO(predict(client, format="npz").content)) as stored:
        expected = service.labeler.predictor(noise()).probabilities()
        np.testing.assert_allclose(stored["probabilities"], expected, atol=1e-3)


def test_predict_refines_as_the_labeler_does(client, service):
    told = predict(client, format="json", sigma_xy="20", num_steps="2").json()
    assert told["crf"]["sigma_xy"] == 20
    plain = service.labeler.label_pixels(noise())
    refined = service.labeler.refine(plain, CRFSettings(sigma_xy=20.0, num_steps=2))
    counts = np.bincount(refined.labels.ravel(), minlength=3)
    assert [each["pixels"] for each in told["classes"]] == counts.tolist()


def test_options_may_stand_in_the_address(client):
    answer = client.post("/predict?format=json&labels=none", files={"image": as_file(noise())})
    assert answer.json()["width"] == 64


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "gif"}, "take one of png, json"),
        ({"opacity": "2"}, "not from 0 to 1"),
        ({"opacity": "nan"}, "not from 0 to 1"),
        ({"crf": "maybe"}, "neither true nor false"),
        ({"sigma_xy": "wide"}, "is no number"),
        ({"sigma_xy": "-1"}, "sigma_xy"),
        ({"num_steps": "1000000"}, "not from 1 to 20"),
        ({"sigma_xy": "nan"}, "sigma_xy nan is not from 1 to"),
        ({"sigma_rgb": "1e-300"}, "sigma_rgb 1e-300 is not from 1 to"),
        ({"bilateral_weight": "-5"}, "not from 0 to"),
        ({"crf": "false", "sigma_xy": "3"}, "switched off"),
        ({"formatt": "png"}, 'did you mean "format"'),
    ],
)
def test_a_wrong_option_is_a_sentence(client, fields, message):
    answer = predict(client, **fields)
    assert answer.status_code == 422
    assert message in answer.json()["error"]


def cut(data):
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"", 415, "is empty"),
        (b"%PDF-1.7 no image", 415, "photo.png is no image"),
        (bomb(), 413, "pixels"),
        (as_file(noise(128, 128)), 413, "128 x 128 pixels; at most 10,000"),
        (cut(as_file(noise())), 422, "cannot be read as an image"),
        (as_file(np.zeros((8, 8), np.float32), "TIFF"), 422, "stores floats"),
        (np.random.default_rng(0).bytes(120_000), 413, "larger than 0.1 MB"),
    ],
    ids=["empty", "no image", "bomb", "large", "cut", "floats", "heavy"],
)
def test_a_bad_upload_is_a_sentence(client, data, status, message):
    answer = predict(client, data)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    "data",
    [
        as_file(noise(), "JPEG"),
        as_file(noise(), "WEBP"),
        as_file(noise()[..., 0]),
        as_file(noise()[..., 0].astype(np.uint16) * 257),
        as_file(noise(), "GIF", save_all=True, append_images=[Image.fromarray(noise(seed=1))]),
        as_file(np.dstack([noise(), noise()[..., :1]]), "TIFF"),
    ],
    ids=["JPEG", "WebP", "gray", "16 bits", "animated", "alpha"],
)
def test_images_of_any_kind_are_labeled(client, data):
    assert predict(client, data, format="json", labels="none").json()["height"] == 48


def test_cmyk_and_turned_photos_are_labeled_upright(client):
    turned, exif = Image.fromarray(noise()).convert("CMYK"), Image.Exif()
    exif[0x0112] = 6
    content = io.BytesIO()
    turned.save(content, "JPEG", exif=exif)
    told = predict(client, content.getvalue(), format="json", labels="none").json()
    assert (told["height"], told["width"]) == (64, 48)


def test_what_is_no_form_with_an_image_is_refused(client):
    assert client.post("/predict", content=as_file(noise())).status_code == 415
    assert client.post("/predict", files={"picture": as_file(noise())}).status_code == 422
    broken = client.post(
        "/predict", content=b"x", headers={"content-type": "multipart/form-data; boundary=a"}
    )
    assert broken.status_code == 400
    assert all("error" in each.json() for each in (broken, client.get("/predict")))


def test_a_crf_refuses_images_that_would_take_too_long(client):
    answer = predict(client, as_file(noise(80, 80)), crf="true")
    assert answer.status_code == 413
    assert "a CRF refines up to 5,000" in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "method"), [("/predict", "POST"), ("/health", "GET, HEAD"), ("/labels", "GET, HEAD")]
)
def test_another_method_is_told_the_right_one(client, path, method):
    answer = client.request("DELETE", path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == method


def test_health_and_labels_say_what_is_served(client):
    health = client.get("/health").json()
    assert health["ok"]
    assert (health["network"], health["classes"], health["queue"]) == ("compact", 3, 0)
    assert health["queue_limit"] == LIMITS.concurrency + LIMITS.queue
    classes = client.get("/labels").json()["classes"]
    assert classes[1] == {"label": 1, "name": "wall", "color": "#c82828"}


def test_a_full_line_is_a_503_with_a_time(service, client):
    places = [service.line.place() for _ in range(LIMITS.concurrency + LIMITS.queue)]
    for place in places:
        place.__enter__()
    try:
        answer = predict(client)
        assert answer.status_code == 503
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    finally:
        for place in places:
            place.__exit__(None, None, None)
    assert predict(client).status_code == 200


def test_nothing_is_kept_by_browsers_or_taken_by_gradio(client):
    assert client.get("/labels").headers["cache-control"] == "no-store"
    assert client.post("/gradio_api/upload", files={"files": b"x"}).status_code == 404


def test_depth_is_answered_in_its_own_formats():
    predictor = depth_predictor()
    client = TestClient(build_app(service_of(predictor)))
    expected = predictor(noise()).values
    stored = Image.open(io.BytesIO(predict(client, format="tif").content))
    np.testing.assert_array_equal(np.asarray(stored), expected[0])
    quantity = predict(client, format="json").json()["quantity"]
    assert (quantity["kind"], quantity["unit"]) == ("depth", "m")
    assert quantity["high"] == pytest.approx(expected.max())
    assert Image.open(io.BytesIO(predict(client).content)).mode == "RGB"
    assert client.get("/labels").json()["quantity"]["channels"] == ["depth"]
    assert predict(client, format="npz").status_code == 422
    assert "depth has none" in predict(client, crf="true").json()["error"]


def test_monitors_may_ask_for_the_head_alone(client):
    assert client.head("/health").status_code == 200
    assert client.head("/predict").status_code == 405
    assert client.options("/predict").headers["allow"] == "POST"
