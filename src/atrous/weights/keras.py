"""Layers of a Keras HDF5 file, from Keras 1 to 3, read without Keras; the file is taken for hostile."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from atrous.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    import h5py

Place = tuple[str, ...]

# Where the layers are: in a whole model, in Keras 3, in Keras 2.13; else at the top.
_ROOTS = ("model_weights", "layers", "_layer_checkpoint_dependencies")
_VARIABLES = "vars"  # the group that Keras 3 puts a layer's tensors in
_DEEPEST, _MOST = 16, 100_000  # groups inside groups, and members of all groups: beyond any network
_UNREADABLE = (OSError, RuntimeError, LookupError, TypeError, ValueError)  # what h5py makes of broken bytes


def read_keras(path: Path) -> dict[str, tuple[Tensor, ...]]:
    """Float32 tensors by layer, kernel (h, w, in, out) or (in, out) before bias.

    Reads the released weights of `keras.applications`, what `save_weights` and `save` of Keras 1 and 2 write,
    and `.weights.h5` of Keras 3, which counts the layers of each kind: conv2d, conv2d_1, .., dense, ..

    Raises:
        CheckpointError: If the file is missing, broken, or holds what Keras does not write.
        ConfigError: If h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(f"{path} is read by h5py; pip install 'atrous[datasets]'") from error
    if not path.is_file():
        raise CheckpointError(f"no weights at {path}; give the path of a Keras .h5 file")
    try:
        with h5py.File(path, "r") as file:
            datasets = _datasets(file)
            _check_storage(datasets, size=path.stat().st_size)
            return _layers({place: _tensor(dataset) for place, dataset in _under_root(datasets).items()})
    except CheckpointError as error:
        raise CheckpointError(f"{path} {error}") from error
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path} is cut short or no HDF5 file ({reason}); give a Keras .h5, such as the model.weights.h5 "
            "in a .keras archive"
        ) from error


def _datasets(file: "h5py.File") -> "dict[Place, h5py.Dataset]":
    """All datasets, by the names that lead to them; links that leave the file or come back are refused."""
    import h5py

    found: dict[Place, h5py.Dataset] = {}
    groups: list[tuple[Place, h5py.Group]] = [((), file)]
    seen: set[h5py.Group | h5py.Dataset | h5py.Datatype] = {file}
    for place, group in groups:  # grows on the way
        for name in map(str, group):
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise CheckpointError(
                    f'has a link for "{name}", which is not followed; save the weights anew'
                )
            member = group[name]
            if member in seen:
                raise CheckpointError(f'holds "{name}" under two names; save the weights anew')
            seen.add(member)
            if len(place) > _DEEPEST or len(seen) > _MOST:
                raise CheckpointError("holds more groups than any network; get it anew")
            if isinstance(member, h5py.Group):
                groups.append(((*place, name), member))
            elif isinstance(member, h5py.Dataset):
                found[(*place, name)] = member
    return found


def _check_storage(datasets: "dict[Place, h5py.Dataset]", *, size: int) -> None:
    """Refuse what is no number, lies elsewhere, or would take more memory than the file has bytes."""
    for place, dataset in datasets.items():
        name = "/".join(place)
        if dataset.shape is None or dataset.dtype.kind not in "fiu":
            raise CheckpointError(f"holds no numbers in {name}; weights are numbers, save them anew")
        if dataset.chunks or dataset.is_virtual or dataset.external:
            raise CheckpointError(
                f"keeps {name} in chunks or elsewhere, unlike Keras; repack it with `h5repack -l CONTI`"
            )
    claimed = sum(dataset.nbytes for dataset in datasets.values())
    if claimed > size:
        raise CheckpointError(f"claims {claimed} bytes of weights but has {size}; get it anew")


def _under_root(datasets: "dict[Place, h5py.Dataset]") -> "dict[Place, h5py.Dataset]":
    """Those of the layers, without an optimizer's, by their places below the layers' group."""
    root = next((root for root in _ROOTS if any(place[0] == root for place in datasets)), None)
    if root is None:
        return datasets
    return {place[1:]: dataset for place, dataset in datasets.items() if place[0] == root}


def _tensor(dataset: "h5py.Dataset") -> Tensor:
    return torch.from_numpy(np.asarray(dataset[()], np.float32))


def _layers(tensors: dict[Place, Tensor]) -> dict[str, tuple[Tensor, ...]]:
    """Tensors by layer, those of more dimensions first."""
    groups: dict[Place, list[Tensor]] = {}
    for place, tensor in tensors.items():
        group = place[:-2] if place[-2:-1] == (_VARIABLES,) else place[:-1]
        if not group:
            raise CheckpointError(f"holds {'/'.join(place)} outside of any layer; Keras does not write that")
        groups.setdefault(group, []).append(tensor)
    inside = Counter(group[0] for group in groups)
    layers: dict[str, tuple[Tensor, ...]] = {}
    for group, members in groups.items():
        # A layer's group may hold one of another name; a network inside the network holds one for each layer.
        name = group[0] if inside[group[0]] == 1 else group[-1]
        if name in layers:
            raise CheckpointError(f'has two layers "{name}"; save the network that is wanted alone')
        layers[name] = tuple(sorted(members, key=lambda tensor: -tensor.ndim))
    return layers
