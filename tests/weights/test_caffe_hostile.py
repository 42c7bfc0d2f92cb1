"""Caffemodels that are foreign or made to harm: one clear error, in little time and memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from atrous.errors import CheckpointError
from atrous.weights.caffe import read_caffemodel
from weights.caffe_files import PACKED, delimited, read_in_bounds, varint

pytestmark = pytest.mark.timeout(60)  # nothing hangs

ONE = delimited(5, b"\0\0\x80\x3f")  # one value


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("caffe") / "net.caffemodel"


def layer(*fields):
    return delimited(100, delimited(1, b"conv"), *fields)


def blob(*fields):
    return layer(delimited(7, *fields))


def shape(*sizes):
    return delimited(7, delimited(1, *map(varint, sizes)))


GIGABYTE = varint(2**30)
BROKEN = {
    "layer is a varint": (b"\xa0\x06\x01", "field 100 is a varint, not bytes"),
    "old layer is 32 bits": (b"\x15" + bytes(4), "field 2 is a 32-bit value, not bytes"),
    "layer is a group": (b"\xa3\x06\xa4\x06", "field 100 is a group, not bytes"),
    "name is a varint": (delimited(100, b"\x08\1"), "field 1 is a varint, not bytes"),
    "blob is 64 bits": (layer(b"\x39" + bytes(8)), "field 7 is a 64-bit value, not bytes"),
    "data is a varint": (blob(b"\x28\1"), "field 5 is a varint, not bytes"),
    "data is 64 bits": (blob(b"\x29" + bytes(8)), "field 5 is a 64-bit value, not bytes"),
    "doubles are 32 bits": (blob(b"\x45" + bytes(4)), "field 8 is a 32-bit value, not bytes"),
    "shape is a varint": (blob(ONE, b"\x38\1"), "field 7 is a varint, not bytes"),
    "dims of shape are 32 bits": (blob(ONE, delimited(7, b"\x0d" + bytes(4))), "field 1 is a 32-bit value"),
    "num is bytes": (blob(ONE, delimited(1, b"\1")), "field 1 is bytes, not a varint"),
    "layer of a gigabyte": (b"\xa2\x06" + GIGABYTE, "at byte 7, a field of 1073741824 bytes has only 0"),
    "name of a gigabyte": (delimited(100, b"\x0a" + GIGABYTE), "a field of 1073741824 bytes has only 0"),
    "data of a gigabyte": (blob(b"\x2a" + GIGABYTE + b"abc"), "a field of 1073741824 bytes has only 3"),
    "data of 2**64 - 1 bytes": (blob(b"\x2a" + varint(-1)), "a field of 18446744073709551615 bytes"),
    "value runs into the next layer": (blob(b"\x2d\0\0") + blob(ONE), "a field of 4 bytes has only 2"),
    "varint of 11 bytes": (
        b"\x18" + b"\xff" * 10 + b"\1",
        "at byte 1, a number is cut short or has more than 64 bits",
    ),
    "varint of 65 bits": (b"\x18" + b"\x80" * 9 + b"\2", "at byte 1, a number is cut short or has more than"),
    "varint at the end": (b"\x18\xff", "a number is cut short"),
    "tag of 11 bytes": (b"\x98" + b"\x80" * 10 + b"\0", "at byte 0, a number is cut short"),
    "field 0": (b"\x00\1", "number 0 and wire type 0"),
    "field 2**29": (varint(2**32) + b"\1", "number 536870912 and wire type 0"),
    "wire type 6": (b"\x7e", "number 15 and wire type 6"),
    "wire type 7": (b"\x7f", "number 15 and wire type 7"),
    "groups in groups": (b"\x7b" * 1_000_000, "at byte 101, groups are nested more than 100 deep"),
    "group that does not end": (b"\x7b\x08\1", "ends inside group 15"),
    "group that ends another": (b"\x7b\x74", "group 14 ends and never began"),
    "group that never began": (b"\x7c", "group 15 ends and never began"),
    "group that ends outside": (layer(b"\x7b") + b"\x7c", "ends inside group 15"),
    "half a float": (blob(delimited(5, b"\0\0\0\0\0")), "5 bytes of packed values are no multiple of 4"),
    "half a double": (blob(delimited(8, bytes(12))), "12 bytes of packed values are no multiple of 8"),
    "packed size cut": (blob(ONE, delimited(7, delimited(1, b"\x80"))), "a number is cut short"),
    "too few values": (blob(ONE, shape(1, 2)), r"blob 0 of 'conv' states shape \(1, 2\) and has 1 values"),
    "too many values": (blob(ONE, ONE, shape(1)), r"states shape \(1,\) and has 2 values"),
    "no shape": (blob(ONE, ONE), "states no shape and has 2 values"),
    "nothing": (blob(), "states no shape and has 0 values"),
    "size 0": (blob(shape(0)), r"states shape \(0,\) and has 0 values"),
    "sizes 0 and huge": (blob(shape(2**62, 0)), r"states shape \(4611686018427387904, 0\) and has 0 values"),
    "negative sizes": (blob(ONE, shape(-1, -1)), r"states shape \(-1, -1\) and has 1 values"),
    "negative num": (blob(ONE, b"\x08" + varint(-1)), r"states shape \(-1, 0, 0, 0\)"),
    "missing dims": (blob(ONE, b"\x08\1\x10\1"), r"states shape \(1, 1, 0, 0\) and has 1 values"),
    "terabytes": (blob(ONE, shape(2**20, 2**20)), r"states shape \(1048576, 1048576\)"),
    "sizes whose product overflows": (blob(ONE, shape(2**32 + 1, 2**32 - 1, 1)), "and has 1 values"),
    "33 axes": (blob(ONE, shape(*[1] * 33)), "states 33 axes and has 1 values"),
    "no UTF-8": (delimited(100, delimited(1, b"\xff"), delimited(7, ONE)), "a name is no UTF-8"),
    "name of a megabyte": (delimited(100, delimited(1, b"a" * 10**6)), "a name has 1000000 bytes"),
    "two layers of a name": (blob(ONE) * 2, "at byte 20, a second layer with weights is named 'conv'"),
    "name of two lines": (
        delimited(100, delimited(1, b"a\nb"), delimited(7, ONE)) * 2,
        r"a name holds what cannot be printed, 'a\\nb'",
    ),
}
FOREIGN = {
    "no layers": (delimited(1, b"net"), "no layer has weights; give the .caffemodel"),
    "no weights": (layer() * 3, "no layer has weights; give the .caffemodel"),
    "V0": (
        delimited(2, delimited(1, delimited(1, b"conv"), delimited(50, ONE))),
        "the net is in Caffe's V0 format; upgrade it",
    ),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "a snapshot in HDF5; save it anew with `snapshot_format"),
    "prototxt": (
        b'name: "VGG"\nlayer {\n  name: "conv1"\n}\n',
        "a .prototxt, .solverstate or web page is none",
    ),
    "web page": (b"<!DOCTYPE html>\n<html><body>Not Found</body></html>", "fetch the .caffemodel again"),
    "page in lower case": (
        b"<html>\n<head><title>Moved</title></head></html>",
        "fetch the .caffemodel again",
    ),
    "safetensors": (save({"a": np.zeros(3)}), "fetch the .caffemodel again"),
    "zip": (b"PK\x03\x04" + bytes(40), "fetch the .caffemodel again"),
    "solverstate": (
        PACKED["SolverState"](
            iter=9, learned_net="n.caffemodel", history=[{"data": [1]}]
        ).SerializeToString(),
        "fetch the .caffemodel again",
    ),
    "zeros": (bytes(100), "number 0 and wire type 0"),
    "nothing": (b"", "the file is empty; fetch the .caffemodel again"),
}


@pytest.mark.parametrize(
    ("content", "message"), [*BROKEN.values(), *FOREIGN.values()], ids=[*BROKEN, *FOREIGN]
)
def test_a_broken_or_foreign_file_is_named_and_explained(content, message, path):
    assert read_in_bounds(path, content) is None
    with pytest.raises(CheckpointError, match=message):
        read_caffemodel(path)


MANY = {
    "layers": b"\x12\0" * 300_000,
    "blobs": layer(delimited(7, ONE) * 300_000),
    "chunks": blob(delimited(5, bytes(4)) * 300_000),
    "sizes": blob(ONE, shape(*[1] * 300_000)),
}
READ_IN_128_MIB = """
import resource, sys
from pathlib import Path
from atrous.errors import CheckpointError
from atrous.weights.caffe import read_caffemodel

pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**27,) * 2)
for path in sys.argv[1:]:
    try:
        read_caffemodel(Path(path))
    except CheckpointError as error:
        print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to limit memory")
@pytest.mark.slow
def test_files_of_very_many_fields_are_refused_in_little_memory_and_time(tmp_path):
    for name, content in MANY.items():
        (tmp_path / name).write_bytes(content)
    # In a process of its own, where calls are not checked, which takes a hundred times longer.
    command = [sys.executable, "-c", READ_IN_128_MIB, *(str(tmp_path / name) for name in MANY)]
    lines = subprocess.run(
        command, capture_output=True, check=True, text=True, timeout=50
    ).stdout.splitlines()
    assert len(lines) == len(MANY)
    for name, line in zip(MANY, lines, strict=True):
        assert line.startswith(f"{tmp_path / name}: at byte ")
        assert "more than 200000 fields, as no network has" in line


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.caffemodel")  # which would be waited for
    for path in (tmp_path, tmp_path / "missing.caffemodel", tmp_path / "pipe.caffemodel"):
        with pytest.raises(CheckpointError, match=r"no file there; give the path of a \.caffemodel"):
            read_caffemodel(path)
    with pytest.raises(CheckpointError, match=r"File name too long|no file there"):
        read_caffemodel(tmp_path / ("a" * 300))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(path):
    path.write_bytes(blob(ONE))
    path.chmod(0)
    with pytest.raises(CheckpointError, match=r"cannot be read \(Permission denied\)"):
        read_caffemodel(path)


def test_nothing_stays_mapped_after_an_error(path):
    path.write_bytes(blob(ONE, ONE, shape(3)))
    with pytest.raises(CheckpointError, match="has 2 values"):
        read_caffemodel(path)
    maps = Path("/proc/self/maps")
    assert not maps.exists() or str(path) not in maps.read_text()
