"""What the chapters of this course import: data sets, layouts, figures and records.

Importing the package is cheap: no TensorFlow, no matplotlib, no network. Each data set is
a module of its own (``from datasetslib.mnist import mnist``); three names are at hand here
because almost every chapter uses them.

Examples
--------
>>> import datasetslib
>>> issubclass(datasetslib.DatasetError, Exception)
True
"""

from importlib import import_module

from datasetslib.errors import DatasetError

__version__ = "0.1.0"  # pyproject.toml reads it from here
__all__ = ["DatasetError", "__version__", "conditions", "record"]

_LAZY = {"record": "datasetslib.recording", "conditions": "datasetslib.recording"}


def __getattr__(name):
    """Import ``record`` and ``conditions`` when they are first asked for."""
    if name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    """List the lazy names too, so that they can be completed."""
    return sorted(set(globals()) | set(__all__))
