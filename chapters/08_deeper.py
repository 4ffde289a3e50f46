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
# # Deeper networks
#
# **Does depth help, and why?**
#
# By the end of this chapter you will be able to
#
# - run an *ablation*: change one line, name beforehand what you expect, and measure;
# - choose among networks without spending the test set, and say how sure the choice is;
# - count the parameters and the arithmetic of a network, and say where each of them sits;
# - work out how much of the image one output sees, and check it with a gradient;
# - write Grad-CAM, ask a network where it looked, and test whether the answer can be trusted.
#
# You need {doc}`07_cifar10_keras`, for the data and for the reason why one stops and chooses on
# validation images.
#
# Time to read and to try things out: about two hours. Minutes of computing, all cells, on two CPU
# cores: {glue:text}`minutes`. On a GPU: not measured.

# %% tags=["parameters"]
n_train = None  # images to train on; None: all that are not held out
n_valid = 5000  # images held out, to choose with
n_test = None  # images for the final test; None: all 10,000
n_epochs = 50  # passes over the training images
batch_size = 64  # images per gradient step
learning_rate = 0.001  # step size of Adam
seeds = [0, 1, 2]  # the first for every network; the others for the one that is chosen
n_looks = 500  # test images on which the maps of the last section are checked
precision = "float32"  # on a GPU: "mixed_float16", or "mixed_bfloat16" on a recent one
xla = False  # True: let the XLA compiler fuse the operations of a step; worth it on a GPU
prefer = "train"  # "load": take the chosen network's weights from a file, if there is one

# %%
import difflib

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from matplotlib.patches import Rectangle

from datasetslib import conditions, imutil, plots, record, training
from datasetslib.cifar import cifar10

plots.use_style()
keras.config.set_dtype_policy(precision)
dataset = cifar10(n_train=n_train, n_valid=n_valid, n_test=n_test)
dataset.x_layout = imutil.LAYOUT_NHWC
dataset.load_data()
dataset.scaleX()
x_train, y_train = dataset.X_train, dataset.Y_train
x_valid, y_valid = dataset.X_valid, dataset.Y_valid
x_test, y_test = dataset.X_test, dataset.Y_test
print(f"{len(x_train):,} images to train on, {len(x_valid):,} to choose with")

# %% tags=["hide-cell"]
record("edition", str(dataset.edition))
record("n_train", len(x_train))
record("n_valid", len(x_valid))
record("n_epochs", n_epochs)

# %% [markdown]
# All numbers on this page come from this copy of the data: {glue:text}`edition`. The stated results
# were measured on the official files. Where the two are not the same bytes, a part of each
# difference between them may be the data's.
#
# :::{admonition} On a GPU
# :class: tip
# Nothing here has to be edited: TensorFlow uses a GPU that it finds. Two parameters make it faster.
# `precision = "mixed_float16"` multiplies in 16 bits, keeps the weights in 32, and scales the loss,
# so that small gradients do not vanish; the softmax stays in 32 bits. `xla = True` compiles each
# step into fewer, larger operations, for which the first step takes longer. Both change the
# rounding, so that a run ends elsewhere, by about as much as another seed would. Both are off by
# default: on most CPUs they gain nothing.
# :::
#
# ## The case
#
# A small network, on photographs, gets about three in four right. {doc}`06_cifar10_tensorflow` and
# {doc}`07_cifar10_keras` tuned how it is trained. What if the network itself is too small?
#
# "Make it deeper" is the usual advice. It names no culprit. A deeper network has more parameters,
# does more arithmetic, sees more of the image at once, and bends its input more often. Which of
# these helps? A detective changes one thing at a time, and writes down what to expect *before*
# looking.
#
# So that a change is easy to see, we write a network as a line of words, and let a function turn
# the words into layers.

# %%
def stack(design):
    """Turn a design in words into Keras layers."""
    made = {
        "conv": lambda n, side=3: layers.Conv2D(
            int(n), int(side), padding="same", activation="relu"
        ),
        "pool": lambda: layers.MaxPooling2D(2),
        "flatten": lambda: layers.Flatten(),
        "dropout": lambda rate: layers.Dropout(float(rate)),
        "dense": lambda n: layers.Dense(int(n), activation="relu"),
    }
    words = [word.split() for word in design.split(", ")]
    return [made[kind](*numbers) for kind, *numbers in words]


def build(design):
    """Return the network of a design: ten probabilities for an image of 32 x 32 x 3 numbers."""
    last = layers.Dense(10, activation="softmax", dtype="float32")
    return keras.Sequential([keras.Input((32, 32, 3)), *stack(design), last])

