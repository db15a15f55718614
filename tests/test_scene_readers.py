"""COCO files and folders of masks: what they hold comes out again, and what is wrong with them is said in a sentence."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyresnet.data import IGNORED, SceneSet, load_scenes, mask_folder
from tinyresnet.data.coco_masks import draw_mask, parse_segmentation, unpack
from tinyresnet.data.scene_files import fit
from tinyresnet.errors import InputError

NAN = float("nan")
SQUARE = {"bbox": [10, 4, 20, 8], "segmentation": [[10, 4, 30, 4, 30, 12, 10, 12]]}
CATEGORIES = [{"id": 7, "name": "zebra"}, {"id": 2, "name": "ant"}]


def document(count: int = 5) -> dict:
    """`count` pictures of 40 x 20, each with an ant in a box, picture 1 with a crowd of zebras too."""
    images = [{"id": i, "file_name": f"{i}.png", "width": 40, "height": 20} for i in range(count)]
    found = [{"id": 10 + i, "image_id": i, "category_id": 2, "iscrowd": 0, **SQUARE} for i in range(count)]
    crowd = {"size": [20, 40], "counts": [400, 200, 200]}  # columns 20 to 29
    zebras = {"id": 99, "image_id": 1, "category_id": 7, "iscrowd": 1, "bbox": [20, 0, 10, 20], "segmentation": crowd}
    return {"images": images, "annotations": [*found, zebras], "categories": CATEGORIES}


def draw_pictures(folder: Path, count: int = 5) -> None:
    """0.png ...: black, picture i has a square of the red i + 1 where its box is."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        x = np.zeros((20, 40, 3), np.uint8)
        x[4:12, 10:30, 0] = 1 + i
        Image.fromarray(x).save(folder / f"{i}.png")


def coco_file(root: Path, content: object | None = None) -> Path:
    """`root`/all.json beside its pictures."""
    draw_pictures(root)
    text = content if isinstance(content, str) else json.dumps(document() if content is None else content)
    (root / "all.json").write_text(text)
    return root / "all.json"


