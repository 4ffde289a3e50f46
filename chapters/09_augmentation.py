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
# # More data for free
#
# **What may you change in a picture without changing its name?**
#
# By the end of this chapter you will be able to
#
# - make new training images out of old ones while the network trains, with layers of Keras;
# - say which changes leave a picture its name, and test it when you are not sure;
# - build a network of fifteen convolutions, and account for each of its parameters;
# - measure what augmentation does to the gap between training and test;
# - work out what a network asks of memory and of time, before you rent a machine;
# - draw a model, rebuild it, save and load it, and let a long training survive a kill.
#
# You need {doc}`08_deeper`, for the rules by which networks are compared.
#
# Time to read and to try things out: about two hours. Minutes of computing, all cells, on two CPU
# cores: {glue:text}`minutes`. On a GPU: {glue:text}`gpu_minutes`.

# %% tags=["parameters"]
schedule = "short"  # how long to train: "two cores", "short" or "source", spelled out below
n_train = None  # images to train on; None: all that are not held out
n_valid = 5000  # images held out, to compare with
n_test = None  # images for the final test; None: all 10,000
seeds = [0]  # one run of each path for each seed
n_digits = 2000  # handwritten digits to train on, where mirrors are tried out
digit_epochs = 8  # passes over them
digit_seeds = [0, 1, 2]  # runs for each kind of augmentation
n_timed = 3  # gradient steps of the large network that are timed on this machine
precision = "float32"  # on a GPU: "mixed_float16", or "mixed_bfloat16" on a recent one
xla = "auto"  # compile each step with XLA: "auto" does so on a GPU and not on a CPU
prefer = "train"  # "load": take the augmented network's weights from a file, if there is one

# %%
import importlib.util
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
from keras import layers

from datasetslib import conditions, imutil, plots, record, training
from datasetslib.cifar import cifar10
from datasetslib.mnist import mnist

plots.use_style()
keras.config.set_dtype_policy(precision)
dataset = cifar10(n_train=n_train, n_valid=n_valid, n_test=n_test)
dataset.x_layout = imutil.LAYOUT_NHWC
dataset.load_data()
dataset.scaleX()
x_train, y_train = dataset.X_train, dataset.Y_train
x_valid, y_valid = dataset.X_valid, dataset.Y_valid
x_test, y_test = dataset.X_test, dataset.Y_test
class_names = dataset.class_names
print(f"{len(x_train):,} images to train on, {len(x_valid):,} to compare with")

# %% tags=["hide-cell"]
record("edition", str(dataset.edition))
record("n_train", len(x_train))
record("n_valid", len(x_valid))

# %% [markdown]
# All numbers on photographs come from this copy of the data: {glue:text}`edition`. The stated
# results were measured on the official files. Where the two are not the same bytes, a part of each
# difference between them may be the data's.
#
# :::{admonition} On a GPU
# :class: tip
# Nothing here has to be edited. Keras uses a GPU that its backend finds, and the cells
# run on TensorFlow as on JAX. Two parameters concern speed. `precision = "mixed_float16"`
# multiplies in 16 bits, keeps the weights in 32, and scales the loss, so that small gradients do
# not vanish; the softmax and the augmentation stay in 32 bits. `xla = "auto"` has the operations of
# a step compiled into fewer, larger ones where there is a GPU, and leaves a CPU alone. With
# TensorFlow, Keras leaves XLA off for the augmented network: TensorFlow cannot compile shifts and
# rotations with it. Both change the rounding, so that a run ends elsewhere, by about as much as
# another seed would.
# :::
#
# ## The clue
#
# Each network of {doc}`08_deeper` got more of its training images right than of images that it had
# not seen. It had learned some of the pictures by heart. The surest cure is more pictures. There
# are none: the 50,000 were collected, labelled by hand, and that was that.
#
# Or are there? Take a photograph of a ship, and move it to the left by one pixel. Nearly all of its
# 3,072 numbers change. To the network it is a picture that it has never seen. To you it is the same
# ship. You know its label without asking anyone.
#
# So each rule that says "this change leaves the name" turns one labelled picture into many. Such
# rules cost nothing. Which ones do you know? Write down three before you go on, and one change that
# *does* alter the name.
#
# ## One ship, sixteen times
#
# Here are three rules of the source. A picture may move by up to a fifth of its width and of its
# height. It may turn by up to 10 degrees. It may be seen in a mirror, left and right exchanged.
# Keras has a layer for each:

# %%
def augmentation(shift=0.2, degrees=10):
    """Return layers that move, turn and mirror each image anew, each time they see it."""
    made = [layers.RandomTranslation(shift, shift, fill_mode="nearest", dtype="float32")]
    if degrees:
        made.append(layers.RandomRotation(degrees / 360, fill_mode="nearest", dtype="float32"))
    made.append(layers.RandomFlip("horizontal", dtype="float32"))
    if keras.backend.backend() == "jax":  # where XLA can move and turn; in TensorFlow it cannot
        for layer in made:
            layer.supports_jit = True
    return made

# %% [markdown]
# `RandomRotation` counts in full turns, so 10 degrees are $10/360$. Angles, shifts and mirrors are
# drawn for each image on its own. `fill_mode` says what appears where the picture has been moved
# away: "nearest" repeats the last row or column.
#
# Predict: of sixteen draws, how many will be mirrored? Will any two be equal?

# %%
def draws(these_layers, image, n):
    """Return one image n times, each time as the layers happen to draw it."""
    keras.utils.set_random_seed(2)
    drawn = keras.Sequential(these_layers)(np.stack([image] * n), training=True)
    return list(np.clip(keras.ops.convert_to_numpy(drawn), 0, 1))


ships = np.flatnonzero(y_train == class_names.index("ship"))[:7]
ship = x_train[ships[-1]]  # the seventh; the first shows little of itself

# %% mystnb={"image": {"alt": "Sixteen versions of one small photograph of a ship, in four rows: moved up, down, left or right, a little slanted, some of them mirrored. Where the picture was moved away from an edge, the last row or column of pixels is drawn out into stripes. It is a ship in all of them."}}
sixteen = draws(augmentation(), ship, 16)
plots.image_row(sixteen, n_cols=4)

# %% tags=["hide-cell"]
apart = [np.abs(a - b).mean() for k, a in enumerate(sixteen) for b in sixteen[:k]]
assert min(apart) > 0.001, "two of sixteen draws are equal"
unchanged = [np.abs(drawn - ship).max(axis=2) < 1 / 255 for drawn in sixteen]
record("kept_percent", 100 * float(np.mean(unchanged)))

# %% [markdown]
# Sixteen pictures and one name. In the mean, only {glue:text}`kept_percent:.0f` % of the pixels are
# what they were. No two draws are equal, and no epoch will ever show the network the same set
# twice.
#
# Which rule did what? Each one alone, five draws:

