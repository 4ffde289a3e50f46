"""
Say the cases of a definition as Python that a student can read: asserts in a notebook.

The public cases become a cell of the student copy. All cases become tests for otter. Arrays are
written out; functions that judge (``holds``), and those of the harness, come along as text with
whatever they use. A function that cannot be written out raises `NoTextError`. What the asserts say
of themselves is in the language of the source that the assignment is of (`tools.languages`).
"""

import ast
import base64
import functools
import inspect
import textwrap
import types
import zlib
from pathlib import Path

import numpy as np

from tools.grading import definition, driver
from tools.languages import joined, words

#: Arrays with more numbers than this are written in a packed form.
LONG = 400

#: What compares in a notebook as `tools.grading.compare` compares outside the sandbox.
AGREES = '''
def agrees(answer, expected, tolerance={tolerance!r}):
    """Say whether an answer is the expected one: its parts, its shape and, nearly, its values."""
    if isinstance(expected, dict):
        return isinstance(answer, dict) and set(answer) == set(expected) and all(
            agrees(answer[key], expected[key], tolerance) for key in expected)
    if isinstance(expected, tuple):
        return hasattr(answer, "__len__") and len(answer) == len(expected) and all(
            agrees(one, other, tolerance) for one, other in zip(answer, expected))
    answer, expected = np.asarray(answer), np.asarray(expected)
    if answer.shape != expected.shape or answer.dtype == object:
        return False
    if expected.dtype.kind in "biuUS" or tolerance == 0:
        return bool(np.all(answer == expected))
    size = np.linalg.norm(expected)
    return bool(np.linalg.norm(answer - expected) <= tolerance * (size if size > 0 else 1.0))
'''.strip().format(tolerance=definition.TOLERANCE)


class NoTextError(Exception):
    """Something cannot be written as Python; the message says what and why."""


def literal(value):
    """
    Write a value as Python.

    Parameters
    ----------
    value : object
        A number, a truth value, a string, None, an array, or a list, tuple or dictionary of these.

    Returns
    -------
    str

    Raises
    ------
    NoTextError
        When it is something else.

    Examples
    --------
    >>> literal((3, np.array([[1.0, 2.0]])))
    '(3, np.array([[1.0, 2.0]]))'
    >>> literal(np.float32(0.5))
    '0.5'
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if np.isfinite(value) else f"float({str(value)!r})"
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcUS":
        return _array(value)
    if isinstance(value, (list, tuple)):
        inner = ", ".join(map(literal, value))
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}"
                               for key, item in value.items()) + "}"
    raise NoTextError(f"a {type(value).__name__} cannot be written as Python")


def _array(value):
    """Write an array, with its type where a list would not give it."""
    if value.size > LONG and value.dtype.kind in "biuf" and (value == value.flat[0]).all():
        return f'np.full({value.shape}, {literal(value.flat[0])}, dtype="{value.dtype.name}")'
    if value.size > LONG or (value.dtype.kind in "fc" and not np.isfinite(value).all()):
        packed = base64.b64encode(zlib.compress(np.ascontiguousarray(value).tobytes(), 9)).decode()
        return (f'np.frombuffer(zlib.decompress(base64.b64decode("{packed}")), '
                f'"{value.dtype.str}").reshape({value.shape})')
    plain = value.tolist()
    same = np.asarray(plain)
    typed = "" if same.dtype == value.dtype else f', dtype="{value.dtype.name}"'
    if same.shape != value.shape:  # an axis of length 0
        return f'np.zeros({value.shape}, dtype="{value.dtype.name}")'
    return f"np.array({plain!r}{typed})"


def _imports(source):
    """Return the imports that written values need."""
    tree = ast.parse(source)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    lines = [f"import {name}" for name in ("base64", "zlib") if name in used]
    return lines + (["import numpy as np"] if "np" in used else [])


class _Module:
    """The definitions of a file, to be quoted."""

    def __init__(self, path, secret=()):
        self.secret = secret
        self.path = Path(path)
        self._nodes = {}
        for node in ast.parse(self.path.read_text(encoding="utf-8")).body:
            for name in _bound(node):
                self._nodes[name] = node

    def quoted(self, names):
        """Return the statements that these names come from, and what those use, in order."""
        wanted, waiting = {}, list(names)
        while waiting:
            name = waiting.pop()
            node = self._nodes.get(name)
            if node is None or name in wanted:
                continue
            if name in self.secret:
                raise NoTextError(f"{name} is read, which says what is hidden; hand over the one "
                                  "value that is needed")
            wanted[name] = node
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                waiting += [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
        nodes = sorted({id(node): node for node in wanted.values()}.values(),
                       key=lambda node: node.lineno)
        return [self._import(node, wanted) if isinstance(node, (ast.Import, ast.ImportFrom))
                else ast.unparse(node) for node in nodes]

    @staticmethod
    def _import(node, wanted):
        """Return an import of those of its names that are wanted."""
        kept = [alias for alias in node.names
                if (alias.asname or alias.name.split(".")[0]) in wanted]
        if isinstance(node, ast.Import):
            return ast.unparse(ast.Import(kept))
        return ast.unparse(ast.ImportFrom(node.module, kept, node.level))


def _bound(node):
    """Return the names that a statement at the top of a file defines."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [part.id for target in targets if target is not None
            for part in ast.walk(target) if isinstance(part, ast.Name)]


