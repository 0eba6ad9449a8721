"""Reads the nouns of WordNet 3.0, whose byte offsets ImageNet's class ids are.

On Debian the files come with `apt-get install wordnet-base`.
File format: the manual page wndb(5WN).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path("/usr/share/wordnet")
HYPERNYMS = ("@", "@i")  # a kind of; an instance of


@dataclass(frozen=True)
class Synset:
    """One meaning: the words for it, the meanings it is a kind of, and what it is."""

    wnid: str
    words: tuple[str, ...]
    above: tuple[str, ...]
    gloss: str


@cache
def nouns(folder: Path = FOLDER) -> dict[str, Synset]:
    """Every noun of WordNet by its id, `n` and eight digits."""
    lines = (folder / "data.noun").read_text("utf-8").splitlines()
    return {made.wnid: made for made in map(_synset, lines) if made is not None}


def _synset(line: str) -> Synset | None:
    if line.startswith(" "):  # the licence, at the top of the file
        return None
    data, _, gloss = line.partition(" | ")
    offset, _, _, count, *fields = data.split()
    words = 2 * int(count, 16)  # each with a number that tells its meanings apart
    pointers = fields[words + 1 : words + 1 + 4 * int(fields[words])]
    return Synset(
        wnid=f"n{offset}",
        words=tuple(word.replace("_", " ") for word in fields[:words:2]),
        above=tuple(
            f"n{pointers[at + 1]}" for at in range(0, len(pointers), 4) if pointers[at] in HYPERNYMS
        ),
        gloss=gloss.strip(),
    )


def lineage(wnid: str) -> dict[str, int]:
    """What a meaning is a kind of, itself included, and how many steps up each is at least."""
    found = {wnid: 0}
    front = [wnid]
    while front:  # breadth first, so that the first distance found is the least
        following = []
        for name in front:
            for higher in nouns()[name].above:
                if higher not in found:
                    found[higher] = found[name] + 1
                    following.append(higher)
        front = following
    return found


def licence(folder: Path = FOLDER) -> str:
    """The licence as it stands at the top of the files."""
    lines = (folder / "data.noun").read_text("utf-8").splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith(" "))]
    return "\n".join(line[4:].strip() for line in head) + "\n"