LAYOUTS = {
    "coco": ("annotations/instances_{}2017.json", "{}2017", "val"),
    "coco under images": ("annotations/instances_{}.json", "images/{}", "test"),
    "coco all in images": ("annotations/instances_{}.json", "images", "val"),
    "beside": ("{}/_annotations.coco.json", "{}", "valid"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_coco_in_every_layout(layout, tmp_path):
    path, folder, test_name = LAYOUTS[layout]
    for name, count in (("train", 5), (test_name, 3)):
        draw_pictures(tmp_path / folder.format(name), 5)
        target = tmp_path / path.format(name)
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(document(count)))
    train, test = load_scenes(str(tmp_path), task="segment", picture_size=80)
    assert (train.shape, test.shape) == ((5, 3, 80, 80), (3, 3, 80, 80))
    assert (train.classes, train.has_boxes, train.has_masks, train.skipped) == (("ant", "zebra"), True, True, {})
    everything = train.read(np.arange(5))
    reds = everything.x[:, 0].max(axis=(1, 2))
    assert sorted(reds) == [1, 2, 3, 4, 5]
    assert not everything.x[:, :, 40:].any()  # twice as wide as high: the lower half is not the picture's
    assert (everything.masks[:, 40:] == IGNORED).all()
    for k, red in enumerate(reds):
        crowded = red == 2
        assert everything.boxes[k].tolist() == [[20, 8, 60, 24], [40, 0, 60, 40]][: 1 + crowded]
        assert everything.labels[k].tolist() == [0, 1][: 1 + crowded]
        assert everything.crowd[k].tolist() == [False, True][: 1 + crowded]
        wanted = np.zeros((40, 80), np.uint8)
        wanted[8:24, 20:60] = 1
        if crowded:  # its box is the larger one: it lies below
            wanted[:, 40:60] = np.maximum(2 - wanted[:, 40:60], 1)
        assert np.array_equal(everything.masks[k, :40], wanted)
    boxes_alone, _ = load_scenes(str(tmp_path), picture_size=80)
    assert not boxes_alone.has_masks
    assert (boxes_alone.read(np.arange(5)).masks == IGNORED).all()


def test_one_json_file_is_split_by_seed_and_misses_nothing(tmp_path):
    path = coco_file(tmp_path / "set", document(10))
    draw_pictures(tmp_path / "set", 10)
    splits = []
    for seed in (0, 0, 1, 2, 3):
        train, test = load_scenes(str(path), picture_size=40, seed=seed)
        reds = [data.read(np.arange(len(data))).x[:, 0].max(axis=(1, 2)).tolist() for data in (train, test)]
        assert [len(part) for part in reds] == [8, 2]
        assert sorted(reds[0] + reds[1]) == list(range(1, 11))
        splits.append(reds)
    assert splits[0] == splits[1]
    assert len({json.dumps(split) for split in splits}) > 2
    assert len(load_scenes(str(path), train_size=2)[0]) == 2
    (tmp_path / "set" / "images").mkdir()
    for picture in (tmp_path / "set").glob("*.png"):
        picture.rename(picture.parent / "images" / picture.name)
    assert len(load_scenes(str(path))[0]) == 8


def changed(kind: str, **changes: object) -> dict:
    """The document with a change in the first record of a kind; a value None takes the key out."""
    content = copy.deepcopy(document())
    record = content[kind][0]
    for key, value in changes.items():
        record.pop(key) if value is None else record.update({key: value})
    return content


def replaced(kind: str, value: object) -> dict:
    content = document()
    return {**content, kind: [value, *content[kind][1:]]}


def run_length(**changes: object) -> dict:
    return changed("annotations", segmentation={"size": [20, 40], "counts": [800], **changes})


# what is written, the error's words, and what it is counted under where it may be left out
BAD_COCO = {
    "no JSON": ('{"images": [', "no JSON file or damaged", None),
    "nothing": ("", "no JSON file or damaged", None),
    "deep": ("[" * 100_000, "no JSON file or damaged", None),
    "a list": ("[]", "no list 'images'", None),
    "no categories": ({**document(), "categories": {}}, "no list 'categories'", None),
    "empty categories": ({**document(), "categories": []}, "has no categories", None),
    "no annotations": ({**document(), "annotations": []}, "has no annotations", None),
    "no pictures": ({**document(), "images": []}, "annotation 10 .* image_id 0, which no picture has", None),
    "picture a number": (
        replaced("images", 3),
        "picture number 0 .* no dictionary with an id: 3",
        "picture without an id",
    ),
    "picture id a list": (changed("images", id=[1]), "picture number 0", "picture without an id"),
    "picture twice": (changed("images", id=1), "picture 1 .* is there twice", "repeated picture id"),
    "file twice": (changed("images", file_name="1.png"), "picture 1 .* has the file", "repeated picture"),
    "no file name": (changed("images", file_name=None), "file_name None", "picture without a file"),
    "file name odd": (changed("images", file_name="a\0b"), "there is no file", "missing picture"),
    "file gone": (
        changed("images", file_name="gone.png"),
        "picture 0 .* there is no file .*gone.png",
        "missing picture",
    ),
    "no width": (changed("images", width=0), "picture 0 .* is 0 x 20 pixels", "empty picture"),
    "height text": (changed("images", height="20"), "picture 0 .* is 40 x '20' pixels", "empty picture"),
    "wrong size": (changed("images", height=30), "0.png has 40 x 20 pixels, .* for 40 x 30", "picture of another size"),
    "annotation null": (replaced("annotations", None), "annotation number 0", "annotation without an id"),
    "annotation twice": (changed("annotations", id=11), "annotation 11 .* is there twice", "repeated annotation id"),
    "unknown picture": (changed("annotations", image_id=77), "image_id 77", "annotation of an unknown picture"),
    "no category": (changed("annotations", category_id=None), "category_id None", "annotation of an unknown category"),
    "unhashable": (changed("annotations", category_id=[2]), r"category_id \[2\]", "annotation of an unknown category"),
    "true": (changed("annotations", category_id=True), "category_id True", "annotation of an unknown category"),
    "no box": (changed("annotations", bbox=None), "has the box None", "damaged box"),
    "three numbers": (changed("annotations", bbox=[1, 2, 3]), r"the box \[1, 2, 3\]", "damaged box"),
    "not a number": (changed("annotations", bbox=[1, 2, NAN, 4]), r"the box \[1, 2, nan, 4\]", "damaged box"),
    "text box": (changed("annotations", bbox="1234"), "the box '1234'", "damaged box"),
    "huge": (changed("annotations", bbox=[10**400, 1, 1, 1]), "four finite numbers", "damaged box"),
    "far": (
        changed("annotations", bbox=[1e300, 1, 1, 1]),
        "box outside its picture of 40 x 20",
        "box outside its picture",
    ),
    "left": (changed("annotations", bbox=[-2, 0, 9, 9]), "box outside its picture", "box outside its picture"),
    "below": (changed("annotations", bbox=[0, 15, 9, 9]), "annotation 10 .* outside its", "box outside its picture"),
    "beyond the edge": (changed("annotations", bbox=[40, 0, 1, 9]), "outside its picture", "box outside its picture"),
    "zero wide": (changed("annotations", bbox=[3, 3, 0, 4]), "annotation 10 .* zero area", "box of zero area"),
    "negative": (changed("annotations", bbox=[3, 3, 5, -4]), "zero area", "box of zero area"),
    "crowd": (changed("annotations", iscrowd=2), "has iscrowd 2: wanted 0 or 1", "damaged iscrowd"),
    "category twice": (changed("categories", id=2), "category 2 .* is there twice", None),
    "one name": (changed("categories", name="ant"), "category 2 .* has the name 'ant'", None),
    "no segmentation": (changed("annotations", segmentation=None), "polygons, or a dictionary", "damaged segmentation"),
    "no polygons": (changed("annotations", segmentation=[]), "wanted polygons of 3 corners", "damaged segmentation"),
    "two corners": (changed("annotations", segmentation=[[1, 2, 3, 4]]), "of 3 corners", "damaged segmentation"),
    "odd": (changed("annotations", segmentation=[[1] * 7]), "x y x y", "damaged segmentation"),
    "infinite": (changed("annotations", segmentation=[[1, 2, 3, 4, 5, NAN]]), "finite", "damaged segmentation"),
    "other size": (
        run_length(size=[40, 20]),
        r"size is \[40, 20\], but the picture's \[20, 40\]",
        "damaged segmentation",
    ),
    "short runs": (run_length(counts=[1, 2]), "sum to 40 x 20", "damaged segmentation"),
    "negative run": (run_length(counts=[-800, 1600]), "runs are damaged", "damaged segmentation"),
    "runs of text": (run_length(counts=["800"]), "runs are damaged", "damaged segmentation"),
    "packed badly": (run_length(counts="A mask!"), "runs are damaged", "damaged segmentation"),
    "packed for ever": (run_length(counts="o" * 100_000), "runs are damaged", "damaged segmentation"),
}


def read_everything(path: Path, *, skip_bad: bool = False) -> tuple[SceneSet, SceneSet]:
    pair = load_scenes(str(path), task="segment", picture_size=40, skip_bad=skip_bad)
    for data in pair:
        data.read(np.arange(len(data)))
    return pair


@pytest.mark.parametrize("name", BAD_COCO)
def test_bad_coco(name, tmp_path):
    content, message, reason = BAD_COCO[name]
    path = coco_file(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        read_everything(path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    if reason:
        train, test = read_everything(path, skip_bad=True)
        assert test.skipped == {}
        assert train.skipped.pop(reason) == 1
        assert sum(train.skipped.values()) <= 2  # the annotations of a picture left out
        assert len(train) + len(test) == 5 - (content["images"] != document()["images"])


def test_boxes_that_reach_over_by_a_pixel_are_cut_off(tmp_path):
    path = coco_file(tmp_path, changed("annotations", bbox=[-0.5, -1, 41, 21.5]))
    boxes = [
        box.tolist() for data in read_everything(path) for part in data.read(np.arange(len(data))).boxes for box in part
    ]
    assert sorted(boxes) == [[0, 0, 40, 20], *[[10, 4, 30, 12]] * 4, [20, 0, 30, 20]]


def test_a_large_photograph_is_turned_as_its_camera_says(tmp_path):
    content = document(2)
    for record in content["images"]:
        record.update(width=800, height=400, file_name=f"{record['id']}.jpg")
    path = coco_file(tmp_path, content)
    exif = Image.Exif()
    exif[274] = 6  # the camera stood on its right side
    for i in range(2):
        x = np.zeros((400, 800, 3), np.uint8)
        x[:, :400] = 200
        Image.fromarray(x).transpose(Image.Transpose.ROTATE_90).save(tmp_path / f"{i}.jpg", exif=exif)
    data, _ = load_scenes(str(path), picture_size=40)
    x = data.read(np.arange(1)).x[0, :, :20]
    assert x[..., :18].min() > 180
    assert x[..., 22:].max() < 20


def test_a_class_of_the_test_set_must_be_known(tmp_path):
    for name, content in (("train", document()), ("val", changed("categories", name="gnu"))):
        draw_pictures(tmp_path / name)
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / f"instances_{name}.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"category 7 of .*instances_val.json is 'gnu', which is no class"):
        load_scenes(str(tmp_path))
    train, test = load_scenes(str(tmp_path), skip_bad=True)
    assert (train.skipped, test.skipped) == ({}, {"unknown class": 1, "annotation of an unknown category": 1})


def test_runs_are_unpacked_as_pycocotools_packs_them():
    packed = {  # by pycocotools 2.0
        "4162LNO012004": [4, 1, 6, 3, 2, 1, 1, 1, 2, 3, 2, 3, 6],
        "3X19POS9Po0\\GiPOTe0;UZOV<": [3, 40, 9, 8, 300, 1000, 24, 1, 700, 12, 1, 402],
    }
    assert {text: unpack(text) for text in packed} == packed
    mask = np.zeros((5, 7), np.uint8)
    mask[1:4, 2:6], mask[2, 3], mask[4, 0] = 1, 0, 1
    runs = parse_segmentation({"size": [5, 7], "counts": "4162LNO012004"}, 7, 5)
    assert np.array_equal(draw_mask([(2, runs)], fit(7, 5, 7)), 3 * mask)
    large = draw_mask([(0, runs)], fit(7, 5, 21))
    assert np.array_equal(large, np.kron(mask, np.ones((3, 3), np.uint8)))
    rng = np.random.default_rng(0)
    for _ in range(2000):  # whatever the text: runs, or None
        text = "".join(map(chr, rng.integers(40, 115, rng.integers(0, 12))))
        assert unpack(text) is None or all(type(run) is int for run in unpack(text))


def test_polygons_cover_the_pixels_whose_middles_are_inside():
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:60, :60] + 0.5
    for _ in range(30):  # convex: corners in order around the middle, on an oval
        angle = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(5, 9)))
        corners = np.stack([30 + 25 * np.cos(angle), 30 + rng.uniform(10, 25) * np.sin(angle)], axis=1)
        edges = np.roll(corners, -1, axis=0) - corners
        away = [
            (dx * (rows - y) - dy * (columns - x)) / np.hypot(dx, dy)
            for (x, y), (dx, dy) in zip(corners, edges, strict=True)
        ]
        depth = np.min(away, axis=0)
        mask = draw_mask([(0, [corners])], fit(60, 60, 60)) == 1
        assert mask[depth > 0.3].all()
        assert not mask[depth < -0.3].any()


