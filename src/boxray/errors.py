"""Every error that boxray raises on purpose, under one root.

A message says what was expected, what came, where, and what to do about it.
"""


class BoxrayError(Exception):
    """The root: catch this to catch everything boxray raises on purpose."""


class BoxError(BoxrayError, ValueError):
    """A box, or an array of boxes, that cannot be one."""


class ImageError(BoxrayError, ValueError):
    """An image that cannot be read, or not safely."""


class FormatError(BoxrayError, ValueError):
    """An annotation file or a data folder that is not what its format says."""


class PreflightError(BoxrayError, RuntimeError):
    """A training that would be in vain as it was asked for; nothing was written."""


class ModelError(BoxrayError, ValueError):
    """A model file or checkpoint that is damaged, foreign or does not fit."""


class SettingError(BoxrayError, ValueError):
    """A setting outside its range, unknown, or in conflict with another."""


class OutputError(BoxrayError, OSError):
    """A result that cannot be written where it was asked for."""


class NetworkError(BoxrayError, OSError):
    """A file that a server does not have, or that did not arrive whole."""


class MissingExtra(BoxrayError, ImportError):
    """A feature whose optional dependency is not installed; the message names the extra."""
