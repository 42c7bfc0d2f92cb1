"""The data sets of the paper in their true folders, with a few tiny files each."""

import json

import numpy as np
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_matrix

SIZE = (6, 8)  # height and width of every image
CITYSCAPES_IDS = (*range(34), *[7] * 14)  # every id once and more road, so that less than half is ignored


def save_image(path, *, size=SIZE):
    """A photograph of noise that no other path has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(list(str(path).encode())).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def save_mask(path, values, *, palette=False):
    """A mask as 8-bit PNG, of colors if the values have three channels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, np.uint8))
    if palette:  # as VOC's are stored
        image.putpalette([value % 256 for value in range(3 * 256)])
    image.save(path)


def checked(*values, size=SIZE):
    """A label map that holds these values by turns."""
    return np.resize(np.array(values, np.uint8), size)


def save_sbd_mask(path, labels, **options):
    """A .mat file nested as SBD's: GTcls is a struct with Boundaries, Segmentation and CategoriesPresent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    boundaries = np.empty((20, 1), dtype=object)
    for number in range(20):
        boundaries[number, 0] = csc_matrix(labels.shape, dtype=np.uint8)
    present = np.setdiff1d(np.unique(labels), [0]).astype(np.uint8)[:, None]
    struct = {"Boundaries": boundaries, "Segmentation": labels, "CategoriesPresent": present}
    savemat(path, {"GTcls": struct}, **{"do_compression": True, **options})


def write_voc(root, *, train=("2007_000032", "2007_000039"), val=("2007_000033",)):
    """VOC2012 as unpacked: lists, and masks of all 21 classes and borders."""
    for name in (*train, *val):
        save_image(root / "JPEGImages" / f"{name}.jpg")
        save_mask(root / "SegmentationClass" / f"{name}.png", checked(*range(21), 255), palette=True)
        save_mask(root / "SegmentationObject" / f"{name}.png", checked(0, 1, 255), palette=True)
    (root / "Annotations").mkdir()
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, names in (("train", train), ("val", val), ("trainval", sorted((*train, *val)))):
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    return root


def write_sbd(root, *, train=("2008_000002", "2007_000033"), val=("2008_000003", "2007_000032")):
    """SBD's dataset folder: its train has an image of VOC's val, its val one of VOC's train."""
    for name in (*train, *val):
        save_image(root / "img" / f"{name}.jpg")
        save_sbd_mask(root / "cls" / f"{name}.mat", checked(0, 15))
    (root / "inst").mkdir()
    for split, names in (("train", train), ("val", val)):
        (root / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    return root


def write_coco(root):
    """COCO 2017: in train a cat on a dining table under a cup; a lone cup; val has a dog."""
    square = [[1, 1, 3, 1, 3, 3, 1, 3]]
    categories = [(17, "cat"), (18, "dog"), (47, "cup"), (67, "dining table")]
    listed = {
        "train": [(9, 67, [[0, 0, 6, 0, 6, 5, 0, 5]]), (9, 17, square), (25, 47, square)],
        "val": [(139, 18, square)],
    }
    for split, objects in listed.items():
        images = sorted({image for image, _, _ in objects})
        for image in images:
            save_image(root / f"{split}2017" / f"{image:012d}.jpg")
        content = {
            "images": [
                {"id": image, "file_name": f"{image:012d}.jpg", "height": SIZE[0], "width": SIZE[1]}
                for image in images
            ],
            "categories": [{"id": number, "name": name} for number, name in categories],
            "annotations": [
                {
                    "id": number,
                    "image_id": image,
                    "category_id": category,
                    "segmentation": outline,
                    "iscrowd": 0,
                }
                for number, (image, category, outline) in enumerate(objects)
            ],
        }
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))
        (root / "annotations" / f"captions_{split}2017.json").write_text("{}")
    return root


def write_cityscapes(root):
    """Two cities in train, one in val, one of dummies in test; four files of labels an image, as unpacked."""
    for split, city, frame in (
        ("train", "aachen", "aachen_000000_000019"),
        ("train", "bochum", "bochum_000000_000313"),
        ("val", "frankfurt", "frankfurt_000000_000294"),
        ("test", "berlin", "berlin_000000_000019"),
    ):
        save_image(root / "leftImg8bit" / split / city / f"{frame}_leftImg8bit.png")
        labels = checked(1, 2, 3) if split == "test" else checked(*CITYSCAPES_IDS)
        masks = root / "gtFine" / split / city
        save_mask(masks / f"{frame}_gtFine_labelIds.png", labels)
        save_mask(masks / f"{frame}_gtFine_instanceIds.png", labels)
        save_mask(masks / f"{frame}_gtFine_color.png", np.repeat(labels[..., None], 3, axis=2))
        (masks / f"{frame}_gtFine_polygons.json").write_text('{"imgHeight": 6, "imgWidth": 8, "objects": []}')
    (root / "README").write_text("The Cityscapes Dataset\n")
    (root / "license.txt").write_text("free for non-commercial use\n")
    return root


def write_ros(root, colors):
    """KITTI_SEMANTIC of Ros et al.: Training_00 and Validation_07 with RGB and GT, masks of these colors."""
    for folder, frames in (("Training_00", (4, 20)), ("Validation_07", (5,))):
        for frame in frames:
            save_image(root / folder / "RGB" / f"{frame:06d}.png")
            save_mask(root / folder / "GT" / f"{frame:06d}.png", np.resize(np.array(colors), (*SIZE, 3)))
    return root


def write_kitti_2018(root):
    """data_semantics of the benchmark: labels for training only."""
    for frame in ("000000_10", "000001_10"):
        save_image(root / "training" / "image_2" / f"{frame}.png")
        save_image(root / "testing" / "image_2" / f"{frame}.png")
        save_mask(root / "training" / "semantic" / f"{frame}.png", checked(*CITYSCAPES_IDS))
        save_mask(root / "training" / "instance" / f"{frame}.png", checked(0))
    return root
