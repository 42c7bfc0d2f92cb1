import base64
import io

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from atrous.figures.overlay import overlay
from atrous.inference.seen_as import as_seen
from atrous.inference.views import Views
from atrous.web.app import build_app
from web.serving import as_file, depth_predictor, noise, service_of, small_predictor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service():
    return service_of(small_predictor())


@pytest.fixture(scope="module")
def client(service):
    return TestClient(build_app(service))


@pytest.fixture
def shown(client):
    """What the page is told of an image."""
    return send(client)


def send(client, session="page"):
    answer = client.post("/view/label", files={"image": as_file(noise())}, headers={"X-Session": session})
    assert answer.status_code == 200
    return answer.json()


def labels_of(client, identity):
    return np.frombuffer(client.get(f"/view/{identity}/labels").content, np.uint8).reshape(noise().shape[:2])


def test_the_page_gets_the_image_and_its_labels(client, service, shown):
    assert (shown["width"], shown["height"]) == (64, 48)
    assert "torch on cpu" in shown["engine"]
    expected = service.labeler.predictor(noise()).label_map
    np.testing.assert_array_equal(labels_of(client, shown["id"]), expected)
    picture = Image.open(io.BytesIO(client.get(f"/view/{shown['id']}/image").content))
    np.testing.assert_array_equal(np.asarray(picture), noise())


def test_a_pixel_has_sorted_probabilities_and_a_box(client, service, shown):
    told = client.get(f"/view/{shown['id']}/pixel?x=9&y=30").json()
    expected = service.labeler.predictor(noise()).probabilities()[:, 30, 9]
    found = [each["probability"] for each in told["classes"]]
    np.testing.assert_allclose(found, sorted(expected, reverse=True), atol=1e-5)
    assert told["label"] == told["classes"][0]["label"] == int(expected.argmax())
    assert told["box"]["width"] == service.labeler.predictor.network.geometry.receptive_field


def test_the_heat_of_a_pixel_lies_where_it_says(client, shown):
    told = client.get(f"/view/{shown['id']}/heat?x=9&y=30&channel=1").json()
    heat = Image.open(io.BytesIO(base64.b64decode(told["png"])))
    assert heat.mode == "RGBA"
    assert heat.size == (told["width"], told["height"])
    assert told["left"] + told["width"] <= 64
    strongest = np.asarray(heat)[..., 3].argmax()
    row, column = np.unravel_index(strongest, heat.size[::-1])
    assert abs(row + told["top"] - 30) < 24
    assert abs(column + told["left"] - 9) < 24


def test_a_larger_image_is_looked_at_as_the_network_saw_it():
    """Box and heat of an image that is shrunk by 2, against those of the small image."""
    image = np.kron(noise(48, 64), np.ones((2, 2, 1), np.uint8))
    shrinking = small_predictor()
    shrinking.views = Views(longest_side=64)
    told = []
    for predictor, sent, x, y in (
        (shrinking, image, 80, 48),
        (small_predictor(), as_seen(image, (2.0, 2.0)), 40, 24),
    ):
        client = TestClient(build_app(service_of(predictor)))
        identity = client.post("/view/label", files={"image": as_file(sent)}).json()["id"]
        pixel = client.get(f"/view/{identity}/pixel?x={x}&y={y}").json()
        heat = client.get(f"/view/{identity}/heat?x={x}&y={y}&channel=1").json()
        told.append((pixel, heat))
    (pixel, heat), (small_pixel, small_heat) = told
    assert pixel["cell"] == small_pixel["cell"]
    assert pixel["box"] == {name: 2 * value for name, value in small_pixel["box"].items()}
    assert heat["png"] == small_heat["png"]
    assert [heat[name] for name in ("top", "left", "height", "width")] == [
        2 * small_heat[name] for name in ("top", "left", "height", "width")
    ]
    assert heat["pixels"] == 4 * small_heat["pixels"]


