"""What reads each kind of file, in the child process; each takes a path and checks what comes of it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from atrous.errors import AtrousError


def image(path: Path) -> None:
    from atrous.data.image_header import read_header
    from atrous.data.images import decode_image, read_color_mask, read_image, read_index_mask
    from atrous.data.notes import NOTE_WITHIN, read_note

    header = read_header(path)
    read_note(path.read_bytes()[:NOTE_WITHIN])
    _allow(lambda: read_index_mask(path), lambda: read_color_mask(path, refuse_gray=True))
    pixels = read_image(path)
    assert header.size is not None
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    np.testing.assert_array_equal(pixels, decode_image(path.read_bytes(), source="upload"))


def mask(path: Path) -> None:
    from atrous.data.encoding import ColorEncoding, IndexEncoding

    numbers = IndexEncoding((0, 1, 2))
    colors = ColorEncoding((((0, 0, 0), 0), ((255, 0, 0), 1)), others_ignored=True)

    def read(encoding: IndexEncoding | ColorEncoding) -> None:
        assert set(np.unique(encoding.read(path)).tolist()) <= {0, 1, 2, 255}

    _each(lambda: read(numbers), lambda: read(colors))


def measured(path: Path) -> None:
    from atrous.data.measured_file import VALUE_ENDINGS, read_values
    from atrous.data.quantity import DEPTH, FLOW, Quantity

    def read(quantity: Quantity) -> None:
        values = read_values(path, quantity, scale=0.001)
        assert values.dtype == np.float32
        assert len(values) == len(quantity.channels)

    _each(
        *(lambda kind=kind: read(kind) for kind in (DEPTH, FLOW) if path.suffix in VALUE_ENDINGS[kind.kind])
    )


def raster(path: Path) -> None:
    from atrous.inference.label_files import stored_note
    from atrous.inference.rasters import open_raster

    stored_note(path)
    with open_raster(path) as opened:
        height, width = opened.size
        opened.brightest()
        for start in range(0, min(height, 512), 64):
            stop = min(start + 64, height)
            assert opened.read(start, stop).shape == (stop - start, width, 3)
            valid = opened.valid(start, stop)
            assert valid is None or valid.shape == (stop - start, width)


def volume(path: Path) -> None:
    from atrous.data.encoding import IndexEncoding
    from atrous.data.label_volume import stored_note, write_label_volume
    from atrous.data.volume_pair import VolumeMask, read_intensities
    from atrous.data.volumes import open_volume

    stored_note(path)
    _allow(
        lambda: read_intensities(path),
        lambda: VolumeMask(path, IndexEncoding(tuple(range(8)))).read(),
    )
    with open_volume(path) as opened:
        for index in range(min(opened.num_slices, 4)):
            assert opened.read(index).shape == (*opened.size, 3)
        label_maps = (np.zeros(opened.size, np.uint8) for _ in range(opened.num_slices))
        write_label_volume(path.parent / "labels.nii.gz", opened, label_maps, note="{}")


def sound(path: Path) -> None:
    from atrous.data.sound import num_samples_of, read_sound, refuse_broken_header, sample_rate_of

    _allow(
        lambda: refuse_broken_header(path),
        lambda: sample_rate_of(path),
        lambda: num_samples_of(path, sample_rate=16_000),
    )
    samples = read_sound(path, sample_rate=16_000)
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()


def label_track(path: Path) -> None:
    from atrous.data.label_tracks import read_label_track
    from atrous.data.labels import LabelSet

    labels = read_label_track(path, LabelSet(("none", "yes")), num_samples=16_000, sample_rate=8000)
    assert labels.shape == (16_000,)
    assert labels.max() <= 1


def scores(path: Path) -> None:
    from atrous.data.score_file import read_logits

    logits = read_logits(path)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


def sbd_mask(path: Path) -> None:
    from atrous.data.sbd import SbdMask

    labels = SbdMask(path).read()
    assert labels.dtype == np.uint8
    assert labels.ndim == 2


def coco(path: Path) -> None:
    from atrous.data.coco import open_coco

    with _folder(path, "annotations/instances_train.json", "train/a.png") as root:
        dataset = open_coco(root, "train")
        for pair in dataset.pairs[:4]:
            labels = pair.mask.read()
            assert set(np.unique(labels).tolist()) <= {*range(dataset.label_set.num_classes), 255}


def labelme(path: Path) -> None:
    from atrous.data.labelme import open_labelme

    with _folder(path, "train/a.json", "train/a.png") as root:
        (root / "labels.toml").write_text('names = ["background", "cat", "dog"]')
        labels = open_labelme(root, "train").pairs[0].mask.read()
        assert set(np.unique(labels).tolist()) <= {0, 1, 2, 255}


def decathlon(path: Path) -> None:
    from atrous.data.volume_folder import open_decathlon

    with _folder(path, "dataset.json", "imagesTr/a.nii", "labelsTr/a.nii") as root:
        open_decathlon(root, "train")


def labels_toml(path: Path) -> None:
    from atrous.data.label_file import read_label_file

    with _folder(path, "labels.toml") as root:
        label_file = read_label_file(root)
        assert 1 <= label_file.label_set.num_classes <= 255


def values_toml(path: Path) -> None:
    from atrous.config import load_toml
    from atrous.data.open_measured import ValueFile

    load_toml(path, ValueFile)


def recipe(path: Path) -> None:
    from atrous.config import load_toml, to_toml
    from atrous.jobs.train import TrainConfig

    to_toml(load_toml(path, TrainConfig))


def listed(path: Path) -> None:
    from atrous.data.lists import find_list_splits, open_lists

    with _folder(path, "train.txt", "images/a.png", "masks/a.png") as root:
        (root / "labels.toml").write_text('names = ["background", "cat"]')
        if find_list_splits(root):
            dataset = open_lists(root, "train")
            _allow(lambda: dataset[0])


def _allow(*calls: Callable[[], object]) -> None:
    """Each call may be refused, whatever comes of the file itself."""
    for call in calls:
        with suppress(AtrousError):
            call()


def _each(*calls: Callable[[], object]) -> None:
    """Each call may be refused; if all are, so is the file."""
    refusals = []
    for call in calls:
        try:
            call()
        except AtrousError as error:
            refusals.append(error)
    if len(refusals) == len(calls):
        raise refusals[0]


@contextmanager
def _folder(path: Path, place: str, *images: str) -> Iterator[Path]:
    """A data set in which the file has a place, beside empty files of those names."""
    root = Path(tempfile.mkdtemp(dir=path.parent))
    try:
        for name in (place, *images):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        shutil.copyfile(path, root / place)
        yield root
    finally:
        shutil.rmtree(root)
