"""A small file that claims to be huge is refused before anything of that size is made."""

from collections.abc import Callable

import pytest
import torch

from fuzz import bombs
from fuzz.formats import Format, all_formats
from fuzz.jail import Limits
from fuzz.network_formats import openvino_files

pytestmark = pytest.mark.slow
FORMATS = all_formats()
SMALL = Limits(seconds=3.0, grown_mib=80)
BOMBS: list[tuple[str, Callable[[], bytes], str]] = [
    ("png", lambda: bombs.bare_png(60_000, 60_000), "more pixels than"),
    ("png", lambda: bombs.bare_png(10_000, 10_000), "more pixels than"),
    ("png", bombs.long_text_png, "cannot be read as an image"),
    ("mask", lambda: bombs.bare_png(60_000, 60_000), "more pixels than"),
    ("depth-and-flow-png", lambda: bombs.bare_png(60_000, 60_000), "exceeds limit"),
    ("tiff", bombs.wide_tiff, "more pixels than"),
    ("geotiff", bombs.wide_tiff, "pixels in a row"),
    ("nifti", lambda: bombs.nifti(sides=(30_000,) * 3), "its header claims"),
    ("nifti-gz", lambda: bombs.nifti(sides=(30_000,) * 3, packed=True), "its header claims"),
    ("npy", lambda: bombs.npy((bombs.HUGE, bombs.HUGE)), "it claims float32"),
    ("npy", lambda: bombs.npy((2**40, 2**40)), "it claims float32"),
    ("npy", bombs.nested_npy, "cannot be read as an array"),
    ("npz", lambda: bombs.npz(bombs.npy((bombs.HUGE, bombs.HUGE))), "cannot be read as an npz"),
    ("npz", bombs.npz_of_zeros, "cannot be read as an npz"),
    ("npz", bombs.npz_by_bzip2, "cannot be read as an npz"),
    ("other-sounds", bombs.flac_of_hours, ""),
    ("wav", lambda: bombs.wav(rate=999_983), "too little in common"),
    ("wav", lambda: bombs.wav(rate=1, frames=2000), "has 1 samples a second"),
    (
        "labelme",
        lambda: bombs.labelme(imageHeight=bombs.HUGE, imageWidth=bombs.HUGE),
        "an image of 1000000 x",
    ),
    ("labelme", bombs.zigzag, "as no outline does"),
    ("coco", lambda: bombs.coco(height=10**9, width=10**9), "an image of 1000000000 x"),
    ("coco", lambda: b"[" * 200_000, "cannot be read as JSON"),
    ("decathlon", lambda: b'{"labels":' + b"[" * 200_000, 'has no "labels"'),
    ("labels-toml", lambda: b"names = " + b"[" * 200_000, "no readable TOML"),
    ("labels-toml", lambda: b'names = ["a"]\n' + b"#" * 2_000_000, "a TOML file here"),
    ("labels-toml", lambda: _many_colors(60_000), "stands for two classes"),
    ("recipe", lambda: b"x = " + b"9" * 300_000, "no readable TOML"),
    ("checkpoint", lambda: bombs.checkpoint(arguments__num_classes=10**9), "tensors are missing, too many"),
    ("checkpoint", lambda: bombs.checkpoint(4, arguments__in_channels=10**9), "alone, and not 1000000000"),
    ("checkpoint", lambda: bombs.checkpoint(network="dilation8"), "holds no weights of"),
    ("checkpoint", lambda: bombs.checkpoint(crf=bombs.crf_of(num_steps=10**9)), "1000000000 steps"),
    ("checkpoint", lambda: bombs.checkpoint(crf=bombs.crf_of(kernels=[{}] * 100)), "100 kernels"),
    ("checkpoint", lambda: bombs.checkpoint(2, crf__num_classes=100_000), "compatibility of shape (3, 3)"),
    ("checkpoint", bombs.nested_checkpoint, "cut short or no safetensors"),
    ("run-state", bombs.nested_state, "cut short or no safetensors"),
    (
        "pth",
        lambda: bombs.pth({"w": torch.ones(1).expand(bombs.HUGE, bombs.HUGE)}),
        "other than plain numbers",
    ),
    ("pth", lambda: bombs.pth({"w": torch.ones(3, 3).to_sparse()}), "other than plain numbers"),
    ("pth", lambda: bombs.pth({"w": torch.ones(3, 3, device="meta")}), "other than plain numbers"),
    ("pth", bombs.shared_pth, "the same numbers under many names"),
    ("pth", bombs.packed_pth, "is broken or holds more than tensors"),
    ("keras", lambda: bombs.keras_of((10**5, 10**5)), "claims 40000000000 bytes"),
    ("keras", lambda: bombs.keras_of((2**32, 2**32)), ""),
    ("onnx", lambda: bombs.card_with(num_channels=10**12), "export it anew"),
    ("onnx", bombs.constant_onnx, "export it anew"),
]


def _many_colors(number: int) -> bytes:
    colors = ", ".join(["[9, 9, 9]"] * number)
    return f'names = ["a"]\nencoding = "color"\npalette = [[0, 0, 0]]\nignore_colors = [{colors}]'.encode()


def outcome_of(kind: Format, content: bytes, jail):
    """What comes of a file, after a whole one has loaded what is needed."""
    path = jail.folder / f"a{kind.suffix}"
    for suffix, beside in kind.beside().items():
        path.with_suffix(suffix).write_bytes(beside)
    path.write_bytes(kind.wholes()[0])
    assert jail.read(kind.reader, path, is_whole=True).kind == "read"
    path.write_bytes(content)
    return jail.read(kind.reader, path)


@pytest.mark.parametrize(("name", "make", "words"), BOMBS)
def test_a_bomb_is_refused_before_it_goes_off(name, make, words, jail):
    outcome = outcome_of(FORMATS[name], make(), jail)
    assert outcome.kind == "refused", outcome
    assert words in outcome.message
    assert not outcome.fault(SMALL)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("nifti-gz", bombs.nifti_with_a_tail),
        ("nifti-gz", lambda: bombs.nifti(extension=2**31 - 16, packed=True)),
        ("wav", lambda: bombs.wav(channels=1024)),
        ("wav", lambda: bombs.wav(rate=100, frames=2000)),
        ("openvino-xml", lambda: bombs.laughing_xml(openvino_files()[0])),
    ],
)
def test_what_may_be_read_takes_no_more_than_it_shows(name, make, jail):
    outcome = outcome_of(FORMATS[name], make(), jail)
    assert outcome.kind in ("read", "refused"), outcome
    assert not outcome.fault(Limits(seconds=5.0, grown_mib=250))
