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
#
# By the end of this chapter you will be able to
#
# - turn "try other networks" into a study: knobs, a budget, a rule for judging, a record;
# - use convolutions that keep the maps apart, that leave gaps, and that make maps larger;
# - count what a network costs before it is trained, and refuse it if it costs too much;
# - kill a study in the middle of a trial, and lose nothing but the seconds of that trial;
# - say which knob mattered, with the uncertainty of that statement;
# - tell a good network from a lucky one.
#
# You need {doc}`07_cifar10_keras` and {doc}`08_deeper`, for the rules by which networks are
# compared, and {doc}`10_architectures`, for normalisation and the path around two layers.
#
# Time to read and to try things out: about two hours. Minutes of computing, all cells, on two CPU
# cores: {glue:text}`minutes`. On a GPU: {glue:text}`gpu_minutes`. The stored study took longer; it
# is not run again with the page.

# %% tags=["parameters"]
n_train = None  # images to train on in the long runs; None: all that are not held out
n_valid = 3000  # images held out: the search judges by them
n_test = None  # images for the final test; None: all 10,000
study_train = 5000  # images that each trial learns from
study_epochs = 8  # passes over them
n_more = 0  # trials of your own, on top of the stored study
n_fresh = 5000  # images that neither a trial nor the search has seen
n_finalists = 4  # the best of the study that are trained again
seeds = [0, 1, 2]  # for the finalists
outsiders = ["chapter 8", "ResNet 8", "ResNet 20"]  # networks that lie outside the study
long_epochs = 6  # passes over all training images, for the winner and for our guess
n_resamples = 300  # studies drawn from the study, to see how much a ranking wavers

# %%
import inspect
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import matplotlib.pyplot as plt
import numpy as np
import optuna
from filelock import FileLock
from keras import layers
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from datasetslib import conditions, imutil, plots, record, recording, studies, training
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

# %% tags=["hide-cell"]
record("edition", str(dataset.edition))
record("n_study", len(x_study))
record("n_valid", len(x_valid))
record("n_all_train", len(x_train))
record("study_epochs", study_epochs)

# %% [markdown]
# All numbers on this page come from this copy of the data: {glue:text}`edition`. The box at its
# end names the machine. A classroom that has no Optuna yet gets it with `pip install optuna`.
#
# ## A bet
#
# The lecture that this book follows ends with an invitation: try other filters, other layers,
# other optimisers, the operators that were left out, and see how far you get. Few readers do, and
# there is a reason. It is not a task. It has no budget, no rule for who has won, and no end.
#
# Let us make it one. Each trial may learn from {glue:text}`n_study:,d` images,
# {glue:text}`study_epochs` times over. It is judged by {glue:text}`n_valid:,d` others. And it may
# cost no more than a network that you know.
#
# On the one side sits intuition: a network that a person would choose, written down before
# anything was trained. On the other side sits a program that knows nothing about images, and has
# patience. **Whom do you bet on, and by how many points?** Write the number down.
#
# ## What can be turned
#
# A design is a row of decisions. Call each of them a *knob*. Some you have met: how many blocks,
# how many layers in each, how many filters, how large a kernel; dropout, normalisation,
# mirroring; which optimiser, how large its steps, and how they change over time. Four need a word.
#
# **Separable.** A convolution of 3 x 3 from 64 maps to 64 mixes places and maps in one step:
# 36,864 weights. A *depthwise separable* convolution does it in two. First each map gets one
# kernel of its own, then a convolution of 1 x 1 mixes the maps {cite:p}`howard2017mobilenets`.
# How many weights is that? Nine for each of the 64 maps, and 64 x 64: 4,672.
#
# **Dilated.** Leave gaps between the nine weights of a kernel, one pixel wide. It still has nine,
# and sees 5 x 5 pixels {cite:p}`yu2016multiscale`.
#
# **Transposed.** A convolution of stride 2 makes one pixel out of four. Run it backwards, and one
# pixel lays down four. So a coarse map can be brought back to a finer one, and be added to it: the
# fine map knows where, the coarse one knows what {cite:p}`lin2017feature`. That is the knob
# `top_down`.
#
# **Smaller.** Between blocks the side halves: by the largest of four, by their average, by a
# stride, or not at all.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four small drawings of one row of pixels below and one above, joined by lines. Plain: each output is joined to three neighbours. Dilated: to three inputs with a gap of one between them. Stride two: every second output is missing. Transposed: each of four inputs is joined to two outputs of its own, so that the upper row is twice as long."}}
fig, axes = plt.subplots(2, 2, figsize=(6.4, 3.6))
drawings = {
    "plain": (9, [(i, i + d) for i in range(1, 8) for d in (-1, 0, 1)]),
    "dilated": (9, [(i, i + d) for i in range(2, 7) for d in (-2, 0, 2)]),
    "stride 2": (9, [(i, i + d) for i in range(1, 8, 2) for d in (-1, 0, 1)]),
    "transposed": (9, [(2 * i + d, 2 * i + 0.5) for i in range(4) for d in (0, 1)]),
}
for axis, (name, (n, lines)) in zip(axes.flat, drawings.items(), strict=True):
    for above, below in lines:
        axis.plot([below, above], [0, 1], color=plots.COLOURS["line"], linewidth=1.2, zorder=1)
    for y, places in ((0, {below for _, below in lines}), (1, {above for above, _ in lines})):
        axis.scatter(sorted(places), [y] * len(places), s=55, zorder=2,
                     color=plots.COLOURS["blue" if y else "vermillion"])
    axis.set_title(name, loc="left")
    axis.set(xlim=(-0.6, n - 0.4), ylim=(-0.3, 1.3), xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
plots.finish(fig)

# %% [markdown]
# Inputs below, outputs above, one dimension in place of two. Count the lines that end in one
# output: that is the size of the kernel. The span of these lines is what it sees.
#
# Now the list. A *trial* is one design. It is asked for a value of each knob, and whoever stands
# behind it, a person or a program, answers.

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

# %% [markdown]
# Two of them deserve a second look. The `rate` is not a learning rate but a factor: 1 is the usual
# rate of the chosen optimiser. A rate that suits Adam would stand still with SGD, and a knob should
# mean the same thing wherever it is turned.
#
# And the last one, `placebo`, is connected to nothing. It will be of use when we ask which knob
# mattered: whatever is found about the placebo is chance.
#
# How many designs are there, if each of the knobs without steps had only ten positions?

# %% tags=["nbval-check-output"]
steps = [4, 3, 57, 3, 4, 3, 4, 2, 3, 4, 2, 4, 10, 2, 10, 3, 10, 3, 4, 4]
n_designs = float(np.prod(steps, dtype=float))
print(f"{len(steps)} knobs, about {n_designs:.0e} designs")

# %% [markdown]
# A year has thirty million seconds. No one will try them all, with any machine.
#
# ## From knobs to a network

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

# %% [markdown]
# One trap was waiting here. Keras draws the depthwise kernels as if each output saw all maps, so
# they start several times too small, and a separable network without normalisation would have
# lost for that reason alone. Each map sees `side` x `side` numbers: that sets the size of the
# draw.
#
# ## What it costs
#
# Guess first: which of the two networks needs more arithmetic, the one of {doc}`07_cifar10_keras`
# with its 4.2 million parameters, or one with six layers of 3 x 3 and a fourteenth of the
# parameters?

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

# %% [markdown]
# A parameter in a dense layer is used once for an image. A parameter in a convolution is used at
# each place. So the two numbers rank networks in different orders, and a budget needs both.
#
# Ours is the network of chapter 7: **no design may need more multiply-adds, or more parameters,
# than it does.** What is over the budget is refused before it is trained, and costs nothing.
#
# Three designs go first, by hand. `our guess` is what intuition says after eleven chapters: three
# blocks of two layers, normalised, mirrored, some dropout, Adam with a falling step. It was
# written before any trial had been run, and not touched afterwards.

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

# %% tags=["hide-cell"]
prices = {name: (multiply_adds(build(knobs)), build(knobs).count_params())
          for name, knobs in by_hand.items()}
record("n_knobs", len(by_hand["our guess"]) + 1)
record("most_work", most_work)
record("most_parameters", most_parameters)
record("guess_work", prices["our guess"][0])
record("guess_parameters", prices["our guess"][1])

# %% [markdown]
# {glue:text}`most_work:,d` multiply-adds for an image and {glue:text}`most_parameters:,d`
# parameters: that is the budget. Our guess needs {glue:text}`guess_work:,d` and
# {glue:text}`guess_parameters:,d`: nearly the same arithmetic, and far fewer parameters.
#
# ## What a trial does
#
# The optimiser first. `fall` lets the step sink to zero along a cosine; `rise and fall` lets it
# climb for a fifth of the time before. `smoothing` tells the network that the truth is a little
# uncertain: with 0.1, the right class counts 0.91 and each other 0.01
# {cite:p}`szegedy2016rethinking`.

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

# %% [markdown]
# Then the trial itself. Two doors lead out of it early. The first: over the budget. The second:
# after each epoch it reports its accuracy, and if that lies below the *median* of what finished
# trials had after the same epoch, it may be stopped. Half a trial is often enough to see that a
# network will come to nothing.
#
# What would be unfair about that? Think of a network whose steps first rise and then fall. We come
# back to it.

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

# %% [markdown]
# The `stamp` goes with each trial: on which images, by which machine, when, and a digest of the
# functions above. Change one line of them, and the digest changes. Trials of different stamps are
# never mixed without saying so. (A value is the accuracy after the *last* epoch. The best epoch
# would be a choice, and each choice by the held-out images makes them a little less honest.)
#
# ## Who answers?
#
# Chance would be a fair beginning. {cite:t}`bergstra2012random` showed that random designs beat a
# grid: of twenty knobs only a few matter, and a grid of 3 x 3 tries three values of each, while
# nine random points try nine.
#
# It can be done better. After some trials, divide them: the best ones here, the rest there. For
# each knob, look where the values of the good ones crowd, and where those of the others do. Then
# propose a design that is likely among the good and unlikely among the others. Written as a
# formula: choose the $x$ for which
#
# $$
# \frac{\ell(x)}{g(x)}
# $$
#
# is largest, where $\ell$ is a smooth density through the good trials and $g$ one through the
# rest. This is the *tree-structured Parzen estimator*, TPE {cite:p}`bergstra2011algorithms`. It
# begins with twenty trials by hand and by chance; then it has something to divide.
#
# **Which engine?** Optuna {cite:p}`akiba2019optuna` and Ray Tune {cite:p}`liaw2018tune` both do
# this well. Tune is built on a cluster's scheduler: several processes, and a store between them,
# even on one machine. We have one machine and one process, and one wish: that a file survive
# whatever happens. Optuna's *journal* is such a file. Each event is one line, added at the end:
# a trial began, a knob was set, an epoch ended.

# %%
def open_study(journal, first_trials):
    """Open the study that a journal holds, or begin it; what was cut short is asked again."""
    study = optuna.create_study(
        study_name="challenge", storage=JournalStorage(JournalFileBackend(str(journal))),
        direction="maximize", load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=10, n_warmup_steps=2))
    there = {trial.user_attrs.get("by_hand") for trial in study.trials}
    for name in [name for name in first_trials if name not in there]:
        study.enqueue_trial(first_trials[name], user_attrs={"by_hand": name})
    for trial in study.get_trials(states=[TrialState.RUNNING]):  # whoever ran it is gone
        knobs = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        name = {k: v for k, v in trial.user_attrs.items() if k == "by_hand"}
        study.enqueue_trial(knobs, user_attrs={"instead_of": trial.number, **name})
        study.tell(trial.number, state=TrialState.FAIL)  # last: rather asked twice than lost
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

