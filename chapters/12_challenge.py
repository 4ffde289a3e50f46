# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The challenge
#
# **Can a search beat your intuition?**

# %% tags=["parameters"]
n_train = None  # images to train on in the long runs; None: all that are not held out
n_valid = 5000  # images held out: the search judges by them
n_test = None  # images for the final test; None: all 10,000
study_train = 10_000  # images that each trial learns from
study_epochs = 8  # passes over them
n_more = 0  # trials of your own, added to the stored study

# %%
import time
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np
import optuna
from filelock import FileLock
from keras import layers
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from datasetslib import imutil, plots, record, recording, studies, training
from datasetslib.cifar import cifar10

plots.use_style()
optuna.logging.set_verbosity(optuna.logging.WARNING)
dataset = cifar10(n_train=n_train, n_valid=n_valid, n_test=n_test)
dataset.x_layout = imutil.LAYOUT_NHWC
dataset.load_data()
dataset.scaleX()
one_hot = np.eye(10, dtype="float32")
x_train, y_train = dataset.X_train, one_hot[dataset.Y_train]
x_valid, y_valid = dataset.X_valid, one_hot[dataset.Y_valid]
x_study, y_study = x_train[:study_train], y_train[:study_train]
print(f"{len(x_study):,} images for each trial, {len(x_valid):,} to judge by")

# %%
def choose(trial):
    """Ask a trial for every knob; return the answers."""
    one_of, number = trial.suggest_categorical, trial.suggest_float
    return {
        "blocks": trial.suggest_int("blocks", 1, 4),
        "layers": trial.suggest_int("layers", 1, 3),
        "filters": trial.suggest_int("filters", 8, 64, log=True),
        "widen": one_of("widen", [1.0, 1.5, 2.0]),
        "kernel": trial.suggest_int("kernel", 2, 5),
        "kind": one_of("kind", ["plain", "separable", "dilated"]),
        "smaller": one_of("smaller", ["max", "average", "stride", "nothing"]),
        "top_down": one_of("top_down", [False, True]),
        "head": one_of("head", ["flatten", "average", "max"]),
        "dense": one_of("dense", [0, 64, 256, 1024]),
        "norm": one_of("norm", [False, True]),
        "activation": one_of("activation", ["relu", "elu", "silu", "tanh"]),
        "dropout": number("dropout", 0.0, 0.5),
        "flip": one_of("flip", [False, True]),
        "smoothing": number("smoothing", 0.0, 0.2),
        "optimiser": one_of("optimiser", ["SGD", "RMSprop", "Adam"]),
        "rate": number("rate", 0.1, 10.0, log=True),
        "schedule": one_of("schedule", ["constant", "fall", "rise and fall"]),
        "decay": one_of("decay", [0.0, 1e-5, 1e-4, 1e-3]),
        "batch": one_of("batch", [32, 64, 128, 256]),
        "placebo": number("placebo", 0.0, 1.0),
    }

# %%
def convolve(h, filters, stride, knobs):
    """Return one convolution of the chosen kind, normalised or not, and its activation."""
    side, rest = knobs["kernel"], {"padding": "same", "use_bias": not knobs["norm"]}
    if knobs["kind"] == "separable" and h.shape[-1] > 3:  # colours are not kept apart
        each = keras.initializers.RandomNormal(0.0, 1 / side)  # a map sees side x side numbers
        h = layers.SeparableConv2D(filters, side, stride, depthwise_initializer=each, **rest)(h)
    else:
        gap = 2 if knobs["kind"] == "dilated" and stride == 1 else 1
        h = layers.Conv2D(filters, side, stride, dilation_rate=gap, **rest)(h)
    if knobs["norm"]:
        h = layers.BatchNormalization(momentum=0.9)(h)
    return layers.Activation(knobs["activation"])(h)


def block(h, filters, knobs):
    """Return some convolutions, and half the side, by the chosen means."""
    strided = knobs["smaller"] == "stride"
    for layer in range(knobs["layers"]):
        last = layer == knobs["layers"] - 1
        h = convolve(h, filters, 2 if strided and last else 1, knobs)
    if knobs["smaller"] == "max":
        h = layers.MaxPooling2D(2)(h)
    if knobs["smaller"] == "average":
        h = layers.AveragePooling2D(2)(h)
    return layers.Dropout(knobs["dropout"])(h)

