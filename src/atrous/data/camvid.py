"""CamVid (Brostow et al. 2009) in 11 classes: train/ and trainannot/ (numbers) or train_labels/ (colors)."""

from pathlib import Path

from atrous.data.encoding import ColorEncoding, IndexEncoding
from atrous.data.folder import Dataset, pair_files
from atrous.data.label_file import LABEL_FILE, read_label_file
from atrous.data.labels import Color, LabelSet
from atrous.errors import DataError

CAMVID_COLORS: dict[str, tuple[Color, ...]] = {
    "Sky": ((128, 128, 128),),
    "Building": (
        (128, 0, 0),
        (0, 128, 64),  # Bridge
        (64, 192, 0),  # Wall
        (64, 0, 64),  # Tunnel
        (192, 0, 128),  # Archway
    ),
    "Pole": (
        (192, 192, 128),  # Column_Pole
        (0, 0, 64),  # TrafficCone
    ),
    "Road": (
        (128, 64, 128),
        (128, 0, 192),  # LaneMkgsDriv
        (192, 0, 64),  # LaneMkgsNonDriv
    ),
    "Pavement": (
        (0, 0, 192),  # Sidewalk
        (64, 192, 128),  # ParkingBlock
        (128, 128, 192),  # RoadShoulder
    ),
    "Tree": (
        (128, 128, 0),
        (192, 192, 0),  # VegetationMisc
    ),
    "SignSymbol": (
        (192, 128, 128),
        (128, 128, 64),  # Misc_Text
        (0, 64, 64),  # TrafficLight
    ),
    "Fence": ((64, 64, 128),),
    "Car": (
        (64, 0, 128),
        (64, 128, 192),  # SUVPickupTruck
        (192, 128, 192),  # Truck_Bus
        (192, 64, 128),  # Train
        (128, 64, 64),  # OtherMoving
    ),
    "Pedestrian": (
        (64, 64, 0),
        (192, 128, 64),  # Child
        (64, 0, 192),  # CartLuggagePram
        (64, 128, 64),  # Animal
    ),
    "Bicyclist": (
        (0, 128, 192),
        (192, 0, 192),  # MotorcycleScooter
    ),
}
"""Colors of CamVid's own classes under the 11 that SegNet trained on, each class's own color first.

The grouping is that of MathWorks' example "Semantic Segmentation Using Deep Learning" (camvidPixelLabelIDs),
which follows SegNet (Badrinarayanan et al. 2017). The one class left, Void (0, 0, 0), is ignored.
"""

CAMVID_LABELS = LabelSet(tuple(CAMVID_COLORS), tuple(colors[0] for colors in CAMVID_COLORS.values()))
"""The 11 classes in the order of the common 480 x 360 copy; the released network has another."""

CAMVID_RELEASED_LABELS = LabelSet(
    (
        "Building",
        "Tree",
        "Sky",
        "Car",
        "Sign",
        "Road",
        "Pedestrian",
        "Fence",
        "Pole",
        "Sidewalk",
        "Bicyclist",
    ),
    (
        (128, 0, 0),
        (128, 128, 0),
        (128, 128, 128),
        (64, 0, 128),
        (192, 128, 128),
        (128, 64, 128),
        (64, 64, 0),
        (64, 64, 128),
        (192, 192, 128),
        (0, 0, 192),
        (0, 128, 192),
    ),
)
"""The same 11 in the order and by the names of Yu & Koltun's released network (its datasets/camvid.json).

Sign is SignSymbol above and Sidewalk is Pavement; `order.in_order_of` brings data from one to the other.
"""

_UNLABELED = 11
_INDEX_ENDING, _COLOR_ENDING = "annot", "_labels"


def find_camvid_splits(root: Path) -> tuple[str, ...]:
    """Every folder DATA/SPLIT that has DATA/SPLITannot or DATA/SPLIT_labels beside it."""
    folders = {path.name for path in root.iterdir() if path.is_dir()}
    return tuple(sorted(name for name in folders if {name + _INDEX_ENDING, name + _COLOR_ENDING} & folders))


def open_camvid(root: Path, split: str) -> Dataset:
    """A split of CamVid, or of data in the same folders with classes of their own in DATA/labels.toml.

    Color masks may be named STEM.png or, as in the original, STEM_L.png. Colors of no class are ignored.

    Raises:
        DataError: If there are index masks and color masks, a folder is empty, or no names match.
    """
    images = root / split
    index_masks, color_masks = root / (split + _INDEX_ENDING), root / (split + _COLOR_ENDING)
    if index_masks.is_dir() and color_masks.is_dir():
        raise DataError(
            f"{images} has masks in {index_masks.name} and {color_masks.name}; keep one of the two"
        )
    masks = index_masks if index_masks.is_dir() else color_masks
    if (root / LABEL_FILE).is_file():
        label_file = read_label_file(root)
        return Dataset(label_file.label_set, pair_files(images, masks, label_file.mask_encoding, ending="_L"))
    if masks == index_masks:
        encoding = IndexEncoding(tuple(range(CAMVID_LABELS.num_classes)), ignored=(_UNLABELED,))
    else:
        colors = [(color, label) for label, group in enumerate(CAMVID_COLORS.values()) for color in group]
        encoding = ColorEncoding(tuple(colors), others_ignored=True)
    return Dataset(CAMVID_LABELS, pair_files(images, masks, encoding, ending="_L"))
