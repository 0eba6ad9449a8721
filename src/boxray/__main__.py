"""`python -m boxray` is `boxray`."""

from boxray.cli import main

if __name__ == "__main__":
    main()