# %% mystnb={"image": {"alt": "Three rows of five versions of the ship. First row, moved only: upright, at other places, with stripes at the edges. Second row, turned only: slanted by a few degrees to either side. Third row, mirrored or not: two kinds of pictures and no others."}}
translation, rotation, flip = augmentation()
alone = [draw for layer in (translation, rotation, flip) for draw in draws([layer], ship, 5)]
plots.image_row(
    alone, [f"{word} {k}" for word in ("moved", "turned", "mirror") for k in range(1, 6)], n_cols=5)

# %% [markdown]
# The third rule has only two outcomes, so it doubles the data and no more. The first two have as
# many as there are shifts and angles. They also blur a little: a pixel that lands between four
# others becomes their mean.
#
# The source has a milder variant as well: shifts of up to a tenth, mirrors, no rotation. That is
# `augmentation(0.1, 0)`. How much is too much? When *you* begin to hesitate about the name, stop.
#
# ## The name it once had
#
# In older programs, and in the source, the same is asked of `ImageDataGenerator`. You will meet it,
# so read it once:
#
# ```python
# from tensorflow.keras.preprocessing.image import ImageDataGenerator
#
# generator = ImageDataGenerator(
#     width_shift_range=0.2, height_shift_range=0.2, rotation_range=10, horizontal_flip=True,
#     featurewise_center=False, featurewise_std_normalization=False, zca_whitening=False,
# )
# generator.fit(x_train)  # needed for the options of the second line only
# model.fit(generator.flow(x_train, y_train, batch_size=32), epochs=1600)
# ```
#
# It is deprecated. Keras 3 no longer has it under its own name and keeps a copy under `tf.keras`.
# It makes its pictures with NumPy and SciPy, one after another, outside the network, and a fast GPU
# waits for them. Layers compute where the network computes.
#
# Three options are offered there and left off in the source. They do not make new pictures. They
# rescale the old ones, all in the same way. *Feature-wise centring* and *normalisation* subtract
# the mean image of the training set and divide by its standard deviation, number by number. *ZCA
# whitening* goes further {cite:p}`bell1997independent`. In a photograph, neighbours agree: whoever
# knows one pixel can guess the next. Whitening turns and rescales the 3,072 numbers so that, over
# the training set, none can be guessed from another by a straight line, and of all ways to do so it
# takes the one that changes the picture least.
#
# See it on images at half size, 768 numbers each:

# %%
small = x_train[:4000].reshape(-1, 16, 2, 16, 2, 3).mean(axis=(2, 4)).reshape(-1, 768)
centred = small - small.mean(axis=0)
variances, directions = np.linalg.eigh(centred.T @ centred / len(centred))
scale = 1 / np.sqrt(np.maximum(variances, 0) + 1e-3)  # 1e-3: or the weakest would drown in noise
whitened = centred @ (directions * scale) @ directions.T


def agreement(rows):
    """Return the correlation of a pixel with its neighbour on the right, in the mean."""
    images = rows.reshape(-1, 16, 16, 3)
    left, right = images[:, :, :-1].reshape(-1), images[:, :, 1:].reshape(-1)
    return float(np.corrcoef(left, right)[0, 1])


print(f"neighbours before {agreement(centred):+.3f}, after whitening {agreement(whitened):+.3f}")
assert abs(agreement(whitened)) < agreement(centred)
record("agreement_before", agreement(centred))
record("agreement_after", f"{agreement(whitened):.2f}".replace("-", "\N{MINUS SIGN}"))

# %% tags=["hide-input"] mystnb={"image": {"alt": "A small picture of a ship three times: as it was; with the mean image subtracted, nearly the same; whitened, a grey field in which thin edges are left."}}
k = ships[-1]
views = [small[k], 0.5 + 0.5 * centred[k] / np.abs(centred[k]).max(),
         0.5 + 0.5 * whitened[k] / np.abs(whitened[k]).max()]
plots.image_row([v.reshape(16, 16, 3) for v in views], ["half size", "centred", "whitened"],
                n_cols=3)

# %% [markdown]
# The correlation of neighbours goes from {glue:text}`agreement_before:.2f` to
# {glue:text}`agreement_after`. What is left of the ship are its edges, and noise that nobody had
# seen. That was a great help to the shallow learners of the 2000s
# {cite:p}`krizhevsky2009learning`. A network whose first layer learns to find edges by itself needs
# it less.
#
# ## Fifteen convolutions
#
# A network that is to learn from so many pictures may be large. The source stacks fifteen
# convolutions in three blocks of five. At the end, one number is kept of each map: the largest.

# %%
def block(n_maps):
    """Return convolutions, one for each number of maps: 3 x 3, padding SAME, ReLU."""
    return [layers.Conv2D(n, 3, padding="same", activation="relu",
                          kernel_initializer="he_normal") for n in n_maps]


def build(front=()):
    """Return the fifteen convolutions, behind the layers of `front`."""
    return keras.Sequential([
        keras.Input((32, 32, 3)), *front,
        *block([32, 32, 32, 48, 48]), layers.MaxPooling2D(2), layers.Dropout(0.25),
        *block([80] * 5), layers.MaxPooling2D(2), layers.Dropout(0.25),
        *block([128] * 5), layers.GlobalMaxPooling2D(), layers.Dropout(0.25),
        layers.Dense(500, activation="relu"), layers.Dropout(0.25),
        layers.Dense(10, activation="softmax", dtype="float32"),
    ])

# %% [markdown]
# Fill in the table with a pencil before you let Keras print it:
# $(9\, c_{\text{in}} + 1)\, c_{\text{out}}$ for each convolution. How many parameters does
# augmentation add?

# %% tags=["nbval-check-output"]
model = build(augmentation())
for layer in model.layers:
    print(f"{type(layer).__name__:<20}{str(layer.output.shape[1:]):<16}{layer.count_params():>9,}")
counted = [layer.count_params() for layer in model.layers if layer.count_params()]
assert counted == [896, 9_248, 9_248, 13_872, 20_784, 34_640, *[57_680] * 4, 92_288,
                   *[147_584] * 4, 64_500, 5_010]
assert sum(counted) == model.count_params() == 1_071_542
print(f"{model.count_params():,} parameters in {len(counted)} layers that have any")

# %% tags=["hide-cell"]
record("n_parameters", model.count_params())

# %% [markdown]
# 1,071,542, layer by layer as the source states them. That is a quarter of what the network of
# {doc}`07_cifar10_keras` had, with two convolutions. More than nine in ten of them sit in
# convolutions now: the global pooling leaves 128 numbers for the dense layer to read, where a
# flattening would leave 8,192.
#
# One word is ours, `he_normal`. By default Keras draws the weights of a convolution so small that a
# ReLU halves the mean square of the signal and nothing makes up for it. In two layers that is
# hardly felt. In fifteen the signal is nearly gone, and with it the gradient: at the step size that
# is used below, the loss can stand at the logarithm of ten, 2.30, for hundreds of steps. The rule
# of {cite:t}`he2015delving` draws them larger by the factor that a ReLU takes away. Exercise 4
# measures both.
#
# ## Where the dice are thrown
#
# The three layers of augmentation stand in front, as a part of the model. So they are saved with
# it, and they compute where it computes. Then will a picture that you ask about be moved and turned
# before the network sees it? And two answers to one question differ?

