"""Training that survives being stopped: resumable units, a quiet printer, saved models.

A *unit* is one training run: one network, one seed, one set of hyper-parameters. When the
environment variable ``DATASETSLIB_RUNS`` names a folder, a unit leaves a checkpoint there
after every epoch; run again, it goes on from that checkpoint, or returns at once when it had
finished. Without the variable a unit leaves nothing behind and trains from its start. Models
that a chapter saves are written in either case: `model_path` says where.

Importing this module is cheap. Keras is imported by the functions that need it.

Examples
--------
The smallest unit there is: one number, halved in each of three epochs.

>>> import numpy as np
>>> from datasetslib import training
>>> weight = np.array([8.0])
>>> def epoch(i):
...     weight[...] /= 2
...     return {"loss": weight[0] ** 2}
>>> history = training.run("halving", epoch, 3, [weight], key={"start": 8.0}, folder=None,
...                        line="{epoch} of {n_epochs}: loss {loss:.1f}")
1 of 3: loss 16.0
2 of 3: loss 4.0
3 of 3: loss 1.0
>>> history["loss"][-1]
1.0
"""

import ast
import hashlib
import inspect
import json
import os
import platform
import random
import re
import statistics
import sys
import textwrap
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from datasetslib import __version__, download, recording
from datasetslib.archives import sha256
from datasetslib.errors import DatasetError, IntegrityError, SourceError

__all__ = ["History", "digest", "draw_weights", "fit", "model_path", "run", "train_or_load"]

_FROM_ENVIRONMENT = object()
_FORMAT = 2  # of the checkpoint folder; part of every unit's digest
_MODELS = Path(__file__).with_name("models.json")  # file name -> SHA-256 of published models
_MODEL_LIMIT = 1 << 30  # bytes; a published model is not larger


@dataclass
class History:
    """What a unit left behind: its metrics by epoch and the conditions they held under.

    Attributes
    ----------
    name : str
        The unit's name.
    epochs : list of dict
        The metrics that ``epoch`` returned, one dictionary of floats an epoch.
    seconds : list of float
        Wall time of each epoch, in seconds.
    others : list of (float or None)
        Share (0 to 1) of the machine's CPU time that other processes took during each epoch;
        None where it could not be measured.
    dates : list of str
        When each epoch ended: ISO 8601, UTC.
    machines : list of str
        Where each epoch was trained: the device and, where Keras is in use, the version and the
        backend of Keras.
    n_restored : int
        How many of the epochs came from a checkpoint and were not trained by this call.
    snapshots : dict of str to ndarray
        The arrays that ``snapshot`` returned, stacked along a new first axis of length
        ``n_epochs + 1``: before training, then after each epoch.
    """

    name: str
    epochs: list = field(default_factory=list)
    seconds: list = field(default_factory=list)
    others: list = field(default_factory=list)
    dates: list = field(default_factory=list)
    machines: list = field(default_factory=list)
    n_restored: int = 0
    snapshots: dict = field(default_factory=dict)

    @property
    def metrics(self):
        """Each metric as a list with one value an epoch (dict of str to list of float)."""
        return {key: [epoch[key] for epoch in self.epochs] for key in self.epochs[0]}

    def __getitem__(self, metric):
        """Return one metric's values, one an epoch."""
        return [epoch[metric] for epoch in self.epochs]

    @property
    def others_share(self):
        """Mean of `others`, weighted by the epochs' seconds; None where it is unknown."""
        if not self.others or None in self.others:
            return None
        return float(np.average(self.others, weights=self.seconds))

    @property
    def quiet(self):
        """Whether other processes took under 5 % of the CPU time; None where it is unknown."""
        share = self.others_share
        return None if share is None else share < recording.QUIET_SHARE

    @property
    def seconds_per_epoch(self):
        """Median wall time of an epoch in seconds, over the epochs that had a quiet machine.

        None where there were fewer than three of these, unless they are all there are.
        """
        calm = [seconds for seconds, share in zip(self.seconds, self.others, strict=True)
                if share is not None and share < recording.QUIET_SHARE]
        enough = calm and len(calm) >= min(3, len(self.seconds))
        return statistics.median(calm) if enough else None


