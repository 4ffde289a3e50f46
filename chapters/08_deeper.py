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
# cores: {glue:text}`minutes`. On a GPU: {glue:text}`gpu_minutes`.

# %% tags=["parameters"]
n_train = None  # images to train on; None: all that are not held out
n_valid = 5000  # images held out, to choose with
n_test = None  # images for the final test; None: all 10,000
n_epochs = 50  # passes over the training images
batch_size = 64  # images per gradient step
learning_rate = 0.001  # step size of Adam
seeds = [0, 1, 2]  # every network is trained from each
n_timed = 20  # gradient steps that are timed, for each network
n_looks = 500  # test images on which the maps of the last section are checked
precision = "float32"  # on a GPU: "mixed_float16", or "mixed_bfloat16" on a recent one
xla = "auto"  # whether XLA fuses the operations of a step; "auto": on a GPU, not on a CPU
prefer = "train"  # "load": take the chosen network's weights from a file, if there is one

# %%
import difflib
import time

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
record("n_seeds", len(seeds))

# %% [markdown]
# All numbers on this page come from this copy of the data: {glue:text}`edition`. The stated results
# were measured on the official files. Where the two are not the same bytes, a part of each
# difference between them may be the data's.
#
# :::{admonition} On a GPU
# :class: tip
# Nothing here has to be edited: Keras uses a GPU that it finds. Two parameters bear on its speed.
# `precision = "mixed_float16"` multiplies in 16 bits, keeps the weights in 32, and scales the loss,
# so that small gradients do not vanish; the softmax stays in 32 bits. `xla` says whether each step
# is compiled into fewer, larger operations, for which the first step takes longer: `"auto"` does so
# on a GPU and not on a CPU. Both change the rounding, so that a run ends elsewhere, by about as
# much as another seed would. On most CPUs neither gains anything.
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
    model = training.draw_weights(build(designs[step]), seed)
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


def investigate(step):
    """Train the network of a design from each seed; keep what was measured of all of them."""
    for seed in seeds:
        print(f"{step}, seed {seed}")
        model, histories[step, seed] = train(step, seed, line=short)
        networks.setdefault(step, model)


def by_seed(step, metric):
    """Return a metric's mean over the last five epochs, for each seed."""
    return [float(np.mean(histories[step, seed][metric][-5:])) for seed in seeds]


def settled(step, metric="val_accuracy"):
    """Return a metric's mean over the last five epochs and over the seeds."""
    return float(np.mean(by_seed(step, metric)))

# %%
def curve(step, metric):
    """Return a metric by epoch, averaged over the seeds."""
    return np.mean([histories[step, seed][metric] for seed in seeds], axis=0)


def changed(old, new):
    """Print what changed from one design to another, word by word."""
    for word in difflib.ndiff(designs[old].split(", "), designs[new].split(", ")):
        if not word.startswith("?"):
            print(word)


def compare(*steps):
    """Draw the accuracy on training and on validation images, step beside step."""
    keys = {"accuracy": "train_accuracy", "val_accuracy": "val_accuracy"}
    return plots.learning_curves(
        {step: {new: curve(step, old) for new, old in keys.items()} for step in steps},
        keys=("accuracy",),
    )


