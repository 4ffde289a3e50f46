"""
Run one submission's code in the sandbox, and hand back arrays.

The file is copied into the sandbox alone: it needs NumPy and nothing of ours. It reads requests
from its standard input and writes answers to its standard output; the student's program gets
neither. The grader outside imports `pack` and `unpack` from here, so that both sides speak one
language.

What the program answers is the student's word and nothing more. The process is theirs: they may
patch this file's functions, forge its answers or end it. So no expected value ever comes here, and
the grader trusts nothing that comes out, neither its length nor its type.
"""

import ast
import builtins
import contextlib
import ctypes
import json
import linecache
import os
import re
import shutil
import signal
import struct
import sys
import types

import numpy as np
from numpy import asarray, ndarray
from numpy import dtype as as_dtype

#: Kinds of numbers and texts that an array may hold. No objects: those would have to be pickled.
KINDS = frozenset("biufcUS")

#: How deep an answer may be nested, and how many arrays it may have.
DEPTH, LEAVES = 8, 4096

#: Longest axis of an array that holds nothing: whoever goes along it would go for ever.
LONGEST = 1 << 16

#: Longest head of a message: the tree, without its arrays.
HEAD = 1 << 20

_PLAIN = (bool, int, float, str)
_SHORT_FLOATS = ("bfloat16", "float8_e4m3fn", "float8_e5m2")
_LENGTHS = struct.Struct(">IQ")
_MAGIC = b"\x93NUMPY\x01\x00"
_EXCEPTIONS = {name: kind for name, kind in vars(builtins).items()
               if isinstance(kind, type) and issubclass(kind, BaseException)}


class NotArraysError(Exception):
    """What a program answered is not made of numbers, truth values and text."""


class TooLargeError(Exception):
    """What a program answered is larger than an answer may be."""


class MessageError(Exception):
    """A message does not keep to the form; whoever wrote it is not to be trusted."""


class TooSlow(BaseException):  # noqa: N818
    """The time of a cell or a case is over. No Exception, which programs catch by the way."""


class Missing(KeyError):  # noqa: N818
    """The student's program does not have a name that a harness asks for."""


def as_arrays(value, limit=1 << 40, depth=0):
    """
    Return what a program answered, made of NumPy arrays.

    Parameters
    ----------
    value : object
        None, a number, a truth value, a string, an array, a tensor or a variable; or a list, a
        tuple or a dictionary of these.
    limit : int
        Largest size of one array, in bytes.
    depth : int
        How deep `value` already lies.

    Returns
    -------
    None, numpy.ndarray, list, tuple or dict
        A number or a string is an array of no axes. A list whose items have equal shapes is one
        array; any other list stays a list. Tuples and dictionaries stay what they are.

    Raises
    ------
    NotArraysError, TooLargeError
        When it is made of something else, or is too large.

    Examples
    --------
    >>> as_arrays({"shape": (28, 28), "bias": [1, 2.5]})
    {'shape': (array(28), array(28)), 'bias': array([1. , 2.5])}
    >>> as_arrays([[1, 2], [3]])
    [array([1, 2]), array([3])]
    """
    if depth > DEPTH:
        raise NotArraysError("it is nested too deeply")
    if value is None:
        return None
    if isinstance(value, dict):
        if not all(type(key) in (str, int) for key in value):
            raise NotArraysError("a dictionary's keys must be strings or whole numbers")
        return {key: as_arrays(item, limit, depth + 1) for key, item in value.items()}
    if type(value).__name__ == "TensorShape":
        value = tuple(value.as_list())
    if isinstance(value, tuple):
        return tuple(as_arrays(item, limit, depth + 1) for item in value)
    if isinstance(value, list) and not all(type(item) in _PLAIN for item in value):
        items = [as_arrays(item, limit, depth + 1) for item in value]
        return _stacked(items)
    if isinstance(value, list) and len({type(item) is str for item in value}) > 1:
        return [as_arrays(item, limit, depth + 1) for item in value]
    if not isinstance(value, (ndarray, np.generic, list, *_PLAIN)) and hasattr(value, "numpy"):
        value = value.numpy()
    array = asarray(value)  # of a subclass, too, this is a plain array
    if array.dtype.name in _SHORT_FLOATS:
        array = array.astype("float32")
    if array.dtype.kind not in KINDS:
        raise NotArraysError("it is not made of numbers, truth values and strings")
    if array.size * array.dtype.itemsize > limit or (
            not array.size and max(array.shape, default=0) > LONGEST):
        raise TooLargeError("it is larger than an answer may be")
    return array