def run(name, epoch, n_epochs, variables, *, key, line=None, folder=_FROM_ENVIRONMENT,
        snapshot=None, history_only=False):
    """Train for some epochs, resuming from the last checkpoint where there is one.

    A resumed unit ends bit for bit where an uninterrupted one would, provided that `variables`
    holds everything that training changes, and that ``epoch(i)`` draws its randomness from a
    fixed seed and ``i``, not from a generator that runs on from epoch to epoch.

    Parameters
    ----------
    name : str
        The unit's name; its folder is called after it.
    epoch : callable
        ``epoch(i)``, with i counting from 0, trains one epoch and returns its metrics:
        a dictionary of numbers, such as ``{"loss": 0.1, "val_accuracy": 0.98}``.
    n_epochs : int
        How many epochs the unit has.
    variables : sequence of variables
        ``tf.Variable``, ``keras.Variable`` or ``numpy.ndarray`` objects: the weights, the
        optimiser's moments and step count, the states of random generators. They are read
        after each epoch and assigned when a unit is resumed.
    key : dict
        Everything else that decides the outcome: hyper-parameters, seeds, the arrays trained on,
        the functions that train. Arrays enter by their content, functions by their
        source without comments and docstrings. A change of any of them is another unit.
    line : str, optional
        Format string of the line printed after each epoch, with the fields ``index`` (from 0),
        ``epoch`` (from 1), ``n_epochs``, ``seconds`` and the metrics. The empty string prints
        nothing.
    folder : path-like or None, optional
        Where units are kept; by default the folder that ``DATASETSLIB_RUNS`` names. None:
        nothing is written.
    snapshot : callable, optional
        Called before training and after each epoch; returns a dictionary of arrays, which are
        kept with the checkpoint and come back stacked in ``History.snapshots``. A checkpoint
        that was made without cannot give them: the unit is then trained afresh, and says so.
    history_only : bool, optional
        The caller wants the metrics and not the trained variables. Then the log of a finished
        unit is enough, and where ``DATASETSLIB_FINISHED`` names a folder (full runs set it),
        the unit's log is kept there, a few kilobytes, and read from there the next time: the
        variables are left as they are.

    Returns
    -------
    History

    Raises
    ------
    TypeError
        When `key` holds something whose content cannot be told from its outside.
    ValueError
        When `history_only` is combined with `snapshot`, which a log cannot give back.

    Notes
    -----
    Where two processes ask for one unit, one trains it; the other waits, and is then given
    what the first has made.
    """
    folder = _runs_folder() if folder is _FROM_ENVIRONMENT else folder
    if history_only and snapshot is not None:
        raise ValueError(f"{name}: history_only cannot give snapshots back")
    unit = finished = None
    if folder is not None:
        unit = _Unit(folder, name, digest({"n_epochs": n_epochs, **key}))
        if history_only and os.environ.get("DATASETSLIB_FINISHED"):
            finished = Path(os.environ["DATASETSLIB_FINISHED"]) / f"{unit.folder.name}.json"
    if finished and (history := _read_finished(finished, unit, n_epochs)):
        _show_restored(history, line, n_epochs)
        return history
    with unit.lock() if unit else nullcontext():
        history = _run(name, epoch, n_epochs, list(variables), line, unit, snapshot)
    if finished:
        finished.parent.mkdir(parents=True, exist_ok=True)
        log = json.loads(unit.log.read_text(encoding="utf-8"))
        for of_the_state in ("state", "sha256", "n_variables", "snapshots"):
            del log[of_the_state]
        _write_whole(finished, json.dumps(log) + "\n")
    return history


def _run(name, epoch, n_epochs, variables, line, unit, snapshot):
    """Restore what there is of a unit and train the rest; `run` holds its lock."""
    history, snapshots = History(name), []
    restored = unit.restore(variables, snapshot is not None) if unit else None
    if restored is not None:
        history, snapshots = restored
        _show_restored(history, line, n_epochs)
    if snapshot is not None and not snapshots:
        snapshots.append(_as_arrays(snapshot()))

    for index in range(len(history.epochs), n_epochs):
        clocks, start = recording.cpu_snapshot(), time.perf_counter()
        metrics = {metric: float(value) for metric, value in epoch(index).items()}
        history.epochs.append(metrics)
        history.seconds.append(time.perf_counter() - start)
        history.others.append(recording.others_share(clocks))
        history.dates.append(datetime.now(UTC).isoformat(timespec="seconds"))
        history.machines.append(recording.machine())
        if snapshot is not None:
            snapshots.append(_as_arrays(snapshot()))
        if unit is not None:
            unit.save(variables, history, snapshots)
        _print_line(line, history, index, n_epochs)

    if snapshots:
        history.snapshots = {k: np.stack([s[k] for s in snapshots]) for k in snapshots[0]}
    return history