def points(difference):
    """Return a difference of accuracies in points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", "\N{MINUS SIGN}")

# %% tags=["hide-cell"]
def record_step(step, before=None):
    """Record what is quoted about a step, and its gain over the step before."""
    history = histories[step, seeds[0]]
    value, seen = settled(step), settled(step, "train_accuracy")
    spread = float(np.std(by_seed(step, "val_accuracy"), ddof=1)) if len(seeds) > 1 else 0.0
    record(f"val_accuracy_{step}", value)
    record(f"train_accuracy_{step}", seen)
    record(f"gap_{step}", f"{100 * (seen - value):.1f}".replace("-", "\N{MINUS SIGN}"))
    record(f"best_val_accuracy_{step}", max(history["val_accuracy"]))
    record(f"best_epoch_{step}", 1 + int(np.argmax(history["val_accuracy"])))
    record(f"val_spread_{step}", f"{spread:.3f}")
    record(f"n_parameters_{step}", networks[step].count_params())
    if before:
        record(f"gain_{step}", points(value - settled(before)))

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
investigate("A")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of network A over the epochs. The line of the training images lies above that of the validation images, and keeps rising after the other has levelled off."}}
compare("A")

# %% tags=["hide-cell"]
record_step("A")

# %% [markdown]
# The lines are means over {glue:text}`n_seeds` seeds, and from here on we judge a network by such a
# mean over its last five epochs: for A {glue:text}`val_accuracy_A:.3f` on the validation images. The
# best epoch of the first seed had {glue:text}`best_val_accuracy_A:.3f`. Why not quote that one? It
# is the largest of {glue:text}`n_epochs` numbers that waver, and a maximum picks the luckiest moment
# along with the best. The longer and the more nervous the curve, the more it flatters. The mean of
# the last five says what you get when you stop where we stop.
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
investigate("B")

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
# gradient of one output by the image must be zero outside the window and nowhere inside it. We
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
investigate("W")

# %%
fields = {step: receptive_fields(designs[step])[-1][1] for step in "AWB"}
for step, field in fields.items():
    print(f"{step}: {titles[step]:<24} sees {field} pixels, "
          f"{networks[step].count_params():,} parameters, "
          f"validation accuracy {settled(step):.4f}")
assert fields["W"] == fields["B"]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of networks A, W and B over the epochs, on training images and, dotted, on validation images."}}
compare("A", "W", "B")

# %% tags=["hide-cell"]
record_step("W", "A")
record("depth_over_view", points(settled("B") - settled("W")))

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
investigate("C")

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
investigate("D")

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
investigate("E")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of networks D and E over the epochs, on training images and, dotted, on validation images."}}
compare("D", "E")

# %% tags=["hide-cell"]
record_step("E", "D")

# %% tags=["hide-cell"]
above = curve("E", "val_accuracy") >= 0.8
stays = len(above) - int(np.argmin(above[::-1])) if not above.all() else 0
record("steady_epoch_E", "only now and then, if at all" if stays >= len(above)
       else f"from epoch {stays + 1} on")

# %% [markdown]
# {glue:text}`gain_E` points, to {glue:text}`val_accuracy_E:.3f`, with {glue:text}`n_parameters_E:,d`
# parameters. Stated: steadily above 80 % after 12 epochs. Ours stays at or above 80 % on the
# validation images, in the mean over the seeds, {glue:text}`steady_epoch_E`. The gap between
# training and validation is {glue:text}`gap_E` points.
#
# ## All the evidence on one axis

# %% tags=["hide-input"] mystnb={"image": {"alt": "Validation accuracy of the five networks A to E over the epochs, on one axis. Most of the rise lies in the first ten epochs; afterwards the lines run side by side, with the differences between them smaller than what each wavers."}}
plots.learning_curves(
    {f"{step}: {titles[step]}": {"validation accuracy": curve(step, "val_accuracy")}
     for step in "ABCDE"},
    keys=("validation accuracy",),
)

# %% [markdown]
# Thin as the distances are, set them against the spread over the seeds, in the table below.
#
# And the bill. A parameter costs memory. A multiply-add, one multiplication and one addition, costs
# time: {doc}`06_cifar10_tensorflow` counted those of its network. The same count, from the words of
# a design:

# %% tags=["nbval-check-output"]
def multiply_adds(design):
    """Return (layer, multiply-adds for one image) for each layer that has weights."""
    side, depth, rows = 32, 3, []
    for word in f"{design}, dense 10".split(", "):
        kind, *numbers = word.split()
        if kind == "conv":
            kernel = int(numbers[1]) if len(numbers) > 1 else 3
            rows.append((word, side**2 * kernel**2 * depth * int(numbers[0])))
            depth = int(numbers[0])
        elif kind == "pool":
            side //= 2
        elif kind == "flatten":
            side, depth = 1, side**2 * depth
        elif kind == "dense":
            rows.append((word, depth * int(numbers[0])))
            depth = int(numbers[0])
    return rows


work = {step: sum(n for _, n in multiply_adds(design)) for step, design in designs.items()}
for step in "AWBCDE":
    in_dense = sum(n for word, n in multiply_adds(designs[step]) if "dense" in word)
    print(f"{step} {titles[step]:<24}{networks[step].count_params():>10,} parameters"
          f"{work[step]:>12,} multiply-adds, {100 * in_dense / work[step]:4.1f} % in dense layers")

# %% [markdown]
# What is counted need not be what the clock says. Time {glue:text}`n_timed` gradient steps of each
# network on the machine that runs this page, and reckon from the fastest what an epoch takes there.
# Why from the fastest? Whatever else goes on in a computer can only make a step longer.

# %%
class Stopwatch(keras.callbacks.Callback):
    """Note the seconds that each gradient step takes."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        """Start the clock."""
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Stop it."""
        self.seconds.append(time.perf_counter() - self.start)