# %% [markdown]
# `conv 32` is a convolution with 32 kernels of 3 x 3, padding SAME, and ReLU. `pool` halves the
# side. The last layer, ten classes and softmax, is the same in all networks and is not written.
#
# ## The rules of the investigation
#
# The networks are those of the source, and so are the optimiser (Adam), the loss (cross-entropy),
# the batches of 64 and the 50 epochs. In one thing we do not follow it. It used the *test* images
# as validation images: it watched the test accuracy of each network during training, changed the
# network, and watched again.
#
# That is an easy thing to slip into, since the test images are there and no one is cheated on
# purpose. But each look is a small choice. Five networks, 50 epochs each, are 250 chances that the
# test set's luck becomes part of the result, and afterwards nothing is left to measure that luck
# with. {doc}`07_cifar10_keras` simulates what it costs.
#
# So we hold out {glue:text}`n_valid:,d` of the training images, choose by these, and put the test
# accuracies into sealed envelopes: each training run measures its own once, after its last epoch,
# and writes it into its log. We open them when the choice has been made.

# %%
def train(step, seed, line=None, history_only=True):
    """Train one network from one seed; return it and what was measured after each epoch."""
    keras.utils.set_random_seed(seed)
    model = build(designs[step])
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy",
                  metrics=["accuracy"], jit_compile=xla)
    before_the_last = (n_epochs - 1) * -(-len(x_train) // batch_size)  # gradient steps

    def after_epoch():
        seen = model.evaluate(x_train[:5000], y_train[:5000], batch_size=500, verbose=0)
        if int(model.optimizer.iterations) <= before_the_last:
            return {"train_accuracy": seen[1]}
        sealed = model.evaluate(x_test, y_test, batch_size=500, verbose=0)
        return {"train_accuracy": seen[1], "test_loss": sealed[0], "test_accuracy": sealed[1],
                "n_test": len(x_test)}

    history = training.fit(
        model, x_train, y_train, n_epochs=n_epochs, batch_size=batch_size, seed=seed,
        name=f"cifar10-deeper-{step}-seed{seed}", validation_data=(x_valid, y_valid),
        after_epoch=after_epoch, line=line, history_only=history_only,
    )
    return model, history

# %% [markdown]
# Two accuracies are measured after each epoch, both with dropout off: that on the validation images,
# and that on the first 5,000 training images. Their gap says how much the network has learned by
# heart. (The `accuracy` that `fit` reports is another thing: it is averaged over the epoch, while
# the weights still change, with dropout on.)
#
# A few tools, for all the steps:

# %%
titles, designs, networks, histories = {}, {}, {}, {}
short = "epoch {epoch:2d}   loss {loss:.4f}   train {train_accuracy:.4f}   val {val_accuracy:.4f}"


def settled(history, metric="val_accuracy"):
    """Return the mean of a metric over the last five epochs."""
    return float(np.mean(history[metric][-5:]))


def changed(old, new):
    """Print what changed from one design to another, word by word."""
    for word in difflib.ndiff(designs[old].split(", "), designs[new].split(", ")):
        if not word.startswith("?"):
            print(word)


def compare(*steps):
    """Draw the accuracy on training and on validation images, step beside step."""
    keys = {"accuracy": "train_accuracy", "val_accuracy": "val_accuracy"}
    return plots.learning_curves(
        {step: {new: histories[step][old] for new, old in keys.items()} for step in steps},
        keys=("accuracy",),
    )


def points(difference):
    """Return a difference of accuracies in points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", "\N{MINUS SIGN}")

# %% tags=["hide-cell"]
def record_step(step, before=None):
    """Record what is quoted about a step, and its gain over the step before."""
    history = histories[step]
    value, seen = settled(history), settled(history, "train_accuracy")
    record(f"val_accuracy_{step}", value)
    record(f"train_accuracy_{step}", seen)
    record(f"gap_{step}", f"{100 * (seen - value):.1f}".replace("-", "\N{MINUS SIGN}"))
    record(f"best_val_accuracy_{step}", max(history["val_accuracy"]))
    record(f"best_epoch_{step}", 1 + int(np.argmax(history["val_accuracy"])))
    record(f"seconds_per_epoch_{step}", history.seconds_per_epoch)
    record(f"n_parameters_{step}", networks[step].count_params())
    if before:
        record(f"gain_{step}", points(value - settled(histories[before])))

# %% [markdown]
# ## A: three convolutions
#
# The point of departure: three convolutions, twice as many maps after each pooling, a dense layer,
# and dropout around it. Where will it end?

# %% tags=["hide-output"]
titles["A"] = "three convolutions"
designs["A"] = (
    "conv 32, pool, conv 64, pool, conv 128, "
    "flatten, dropout 0.5, dense 512, dropout 0.5"
)
networks["A"], histories["A"] = train("A", seeds[0], line=short)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of network A over the epochs. The line of the training images lies above that of the validation images, and keeps rising after the other has levelled off."}}
compare("A")

# %% tags=["hide-cell"]
record_step("A")

# %% [markdown]
# From here on we judge a network by the mean of its last five epochs: for A
# {glue:text}`val_accuracy_A:.3f` on the validation images. Its best epoch had
# {glue:text}`best_val_accuracy_A:.3f`. Why not quote that one? It is the largest of
# {glue:text}`n_epochs` numbers that waver, and a maximum picks the luckiest moment along with the
# best. The longer and the more nervous the curve, the more it flatters. The mean of the last five
# says what you get when you stop where we stop.
#
# On images that it was trained on, A gets {glue:text}`train_accuracy_A:.3f`. The gap is
# {glue:text}`gap_A` points. First clue: this network has more than enough parameters to fit what it
# has seen. If it fails, then not for lack of memory.
#
# ## B: six convolutions
#
# **The hypothesis.** Each block gets a second convolution. Two in a row see further than one, and
# there is a ReLU in between, so that the second can ask for *combinations* of what the first found.
#
# **The change.** Each `conv` is said twice, and nothing else. Guess before you go on: how many
# parameters will that add, as a share? And which of the two networks takes longer, by how much?

# %% tags=["hide-output"]
titles["B"] = "six convolutions"
designs["B"] = (
    "conv 32, conv 32, pool, conv 64, conv 64, pool, conv 128, conv 128, "
    "flatten, dropout 0.5, dense 512, dropout 0.5"
)
changed("A", "B")
networks["B"], histories["B"] = train("B", seeds[0], line=short)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of networks A and B over the epochs, on training images and, dotted, on validation images."}}
compare("A", "B")

# %% tags=["hide-cell"]
record_step("B", "A")

# %% [markdown]
# Depth changes the validation accuracy by {glue:text}`gain_B` points, to
# {glue:text}`val_accuracy_B:.3f`. The source states "just short of 80 %" for this network.
#
# The parameters grow from {glue:text}`n_parameters_A:,d` to {glue:text}`n_parameters_B:,d`, by 4.5 %.
# More memory is hardly the reason. So what is? Three suspects are left: more of the image in view,
# more arithmetic, or more bends.
#
# ## How much does one output see?
#
# {doc}`01_convolution` worked out the *receptive field*: the square of pixels that one output
# depends on. A layer with a kernel of side $k$ widens it by $k - 1$ steps. A step is one pixel at
# first, and twice as long after each pooling:
#
# $$
# r_l = r_{l-1} + (k_l - 1)\, s_{l-1}, \qquad s_l = s_{l-1} \cdot \text{stride}_l
# $$
#
# Work it out for A with a pencil: 3, 4, 8, and so on. Then for B.

# %% tags=["nbval-check-output"]
def receptive_fields(design):
    """Return (layer, side of the square of pixels that one output sees) for each layer."""
    field, step, rows = 1, 1, []
    for word in design.split(", flatten")[0].split(", "):
        kind, *numbers = word.split()
        if kind in ("conv", "pool"):
            side = 2 if kind == "pool" else int(numbers[1]) if len(numbers) > 1 else 3
            field += (side - 1) * step
            step *= 2 if kind == "pool" else 1
            rows.append((word, field))
    return rows


for step in "AB":
    print(step, "   ".join(f"{word}: {field}" for word, field in receptive_fields(designs[step])))
assert receptive_fields(designs["A"])[-1][1] == 18
assert receptive_fields(designs["B"])[-1][1] == 32

# %% tags=["hide-input"] mystnb={"image": {"alt": "The same photograph of 32 x 32 pixels twice, with nested squares, one for what one output of each convolution sees. Network A: squares of 3, 8 and 18 pixels, the last a third of the picture. Network B: 3, 5, 10, 14, 24 and 32 pixels, the last the whole picture."}}
fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.7))
for axis, step in zip(axes, "AB", strict=True):
    axis.imshow(x_test[0])
    sides = [field for word, field in receptive_fields(designs[step]) if "conv" in word]
    for side in sides:
        corner = 15.5 - side / 2
        for colour, width in (("black", 3.5), ("white", 1.5)):
            axis.add_patch(Rectangle((corner, corner), side, side, fill=False,
                                     edgecolor=plots.COLOURS.get(colour, colour), linewidth=width))
    axis.set(xticks=[], yticks=[], xlim=(-1, 32), ylim=(32, -1))
    axis.set_title(f"{step}: " + ", ".join(map(str, sides)) + " pixels")
    axis.spines[:].set_visible(False)
plots.finish(fig)

# %% [markdown]
# An output of A's last convolution looks through a window of 18 x 18 pixels, less than a third of
# the picture. An output of B's looks at 32 x 32: *exactly the whole photograph*. That is a tempting
# explanation. But do we believe the formula?
#
# Ask the network itself. A pixel is seen by an output if moving the pixel moves the output, so the
# gradient of one output by the image must be zero outside the window and nowhere outside it. We
# build the layers up to the flattening, on a canvas of 64 x 64 pixels, so that no window meets an
# edge, and make all weights positive, so that no ReLU hides a way. A pooling passes on one pixel of
# four; over twenty random images, each gets its turn.

# %%
def seen_by_one_output(design, side=64, n_images=20):
    """Return how strongly each pixel moves the central output of the last layer of maps."""
    keras.utils.set_random_seed(0)
    body = keras.Sequential([keras.Input((side, side, 3)), *stack(design.split(", flatten")[0])])
    body.set_weights([np.abs(array) for array in body.get_weights()])
    images = tf.random.stateless_uniform((n_images, side, side, 3), (0, 1))
    with tf.GradientTape() as tape:
        tape.watch(images)
        maps = body(images)
        middle = maps.shape[1] // 2
        output = tf.reduce_sum(maps[:, middle, middle, 0])
    return tape.gradient(output, images).numpy().sum(axis=(0, 3))


for step in "AB":
    moved = seen_by_one_output(designs[step])
    rows, columns = (int(np.ptp(axis)) + 1 for axis in np.nonzero(moved))
    print(f"{step}: {rows} x {columns} pixels move the output")
    assert rows == columns == receptive_fields(designs[step])[-1][1]

strength = moved[moved.sum(axis=1) > 0][:, moved.sum(axis=0) > 0] ** 2
record("central_percent", 100 * float(strength[8:24, 8:24].sum() / strength.sum()))

# %% [markdown]
# The formula holds, to the pixel. It also promises more than it gives. In B, the 16 x 16 pixels in
# the middle of the window are a quarter of its area, and they hold
# {glue:text}`central_percent:.0f` % of the squared gradient, even in this untrained network. Many
# ways lead from the middle to the output and few from the rim: the *effective* receptive field
# {cite:p}`luo2016understanding` is a blurred spot inside the window.
#
# ## A control
#
# If the wider view is the reason, then depth is not needed for it. Three convolutions with kernels
# of 5 x 5 see exactly as far as B does. So take A and widen its kernels: call it W.
#
# W has B's window and, to within one per cent, B's parameters. What it has not are the three ReLUs
# in between. If W does as well as B, the view was the reason. If W does as A does, it was the
# depth itself. Where would you put your money?

# %% tags=["hide-output"]
titles["W"] = "three wide convolutions"
designs["W"] = (
    "conv 32 5, pool, conv 64 5, pool, conv 128 5, "
    "flatten, dropout 0.5, dense 512, dropout 0.5"
)
changed("A", "W")
networks["W"], histories["W"] = train("W", seeds[0], line=short)

# %%
fields = {step: receptive_fields(designs[step])[-1][1] for step in "AWB"}
for step, field in fields.items():
    print(f"{step}: {titles[step]:<24} sees {field} pixels, "
          f"{networks[step].count_params():,} parameters, "
          f"validation accuracy {settled(histories[step]):.4f}")
assert fields["W"] == fields["B"]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of networks A, W and B over the epochs, on training images and, dotted, on validation images."}}
compare("A", "W", "B")

# %% tags=["hide-cell"]
record_step("W", "A")
record("depth_over_view", points(settled(histories["B"]) - settled(histories["W"])))

# %% [markdown]
# The wider view alone changes A by {glue:text}`gain_W` points. The same view through six small
# kernels instead of three large ones adds {glue:text}`depth_over_view` points to that. The first
# number is what seeing more is worth, the second what depth is worth at an equal view.
#
# This is the argument by which {cite:t}`simonyan2015very` built their networks from nothing but
# 3 x 3 kernels: two of them see what one of 5 x 5 sees, with 18 weights in place of 25 for each pair
# of channels, and with one more ReLU. Exercise 2 has the arithmetic.
#
# ## C: dropout in every block
#
# **The clue.** On its training images, B gets {glue:text}`train_accuracy_B:.3f`, a gap of
# {glue:text}`gap_B` points to the validation images. B knows by heart what it has seen. Its dropout
# sits at the very end, around the dense layer; the convolutions are left undisturbed.
#
# **The hypothesis.** If the convolutions, too, must get by with a part of their maps missing, they
# cannot rely on one map's detail, and learn more robust ones.
#
# **The change.** A little dropout after the first two blocks, 0.2 and 0.3, and in exchange 0.4 in
# place of 0.5 after the third.

# %% tags=["hide-output"]
titles["C"] = "dropout in every block"
designs["C"] = (
    "conv 32, conv 32, pool, dropout 0.2, conv 64, conv 64, pool, dropout 0.3, "
    "conv 128, conv 128, flatten, dropout 0.4, dense 512, dropout 0.5"
)
changed("B", "C")
networks["C"], histories["C"] = train("C", seeds[0], line=short)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of networks B and C over the epochs, on training images and, dotted, on validation images."}}
compare("B", "C")

# %% tags=["hide-cell"]
record_step("C", "B")

# %% [markdown]
# {glue:text}`gain_C` points, to {glue:text}`val_accuracy_C:.3f`, and the gap between training and
# validation goes from {glue:text}`gap_B` to {glue:text}`gap_C` points. Stated: about 80 %. Not a
# single parameter was added, since dropout has none: {glue:text}`n_parameters_C:,d`, as before.
#
# Look at the beginning of the curves as well. Dropout makes each epoch's lesson harder, so a
# network with more of it may well lag behind at first. Whoever stops early may choose the wrong one.
#
# ## D: the third pool
#
# **The clue.** Read C's design again, slowly. Blocks one and two end in a pool. Block three does
# not. In the source this was an oversight, found when its author went through the summary of the
# network. What did the missing pool cost? Work it out before you read on: the flattening sees
# 8 x 8 x 128 numbers without it, 4 x 4 x 128 with it, and 512 units read them.
#
# :::{dropdown} The bill
# Without the pool: 8 x 8 x 128 x 512 = 4,194,304 weights. With it: 4 x 4 x 128 x 512 = 1,048,576.
# The difference, 3,145,728, is 70 % of the whole network.
# :::
#
# **The hypothesis.** The large layer has a weight of its own for each place of each map. It can
# learn that *this* texture at *this* place means a frog, which is not what makes a frog. A pool
# makes places coarser, and leaves a quarter of the weights to learn by heart with.
#
# **The change.** One word.

# %% tags=["hide-output"]
titles["D"] = "the third pool"
designs["D"] = designs["C"].replace("flatten", "pool, flatten")
changed("C", "D")
networks["D"], histories["D"] = train("D", seeds[0], line=short)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of networks C and D over the epochs, on training images and, dotted, on validation images."}}
compare("C", "D")

# %% tags=["hide-cell"]
record_step("D", "C")

# %% [markdown]
# {glue:text}`gain_D` points, to {glue:text}`val_accuracy_D:.3f`, with {glue:text}`n_parameters_D:,d`
# parameters. Stated: above 80 %. The gap is now {glue:text}`gap_D` points.
#
# ## E: without the dense layer
#
# **The clue.** Even now, the dense layer holds 1,049,088 of the 1,341,226 parameters, 78 %.
#
# **The hypothesis.** The convolutions have done the work by then. What is left is to weigh their
# evidence, and the last layer can do that alone.
#
# **The change.** Strike out `dense 512`, and with it the dropout that belonged to it. Ten sums over
# 2,048 numbers remain. The network becomes more than four times smaller. Will it become worse?

# %% tags=["hide-output"]
titles["E"] = "no dense layer"
designs["E"] = designs["D"].replace(", dense 512, dropout 0.5", "")
changed("D", "E")
networks["E"], histories["E"] = train("E", seeds[0], line=short)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of networks D and E over the epochs, on training images and, dotted, on validation images."}}
compare("D", "E")

# %% tags=["hide-cell"]
record_step("E", "D")

# %% [markdown]
# ## How this page was made

# %% tags=["hide-input"]
conditions(dataset)