def test_a_crf_changes_labels_and_pixels_and_is_taken_back(client, service, shown):
    identity, before = shown["id"], labels_of(client, shown["id"])
    settings = {"on": True, "sigma_xy": 30, "sigma_rgb": 20, "bilateral_weight": 10}
    told = client.post(f"/view/{identity}/crf", json=settings).json()
    assert told["crf"]["sigma_rgb"] == 20
    refined = service.results.find(identity)
    np.testing.assert_array_equal(labels_of(client, identity), refined.labels)
    assert (refined.labels != before).any()
    pixel = client.get(f"/view/{identity}/pixel?x=5&y=6").json()
    assert pixel["classes"][0]["probability"] == pytest.approx(
        refined.probabilities()[:, 6, 5].max(), abs=1e-3
    )
    client.post(f"/view/{identity}/crf", json={"on": False})
    np.testing.assert_array_equal(labels_of(client, identity), before)


def test_files_are_what_is_shown(client, service, shown):
    address, labels = f"/view/{shown['id']}/files", labels_of(client, shown["id"])
    mask = client.get(f"{address}/mask.png")
    assert mask.headers["content-disposition"] == "attachment"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(mask.content))), labels)
    with np.load(io.BytesIO(client.get(f"{address}/probabilities.npz").content)) as stored:
        assert stored["probabilities"].shape == (3, 48, 64)
    hidden = labels.copy()
    hidden[hidden == 1] = 255
    expected = overlay(noise(), hidden, service.labeler.predictor.label_set.palette, opacity=0.8)
    found = Image.open(io.BytesIO(client.get(f"{address}/overlay.jpg?opacity=0.8&hidden=1").content))
    assert np.abs(np.asarray(found).astype(int) - expected).mean() < 8  # a JPEG


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/view/unknown/labels", 404),
        ("/view/{id}/pixel?x=64&y=0", 422),
        ("/view/{id}/heat?x=0&y=0&channel=3", 422),
        ("/view/{id}/files/depth.tif", 404),
        ("/view/{id}/files/mask.png?opacity=9", 422),
        ("/view/examples/9.png", 404),
        ("/view/assets/page.py", 404),
    ],
)
def test_what_is_not_there_is_a_sentence(client, shown, path, status):
    answer = client.get(path.format(id=shown["id"]))
    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[1]",
        b'{"sigma_xy": "x"}',
        b'{"on": true, "what": 1}',
        b" " * 5000,
        b"[" * 4000,
        b'{"a":' * 800,
    ],
)
def test_broken_settings_are_refused(client, shown, content):
    assert client.post(f"/view/{shown['id']}/crf", content=content).status_code in (400, 413, 422)


def test_a_closed_page_is_forgotten(client):
    told, other = send(client, "closing"), send(client, "open")
    assert client.post("/view/close?session=closing").status_code == 204
    assert client.get(f"/view/{told['id']}/labels").status_code == 404
    assert client.get(f"/view/{other['id']}/labels").status_code == 200


def test_examples_are_drawn_and_labeled(client, service):
    for number, example in enumerate(service.examples, start=1):
        assert client.get(f"/view/examples/{number}.png").content == example.png
        assert client.post(f"/view/examples/{number}").json()["width"] == example.image.shape[1]


def test_depth_is_shown_in_color_with_its_value():
    predictor = depth_predictor()
    client = TestClient(build_app(service_of(predictor)))
    told = send(client)
    assert told["quantity"]["unit"] == "m"
    colors = Image.open(io.BytesIO(client.get(f"/view/{told['id']}/labels").content))
    assert colors.size == (64, 48)
    pixel = client.get(f"/view/{told['id']}/pixel?x=9&y=30").json()
    assert pixel["value"] == pytest.approx(float(predictor(noise()).values[0, 30, 9]), rel=1e-4)
    assert client.get(f"/view/{told['id']}/files/depth.tif").status_code == 200
    assert client.get(f"/view/{told['id']}/heat?x=9&y=30").status_code == 200