# %%
def seconds_an_epoch(step):
    """Return the time of the fastest of some gradient steps, times the steps in an epoch."""
    x, y = (np.resize(a, (n_timed * batch_size, *a.shape[1:])) for a in (x_train, y_train))
    watch = Stopwatch()
    networks[step].fit(x, y, batch_size=batch_size, verbose=0, callbacks=[watch])
    return min(watch.seconds) * -(-len(x_train) // batch_size)


reckoned = {step: seconds_an_epoch(step) for step in "AWBCDE"}
print("   ".join(f"{step}: {seconds:.0f} s" for step, seconds in reckoned.items()))

# %% tags=["hide-cell"]
record("n_timed", n_timed)
for step, count in work.items():
    record(f"multiply_adds_{step}", count)
    record(f"seconds_per_epoch_{step}", reckoned[step])
record("parameters_ratio_B_E", networks["B"].count_params() / networks["E"].count_params())
record("work_ratio_B_E", work["B"] / work["E"])
record("work_ratio_W_B", work["W"] / work["B"])

# %% [markdown]
# | | parameters | million multiply-adds | seconds an epoch, reckoned | training | validation |
# |---|---|---|---|---|---|
# | A, three convolutions | {glue:text}`n_parameters_A:,d` | {glue:text}`millions_A` | {glue:text}`pace_A` | {glue:text}`train_accuracy_A:.3f` | {glue:text}`val_accuracy_A:.3f` ± {glue:text}`val_spread_A` |
# | W, three wide ones | {glue:text}`n_parameters_W:,d` | {glue:text}`millions_W` | {glue:text}`pace_W` | {glue:text}`train_accuracy_W:.3f` | {glue:text}`val_accuracy_W:.3f` ± {glue:text}`val_spread_W` |
# | B, six convolutions | {glue:text}`n_parameters_B:,d` | {glue:text}`millions_B` | {glue:text}`pace_B` | {glue:text}`train_accuracy_B:.3f` | {glue:text}`val_accuracy_B:.3f` ± {glue:text}`val_spread_B` |
# | C, more dropout | {glue:text}`n_parameters_C:,d` | {glue:text}`millions_C` | {glue:text}`pace_C` | {glue:text}`train_accuracy_C:.3f` | {glue:text}`val_accuracy_C:.3f` ± {glue:text}`val_spread_C` |
# | D, the third pool | {glue:text}`n_parameters_D:,d` | {glue:text}`millions_D` | {glue:text}`pace_D` | {glue:text}`train_accuracy_D:.3f` | {glue:text}`val_accuracy_D:.3f` ± {glue:text}`val_spread_D` |
# | E, no dense layer | {glue:text}`n_parameters_E:,d` | {glue:text}`millions_E` | {glue:text}`pace_E` | {glue:text}`train_accuracy_E:.3f` | {glue:text}`val_accuracy_E:.3f` ± {glue:text}`val_spread_E` |

# %% tags=["hide-cell"]
for step in "AWBCDE":
    record(f"millions_{step}", f"{work[step] / 1e6:.1f}")
    record(f"pace_{step}", f"{reckoned[step]:.0f}")

# %% [markdown]
# Look at B and E. The parameters fall by a factor of {glue:text}`parameters_ratio_B_E:.1f`, and the
# arithmetic by a factor of {glue:text}`work_ratio_B_E:.2f`. Parameters sit in the dense layer, work
# sits in the convolutions: a weight of a dense layer is used once for an image, a weight of a
# convolution once for each place. So "smaller" and "faster" are two different wishes.
#
# And look at W and B, which see the same 32 pixels. W does so with
# {glue:text}`work_ratio_W_B:.2f` times the arithmetic of B: it has half as many layers to compute, and
# each of its kernels has nearly three times as many weights.
#
# ## The choice
#
# The rule was made before the first run: the network with the highest validation accuracy, by the
# mean over its last five epochs and over the seeds, among A to E. (W was a control. It is not on
# the list.)

# %%
ranked = sorted("ABCDE", key=settled, reverse=True)
for step in ranked:
    values = "  ".join(f"{value:.4f}" for value in by_seed(step, "val_accuracy"))
    print(f"{step}: {settled(step):.4f}   by seed {values}")
chosen = ranked[0]
freedom = max(1, len(seeds) - 1)  # one seed has no spread
luck = float(np.sqrt(np.mean([np.var(by_seed(step, "val_accuracy")) for step in "AWBCDE"])
                     * len(seeds) / freedom))
print(f"chosen: {chosen}; one run moves by {luck:.4f} (standard deviation over the seeds)")

# %% tags=["hide-cell"]
lead = settled(ranked[0]) - settled(ranked[1])
record("chosen", chosen)
record("chosen_title", titles[chosen])
record("runner_up", ranked[1])
record("ranking", ", ".join(ranked))
record("lead", f"{100 * lead:.1f}")
record("val_spread_points", f"{100 * luck:.1f}")
record("chosen_val_by_seed", by_seed(chosen, "val_accuracy"))
record("difference_needed", f"{100 * 2 * luck * np.sqrt(2):.1f}")
record("difference_of_means", f"{100 * 2 * luck * np.sqrt(2 / len(seeds)):.1f}")

# %% [markdown]
# The ranking is {glue:text}`ranking`. How firm is it? The same network from another seed moves by
# {glue:text}`val_spread_points` points (one standard deviation, all networks taken together). So two
# *single* runs should lie at least {glue:text}`difference_needed` points apart before we believe in
# the sign of their difference, and two means over {glue:text}`n_seeds` seeds at least
# {glue:text}`difference_of_means` points. The lead of {glue:text}`chosen` over
# {glue:text}`runner_up` is {glue:text}`lead` points. Go back through the steps with those numbers in
# hand. Which of them hold?
#
# :::{admonition} What an honest ablation costs
# :class: note
# One seed for each network would have been a third of the price. Then a step of less than
# {glue:text}`difference_needed` points could not have been told from luck, and most steps between
# good networks are no larger.
# :::
#
# ## The envelopes
#
# Now, and only now, the test images. Each run measured its test accuracy once, after its last epoch.
# Nothing above has looked at it.

# %%
envelopes = {step: [histories[step, seed].epochs[-1]["test_accuracy"] for seed in seeds]
             for step in "AWBCDE"}
opened = envelopes[chosen]
print(f"{chosen}, {titles[chosen]}, by seed:", "  ".join(f"{value:.4f}" for value in opened))
print(f"mean {np.mean(opened):.4f}, from {min(opened):.4f} to {max(opened):.4f}")
print("the others, means over the seeds:")
for step in "AWBCDE":
    if step != chosen:
        print(f"  {step} {titles[step]:<24}{np.mean(envelopes[step]):.4f}")
assert max(map(np.mean, envelopes.values())) > 0.12, "above the 0.1 of guessing"

# %% tags=["hide-cell"]
spread = float(np.std(opened, ddof=1)) if len(opened) > 1 else 0.0
record("test_accuracy", float(np.mean(opened)))
record("test_accuracy_by_seed", opened)
record("test_accuracy_listed", ", ".join(f"{value:.4f}" for value in opened))
record("test_accuracy_spread", spread)
record("test_loss", float(np.mean(
    [histories[chosen, seed].epochs[-1]["test_loss"] for seed in seeds])))
record("from_stated", points(np.mean(opened) - 0.80))
record("val_minus_test", points(settled(chosen) - np.mean(opened)))
record("seconds_per_epoch", reckoned[chosen])
for step in "AWBCDE":
    record(f"test_accuracy_{step}", float(np.mean(envelopes[step])))

# %% [markdown]
# {glue:text}`chosen`, the network of {glue:text}`chosen_title`: {glue:text}`test_accuracy:.4f`, the
# mean of {glue:text}`test_accuracy_listed`, with a standard deviation of
# {glue:text}`test_accuracy_spread:.4f`. The source states 0.80; we differ from it by
# {glue:text}`from_stated` points.
#
# Its validation accuracy and its test accuracy differ by {glue:text}`val_minus_test` points. That is
# a check of the rules. Had the choice among five networks leaned on luck, the validation images,
# which made the choice, would look better than the test images, which had no say.
#
# ## The last point
#
# Where do we differ from the source? It trained on all 50,000 images, we on
# {glue:text}`n_train:,d`, since some were given up to be chosen by. It watched the test images, and
# speaks of what the curve reaches; we quote the end. And our copy of the images is the one named at
# the top of this page. The first two can be measured. Run the source's last network, E, as it did.

# %% tags=["hide-output"]
x_all, y_all = np.concatenate([x_valid, x_train]), np.concatenate([y_valid, y_train])


def as_the_source(seed, line=None):
    """Train E on all the images, watching the test set; return what was measured."""
    keras.utils.set_random_seed(seed)
    model = training.draw_weights(build(designs["E"]), seed)
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy",
                  metrics=["accuracy"], jit_compile=xla)
    return training.fit(
        model, x_all, y_all, n_epochs=n_epochs, batch_size=batch_size, seed=seed,
        name=f"cifar10-deeper-source-seed{seed}", validation_data=(x_test, y_test), line=line,
        history_only=True,
    )