def mask_set(root: Path, count: int = 5, *, classes: str | None = None, value: int = 2) -> Path:
    """Pictures of 40 x 20, black, picture i with the red i + 1 where its mask is `value`; a column is ignored."""
    draw_pictures(root / "images", count)
    (root / "masks").mkdir()
    mask = np.zeros((20, 40), np.uint8)
    mask[4:12, 10:30], mask[:, 39] = value, IGNORED
    for i in range(count):
        Image.fromarray(mask).save(root / "masks" / f"{i}.png")
    if classes is not None:
        (root / "classes.txt").write_text(classes)
    return root


@pytest.mark.parametrize("test_name", ["test", "val", "valid", None])
def test_folders_of_masks(test_name, tmp_path):
    if test_name:
        mask_set(tmp_path / "train", 4)
        mask_set(tmp_path / test_name, 1)
    else:
        mask_set(tmp_path)
    for classes in (None, "nothing\nant\nzebra\n"):
        if classes:
            (tmp_path / "classes.txt").write_text(classes)
        train, test = load_scenes(str(tmp_path), task="segment", picture_size=80)
        assert train.classes == test.classes == (("ant", "zebra") if classes else ("1", "2"))
        assert (len(train), len(test), train.has_boxes, train.has_masks) == (4, 1, False, True)
        batch = train.read(np.arange(4))
        assert np.array_equal((batch.masks == 2)[:, 8:24, 20:60], np.ones((4, 16, 40), bool))
        assert (batch.masks == 2).sum() == 4 * 16 * 40
        assert (batch.masks[:, :40, 78:] == IGNORED).all()
        assert (batch.masks[:, 40:] == IGNORED).all()
        assert [len(boxes) for boxes in batch.boxes] == [0] * 4
    with pytest.raises(InputError, match="has masks and no boxes"):
        load_scenes(str(tmp_path), task="detect")


