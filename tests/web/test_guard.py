"""What other websites make a browser send to a server on this machine."""

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from atrous.web.app import build_app
from web.serving import as_file, noise, service_of, small_predictor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def local():
    """A server that answers to this machine alone."""
    service = replace(service_of(small_predictor()), hosts=frozenset({"localhost"}))
    return TestClient(build_app(service), base_url="http://localhost:8000")


@pytest.mark.parametrize(
    "headers", [{}, {"origin": "http://localhost:8000"}, {"sec-fetch-site": "same-origin"}]
)
def test_a_local_server_answers_its_own_page_and_programs(local, headers):
    answer = local.post("/predict", files={"image": ("photo.png", as_file(noise()))}, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"host": "evil.example:8000"}, "answers as localhost, not as evil.example"),
        ({"host": "localhost.evil.example"}, "answers as localhost"),
        ({"host": ""}, "answers as localhost"),
        ({"origin": "http://evil.example"}, "another website sent this"),
        ({"origin": "http://localhost:9000"}, "another website sent this"),
        ({"sec-fetch-site": "cross-site"}, "another website sent this"),
    ],
)
def test_a_local_server_computes_nothing_for_other_websites(local, headers, message):
    before = local.get("/health").json()["answered"]
    answer = local.post("/predict", files={"image": ("photo.png", as_file(noise()))}, headers=headers)
    assert answer.status_code == 403
    assert message in answer.json()["error"]
    assert local.get("/health").json()["answered"] == before