def _stacked(items):
    """Return a list's items as one array, where shapes agree and all are numbers or texts."""
    if not all(isinstance(item, ndarray) for item in items):
        return items
    kinds = {item.dtype.kind in "US" for item in items}
    if len({item.shape for item in items}) > 1 or len(kinds) > 1:
        return items
    return asarray(items)


def _npy(array):
    """Return an array as the bytes of an ``.npy`` file (version 1.0)."""
    array = asarray(array, order="C")
    head = repr({"descr": array.dtype.str, "fortran_order": False, "shape": array.shape})
    head += " " * (-(len(_MAGIC) + 2 + len(head) + 1) % 64) + "\n"
    return _MAGIC + struct.pack("<H", len(head)) + head.encode("latin1") + array.tobytes()


def _from_npy(data, limit):
    """Read the bytes of an ``.npy`` file whose writer is not trusted, header and size first."""
    if bytes(data[:len(_MAGIC)]) != _MAGIC or len(data) < 10:
        raise MessageError("an array does not begin like one")
    start = 10 + struct.unpack("<H", data[8:10])[0]
    text = bytes(data[10:start]).decode("latin1")
    if len(text) > 4096:
        raise MessageError("an array's header is too long")
    try:
        head = ast.literal_eval(text.strip())
        kind, shape = as_dtype(head["descr"]), head["shape"]
        good = (head["fortran_order"] is False and type(head["descr"]) is str
                and kind.kind in KINDS and type(shape) is tuple and len(shape) <= 32
                and all(type(size) is int and size >= 0 for size in shape))
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        good = False
    if not good:
        raise MessageError("an array's header is not in order")
    size = kind.itemsize
    for length in shape:
        size *= length
    if size != len(data) - start or size > limit or (not size and max(shape, default=0) > LONGEST):
        raise MessageError("an array's size is not what its header says")
    if not size:
        return np.zeros(shape, kind)
    # A copy: the program may write into what it is called with, and no view keeps the message.
    return np.frombuffer(data, kind, offset=start).reshape(shape).copy()


def pack(value):
    """
    Write a value as a tree for JSON and the ``.npy`` bytes of its arrays.

    Parameters
    ----------
    value : object
        None, a truth value, a number, a string, an array, or a list, a tuple or a dictionary of
        these.

    Returns
    -------
    tree, blobs : object, list of bytes
    """
    blobs = []

    def node(item):
        if item is None or type(item) in _PLAIN:
            return {"plain": item}
        if isinstance(item, (ndarray, np.generic)):
            blobs.append(_npy(item))
            return {"scalar" if isinstance(item, np.generic) else "array": len(blobs) - 1}
        if isinstance(item, dict):
            return {"dict": [[key, node(below)] for key, below in item.items()]}
        if isinstance(item, (list, tuple)):
            return {"tuple" if isinstance(item, tuple) else "list": [node(x) for x in item]}
        raise NotArraysError(f"a {type(item).__name__} cannot be sent: give None, truth values, "
                             "numbers, strings, arrays, and lists, tuples and dictionaries of them")

    return node(value), blobs


def unpack(tree, blobs, limit=1 << 40):
    """
    Read what `pack` wrote, or somebody else who is not trusted.

    Parameters
    ----------
    tree : object
        As JSON gave it.
    blobs : list of bytes-like
        The arrays.
    limit : int
        Largest size of one array, in bytes.

    Returns
    -------
    object

    Raises
    ------
    MessageError
        When it does not keep to the form.

    Examples
    --------
    >>> unpack(*pack({"a": (1, np.arange(3))}))
    {'a': (1, array([0, 1, 2]))}
    """
    leaves, used = 0, set()

    def value(node, depth):
        nonlocal leaves
        leaves += 1
        if not isinstance(node, dict) or len(node) != 1 or depth > DEPTH + 4 or leaves > LEAVES:
            raise MessageError("a message is not in order")
        (kind, content), = node.items()
        if kind == "plain" and (content is None or type(content) in _PLAIN):
            return content
        if kind in ("array", "scalar") and type(content) is int and (
                0 <= content < len(blobs) and content not in used):
            used.add(content)  # a message must not become longer by being read
            array = _from_npy(blobs[content], limit)
            return array[()] if kind == "scalar" and not array.shape else array
        if kind in ("tuple", "list") and isinstance(content, list):
            items = [value(item, depth + 1) for item in content]
            return tuple(items) if kind == "tuple" else items
        if kind == "dict" and isinstance(content, list):
            pairs = {}
            for pair in content:
                if not (isinstance(pair, list) and len(pair) == 2 and type(pair[0]) in (str, int)):
                    raise MessageError("a message is not in order")
                pairs[pair[0]] = value(pair[1], depth + 1)
            return pairs
        raise MessageError("a message is not in order")

    return value(tree, 0)