# %%
def twice(**how):
    """Return how far two answers of the network to one image lie apart."""
    one, two = (keras.ops.convert_to_numpy(model(ship[None], **how)) for _ in range(2))
    return float(np.abs(one - two).max())


asked, trained = twice(training=False), twice(training=True)
print(f"two answers differ by {asked:.6f} when the model is asked, by {trained:.6f} in training")
assert asked == 0 < trained
moved = np.abs(draws(augmentation(), ship, 1)[0] - ship).max()
still = keras.Sequential(augmentation())(ship[None], training=False)
assert moved > 0 and np.array_equal(keras.ops.convert_to_numpy(still)[0], ship)

# %% [markdown]
# No. Like dropout in {doc}`07_cifar10_keras`, the layers act when they are told that this is
# training, and `fit` tells them. `predict` and `evaluate` do not, and then the picture passes
# through untouched, bit for bit.
#
# ## Two paths
#
# Now the comparison: the same network from the same starting weights, once on the pictures as they
# are, the *plain* path, and once behind the three layers, the *augmented* path. Nothing else
# differs.
#
# How long? The source trains the plain path for 600 epochs with batches of 128, and the augmented
# path for 1,600 epochs with batches of 32. The first lines of the next cell say it in numbers. What
# is on this page used the schedule {glue:text}`schedule`, and the long one is one word away, in the
# parameters.

# %%
schedules = {  # for each path: images per gradient step, and passes over the images
    "two cores": {"rate": 0.001, "cosine": True, "plain": (64, 4), "augmented": (64, 4)},
    "short": {"rate": 0.001, "cosine": True, "plain": (128, 50), "augmented": (128, 50)},
    "source": {"rate": 0.0001, "cosine": False, "plain": (128, 600), "augmented": (32, 1600)},
}


def compiled(path, seed):
    """Return the network of a path, with its starting weights, ready for its schedule."""
    keras.utils.set_random_seed(seed)
    model = training.draw_weights(build(augmentation() if path == "augmented" else ()), seed)
    plan = schedules[schedule]
    rate, (batch_size, n_epochs) = plan["rate"], plan[path]
    if plan["cosine"]:
        epoch = -(-len(x_train) // batch_size)  # gradient steps
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, (n_epochs - 1) * epoch, warmup_target=rate, warmup_steps=epoch)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy",
                  metrics=["accuracy"], jit_compile=xla)
    return model

# %% [markdown]
# Two choices are ours. The short schedules take larger steps than the source, since they have fewer
# of them: the rate climbs to 0.001 during the first epoch and then falls along a cosine to zero at
# the end. A deep stack without any normalisation can be thrown off by large first steps, and small
# last ones let it settle, so that one need not choose the moment to stop. And the same seed gives
# both paths the same starting weights, drawn with NumPy, on whatever machine.
#
# The rules are those of {doc}`08_deeper`. {glue:text}`n_valid:,d` images are held out to compare
# with. The test accuracy goes into a sealed envelope: it is measured once, after the last epoch,
# and nothing looks at it before we do. After each epoch the network is also asked about the first
# 5,000 training images, *as they are*, with dropout and augmentation off. Why is the `accuracy`
# that `fit` reports no good for that? It is averaged over the epoch, and on the augmented path it
# tells of pictures that were moved and turned.
#
# Two more numbers are taken at the end: the accuracy on the validation images in a mirror, and the
# accuracy on the validation images moved by four pixels.