watched = {}
for seed in seeds:
    print(f"E as the source ran it, seed {seed}")
    watched[seed] = as_the_source(seed, "epoch {epoch:2d}   test {val_accuracy:.4f}")

# %%
ends = [history["val_accuracy"][-1] for history in watched.values()]
peaks = [max(history["val_accuracy"]) for history in watched.values()]
print("last epoch, by seed:", "  ".join(f"{value:.4f}" for value in ends))
print("best epoch, by seed:", "  ".join(f"{value:.4f}" for value in peaks))

# %% tags=["hide-cell"]
curve_seen = np.mean([history["val_accuracy"] for history in watched.values()], axis=0)
record("source_end", float(np.mean(ends)))
record("source_peak", float(np.mean(peaks)))
record("source_peak_by_seed", peaks)
record("more_images_points", points(np.mean(ends) - np.mean(envelopes["E"])))
record("peeking_points", points(np.mean(peaks) - np.mean(ends)))
record("left_over_points", points(np.mean(peaks) - 0.80))
record("source_share_above", 100 * float(np.mean(curve_seen[12:] >= 0.8)) if n_epochs > 12 else 0.0)

# %% [markdown]
# | E | test accuracy | difference |
# |---|---|---|
# | our rules: {glue:text}`n_train:,d` images, last epoch | {glue:text}`test_accuracy_E:.4f` | |
# | all images, last epoch | {glue:text}`source_end:.4f` | {glue:text}`more_images_points` |
# | all images, best epoch on the test set | {glue:text}`source_peak:.4f` | {glue:text}`peeking_points` |
# | stated | 0.80, "steadily above" after 12 epochs | |
#
# Means over the seeds; the differences, in points, are against the line above. Run as the source
# ran it and read as it reads it, the network lies {glue:text}`left_over_points` points from the
# stated 0.80, and after the twelfth epoch its mean curve is at or above 0.80 in
# {glue:text}`source_share_above:.0f` % of the epochs. So the two differences that we could measure
# come to as much as the table says. What they leave is the copy of the images, and the luck of one
# stated run.
#
# ## What the network saw
#
# Take the chosen network, first seed, and look inside.