def small(root: Path) -> None:
    Image.new("L", (40, 21)).save(root / "masks" / "0.png")


def coloured(root: Path) -> None:
    Image.new("RGB", (40, 20)).save(root / "masks" / "0.png")


def stranger(root: Path) -> None:
    Image.new("L", (40, 20), 9).save(root / "masks" / "0.png")


def deep(root: Path) -> None:
    Image.fromarray(np.full((20, 40), 300, np.uint16)).save(root / "masks" / "0.png")


def twin(root: Path) -> None:
    Image.new("RGB", (40, 20)).save(root / "images" / "0.jpg")


def cut(root: Path) -> None:
    (root / "images" / "0.png").write_bytes((root / "images" / "1.png").read_bytes()[:60])


BAD_MASKS = {
    "other size": (small, "0.png has 40 x 21 pixels, but its picture 40 x 20", "mask of another size"),
    "colour": (coloured, "0.png has 3 channels: wanted one", "mask in colour"),
    "unknown class": (stranger, "0.png has the class 9, but the classes are 0 to 2", "unknown class"),
    "16 bits": (deep, "0.png has numbers from 300 to 300", "unknown class"),
    "empty mask": (lambda root: (root / "masks" / "0.png").write_bytes(b""), "the mask .*0.png", "damaged mask"),
    "empty picture": (lambda root: (root / "images" / "0.png").write_bytes(b""), "the picture .*0.png", "damaged picture"),
    "cut picture": (cut, "the picture .*0.png", "damaged picture"),
    "no mask": (lambda root: (root / "masks" / "0.png").unlink(), "picture .*0.png has no mask", "picture without a mask"),
    "no picture": (lambda root: (root / "images" / "0.png").unlink(), "mask .*0.png has no", "mask without a picture"),
    "two names": (twin, r"0.png and .*0.jpg have one name", "repeated name"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_MASKS)
def test_bad_masks(name, tmp_path):
    damage, message, reason = BAD_MASKS[name]
    root = mask_set(tmp_path, classes="nothing\nant\nzebra")
    damage(root)

    def read(skip_bad: bool) -> dict[str, int]:
        pair = load_scenes(str(root), task="segment", picture_size=40, skip_bad=skip_bad)
        assert sum(len(data.read(np.arange(len(data))).x) for data in pair) >= 4
        return pair[0].skipped

    with pytest.raises(InputError, match=message):
        read(skip_bad=False)
    assert read(skip_bad=True) == {reason: 1}
    (root / "classes.txt").unlink()
    if name not in ("unknown class", "16 bits"):
        with pytest.raises(InputError, match=message):
            read(skip_bad=False)
        assert read(skip_bad=True) == {reason: 1}


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("one", "has 1 lines: wanted 2 to 255"),
        ("a\n\nb", "different names"),
        ("a\nb\nb", "different names"),
        ("", "1 lines"),
    ],
)
def test_bad_class_names(classes, message, tmp_path):
    with pytest.raises(InputError, match=f"classes.txt .*{message}"):
        load_scenes(str(mask_set(tmp_path, classes=classes)), task="segment")


