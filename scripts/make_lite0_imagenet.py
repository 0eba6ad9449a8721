"""Writes the shipped classifier, EfficientNet-Lite0 on ImageNet, from the weights of a pip package.

The same versions of torch and onnx write the same bytes.
 python scripts/make_lite0_imagenet.py [FILE]
"""

import sys
from pathlib import Path

from boxray.export import classifier_bytes
from boxray.files import write_atomically
from boxray.recipes.patches import lite0_imagenet

SHIPPED = Path(__file__).parents[1] / "src/boxray/models/lite0-imagenet.onnx"


def main() -> None:
    """Write the file and say how large it is."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED
    content = classifier_bytes(*lite0_imagenet())
    write_atomically(path, content)
    print(f"{path}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