# %% [markdown]
# That is the whole engine. `search` trains until the study has so many trained trials, and counts
# those that are there already. Called again after an interruption, it goes on.
#
# ## Pull the plug
#
# Does it survive? Trials in a study that runs overnight meet updates, empty batteries and closed
# lids. So try it. A small study runs in a process of its own: ten lines of softmax regression in
# NumPy, with the learning rate as the only knob. In the middle of its third trial we kill it, with
# the signal that no program can refuse.
#
# Before you run the cells: what will the journal say about the third trial? And how many trials
# will there be in the end, if the study is to have five whole ones?

# %%
def sprint(trial, data, until=None):
    """Train softmax regression for three epochs; return its accuracy on other images."""
    rate = trial.suggest_float("rate", 1e-4, 0.1, log=True)
    x, y, other_x, other_y = (data[name] for name in ("x", "y", "other_x", "other_y"))
    weights = np.zeros((x.shape[1], 10))
    for epoch in (1, 2, 3):
        for rows in np.split(np.arange(len(x)), 10):
            scores = np.exp(x[rows] @ weights - (x[rows] @ weights).max(1, keepdims=True))
            chances = scores / scores.sum(1, keepdims=True)
            weights -= rate * x[rows].T @ (chances - y[rows]) / len(rows)
        reached = float(np.mean((other_x @ weights).argmax(1) == other_y.argmax(1)))
        trial.report(reached, epoch)
        print(f"trial {trial.number}, epoch {epoch}: {reached:.3f}", flush=True)
        if (trial.number, epoch) == until:
            time.sleep(600)  # here the plug will be pulled
    return reached


program = "\n\n".join([
    "import sys, time", "import numpy as np", "import optuna",
    "from optuna.storages import JournalStorage",
    "from optuna.storages.journal import JournalFileBackend",
    "from optuna.trial import TrialState",
    inspect.getsource(open_study), inspect.getsource(sprint),
    "data = np.load(sys.argv[2])",
    "study = open_study(sys.argv[1], {})",
    "study.optimize(lambda trial: sprint(trial, data, until=(2, 2)), n_trials=5)",
])

# %%
def told(study):
    """Print one line for each trial of a study."""
    for trial in study.trials:
        rate = trial.params.get("rate", trial.system_attrs.get("fixed_params", {}).get("rate"))
        print(f"trial {trial.number}   rate {rate:.5f}   {trial.state.name.lower():<9}"
              f"epochs {len(trial.intermediate_values)}   {trial.user_attrs or ''}")