def _show_restored(history, line, n_epochs):
    """Count and print the epochs that were not trained by this call."""
    ends = [datetime.fromisoformat(date).timestamp() for date in history.dates]
    spans = [(end - seconds, end) for end, seconds in zip(ends, history.seconds, strict=True)]
    recording.add_restored(sum(history.seconds), history.others_share,
                           " and ".join(sorted(set(history.machines))), spans)
    if line != "":
        print(f"{history.name}: epochs 1 to {history.n_restored} restored", flush=True)
        for index in range(history.n_restored):
            _print_line(line, history, index, n_epochs)


def _read_finished(path, unit, n_epochs):
    """Return the history that a finished unit's log holds; None where there is no such log."""
    if not path.exists():
        return None
    log = json.loads(path.read_text(encoding="utf-8"))
    if log["digest"] != unit.digest or len(log["epochs"]) != n_epochs:
        raise ValueError(f"{path.name} is not the log of the finished unit {unit.name!r}: "
                         "remove it, and the unit is trained again")
    return History(unit.name, log["epochs"], log["seconds"], log["others"], log["dates"],
                   log["machines"], n_restored=n_epochs)


def _write_whole(path, text):
    """Write a text file so that it is there whole or not at all."""
    draft = path.with_name(f".{os.getpid()}-{path.name}")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def fit(model, x, y, *, n_epochs, batch_size, seed, name, validation_data=None, line=None,
        folder=_FROM_ENVIRONMENT, after_epoch=None, snapshot=None, history_only=False):
    """Fit a compiled Keras model as a resumable unit.

    Before each epoch the generators of Python and NumPy are seeded from `seed` and the epoch's
    number; the states of the model's own generators (dropout, augmentation) travel in the
    checkpoint. A layer of your own that draws with ``tf.random.normal`` and its kin, in place of a
    `keras.random.SeedGenerator`, is not covered.

    Parameters
    ----------
    model : keras.Model
        A built and compiled model. Its present weights are where training starts.
    x, y : ndarray
        Inputs and targets, samples along the first axis.
    n_epochs, batch_size : int
        Passes over the data, and samples per gradient step.
    seed : int
        Seed of the order of the samples and of everything drawn while training.
    name : str
        The unit's name.
    validation_data : tuple of ndarray, optional
        ``(x, y)``, evaluated after each epoch as ``val_loss`` and so on; its time is part of
        the epoch's seconds.
    after_epoch : callable, optional
        Called without arguments after each epoch; returns a dictionary of further metrics. It
        enters the unit's key by its source.
    line, folder, snapshot, history_only
        As in `run`.

    Returns
    -------
    History
        With Keras's names: ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``.
    """
    if not model.built or not getattr(model, "compiled", False):
        raise ValueError(f"{name}: fit() wants a model that is built and compiled")
    model.optimizer.build(model.trainable_variables)

    batches = _feeder(x, y)
    validation_batches = _feeder(*validation_data) if validation_data else None

    def epoch(index):
        epoch_seed = _seed_of(seed, index)
        # Not keras.utils.set_random_seed: it empties TensorFlow's cache of kernels, and the first
        # step of every epoch would pay for filling it again (two seconds on a slow machine).
        random.seed(epoch_seed)
        np.random.seed(epoch_seed)
        order = np.random.default_rng(epoch_seed).permutation(len(x))
        validation = None
        if validation_batches:
            validation = validation_batches(np.arange(len(validation_data[0])), 500)
        fitted = model.fit(batches(order, batch_size), epochs=1, verbose=0, shuffle=False,
                           validation_data=validation)
        metrics = {metric: values[-1] for metric, values in fitted.history.items()}
        return {**metrics, **(after_epoch() if after_epoch else {})}

    variables = [*model.variables, *model.optimizer.variables]
    architecture = json.loads(model.to_json())
    compiled = model.get_compile_config()
    for config in (compiled, architecture.get("compile_config", {})):
        config.pop("jit_compile", None)  # how a step is computed, not what
    key = {
        "model": _anonymous(architecture),
        "compiled": _anonymous(compiled),
        "start": [_content(v) for v in variables],
        "data": [x, y, *(validation_data or ())],
        "batch_size": batch_size,
        "seed": seed,
        "order": "permutation",  # how an epoch's batches follow from its seed
        "after_epoch": after_epoch,
    }
    return run(name, epoch, n_epochs, variables, key=key, line=line, folder=folder,
               snapshot=snapshot, history_only=history_only)