# %% tags=["hide-output"]
def train_chosen():
    """Train the chosen network once more, or restore it; return the model itself."""
    model, _ = train(chosen, seeds[0], line=short, history_only=False)
    return model


model = training.train_or_load("cifar10_deeper", train_chosen, prefer=prefer)
class_names = dataset.class_names
chances = model.predict(x_test, batch_size=500, verbose=0)
predicted = chances.argmax(axis=1)

# %% mystnb={"image": {"alt": "Thirty-two kernels of 3 x 3 cells in colour, each scaled to its own largest weight: some are edges between light and dark, some oppose two colours, some are nearly even."}}
first = next(layer for layer in model.layers if isinstance(layer, layers.Conv2D))
kernels = np.moveaxis(first.get_weights()[0], 3, 0)
largest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
plots.image_row(list(0.5 + 0.5 * kernels / largest), n_cols=8)

# %% [markdown]
# Nine cells in three colours, middle grey for zero. The kernels of the first layer are still easy to
# read: edges, and oppositions of colours. What about the last convolution? Its kernels have a
# hundred slices and more, and no eye reads them. Look at what they answer to. Here is a frog, and
# what the last convolution makes of it.

# %%
convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
through = keras.Model(model.inputs[0], [convolutions[0].output, convolutions[-1].output])
sure = chances.max(axis=1)
frogs = np.flatnonzero((y_test == class_names.index("frog")) & (predicted == y_test))
if len(frogs) == 0:  # a network that is hardly trained may find none
    frogs = np.flatnonzero(y_test == class_names.index("frog"))
frog = int(frogs[sure[frogs].argmax()])
first_maps, last_maps = (np.asarray(maps, "float32")[0] for maps in through(x_test[[frog]]))
print(f"certainty {sure[frog]:.3f}; maps of the last convolution: {last_maps.shape}")

# %% mystnb={"image": {"alt": "A small colour photograph of a frog from the test set."}}
plots.image_row([x_test[frog]], ["what goes in"], n_cols=1)

# %% mystnb={"image": {"alt": "Sixteen grey maps of 32 x 32 cells, the frog through the first convolution: outlines, light areas and dark areas, in which the frog can be recognised."}}
plots.feature_maps(first_maps[..., :16], n_cols=8)

# %% mystnb={"image": {"alt": "The thirty-two strongest maps of the last convolution, 8 x 8 cells each: a few bright spots on black; no frog can be recognised."}}
strongest = np.argsort(-last_maps.max(axis=(0, 1)))[:32]
plots.feature_maps(last_maps[..., np.sort(strongest)], n_cols=8)

# %% [markdown]
# At the front the frog is there to be seen. At the back, each map is black but for a few spots:
# something was found *here*, and only that is passed on. What was it?
#
# ## What it takes for what

# %% mystnb={"image": {"alt": "Confusion matrix of the ten classes on the test set, rows for the truth and columns for the prediction, counts written in. The darkest mistakes lie among the animals, cat and dog above all."}}
plots.confusion_matrix(y_test, predicted, class_names)

# %% mystnb={"image": {"alt": "A grid of colour photographs that the network misread, the most confident mistake first, with the true and the predicted class below each."}}
plots.mistakes(x_test, y_test, chances, class_names, n=20)

# %% tags=["hide-cell"]
counts = np.zeros((10, 10), int)
np.add.at(counts, (y_test, predicted), 1)
recall = counts.diagonal() / np.maximum(counts.sum(axis=1), 1)
np.fill_diagonal(counts, 0)
both_ways = np.triu(counts + counts.T)
one, other = (int(k) for k in np.unravel_index(both_ways.argmax(), both_ways.shape))
record("pair", f"{class_names[one]} and {class_names[other]}")
record("pair_count", int(both_ways.max()))
record("n_mistakes", int(counts.sum()))
record("n_certain_mistakes", int(((predicted != y_test) & (sure > 0.99)).sum()))
record("hardest_class", class_names[int(recall.argmin())])
record("hardest_percent", 100 * float(recall.min()))

