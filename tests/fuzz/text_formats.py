"""Annotations, classes, recipes, lists and label tracks."""

import json

from fuzz.formats import Format
from fuzz.mutations import damaged_json, damaged_text, damaged_toml


def cocos() -> list[bytes]:
    square = [[1, 1, 5, 1, 5, 5, 1, 5]]
    annotations = [
        {"id": 1, "image_id": 7, "category_id": 3, "segmentation": square, "iscrowd": 0},
        {
            "id": 2,
            "image_id": 7,
            "category_id": 17,
            "segmentation": {"counts": [10, 20, 50], "size": [8, 10]},
            "iscrowd": 1,
        },
        {
            "id": 3,
            "image_id": 7,
            "category_id": 17,
            "segmentation": {"counts": "V1d0", "size": [8, 10]},
            "iscrowd": 0,
        },
    ]
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": 8, "width": 10}],
        "categories": [{"id": 17, "name": "cat"}, {"id": 3, "name": "dog"}],
    }
    return [
        json.dumps({**content, "annotations": annotations[:2]}).encode(),
        json.dumps({**content, "annotations": annotations[:1]}).encode(),
    ]


def labelmes() -> list[bytes]:
    shapes = [
        {"label": "cat", "shape_type": "polygon", "points": [[1, 1], [5, 1], [5, 5], [1, 5]]},
        {"label": "dog", "shape_type": "rectangle", "points": [[6, 7], [3, 3]]},
        {"label": "dog", "shape_type": "circle", "points": [[6, 7], [3, 3]]},
        {"label": "__ignore__", "shape_type": None, "points": [[0, 0], [2, 0], [2, 2]]},
    ]
    return [json.dumps({"imageHeight": 8, "imageWidth": 10, "shapes": shapes}).encode()]


def decathlons() -> list[bytes]:
    return [
        json.dumps({"labels": {"0": "background", "1": "edge"}}).encode(),
        json.dumps({"labels": {"background": 0, "edge": 1}}).encode(),
    ]


def label_files() -> list[bytes]:
    return [
        b'names = ["a", "b"]\npalette = [[0, 0, 0], [255, 0, 0]]\nencoding = "color"\n'
        b"ignore_colors = [[9, 9, 9]]\n",
        b'names = ["a", "b", "c"]\nvalues = [0, 7, 9]\nignore_index = 200\n',
    ]


def value_files() -> list[bytes]:
    return [b'scale = 0.001\nunit = "m"\n', b"scale = 1\n"]


def recipes() -> list[bytes]:
    return [
        b'data = "DATA"\nnetwork = "compact"\nseed = 3\n\n[joint]\nnum_steps = 20\ncrop_size = [64, 64]\n'
        b'scale = [0.5, 2.0]\noptimizer = "adamw"\nlearning_rate = 1e-3\nfrozen = ["conv1_"]\n',
        b'task = "regression"\nminutes = 5\n\n[front_end]\nnum_steps = 1\nschedule = "step"\n'
        b"milestones = [1, 2]\n",
    ]


def lists() -> list[bytes]:
    return [b"images/a.png masks/a.png\n# no more\n", b"images/a.png\tmasks/a.png\n\n"]


def tracks() -> list[bytes]:
    return [b"0.0\t0.5\tyes\n0.5\t1,25\tnone\n", b"0.1\t0.2\tyes\n\\\t100\t200\n"]


TEXTS = (
    Format("coco", ".json", "fuzz.readers:coco", cocos, (damaged_json,)),
    Format("labelme", ".json", "fuzz.readers:labelme", labelmes, (damaged_json,)),
    Format("decathlon", ".json", "fuzz.readers:decathlon", decathlons, (damaged_json,)),
    Format("labels-toml", ".toml", "fuzz.readers:labels_toml", label_files, (damaged_toml,)),
    Format("values-toml", ".toml", "fuzz.readers:values_toml", value_files, (damaged_toml,)),
    Format("recipe", ".toml", "fuzz.readers:recipe", recipes, (damaged_toml,)),
    Format("list", ".txt", "fuzz.readers:listed", lists, (damaged_text,)),
    Format("label-track", ".txt", "fuzz.readers:label_track", tracks, (damaged_text,)),
)