def _content(variable):
    """Return a variable's value as every backend of Keras has it."""
    value = np.asarray(_value(variable))
    # The states of random generators are int64 with TensorFlow and uint32 with JAX.
    return value.astype("int64") if np.issubdtype(value.dtype, np.integer) else value


def draw_weights(model, seed):
    """Draw the starting weights of a Keras model with NumPy, by its layers' own initialisers.

    Keras draws with the generator of its backend, so the same seed starts another network with
    TensorFlow than with JAX. What NumPy draws is the same everywhere: a unit that was trained
    with one backend, on one machine, can be restored with another.

    Parameters
    ----------
    model : keras.Model
        A built model. Its kernels (both of a separable convolution), and those biases that are
        drawn at random, are overwritten,
        and the states of its random generators (dropout, augmentation) are set. What starts at
        a constant stays.
    seed : int

    Returns
    -------
    keras.Model
        The same model.

    Raises
    ------
    TypeError
        For a layer whose random initialiser this function does not know: it knows those that
        scale with the size of the layer (Glorot, He, LeCun) and `RandomNormal`.
    """
    import keras

    constant = (keras.initializers.Zeros, keras.initializers.Ones, keras.initializers.Constant)
    rng = np.random.default_rng(seed)
    drawn = []
    for layer in model._flatten_layers(include_self=False):
        for name in ("kernel", "bias", "depthwise_kernel", "pointwise_kernel"):
            rule = "_".join([name.removesuffix("_kernel"), "initializer"])
            initializer = getattr(layer, rule, None)
            variable = getattr(layer, name, None)
            if variable is None or initializer is None:
                continue
            if not isinstance(initializer, constant):
                variable.assign(_draw(initializer, variable.shape, rng, layer.name))
            drawn.append(variable.path)
    for variable in model.variables:
        if "seed_generator_state" in variable.path:
            variable.assign(np.array([rng.integers(2**31), 0]))
        elif len(variable.shape) > 1 and variable.path not in drawn:
            raise TypeError(f"draw_weights: it is not known how {variable.path} is drawn")
    return model


def _draw(initializer, shape, rng, layer):
    """Draw one array as a Keras initialiser would; `keras.initializers` documents the rules."""
    import keras

    if isinstance(initializer, keras.initializers.RandomNormal):
        return rng.normal(initializer.mean, initializer.stddev, shape).astype("float32")
    if not isinstance(initializer, keras.initializers.VarianceScaling):
        raise TypeError(f"draw_weights: it is not known how {type(initializer).__name__}, the "
                        f"initialiser of {layer}, draws")
    places = int(np.prod(shape[:-2]))
    fans = {"fan_in": places * shape[-2], "fan_out": places * shape[-1]}
    fans["fan_avg"] = sum(fans.values()) / 2
    variance = initializer.scale / fans[initializer.mode]
    if initializer.distribution == "uniform":
        limit = np.sqrt(3 * variance)
        return rng.uniform(-limit, limit, shape).astype("float32")
    values = rng.normal(size=shape)
    if initializer.distribution == "truncated_normal":
        while (far := np.abs(values) > 2).any():  # within two deviations, which narrows it
            values[far] = rng.normal(size=far.sum())
        values /= 0.87962566103423978
    return (np.sqrt(variance) * values).astype("float32")