def message(head, blobs=()):
    """Return a message as bytes: two lengths, the head as JSON, the arrays."""
    text = json.dumps({**head, "sizes": [len(blob) for blob in blobs]}).encode()
    return b"".join([_LENGTHS.pack(len(text), sum(map(len, blobs))), text, *blobs])


def lengths(data):
    """Return the lengths of a message's head and arrays from its first `PREFIX` bytes."""
    return _LENGTHS.unpack(data)


#: Bytes that a message begins with.
PREFIX = _LENGTHS.size


def parts(text, data):
    """
    Take apart a message that has been read.

    Parameters
    ----------
    text : bytes
        The head.
    data : bytes-like
        The arrays, one after another.

    Returns
    -------
    head, blobs : dict, list of memoryview

    Raises
    ------
    MessageError
        When it does not keep to the form.
    """
    try:
        head = json.loads(text)
        sizes = head.pop("sizes")
        good = (all(type(size) is int and size >= 0 for size in sizes)
                and len(sizes) <= LEAVES and sum(sizes) == len(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        good = False
    if not good:
        raise MessageError("a message is not in order")
    view, start, blobs = memoryview(data), 0, []
    for size in sizes:
        blobs.append(view[start:start + size])
        start += size
    return head, blobs


# What follows runs in the sandbox.

_MAGIC_LINE = re.compile(r"^(\s*)(?:[%!].*|\?.*|[\w.]+\?{1,2}\s*)$")
_MAGIC_VALUE = re.compile(r"^(\s*[\w, ]+=\s*)[%!].*$")
_TRANSPARENT = ("%%time", "%%timeit", "%%capture", "%%prun")


def python(source):
    r"""
    Return a cell's source without what only IPython understands.

    Examples
    --------
    >>> python("%matplotlib inline\nx = 1")
    'pass\nx = 1'
    >>> python("%%bash\nrm -rf data")
    ''
    """
    lines = source.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%"):
        if not first.startswith(_TRANSPARENT):
            return ""
        lines[lines.index(first)] = ""
        source = "\n".join(lines)
    try:
        ast.parse(source)
        return source
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        lines = [_MAGIC_VALUE.sub(r"\1None", _MAGIC_LINE.sub(r"\1pass", line)) for line in lines]
        return "\n".join(lines)


def _name(error):
    """Return the name of the built-in exception that an exception is, or descends from.

    The name of a class of the student's could carry something out.
    """
    for kind in type(error).__mro__:
        if _EXCEPTIONS.get(kind.__name__) is kind:
            return kind.__name__
    return "Exception"


class _Names(dict):
    """The names of the student's program, as a harness sees them."""

    def __missing__(self, name):
        raise Missing(name)


class Driver:
    """
    The program of one submission, and what it is asked.

    Parameters
    ----------
    requests, answers : int
        Descriptors to read from and write to.
    limit : int
        Largest size of an answer, in bytes.
    """

    def __init__(self, requests, answers, limit):
        self._requests = os.fdopen(requests, "rb")
        self._answers = answers
        self._limit = limit
        self._main = types.ModuleType("__main__")
        self._main.display = lambda *_, **__: None
        sys.modules["__main__"] = self._main
        self._number = 0
        self._harness = None
        self._model = None

    def serve(self):
        """Answer requests until there are no more."""
        while True:
            start = self._requests.read(PREFIX)
            if len(start) < PREFIX:
                return
            head, data = lengths(start)
            request, blobs = parts(self._requests.read(head), self._requests.read(data))
            self._number = request["number"]
            if request["do"] == "cells":
                self._cells(request)
            else:
                self._say(*self._answer(request, blobs))

    def _say(self, head, blobs=()):
        data = memoryview(message({**head, "number": self._number}, blobs))
        while data:
            data = data[os.write(self._answers, data):]

    def _timed(self, seconds, action):
        """Do something for so many seconds at most; return its value, or what it raised instead."""
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, seconds)
                return action(), None
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except BaseException as error:  # noqa: B036  (SystemExit as well)
            return None, error

    def _cells(self, request):
        for number, source in request["cells"]:
            self._say({"cell": number, "raised": None})
            _, error = self._timed(request["seconds"], lambda: self._cell(number, source))  # noqa: B023
            raised = "" if error is None else (
                "TooSlow" if isinstance(error, TooSlow) else _name(error))
            self._say({"cell": number, "raised": raised})
        self._say({"done": True})

    def _cell(self, number, source):
        name = f"<cell {number}>"
        source = python(source)
        # TensorFlow's AutoGraph reads a function's source again.
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        exec(compile(source, name, "exec"), vars(self._main))

    def _answer(self, request, blobs):
        ask = {"call": self._call, "value": self._value, "harness": self._ask_harness,
               "model": self._ask_model}[request["kind"]]

        def action():
            args, kwargs = unpack(request["tree"], blobs)
            answer = as_arrays(ask(request["target"], args, kwargs), self._limit)
            tree, packed = pack(answer)
            if sum(map(len, packed)) > self._limit:
                raise TooLargeError
            return tree, packed

        value, error = self._timed(request["seconds"], action)
        if error is None:
            return {"tree": value[0]}, value[1]
        failures = {TooSlow: "slow", Missing: "missing", NotArraysError: "type",
                    TooLargeError: "large"}
        kind = next((word for cls, word in failures.items() if type(error) is cls), "raised")
        name = str(error.args[0]) if kind == "missing" else _name(error)
        return {"failed": kind, "name": name}, []

    def _value(self, target, args, kwargs):
        if target not in vars(self._main):
            raise Missing(target)
        return vars(self._main)[target]

    def _call(self, target, args, kwargs):
        return self._value(target, args, kwargs)(*args, **kwargs)

    def _ask_harness(self, target, args, kwargs):
        if self._harness is None:
            path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "harness.py")
            module = types.ModuleType("harness")
            module.__file__ = path
            with open(path, encoding="utf-8") as file:
                exec(compile(file.read(), path, "exec"), vars(module))
            self._harness = module
        return getattr(self._harness, target)(_Names(vars(self._main)), *args, **kwargs)

    def _ask_model(self, target, args, kwargs):
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        import keras

        if self._model is None or self._model[0] != target:
            self._model = target, keras.saving.load_model(target, compile=False, safe_mode=True)
        model = self._model[1]
        predictions = model.predict(*args, verbose=0, **kwargs)
        return {"predictions": asarray(predictions, "float32"), "parameters": model.count_params(),
                "layers": json.dumps([_layer(layer) for layer in _layers(model)])}