# %% [markdown]
# The pair that it confuses most is {glue:text}`pair`: {glue:text}`pair_count` of its
# {glue:text}`n_mistakes` mistakes. The hardest class is {glue:text}`hardest_class`, with
# {glue:text}`hardest_percent:.0f` % found. {glue:text}`n_certain_mistakes` mistakes were made with
# more than 99 % certainty.
#
# ## Where did it look?
#
# When a person says "frog", you can ask: where? Point at it. Can we ask a network?
#
# The last convolution gives 128 maps of 8 x 8 places. Each map found something, somewhere. Which
# maps speak *for the frog*? Those whose values, if raised, would raise the frog's logit: the
# gradient says so. Average the gradient of each map over its places, and you have a weight for the
# map. Add up the maps with these weights, keep what is positive, and you have a picture of where
# the evidence for "frog" lies. That is Grad-CAM {cite:p}`selvaraju2017gradcam`:
#
# $$
# w_k = \frac{1}{64} \sum_{i,j} \frac{\partial z_{\text{frog}}}{\partial a_{ijk}}, \qquad
# \text{map}_{ij} = \max\Big(0, \sum_k w_k\, a_{ijk}\Big)
# $$
#
# $a_{ijk}$ is map $k$ at place $(i, j)$, and $z$ the logit, the number before the softmax. Our last
# layer has the softmax built in, so we take what goes into that layer, and its weights.

# %%
def grad_cam(model, images, labels):
    """Return where the last convolution finds evidence for a class: (n, h, w), largest value 1."""
    convolution = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)][-1]
    trunk = keras.Model(model.inputs[0], [convolution.output, model.layers[-1].input])
    kernel, bias = (tf.convert_to_tensor(w) for w in model.layers[-1].get_weights())
    with tf.GradientTape() as tape:
        maps, features = trunk(images, training=False)
        logits = tf.cast(features, tf.float32) @ kernel + bias
        score = tf.reduce_sum(tf.gather(logits, labels, axis=1, batch_dims=1))
    weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
    evidence = tf.nn.relu(tf.reduce_sum(weights * maps, axis=3))
    largest = tf.reduce_max(evidence, axis=(1, 2), keepdims=True)
    return tf.math.divide_no_nan(evidence, largest).numpy().astype("float32")


def overlay(image, evidence):
    """Dim an image where there is no evidence; each cell of the map covers its block of pixels."""
    times = image.shape[0] // evidence.shape[0]
    return image * (0.2 + 0.8 * np.kron(evidence, np.ones((times, times)))[..., None])

# %% mystnb={"image": {"alt": "Six photographs of frogs from the test set, each above a copy that is dark except where the network found evidence for a frog: a block or a few blocks of the 8 x 8 places stay bright in each."}}
six = frogs[np.argsort(-sure[frogs])][:6]
evidence = grad_cam(model, x_test[six], y_test[six])
plots.image_row(
    [*x_test[six], *(overlay(x_test[k], e) for k, e in zip(six, evidence, strict=True))],
    n_cols=len(six),
)

# %% [markdown]
# Above, six frogs of which the network was surest. Below, the same pictures, dark where it found no
# evidence. Is the bright part the frog, a part of it, or the ground on which it sits? Go through
# the six before you read on.
#
# Grad-CAM can be asked about any class, not only about the winner. Take its most certain mistakes,
# and ask twice: where is the evidence for what you said, and where is the evidence for what is
# true?

# %% mystnb={"image": {"alt": "Three rows of four: misread photographs; the same, dark except where the network found evidence for its wrong answer; the same, dark except where it found evidence for the true class. The two bright areas overlap in some pictures and lie apart in others."}}
wrong = np.flatnonzero(predicted != y_test)
four = wrong[np.argsort(-sure[wrong])][:4]
for_said = grad_cam(model, x_test[four], predicted[four])
for_true = grad_cam(model, x_test[four], y_test[four])
titles_of_four = [class_names[y_test[k]] for k in four]
titles_of_four += [f"for {class_names[predicted[k]]}" for k in four]
titles_of_four += [f"for {class_names[y_test[k]]}" for k in four]
plots.image_row(
    [*x_test[four], *map(overlay, x_test[four], for_said), *map(overlay, x_test[four], for_true)],
    titles_of_four, n_cols=4,
)

# %% [markdown]
# ## Can the answer be trusted?
#
# A picture with a bright spot on a frog convinces everyone. It should convince no one yet. A map
# that always lit up the middle of the image would look as good, since photographers put frogs in the
# middle. Two tests.
#
# **Cover it up.** If the bright places carry the evidence, the network must suffer when they are
# covered, and suffer less when as many others are. Cover a quarter of the places with the mean
# colour of the image: the brightest quarter, the darkest, a random one, and, against the
# photographers, the middle.

# %%
def cover(images, order, share=0.25):
    """Cover the places that come first in each image's order with the image's mean colour."""
    side = int(np.sqrt(order.shape[1]))
    hidden = np.zeros(order.shape, bool)
    np.put_along_axis(hidden, order[:, : int(share * order.shape[1])], True, axis=1)
    times = images.shape[1] // side
    mask = np.kron(hidden.reshape(-1, side, side), np.ones((1, times, times)))[..., None]
    return np.where(mask, images.mean(axis=(1, 2), keepdims=True), images).astype("float32")


