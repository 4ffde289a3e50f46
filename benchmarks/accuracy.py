"""
Time to accuracy: seconds of training until a network of CIFAR-10 is this good.

    python -m benchmarks accuracy [--only NAME ...] [--seeds 0 1 2]

The sides, each from its published hyper-parameters, all in Keras on TensorFlow on the same
machine:

- *chapter 11, NN %*: ours, the rows of chapter 11's race: network, recipe, batches and step are
  the functions of the chapter. In float32 or mixed_bfloat16, whichever takes a step faster here.
- *TensorFlow tutorial*: the convolutional network of TensorFlow's tutorial on CNNs: 3x3
  convolutions to 32, 64 and 64 maps, poolings between them, dense to 64; Adam, batches of 32, ten
  epochs.
- *Keras cifar10_cnn*: the example of the Keras repository: twice two 3x3 convolutions (32, 64),
  pooling and dropout 0.25, dense to 512, dropout 0.5; RMSprop at 1e-4 with a decay of 1e-6,
  batches of 32, moved by a tenth and mirrored at random, 50 epochs. Moving and mirroring is done
  here for a whole batch at a time, which is faster than the example's generator: to its advantage.
- *source, chapter 6* and *source, chapter 7*: the networks that the book reproduces, 20 and 10
  epochs.

After each epoch all 10,000 test images are judged, each looked at once. The clock of the training
stops meanwhile; it includes compilation and the making of batches, not the imports. A side has
reached an accuracy at the end of the first epoch that is at least as good. Ours counts as one
side: of its rows, the quickest to each accuracy.

A run is a unit of one network and one seed, with a checkpoint after each epoch in
``build/benchmarks``; called again, the command goes on where it was stopped. A unit whose epochs
met a busy machine is marked, and so is the result. (A run of ours is made in one go, since its
step size follows a plan.)
"""

import ast
import os
import time
from pathlib import Path

from benchmarks import common, verdicts

OURS = "ours"
CHAPTER = "11_training_fast"
MARKS = (0.60, 0.65, 0.70, 0.74, 0.79, 0.85, 0.87, 0.90, 0.93)
#: The functions of chapter 11 that make and train a network.
LESSON = ["eigenpatches", "whitening", "Normalise", "conv", "block", "network", "started",
          "Batches", "Triangle", "compiled"]
FROM_6 = ("06_cifar10_tensorflow", ["initial_weights", "twin", "compile_twin"])
FROM_7 = ("07_cifar10_keras", ["build", "compiled"])
TUTORIAL, EXAMPLE = "TensorFlow tutorial", "Keras cifar10_cnn"
SOURCE_6, SOURCE_7 = "source, chapter 6", "source, chapter 7"
#: Side -> epochs, batch, seeds where none are named.
PEERS = {TUTORIAL: (10, 32, (0, 1, 2)), EXAMPLE: (50, 32, (0,)),
         SOURCE_6: (20, 128, (0, 1, 2)), SOURCE_7: (10, 128, (0, 1, 2))}


# --- the peers ---------------------------------------------------------------------------


def tutorial():
    """Return the network of TensorFlow's tutorial, compiled as there."""
    import keras
    from keras import layers

    model = keras.Sequential([
        keras.Input((32, 32, 3)),
        layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"),
        layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=["accuracy"])
    return model


def example():
    """Return the network of Keras' example ``cifar10_cnn``, compiled as there."""
    import keras
    from keras import layers

    model = keras.Sequential([
        keras.Input((32, 32, 3)),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2), layers.Dropout(0.25),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(2), layers.Dropout(0.25),
        layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dropout(0.5),
        layers.Dense(10, activation="softmax")])
    # What was RMSprop's decay, in the words of today: rate / (1 + decay * step).
    rate = keras.optimizers.schedules.InverseTimeDecay(1e-4, 1, 1e-6)
    model.compile(keras.optimizers.RMSprop(rate), "sparse_categorical_crossentropy",
                  metrics=["accuracy"])
    return model


