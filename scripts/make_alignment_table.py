"""Writes the table that carries ImageNet's classes over to those of Open Images, COCO and VOC.

A class goes to the target that is the most specific of its hypernyms in WordNet 3.0; which meaning
a target's name has was reviewed by hand, below.
 python scripts/make_alignment_table.py class-descriptions-boxable.csv
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

from wordnet import lineage, nouns

FOLDER = Path(__file__).parents[1] / "src/boxray/classification"
HEAD = """\
# ImageNet's classes as those of Open Images, COCO and VOC; a hyphen where there is none.
# Made by scripts/make_alignment_table.py from the hypernyms of WordNet 3.0, Copyright 2006 by
# Princeton University (its licence: wordnet-licence.txt). Class names of Open Images: CC BY 4.0.
"""
# the first meaning in WordNet that has a class of ImageNet below it is not what Open Images means
OPEN_IMAGES = {
    "Toy": "n03964744", "Ball": "n02778669", "Cart": "n02970849 n03484083", "Dress": "n03236735",
    "Cat": "n02121620", "Fountain": "n03388043", "Horn": "n03394916", "Harp": "n03495258",
    "Footwear": "n03380867", "Scale": "n04141975", "Table": "n04379243 n04379964",
    "Plate": "n07579787", "Missile": "n03773504 n04008634", "Plant": "n00017222",
    "Tank": "n04389033", "Wheel": "n04574999", "Lamp": "n03636248 n03636649",
    "Car": "n02958343", "Helmet": "n03513137 n03513376", "Food": "n07555863",
    "Fruit": "n07705931", "Panda": "n02510455", "Gas stove": "n04330267",
    "Coffee cup": "n07930864", "Printer": "n04004767", "Football": "n04254680",
    "Train": "n04468005", "House": "", "Calculator": "", "Tin can": "", "Kite": "", "Jacket": "",
    "Hedgehog": "", "Closet": "", "Mouse": "", "Shellfish": "", "Sofa bed": "", "Couch": "",
}  # fmt: skip
COCO = {
    "person": "n00007846", "bicycle": "n02834778", "car": "n02958343",
    "motorcycle": "n03790512 n03791053",
    "airplane": "n02691156", "bus": "n02924116", "train": "n04468005", "truck": "n04490091",
    "boat": "n02858304 n04194289 n02981792", "traffic light": "n06874185",
    "stop sign": "", "parking meter": "n03891332", "bench": "n02828884", "bird": "n01503061",
    "cat": "n02121620", "dog": "n02084071", "horse": "n02374451", "sheep": "n02411705",
    "cow": "n02402425", "elephant": "n02503517", "bear": "n02131653", "zebra": "n02391049",
    "backpack": "n02769748", "umbrella": "n04507155", "tie": "n03815615", "suitcase": "",
    "skis": "n04228054", "sports ball": "n02778669", "bottle": "n02876657",
    "wine glass": "n03443371", "cup": "n07930864 n03797390", "spoon": "n04284002",
    "bowl": "n02880940", "banana": "n07753592", "apple": "n07739125", "sandwich": "n07695965",
    "orange": "n07747607", "broccoli": "n07714990", "hot dog": "n07697537",
    "pizza": "n07873807", "chair": "n03001627", "couch": "n04256520",
    "potted plant": "n03991062", "bed": "n02818832", "dining table": "n04379964",
    "toilet": "n04446521 n04447861", "tv": "n04404412", "laptop": "n03642806",
    "mouse": "n03793489", "remote": "n04074963", "keyboard": "n03085013",
    "cell phone": "n02992529", "microwave": "n03761084", "oven": "n04111531",
    "toaster": "n04442312", "refrigerator": "n04070727", "clock": "n03046257",
    "vase": "n04522168", "teddy bear": "n04399382", "hair drier": "n03483316",
    "knife": "n03623556",
}  # fmt: skip
RENAMED = {
    "aeroplane": "airplane", "bicycle": "bicycle", "bird": "bird", "boat": "boat",
    "bottle": "bottle", "bus": "bus", "car": "car", "cat": "cat", "chair": "chair", "cow": "cow",
    "diningtable": "dining table", "dog": "dog", "horse": "horse", "motorbike": "motorcycle",
    "person": "person", "pottedplant": "potted plant", "sheep": "sheep", "sofa": "couch",
    "train": "train", "tvmonitor": "tv",
}  # fmt: skip
VOC = {ours: COCO[theirs] for ours, theirs in RENAMED.items()}
VOC["tvmonitor"] += " n03782006"  # a monitor is one for VOC; COCO says television
# a Dutch oven is a pot, a pinwheel a toy
NOT_OPEN_IMAGES = {"n03259280", "n03944341"}
# cougar, lynx; punching bag; water jug, whiskey jug; Dutch oven
NOT_COCO = {"n02125311", "n02127052", "n04023962", "n04560804", "n04579145", "n03259280"}


def meanings(names: list[str], below: set[str]) -> dict[str, str]:
    """For each name its reviewed meanings, else the only or first that ImageNet knows."""
    by_word = defaultdict(list)
    for synset in nouns().values():
        for word in synset.words:
            by_word[word.lower()].append(synset.wnid)
    found = {}
    for name in names:
        known = [wnid for wnid in by_word[name.lower()] if wnid in below]
        found[name] = OPEN_IMAGES.get(name, known[0] if known else "")
    return found


def nearest(wnid: str, targets: dict[str, str], never: set[str]) -> str:
    """The most specific target above; of those alike the one with the fewest steps, else a hyphen.

    What has a target between itself and the class is not specific: greyhounds are racers, and so
    only two steps below Animal, but Dog is an animal. never: classes that get none.
    """
    above = lineage(wnid)
    hits = {m: name for name, listed in targets.items() for m in listed.split() if m in above}
    broader = {higher for m in hits for higher in lineage(m) if higher != m}
    # of Container and Vehicle, both one step above a wheeled vehicle, the narrower one
    ranked = sorted((above[m], -len(lineage(m)), m) for m in hits.keys() - broader)
    return hits[ranked[0][2]] if ranked and wnid not in never else "-"


def main() -> None:
    """Write the table."""
    lines = (FOLDER / "imagenet.tsv").read_text("utf-8").splitlines()
    wnids = [line.split("\t")[0] for line in lines if not line.startswith("#")]
    below = {higher for wnid in wnids for higher in lineage(wnid)}
    with Path(sys.argv[1]).open(newline="", encoding="utf-8") as file:
        open_images = meanings([row[1] for row in csv.reader(file)], below)
    columns = ((open_images, NOT_OPEN_IMAGES), (COCO, NOT_COCO), (VOC, NOT_COCO))
    rows = ["\t".join([wnid, *(nearest(wnid, *column) for column in columns)]) for wnid in wnids]
    (FOLDER / "alignment.tsv").write_text(HEAD + "\n".join(rows) + "\n", "utf-8")


if __name__ == "__main__":
    main()