def _layers(model):
    """Return a model's layers in order, those of models within it in their place."""
    found = []
    for layer in model.layers:
        found += _layers(layer) if hasattr(layer, "layers") else [layer]
    return found


def _shapes(tensors):
    """Return the shape of a tensor, or the shapes of several, as lists."""
    if isinstance(tensors, (list, tuple)):
        shapes = [list(tensor.shape) for tensor in tensors]
        return shapes[0] if len(shapes) == 1 else shapes
    return list(tensors.shape)


def _layer(layer):
    """Say what a layer that has been built is like."""
    return {"name": layer.name, "class": type(layer).__name__, "input": _shapes(layer.input),
            "output": _shapes(layer.output), "parameters": layer.count_params(),
            "weights": [list(weight.shape) for weight in layer.weights]}


def _too_slow(signum, frame):
    raise TooSlow


def confine(limits):
    """Give up rights and set the limits that hold for each process of its own."""
    import resource  # not on Windows, where this file is only imported

    for name, value in limits["resources"].items():
        which = getattr(resource, name)
        _, hard = resource.getrlimit(which)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(which, (value, value))
    if limits["orphan"]:
        # Without a sandbox: to end with the grader, however that ends. Linux only.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if limits["uid"]:
        os.setgroups([])
        os.setresgid(limits["uid"], limits["uid"], limits["uid"])
        os.setresuid(limits["uid"], limits["uid"], limits["uid"])


def main():
    """Set up the process, say so, and answer requests."""
    settings = json.loads(sys.argv[1])
    confine(settings)
    for name in os.listdir(settings["files"]):
        source = os.path.join(settings["files"], name)
        (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, name)
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    driver = Driver(requests, answers, settings["answer"])
    signal.signal(signal.SIGALRM, _too_slow)
    # Scripts find modules beside them; notebooks, in the folder they run in.
    sys.path.insert(0, os.getcwd())
    os.write(answers, message({"ready": True, "number": 0}))
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    driver.serve()


if __name__ == "__main__":
    main()