def source_6(x, y):
    """Return chapter 6's network as the source had it: its start, its RMSprop, no dropout."""
    import keras
    import numpy as np
    import tensorflow as tf
    from keras import layers

    from datasetslib import training

    names = common.chapter_functions(
        *FROM_6,
        {"keras": keras, "layers": layers, "np": np, "tf": tf, "training": training,
         "learning_rate": 0.001, "xla": False, "x_train": x, "y_train": y})
    return lambda seed: names["twin"](1.0, "source", "TensorFlow 1", seed)


def source_7():
    """Return chapter 7's network, compiled as there."""
    import keras
    from keras import layers

    from datasetslib import training

    names = common.chapter_functions(
        *FROM_7,
        {"keras": keras, "layers": layers, "training": training, "xla": "auto"})
    return lambda seed: names["compiled"](0.001, seed)


def moved(x, rng, reach=0.1):
    """
    Move images by up to a tenth of their side and mirror half of them, as Keras' example does.

    Parameters
    ----------
    x : float32 array of shape (n, height, width, channels)
    rng : numpy.random.Generator
    reach : float
        The largest move, as a share of the side.

    Returns
    -------
    float32 array of the same shape
        Moves are fractions of pixels: neighbours are averaged, and the edge is repeated.
    """
    import numpy as np

    n, height, width, _ = x.shape
    for axis, size in ((1, height), (2, width)):
        places = np.arange(size) + rng.uniform(-reach * size, reach * size, (n, 1))
        low = np.floor(places)
        share = (places - low).astype("float32")
        picks = np.clip(low.astype(int), 0, size - 1), np.clip(low.astype(int) + 1, 0, size - 1)
        rows = np.arange(n)[:, None]
        # Fancy indices in front: the axis that is picked from has to follow the first one.
        across = np.swapaxes(x, 1, axis)
        share = share[:, :, None, None]
        x = np.swapaxes((1 - share) * across[rows, picks[0]] + share * across[rows, picks[1]],
                        1, axis)
    mirrored = rng.random(n) < 0.5
    x[mirrored] = x[mirrored, :, ::-1]
    return x


