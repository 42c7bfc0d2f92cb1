"""Caffemodels: what protobuf writes is read to the bit, in every form that Caffe has written."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.nn import functional

from atrous.weights.caffe import read_caffemodel
from weights.caffe_files import PACKED, blobs_of, build_net, delimited, varint, write_caffemodel

FORMS = st.fixed_dictionaries(
    {
        "version": st.sampled_from(["current", "v1"]),
        "dims": st.sampled_from(["shape", "legacy"]),
        "packed": st.booleans(),
        "double": st.booleans(),
    }
)
BLOBS = arrays.arrays(np.float32, arrays.array_shapes(min_dims=0, max_dims=4, max_side=4))
NAMES = st.text(max_size=8).filter(str.isprintable)
LAYERS = st.dictionaries(NAMES, st.lists(BLOBS, max_size=3), min_size=1, max_size=4).filter(
    lambda layers: any(layers.values())
)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("caffe") / "net.caffemodel"


def read(path, content):
    path.write_bytes(content)
    return read_caffemodel(path)


def assert_same(read, wanted):
    assert list(read) == [name for name, blobs in wanted.items() if len(blobs)]
    for name, blobs in read.items():
        assert [tuple(blob.shape) for blob in blobs] == [values.shape for values in wanted[name]]
        for blob, values in zip(blobs, wanted[name], strict=True):
            assert blob.dtype == torch.float32
            assert blob.is_contiguous()
            np.testing.assert_array_equal(blob.numpy(), values)
            np.testing.assert_array_equal(np.signbit(blob.numpy()), np.signbit(values))


def with_four_axes(layers):
    return {
        name: [values.reshape((1,) * (4 - values.ndim) + values.shape) for values in blobs]
        for name, blobs in layers.items()
    }


@pytest.mark.slow
@settings(max_examples=100)
@given(layers=LAYERS, form=FORMS)
def test_what_protobuf_writes_is_read(layers, form, path):
    net = build_net(layers, **form)
    wanted = with_four_axes(layers) if form["dims"] == "legacy" else layers
    assert_same(read(path, net.SerializeToString()), wanted)


@pytest.mark.slow
@given(layers=LAYERS, form=FORMS)
def test_the_fast_writer_of_these_tests_writes_what_protobuf_writes(layers, form, path):
    # protobuf turns a signaling NaN into a quiet one, and no other value into another
    quiet = {name: [np.nan_to_num(blob, nan=0.5) for blob in blobs] for name, blobs in layers.items()}
    write_caffemodel(path, quiet, **form)
    assert path.read_bytes() == build_net(quiet, **form).SerializeToString()


@pytest.mark.parametrize("packed", [True, False])
def test_every_bit_pattern_is_kept_even_of_nan(packed, path):
    bits = np.random.default_rng(0).integers(0, 2**32, 5000, dtype=np.uint32)
    bits[:4] = [0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001]  # infinities, a quiet and a signaling NaN
    write_caffemodel(path, {"conv": [bits.view(np.float32)]}, packed=packed)
    np.testing.assert_array_equal(read_caffemodel(path)["conv"][0].numpy().view(np.uint32), bits)


def packed_floats(number, dtype):
    return arrays.arrays(dtype, st.integers(0, 4)).map(lambda v: delimited(number, v.tobytes()))


def single_floats(tag, dtype):
    values = arrays.arrays(dtype, st.integers(1, 4))
    return values.map(lambda v: b"".join(tag + value.tobytes() for value in v))


UNKNOWN = st.sampled_from(
    [
        b"\x78\xff\x01",  # a varint
        b"\x79" + bytes(8),  # 64 bits
        b"\x7d" + bytes(4) + b"\x7d" + bytes(4),  # twice 32 bits
        b"\x85\x01" + bytes(4) + b"\x85\x80\x01" + bytes(4),  # tags of two and three bytes
        delimited(15, b"\x2d\0\0"),  # bytes
        b"\xf3\x01" + b"\x2d\0\0\0\0" + b"\x0b\x0c" + b"\xf4\x01",  # a group of floats and an empty group
        delimited(6, bytes(12)) + b"\x35\0\0\0\0",  # diffs
        delimited(9, bytes(16)),  # and double diffs
    ]
)
PIECES = st.one_of(
    packed_floats(5, "<f4"),
    single_floats(b"\x2d", "<f4"),
    UNKNOWN,
    st.sampled_from([delimited(7, b"\x08\x01"), delimited(7, delimited(1, b"\x01\x01"), b"\x08\x01")]),
)
DOUBLE_PIECES = st.one_of(packed_floats(8, "<f8"), single_floats(b"\x41", "<f8"))
LEGACY_PIECES = st.sampled_from([b"\x08\x01", b"\x10\x07", b"\x20\x02\x20\x03"])
BLOB_PIECES = st.one_of(
    st.lists(PIECES, max_size=8),
    st.lists(PIECES | DOUBLE_PIECES, max_size=8),
    st.lists(PIECES | LEGACY_PIECES, max_size=8),
)


@pytest.mark.slow
@settings(max_examples=150)
@given(pieces=BLOB_PIECES, names=st.lists(st.sampled_from([b"a", b"b"]), max_size=3), noise=UNKNOWN)
def test_pieces_of_fields_are_put_together_as_protobuf_does(pieces, names, noise, path):
    start = b"".join([b"\x2d\0\0\x80\x3f", *pieces])
    blob = PACKED["BlobProto"].FromString(start)
    size = varint(len(blob.double_data) or len(blob.data))
    if any(blob.HasField(key) for key in ("num", "channels", "width")):
        end = b"\x08\x01\x10\x01\x18\x01\x20" + size
    else:
        end = delimited(7, b"\x08" + size)
    layer = [noise, delimited(7, start, end), *(delimited(1, name) for name in names), noise]
    content = delimited(100, *layer)
    assert_same(read(path, content), blobs_of(PACKED["NetParameter"].FromString(content)))


def test_a_long_run_of_single_values_ends_where_another_field_begins(path):
    values = np.random.default_rng(0).standard_normal(3_500_001, dtype=np.float32)
    write_caffemodel(path, {"long": [values, values[:3]], "next": [values[:1]]}, packed=False)
    assert_same(read_caffemodel(path), {"long": [values, values[:3]], "next": [values[:1]]})


def test_double_values_go_before_float_values_and_old_dims_before_a_shape(path):
    blob = PACKED["BlobProto"](data=[1, 2, 3], double_data=[0.1, 1e300], num=1, channels=1, height=2, width=1)
    blob.shape.dim.extend([7, 7])
    net = PACKED["NetParameter"](layer=[{"name": "a", "blobs": [blob]}])
    (values,) = read(path, net.SerializeToString())["a"]
    assert values.equal(torch.tensor([0.1, float("inf")]).view(1, 1, 2, 1))


def test_doubles_beyond_float32_become_infinite_and_nan_stays_nan(path):
    bits = np.array([0x7FF0000000000001, 0x7FF8000000000000, 0x7FE0000000000000, 0xFFF0000000000000], "<u8")
    blob = delimited(8, bits.tobytes()) + delimited(
        7, b"\x08\x04"
    )  # NaN that signals, NaN, 2**1023, -infinity
    (values,) = read(path, delimited(100, delimited(7, blob)))[""]
    assert values.isnan().tolist() == [True, True, False, False]
    assert values[2:].tolist() == [float("inf"), -float("inf")]


def test_a_blob_of_one_value_and_no_shape_is_a_scalar(path):
    net = PACKED["NetParameter"](layer=[{"name": "a", "blobs": [{"data": [3]}]}])
    assert read(path, net.SerializeToString())["a"][0].equal(torch.tensor(3.0))


def test_both_layer_formats_may_stand_in_one_file(path):
    layer = {"blobs": [{"data": [3]}]}
    net = PACKED["NetParameter"](layers=[{"name": "old", **layer}], layer=[{"name": "new", **layer}])
    assert read(path, net.SerializeToString()).keys() == {"old", "new"}


def test_a_layer_without_weights_may_share_a_name_with_one_that_has_some(path):
    net = PACKED["NetParameter"](layer=[{"name": "a", "blobs": [{"data": [3]}]}, {"name": "a"}])
    assert len(read(path, net.SerializeToString())["a"]) == 1


def test_groups_may_be_nested_a_hundred_deep(path):
    net = PACKED["NetParameter"](layer=[{"name": "a", "blobs": [{"data": [3]}]}])
    assert "a" in read(path, b"\x7b" * 100 + b"\x7c" * 100 + net.SerializeToString())


def test_tensors_are_their_own_and_nothing_stays_mapped(path):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_caffemodel(path, {"a": [values]})
    (blob,) = read_caffemodel(path)["a"]
    path.write_bytes(bytes(path.stat().st_size))
    np.testing.assert_array_equal(blob.numpy(), values)
    blob += 1
    maps = Path("/proc/self/maps")
    assert not maps.exists() or str(path) not in maps.read_text()


PROTOTXT = """
input: "data" input_dim: 1 input_dim: 3 input_dim: 17 input_dim: 13
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 5 kernel_size: 3 dilation: 2 pad: 1 } }
"""


@pytest.mark.parametrize("dims", ["shape", "legacy"])
@pytest.mark.parametrize("version", ["current", "v1"])
def test_opencv_computes_with_the_same_weights(version, dims, path):
    cv2 = pytest.importorskip("cv2")
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((5, 3, 3, 3), dtype=np.float32)
    bias = generator.standard_normal(5, dtype=np.float32)
    images = generator.standard_normal((1, 3, 17, 13), dtype=np.float32)
    write_caffemodel(path, {"conv": [weight, bias]}, version=version, dims=dims)
    prototxt = path.with_suffix(".prototxt")
    prototxt.write_text(PROTOTXT)
    net = cv2.dnn.readNetFromCaffe(str(prototxt), str(path))
    net.enableWinograd(False)
    net.setInput(images)

    read_weight, read_bias = read_caffemodel(path)["conv"]
    ours = functional.conv2d(torch.from_numpy(images), read_weight, read_bias.view(-1), padding=1, dilation=2)
    np.testing.assert_allclose(ours.numpy(), net.forward(), atol=1e-5)