def _feeder(x, y):
    """Return a function from the order of the samples and a batch size to batches for Keras.

    With TensorFlow, `Model.fit` turns arrays into a pipeline of several threads that tunes itself.
    On a machine of two cores these threads get in the way of the arithmetic, and an epoch was
    seen to take twice as long in one run as in the next. A pipeline with one thread does not.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        class Batches(keras.utils.PyDataset):
            def __init__(self, order, size):
                super().__init__()
                self.parts = np.split(order, range(size, len(order), size))

            def __len__(self):
                return len(self.parts)

            def __getitem__(self, index):
                return x[self.parts[index]], y[self.parts[index]]

        return Batches

    import tensorflow as tf

    with tf.device("cpu:0"):  # a data set may be larger than what a graphics card has left
        inputs, targets = tf.constant(x), tf.constant(y)
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1

    def batches(order, size):
        rows = tf.data.Dataset.from_tensor_slices(order).batch(size)
        picked = rows.map(lambda row: (tf.gather(inputs, row), tf.gather(targets, row)))
        return picked.prefetch(1).with_options(options)

    return batches


def model_path(filename):
    """Say where a trained model of this name is kept, and make the folder.

    Parameters
    ----------
    filename : str
        Such as ``"mnist_keras.keras"``.

    Returns
    -------
    pathlib.Path
        In the folder ``models`` of ``DATASETSLIB_RUNS``, or of the working directory when that
        variable is not set.
    """
    folder = Path(_runs_folder() or ".") / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / filename


def train_or_load(name, train, *, prefer="train"):
    """Train a Keras model and save it, or load the one that was saved.

    Parameters
    ----------
    name : str
        The model's name; its file is ``model_path(name + ".keras")``.
    train : callable
        Takes nothing, returns the trained model.
    prefer : {"train", "load"}
        ``"load"`` looks at the model's own file first, then under ``DATASETSLIB_MODELS`` (a
        folder or an http, https or file URL), where the file must have the digest that
        ``datasetslib/models.json`` states for it. Finding neither, it trains, and says so.

    Returns
    -------
    keras.Model

    Raises
    ------
    IntegrityError
        When a model under ``DATASETSLIB_MODELS`` is not the one whose digest is stated.
    SourceError
        When ``DATASETSLIB_MODELS`` is set and does not hold the model.
    """
    import keras

    if prefer not in ("train", "load"):
        raise ValueError(f'prefer must be "train" or "load", not {prefer!r}')
    path = model_path(f"{name}.keras")
    if prefer == "load":
        if not path.exists() and os.environ.get("DATASETSLIB_MODELS"):
            _fetch_model(path, os.environ["DATASETSLIB_MODELS"])
        if path.exists():
            saved = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
            print(f"{name}: loaded, not trained; its file is of {saved}")
            return keras.saving.load_model(path)
        print(f"{name}: no saved model here and DATASETSLIB_MODELS is not set, so it is trained")
    model = train()
    draft = path.with_name(f".{os.getpid()}-{path.name}")  # Keras insists on the suffix
    model.save(draft)
    os.replace(draft, path)
    return model


def digest(key):
    """Digest everything that defines a unit.

    Parameters
    ----------
    key : dict, list, tuple, set, str, number, bool, None, ndarray or function, nested
        Dictionaries count without regard to order. A function counts by its source,
        without comments, docstrings and layout; the values that it reads from outside
        do not count, so put them into the key beside it.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.

    Raises
    ------
    TypeError
        For any other object.

    Examples
    --------
    >>> digest({"rate": 0.1, "batch": 100}) == digest({"batch": 100, "rate": 0.1})
    True
    >>> digest({"rate": 0.1}) == digest({"rate": 0.2})
    False
    """
    text = json.dumps([_FORMAT, _describe(key)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _describe(value):
    """Turn a key into nested lists of strings that differ whenever the key does."""
    if isinstance(value, dict):
        return ["dict", *sorted([str(k), _describe(v)] for k, v in value.items())]
    if isinstance(value, list | tuple):
        return ["list", *map(_describe, value)]
    if isinstance(value, set | frozenset):
        return ["set", *sorted(map(_describe, value), key=repr)]
    if value is None or isinstance(value, str | bool | int | float):
        return [type(value).__name__, repr(value)]
    if isinstance(value, np.generic):
        return _describe(value.item())
    if isinstance(value, np.ndarray) and value.dtype != object:
        content = np.ascontiguousarray(value)
        sha = hashlib.sha256(content.reshape(-1).view(np.uint8)).hexdigest()
        return ["array", str(value.dtype), str(value.shape), sha]
    function = getattr(value, "python_function", value)  # what tf.function wraps
    if inspect.isfunction(function) or inspect.isclass(function):
        return ["source", _source(function)]
    raise TypeError(f"a unit's key cannot hold {type(value).__name__}: give its numbers, strings, "
                    "arrays or functions instead")


def _source(function):
    """Return a function's source as the parser sees it: no comments, docstrings or layout."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        documented = isinstance(node, ast.FunctionDef | ast.ClassDef)
        if documented and len(node.body) > 1 and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.unparse(tree)