def batches(x, y, size, augment):
    """Return a function from an epoch's seed to a ``keras.utils.PyDataset`` of its batches."""
    import keras
    import numpy as np

    class Epoch(keras.utils.PyDataset):
        def __init__(self, seed):
            super().__init__()
            self.rng = np.random.default_rng(seed)
            self.order = self.rng.permutation(len(x))

        def __len__(self):
            return -(-len(x) // size)

        def __getitem__(self, index):
            rows = self.order[index * size:(index + 1) * size]
            return (moved(x[rows], self.rng) if augment else x[rows]), y[rows]

    return Epoch


# --- ours --------------------------------------------------------------------------------


def constants(stem, names, folder=common.CHAPTERS):
    """
    Return constants of a chapter: what a name is first set to at the top level, as a literal.

    Parameters
    ----------
    stem : str
    names : list of str
    folder : path-like

    Returns
    -------
    dict

    Raises
    ------
    BenchmarkError
        When a name is not set, or not to a literal.
    """
    path, found = folder / f"{stem}.py", {}
    if not path.is_file():
        raise common.BenchmarkError(f"there is no chapter chapters/{stem}.py, whose recipe is ours")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in names and name not in found:
                # Names of other constants stand for what these are.
                value = _Filled(found).visit(node.value)
                try:
                    found[name] = eval(compile(ast.Expression(ast.fix_missing_locations(value)),
                                               str(path), "eval"), {"__builtins__": {}}, {})
                except (NameError, TypeError) as error:
                    raise common.BenchmarkError(
                        f"chapters/{stem}.py sets {name} to more than numbers and text ({error}): "
                        "the benchmark has to be told what it is") from None
    if missing := [name for name in names if name not in found]:
        raise common.BenchmarkError(f"chapters/{stem}.py does not set {', '.join(missing)}")
    return found


class _Filled(ast.NodeTransformer):
    """Puts known constants in the place of their names."""

    def __init__(self, known):
        self.known = known

    def visit_Name(self, node):  # noqa: N802, the name that ast calls
        """Replace a name that is known."""
        return ast.parse(repr(self.known[node.id]), mode="eval").body if (
            node.id in self.known) else node


class Ours:
    """
    The recipe of chapter 11.

    Parameters
    ----------
    folder : path-like
        Where the chapter lies.

    Attributes
    ----------
    rows : dict
        Name of a row -> its complete recipe, precision excepted.
    """

    def __init__(self, folder=common.CHAPTERS):
        import keras
        import numpy as np
        from keras import layers, ops

        from datasetslib import training

        found = constants(CHAPTER, ["batch_size", "races", "recipe"], folder)
        self.names = common.chapter_functions(
            CHAPTER, LESSON, {"keras": keras, "np": np, "layers": layers, "ops": ops,
                              "training": training}, folder)
        self.rows = {f"chapter 11, {row} %": {**found["recipe"], **settings}
                     for row, settings in found["races"].items()}
        self.digest = common.chapter_digest(CHAPTER, LESSON, folder)
        self.keras, self.np = keras, np

    def choose(self, settings, x, y, n_steps=20):
        """Return the settings with the precision whose step is the faster one on this machine."""
        spent = {}
        for precision in ("float32", "mixed_bfloat16"):
            model, data = self.names["compiled"](
                x, y, 0, {**settings, "precision": precision, "xla": False})
            times = []
            for step in range(n_steps):
                batch = data[step % len(data)]
                start = time.perf_counter()
                model.train_on_batch(*batch)
                times.append(time.perf_counter() - start)
            spent[precision] = min(times)
        return {**settings, "precision": min(spent, key=spent.get), "xla": False}

    def train(self, settings, x, y, x_test, y_test, seed):
        """
        Train a row, judging it after each epoch.

        Returns
        -------
        tuple of list
            Seconds of training and test accuracy, one for each epoch.
        """
        keras, np, seconds, accuracy = self.keras, self.np, [], []

        class Judge(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                # Compilation and the network's making fall before the first epoch.
                self.began = started if epoch == 0 else time.perf_counter()

            def on_epoch_end(self, epoch, logs=None):
                seconds.append(time.perf_counter() - self.began)
                logits = self.model.predict(x_test, batch_size=500, verbose=0)
                accuracy.append(float(np.mean(logits.argmax(axis=1) == y_test)))

        started = time.perf_counter()
        keras.utils.set_random_seed(seed)
        model, data = self.names["compiled"](x, y, seed, settings)
        model.fit(data, epochs=settings["epochs"], verbose=0, callbacks=[Judge()])
        del model
        keras.utils.clear_session()  # many networks are trained in one process
        return seconds, accuracy


# --- the benchmark -----------------------------------------------------------------------


def run_peer(side, seed, epochs, data):
    """
    Train a peer as a resumable unit.

    Returns
    -------
    dict
        ``seconds`` and ``accuracy`` by epoch, ``others`` (share of the CPU time or None).
    """
    import keras
    import numpy as np

    from datasetslib import training

    x, y, x_test, y_test = data
    _, size, _ = PEERS[side]
    keras.config.set_dtype_policy("float32")
    make = {TUTORIAL: lambda: lambda s: training.draw_weights(tutorial(), s),
            EXAMPLE: lambda: lambda s: training.draw_weights(example(), s),
            SOURCE_6: lambda: source_6(x, y), SOURCE_7: source_7}[side]()
    epoch_of = batches(x, y, size, augment=side == EXAMPLE)
    keras.utils.set_random_seed(seed)
    model = make(seed)
    model.optimizer.build(model.trainable_variables)

    def epoch(i):
        start = time.perf_counter()
        model.fit(epoch_of([seed, i]), epochs=1, verbose=0)
        spent = time.perf_counter() - start
        answers = model.predict(x_test, batch_size=500, verbose=0)
        return {"fit_seconds": spent,
                "test_accuracy": float(np.mean(answers.argmax(axis=1) == y_test))}

    variables = [*model.variables, *model.optimizer.variables]
    history = training.run(
        f"accuracy-{side}-seed{seed}".replace(" ", "_").replace(",", ""), epoch, epochs, variables,
        key={"side": side, "seed": seed, "size": size, "functions": [
            tutorial, example, source_6, source_7, moved, batches, run_peer],
            "chapters": [common.chapter_digest(*of) for of in (FROM_6, FROM_7)],
            "data": [x, y, x_test, y_test]},
        line="{epoch:3d} of {n_epochs}: {test_accuracy:.4f} after {fit_seconds:.1f} s more",
        folder=common.SCRATCH / "runs", history_only=True)
    return {"seconds": history["fit_seconds"], "accuracy": history["test_accuracy"],
            "others": history.others_share}


def run_ours(ours, row, seed, data):
    """Train one of our rows as a unit, in one go; return what `run_peer` returns."""
    from datasetslib import training

    settings = ours.rows[row]
    chosen = {}

    def once(_):
        chosen.update(ours.choose(settings, *data[:2]))
        seconds, accuracy = ours.train(chosen, *data, seed)
        return {"bfloat16": float(chosen["precision"] == "mixed_bfloat16"),
                **{f"seconds_{k}": v for k, v in enumerate(seconds)},
                **{f"accuracy_{k}": v for k, v in enumerate(accuracy)}}

    history = training.run(
        f"accuracy-{row}-seed{seed}".replace(" ", "_").replace(",", "").replace("%", ""), once, 1,
        [], key={"row": row, "seed": seed, "settings": settings, "data": list(data),
                 "lesson": ours.digest, "functions": [Ours.choose, Ours.train]},
        line="", folder=common.SCRATCH / "runs", history_only=True)
    found = history.epochs[0]
    n = sum(key.startswith("seconds_") for key in found)
    print(f"{row}, seed {seed}: {found[f'accuracy_{n - 1}']:.4f} after "
          f"{sum(found[f'seconds_{k}'] for k in range(n)):.0f} s", flush=True)
    return {"seconds": [found[f"seconds_{k}"] for k in range(n)],
            "accuracy": [found[f"accuracy_{k}"] for k in range(n)],
            "others": history.others_share, "bfloat16": bool(found["bfloat16"])}


def reached(run, mark):
    """
    Return the seconds of training to an accuracy, or None.

    Examples
    --------
    >>> run = {"seconds": [2.0, 3.0, 4.0], "accuracy": [0.5, 0.7, 0.6]}
    >>> reached(run, 0.65), reached(run, 0.8)
    (5.0, None)
    """
    total = 0.0
    for seconds, accuracy in zip(run["seconds"], run["accuracy"], strict=True):
        total += seconds
        if accuracy >= mark:
            return total
    return None


def by_mark(runs):
    """
    Return the measurements: seconds to each mark, and the accuracy at the end.

    Parameters
    ----------
    runs : list of dict
        Each with ``side``, ``row``, ``seed``, ``seconds`` and ``accuracy``.

    Returns
    -------
    list of dict
        Of our rows, the one whose median is the shortest stands for ours at a mark; a row that does
        not get there from every seed does not count.
    """
    rows = []
    sides = list(dict.fromkeys(run["side"] for run in runs))
    for mark in MARKS:
        for side in sides:
            tried = {}
            for run in runs:
                if run["side"] == side:
                    tried.setdefault(run["row"], []).append(reached(run, mark))
            there = [values for values in tried.values() if None not in values]
            best = (min(there, key=lambda values: verdicts.spread(values).median) if there
                    else [None])
            rows.append(common.measurement(f"{100 * mark:.0f} %", side, "seconds", best))
    for side in sides:
        ends = {}
        for run in runs:
            if run["side"] == side:
                ends.setdefault(run["row"], []).append(run["accuracy"][-1])
        best = max(ends.values(), key=lambda values: verdicts.spread(values).median)
        rows.append(common.measurement("at the end", side, "test accuracy", best))
    return rows


def main(arguments):
    """Run the benchmark; return the exit status."""
    parser = common.parser("accuracy", __doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME",
                        help=f"some of: {', '.join(PEERS)}, and ours or a row of it")
    parser.add_argument("--seeds", nargs="+", type=int,
                        help=f"default: 0 1 2, and 0 for {EXAMPLE} and the longest rows")
    parser.add_argument("--epochs", type=int, help="at most, for a trial")
    parser.add_argument("--chapters", type=Path, default=common.CHAPTERS,
                        help="the folder of chapter 11, if it is another one")
    options = parser.parse_args(arguments)
    common.need("tensorflow", "keras")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if options.smoke:
        os.environ.update(DATASETSLIB_SOURCE="synthetic")
    common.say(common.real_data())

    from datasetslib.cifar import cifar10

    loaded = cifar10(**({"n_train": 256, "n_test": 200} if options.smoke else {}))
    loaded.x_layout = "NHWC"
    loaded.load_data()
    bytes_ = loaded.X_train, loaded.Y_train, loaded.X_test, loaded.Y_test
    scaled = tuple((a / 255).astype("float32") if a.ndim == 4 else a for a in bytes_)

    # Peers alone can be trained without chapter 11: a run is a unit, and is there the next time.
    ours = None if options.only and set(options.only) <= set(PEERS) else Ours(options.chapters)
    everything = [*PEERS, *(ours.rows if ours else {})]
    only = [row for name in options.only or everything
            for row in (ours.rows if name == OURS else [name])]
    if unknown := [name for name in only if name not in everything]:
        raise common.BenchmarkError(f"there is no {', '.join(unknown)}; there are "
                                    f"{', '.join(everything)}, and {OURS}")
    # The page wants all peers; of our rows, some may be left out.
    partial = (not set(PEERS) <= set(only) or set(PEERS) == set(only)
               or options.epochs is not None)
    common.destination("accuracy", options, partial)
    longest = options.epochs or (1 if options.smoke else None)
    result = {"benchmark": "accuracy", "smoke": options.smoke, "ours": OURS,
              "sides": [OURS, *PEERS], "editions": [str(loaded.edition)],
              "measures": {"seconds": {"unit": "s", "better": "low"},
                           "test accuracy": {"unit": "", "better": "high"}}}
    runs = []
    with common.measured(result):
        for name in only:
            if ours and name in ours.rows:
                seeds = (0, 1, 2) if ours.rows[name]["epochs"] < 10 else (0,)
            else:
                seeds = PEERS[name][2]
            for seed in (options.seeds or seeds)[:1 if options.smoke else None]:
                common.say(f"accuracy: {name}, seed {seed}")
                if ours and name in ours.rows:
                    if longest:
                        ours.rows[name]["epochs"] = min(longest, ours.rows[name]["epochs"])
                    run = {"side": OURS, "row": name, **run_ours(ours, name, seed, bytes_)}
                else:
                    epochs = min(PEERS[name][0], longest or PEERS[name][0])
                    run = {"side": name, "row": name, **run_peer(name, seed, epochs, scaled)}
                runs.append({**run, "seed": seed,
                             "seconds": [common.rounded(v) for v in run["seconds"]]})
    result["measurements"], result["runs"] = by_mark(runs), runs
    result["sides"] = [side for side in result["sides"] if side in {run["side"] for run in runs}]
    if OURS not in result["sides"]:
        result["ours"] = result["sides"][0]
    # Restored units ran earlier: how busy the machine was then counts, not how busy it is now.
    shares = [run["others"] for run in runs]
    if None in shares:
        result["conditions"].update(quiet=None, others_share=None)
    else:
        from datasetslib import recording

        result["conditions"].update(quiet=max(shares) < recording.QUIET_SHARE,
                                    others_share=round(max(shares), 3))
    return common.finish(result, options, partial)