# %%
def build(knobs):
    """Return the network that some knobs describe, with softmax at its end."""
    inputs = h = keras.Input((32, 32, 3))
    if knobs["flip"]:
        h = layers.RandomFlip("horizontal")(h)
    passed = []
    for number in range(knobs["blocks"]):
        h = block(h, round(knobs["filters"] * knobs["widen"] ** number), knobs)
        passed.append(h)
    if knobs["top_down"] and len(passed) > 1 and knobs["smaller"] != "nothing":
        finer = passed[-2]
        h = layers.Conv2DTranspose(finer.shape[-1], 2, 2)(h)
        h = layers.Activation(knobs["activation"])(layers.Add()([h, finer]))
    heads = {"flatten": layers.Flatten, "average": layers.GlobalAveragePooling2D,
             "max": layers.GlobalMaxPooling2D}
    h = heads[knobs["head"]]()(h)
    if knobs["dense"]:
        h = layers.Dense(knobs["dense"], activation=knobs["activation"])(h)
        h = layers.Dropout(knobs["dropout"])(h)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="float32")(h))

# %%
def multiply_adds(model):
    """Return the multiplications, each with its addition, that one image costs."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.SeparableConv2D):
            kernels = [layer.depthwise_kernel, layer.pointwise_kernel]
            places = layer.output.shape[1:3]
        elif isinstance(layer, layers.Conv2DTranspose):
            kernels, places = [layer.kernel], layer.input.shape[1:3]
        elif isinstance(layer, layers.Conv2D | layers.Dense):
            kernels, places = [layer.kernel], layer.output.shape[1:-1]
        else:
            continue
        total += int(np.prod(places)) * sum(int(np.prod(kernel.shape)) for kernel in kernels)
    return total

# %%
by_hand = {
    "our guess": dict(
        blocks=3, layers=2, filters=24, widen=1.5, kernel=3, kind="plain", smaller="max",
        top_down=False, head="flatten", dense=256, norm=True, activation="relu", dropout=0.25,
        flip=True, smoothing=0.0, optimiser="Adam", rate=1.0, schedule="fall", decay=0.0, batch=64),
    "chapter 7": dict(
        blocks=2, layers=1, filters=32, widen=2.0, kernel=4, kind="plain", smaller="max",
        top_down=False, head="flatten", dense=1024, norm=False, activation="relu", dropout=0.2,
        flip=False, smoothing=0.0, optimiser="RMSprop", rate=1.0, schedule="constant", decay=0.0,
        batch=128),
    "LeNet of 1998": dict(
        blocks=2, layers=1, filters=8, widen=2.0, kernel=5, kind="plain", smaller="average",
        top_down=False, head="flatten", dense=64, norm=False, activation="tanh", dropout=0.0,
        flip=False, smoothing=0.0, optimiser="SGD", rate=1.0, schedule="constant", decay=0.0,
        batch=32),
}
network_7 = build(by_hand["chapter 7"])
most_work, most_parameters = multiply_adds(network_7), network_7.count_params()
print(f"the budget: {most_work:,} multiply-adds an image, {most_parameters:,} parameters")

# %%
usual_rates = {"SGD": 0.03, "RMSprop": 0.001, "Adam": 0.001}


def optimiser(knobs, n_steps):
    """Return the chosen optimiser, with its schedule over so many steps."""
    usual = usual_rates[knobs["optimiser"]]
    rate = usual * knobs["rate"]
    if knobs["schedule"] == "fall":
        rate = keras.optimizers.schedules.CosineDecay(rate, n_steps)
    elif knobs["schedule"] == "rise and fall":
        rise = n_steps // 5
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, n_steps - rise, warmup_target=rate, warmup_steps=rise)
    extra = {"momentum": 0.9, "nesterov": True} if knobs["optimiser"] == "SGD" else {}
    # Keras takes rate x weight_decay of each weight away: at the usual rate, that is `decay`.
    return getattr(keras.optimizers, knobs["optimiser"])(
        rate, weight_decay=knobs["decay"] / usual or None, **extra)


def train(knobs, seed, x, y, n_epochs, judged_on, report=None, **unit):
    """Train the network of some knobs; return it, and its accuracies after each epoch."""
    keras.utils.set_random_seed(seed)
    model = training.draw_weights(build(knobs), seed)
    model.compile(optimiser(knobs, n_epochs * -(-len(x) // knobs["batch"])),
                  keras.losses.CategoricalCrossentropy(label_smoothing=knobs["smoothing"]),
                  metrics=["accuracy"])

    def after_epoch():
        found = {name: model.evaluate(*images, batch_size=500, verbose=0)[1]
                 for name, images in judged_on.items()}
        if report is not None:
            report(found)
        return found

    return model, training.fit(model, x, y, n_epochs=n_epochs, batch_size=knobs["batch"],
                               seed=seed, after_epoch=after_epoch, **unit)

# %%
def objective(trial):
    """Train the network that a trial asks for; return its accuracy on the held-out images."""
    begin, knobs, reached = time.perf_counter(), choose(trial), []
    model = build(knobs)
    work, parameters = multiply_adds(model), model.count_params()
    for name, value in {"multiply_adds": work, "parameters": parameters, **stamp()}.items():
        trial.set_user_attr(name, value)
    if work > most_work or parameters > most_parameters:
        trial.set_user_attr("over_budget", True)
        raise optuna.TrialPruned("over the budget: not trained")

    def report(found):
        reached.append(found["valid"])
        trial.report(reached[-1], step=len(reached))
        trial.set_user_attr("seconds", round(time.perf_counter() - begin, 1))
        if len(reached) < study_epochs and trial.should_prune():
            raise optuna.TrialPruned(f"below the median after epoch {len(reached)}")

    train(knobs, trial.number, x_study, y_study, study_epochs, {"valid": (x_valid, y_valid)},
          report, name=f"trial {trial.number}", line="", folder=None)
    return reached[-1]


def stamp():
    """Say what a trial was made by, with and on: whatever its result depends on."""
    code = training.digest([choose, convolve, block, build, multiply_adds, optimiser, train,
                            objective, open_study, search, usual_rates])
    return {"code": code, "edition": str(dataset.edition), "n_train": len(x_study),
            "n_valid": len(x_valid), "n_epochs": study_epochs,
            "budget": [most_work, most_parameters], "machine": recording.machine(),
            "date": datetime.now(UTC).isoformat(timespec="seconds")}

# %%
def open_study(journal, first_trials):
    """Open the study that a journal holds, or begin it; what was cut short is asked again."""
    study = optuna.create_study(
        study_name="challenge", storage=JournalStorage(JournalFileBackend(str(journal))),
        direction="maximize", load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=10, n_warmup_steps=2))
    if not study.trials:
        for name, knobs in first_trials.items():
            study.enqueue_trial(knobs, user_attrs={"by_hand": name})
    for trial in study.get_trials(states=[TrialState.RUNNING]):  # whoever ran it is gone
        study.tell(trial.number, state=TrialState.FAIL)
        again = {"instead_of": trial.number}
        if "by_hand" in trial.user_attrs:
            again["by_hand"] = trial.user_attrs["by_hand"]
        study.enqueue_trial(trial.params, user_attrs=again)
    # A sampler that began with the same seed after each restart would repeat itself.
    study.sampler = optuna.samplers.TPESampler(
        seed=len(study.trials), n_startup_trials=20, multivariate=True)
    return study

# %%
def search(n, journal):
    """Go on with a study until n of its trials have been trained; return it."""
    def keep(study, trial):
        studies.write(study.trials, Path(journal).with_suffix(".jsonl"))
        print(studies.line(trial), flush=True)

    with FileLock(f"{journal}.running", timeout=0):  # falls with the process that holds it
        study = open_study(journal, by_hand)
        ended = [TrialState.COMPLETE, TrialState.PRUNED]
        while sum(bool(trial.intermediate_values) for trial in study.get_trials(states=ended)) < n:
            study.optimize(objective, n_trials=1, callbacks=[keep])
    return study
