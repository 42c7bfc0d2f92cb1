"""Volumes, sounds, scores, measured values and SBD's labels."""

import gzip
import io
import zipfile

import numpy as np

from fuzz.formats import Format
from fuzz.mutations import damaged

_RANDOM = np.random.default_rng(0)


def niftis() -> list[bytes]:
    import nibabel
    from nibabel.nifti1 import Nifti1Extension

    made = []
    for kind, dtype in (
        (nibabel.Nifti1Image, np.int16),
        (nibabel.Nifti2Image, np.uint8),
        (nibabel.Nifti1Image, np.float32),
    ):
        values = _RANDOM.integers(0, 6, (7, 6, 5)).astype(dtype)
        image = kind(values, np.diag([1.0, 2.0, 3.0, 1.0]))
        image.header.extensions.append(Nifti1Extension("comment", b"{}"))
        made.append(image.to_bytes())
    return made


def packed_niftis() -> list[bytes]:
    return [gzip.compress(content, mtime=0) for content in niftis()]


def damaged_inside(content: bytes, random: np.random.Generator) -> bytes:
    """A gzip of a damaged content: its checksum is right."""
    return gzip.compress(damaged(gzip.decompress(content), random), mtime=0)


def sounds(*kinds: tuple[str, str, int]) -> list[bytes]:
    import soundfile

    made = []
    for kind, subtype, channels in kinds:
        samples = np.sin(np.arange(1200 * channels) / 9).reshape(-1, channels) / 2
        content = io.BytesIO()
        soundfile.write(content, samples, 8000, format=kind, subtype=subtype)
        made.append(content.getvalue())
    return made


def wavs() -> list[bytes]:
    return sounds(
        ("WAV", "PCM_16", 1),
        ("WAV", "PCM_24", 2),
        ("WAV", "FLOAT", 1),
        ("WAV", "ULAW", 1),
        ("WAV", "IMA_ADPCM", 1),
        ("WAVEX", "PCM_16", 3),
        ("RF64", "PCM_16", 1),
    )


def other_sounds() -> list[bytes]:
    return sounds(
        ("FLAC", "PCM_16", 1),
        ("OGG", "VORBIS", 1),
        ("AIFF", "PCM_16", 2),
        ("MP3", "MPEG_LAYER_III", 1),
        ("OGG", "OPUS", 1),
        ("W64", "PCM_16", 1),
        ("AU", "PCM_16", 1),
    )


def _softmax() -> np.ndarray:
    logits = _RANDOM.normal(size=(3, 8, 9))
    return np.exp(logits) / np.exp(logits).sum(0)


def npzs() -> list[bytes]:
    from atrous.data.score_file import encode_probabilities

    plain = io.BytesIO()
    np.savez(plain, logits=_RANDOM.normal(size=(3, 8, 9)).astype(np.float32))
    return [bytes(encode_probabilities(_softmax())), plain.getvalue()]


def damaged_member(content: bytes, random: np.random.Generator) -> bytes:
    """A zip whose member is damaged inside: its checksum is right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, data in members:
            archive.writestr(info.filename, damaged(data, random))
    return made.getvalue()


def npys() -> list[bytes]:
    made = []
    for values in (np.ones((9, 11), np.float32), np.ones((2, 9, 11)), np.ones((9, 11), np.uint16).T):
        content = io.BytesIO()
        np.save(content, values)
        made.append(content.getvalue())
    return made


def flos() -> list[bytes]:
    return [b"PIEH" + np.array([7, 5], "<i4").tobytes() + np.ones((5, 7, 2), "<f4").tobytes()]


def mats() -> list[bytes]:
    from scipy.io import savemat

    made = []
    for packed in (True, False):
        content = io.BytesIO()
        labels = _RANDOM.integers(0, 21, (6, 8)).astype(np.uint8)
        savemat(content, {"GTcls": {"Segmentation": labels, "Boundaries": 0}}, do_compression=packed)
        made.append(content.getvalue())
    return made


ARRAYS = (
    Format("nifti", ".nii", "fuzz.readers:volume", niftis),
    Format("nifti-gz", ".nii.gz", "fuzz.readers:volume", packed_niftis, (damaged, damaged_inside)),
    Format("wav", ".wav", "fuzz.readers:sound", wavs),
    Format("other-sounds", ".flac", "fuzz.readers:sound", other_sounds),
    Format("npz", ".npz", "fuzz.readers:scores", npzs, (damaged, damaged_member)),
    Format("npy", ".npy", "fuzz.readers:measured", npys),
    Format("npy-scores", ".npz", "fuzz.readers:scores", npzs),
    Format("flo", ".flo", "fuzz.readers:measured", flos),
    Format("mat", ".mat", "fuzz.readers:sbd_mask", mats),
)