def test_what_cannot_be_a_set_of_scenes(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "masks").mkdir()
    bad = [
        (tmp_path / "a.txt", "cannot tell what .*a.txt holds"),
        (tmp_path / "gone", "no file or folder"),
        (tmp_path, "cannot read the folder .*images"),
    ]
    for path, message in bad:
        with pytest.raises(InputError, match=message):
            load_scenes(str(path), task="segment")
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="no class but 0"):
        load_scenes(str(tmp_path), task="segment")
    (tmp_path / "classes.txt").write_text("a\nb")
    with pytest.raises(InputError, match="no training pictures"):
        load_scenes(str(tmp_path), task="segment")
    (tmp_path / "annotations").mkdir()
    for year in (2014, 2017):
        (tmp_path / "annotations" / f"instances_train{year}.json").write_text("{}")
    with pytest.raises(
        InputError, match=r"has instances_train2014.json and instances_train2017.json: give the path of one"
    ):
        load_scenes(str(tmp_path))
    (tmp_path / "annotations" / "instances_train2014.json").unlink()
    (tmp_path / "images").rmdir()
    with pytest.raises(InputError, match=r"instances_train2017.json has no folder of pictures: looked for"):
        load_scenes(str(tmp_path))
    with pytest.raises(InputError, match="only shapes can be endless"):
        load_scenes(str(tmp_path), endless=True)


def test_masks_are_read_when_needed_and_kept(tmp_path, monkeypatch):
    mask_set(tmp_path, classes="nothing\nant\nzebra")
    read = []
    monkeypatch.setattr(
        mask_folder, "read_mask", lambda path, real=mask_folder.read_mask: read.append(path) or real(path)
    )
    monkeypatch.setattr("tinyresnet.data.scene_files.MEASURED", 1)
    for kept, wanted in ((1 << 30, 4), (0, 9)):
        read.clear()
        monkeypatch.setattr("tinyresnet.data.scene_set.KEPT_BYTES", kept)
        train, _ = load_scenes(str(tmp_path), task="segment", picture_size=40)
        assert len(read) == 1
        first, second = (train.read(np.arange(4)) for _ in range(2))
        assert np.array_equal(first.masks, second.masks)
        assert len(read) == wanted