# %%
def train(path, seed, line=None, history_only=True):
    """Train the network of a path from a seed; return it and what was measured."""
    model = compiled(path, seed)
    batch_size, n_epochs = schedules[schedule][path]
    before_the_last = (n_epochs - 1) * -(-len(x_train) // batch_size)  # gradient steps

    def accuracy(images, labels):
        return model.evaluate(images, labels, batch_size=500, verbose=0)[1]

    def after_epoch():
        seen = {"train_accuracy": accuracy(x_train[:5000], y_train[:5000])}
        if int(model.optimizer.iterations) <= before_the_last:
            return seen
        moved = np.pad(x_valid, ((0, 0), (4, 0), (4, 0), (0, 0)), "edge")[:, :32, :32]
        return {**seen, "mirrored_accuracy": accuracy(x_valid[:, :, ::-1], y_valid),
                "moved_accuracy": accuracy(moved, y_valid),
                "test_accuracy": accuracy(x_test, y_test), "n_test": len(x_test)}

    history = training.fit(
        model, x_train, y_train, n_epochs=n_epochs, batch_size=batch_size, seed=seed,
        name=f"cifar10-fifteen-{path}-seed{seed}", validation_data=(x_valid, y_valid),
        after_epoch=after_epoch, line=line, history_only=history_only,
    )
    return model, history

# %% [markdown]
# What do you expect? Which path will have the lower training loss? Which the higher accuracy on
# images that it has not seen, and from which epoch on?

# %% tags=["hide-output"]
short = "epoch {epoch:2d}   loss {loss:.4f}   train {train_accuracy:.4f}   val {val_accuracy:.4f}"
paths, networks, histories = ("plain", "augmented"), {}, {}
for path in paths:
    for seed in seeds:
        print(f"{path}, seed {seed}")
        looked_at = path == "augmented" and seed == seeds[0]  # its weights are needed below
        model, histories[path, seed] = train(path, seed, line=short, history_only=not looked_at)
        networks.setdefault(path, model)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels over the epochs for the plain and the augmented path: the training loss, and the accuracy on training images as they are with, dotted, that on validation images. On the plain path the two accuracies part; on the augmented path they stay closer together."}}
plots.learning_curves(
    {path: {"loss": histories[path, seeds[0]]["loss"],
            "accuracy": histories[path, seeds[0]]["train_accuracy"],
            "val_accuracy": histories[path, seeds[0]]["val_accuracy"]} for path in paths},
)

# %%
def last(path, metric):
    """Return the mean over the seeds of what a metric was after the last epoch."""
    return float(np.mean([histories[path, seed].epochs[-1][metric] for seed in seeds]))


print(f"{'':<12}  training  validation     gap")
gaps = {}
for path in paths:
    seen, unseen = last(path, "train_accuracy"), last(path, "val_accuracy")
    gaps[path] = 100 * (seen - unseen)
    print(f"{path:<12}    {seen:.4f}      {unseen:.4f}  {gaps[path]:+.1f} points")

# %% tags=["hide-cell"]
def points(difference):
    """Return a difference of accuracies in points, with its sign if it has one."""
    text = f"{difference:+.1f}".replace("-", "\N{MINUS SIGN}")
    return "0.0" if text.endswith("0.0") and len(text) == 4 else text


record("schedule", f'"{schedule}"')
for path in paths:
    batch_size, n_epochs = schedules[schedule][path]
    record(f"n_epochs_{path}", n_epochs)
    record(f"batch_size_{path}", batch_size)
    for metric in ("train_accuracy", "val_accuracy", "mirrored_accuracy", "moved_accuracy", "loss"):
        record(f"{metric}_{path}", last(path, metric))
    record(f"gap_{path}", points(gaps[path]).removeprefix("+"))
    record(f"val_accuracy_{path}_by_seed",
           [histories[path, seed]["val_accuracy"][-1] for seed in seeds])
record("gap_change", points(gaps["augmented"] - gaps["plain"]))
record("gain", points(100 * (last("augmented", "val_accuracy") - last("plain", "val_accuracy"))))
by_epoch = [histories[path, seeds[0]]["val_accuracy"] for path in paths]
ahead = [after > before for before, after in zip(*by_epoch, strict=False)]
record("n_ahead", f"{sum(ahead)} of {len(ahead)}")

# %% [markdown]
# | | plain | augmented |
# |---|---|---|
# | epochs, and images a step | {glue:text}`n_epochs_plain`, {glue:text}`batch_size_plain` | {glue:text}`n_epochs_augmented`, {glue:text}`batch_size_augmented` |
# | training loss, last epoch | {glue:text}`loss_plain:.4f` | {glue:text}`loss_augmented:.4f` |
# | training images, as they are | {glue:text}`train_accuracy_plain:.4f` | {glue:text}`train_accuracy_augmented:.4f` |
# | validation images | {glue:text}`val_accuracy_plain:.4f` | {glue:text}`val_accuracy_augmented:.4f` |
# | **gap, in points** | {glue:text}`gap_plain` | {glue:text}`gap_augmented` |
#
# Look at the last line first. The gap is what a network knows by heart and cannot use. Augmentation
# changes it by {glue:text}`gap_change` points, and the accuracy on unseen images by
# {glue:text}`gain` points. It was ahead, on the validation images, in {glue:text}`n_ahead` epochs.
#
# The training loss tells another story. It is measured on the pictures that each path was *given*,
# and those of the augmented path are harder: moved, turned, cut off at an edge, never seen before.
# A higher training loss is the price, and it is paid on purpose. Whoever judged by the training
# loss alone would throw augmentation away.
#
# Why does the price have to be paid in epochs? A plain network sees the same picture again and
# again and soon has it by heart; after that, an epoch teaches it little. An augmented one meets
# something new each time. Its lessons are harder and do not run out. The source gave that path more
# than twice as many epochs. Judge a short schedule accordingly.
#
# ## Mirrors: fine for ships
#
# Is a mirror image a fair picture? Here is a test that needs no opinion. Take the *plain* network,
# which has never seen a mirror. Show it mirrored images. If the world that was photographed looks
# alike in a mirror, it will do as well as before.

# %%
for path in paths:
    print(f"{path:<10} as they are {last(path, 'val_accuracy'):.4f}"
          f"   mirrored {last(path, 'mirrored_accuracy'):.4f}"
          f"   moved by four pixels {last(path, 'moved_accuracy'):.4f}")
record("mirror_cost_plain", points(
    100 * (last("plain", "mirrored_accuracy") - last("plain", "val_accuracy"))))
record("move_cost_plain", points(
    100 * (last("plain", "moved_accuracy") - last("plain", "val_accuracy"))))
record("move_cost_augmented", points(
    100 * (last("augmented", "moved_accuracy") - last("augmented", "val_accuracy"))))

# %% [markdown]
# | validation images | plain | augmented |
# |---|---|---|
# | as they are | {glue:text}`val_accuracy_plain:.4f` | {glue:text}`val_accuracy_augmented:.4f` |
# | mirrored | {glue:text}`mirrored_accuracy_plain:.4f` | {glue:text}`mirrored_accuracy_augmented:.4f` |
# | moved by four pixels | {glue:text}`moved_accuracy_plain:.4f` | {glue:text}`moved_accuracy_augmented:.4f` |
#
# The mirror changes the accuracy of the plain network by {glue:text}`mirror_cost_plain` points.
# Ships sail to the left as often as to the right, and photographers do not mind.
#
# The last line asks something else: has the network *learned* the rule? Four pixels down and to the
# right change the plain path by {glue:text}`move_cost_plain` points and the augmented path by
# {glue:text}`move_cost_augmented`. Convolutions move along with the picture, but poolings and edges
# do not quite, and what they leave open must be learned from examples.
#
# ## Mirrors: wrong for digits?
#
# Now the handwritten digits of {doc}`05_mnist_keras`. Draw the ten digits in a mirror. Which still
# have a name, and which have *another* one?
#
# A small network and {glue:text}`n_digits:,d` digits are enough to find out. Three ways to train
# it: on the digits as they are, with mirrors, and with small shifts of a tenth.

# %%
digits = mnist(n_train=n_digits, n_valid=min(2000, 2 * n_digits), n_test=10)
digits.x_layout = imutil.LAYOUT_NHWC
digits.load_data()
digits.scaleX()
kinds = {
    "as they are": lambda: [],
    "moved a little": lambda: [layers.RandomTranslation(0.1, 0.1, fill_mode="nearest")],
    "mirrored": lambda: [layers.RandomFlip("horizontal")],
}


def train_on_digits(kind, seed):
    """Train a small network on digits; return it and what was measured."""
    keras.utils.set_random_seed(seed)
    small = training.draw_weights(keras.Sequential([
        keras.Input((28, 28, 1)), *kinds[kind](),
        layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(32, 5, activation="relu"), layers.MaxPooling2D(2),
        layers.Flatten(), layers.Dense(10, activation="softmax", dtype="float32"),
    ]), seed)
    small.compile(keras.optimizers.Adam(0.002), "sparse_categorical_crossentropy",
                  metrics=["accuracy"], jit_compile=xla)
    history = training.fit(
        small, digits.X_train, digits.Y_train, n_epochs=digit_epochs, batch_size=32, seed=seed,
        name=f"mnist-{kind}-seed{seed}", line="", validation_data=(digits.X_valid, digits.Y_valid),
    )
    return small, history

# %%
readers, by_kind = {}, {}
for kind in kinds:
    runs = [train_on_digits(kind, seed) for seed in digit_seeds]
    readers[kind] = runs[0][0]
    by_kind[kind] = [run["val_accuracy"][-1] for _, run in runs]
    print(f"{kind:<16}", "  ".join(f"{accuracy:.4f}" for accuracy in by_kind[kind]))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy on validation digits, a dot for each seed and a line at the mean, for three ways to train: on the digits as they are, moved a little, mirrored."}}
plots.bars_with_spread(by_kind, "accuracy on digits as they are", from_zero=False, fmt=".4f")

# %% tags=["hide-cell"]
record("n_digits", n_digits)
record("n_digit_seeds", len(digit_seeds))
for kind, name in zip(kinds, ("plain", "moved", "mirrored"), strict=True):
    record(f"digits_{name}", float(np.mean(by_kind[kind])))
    record(f"digits_{name}_by_seed", by_kind[kind])
    record(f"digits_{name}_errors", 100 * (1 - float(np.mean(by_kind[kind]))))

# %% [markdown]
# Of the digits that it has not seen, the network misreads {glue:text}`digits_plain_errors:.2f` %
# when it was trained on digits as they are, {glue:text}`digits_moved_errors:.2f` % with small
# shifts, and {glue:text}`digits_mirrored_errors:.2f` % with mirrors, in the mean over
# {glue:text}`n_digit_seeds` seeds. Two augmentations, one network, one set of digits: whether it
# helps depends on whether the rule is true.
#
# The loss may be smaller than you expected. A network can learn two shapes for one name, and no
# mirrored digit ever comes along to be misread. So turn the test around, as with the ships. Ask the
# network that has never seen a mirror.

# %%
def read(network, images):
    """Return the digits that a network reads."""
    return network.predict(images, batch_size=500, verbose=0).argmax(axis=1)


in_mirror = read(readers["as they are"], digits.X_valid[:, :, ::-1])
table = np.zeros((10, 10))
np.add.at(table, (digits.Y_valid, in_mirror), 1)
table /= np.maximum(table.sum(axis=1, keepdims=True), 1)
for digit, row in enumerate(table):
    other = int(np.where(np.arange(10) == digit, -1, row).argmax())
    print(f"{digit} in a mirror: {100 * row[digit]:5.1f} % still read as {digit},"
          f" {100 * row[other]:4.1f} % as {other}")
still_read = float(np.mean(in_mirror == digits.Y_valid))

# %% tags=["hide-cell"]
np.fill_diagonal(wrong := table.copy(), 0)
one, other = (int(k) for k in np.unravel_index(wrong.argmax(), wrong.shape))
record("mirror_read", still_read)
record("mirror_best", int(table.diagonal().argmax()))
record("mirror_one", one)
record("mirror_other", other)
record("mirror_percent", 100 * float(wrong.max()))

# %% [markdown]
# It reads {glue:text}`mirror_read:.3f` of the mirrored digits by their old name. Those with a
# mirror line of their own, or nearly, should survive: 0, 1 and 8. Best survives the
# {glue:text}`mirror_best`. The commonest mix-up: of the mirrored digits {glue:text}`mirror_one`,
# {glue:text}`mirror_percent:.0f` % are read as {glue:text}`mirror_other`.
#
# Here are some of that kind. What would you have said?

# %% tags=["hide-input"] mystnb={"image": {"alt": "A row of handwritten digits seen in a mirror, of the kind that the network takes most often for another digit; above each, the digit it was and the digit that was read."}}
taken = np.flatnonzero((digits.Y_valid == one) & (in_mirror == other))[:6]
if len(taken) == 0:  # a network that misreads none in the mirror
    taken = np.arange(6)
plots.image_row([digits.X_valid[k][:, ::-1] for k in taken],
                [f"{digits.Y_valid[k]} → {in_mirror[k]}" for k in taken], n_cols=6)

# %% [markdown]
# Compare the two tests. For the photographs, a change of {glue:text}`mirror_cost_plain` points. For
# the digits, from {glue:text}`digits_plain:.3f` down to {glue:text}`mirror_read:.3f`. No rule of augmentation
# is good by itself. It states something about *your* pictures: that this change leaves the name.
# Text, road signs, left and right hands, the heart on an X-ray: a mirror changes them all.
#
# ## The envelopes
#
# Now the test images, once.

# %%
opened = {path: [histories[path, seed].epochs[-1]["test_accuracy"] for seed in seeds]
          for path in paths}
for path, values in opened.items():
    print(f"{path:<10}", "  ".join(f"{value:.4f}" for value in values))
    record(f"test_accuracy_{path}", float(np.mean(values)))
    record(f"test_accuracy_{path}_by_seed", values)
    record(f"test_gap_{path}",
           points(100 * (last(path, "train_accuracy") - np.mean(values))).removeprefix("+"))
record("test_gain", points(100 * (np.mean(opened["augmented"]) - np.mean(opened["plain"]))))
record("standard_error", float(100 * np.sqrt(0.8 * 0.2 / last("plain", "n_test"))))
record("n_runs", "one run" if len(seeds) == 1 else f"{len(seeds)} runs")

# %% [markdown]
# | | plain | augmented |
# |---|---|---|
# | training images, as they are | {glue:text}`train_accuracy_plain:.4f` | {glue:text}`train_accuracy_augmented:.4f` |
# | test images | {glue:text}`test_accuracy_plain:.4f` | {glue:text}`test_accuracy_augmented:.4f` |
# | **gap, in points** | {glue:text}`test_gap_plain` | {glue:text}`test_gap_augmented` |
#
# On the test images augmentation changes the accuracy by {glue:text}`test_gain` points, from
# {glue:text}`n_runs` of each path. How firm is that? An accuracy near 0.8, counted on this many
# images, has a standard error of {glue:text}`standard_error:.2f` points, and another seed adds its
# own luck, as {doc}`08_deeper` measured. Hold the difference against that before you believe its
# last digit.
#
# If there is a minus in front of it, look at the line of the training images before you blame the
# rules. A network that reads {glue:text}`train_accuracy_augmented:.2f` of its own training images
# has learned little by heart. It has not learned *enough*: its lessons were harder, and
# {glue:text}`n_epochs_augmented` epochs seem too few for them. The plain path, with
# {glue:text}`train_accuracy_plain:.2f`, is through: more epochs have nothing left to teach it. So a
# narrow gap is no aim in itself. It is room, and the room has to be used: by a longer schedule, as
# the source did, by milder changes, or by a network that learns faster. What 1,600 epochs would
# give, we have not measured.
#
# The source states no accuracy for this network, only its schedule and what it asks of a machine.
#
# ## What does it ask of a machine?
#
# Stated: about 10 GB of memory on the graphics card, and 20 minutes an epoch on the CPU of a
# laptop. Can that be? Estimate before you measure. To compute gradients, the outputs of all layers
# must be kept until the way back. How many numbers is that for one image? The first layer alone
# gives 32 x 32 x 32.

# %% tags=["nbval-check-output"]
def numbers_kept(model):
    """Return how many numbers the layers of a model give for one image."""
    return sum(int(np.prod(layer.output.shape[1:])) for layer in model.layers)


kept = numbers_kept(build())
megabytes = {size: 4 * kept * size / 1e6 for size in (32, 128)}  # four bytes each
print(f"{kept:,} numbers an image")
for size, count in megabytes.items():
    print(f"batches of {size}: {count:.0f} MB of outputs, as much again for their gradients")
print(f"weights, gradients and the two moments of Adam: {4 * 4 * 1_071_542 / 1e6:.0f} MB")

# %% tags=["hide-cell"]
record("megabytes", float(megabytes[128]))
record("megabytes_both", float(2 * megabytes[128]))

# %% [markdown]
# {glue:text}`megabytes:.0f` MB for a batch of 128, twice that with the gradients. Far from 10 GB.
# Where might those come from? TensorFlow takes nearly all the memory of a graphics card when it
# starts, whatever the network needs, so that it can hand it out itself. A person who looks at the
# card's display then sees the size of the card. (`tf.config.experimental.set_memory_growth` asks it
# to be modest.) Some work space of the convolutions comes on top of our count.
#
# Now the clock, and the memory of this process. Time a few gradient steps of the plain path, and
# work out the epoch.

# %%
batch = np.resize(x_train, (128, 32, 32, 3)), np.resize(y_train, 128)
plain = networks["plain"]
plain.fit(*batch, batch_size=128, verbose=0)  # the first step also prepares the others
seconds = []
for _ in range(n_timed):
    start = time.perf_counter()
    plain.fit(*batch, batch_size=128, verbose=0)
    seconds.append(time.perf_counter() - start)
step = float(np.median(seconds))
minutes_an_epoch = step * np.ceil(50_000 / 128) / 60
print(f"{step:.2f} s a step, so {minutes_an_epoch:.1f} minutes for the 391 steps of 50,000 images")
peak = None
if importlib.util.find_spec("resource"):  # not on Windows
    import resource

    unit = 1e9 if sys.platform == "darwin" else 1e6  # bytes there, kilobytes elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(f"{peak:.1f} GB is the most memory that this process has held so far")

# %% tags=["hide-cell"]
record("step_seconds", step)
record("minutes_an_epoch", f"{minutes_an_epoch:.1f}")
record("peak_memory", "not measured" if peak is None else f"{peak:.1f} GB")
where = sorted({place for history in histories.values() for place in history.machines})
record("trained_on", " and ".join(where))
for path in paths:
    paces = [histories[path, seed].seconds_per_epoch for seed in seeds]
    record(f"pace_{path}", "not measured" if None in paces else f"{np.median(paces):.1f}")

# %% [markdown]
# | | stated | measured |
# |---|---|---|
# | memory | about 10 GB, on a GPU | {glue:text}`peak_memory`, this whole process with all its images, on a CPU |
# | one epoch, 50,000 images | 20 minutes, laptop CPU | {glue:text}`minutes_an_epoch` minutes, two cores, from a few steps |
# | one epoch of the plain path, as trained | | {glue:text}`pace_plain` seconds |
# | one epoch of the augmented path, as trained | | {glue:text}`pace_augmented` seconds |
#
# The last two lines are those of the machine that trained what is shown on this page:
# {glue:text}`trained_on`. The line above them is worked out from a few steps on the machine that
# ran the rest, and is as good as these steps are typical.
#
# ## What the network saw
#
# Take the augmented network, first seed.

# %%
model = training.train_or_load("cifar10_augmented", lambda: networks["augmented"], prefer=prefer)
chances = model.predict(x_test, batch_size=500, verbose=0)
predicted = chances.argmax(axis=1)

# %% mystnb={"image": {"alt": "Thirty-two kernels of 3 x 3 cells in colour, each scaled to its own largest weight: some are edges between light and dark, some oppose two colours, some are nearly even."}}
first = next(layer for layer in model.layers if isinstance(layer, layers.Conv2D))
kernels = np.moveaxis(first.get_weights()[0], 3, 0)
largest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
plots.image_row(list(0.5 + 0.5 * kernels / largest), n_cols=8)

# %% [markdown]
# Nine cells in three colours, middle grey for zero. Look for pairs: with mirrors in the training,
# an edge that falls to the left is worth as much as one that falls to the right.

# %% mystnb={"image": {"alt": "Confusion matrix of the ten classes on the test set, rows for the truth and columns for the prediction, counts written in. The darkest mistakes lie among the animals, cat and dog above all."}}
plots.confusion_matrix(y_test, predicted, class_names)

# %% mystnb={"image": {"alt": "A grid of colour photographs that the network misread, the most confident mistake first, with the true and the predicted class below each."}}
plots.mistakes(x_test, y_test, chances, class_names, n=20)

# %% tags=["hide-cell"]
counts = np.zeros((10, 10), int)
np.add.at(counts, (y_test, predicted), 1)
np.fill_diagonal(counts, 0)
both_ways = np.triu(counts + counts.T)
pair = [class_names[int(k)] for k in np.unravel_index(both_ways.argmax(), both_ways.shape)]
record("pair", " and ".join(pair))
record("pair_count", int(both_ways.max()))
record("n_mistakes", int(counts.sum()))
record("n_certain_mistakes", int(((predicted != y_test) & (chances.max(axis=1) > 0.99)).sum()))

# %% [markdown]
# The pair that it confuses most is {glue:text}`pair`: {glue:text}`pair_count` of its
# {glue:text}`n_mistakes` mistakes. {glue:text}`n_certain_mistakes` of them were made with more than
# 99 % certainty.
#
# ## Drawing a model
#
# `keras.utils.plot_model` draws a model as a graph, with the shapes on each box. It needs the
# package `pydot` and the program Graphviz. Where one is missing, our own drawing has to do.

# %% mystnb={"image": {"alt": "The network as a chain of boxes from left to right, row below row: input, three layers of augmentation, five convolutions, a pooling, five convolutions, a pooling, five convolutions, global pooling, two dense layers, with the shape of the data on each arrow."}}
def drawing(model):
    """Return a picture of a model: by Graphviz where it is installed, else by matplotlib."""
    if importlib.util.find_spec("pydot") and shutil.which("dot"):
        with TemporaryDirectory() as folder:
            file = Path(folder) / "model.png"
            return keras.utils.plot_model(model, file, show_shapes=True, dpi=60)
    print("Graphviz's drawing: pip install pydot, and install Graphviz (apt, brew or winget)")
    short = {"Conv2D": "conv", "MaxPooling2D": "pool", "GlobalMaxPooling2D": "global pool",
             "RandomTranslation": "move", "RandomRotation": "turn", "RandomFlip": "mirror",
             "Dense": "dense"}
    named = [(short[type(layer).__name__], layer.output.shape[1:]) for layer in model.layers
             if type(layer).__name__ in short]
    return plots.shape_chain([("input", model.input_shape[1:]), *named])


drawing(model)

# %% [markdown]
# (The dropout layers, which change no shape, are left out of ours.)
#
# ## The recipe and the dish
#
# A model is two things: a *recipe*, which layers with which settings, and *weights*. `get_config`
# gives the recipe as plain Python data, and `from_config` cooks it again. Before you run the next
# cell: will the rebuilt model give the same answers?

# %%
def relative_difference(a, b):
    """Return the norm of the difference of two arrays over the norm of the second."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def answers(model):
    """Return what a model says about the first test images."""
    return keras.ops.convert_to_numpy(model(x_test[:50], training=False))


recipe = model.get_config()
print(recipe["layers"][1]["class_name"], {key: recipe["layers"][1]["config"][key]
                                          for key in ("height_factor", "fill_mode")})
rebuilt = keras.Sequential.from_config(recipe)
before = answers(rebuilt)
rebuilt.set_weights(model.get_weights())
after = answers(rebuilt)
print("relative difference of the answers:"
      f" {relative_difference(before, chances[:50]):.2f} with its"
      f" own weights, {relative_difference(after, chances[:50]):.1e} with the weights copied")
assert relative_difference(before, chances[:50]) > 0.01
assert relative_difference(after, chances[:50]) <= (1e-4 if precision == "float32" else 0.1)

# %% [markdown]
# The recipe alone makes a network that has learned nothing. With the weights it is the old one. A
# `.keras` file holds both, and the state of the optimiser as well, so that training can go on.

# %%
with TemporaryDirectory() as folder:
    file = Path(folder) / "ship.keras"
    model.save(file)
    loaded = keras.saving.load_model(file)
    size = file.stat().st_size / 1e6
difference = relative_difference(answers(loaded), chances[:50])
print(f"{size:.1f} MB; {loaded.count_params():,} parameters; relative difference {difference:.1e}")
assert difference <= (1e-4 if precision == "float32" else 0.1)
record("saved_megabytes", f"{size:.1f}")

# %% [markdown]
# {glue:text}`saved_megabytes` MB. The weights alone are 4.3. The rest are mostly Adam's two
# moments, one number each for every weight.
#
# ## Watching: TensorBoard
#
# A training of days should be watched without waiting for its end. Keras has a *callback*, an
# object that `fit` calls after each epoch, which writes what it is told into a folder. TensorBoard
# is a program that shows such a folder in a browser, and follows it while it grows.

# %%
def little(seed=0):
    """Return a network that trains in seconds, with dropout and augmentation in it."""
    keras.utils.set_random_seed(seed)
    model = training.draw_weights(keras.Sequential([
        keras.Input((32, 32, 3)), layers.RandomFlip("horizontal"),
        layers.Conv2D(8, 3, strides=4, activation="relu"), layers.Flatten(),
        layers.Dropout(0.25), layers.Dense(10, activation="softmax", dtype="float32"),
    ]), seed)
    model.compile(keras.optimizers.Adam(0.002), "sparse_categorical_crossentropy",
                  metrics=["accuracy"], jit_compile=xla)
    return model


few = x_train[:200], y_train[:200]
if importlib.util.find_spec("tensorboard") and importlib.util.find_spec("tensorflow"):
    with TemporaryDirectory() as folder:
        little().fit(*few, epochs=2, verbose=0, callbacks=[keras.callbacks.TensorBoard(folder)])
        for file in sorted(Path(folder).rglob("*.v2")):
            print(file.relative_to(folder).parent, f"{file.stat().st_size:,} bytes")
else:
    print("TensorBoard is not installed here: pip install tensorboard")

# %% [markdown]
# To look at your own logs, give the callback a folder that stays, say `logs`, run
# `tensorboard --logdir logs` in a terminal, and open the address that it prints. For a run on
# another machine, {doc}`../pages/gpu_server` brings that page to you through a tunnel.
#
# ## A long run that survives a kill
#
# The long schedule takes days on two cores. In days, a computer is restarted, a battery is empty, a
# session ends. What must be on disk so that nothing is lost but the epoch at hand?
#
# More than the weights. Adam remembers two moments of each gradient and the number of its steps.
# The generators of dropout and of augmentation have a state. The order of the images must go on
# where it stopped. `training.fit` writes all of it after each epoch; `training.py` is short, read
# it. Here we pull the plug in the middle of the fourth epoch and start the same cell again.

# %%
power = {"until": None, "epochs": 0}


def run_for_six(folder):
    """Train the little network for six epochs, unless the power fails before."""
    def after_epoch():
        power["epochs"] += 1
        if power["epochs"] == power["until"]:
            raise SystemError("no power")  # the epoch was trained and is not saved
        return {}

    return training.fit(little(), *few, n_epochs=6, batch_size=20, seed=0, name="survivor",
                        after_epoch=after_epoch, folder=folder, line="epoch {epoch}   {loss:.6f}")


with TemporaryDirectory() as folder:
    power.update(until=4, epochs=0)
    try:
        run_for_six(folder)
    except SystemError as error:
        print(f"... {error} ...")
    power.update(until=None)
    resumed = run_for_six(folder)
whole = run_for_six(None)  # the same, without a break

# %%
difference = relative_difference(np.array(resumed["loss"]), np.array(whole["loss"]))
print(f"{resumed.n_restored} epochs restored, {6 - resumed.n_restored} trained;"
      " the losses differ by"
      f" {difference:.1e}, relatively")
assert resumed.n_restored == 3
assert difference <= 1e-4
record("resume_difference", f"{difference:.0e}" if difference else "0")

# %% [markdown]
# Three epochs came from the disk, and three were trained. The relative difference from a run
# without a break is {glue:text}`resume_difference`. On one machine, with the same number of
# threads, 0 is what to expect; we ask for at most 1e-4, since another number of threads adds up in
# another order.
#
# Real runs differ in one thing. The folder must outlive the process: `DATASETSLIB_RUNS` names it.
# Then set `schedule = "source"`, start, and leave.
#
# ## Exercises
#
# **1. Warm-up.** An image of 32 x 32 pixels is moved by whole pixels, up to 6 in each direction,
# and mirrored or not. How many pictures can it become?
#
# :::{dropdown} Hint
# From 6 to the left to 6 to the right there are 13 places.
# :::
#
# :::{dropdown} Solution
# 13 x 13 x 2 = 338. The layers draw fractions of pixels as well, so theirs are many more. They are
# not 338 *independent* pictures: one ship stays one ship, and no shift shows its other side.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
print((2 * 6 + 1) ** 2 * 2)

# %% [markdown]
# **2.** Which of these leave the name of a handwritten digit: a shift by two pixels, a rotation by
# 10 degrees, by 90, by 180, black and white exchanged? Test each on the network that was trained on
# digits as they are.
#
# :::{dropdown} Hint
# `np.roll`, `np.rot90(images, axes=(1, 2))` and `1 - images` make them; `read` reads them.
# :::
#
# :::{dropdown} Solution
# The cell below measures it. Mind what is measured. Half a turn makes a 9 of a 6, so there the name
# is really gone. With black and white exchanged, *you* read on without trouble. If the network does
# not, the rule is true and has not been learned, which is a reason to augment by it.
# :::

# %% tags=["hide-cell"]
asked = digits.X_valid
changed = {"as they are": asked, "moved by two pixels": np.roll(asked, 2, axis=2),
           "a quarter turn": np.rot90(asked, axes=(1, 2)),
           "half a turn": np.rot90(asked, 2, axes=(1, 2)), "negative": 1 - asked}
for name, images in changed.items():
    share = np.mean(read(readers["as they are"], np.ascontiguousarray(images)) == digits.Y_valid)
    print(f"{name:<20} {share:.3f} read by the old name")

# %% [markdown]
# **3.** Augmentation can also be used when *asking*: show the network a picture and its mirror
# image, and average the two answers. Does that help the augmented network? Use the validation
# images.
#
# :::{dropdown} Hint
# Add the two `predict`s before `argmax`.
# :::
#
# :::{dropdown} Solution
# See the cell below. It costs a second evaluation and no training. The two answers make different
# mistakes, and where they disagree the surer one decides.
# :::

# %% tags=["hide-cell"]
once = model.predict(x_valid, batch_size=500, verbose=0)
mirrored = model.predict(x_valid[:, :, ::-1], batch_size=500, verbose=0)
for name, answer in (("one look", once), ("two looks", once + mirrored)):
    print(f"{name:<10} {np.mean(answer.argmax(axis=1) == y_valid):.4f}")

# %% [markdown]
# **4.** How strong is the signal behind each convolution of the untrained network, for `he_normal`
# and for Keras's default, `glorot_uniform`? Guess the ratio of the last to the first before you
# measure.
#
# :::{dropdown} Hint
# A model with all outputs: `keras.Model(model.inputs, [layer.output for layer in ...])`. Compare
# the root mean squares.
# :::
#
# :::{dropdown} Solution
# The cell below measures it. A ReLU halves the mean square, and the rule of He makes up for it with
# twice the variance. Glorot's does not, so the signal shrinks from layer to layer, and with it the
# gradient on its way back. The answers then hardly depend on the picture.
# :::

# %% tags=["hide-cell"]
def strengths(initializer):
    """Return the root mean square behind each convolution, untrained."""
    untrained = build()
    convolutions = [layer for layer in untrained.layers if isinstance(layer, layers.Conv2D)]
    for k, layer in enumerate(convolutions):
        layer.kernel.assign(initializer(seed=k)(layer.kernel.shape))
    through = keras.Model(untrained.inputs, [layer.output for layer in convolutions])
    return [float(np.sqrt(np.mean(keras.ops.convert_to_numpy(maps) ** 2)))
            for maps in through(x_valid[:50], training=False)]


for name in ("HeNormal", "GlorotUniform"):
    found = strengths(getattr(keras.initializers, name))
    print(f"{name:<14}", " ".join(f"{value:.2g}" for value in found))

# %% [markdown]
# **5. Open-ended.** Invent a change of your own that leaves the name of a photograph. Predict
# whether it narrows the gap, and by how much it slows an epoch. Then train it beside the two paths.
#
# :::{dropdown} Hint
# Keras has more such layers: `RandomContrast`, `RandomBrightness`, `RandomZoom`, `RandomErasing`.
# Put yours into the list that `augmentation` returns. `schedule = "two cores"` with a smaller
# `n_train` gives a first answer.
# :::
#
# :::{dropdown} What to look for
# First your sixteen draws: would you name them all? Then the gap, and the accuracy on the
# validation images, over more than one seed. A change that narrows the gap by lowering the training
# accuracy alone has made the task harder and taught nothing. And the shorter the schedule, the more
# unfair it is to strong augmentation: say how long you trained when you report.
# :::
#
# ## Check yourself
#
# **1.** Which of the two paths had the higher training loss, by intention, and why is that no
# fault?
#
# :::{dropdown} Answer
# The augmented one is meant to. Its loss is measured on pictures that were moved, turned and
# mirrored, which are harder and always new. What counts is the accuracy on unseen images.
# :::
#
# **2.** You put the augmentation layers into the model and call `predict` on a photograph. Is it
# moved or turned?
#
# :::{dropdown} Answer
# No. The layers act only when they are called with `training=True`, which `fit` does. `predict` and
# `evaluate` pass the picture through as it is.
# :::
#
# **3.** Mirrors doubled the number of training digits. Why can that make a reader of digits worse?
#
# :::{dropdown} Answer
# Because the rule is false there: a mirrored digit is no digit, or resembles another one. The
# network spends its weights on shapes that never come, and learns to take some shapes for the wrong
# name.
# :::
#
# **4.** What does `from_config` not bring back?
#
# :::{dropdown} Answer
# The weights and the state of the optimiser. A config is the recipe: layers and settings. A
# `.keras` file holds all three.
# :::
#
# **5.** A run was killed, and you load its last weights and go on training with a fresh optimiser.
# What is different from a run without a break?
#
# :::{dropdown} Answer
# Adam starts with empty moments and counts its steps from zero, so the next steps have other
# lengths and, with a schedule, another rate. The random generators and the order of the images
# start anew too.
# :::
#
# ## Summary
#
# - A rule of the form "this change leaves the name" makes new training pictures for nothing. Layers in
#   front of the network draw them anew each time, in training only.
# - The network of fifteen convolutions has 1,071,542 parameters. Without augmentation its accuracy was
#   {glue:text}`train_accuracy_plain:.3f` on training images and {glue:text}`test_accuracy_plain:.3f` on
#   test images; with it, {glue:text}`train_accuracy_augmented:.3f` and
#   {glue:text}`test_accuracy_augmented:.3f`.
# - Mirrors change the accuracy of a network that has never seen them by
#   {glue:text}`mirror_cost_plain` points on photographs. Of mirrored digits, {glue:text}`mirror_read:.3f` keep their name. A rule must be true of
#   *your* pictures.
# - Outputs kept for the gradients, and not weights, take most of the memory.
# - A model is a recipe and weights; a run that can go on needs the optimiser and the generators too.
#
# ## Further reading
#
# - {cite:t}`simard2003best`: digits, moved and bent; how much more data a true rule is worth.
# - {cite:t}`krizhevsky2012imagenet`: shifts and mirrors in the network that changed the field.
# - {cite:t}`shorten2019survey`: a survey of what else can be done to pictures.
# - {cite:t}`cubuk2019autoaugment`: a search finds the rules, instead of a person.
#
# Before this chapter: {doc}`08_deeper`. Next, three famous shapes: {doc}`10_architectures`.
#
# ## How this page was made

# %% tags=["hide-input"]
conditions(dataset, digits)
