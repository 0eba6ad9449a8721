"""Writes the table of ImageNet's 1,000 classes that comes with boxray, and WordNet's licence.

Which 1,000, and in which order: timm's imagenet_synsets.txt (Apache-2.0), inside the pip package.
What they are called: WordNet 3.0 (WordNet's licence).
 python scripts/make_imagenet_table.py
"""

from collections import Counter
from importlib import resources
from pathlib import Path

from wordnet import licence, nouns

FOLDER = Path(__file__).parents[1] / "src/boxray/classification"
HEAD = """\
# ImageNet's 1,000 classes (ILSVRC 2012) in the order of networks' outputs: WordNet id and name.
# Ids: timm's imagenet_synsets.txt (Apache-2.0). Names: WordNet 3.0, Copyright 2006 by Princeton
# University (its licence: wordnet-licence.txt). Made by scripts/make_imagenet_table.py.
"""


def named(wnids: list[str]) -> list[str]:
    """The first word for each; where two classes share it, with what they are kinds of."""
    counts = Counter(nouns()[wnid].words[0] for wnid in wnids)
    names = []
    for wnid in wnids:
        synset = nouns()[wnid]
        word = synset.words[0]
        kind = nouns()[synset.above[0]].words[0]
        names.append(word if counts[word] == 1 else f"{word} ({kind})")
    return names


def main() -> None:
    """Write the table and the licence."""
    listed = resources.files("timm").joinpath("data/_info/imagenet_synsets.txt").read_text()
    wnids = listed.split()
    if len(wnids) != 1000 or wnids != sorted(set(wnids)):
        raise SystemExit("timm's list is not what it was: expected 1,000 sorted ids")
    rows = "".join(f"{wnid}\t{name}\n" for wnid, name in zip(wnids, named(wnids), strict=True))
    (FOLDER / "imagenet.tsv").write_text(HEAD + rows, "utf-8")
    (FOLDER / "wordnet-licence.txt").write_text(licence(), "utf-8")


if __name__ == "__main__":
    main()