def _anonymous(config):
    """Replace the automatic names in a configuration: they depend on what was built before."""
    aliases = {}

    def collect(node):
        if isinstance(node, dict):
            inner = node.get("config")
            # A layer's or optimiser's name only labels it; a data type's name is its content.
            if isinstance(inner, dict) and not str(node.get("class_name")).endswith("Policy"):
                if isinstance(inner.get("name"), str):
                    aliases.setdefault(inner["name"], f"#{len(aliases)}")
            for value in node.values():
                collect(value)
        elif isinstance(node, list | tuple):
            for value in node:
                collect(value)

    def rename(node):
        if isinstance(node, dict):
            return {k: rename(v) for k, v in node.items()}
        if isinstance(node, list | tuple):
            return [rename(v) for v in node]
        return aliases.get(node, node) if isinstance(node, str) else node

    collect(config)
    return rename(config)


def _seed_of(seed, index):
    """Mix a seed and an epoch's number into one seed of 32 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:4], "big")


def _runs_folder():
    chosen = os.environ.get("DATASETSLIB_RUNS")
    return Path(chosen).expanduser() if chosen else None


def _value(variable):
    return variable if isinstance(variable, np.ndarray) else variable.numpy()


def _as_arrays(arrays):
    return {name: np.array(value) for name, value in arrays.items()}


def _print_line(line, history, index, n_epochs):
    """Print one whole line: nothing is overwritten, so live and stored output look alike."""
    metrics, seconds = history.epochs[index], history.seconds[index]
    if line is None:
        width = len(str(n_epochs))
        values = "".join(f"   {metric} {value:.4f}" for metric, value in metrics.items())
        text = f"epoch {index + 1:{width}d}/{n_epochs}{values}   {seconds:.1f} s"
    else:
        text = line.format(index=index, epoch=index + 1, n_epochs=n_epochs, seconds=seconds,
                           **metrics)
    if text:
        print(text, flush=True)


def _versions():
    found = {"python": platform.python_version(), "numpy": np.__version__,
             "datasetslib": __version__}
    for module in ("keras", "tensorflow", "torch", "jax"):
        if module in sys.modules:
            found[module] = getattr(sys.modules[module], "__version__", "unknown")
    return found


class _Unit:
    """The folder of one unit: ``log.json``, which names the one valid file of variables.

    The variables are written first, under a name of their own, and the log last. Whenever
    the process dies, the log on disk is whole and names variables that are whole.
    """

    def __init__(self, folder, name, key_digest):
        self.name, self.digest = name, key_digest
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
        self.folder = Path(folder) / "units" / f"{slug}-{key_digest[:12]}"
        self.log = self.folder / "log.json"
        # Outside the unit's folder, where everything but the valid state is swept.
        self.lock_file = Path(folder) / "locks" / f"{self.folder.name}.lock"

    @contextmanager
    def lock(self):
        """Hold the lock under which the unit is restored, trained and saved."""
        # Imported here: a unit that leaves nothing behind needs no lock.
        from filelock import FileLock, Timeout

        lock = FileLock(self.lock_file)
        try:
            self.lock_file.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=2)
        except Timeout:
            print(f"{self.name}: waiting for another process that is training it", flush=True)
            lock.acquire()
        except (OSError, NotImplementedError):
            pass  # a folder that cannot be written: what it holds can be used all the same
        try:
            yield
        finally:
            lock.release()

    def restore(self, variables, wanted):
        """Assign the checkpoint to the variables; return (History, snapshots), or None.

        The snapshots are read only if they are `wanted`; a checkpoint that then holds none
        cannot be used.
        """
        if not self.log.exists():
            return None
        try:
            log = json.loads(self.log.read_text(encoding="utf-8"))
            if log["digest"] != self.digest:
                raise ValueError("it belongs to another unit")
            if wanted and not log["snapshots"]:
                raise ValueError("it holds no snapshots")
            state = self.folder / log["state"]
            if sha256(state) != log["sha256"]:
                raise ValueError(f"{state.name} does not have the digest that log.json states")
            with np.load(state, allow_pickle=False) as stored:
                arrays = [stored[f"v{i}"] for i in range(log["n_variables"])]
                snapshots = [{k: stored[f"s{i}.{k}"] for k in log["snapshots"]}
                             for i in range(len(log["epochs"]) + 1)] if wanted else []
            shapes = [tuple(v.shape) for v in variables]
            if [a.shape for a in arrays] != shapes:
                raise ValueError("its variables have other shapes")
            history = History(self.name, log["epochs"], log["seconds"], log["others"],
                              log["dates"], log["machines"], n_restored=len(log["epochs"]))
        except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
            # Not every OSError: a disk that fails to answer must not cost a finished training.
            print(f"{self.name}: the checkpoint in {self.folder.name} cannot be used ({error}); "
                  "training starts afresh", flush=True)
            return None
        for variable, array in zip(variables, arrays, strict=True):
            if isinstance(variable, np.ndarray):
                variable[...] = array
            else:
                variable.assign(array)
        return history, snapshots

    def save(self, variables, history, snapshots):
        """Write the state after the epoch that ended last; either all of it counts or none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"v{i}": _value(v) for i, v in enumerate(variables)}
        for i, arrays_of_epoch in enumerate(snapshots):
            arrays.update({f"s{i}.{k}": value for k, value in arrays_of_epoch.items()})
        state = self.folder / f"state-{len(history.epochs):04d}.npz"
        draft = state.with_name(f".{os.getpid()}-{state.name}")
        with open(draft, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        state_digest = sha256(draft)
        os.replace(draft, state)
        log = {
            "name": self.name, "digest": self.digest, "state": state.name,
            "sha256": state_digest, "n_variables": len(variables),
            "snapshots": sorted(snapshots[0]) if snapshots else [],
            "epochs": history.epochs, "seconds": history.seconds, "others": history.others,
            "dates": history.dates, "machines": history.machines, "versions": _versions(),
        }
        _write_whole(self.log, json.dumps(log, indent=1) + "\n")
        for other in [*self.folder.glob("state-*.npz"), *self.folder.glob(".*")]:
            if other != state:  # earlier states, and drafts of a process that was killed
                other.unlink(missing_ok=True)


def _fetch_model(path, address):
    """Copy one model from a folder or URL to its place, once its digest has been checked."""
    stated = json.loads(_MODELS.read_text(encoding="utf-8")).get(path.name)
    if "://" not in address:
        address = Path(address).expanduser().resolve().as_uri()
    url = f"{address.rstrip('/')}/{path.name}"
    shown = download.public(url)
    if stated is None:
        raise SourceError.because(
            shown, expected="a model whose SHA-256 is stated in datasetslib/models.json",
            found=f"no entry for {path.name}",
            remedy='Train it (prefer="train"), or unset DATASETSLIB_MODELS.')
    by_hand = f"put the right one at {path} by hand."

    def check(draft):
        found = sha256(draft)
        if found != stated:
            raise IntegrityError.because(
                shown, expected=f"SHA-256 {stated}", found=f"SHA-256 {found}",
                remedy="Fetch it again.")

    try:
        # In a folder of its own: two processes that fetch one model do not meet.
        with TemporaryDirectory(prefix=".", dir=path.parent) as folder:
            draft = Path(folder) / path.name
            download.fetch(url, draft, check, limit=_MODEL_LIMIT)
            os.replace(draft, path)
    except IntegrityError as error:
        raise IntegrityError.because(
            shown, expected=error.expected, found=error.found,
            remedy=f"Fetch the file again, or {by_hand}") from error
    except (DatasetError, OSError) as error:
        raise SourceError.because(
            shown, expected="a saved model", found=getattr(error, "found", error),
            remedy=f"Check DATASETSLIB_MODELS, or {by_hand}") from error
