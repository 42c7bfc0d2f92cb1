"""Caffemodels cut, mutated and made up: refused in one line, or read as protobuf reads them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weights.caffe_files import PACKED, blobs_of, build_net, delimited, read_in_bounds, varint

pytestmark = pytest.mark.timeout(60)  # nothing hangs

ONE = delimited(5, b"\0\0\x80\x3f")  # one value
LAYERS = {
    "conv": [np.arange(6, dtype=np.float32).reshape(1, 2, 1, 3), np.ones(1, np.float32)],
    "relu": [],
    "fc": [np.arange(4, dtype=np.float32).reshape(2, 2)],
}
FORMS = [
    {"version": version, "dims": dims, "packed": packed, "double": packed == (version == "v1")}
    for version, dims in (("current", "shape"), ("v1", "legacy"))
    for packed in (True, False)
]
VALID = [build_net(LAYERS, **form).SerializeToString() for form in FORMS]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("caffe") / "net.caffemodel"


def read_as_protobuf_does(path, content):
    """Whatever is read is what protobuf reads; it may be less generous."""
    layers = read_in_bounds(path, content)
    if layers is None:
        return
    wanted = blobs_of(PACKED["NetParameter"].FromString(content))
    assert layers.keys() == wanted.keys()
    for name, blobs in layers.items():
        for blob, values in zip(blobs, wanted[name], strict=True):
            np.testing.assert_array_equal(blob.numpy(), values)


@pytest.mark.slow
@pytest.mark.parametrize("content", VALID)
def test_a_file_cut_short_is_refused_unless_it_was_cut_between_layers(content, path):
    layers = [read_in_bounds(path, content[:stop]) for stop in range(len(content) + 1)]
    assert [list(some) for some in layers if some] == [["conv"], ["conv"], ["conv", "fc"]]
    assert layers[-1]


@given(content=st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_or_read_as_protobuf_does(content, path):
    read_as_protobuf_does(path, content)


SPANS = st.tuples(st.integers(0, 200), st.integers(0, 12), st.integers(0, 200), st.binary(max_size=6))


@settings(max_examples=200)
@given(content=st.sampled_from(VALID), spans=st.lists(SPANS, min_size=1, max_size=4))
@pytest.mark.slow
def test_mutated_and_spliced_files_are_refused_or_read_as_protobuf_does(content, spans, path):
    for first, length, source, inserted in spans:
        copied = content[source : source + length]
        content = content[:first] + inserted + copied + content[first + length // 2 :]
    read_as_protobuf_does(path, content)


NUMBERS = st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 15, 50, 100])
INTEGERS = st.sampled_from([0, 1, 2, 3, 300, 2**31, 2**32 + 1, 2**62, 2**63, -1])


def tagged(kind, content):
    return st.tuples(NUMBERS, content).map(lambda pair: varint(pair[0] << 3 | kind) + pair[1])


def fields_around(messages):
    return st.one_of(
        tagged(0, INTEGERS.map(varint)),
        tagged(1, st.just(bytes(8))),
        tagged(5, st.just(bytes(4))),
        st.tuples(NUMBERS, messages).map(lambda pair: delimited(*pair)),
        st.tuples(NUMBERS, messages).map(
            lambda pair: varint(pair[0] << 3 | 3) + pair[1] + varint(pair[0] << 3 | 4)
        ),
        st.sampled_from(
            [ONE, delimited(7, delimited(1, b"\1")), delimited(1, b"a"), b"\x08\1\x10\1\x18\1\x20\1"]
        ),
    )


MESSAGES = st.recursive(
    st.sampled_from([b"", b"a", ONE, ONE + delimited(7, b"\x08\1")]),
    lambda messages: st.lists(fields_around(messages), max_size=4).map(b"".join),
    max_leaves=8,
)


@pytest.mark.slow
@settings(max_examples=200)
@given(
    blob=MESSAGES,
    layer=MESSAGES,
    net=MESSAGES,
    numbers=st.sampled_from([(100, 7), (2, 6)]),
    whole=st.booleans(),
)
def test_random_messages_are_refused_or_read_as_protobuf_does(blob, layer, net, numbers, whole, path):
    number, blobs = numbers
    inner = delimited(blobs, blob + ONE if whole else blob) + layer
    read_as_protobuf_does(path, delimited(number, inner) + net)