looked_at, truth = x_test[:n_looks], y_test[:n_looks]
maps = grad_cam(model, looked_at, predicted[:n_looks]).reshape(n_looks, -1)
side = int(np.sqrt(maps.shape[1]))
from_middle = np.hypot(*(np.indices((side, side)) - (side - 1) / 2)).reshape(1, -1)
orders = {
    "the brightest": np.argsort(-maps, axis=1),
    "the middle": np.argsort(np.repeat(from_middle, n_looks, axis=0), axis=1),
    "at random": np.random.default_rng(0).permuted(
        np.tile(np.arange(side**2), (n_looks, 1)), axis=1),
    "the darkest": np.argsort(maps, axis=1),
}

# %%
def still_said(images):
    """Return how often the network still gives the answer that it gave to the whole image."""
    answers = model.predict(images, batch_size=500, verbose=0).argmax(axis=1)
    return float(np.mean(answers == predicted[:n_looks]))


kept = {name: still_said(cover(looked_at, order)) for name, order in orders.items()}
for name, share in kept.items():
    print(f"a quarter covered, {name:<14} the answer stays the same for {share:.3f} of the images")
record("n_looks", n_looks)
for name, share in kept.items():
    record(f"kept_{name.split()[-1]}_percent", 100 * share)

# %% [markdown]
# | a quarter covered | the answer stays |
# |---|---|
# | the brightest places | {glue:text}`kept_brightest_percent:.0f` % |
# | the middle | {glue:text}`kept_middle_percent:.0f` % |
# | places at random | {glue:text}`kept_random_percent:.0f` % |
# | the darkest places | {glue:text}`kept_darkest_percent:.0f` % |
#
# Read the lines against each other. That the brightest places matter more than places at random,
# and the darkest less, is to the credit of the map: it tells the two apart. But hold the first line
# against the second. Where covering the middle costs the network as much or more, the map has not
# shown that it knows more than the photographers, who put the frog there. Then it says *roughly
# where*, and not yet *why*.
#
# **Forget everything.** The second test asks whether the map depends on what the network has
# *learned*. Give the network random weights, and draw the maps again. If they look the same, they
# show the picture's edges, not the network's reasons. {cite:t}`adebayo2018sanity` put many methods
# to this test, and several failed.

# %%
keras.utils.set_random_seed(1)
forgetful = keras.models.clone_model(model)  # the same layers, weights drawn anew
random_maps = grad_cam(forgetful, looked_at, predicted[:n_looks]).reshape(n_looks, -1)


def alike(a, b):
    """Return the mean correlation of two sets of maps, image by image."""
    a, b = (m - m.mean(axis=1, keepdims=True) for m in (a, b))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.mean((a * b).sum(axis=1)[lengths > 0] / lengths[lengths > 0]))


similarity = alike(maps, random_maps)
print(f"correlation of the maps with those of an untrained network: {similarity:.2f}")
record("similarity_untrained", similarity)

# %% [markdown]
# The correlation is {glue:text}`similarity_untrained:.2f`, where 1 would mean that training makes no
# difference. The maps are made by what was learned.
#
# What neither test can tell: *why* the bright place speaks for a frog. Is it the eye, the skin, or
# the green around it? Grad-CAM points. It does not explain.
#
# ## Exercises
#
# **1. Warm-up.** Without running anything: how many parameters has E, layer by layer? Where do most
# of them sit now?
#
# :::{dropdown} Hint
# $(k^2 c_{\text{in}} + 1)\, c_{\text{out}}$ for a convolution. Three poolings leave 4 x 4 places.
# :::
#
# :::{dropdown} Solution
# 896 + 9,248 + 18,496 + 36,928 + 73,856 + 147,584 + 20,490 = 307,498. Nearly half of them in the
# last convolution. The cell below asks Keras.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
counted = [layer.count_params() for layer in networks["E"].layers if layer.count_params()]
print(" + ".join(f"{n:,}" for n in counted), "=", f"{sum(counted):,}")
assert counted == [896, 9_248, 18_496, 36_928, 73_856, 147_584, 20_490]

# %% [markdown]
# **2.** Two layers of 3 x 3 in place of one of 5 x 5, with $c$ channels before, between and after.
# Which share of the weights do you save? And three layers of 3 x 3 in place of one of 7 x 7?
#
# :::{dropdown} Hint
# Count the weights for one pair of channels: 25 against twice 9.
# :::
#
# :::{dropdown} Solution
# 18 in place of 25 saves 28 %; 27 in place of 49 saves 45 %. The multiply-adds fall by the same
# shares, and each layer more brings one ReLU more.
# :::
#
# **3.** Replace `flatten` in E by global average pooling: each map becomes one number. How many
# parameters are left, and what does the network lose?
#
# :::{dropdown} Hint
# The last layer reads 128 numbers then.
# :::
#
# :::{dropdown} Solution
# 1,290 in the last layer in place of 20,490, and 288,298 in all. It can no longer tell *where* on
# the 4 x 4 places something was found. For frogs that is little loss. The cell below builds it.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
body = stack(designs["E"].split(", flatten")[0])
averaged = keras.Sequential([keras.Input((32, 32, 3)), *body, layers.GlobalAveragePooling2D(),
                             layers.Dense(10, activation="softmax", dtype="float32")])