with TemporaryDirectory() as folder:
    journal, images = Path(folder, "sprint.journal"), Path(folder, "images.npz")
    n = min(1000, len(x_study)) // 10 * 10
    few = {"x": x_study[:n].reshape(n, 3072), "y": y_study[:n],
           "other_x": x_valid[:n].reshape(-1, 3072), "other_y": y_valid[:n]}
    np.savez(images, **few)
    other = subprocess.Popen([sys.executable, "-c", program, str(journal), str(images)],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in other.stdout:
        print("the other process:", line, end="")
        if line.startswith("trial 2, epoch 2"):
            other.kill()
    print("it ended with", other.wait())
    resumed = open_study(journal, {})
    told(resumed)
    assert [trial.state.name for trial in resumed.trials] == [
        "COMPLETE", "COMPLETE", "FAIL", "WAITING"]
    print("and now the rest, in this process")
    resumed.optimize(lambda trial: sprint(trial, few), n_trials=3)
    told(resumed)
    in_the_journal = resumed.trials

# %% tags=["hide-cell"]
cut, asked_again = in_the_journal[2:4]
assert asked_again.params == cut.params and asked_again.user_attrs == {"instead_of": 2}
ended = [trial for trial in in_the_journal if trial.state == TrialState.COMPLETE]
assert len(ended) == 5 and len(cut.intermediate_values) == 2
record("n_whole", len(ended))
record("n_in_journal", len(in_the_journal))
record("cut_rate", cut.params["rate"])

# %% [markdown]
# The journal knew that trial 2 had begun, and that it had reached its second epoch. It did not
# know of an end. Whoever opens the study next puts its knobs back into the queue, and marks it as
# failed: trial 3 has the same rate, {glue:text}`cut_rate:.5f`, and says instead of which it
# stands. {glue:text}`n_in_journal` trials in the journal, {glue:text}`n_whole` of them whole. What
# the kill has cost is the seconds of one trial.
#
# Two habits make this safe. Nothing is ever *changed* in the file: a line is added or it is not.
# And the queue comes before the mark. Had the plug been pulled between the two, the knobs would be
# asked twice. In the other order they would be lost.

# %% [markdown]
# ## Predict, then look
#
# The study has been run, by the functions above and by nothing else. Before you look at it, put
# down your bet: which three knobs matter most? (If you have no idea, that is a fine reason to bet.)

# %%
my_ranking = ["layers", "filters", "activation"]  # yours: the most important first

# %% [markdown]
# The study lies in the package, one line for each trial. First of all: is it *this* study? The
# digest in its lines must be that of the functions on this page.

# %%
stored = studies.read(studies.stored("12_challenge"))
codes = {row["code"] for row in stored if "code" in row}
assert codes == {stamp()["code"]}, "the stored study was made by other functions than these"
trained = [row for row in stored if row["state"] in ("trained", "stopped")]
whole = [row for row in trained if row["state"] == "trained"]
refused = [row for row in stored if row["state"] == "over budget"]
cut_short = [row for row in stored if row["state"] == "failed"]
guess, chapter_7, old_lenet = (
    next(row for row in trained if row.get("by_hand") == name) for name in by_hand)
ranked = sorted(whole, key=lambda row: -row["value"])
best = ranked[0]
print(f"{len(stored)} trials: {len(whole)} trained to the end, {len(trained) - len(whole)} "
      f"stopped early, {len(refused)} over the budget, {len(cut_short)} cut short")
print(f"best {best['value']:.3f} in trial {best['number']};   our guess {guess['value']:.3f};   "
      f"chapter 7 {chapter_7['value']:.3f};   LeNet of 1998 {old_lenet['value']:.3f}")

# %% tags=["hide-cell"]
def name_of(row):
    """Return what a trial is called on this page."""
    return row.get("by_hand", f"trial {row['number']}")


def points(difference, digits=1):
    """Return a difference of accuracies in points, with its sign."""
    return f"{100 * difference:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


standard_error = float(np.sqrt(best["value"] * (1 - best["value"]) / best["n_valid"]))
record("n_stored", len(stored))
record("n_trained", len(trained))
record("n_whole_stored", len(whole))
record("n_stopped", len(trained) - len(whole))
record("n_refused", len(refused))
record("n_cut_short", len(cut_short))
record("study_edition", best["edition"])
record("study_machine", best["machine"])
record("study_n", best["n_train"])
record("study_n_valid", best["n_valid"])
record("study_n_epochs", best["n_epochs"])
record("study_date", best["date"][:10])
record("best_number", best["number"])
record("best_value", best["value"])
record("best_over_guess", points(best["value"] - guess["value"]))
record("guess_value", guess["value"])
record("chapter_7_value", chapter_7["value"])
record("chapter_7_lowest", min(chapter_7["epochs"][4:]))
record("chapter_7_highest", max(chapter_7["epochs"][4:]))
record("old_lenet_value", old_lenet["value"])
record("guess_rank", 1 + sum(row["value"] > guess["value"] for row in whole))
record("standard_error", f"{100 * standard_error:.1f}")
record("best_is", "our guess" if best is guess else "a design of the search")
saved = sum(best["n_epochs"] - len(row["epochs"]) for row in trained)
record("saved_epochs", saved)
record("spent_epochs", sum(len(row["epochs"]) for row in trained))

# %% [markdown]
# {glue:text}`n_stored` trials. {glue:text}`n_refused` of them were over the budget and never
# trained. Of the {glue:text}`n_trained` others, {glue:text}`n_stopped` were stopped early, which
# has saved {glue:text}`saved_epochs` epochs beside the {glue:text}`spent_epochs` that were run.
# {glue:text}`n_cut_short` were cut short: the process that ran the study was killed on purpose,
# and what it was doing was asked again.
#
# It was made on {glue:text}`study_date`, from {glue:text}`study_n:,d` images, on
# {glue:text}`study_machine`.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Held-out accuracy against the number of the trial. Filled dots for trials trained to the end, hollow ones for those stopped early, ticks at the bottom for those over the budget, crosses for those cut short, squares for the three by hand. A line climbs in steps: the best so far."}}
fig, axis = plt.subplots(figsize=(6.4, 4.2))
floor = min(row["epochs"][-1] for row in trained) - 0.05
by_person = [row for row in trained if "by_hand" in row]
for rows, style in (
    ([row for row in whole if "by_hand" not in row], {"color": plots.COLOURS["blue"]}),
    ([row for row in trained if row["state"] == "stopped"],
     {"facecolor": "none", "edgecolor": plots.COLOURS["sky"], "linewidth": 1.5}),
    (by_person, {"color": plots.COLOURS["vermillion"], "marker": "s"}),
):
    axis.scatter([row["number"] for row in rows], [row["epochs"][-1] for row in rows],
                 s=36, **style)
axis.plot([row["number"] for row in refused], [floor] * len(refused), "|", markersize=9,
          color=plots.COLOURS["grey"])
axis.plot([row["number"] for row in cut_short], [floor + 0.02] * len(cut_short), "x",
          color=plots.COLOURS["black"])
so_far = np.maximum.accumulate([row["value"] for row in whole])
axis.step([row["number"] for row in whole], so_far, where="post", linewidth=1.5,
          color=plots.COLOURS["ink"])
axis.set(xlabel="trial", ylabel="held-out accuracy", ylim=(floor - 0.02, so_far[-1] + 0.04))
plots.finish(fig)

# %% tags=["hide-cell"]
by_chance = [row for row in trained if row["number"] < 20]
late = [row for row in trained if row["number"] > stored[-1]["number"] - 20]
record("early_median", float(np.median([row["epochs"][-1] for row in by_chance])))
record("late_median", float(np.median([row["epochs"][-1] for row in late])))
record("refused_early", sum(row["number"] < 20 for row in refused))
record("refused_late", sum(row["number"] > stored[-1]["number"] - 20 for row in refused))

# %% [markdown]
# Filled dots were trained to the end, hollow ones stopped early; squares are those by hand, ticks
# at the bottom those over the budget, crosses those that were cut short. The line is the best so
# far.
#
# Does the search *learn*? Compare its first twenty trials, mostly chance, with its last twenty. The
# median of what was reached goes from {glue:text}`early_median:.3f` to
# {glue:text}`late_median:.3f`. Over the budget were {glue:text}`refused_early` and
# {glue:text}`refused_late`: nobody told it where the budget lies.
#
# And the bet? The best held-out accuracy is {glue:text}`best_value:.3f`, by
# {glue:text}`best_is`. Our guess reached {glue:text}`guess_value:.3f`, rank
# {glue:text}`guess_rank` of {glue:text}`n_whole_stored`. LeNet as it was in 1998 reached
# {glue:text}`old_lenet_value:.3f`, and the network of chapter 7, which set the budget,
# {glue:text}`chapter_7_value:.3f`. That is hardly its worth: its step does not sink, so on this
# small diet its accuracy jumps, between {glue:text}`chapter_7_lowest:.3f` and
# {glue:text}`chapter_7_highest:.3f` in the second half of the epochs, and the rule takes the last.
#
# The difference between the best and our guess: {glue:text}`best_over_guess` points. Do not pay
# out yet.
#
# ## The front
#
# A network that is better and dearer has not beaten anyone. One that is better *and* cheaper has.
# A trial lies on the *front* if no other is both at least as good and at most as dear.
#
# Where do you expect chapter 7? And the networks of {doc}`08_deeper` and {doc}`10_architectures`,
# given the same images and epochs, and each its own chapter's optimiser?

# %%
def conv(h, width, stride=1, norm=False):
    """Return a convolution of 3 x 3, normalised or not; ReLU is left to the caller."""
    h = layers.Conv2D(width, 3, stride, "same", use_bias=not norm,
                      kernel_initializer="he_normal" if norm else "glorot_uniform")(h)
    return layers.BatchNormalization(momentum=0.9)(h) if norm else h


def residual(depth):
    """Return the residual network of chapter 10, of 6n + 2 layers."""
    inputs = keras.Input((32, 32, 3))
    h = layers.ReLU()(conv(layers.RandomFlip("horizontal")(inputs), 16, norm=True))
    for stage, width in enumerate((16, 32, 64)):
        for pair in range((depth - 2) // 6):
            stride = 2 if stage and not pair else 1
            past = h
            h = conv(layers.ReLU()(conv(h, width, stride, True)), width, norm=True)
            if stride == 2:
                past = layers.MaxPooling2D(1, 2)(past)
                past = layers.Concatenate()([past, keras.ops.zeros_like(past)])
            h = layers.ReLU()(layers.Add()([h, past]))
    last = layers.Dense(10, activation="softmax", dtype="float32")
    return keras.Model(inputs, last(layers.GlobalAveragePooling2D()(h)))


def six_convolutions():
    """Return the network of chapter 8 that has six convolutions and three poolings."""
    inputs = h = keras.Input((32, 32, 3))
    for width in (32, 64, 128):
        h = layers.ReLU()(conv(layers.ReLU()(conv(h, width)), width))
        h = layers.MaxPooling2D(2)(h)
    h = layers.Dropout(0.5)(layers.Flatten()(h))
    h = layers.Dropout(0.5)(layers.Dense(512, activation="relu")(h))
    return keras.Model(inputs, layers.Dense(10, activation="softmax", dtype="float32")(h))

# %% tags=["hide-output"]
def outsider(name):
    """Train a network from outside the study on the study's images; return what it cost, too."""
    keras.utils.set_random_seed(seeds[0])
    if name == "chapter 8":
        model, batch, rule = six_convolutions(), 64, keras.optimizers.Adam(0.001)
    else:
        model, batch = residual(int(name.split()[1])), 128
        total = study_epochs * -(-len(x_study) // batch)
        rule = keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(
                0.0, total - total // 20, warmup_target=0.02, warmup_steps=-(-total // 20)),
            momentum=0.9, nesterov=True, weight_decay=0.005)
    training.draw_weights(model, seeds[0])
    model.compile(rule, "categorical_crossentropy", metrics=["accuracy"])
    history = training.fit(
        model, x_study, y_study, n_epochs=study_epochs, batch_size=batch, seed=seeds[0],
        validation_data=(x_valid, y_valid), name=f"cifar10-challenge-{name}", history_only=True,
        line="epoch {epoch}   loss {loss:.4f}   held out {val_accuracy:.4f}")
    return {"value": history["val_accuracy"][-1], "multiply_adds": multiply_adds(model),
            "parameters": model.count_params()}


outside = {name: outsider(name) for name in outsiders}

# %%
def front(rows, price):
    """Return the trials that no other beats in both, accuracy and price; the cheapest first."""
    kept = []
    for row in sorted(rows, key=lambda row: (row[price], -row["value"])):
        if not kept or row["value"] > kept[-1]["value"]:
            kept.append(row)
    return kept


fronts = {price: front(whole, price) for price in ("multiply_adds", "parameters")}
for row in fronts["multiply_adds"]:
    print(f"{name_of(row):<14}{row['value']:.3f}{row['multiply_adds']:>13,} multiply-adds"
          f"{row['parameters']:>11,} parameters")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels: held-out accuracy against multiply-adds for an image, and against parameters, both on logarithmic axes. Dots for the trials trained to the end; a line of steps, the front, runs along the upper left edge of the cloud. Marked with shapes of their own: our guess, chapter 7, LeNet of 1998, and the networks of chapters 8 and 10; what lies right of the dashed line is over the budget."}}
marks = {"our guess": ("s", "vermillion"), "chapter 7": ("D", "green"),
         "LeNet of 1998": ("^", "purple"), "chapter 8": ("P", "orange"),
         "ResNet 8": ("X", "black"), "ResNet 20": ("v", "black")}
named = {name_of(row): row for row in by_person if row["state"] == "trained"} | outside
fig, axes = plt.subplots(2, 1, figsize=(6.4, 7.6))
budgets = (("multiply_adds", most_work), ("parameters", most_parameters))
for axis, (price, most) in zip(axes, budgets, strict=True):
    axis.scatter([row[price] for row in whole], [row["value"] for row in whole], s=22,
                 color=plots.COLOURS["sky"])
    along = fronts[price]
    axis.step([row[price] for row in along] + [most],
              [row["value"] for row in along] + [along[-1]["value"]], where="post",
              color=plots.COLOURS["blue"], label="the front")
    for name, row in named.items():
        marker, colour = marks[name]
        axis.scatter(row[price], row["value"], s=75, marker=marker, label=name, zorder=3,
                     color=plots.COLOURS[colour], edgecolor=plots.COLOURS["face"])
    axis.axvline(most, color=plots.COLOURS["grey"], linewidth=1.2, linestyle=(0, (4, 3)))
    axis.set(xscale="log", ylabel="held-out accuracy")
    axis.set_xlabel(f"{price.replace('_', '-')}" + (" for an image" if "adds" in price else ""))
axes[0].legend(ncols=3, loc="upper center", bbox_to_anchor=(0.45, 1.3), columnspacing=1.2)
plots.finish(fig)

# %% tags=["hide-cell"]
def cheaper(row, price="multiply_adds"):
    """Return the cheapest trial on the front that is at least as good as another, or None."""
    return next((r for r in fronts[price] if r["value"] >= row["value"]), None)


as_7 = cheaper(chapter_7)
record("as_7_number", name_of(as_7))
record("as_7_factor", f"{chapter_7['multiply_adds'] / as_7['multiply_adds']:.0f}")
record("as_7_parameters", as_7["parameters"])
as_guess = cheaper(guess)
record("as_guess", name_of(as_guess))
record("as_guess_share", 100 * as_guess["multiply_adds"] / guess["multiply_adds"])
record("on_front", len(fronts["multiply_adds"]))
record("best_work_share", 100 * best["multiply_adds"] / most_work)
record("best_parameters", best["parameters"])
for name, found in outside.items():
    record(f"value_{name.replace(' ', '_')}", found["value"])
above = [name for name, found in outside.items() if found["value"] > best["value"]]
record("outside_above", " and ".join(above) if above else "none of them")
record("outside_listed", ", ".join(
    f"{name} {found['value']:.3f} for {found['multiply_adds'] / most_work:.1f} times the budget"
    for name, found in outside.items()))

# %% [markdown]
# {glue:text}`on_front` trials lie on the first front. The cheapest of them that is at least as good
# as chapter 7 is {glue:text}`as_7_number`: it needs one multiply-add where chapter 7 needs
# {glue:text}`as_7_factor`, and it has {glue:text}`as_7_parameters:,d` parameters. The cheapest that
# equals our guess, {glue:text}`as_guess`, needs {glue:text}`as_guess_share:.0f` % of its
# arithmetic. The best trial uses {glue:text}`best_work_share:.0f` % of the budget, with
# {glue:text}`best_parameters:,d` parameters.
#
# From outside the study, too dear for it or beyond its words: {glue:text}`outside_listed`. Above
# the best trial: {glue:text}`outside_above`. A search finds what its knobs can say. None of ours
# says "let the input go round".
#
# ## Which knobs mattered?
#
# There is a simple way to ask. Sort the trials by one knob into groups: by its positions, or, for
# a knob without steps, into four groups of equal size. If the knob matters, the groups differ.
# How much of all the variance of the accuracies do the group means explain?
#
# $$
# \text{share} = \frac{\sum_k n_k\,(\bar a_k - \bar a)^2}{\sum_i (a_i - \bar a)^2}
# $$
#
# Here $a_i$ are the accuracies, $\bar a$ their mean, and $\bar a_k$ the mean of the $n_k$ trials in
# group $k$. (A trial that was stopped counts with what it had reached. It was stopped for being
# low.) What would the placebo get? Not zero: groups differ by chance, and more groups differ
# more. So each knob gets a yardstick of its own. Shuffle its values among the trials, many times,
# and see what share the shuffled knob explains.

# %%
def groups(values):
    """Return the group of each value: its position, or its quarter where there are many."""
    if len(set(values)) <= 4:
        return np.unique([str(value) for value in values], return_inverse=True)[1]
    return np.searchsorted(np.quantile(values, [0.25, 0.5, 0.75]), values)


def share(found, accuracies):
    """Return which share of the variance of the accuracies the means of the groups explain."""
    sizes = np.bincount(found)
    sums = np.bincount(found, accuracies - accuracies.mean())
    kept = sizes > 0
    spread = np.sum((accuracies - accuracies.mean()) ** 2)
    return float(np.sum(sums[kept] ** 2 / sizes[kept]) / spread)


knobs = list(by_hand["our guess"]) + ["placebo"]
accuracies = np.array([row["epochs"][-1] for row in trained])
in_groups = {knob: groups([row["params"][knob] for row in trained]) for knob in knobs}
shares = {knob: share(in_groups[knob], accuracies) for knob in knobs}
rng = np.random.default_rng(0)
chance, wavering = {}, {}
for knob, found in in_groups.items():
    shuffled = [share(rng.permutation(found), accuracies) for _ in range(n_resamples)]
    chance[knob] = float(np.quantile(shuffled, 0.95))
    drawn = [rng.integers(len(found), size=len(found)) for _ in range(n_resamples)]
    wavering[knob] = np.quantile([share(found[i], accuracies[i]) for i in drawn], [0.1, 0.9])

# %% [markdown]
# The last two lines answer another question: had the study consisted of other trials, would the
# share be another one? Draw as many trials from ours, with repetition, and compute it again: the
# *bootstrap*. (It leans upwards: a trial that is drawn twice makes its group look surer.)

# %% tags=["hide-input"] mystnb={"image": {"alt": "A bar for each of the twenty-one knobs, sorted: the share of the variance of the accuracies that it explains, with a line for the bootstrap interval and a small upright mark for what its shuffled values reach in one case of twenty. Bars that end left of their mark are pale; the placebo is among the bars, in orange."}}
order = sorted(knobs, key=shares.get)
fig, axis = plt.subplots(figsize=(6.4, 7.2))
for y, knob in enumerate(order):
    surely = shares[knob] > chance[knob]
    colour = "orange" if knob == "placebo" else "sky" if surely else "pale sky"
    axis.barh(y, shares[knob], color=plots.COLOURS[colour])
    axis.plot(wavering[knob], [y, y], color=plots.COLOURS["ink"], linewidth=1.5)
    axis.plot([chance[knob]] * 2, [y - 0.4, y + 0.4], color=plots.COLOURS["vermillion"])
axis.set_yticks(range(len(order)), order)
axis.set(xlabel="share of the variance explained", xlim=(0, None))
axis.tick_params(axis="y", length=0)
plots.finish(fig)

# %% [markdown]
# Thin lines: four of five resampled studies lie there. Upright marks: the shuffled knob gets
# beyond them in one case of twenty. With twenty-one knobs, one may cross its mark by luck alone.
#
# The question can be put in another way: what made a trial *one of the best*? Optuna asks this
# with PED-ANOVA {cite:p}`watanabe2023pedanova`. It compares, for each knob, how the values of the
# best quarter are spread with how all values are. (Its older fANOVA {cite:p}`hutter2014efficient`
# does the same for the whole range, with a forest of trees. It needs one more package.)

# %%
def into_the_best(rows):
    """Return Optuna's importance of each knob for being in the best quarter of some trials."""
    asked = optuna.create_study().ask()
    choose(asked)
    study = optuna.create_study(direction="maximize")
    study.add_trials([
        optuna.trial.create_trial(value=row["epochs"][-1], params=row["params"],
                                  distributions=asked.distributions) for row in rows])
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    return optuna.importance.get_param_importances(study, evaluator=evaluator)


importance = into_the_best(trained)
drawn = [into_the_best([trained[i] for i in rng.integers(len(trained), size=len(trained))])
         for _ in range(n_resamples // 10)]
for knob, value in list(importance.items())[:8]:
    low, high = np.quantile([one[knob] for one in drawn], [0.1, 0.9])
    print(f"{knob:<12}{value:.2f}   {low:.2f} to {high:.2f}")
print(f"placebo     {importance['placebo']:.2f}")

# %% tags=["hide-cell"]
sorted_knobs = order[::-1]
surely = [knob for knob in sorted_knobs if shares[knob] > chance[knob] and knob != "placebo"]
record("first_knobs", ", ".join(sorted_knobs[:3]))
record("first_share", 100 * shares[sorted_knobs[0]])
record("first_knob", sorted_knobs[0])
record("n_surely", len(surely))
record("placebo_share", 100 * shares["placebo"])
record("placebo_rank", 1 + sorted_knobs.index("placebo"))
record("placebo_verdict", "beyond" if shares["placebo"] > chance["placebo"] else "short of")
record("ped_knobs", ", ".join(list(importance)[:3]))
record("ped_common", len(set(list(importance)[:3]) & set(sorted_knobs[:3])))
first_places = [max(one, key=one.get) for one in drawn]
record("ped_first", max(sorted(set(first_places)), key=first_places.count))
record("ped_first_percent", 100 * max(map(first_places.count, set(first_places)))
       / len(first_places))

# %%
hits = set(my_ranking[:3]) & set(sorted_knobs[:3])
print(f"your ranking: {', '.join(my_ranking[:3])}")
print(f"the study's:  {', '.join(sorted_knobs[:3])}")
print(f"in common:    {len(hits)} of 3")

# %% [markdown]
# By the variance they explain, the first three are {glue:text}`first_knobs`.
# {glue:text}`first_knob` alone explains {glue:text}`first_share:.0f` %. {glue:text}`n_surely` of
# the twenty real knobs lie beyond their mark. The placebo explains
# {glue:text}`placebo_share:.0f` %, rank {glue:text}`placebo_rank` of 21,
# {glue:text}`placebo_verdict` its mark. Take that as a measure of what the lower half of the
# ranking is worth.
#
# Optuna's first three are {glue:text}`ped_knobs`; the two lists have {glue:text}`ped_common` in
# common. Drawn anew, {glue:text}`ped_first` comes first in {glue:text}`ped_first_percent:.0f` % of
# the studies. Its scores of a knob without steps and of a switch are not quite on one scale, so
# compare like with like.
#
# **What neither says.** A knob that the search settled early shows little variance afterwards, and
# looks unimportant. A knob that matters only together with another is split between the two, or
# lost. And all of it holds for this budget: where networks may learn for eight epochs, speed is
# most of talent.
#
# ## What the best have in common

# %%
finalists = [row for row in ranked if row is not guess][:n_finalists]
print(f"{'':<12}" + "".join(f"{name_of(row):>14}" for row in [*finalists, guess]))
for knob in knobs:
    values = [row["params"][knob] for row in [*finalists, guess]]
    shown = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in values]
    print(f"{knob:<12}" + "".join(f"{text:>14}" for text in shown))

# %% tags=["hide-cell"]
shared = [knob for knob in knobs if len({row["params"][knob] for row in finalists}) == 1]
against = [knob for knob in shared if finalists[0]["params"][knob] != guess["params"][knob]]
record("shared_knobs", ", ".join(f"{k} {finalists[0]['params'][k]}" for k in shared)
       if shared else "not one knob")
record("against_guess", ", ".join(f"{k} {finalists[0]['params'][k]} in place of "
                                  f"{guess['params'][k]}" for k in against)
       if against else "nothing")

# %% [markdown]
# All of the best agree on {glue:text}`shared_knobs`. Where they agree *against* our guess:
# {glue:text}`against_guess`. That is the part of a study that intuition can learn from.
#
# ## How much of it is luck?
#
# Each trial was trained once, from one seed. Train it again from another, and it will come out
# elsewhere. What is left, then, of "the best of {glue:text}`n_trained`"?
#
# Think before you look. The value of a trial is what the design is worth, plus luck. The luck of
# all trials together is zero, on average. Is it zero on average for the trial that was *chosen
# because its value was the largest*?
#
# So the best {glue:text}`n_finalists` and our guess are trained again, with
# {glue:text}`n_seeds` seeds each, on the same images and for as many epochs. They are judged
# twice: by the images that the search judged by, and by {glue:text}`n_fresh:,d` images that
# nobody has chosen anything by.

# %% tags=["hide-output"]
x_fresh, y_fresh = x_train[-n_fresh:], y_train[-n_fresh:]  # trials learn from the first images
again = {}
for row in [*finalists, guess]:
    for seed in seeds:
        print(f"{name_of(row)}, seed {seed}")
        _, again[row["number"], seed] = train(
            row["params"], 1000 + seed, x_study, y_study, study_epochs,
            {"valid": (x_valid, y_valid), "fresh": (x_fresh, y_fresh)},
            name=f"cifar10-challenge-{name_of(row)}-seed{seed}", history_only=True,
            line="epoch {epoch}   loss {loss:.4f}   held out {valid:.4f}   fresh {fresh:.4f}")

# %%
def retrained(row, part="valid"):
    """Return the accuracies of a finalist's new runs, one for each seed."""
    return [again[row["number"], seed][part][-1] for seed in seeds]


for row in [*finalists, guess]:
    print(f"{name_of(row):<12} in the study {row['value']:.3f}   again "
          + ", ".join(f"{value:.3f}" for value in retrained(row))
          + f"   fresh images {np.mean(retrained(row, 'fresh')):.3f}")
winner = max(finalists, key=lambda row: np.mean(retrained(row)))

# %% tags=["hide-input"] mystnb={"image": {"alt": "A row for each finalist and for our guess. A hollow square marks the accuracy in the study, dots the new runs on the same held-out images, crosses the same runs on fresh images, and an upright line the mean of the dots."}}
fig, axis = plt.subplots(figsize=(6.4, 0.75 * (len(finalists) + 1) + 1.6))
rows = [*finalists, guess][::-1]
for y, row in enumerate(rows):
    first = y == 0
    axis.plot(row["value"], y, "s", markersize=10, markerfacecolor="none", markeredgewidth=2,
              color=plots.COLOURS["vermillion"], label="in the study" if first else None)
    axis.plot(retrained(row), [y + 0.12] * len(seeds), "o", color=plots.COLOURS["blue"],
              label="again, same images" if first else None)
    axis.plot(retrained(row, "fresh"), [y - 0.15] * len(seeds), "x", color=plots.COLOURS["green"],
              markeredgewidth=2, label="again, fresh images" if first else None)
    axis.plot([np.mean(retrained(row))] * 2, [y - 0.05, y + 0.3], color=plots.COLOURS["blue"])
axis.set_yticks(range(len(rows)), [name_of(row) for row in rows])
axis.set(xlabel="accuracy", ylim=(-0.6, len(rows) - 0.4))
fig.legend(loc="outside upper center", ncols=3, columnspacing=1.0, handletextpad=0.3)
plots.finish(fig)

# %% tags=["hide-cell"]
drops = [row["value"] - float(np.mean(retrained(row))) for row in finalists]
spreads = [np.std(retrained(row), ddof=1) for row in [*finalists, guess]] if len(seeds) > 1 else [0]
lead = np.mean(retrained(winner)) - np.mean(retrained(guess))
noise = float(np.sqrt(2 / len(seeds)) * np.sqrt(np.mean(np.square(spreads))))
record("n_seeds", len(seeds))
record("n_finalists", len(finalists))
record("n_fresh", len(x_fresh))
record("best_again", float(np.mean(retrained(best))))
record("best_drop", points(float(np.mean(retrained(best))) - best["value"]))
record("mean_drop", points(-float(np.mean(drops))))
record("guess_drop", points(float(np.mean(retrained(guess))) - guess["value"]))
record("seed_spread", f"{100 * float(np.sqrt(np.mean(np.square(spreads)))):.1f}")
record("fresh_gap", points(float(np.mean([np.mean(retrained(row, 'fresh'))
                                          - np.mean(retrained(row)) for row in finalists]))))
record("guess_fresh_gap", points(float(np.mean(retrained(guess, "fresh"))
                                       - np.mean(retrained(guess)))))
record("winner", name_of(winner))
record("winner_again", float(np.mean(retrained(winner))))
record("guess_again", float(np.mean(retrained(guess))))
record("lead_again", points(float(lead)))
record("lead_noise", f"{100 * noise:.1f}")
record("lead_fresh", points(float(np.mean(retrained(winner, "fresh"))
                                  - np.mean(retrained(guess, "fresh")))))
record("same_winner", "the same" if winner is best else "not the same")
record("lead_verdict", "well beyond what seeds can do" if lead > 3 * noise > 0
       else "a little beyond what seeds can do" if lead > 2 * noise > 0
       else "no more than seeds can do")

# %% [markdown]
# The best trial had {glue:text}`best_value:.3f`. Trained again, its mean is
# {glue:text}`best_again:.3f`: {glue:text}`best_drop` points. The mean change over all
# {glue:text}`n_finalists` is {glue:text}`mean_drop` points. Our guess, which was *not* chosen for
# its value, changes by {glue:text}`guess_drop`.
#
# **The winner's curse**: who is chosen for the largest value has, on average, been lucky, and the
# next measurement says so. It is no fault of the search. It is what choosing the largest does, as
# in {doc}`07_cifar10_keras`, where the best of many epochs was chosen. Two seeds of one design
# differ here by a standard deviation of {glue:text}`seed_spread` points, and the held-out images
# add a standard error of {glue:text}`standard_error`.
#
# Is the luck in the seed, or in the images? On fresh images the same runs of the finalists lie
# {glue:text}`fresh_gap` points from where they lie on the held-out ones, and those of our guess,
# which nobody chose, {glue:text}`guess_fresh_gap`. What both share is that these images are harder
# or easier. Only the difference between the two can be the search having fitted the held-out
# images.
#
# After the second look the first place goes to {glue:text}`winner`, {glue:text}`same_winner` as
# before. It leads our guess by {glue:text}`lead_again` points, {glue:text}`lead_verdict` (the
# standard error of that difference, from seeds alone, is {glue:text}`lead_noise`). And it was
# chosen once more, among {glue:text}`n_finalists`. So read its lead on the fresh images, which have
# chosen nothing: {glue:text}`lead_fresh` points. That number, and not the first one, settles the
# bet for a sprint.
#
# ## The sealed envelope
#
# One question is left, the only one that counts outside a chapter: with *all* images and more time,
# is it still better? A design that wins a sprint need not win a long run. Both networks now learn
# from {glue:text}`n_all_train:,d` images, for {glue:text}`long_epochs` epochs. Then, once, the
# test images.

# %% tags=["hide-output"]
long_runs = {}
for row in (winner, guess):
    print(name_of(row))
    _, long_runs[name_of(row)] = train(
        row["params"], seeds[0], x_train, y_train, long_epochs,
        {"valid": (x_valid, y_valid), "test": (dataset.X_test, one_hot[dataset.Y_test])},
        name=f"cifar10-challenge-{name_of(row)}-long", history_only=True,
        line="epoch {epoch}   loss {loss:.4f}   held out {valid:.4f}")

# %%
sealed = {name: history["test"][-1] for name, history in long_runs.items()}
for name, accuracy in sealed.items():
    print(f"{name:<12} held out {long_runs[name]['valid'][-1]:.4f}   test {accuracy:.4f}")

# %% tags=["hide-cell"]
test_winner, test_guess = (sealed[name_of(row)] for row in (winner, guess))
n_tested = len(dataset.X_test)
test_error = float(np.sqrt((test_winner * (1 - test_winner) + test_guess * (1 - test_guess))
                           / n_tested))
record("long_epochs", long_epochs)
record("test_winner", test_winner)
record("test_guess", test_guess)
record("test_lead", points(test_winner - test_guess))
record("test_error", f"{100 * test_error:.1f}")
record("n_tested", n_tested)
record("bet", "the search" if test_winner - test_guess > 2 * test_error
       else "intuition" if test_guess - test_winner > 2 * test_error else "neither")

# %% [markdown]
# {glue:text}`winner`: {glue:text}`test_winner:.4f`. Our guess: {glue:text}`test_guess:.4f`. The
# difference is {glue:text}`test_lead` points, with a standard error of at most
# {glue:text}`test_error` points from {glue:text}`n_tested:,d` test images, and one seed each. Who
# has won the bet, by more than twice that error? {glue:text}`bet`.
#
# ## What the search did not find
#
# **What it could not say.** There is no knob for the path around two layers, none for another
# kind of normalisation, none for a mixture of kernels. The largest decisions of a study are made
# before it begins, by whoever writes `choose`. The search had a person's intuition in every line.
#
# **What it could not see.** {glue:text}`study_n_epochs` epochs over {glue:text}`study_n:,d` images
# are a sprint. Whatever learns slowly and ends high, strong dropout, a small step, a deep stack, is
# judged before its time. The pruner sharpens this: it compares from the second epoch on, when a
# schedule that rises and falls has hardly begun to fall.

# %% tags=["hide-cell"]
lost = {}
for name in ("constant", "fall", "rise and fall"):
    of_it = [row for row in trained if row["params"]["schedule"] == name]
    stopped = sum(row["state"] == "stopped" for row in of_it)
    lost[name] = f"{stopped} of {len(of_it)}"
    record(f"stopped_{name.replace(' ', '_')}", lost[name])
asked = optuna.create_study().ask()
choose(asked)
edges = []
for knob, span in asked.distributions.items():
    values = [row["params"][knob] for row in finalists]
    if hasattr(span, "low") and knob != "placebo":
        scale = np.log if span.log else float
        place = [(scale(v) - scale(span.low)) / (scale(span.high) - scale(span.low))
                 for v in values]
        if min(place) > 0.9 or max(place) < 0.1:
            edges.append(knob)
record("edges", ", ".join(edges) if edges else "none")

# %% [markdown]
# Stopped early were {glue:text}`stopped_constant` trials with a constant step,
# {glue:text}`stopped_fall` with a falling one, and {glue:text}`stopped_rise_and_fall` with one
# that rises and falls.
#
# **Where it hit the wall.** A knob whose best values all lie within a tenth of one end of its range
# asks for a wider range. Among the finalists: {glue:text}`edges`.
#
# **What it did not try.** {glue:text}`n_trained` of some 10¹² designs. Random search in such
# spaces is hard to beat by much {cite:p}`li2020random`, and a study of this size cannot say
# whether TPE has beaten it here. That would take several studies of each.
#
# ## Your trials
#
# The study is yours to go on with. Set `n_more` at the top to a number, and run the notebook up to
# here, on Colab for example. Your trials go into a journal of your own, in the folder `models`. If
# your study has the functions of this page, and as many images and epochs, the search starts from
# all that is known; if not, it starts afresh, in another journal. Either way each trial keeps its
# stamp, and yours are shown beside ours, not among them.

# %%
def continued(n):
    """Train so many trials more; return all in their journal, and whether ours are among them."""
    ours = {key: stamp()[key] for key in ("code", "n_train", "n_valid", "n_epochs", "budget")}
    same = all(best[key] == value for key, value in ours.items())
    journal = training.model_path(f"challenge-{training.digest(ours)[:8]}.journal")
    if same:
        asked = optuna.create_study().ask()
        choose(asked)
        study = open_study(journal, {})
        there = {trial.user_attrs.get("stored") for trial in study.trials}
        study.add_trials([
            optuna.trial.create_trial(
                state=TrialState.COMPLETE if row["state"] == "trained" else TrialState.PRUNED,
                value=row["value"], params=row["params"], distributions=asked.distributions,
                intermediate_values=dict(enumerate(row["epochs"], 1)),
                user_attrs={"stored": row["number"], **{
                    k: v for k, v in row.items() if k not in studies.Row.FIELDS}})
            for row in trained if row["number"] not in there])
    study = search(n + (len(trained) if same else 0), journal)
    return [row for trial in study.trials if (row := studies.row(trial)) is not None], same

# %% tags=["hide-output"]
mine, joined = continued(n_more) if n_more else ([], False)
own = [row for row in mine
       if "stored" not in row and row["epochs"] and row["state"] != "failed"]
print(f"{len(own)} trials of your own, "
      + ("joined with the stored study" if joined else "beside the stored study, not part of it"))
if own:
    print(f"your best: {max(row['epochs'][-1] for row in own):.3f}; stored: {best['value']:.3f}")
    for key in ("edition", "machine"):
        print(f"{key}: yours {own[-1][key]}; stored {best[key]}")

# %% tags=["hide-cell"]
record("n_own", len(own))

# %% [markdown]
# ## Exercises
#
# **1. Warm-up.** Count by hand: the weights of a convolution of 3 x 3 from 64 maps to 64, plain and
# separable, without biases. And the multiply-adds of both on maps of 16 x 16?
#
# :::{dropdown} Hint
# One kernel for each map, then a convolution of 1 x 1. Each weight is used once for each place.
# :::
#
# :::{dropdown} Solution
# Plain: 9 x 64 x 64 = 36,864. Separable: 9 x 64 + 64 x 64 = 4,672, an eighth. The multiply-adds
# are 256 times as many of both: 9,437,184 and 1,196,032. The cell below asks Keras.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
maps = keras.Input((16, 16, 64))
for layer in (layers.Conv2D, layers.SeparableConv2D):
    small = keras.Model(maps, layer(64, 3, padding="same", use_bias=False)(maps))
    print(f"{layer.__name__:<16}{small.count_params():>7,} weights"
          f"{multiply_adds(small):>11,} multiply-adds")
assert multiply_adds(small) == 256 * (9 * 64 + 64 * 64)

# %% [markdown]
# **2.** How much does the best of 80 gain by luck alone? Suppose that all designs were equally
# good, and that each measurement had a standard deviation of 1.5 points.
#
# :::{dropdown} Hint
# `rng.normal(size=(10_000, 80)).max(axis=1).mean()`.
# :::
#
# :::{dropdown} Solution
# About 2.4 standard deviations, 3.6 points, for nothing. In a real study the designs differ, so
# that fewer of them compete for the first place, and the gain is smaller.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
highest = np.random.default_rng(0).normal(size=(10_000, 80)).max(axis=1).mean()
print(f"best of 80 equals: {highest:.1f} standard deviations, {1.5 * highest:.1f} points")

# %% [markdown]
# **3.** Kill the small study in another place: in its first trial, after the first epoch. What is
# in the journal when it is opened again, and what happens to a trial that was killed *twice*?
#
# :::{dropdown} Hint
# Change `until`, or play it through without a process: `study.ask()` begins a trial, and nobody
# ever tells its end.
# :::
#
# :::{dropdown} Solution
# The first trial is marked as failed, and its knobs are asked again. If that trial dies as well,
# it is marked too, and asked once more; its note says instead of which it stood. The cell below
# plays it through. (A design that kills the process each time, for want of memory, would be asked
# for ever. A study that runs unwatched needs a limit.)
# :::

# %% tags=["hide-cell", "nbval-check-output"]
with TemporaryDirectory() as folder:
    journal = Path(folder, "twice.journal")
    for _ in range(2):
        dying = open_study(journal, {"by hand": {"rate": 0.5}}).ask()
        dying.suggest_float("rate", 0.0, 1.0)
    for trial in open_study(journal, {}).trials:
        print(trial.number, trial.state.name.lower(), trial.user_attrs)

# %% [markdown]
# **4.** Is the median a good rule for stopping? Take the stored trials that were trained to their
# end, and ask how well the rank after three epochs foretells the rank after the last.
#
# :::{dropdown} Hint
# `row["epochs"]` has the accuracy after each epoch. Ranks are `np.argsort(np.argsort(values))`,
# and their correlation is `np.corrcoef`.
# :::
#
# :::{dropdown} What to look for
# Only survivors are among them, so the true agreement is better than what you compute. Look also
# for the single trials that climbed most: which schedule did they have?
# :::

# %% tags=["hide-cell"]
early = np.argsort(np.argsort([row["epochs"][2] for row in whole]))
final = np.argsort(np.argsort([row["epochs"][-1] for row in whole]))
climbers = np.argsort(early - final)[:5]
print(f"rank correlation: {np.corrcoef(early, final)[0, 1]:.2f}; the five that climbed most: "
      + ", ".join(whole[k]["params"]["schedule"] for k in climbers))

# %% [markdown]
# **5. Open-ended.** Give the search a knob that it lacked: the path around two layers, from
# {doc}`10_architectures`. Say beforehand what it will find. Then run twenty trials of your own
# with `n_more`.
#
# :::{dropdown} Hint
# In `block`, keep `h` before two layers and add it behind them. Where the number of maps differs,
# a convolution of 1 x 1 makes it fit. Count its multiply-adds, too.
# :::
#
# :::{dropdown} What to look for
# The digest changes with the functions, so your study begins afresh: that is the point of the
# digest. With networks of four or six layers the path may bring little, since it was invented for
# depth. If it wins, train the winner again before you believe it.
# :::
#
# ## Check yourself
#
# **1.** A colleague reports the best held-out accuracy of 200 trials as what to expect on new
# images. What do you say?
#
# :::{dropdown} Answer
# That it leans upwards: it is the largest of 200 numbers that all hold some luck. Train the design
# again from other seeds, and judge by images that chose nothing.
# :::
#
# **2.** Why is a design over the budget refused *before* it is trained, and not punished after?
#
# :::{dropdown} Answer
# Its price can be counted without training, to the last multiply-add. To train it would cost most
# where it is of least use.
# :::
#
# **3.** A knob explains 6 % of the variance. Does it matter?
#
# :::{dropdown} Answer
# That depends on what the same knob explains when its values are shuffled. With eighty trials and
# four groups, shuffled knobs often reach 5 % or more.
# :::
#
# **4.** A trial was killed after six of eight epochs, at an accuracy higher than all others. Why is
# it not in the list as the best?
#
# :::{dropdown} Answer
# It has no value. Values are accuracies after the last epoch, the same rule for all. Its knobs
# were put into the queue again, and the new trial has a value.
# :::
#
# **5.** In the second look, our guess may change as well. Why is its change not the winner's curse?
#
# :::{dropdown} Answer
# It was not chosen for its value. Its luck in the study is as likely to be bad as good.
# :::
#
# ## Summary
#
# - A challenge becomes a study by a budget, a rule for judging and a record that survives.
# - Of {glue:text}`n_stored` trials, {glue:text}`n_refused` were refused for their price and
#   {glue:text}`n_stopped` stopped early. The best reached {glue:text}`best_value:.3f` on the
#   held-out images, our guess {glue:text}`guess_value:.3f`, chapter 7
#   {glue:text}`chapter_7_value:.3f`.
# - Trained again, the best came to {glue:text}`best_again:.3f`. Who is chosen for the largest value
#   has been lucky.
# - The lead of the second look is {glue:text}`lead_again` points; with all images, and on the test
#   set, {glue:text}`test_lead`.
# - The knobs that explain most are {glue:text}`first_knobs`, and a placebo belongs into every
#   ranking.
# - A search finds what its knobs can say.
#
# ## Further reading
#
# - {cite:t}`bergstra2012random`: why chance beats a grid. {cite:t}`bergstra2011algorithms`: TPE.
# - {cite:t}`akiba2019optuna`: Optuna. {cite:t}`liaw2018tune`: Tune.
# - {cite:t}`watanabe2023pedanova` and {cite:t}`hutter2014efficient`: which knob mattered.
# - {cite:t}`cawley2010overfitting`: how choosing by held-out data fits them.
# - {cite:t}`li2020random`: how hard random search is to beat, and how hard results are to repeat.
#
# Before this chapter: {doc}`11_training_fast`. The same study on a cluster that loses a machine:
# {doc}`13_many_devices`. All numbers in one place: {doc}`../pages/results`.
#
# ## How this page was made

# %% tags=["hide-input"]
conditions(dataset)