def _function(function, module):
    """Return the lines that define a function, and the expression that is it."""
    if isinstance(function, functools.partial):
        lines, inner = _function(function.func, module)
        given = [*map(literal, function.args),
                 *(f"{key}={literal(item)}" for key, item in function.keywords.items())]
        return (["import functools", *lines],
                f"functools.partial({', '.join([inner, *given])})")
    if not isinstance(function, types.FunctionType):
        raise NoTextError(f"{function!r} is no function that is written in checks.py")
    code = function.__code__
    if function.__qualname__ == function.__name__ and function.__name__ != "<lambda>":
        return module.quoted([function.__name__]), function.__name__
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise NoTextError("the source of a function is not found") from None
    if function.__name__ == "<lambda>":
        tree = ast.parse(module.path.read_text(encoding="utf-8"))
        found = [node for node in ast.walk(tree)
                 if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno]
        if len(found) != 1:
            raise NoTextError("a lambda is not alone on its line; write a function")
        tree, expression = found[0], f"({ast.unparse(found[0])})"
        body = []
    else:
        tree, expression = ast.parse(source), function.__name__
        body = [ast.unparse(tree)]
    used = [part.id for part in ast.walk(tree) if isinstance(part, ast.Name)]
    lines = module.quoted([name for name in used if name not in code.co_freevars])
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        value = cell.cell_contents
        if callable(value):
            more, inner = _function(value, module)
            lines += [*more, *([] if inner == name else [f"{name} = {inner}"])]
        else:
            lines.append(f"{name} = {literal(value)}")
    return lines + body, expression


#: Makes of a saved network what the grader's own program makes of it.
_NETWORK = '''
def network(path, *args, **kwargs):
    """Load a saved network, let it predict, and say what it is made of."""
    import json
    import os
    import zipfile

    import keras

    assert os.path.exists(path), f"There is no {path} here: save your network first."
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    model = keras.saving.load_model(path, compile=False)
    predictions = np.asarray(model.predict(*args, verbose=0, **kwargs), "float32")
    return {"predictions": predictions, "config": config, "parameters": model.count_params(),
            "layers": [_layer(layer) for layer in _layers(model)],
            "path_size": os.path.getsize(path)}
'''.strip()


def _indented(lines, by="    "):
    return [f"{by}{line}" if line else line for text in lines for line in text.split("\n")]


def _unique(lines):
    return list(dict.fromkeys(lines))


def helpers(cases):
    """
    Return what the asserts of some cases need: definitions, once for a notebook or a test.

    Parameters
    ----------
    cases : iterable of tools.grading.definition.Case

    Returns
    -------
    list of str
        Statements, imports first.
    """
    cases = list(cases)
    lines = ["import numpy as np"]
    if any(case.holds is None and not _by_equality(case) for case in cases):
        lines.append(AGREES)
    if any(case.kind == "model" for case in cases):
        own = _Module(driver.__file__)
        lines += [*own.quoted(["_layer", "_layers"]), _NETWORK]
    return _unique(lines)


def _by_equality(case):
    """Say whether a plain == decides."""
    expected = case.expected.item() if isinstance(case.expected, np.generic) else case.expected
    return case.tolerance in (0, definition.TOLERANCE) and isinstance(expected, (bool, int, str))


def _asserted(condition, message):
    """Return an assert, on two lines where it is long."""
    line = f"assert {condition}, {message!r}"
    return line if len(line) <= 100 else f"assert {condition}, (\n    {message!r})"


def asserts(case, assignment, program=None):
    """
    Write one case as Python.

    Parameters
    ----------
    case : tools.grading.definition.Case
    assignment : tools.grading.definition.Assignment
    program : str, optional
        The expression that maps names to the values of the student's program; without it, the
        names are used as they are.

    Returns
    -------
    list of str
        Statements.

    Raises
    ------
    NoTextError
        When a function cannot be written out.
    """
    if isinstance(case.args, definition.Later):
        raise NoTextError("its inputs are made when they are asked for")
    given = ", ".join([*map(literal, case.args),
                       *(f"{key}={literal(item)}" for key, item in case.kwargs.items())])
    target = case.target if program is None else f"{program}[{case.target!r}]"
    before = []
    if case.kind == "value":
        answer = target
    elif case.kind == "call":
        answer = f"{target}({given})"
    elif case.kind == "model":
        answer = f"network({', '.join(filter(None, [repr(case.target), given]))})"
    else:
        names = _Module(assignment.folder / "harness.py").quoted([case.target])
        before = ["def measured(program):", *_indented([*names, f"return {case.target}"
                  f"({', '.join(filter(None, ['program', given]))})"])]
        answer = f"measured({program or 'globals()'})"
    if case.holds is not None:
        module = _Module(assignment.folder / "checks.py", ("VARIANT",))
        lines, name = _function(case.holds, module)
        judge = ["def complaint(answer):",
                 *_indented([*_unique(lines), f"return {name}(answer)"])]
        body = [*before, *judge, f"problem = complaint({answer})",
                f'assert not problem, f"{{problem}} " + {case.message!r}']
    elif _by_equality(case):
        body = [*before, _asserted(f"{answer} == {literal(case.expected)}", case.message)]
    else:
        body = [*before, f"answer = {answer}", f"expected = {literal(case.expected)}"]
        if isinstance(case.expected, np.ndarray) and case.expected.ndim:
            tr = words(assignment.folder.parents[1])
            shape = tr(
                "The shape should be {expected}, and is {answer}.",
                expected="{expected.shape}", answer="{np.shape(answer)}")
            body.append("assert np.shape(answer) == expected.shape, (\n"
                        f'    f"{joined([shape, ""])}"\n'
                        f"    {case.message!r})")
        extra = "" if case.tolerance == definition.TOLERANCE else f", {case.tolerance!r}"
        body.append(_asserted(f"agrees(answer, expected{extra})", case.message))
    return [*[line for line in _imports("\n".join(body)) if line != "import numpy as np"], *body]
