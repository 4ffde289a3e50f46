"""
Look at a saved Keras network without loading it, and let through only what cannot run code.

A ``.keras`` file is a zip of a configuration, weights and metadata. Its configuration names classes
and functions, which Keras would look up and call. So every one is held here against a list, before
Keras sees it, and what Keras is then given is a new file with nothing but what was checked.
"""

import io
import json
import zipfile
from pathlib import Path

from tools.grading import archives

#: The layers that a network may be made of.
LAYERS = frozenset("""
    InputLayer Dense Conv1D Conv2D Conv2DTranspose DepthwiseConv2D SeparableConv2D
    MaxPooling2D AveragePooling2D GlobalMaxPooling2D GlobalAveragePooling2D
    Flatten Reshape Permute ZeroPadding2D Cropping2D UpSampling2D Identity
    BatchNormalization LayerNormalization GroupNormalization UnitNormalization Normalization
    Rescaling Activation ReLU LeakyReLU PReLU ELU Softmax
    Dropout SpatialDropout2D GaussianNoise GaussianDropout
    Add Subtract Multiply Average Maximum Minimum Concatenate
    RandomFlip RandomTranslation RandomRotation RandomZoom RandomContrast RandomBrightness
""".split())

#: What else a configuration may name, by the module that it names it in.
_OTHERS = {
    "keras": {"Sequential", "Functional", "DTypePolicy"},
    "keras.src.models.functional": {"Functional"},
    "keras.layers": LAYERS,
    "keras.initializers": set("""
        Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling GlorotNormal
        GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Orthogonal Identity
    """.split()),
    "keras.regularizers": {"L1", "L2", "L1L2", "OrthogonalRegularizer"},
    "keras.constraints": {"MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm"},
}

#: The members that a file has to have, and the largest size of each in bytes.
MEMBERS = {"metadata.json": 1 << 16, "config.json": 4 << 20, "model.weights.h5": 96 << 20}


class ModelError(Exception):
    """A saved network is refused; the message says what about it, and what to do."""


def _members(file, name):
    """Return the members of a file, by name."""
    try:
        with archives.Archive(file) as archive:
            found = set(archive.names)
            if found != set(MEMBERS):
                raise ModelError(f"{name}: a saved network holds "
                                 f"{', '.join(sorted(MEMBERS))}, and this one does not hold just "
                                 "these. Save it with model.save(\"NAME.keras\")")
            return {member: archive.read(member, size) for member, size in MEMBERS.items()}
    except archives.ArchiveError as error:
        raise ModelError(f"{name}: {error}. Save it with model.save(\"NAME.keras\")"
                         ) from None


def _checked(text, name):
    """Read a configuration and hold all that it names against the lists."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise ModelError(f"{name}: its config.json is not JSON. Save it again") from None
    if not isinstance(config, dict) or config.get("class_name") not in ("Sequential", "Functional"):
        raise ModelError(f"{name}: it is no network of keras.Sequential or of keras.Model(inputs, "
                         "outputs). Build it with one of these")
    config.pop("compile_config", None)  # how it was trained; not needed, and it may name functions
    waiting = [config]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        if not isinstance(one, dict):
            continue
        waiting += one.values()
        if "class_name" not in one:
            continue
        named, module = one["class_name"], one.get("module")
        if named in ("__keras_tensor__", "__tuple__"):
            continue
        if one.get("registered_name") not in (None, named) or not (
                isinstance(named, str) and isinstance(module, str)
                and named in _OTHERS.get(module, ())):
            raise ModelError(f"{name}: it contains {str(named)[:40]!r} of {str(module)[:40]!r}, "
                             "which is none of the layers that a network may be made of here. "
                             "Build it of layers of keras.layers, without Lambda and without "
                             "functions of your own")
    return config


def read_config(path):
    """
    Return the configuration of a saved network, checked.

    Parameters
    ----------
    path : path-like
        The ``.keras`` file. It is not loaded.

    Returns
    -------
    dict
        Its ``config.json``, without how it was compiled.

    Raises
    ------
    ModelError
        When it is no such file, is too large, or names what is on no list.
    """
    path = Path(path)
    return _checked(_members(path, path.name)["config.json"], path.name)


def repacked(content, name):
    """
    Return a saved network as a new file, with nothing in it but what was checked.

    Parameters
    ----------
    content : bytes
        The ``.keras`` file.
    name : str
        What it is called.

    Returns
    -------
    data : bytes
        The new file.
    config : dict
        As `read_config` returns it.

    Raises
    ------
    ModelError
        As `read_config` does.
    """
    members = _members(io.BytesIO(content), name)
    config = _checked(members["config.json"], name)
    members["config.json"] = json.dumps(config).encode()
    try:
        metadata = json.loads(members["metadata.json"])
        version = str(metadata["keras_version"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelError(f"{name}: its metadata.json is not in order. Save it again"
                         ) from None
    members["metadata.json"] = json.dumps({"keras_version": version}).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue(), config