print(f"{averaged.count_params():,} parameters")
assert averaged.count_params() == 288_298

# %% [markdown]
# **4.** The covering test used a quarter of the places. Draw the whole curve: the share of answers
# that stay, over the share of places covered, brightest first and at random.
#
# :::{dropdown} Hint
# `cover` takes `share`. Five values are enough.
# :::
#
# :::{dropdown} Solution
# See the cell below. Both curves start at 1 and end where every image has one colour. The area
# between them is a measure of how much better than chance the map points.
# :::

# %% tags=["hide-cell"]
for share in (0.0, 0.1, 0.25, 0.5, 0.75):
    stay = [still_said(cover(looked_at, orders[name], share))
            for name in ("the brightest", "at random")]
    print(f"{share:4.0%} covered: brightest first {stay[0]:.3f}, at random {stay[1]:.3f}")

# %% [markdown]
# **5. Open-ended.** Write a design of your own, as a line of words, that you expect to beat
# {glue:text}`chosen` at no more than its multiply-adds. Say beforehand why. Choose on the validation
# images, with three seeds, and open the test set once.
#
# :::{dropdown} Hint
# Write your line into `designs["mine"]`. `multiply_adds` counts it before anything is trained, and
# `train("mine", seed)` trains it. A weight behind one pooling works at a quarter of the places, behind
# two at a sixteenth: that is where more maps cost least.
# :::
#
# :::{dropdown} What to look for
# Your reason, more than your rank. A design that loses for the reason that you gave teaches more than
# one that wins for none. Judge it as the chosen network was judged, by the mean of the last five epochs
# over three seeds, and hold the lead against the {glue:text}`difference_of_means` points that two such
# means must lie apart. Count the designs that you tried before this one: the best of ten flatters
# itself, and the test set, opened once, will tell by how much.
# :::
#
# ## Check yourself
#
# **1.** B has 4.5 % more parameters than A, and nearly three times the multiply-adds. How can that be?
#
# :::{dropdown} Answer
# The new weights belong to convolutions. Each is used once for every place of its map, up to 1,024
# times an image, while each of the many weights of the dense layer is used once.
# :::
#
# **2.** Why did we compare A and B with W?
#
# :::{dropdown} Answer
# B differs from A in two ways: it sees further, and it bends more often. W sees as far as B and
# bends as often as A. Without it, two causes could not be told apart.
# :::
#
# **3.** You watched the test accuracy of twenty networks and report the best. What is wrong, and
# what would have been right?
#
# :::{dropdown} Answer
# The best of twenty noisy numbers is too high on average, and no untouched images are left to find
# out by how much. Choose on images held out from training; open the test set once.
# :::
#
# **4.** A Grad-CAM map lights up the frog. Has it been shown that the network recognises frogs by
# their shape?
#
# :::{dropdown} Answer
# No. It says where the evidence lies, not what it is. It could be the skin's texture or its colour.
# :::
#
# **5.** C lags behind B for the first epochs. Would you stop it there?
#
# :::{dropdown} Answer
# Not for that. Each of its epochs teaches with a part of the maps missing, so it learns more slowly.
# What counts is where the validation curve levels off.
# :::
#
# ## Summary
#
# - An ablation changes one line at a time, with the expectation written down before. Over
#   {glue:text}`n_epochs` epochs the validation accuracy went from {glue:text}`val_accuracy_A:.3f`
#   (three convolutions) to {glue:text}`val_accuracy_B:.3f` (six), {glue:text}`val_accuracy_C:.3f`
#   (dropout in every block), {glue:text}`val_accuracy_D:.3f` (the third pool) and
#   {glue:text}`val_accuracy_E:.3f` (no dense layer).
# - The chosen network, {glue:text}`chosen`, has a test accuracy of {glue:text}`test_accuracy:.4f`,
#   with a standard deviation of {glue:text}`test_accuracy_spread:.4f` over the seeds. Stated: 0.80.
# - A control with larger kernels separates what seeing further is worth ({glue:text}`gain_W` points)
#   from what depth is worth at an equal view ({glue:text}`depth_over_view` points).
# - Parameters sit in dense layers, arithmetic sits in convolutions.
# - Grad-CAM shows where the evidence for a class lies. Cover the place, and compare with covering
#   the middle, before you believe it.
#
# ## Further reading
#
# - {cite:t}`simonyan2015very`: depth from small kernels.
# - {cite:t}`luo2016understanding`: how much of the receptive field counts.
# - {cite:t}`selvaraju2017gradcam`: Grad-CAM; {cite:t}`adebayo2018sanity`: how to doubt it.
# - {cite:t}`recht2018cifar10`: what ten years of one test set have done.
#
# Before this chapter: {doc}`07_cifar10_keras`. Next, more pictures from the same pictures:
# {doc}`09_augmentation`.
#
# ## How this page was made

# %% tags=["hide-input"]
conditions(dataset)
