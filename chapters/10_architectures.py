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
# # Three famous shapes
#
# **What did each of them see that the one before had not?**
#
# By the end of this chapter you will be able to
#
# - write AlexNet, a VGG and a ResNet at the size of CIFAR-10, each as one short function;
# - say what a comparison at an equal budget holds equal, and what it does not;
# - measure the gradient of each layer, and read from it whether a deep network can start to learn;
# - explain what the path around two layers changes, and check the explanation;
# - run one program on another backend of Keras.
#
# You need {doc}`08_deeper`, for the rules by which networks are compared.
#
# Time to read and to try things out: about two hours. Minutes of computing, all cells, on two CPU
# cores: {glue:text}`minutes`. On a GPU: {glue:text}`gpu_minutes`.

# %% tags=["parameters"]
n_train = None  # images to train on; None: all that are not held out
n_valid = 5000  # images held out, to judge by
n_test = None  # images for the final test; None: all 10,000
n_epochs = 20  # passes over the training images, the same for every network
batch_size = 128  # images per gradient step
learning_rate = 0.02  # largest step size of gradient descent with momentum
weight_decay = 0.005  # share of each weight that a step of size 1 would take away
depths = [8, 20, 32]  # layers of the plain and of the residual networks: 6n + 2
seeds = [0, 1]  # the first for every network; the others for the two deepest, plain and residual
n_steps = 30  # gradient steps that are timed, and that lie between two looks at the gradients
n_looks = 1000  # test images on which single blocks are taken out
precision = "float32"  # on a GPU: "mixed_float16", or "mixed_bfloat16" on a recent one
xla = "auto"  # the XLA compiler: on for a GPU, off for a CPU; True or False: always or never
prefer = "train"  # "load": take the weights of the network that we look at from a file

# %%
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers
from matplotlib.patches import Rectangle

from datasetslib import conditions, imutil, plots, record, recording, training
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
print(f"{len(x_train):,} images to train on, {len(x_valid):,} to judge by")

# %% tags=["hide-cell"]
record("edition", str(dataset.edition))
record("n_train", len(x_train))
record("n_valid", len(x_valid))
record("n_epochs", n_epochs)
record("batch_size", batch_size)

# %% [markdown]
# All numbers on this page come from this copy of the data: {glue:text}`edition`. The box at its
# end names the machines on which they were measured.
#
# :::{admonition} On a GPU
# :class: tip
# Nothing here has to be edited: Keras uses a GPU that its backend finds, and `xla = "auto"` lets
# the XLA compiler fuse the operations of a step there. `precision = "mixed_float16"` multiplies in
# 16 bits, keeps the weights in 32, and scales the loss, so that small gradients do not vanish; the
# softmax stays in 32 bits. Both change the rounding, so that a run ends elsewhere, by about as
# much as another seed would.
# :::
#
# ## The case
#
# In 2012, in 2014 and in 2015, a network with a name made the head of a table, and of every
# lecture since: AlexNet {cite:p}`krizhevsky2012imagenet`, VGG {cite:p}`simonyan2015very`, ResNet
# {cite:p}`he2016deep`. The usual way to tell them apart is to count their layers: 8, 16 to 19, and
# 152.
#
# Counting is not understanding. If layers were all, the people of 2012 would have stacked 152. So
# we ask each network two questions. What did its authors see? And what could they not do yet?
#
# Then we do what papers seldom can: let all of them learn the same images for the same number of
# epochs, in front of the reader.
#
# ## Which backend?
#
# Look at the imports above. Something is missing that every chapter on Keras had so far:
# TensorFlow. Keras describes networks. The arithmetic is done by a *backend*, and TensorFlow is
# one of several. Which one is at work here, and who decided that?

# %%
print("the backend of this page:", keras.backend.backend())

# %% tags=["hide-cell"]
record("backend", {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}.get(
    keras.backend.backend(), keras.backend.backend()))

# %% [markdown]
# The rule has three steps. The environment variable `KERAS_BACKEND` decides. Where there is none,
# the file `keras.json` does, in the folder `.keras` of your home, or in the one that `KERAS_HOME`
# names. Where that is silent too, it is TensorFlow.
#
# The rule is easy to test, without installing anything: ask for backends that do not exist, and
# read the complaint. A fresh Python process gets a settings file that asks for an abacus, and then
# also a variable that asks for a sundial. Whose complaint do you expect in each line?

# %%
def complaint(settings, **variables):
    """Import Keras in a fresh Python process with a settings file; return its last line."""
    with TemporaryDirectory() as folder:
        Path(folder, "keras.json").write_text(json.dumps(settings))
        kept = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
        answer = subprocess.run(
            [sys.executable, "-c", "import keras"], capture_output=True, text=True,
            env={**kept, "KERAS_HOME": folder, **variables})
    return answer.stderr.strip().splitlines()[-1]


by_file = complaint({"backend": "abacus"})
by_variable = complaint({"backend": "abacus"}, KERAS_BACKEND="sundial")
print("file:              ", by_file)
print("file and variable: ", by_variable)
assert "abacus" in by_file and "sundial" in by_variable

# %% [markdown]
# The variable wins. Both are read once, when Keras is imported: in a notebook, set
# `os.environ["KERAS_BACKEND"] = "jax"` in the very first cell, or restart the kernel.
#
# This chapter runs on another backend because it asks nothing of TensorFlow. Layers, `fit` and
# `keras.ops` exist in all of them. `tf.GradientTape` does not; where this page needs a gradient,
# it takes it by a trick that works everywhere. One more thing has to be the same if the same seed
# is to mean the same network: the starting weights. Each backend has dice of its own. So we draw
# the weights with NumPy, in `training.draw_weights`, by the rule that each layer names.
#
# ## Words that all three share

# %%
def conv(width, side=3):
    """Return a convolution with ReLU; He's rule keeps the size of what flows through it."""
    return layers.Conv2D(width, side, padding="same", activation="relu",
                         kernel_initializer="he_normal")


def dense(width):
    """Return a dense layer with ReLU, and dropout behind it."""
    return [layers.Dense(width, activation="relu", kernel_initializer="he_normal"),
            layers.Dropout(0.5)]


def entrance():
    """Return what stands before every network: while it learns, half of the images mirrored."""
    return [keras.Input((32, 32, 3)), layers.RandomFlip("horizontal")]


def ten_classes():
    """Return what stands at the end of every network: ten probabilities."""
    return layers.Dense(10, activation="softmax", dtype="float32")

# %% [markdown]
# `he_normal` names that rule: random numbers whose variance is 2 over the number of inputs of a
# unit {cite:p}`he2015delving`. The 2 makes up for the half of the numbers that ReLU sets to zero,
# so that what flows through many layers neither dies out nor blows up. None of the papers of 2012
# and 2014 had it. We give it to all, or the older networks would lose for a reason that is not in
# their shape.
#
# The mirroring is for all as well. Half of the images are mirrored, drawn anew each time: a
# mirrored frog is a frog. `RandomFlip` acts in training only, as dropout does.
#
# ## 2012: the pattern, made large
#
# **What they saw.** LeNet's pattern of 1998 was right, and it was starved. Give it a million
# images, two graphics cards for most of a week, ReLU in place of a function that saturates,
# dropout against learning by heart, and no feature has to be made by hand any more.
#
# **The size.** The original reads 224 x 224 pixels, so its first kernels are 11 x 11 and move by
# four. Ours reads 32 x 32: kernels of 5 x 5 that move by one. It has half of the maps: 48, 128,
# 192, 192, 128, which is exactly what *one* of the two graphics cards held. The two large dense
# layers have 1,024 units in place of 4,096. The poolings of 3 x 3 overlap, as theirs did. One
# thing is left out, the normalisation of neighbouring maps, from which {cite:t}`simonyan2015very`
# found no gain.

# %%
def alexnet():
    """Return AlexNet at half its width: five convolutions and three dense layers."""
    return keras.Sequential([
        *entrance(),
        conv(48, 5), layers.MaxPooling2D(3, 2, "same"),
        conv(128, 5), layers.MaxPooling2D(3, 2, "same"),
        conv(192), conv(192), conv(128), layers.MaxPooling2D(3, 2, "same"),
        layers.Flatten(), *dense(1024), *dense(1024), ten_classes(),
    ])

# %% [markdown]
# Before you read on: where do most of its parameters sit, and where does most of its arithmetic?
#
# ## 2014: one kernel, many times
#
# **What they saw.** Kernels of 11, 5 and 3 are a choice made by hand, and it can be dropped. Two
# layers of 3 x 3 see what one of 5 x 5 sees, with fewer weights and one more ReLU:
# {doc}`08_deeper` has the measurement. So there is *one* kernel, and only two questions left: how
# many layers, and how wide?
#
# **The size.** Their network B: ten convolutions in five pairs, each pair twice as wide as the one
# before, up to a limit, and three dense layers. Ours has half of the maps, and 1,024 units.

# %%
def vgg():
    """Return a VGG of thirteen layers at half its width: convolutions of 3 x 3 in pairs."""
    trunk = []
    for width in (32, 64, 128, 256, 256):
        trunk += [conv(width), conv(width), layers.MaxPooling2D(2)]
    return keras.Sequential([
        *entrance(), *trunk, layers.Flatten(), *dense(1024), *dense(1024), ten_classes(),
    ])

# %% [markdown]
# **What they could not do.** Go on. They report networks of up to 19 layers, and that the gain had
# ended there. They started the deep ones from layers of a shallow one that they had trained
# before, since a bad draw of random numbers can stall a deep network.
#
# ## 2015: what should one more layer do?
#
# Take a network that works, and put more layers behind it. What is the least that they could do?
#
# They could do *nothing*: hand on what they get. Then the deeper network would be exactly as good
# as the shallower one. So a deeper network can never be worse, if only the training finds what is
# there. Does it?
#
# **What they saw.** It does not, and the reason is not overfitting: the deeper network was worse
# *on the images that it was trained on* {cite:p}`he2016deep`. To do nothing is hard to learn. Two
# convolutions with a ReLU between them have to find the weights that copy their input, among all
# the weights that they could have.
#
# **The change.** Make it easy. Let the input go round the two layers, and add it to what they
# give:
#
# $$
# y = \mathrm{ReLU}\big(x + f(x)\big)
# $$
#
# Now nothing is what the layers do when their weights are zero. They need to learn only what has
# to be *changed* in $x$: the *residual*, which gave the network its name. In the cell below the
# whole idea is one line. Which one?

# %%
def convolve(h, width, stride=1, norm=True):
    """Convolve with 3 x 3 kernels and normalise; the ReLU is left to the caller."""
    h = layers.Conv2D(width, 3, stride, "same", use_bias=not norm,
                      kernel_initializer="he_normal")(h)
    return layers.BatchNormalization(momentum=0.9)(h) if norm else h


def stacked(depth, identity, norm=True):
    """Return a network of 6n + 2 layers, with or without the identity path around each pair."""
    inputs, mirror = entrance()
    h = layers.ReLU()(convolve(mirror(inputs), 16, norm=norm))
    for stage, width in enumerate((16, 32, 64)):
        for block in range((depth - 2) // 6):
            stride = 2 if stage > 0 and block == 0 else 1
            past = h
            h = layers.ReLU()(convolve(h, width, stride, norm))
            h = convolve(h, width, norm=norm)
            if identity:
                h = layers.Add()([h, past if stride == 1 else narrowed(past)])
            h = layers.ReLU()(h)
    return keras.Model(inputs, ten_classes()(layers.GlobalAveragePooling2D()(h)))


def narrowed(h):
    """Return every second pixel of h in both directions, and as many maps again, of zeros."""
    h = layers.MaxPooling2D(1, 2)(h)
    return layers.Concatenate()([h, keras.ops.zeros_like(h)])

# %% [markdown]
# It is the line with `Add`. With `identity=False` we get the *plain* network, the same in
# everything else.
#
# **The size.** Theirs for CIFAR-10, unchanged: a convolution, then three stages of 16, 32 and 64
# maps with $n$ pairs each, and one dense layer at the end, $6n + 2$ layers that have weights.
#
# When a stage halves the side and doubles the maps, $x$ and $f(x)$ differ in shape. The paper
# offers two ways out. We take its option A: every second pixel of $x$, and zeros for the new maps.
# Option B, a convolution of 1 x 1, would bring weights of its own. With A, the plain and the
# residual network have the same parameters and the same multiplications, to the last one. What
# differs between them is the path.
#
# **Normalised.** Behind each convolution stands a `BatchNormalization` {cite:p}`ioffe2015batch`.
# For each map it takes the mean and the variance over all places of all images of the batch,
# subtracts the one, divides by the root of the other, and lets two learned numbers for each map
# scale and shift the result. When the network is asked and not trained, running means take the
# place of the batch's. (`momentum=0.9` lets them forget within some tens of steps. Keras's own
# value, 0.99, needs hundreds.) It came out a few months before ResNet, and it takes away the first
# suspect: with it, the numbers in a deep network neither vanish nor blow up on their way
# *forward*.
#
# ## At the same scale

# %% tags=["nbval-check-output"]
def multiply_adds(model):
    """Return (layer, multiply-adds for one image) for each layer that has a kernel."""
    return [(layer, int(np.prod(layer.output.shape[1:-1]) * np.prod(layer.kernel.shape)))
            for layer in model.layers if isinstance(layer, layers.Conv2D | layers.Dense)]


shapes = {"AlexNet": alexnet(), "VGG": vgg()}
for depth in (8, 20, 32):
    shapes[f"ResNet {depth}"] = stacked(depth, identity=True)
work = {name: sum(n for _, n in multiply_adds(model)) for name, model in shapes.items()}
for name, model in shapes.items():
    in_dense = sum(n for layer, n in multiply_adds(model) if isinstance(layer, layers.Dense))
    weights = sum(layer.count_params() for layer in model.layers if isinstance(layer, layers.Dense))
    print(f"{name:<10}{len(multiply_adds(model)):>3} layers{model.count_params():>11,} parameters "
          f"({100 * weights / model.count_params():2.0f} % in dense layers)"
          f"{work[name]:>12,} multiply-adds ({100 * in_dense / work[name]:.1f} %)")
plain = stacked(8, identity=False)
assert plain.count_params() == shapes["ResNet 8"].count_params()
assert sum(n for _, n in multiply_adds(plain)) == work["ResNet 8"]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three networks as rows of blocks, drawn at one scale: the height of a block is the side of its maps, its width their number. AlexNet: five blocks, the first tall and thin, then three wide and low ones, and two long flat bars for its dense layers. VGG: ten blocks in pairs, each pair half as tall and up to twice as wide, and two flat bars. ResNet 32: thirty-one blocks in three groups, tall and thin, with an arc over each pair, and no flat bars."}}
def draw_shape(axis, model):
    """Draw the layers that have weights: height for the side, width for the number of maps."""
    x, ends = 0, {}
    for layer, _ in multiply_adds(model):
        side = layer.output.shape[1] if isinstance(layer, layers.Conv2D) else 1
        colour, edge = ("pale sky", "blue") if side > 1 else ("pale orange", "vermillion")
        if isinstance(layer, layers.Dense):
            colour, edge = "orange", "orange"
        width = layer.output.shape[-1]
        axis.add_patch(Rectangle((x, -side / 2), width, side, linewidth=0.8,
                                 facecolor=plots.COLOURS[colour], edgecolor=plots.COLOURS[edge]))
        ends[layer.name] = x + width / 2
        x += width + 14
    return x, list(ends.values())


fig, axes = plt.subplots(3, 1, figsize=(6.4, 5.6))
drawn = ("AlexNet", "VGG", "ResNet 32")
for axis, name in zip(axes, drawn, strict=True):
    end, middles = draw_shape(axis, shapes[name])
    if name == "ResNet 32":
        for start, stop in zip(middles[0:-2:2], middles[2:-1:2], strict=True):
            span = np.linspace(0, np.pi, 20)
            axis.plot((start + stop) / 2 - np.cos(span) * (stop - start) / 2,
                      18 + 7 * np.sin(span), color=plots.COLOURS["green"], linewidth=1.5)
    axis.set(xlim=(-20, 3740), ylim=(-18, 27), xticks=[], yticks=[])
    axis.set_title(f"{name}: {shapes[name].count_params():,} parameters, "
                   f"{work[name] / 1e6:.0f} million multiply-adds", loc="left")
    axis.spines[:].set_visible(False)
plots.finish(fig)

# %% [markdown]
# Height is the side of the maps, width is their number; the flat bars are the dense layers, and
# the arcs the paths. Read the three rows from top to bottom.
#
# AlexNet is short and wide, and most of its parameters sit in the bars. VGG draws it out in
# length. ResNet has no bars: it averages each map to one number, as {doc}`08_deeper` tried in an
# exercise, and it stays narrow. It has an eighth of the parameters of VGG.
#
# Their arithmetic, though, is not far apart: from 59 to 96 million multiply-adds. That was the
# reason for halving the first two. Who compares by parameters sees the smallest network in the
# last row. Who compares by arithmetic sees three of nearly one size.
#
# ## The rules
#
# All networks get the same budget, and it is said beforehand: {glue:text}`n_epochs` epochs over
# {glue:text}`n_train:,d` images, batches of {glue:text}`batch_size`, and gradient descent with
# momentum 0.9, as in all three papers, here by Nesterov's rule. The step rises during the first
# twentieth of the steps and then sinks to zero along a cosine. A small share of each weight is
# taken away in each step.
#
# **An equal number of epochs is not an equal amount of arithmetic.** Nor is it equal time. The
# table at the end says what each network spent. And one optimiser for all is fair as a rule and
# unfair in its effect: one step size suits one network better than another. An answer for *any*
# budget would need a search for each network. We answer for this one.
#
# {glue:text}`n_valid:,d` images are held out, and we judge by them. {doc}`08_deeper` took the mean
# of the last five epochs, since its curves wavered to the end. Here the step has sunk to zero and
# the curves have come to rest: we judge by the last epoch. The test accuracies go into sealed
# envelopes, as there.

# %%
makers = {"AlexNet": alexnet, "VGG": vgg}
for depth in depths:
    makers[f"plain {depth}"] = lambda depth=depth: stacked(depth, identity=False)
    makers[f"ResNet {depth}"] = lambda depth=depth: stacked(depth, identity=True)

# %%
def compiled(name, seed):
    """Return a network with its starting weights, ready to be trained."""
    keras.utils.set_random_seed(seed)
    model = training.draw_weights(makers[name](), seed)
    total = n_epochs * -(-len(x_train) // batch_size)  # gradient steps
    rising = -(-total // 20)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, total - rising, warmup_target=learning_rate, warmup_steps=rising)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=weight_decay)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"],
                  jit_compile=xla)
    return model

# %%
def train(name, seed, line=None, history_only=True):
    """Train one network from one seed; return it and what was measured after each epoch."""
    model = compiled(name, seed)
    before_the_last = (n_epochs - 1) * -(-len(x_train) // batch_size)  # gradient steps

    def after_epoch():
        seen = model.evaluate(x_train[:5000], y_train[:5000], batch_size=500, verbose=0)
        measured = {"train_loss": seen[0], "train_accuracy": seen[1]}
        if int(model.optimizer.iterations) > before_the_last:
            sealed = model.evaluate(x_test, y_test, batch_size=500, verbose=0)
            measured.update(test_loss=sealed[0], test_accuracy=sealed[1], n_test=len(x_test))
        return measured

    history = training.fit(
        model, x_train, y_train, n_epochs=n_epochs, batch_size=batch_size, seed=seed,
        name=f"cifar10-architectures-{name}-seed{seed}", validation_data=(x_valid, y_valid),
        after_epoch=after_epoch, line=line, history_only=history_only,
    )
    return model, history

# %% [markdown]
# Before you run the next cell, write down a ranking of AlexNet, VGG and ResNet 32. Then a second
# one, of the plain networks of 8, 20 and 32 layers: by their accuracy on the images that they are
# *trained* on.

# %% tags=["hide-output"]
short = "epoch {epoch:2d}   loss {loss:.4f}   train {train_accuracy:.4f}   val {val_accuracy:.4f}"
deepest = [f"plain {depths[-1]}", f"ResNet {depths[-1]}"]
networks, histories = {}, {}
for name in makers:
    for seed in seeds if name in deepest else seeds[:1]:
        print(f"{name}, seed {seed}")
        networks[name, seed], histories[name, seed] = train(name, seed, line=short)

# %%
def last(name, metric="val_accuracy", seed=seeds[0]):
    """Return a metric after the last epoch."""
    return histories[name, seed][metric][-1]


def compare(*names):
    """Draw the accuracy on training and on validation images, network beside network."""
    keys = {"accuracy": "train_accuracy", "val_accuracy": "val_accuracy"}
    return plots.learning_curves(
        {name: {new: histories[name, seeds[0]][old] for new, old in keys.items()}
         for name in names}, keys=("accuracy",))


def points(difference):
    """Return a difference of accuracies in points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", "\N{MINUS SIGN}")


trained = networks[deepest[1], seeds[0]].get_weights()  # we shall look at this network later
plain_names = [f"plain {depth}" for depth in depths]
resnet_names = [f"ResNet {depth}" for depth in depths]
for name in makers:
    print(f"{name:<10} training images {last(name, 'train_accuracy'):.4f}   "
          f"validation images {last(name):.4f}")

# %% tags=["hide-cell"]
for name in makers:
    key = name.replace(" ", "_")
    record(f"val_accuracy_{key}", last(name))
    record(f"train_accuracy_{key}", last(name, "train_accuracy"))
    record(f"train_loss_{key}", last(name, "train_loss"))
    record(f"gap_{key}", f"{100 * (last(name, 'train_accuracy') - last(name)):.1f}".replace(
        "-", "\N{MINUS SIGN}"))
for kind in ("plain", "ResNet"):
    for shallow, deep in zip(depths, depths[1:], strict=False):
        for part in ("train", "val"):
            change = last(f"{kind} {deep}", f"{part}_accuracy")
            change -= last(f"{kind} {shallow}", f"{part}_accuracy")
            record(f"{kind}_{part}_{shallow}_{deep}", points(change))
for part in ("train", "val"):
    for depth in depths:
        change = last(f"ResNet {depth}", f"{part}_accuracy")
        change -= last(f"plain {depth}", f"{part}_accuracy")
        record(f"path_{part}_{depth}", points(change))

# %% [markdown]
# ## Does it get worse?
#
# First the plain networks. The deeper ones contain the shallower one, if their added layers copy.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of the plain networks over the epochs, a line for each depth on training images and, dotted, one on validation images."}}
compare(*plain_names)

# %% [markdown]
# On the images that they were trained on, 20 layers in place of 8 change the accuracy by
# {glue:text}`plain_train_8_20` points, and 32 in place of 20 by {glue:text}`plain_train_20_32`. On
# the validation images: {glue:text}`plain_val_8_20` and {glue:text}`plain_val_20_32`.
#
# Which of the two pairs answers our question? The first. A network that learns by heart is good on
# its training images and bad on others. That is a gap, and no argument against depth. A network
# that is worse *on its training images* was not able to do what a smaller one could. Where the
# first pair has a minus, depth has begun to harm the learning itself.
#
# ## How much reaches each layer?
#
# Suspect number one has an old name: the gradient *vanishes*. To learn, a layer must be told which
# way to go. The message comes from the loss at the far end, and each layer on its way multiplies
# it by something. Thirty factors of a half make a billionth.
#
# So measure it: the norm of the gradient of each layer's kernel, for one batch. How does one get a
# gradient without `GradientTape`? Take one step of plain gradient descent, and look how far each
# weight has moved. The step is the gradient times the step size. (We let the step size be large,
# so that the move is not lost in rounding, and take the step with a copy.)

# %%
def gradient_norms(model, rate=1000.0):
    """Return the norm of the gradient of each kernel, from the image to the classes."""
    probe = keras.models.clone_model(model)
    probe.set_weights(model.get_weights())
    probe.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", run_eagerly=True)
    kernels = [v for v in probe.trainable_variables if v.path.endswith("kernel")]
    before = [keras.ops.convert_to_numpy(kernel).copy() for kernel in kernels]
    probe.train_on_batch(x_train[:batch_size], y_train[:batch_size])
    after = [keras.ops.convert_to_numpy(kernel) for kernel in kernels]
    return [float(np.linalg.norm(b - a) / rate) for a, b in zip(after, before, strict=True)]

# %% [markdown]
# We look twice: before the first step, and after {glue:text}`n_steps` steps of training. These
# steps are timed, and the fastest counts: whatever else goes on in a computer can only make a step
# longer. AlexNet and VGG are timed too, for the table at the end.

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


def from_the_start(name):
    """Return a network that was trained above, as it was before its first step."""
    model = networks[name, seeds[0]]
    model.set_weights(compiled(name, seeds[0]).get_weights())
    for variable in model.optimizer.variables:
        variable.assign(keras.ops.zeros(variable.shape, variable.dtype))
    return model

# %%
def timed_steps(model):
    ("Train for n_steps steps; return the seconds of the fastest, "
     "and what others took of the CPU.")
    rows = np.arange(n_steps * batch_size) % len(x_train)
    watch, clocks = Stopwatch(), recording.cpu_snapshot()
    model.fit(x_train[rows], y_train[rows], batch_size=batch_size, verbose=0, callbacks=[watch])
    return min(watch.seconds), recording.others_share(clocks)


at_start, later, seconds, busy = {}, {}, {}, {}
for name in makers:
    model = from_the_start(name)
    at_start[name] = gradient_norms(model)
    seconds[name], busy[name] = timed_steps(model)
    later[name] = gradient_norms(model)
    print(f"{name:<10} first layer {at_start[name][0]:7.3f}   last but one "
          f"{at_start[name][-2]:7.3f}   after {n_steps} steps {later[name][0]:7.3f} "
          f"{later[name][-2]:7.3f}")

# %% tags=["hide-cell"]
record("n_steps", n_steps)
for name in (*plain_names, *resnet_names):
    for when, norms in (("start", at_start[name]), ("later", later[name])):
        record(f"gradient_ratio_{when}_{name.replace(' ', '_')}", norms[0] / norms[-2])
for kind in ("plain", "ResNet"):
    norms = at_start[f"{kind} {depths[-1]}"]
    record(f"gradient_factor_{kind}", (norms[0] / norms[-2]) ** (1 / (len(norms) - 2)))

# %% tags=["hide-input"]
def draw_gradients(names):
    """Draw the gradient norms layer by layer, at the start and after some steps."""
    fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.8), sharey=True)
    looks = ("at the start", at_start), (f"after {n_steps} steps", later)
    every = [norm for _, norms in looks for found in norms.values() for norm in found]
    for axis, (title, norms) in zip(axes, looks, strict=True):
        for name, colour, mark in zip(names, ("blue", "vermillion", "green"), "os^", strict=False):
            axis.plot(np.arange(1, len(norms[name]) + 1), norms[name], marker=mark,
                      markersize=4, color=plots.COLOURS[colour], label=name)
        axis.set(title=title, xlabel="layer, from the image", yscale="log",
                 ylim=(0.7 * min(every), 1.4 * max(every)))
        axis.grid(axis="y")
    axes[0].set_ylabel("norm of the gradient")
    axes[1].legend()
    return plots.finish(fig)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Norm of the gradient by layer for the plain networks, at the start and after some steps, on a logarithmic axis. At the start it rises towards the image in the two deeper networks, most of all in the deepest."}}
draw_gradients(plain_names)

# %% [markdown]
# (The last point of each line is the dense layer of the ten classes, the one before it the last
# convolution.)
#
# Now that is not what the old name promised. At the start, nothing vanishes. With BatchNorm behind
# each convolution, the gradient *grows* on its way back: in the plain network of 32 layers, the
# first layer's is {glue:text}`gradient_ratio_start_plain_32:.1f` times that of the last
# convolution. That is a factor of {glue:text}`gradient_factor_plain:.2f` a layer.
# {cite:t}`yang2019mean` derive such a growth from the normalisation itself.
#
# It is harmless for a few layers, and it is not for many, since all layers have to live with one
# step size. If that suits the last layers, it throws the first ones about.
#
# Compare the right panel with the left. After {glue:text}`n_steps` steps the ratio is
# {glue:text}`gradient_ratio_later_plain_32:.1f`: the start is one moment, and training moves on
# from it.
#
# ## The path, measured
#
# Before you look at the same picture for the residual networks: what does the sum $x + f(x)$ do to
# the gradient on its way back?
#
# :::{dropdown} Work it out
# Where the ReLU is open, the derivative of $x + f(x)$ is $1 + f'(x)$. Whatever $f'$ does to the
# message, an unchanged copy of it goes past, through the 1. Over fifteen pairs, the product of
# fifteen such sums contains a 1 as well: one copy reaches the first layer as it left the last.
# :::

# %% tags=["hide-input"] mystnb={"image": {"alt": "Norm of the gradient by layer for the residual networks, at the start and after some steps, on the same axis as before. At the start the lines lie closer together than those of the plain networks, and rise less towards the image."}}
draw_gradients(resnet_names)

# %% [markdown]
# With the path, the ratio of the first layer to the last convolution is
# {glue:text}`gradient_ratio_start_ResNet_32:.1f` at 32 layers, where it was
# {glue:text}`gradient_ratio_start_plain_32:.1f` without; a factor of
# {glue:text}`gradient_factor_ResNet:.2f` a layer in place of
# {glue:text}`gradient_factor_plain:.2f`. The axis is the same as above, so that the two pictures
# can be laid side by side.
#
# Did it help the learning?

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of the residual networks over the epochs, a line for each depth on training images and, dotted, one on validation images."}}
compare(*resnet_names)

# %% [markdown]
# | layers | plain: training | residual: training | the path, in points | plain: validation | residual: validation | the path, in points |
# |---|---|---|---|---|---|---|
# | 8 | {glue:text}`train_accuracy_plain_8:.3f` | {glue:text}`train_accuracy_ResNet_8:.3f` | {glue:text}`path_train_8` | {glue:text}`val_accuracy_plain_8:.3f` | {glue:text}`val_accuracy_ResNet_8:.3f` | {glue:text}`path_val_8` |
# | 20 | {glue:text}`train_accuracy_plain_20:.3f` | {glue:text}`train_accuracy_ResNet_20:.3f` | {glue:text}`path_train_20` | {glue:text}`val_accuracy_plain_20:.3f` | {glue:text}`val_accuracy_ResNet_20:.3f` | {glue:text}`path_val_20` |
# | 32 | {glue:text}`train_accuracy_plain_32:.3f` | {glue:text}`train_accuracy_ResNet_32:.3f` | {glue:text}`path_train_32` | {glue:text}`val_accuracy_plain_32:.3f` | {glue:text}`val_accuracy_ResNet_32:.3f` | {glue:text}`path_val_32` |
#
# Read the fourth column from top to bottom. It is what one line of code is worth at 8, at 20 and
# at 32 layers, with not one parameter more. If the path cures an illness of depth, its worth must
# grow downwards.
#
# From 20 to 32 layers, the residual network changes by {glue:text}`ResNet_train_20_32` points on
# the training images, the plain one by {glue:text}`plain_train_20_32`.
#
# How firm is that? The two deepest networks were trained from more than one seed.

# %%
by_seed = {name: [last(name, "train_accuracy", seed) for seed in seeds] for name in deepest}
for name, values in by_seed.items():
    print(f"{name:<10} training images, by seed:", "  ".join(f"{v:.4f}" for v in values))
apart = np.mean(by_seed[deepest[1]]) - np.mean(by_seed[deepest[0]])
within = max(np.ptp(values) for values in by_seed.values())
print(f"between the two: {apart:.4f}; between two seeds of one: {within:.4f} at most")

# %% tags=["hide-cell"]
record("path_over_seeds", points(apart))
record("within_seeds", f"{100 * within:.1f}")
record("n_seeds", len(seeds))
record("path_is_firm", "larger" if abs(apart) > within else "not larger")

# %% [markdown]
# Over {glue:text}`n_seeds` seeds the path is worth {glue:text}`path_over_seeds` points at 32
# layers. Two seeds of one and the same network lie up to {glue:text}`within_seeds` points apart.
# The first number is {glue:text}`path_is_firm` than the second. All other comparisons on this page
# rest on one run each: a difference of that second size in them means nothing.
#
# ## Two other cures
#
# The gradient did not vanish because we had cured it beforehand, twice: by He's rule and by
# BatchNorm. What did the people before them see? Take both away, then give them back one at a
# time. The network is the plain one of {glue:text}`deep_layers` layers, untrained.

# %%
def untrained(initializer=None):
    """Measure the plain network without BatchNorm, with an initialiser for all layers."""
    model = stacked(depths[-1], identity=False, norm=False)
    for layer in model.layers:
        if initializer and hasattr(layer, "kernel_initializer"):
            layer.kernel_initializer = initializer
    return gradient_norms(training.draw_weights(model, seeds[0]), rate=1e6)


bare = {
    "Keras's own start, not normalised": untrained(keras.initializers.GlorotUniform()),
    "He's start, not normalised": untrained(),
    "He's start, normalised": at_start[deepest[0]],
    "the same, with the path": at_start[deepest[1]],
}
for title, norms in bare.items():
    print(f"{title:<34} first layer {norms[0]:.1e}   last convolution {norms[-2]:.1e}")

# %% tags=["hide-cell"]
record("deep_layers", depths[-1])
bare_first, he_first = (norms[0] for norms in list(bare.values())[:2])
exponent = int(np.floor(np.log10(bare_first)))
record("bare_first", f"{bare_first / 10**exponent:.0f} x 10" + str(exponent).translate(
    str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")))
record("he_first", f"{he_first:.2g}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Norm of the gradient by layer for four untrained networks of one depth, on a logarithmic axis. Keras's own start without normalisation lies orders of magnitude below the others; He's start is near one; normalised, the line rises towards the image; with the path it is nearly level."}}
fig, axis = plt.subplots(figsize=(6.4, 4.4))
looks = zip(bare.items(), ("purple", "orange", "blue", "green"), "Dvo^", strict=True)
for (title, norms), colour, mark in looks:
    axis.plot(np.arange(1, len(norms) + 1), norms, marker=mark, markersize=4,
              color=plots.COLOURS[colour], label=title)
axis.set(xlabel="layer, from the image", ylabel="norm of the gradient", yscale="log")
axis.grid(axis="y")
fig.legend(loc="outside lower center", ncols=1)
plots.finish(fig)

# %% [markdown]
# There it is, in the lowest line: the gradient of old. Keras's own rule
# {cite:p}`glorot2010understanding` is made for units without ReLU. With ReLU, half of the signal
# is lost in each layer, and over {glue:text}`deep_layers` layers the first layer is left with a
# gradient of {glue:text}`bare_first`. One number in the initialiser brings it back to
# {glue:text}`he_first`.
#
# Look at the shape of that line, too. The old story has the first layers starve and the last ones
# learn. Here all of them starve alike. A kernel's gradient is a product of two things: the message
# that comes back from the loss, and the numbers that came forward to this layer. The message is
# weakest near the image. The numbers are weakest near the classes.
#
# So the story has three steps. He's start and BatchNorm took away the vanishing. What was left,
# with the gradient alive and well in every layer, is what the plain networks above show. The path
# is the answer to *that*.
#
# ## The bill
#
# | | parameters | million multiply-adds | spent, 10¹⁵ | seconds an epoch, in the training run | here | training | validation |
# |---|---|---|---|---|---|---|---|
# | AlexNet | {glue:text}`n_parameters_AlexNet:,d` | {glue:text}`millions_AlexNet` | {glue:text}`spent_AlexNet` | {glue:text}`pace_AlexNet` | {glue:text}`here_AlexNet` | {glue:text}`train_accuracy_AlexNet:.3f` | {glue:text}`val_accuracy_AlexNet:.3f` |
# | VGG | {glue:text}`n_parameters_VGG:,d` | {glue:text}`millions_VGG` | {glue:text}`spent_VGG` | {glue:text}`pace_VGG` | {glue:text}`here_VGG` | {glue:text}`train_accuracy_VGG:.3f` | {glue:text}`val_accuracy_VGG:.3f` |
# | plain 8 | {glue:text}`n_parameters_plain_8:,d` | {glue:text}`millions_plain_8` | {glue:text}`spent_plain_8` | {glue:text}`pace_plain_8` | {glue:text}`here_plain_8` | {glue:text}`train_accuracy_plain_8:.3f` | {glue:text}`val_accuracy_plain_8:.3f` |
# | plain 20 | {glue:text}`n_parameters_plain_20:,d` | {glue:text}`millions_plain_20` | {glue:text}`spent_plain_20` | {glue:text}`pace_plain_20` | {glue:text}`here_plain_20` | {glue:text}`train_accuracy_plain_20:.3f` | {glue:text}`val_accuracy_plain_20:.3f` |
# | plain 32 | {glue:text}`n_parameters_plain_32:,d` | {glue:text}`millions_plain_32` | {glue:text}`spent_plain_32` | {glue:text}`pace_plain_32` | {glue:text}`here_plain_32` | {glue:text}`train_accuracy_plain_32:.3f` | {glue:text}`val_accuracy_plain_32:.3f` |
# | ResNet 8 | {glue:text}`n_parameters_ResNet_8:,d` | {glue:text}`millions_ResNet_8` | {glue:text}`spent_ResNet_8` | {glue:text}`pace_ResNet_8` | {glue:text}`here_ResNet_8` | {glue:text}`train_accuracy_ResNet_8:.3f` | {glue:text}`val_accuracy_ResNet_8:.3f` |
# | ResNet 20 | {glue:text}`n_parameters_ResNet_20:,d` | {glue:text}`millions_ResNet_20` | {glue:text}`spent_ResNet_20` | {glue:text}`pace_ResNet_20` | {glue:text}`here_ResNet_20` | {glue:text}`train_accuracy_ResNet_20:.3f` | {glue:text}`val_accuracy_ResNet_20:.3f` |
# | ResNet 32 | {glue:text}`n_parameters_ResNet_32:,d` | {glue:text}`millions_ResNet_32` | {glue:text}`spent_ResNet_32` | {glue:text}`pace_ResNet_32` | {glue:text}`here_ResNet_32` | {glue:text}`train_accuracy_ResNet_32:.3f` | {glue:text}`val_accuracy_ResNet_32:.3f` |

# %% tags=["hide-cell"]
here, steps_per_epoch = {}, -(-len(x_train) // batch_size)
for name in makers:
    key, model = name.replace(" ", "_"), networks[name, seeds[0]]
    count = sum(n for _, n in multiply_adds(model))
    record(f"n_parameters_{key}", model.count_params())
    record(f"multiply_adds_{key}", count)
    record(f"millions_{key}", f"{count / 1e6:.1f}")
    record(f"spent_{key}", f"{3 * count * len(x_train) * n_epochs / 1e15:.2g}")
    here[name] = seconds[name] * steps_per_epoch
    calm = busy[name] is not None and busy[name] < recording.QUIET_SHARE
    record(f"here_{key}", f"{here[name]:.0f}" if calm else "not measured")
    recorded = histories[name, seeds[0]].seconds_per_epoch
    record(f"pace_{key}", "not measured" if recorded is None else f"{recorded:.1f}")
each = {name: here[name] / sum(n for _, n in multiply_adds(networks[name, seeds[0]]))
        for name in ("AlexNet", deepest[1])}
record("slowness", f"{each[deepest[1]] / each['AlexNet']:.1f}")

# %% [markdown]
# *Spent* is the arithmetic of the whole training, in units of 10¹⁵ multiply-adds: those of one
# image, times {glue:text}`n_train:,d` images, times {glue:text}`n_epochs` epochs, times three,
# since the way back costs about two times the way forward. This is what the equal budget left
# unequal.
#
# There are two columns of seconds. The first is from the log of the training run, on the machine
# that the box below names for it, and holds the evaluation after each epoch as well. The second
# was measured where this page was computed: the fastest of {glue:text}`n_steps` steps, times the
# steps of an epoch.
#
# Do the seconds follow the multiply-adds? Where this page was computed, the deepest ResNet took
# {glue:text}`slowness` times as long *for each multiply-add* as AlexNet. What is not counted takes
# time as well: normalising, adding, and fetching and storing the maps. In a narrow and deep
# network there is much of that for each multiplication.
#
# ## The envelopes
#
# Which of the famous three would we take? The rule was made beforehand: the highest validation
# accuracy after the last epoch, among AlexNet, VGG and the deepest ResNet. Then we open the
# envelopes.

# %%
famous = ["AlexNet", "VGG", deepest[1]]
ranked = sorted(famous, key=last, reverse=True)
for name in ranked:
    print(f"{name:<10} validation {last(name):.4f}")
print("chosen:", ranked[0])
for name in makers:
    tested = [histories[name, seed].epochs[-1]["test_accuracy"] for seed in seeds
              if (name, seed) in histories]
    print(f"{name:<10} test, by seed: ", "  ".join(f"{value:.4f}" for value in tested))

# %% tags=["hide-cell"]
record("chosen", ranked[0])
record("ranking", ", ".join(ranked))
record("n_all_steps", n_epochs * steps_per_epoch)
record("lead", f"{100 * (last(ranked[0]) - last(ranked[1])):.1f}")
for name in makers:
    tested = [histories[name, seed].epochs[-1]["test_accuracy"] for seed in seeds
              if (name, seed) in histories]
    record(f"test_accuracy_{name.replace(' ', '_')}", float(np.mean(tested)))
record("test_accuracy", histories[ranked[0], seeds[0]].epochs[-1]["test_accuracy"])
record("val_minus_test", points(last(ranked[0])
                                - histories[ranked[0], seeds[0]].epochs[-1]["test_accuracy"]))
record("test_accuracy_by_seed", [histories[deepest[1], seed].epochs[-1]["test_accuracy"]
                                 for seed in seeds])

# %% [markdown]
# The ranking on the validation images is {glue:text}`ranking`, with a lead of {glue:text}`lead`
# points of the first over the second. Hold that against the {glue:text}`within_seeds` points from
# above. {glue:text}`chosen` has a test accuracy of {glue:text}`test_accuracy:.4f`; its validation
# accuracy differs from that by {glue:text}`val_minus_test` points.
#
# Does your ranking agree? If it does not, look for the reason in the table: in the arithmetic
# spent, in the gap between training and validation, or in the step size that all had to share.
#
# He et al. report 0.9125 for their network of 20 layers and 0.9249 for the one of 32, after 64,000
# steps with shifted and mirrored images. Ours had {glue:text}`n_all_steps:,d`, and mirrors only. A
# short budget is a question of its own, and may have another answer than a long one.
#
# ## What the network saw
#
# We look into the deepest ResNet, whatever its rank: its path is what this chapter is about.

# %% tags=["hide-output"]
def train_the_deepest():
    """Return the deepest residual network as it was trained above, or as its checkpoint has it."""
    if histories[deepest[1], seeds[0]].n_restored:  # perhaps from its log, which has no weights
        return train(deepest[1], seeds[0], line=short, history_only=False)[0]
    networks[deepest[1], seeds[0]].set_weights(trained)
    return networks[deepest[1], seeds[0]]


model = training.train_or_load("cifar10_resnet", train_the_deepest, prefer=prefer)
class_names = dataset.class_names
chances = model.predict(x_test, batch_size=500, verbose=0)
predicted = chances.argmax(axis=1)

# %% mystnb={"image": {"alt": "Sixteen kernels of 3 x 3 cells in colour, each scaled to its own largest weight: edges between light and dark, and oppositions of two colours."}}
first = next(layer for layer in model.layers if isinstance(layer, layers.Conv2D))
kernels = np.moveaxis(first.get_weights()[0], 3, 0)
largest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
plots.image_row(list(0.5 + 0.5 * kernels / largest), n_cols=8)

# %% [markdown]
# Sixteen kernels in the first layer, middle grey for zero. Everything that the network will ever
# know about an image has to pass through these sixteen.
#
# ## Take a block out
#
# Here is an operation that no network before 2015 would survive. Take a trained network, and
# remove two of its layers. In AlexNet or VGG, what comes behind them would get numbers that it has
# never seen.
#
# In a ResNet the path remains. Set the two learned numbers of a block's last BatchNorm to zero,
# and $f(x)$ is zero: the block hands on $x$, as if it were not there. Guess: of the accuracy, how
# much will be left when one of the fifteen blocks is gone? Which block will be missed most?

# %%
def right_without(model, block):
    """Return the accuracy on some test images when one block hands on its input."""
    adds = [layer for layer in model.layers if isinstance(layer, layers.Add)]
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    removed = norms[2 * block + 2] if block < len(adds) else None
    if removed is not None:
        kept = removed.get_weights()
        removed.set_weights([0 * kept[0], 0 * kept[1], *kept[2:]])
    answers = model.predict(x_test[:n_looks], batch_size=500, verbose=0).argmax(axis=1)
    if removed is not None:
        removed.set_weights(kept)
    return float(np.mean(answers == y_test[:n_looks]))


n_blocks = sum(isinstance(layer, layers.Add) for layer in model.layers)
lesions = [right_without(model, block) for block in range(n_blocks)]
whole = right_without(model, n_blocks)
print(f"whole: {whole:.3f}; without block " + ", ".join(
    f"{block + 1}: {value:.3f}" for block, value in enumerate(lesions)))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of the residual network with one block removed, a bar for each block, and a dashed line for the whole network. Most bars end a little below the line; the first two and the eleventh are the shortest."}}
fig, axis = plt.subplots(figsize=(6.4, 3.4))
axis.bar(np.arange(1, n_blocks + 1), lesions, color=plots.COLOURS["pale sky"],
         edgecolor=plots.COLOURS["blue"])
axis.axhline(whole, color=plots.COLOURS["ink"], linewidth=1.5, linestyle=(0, (4, 3)))
axis.text(n_blocks + 0.5, whole, "whole", ha="right", va="bottom", fontsize=12)
axis.set(xlabel="block taken out", ylabel="accuracy", ylim=(0, 1))
plots.finish(fig)

# %% tags=["hide-cell"]
order = np.argsort(lesions)
record("n_looks", n_looks)
record("n_blocks", n_blocks)
record("whole_percent", 100 * whole)
record("typical_lesion_percent", 100 * float(np.median(lesions)))
record("worst_block", int(order[0]) + 1)
record("worst_lesion_percent", 100 * float(min(lesions)))

# %% [markdown]
# Whole, the network names {glue:text}`whole_percent:.0f` % of the first {glue:text}`n_looks` test
# images. With one block gone, the middle one of the {glue:text}`n_blocks` results is
# {glue:text}`typical_lesion_percent:.0f` %. Block {glue:text}`worst_block` is missed most:
# {glue:text}`worst_lesion_percent:.0f` % are left without it. Blocks 6 and 11 are those that halve
# the side.
#
# {cite:t}`veit2016residual` found this in networks of over a hundred layers, and drew a conclusion
# that turns the picture round. A network of fifteen blocks holds $2^{15}$ ways from the image to
# the answer, since each block can be gone through or round. Most ways go through seven or eight
# blocks. Taking one block out closes half of the ways and leaves the other half. Perhaps a ResNet
# is less one deep network than a crowd of shallower ones.
#
# ## What it takes for what

# %% mystnb={"image": {"alt": "Confusion matrix of the ten classes on the test set, rows for the truth and columns for the prediction, counts written in. The darkest mistakes lie among the animals."}}
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
record("n_certain_mistakes", int(((predicted != y_test) & (chances.max(axis=1) > 0.99)).sum()))
record("hardest_class", class_names[int(recall.argmin())])
record("hardest_percent", 100 * float(recall.min()))

# %% [markdown]
# The pair that it confuses most is {glue:text}`pair`: {glue:text}`pair_count` of its
# {glue:text}`n_mistakes` mistakes. The hardest class is {glue:text}`hardest_class`, with
# {glue:text}`hardest_percent:.0f` % found. {glue:text}`n_certain_mistakes` mistakes were made with
# more than 99 % certainty. Lay the matrix beside that of {doc}`08_deeper`. A better shape makes
# fewer mistakes. Does it make *other* ones?
#
# ## Exercises
#
# **1. Warm-up.** Without running anything: how many weights has the first convolution of AlexNet's
# original, with 96 kernels of 11 x 11 on three colours? And ours, with its biases?
#
# :::{dropdown} Hint
# $(k^2 c_{\text{in}} + 1)\, c_{\text{out}}$ with biases, without them the 1 falls away.
# :::
#
# :::{dropdown} Solution
# 11 x 11 x 3 x 96 = 34,848 weights. Ours: (5 x 5 x 3 + 1) x 48 = 3,648 parameters. The cell below
# asks Keras.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
ours = next(layer for layer in shapes["AlexNet"].layers if isinstance(layer, layers.Conv2D))
print(f"{11 * 11 * 3 * 96:,} weights; ours: {ours.count_params():,} parameters")
assert ours.count_params() == 3_648

# %% [markdown]
# **2.** Count the weights of the kernels of a ResNet of $6n + 2$ layers as a formula in $n$. What
# does one more pair in each stage cost? Why do all three stages cost the same arithmetic?
#
# :::{dropdown} Hint
# A pair with $c$ maps has $2 \cdot 9 c^2$ weights. From stage to stage $c$ doubles and the side
# halves.
# :::
#
# :::{dropdown} Solution
# One more pair each: 2 x 9 x (16² + 32² + 64²) = 96,768 weights. In all 96,768 n − 22,608: the
# first pair of stages two and three reads half as many maps, which saves 9 x (16 x 32 + 32 x 64) =
# 23,040, and the first convolution, with 432, comes on top. Twice the maps mean four times the
# weights, and half the side a quarter of the places. See the cell below.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
for n in (1, 3, 5):
    weights = [layer.kernel.shape for layer, _ in multiply_adds(shapes[f"ResNet {6 * n + 2}"])]
    in_convolutions = sum(int(np.prod(shape)) for shape in weights[:-1])
    print(f"{6 * n + 2:2d} layers: {in_convolutions:,} weights in convolutions")
    assert in_convolutions == 96_768 * n - 22_608

# %% [markdown]
# **3.** Show that a block whose last BatchNorm scales and shifts by zero hands on its input
# exactly, to the last bit, although there is a ReLU behind the sum. Why does the ReLU do no harm?
#
# :::{dropdown} Hint
# What went into the block has come out of a ReLU.
# :::
#
# :::{dropdown} Solution
# The input of a block is the output of a ReLU, so it is not negative, and a second ReLU leaves it
# alone. The cell below compares both sides of the second block of an untrained network.
# :::

# %% tags=["hide-cell"]
small = stacked(14, identity=True)
norms = [layer for layer in small.layers if isinstance(layer, layers.BatchNormalization)]
adds = [layer for layer in small.layers if isinstance(layer, layers.Add)]
norms[4].set_weights([0 * w for w in norms[4].get_weights()[:2]] + norms[4].get_weights()[2:])
relu = next(layer for layer in small.layers
            if isinstance(layer, layers.ReLU) and layer.input is adds[1].output)
both = keras.Model(small.inputs[0], [adds[1].input[1], relu.output])
before, after = (keras.ops.convert_to_numpy(out) for out in both(x_test[:10]))
print("the same, to the last bit:", np.array_equal(before, after))
assert np.array_equal(before, after) and before.any()

# %% [markdown]
# **4.** Give the path to a network that has no BatchNorm. Is the gradient at the start still
# level? And what happens on the way forward?
#
# :::{dropdown} Hint
# `stacked(depth, identity=True, norm=False)`, and `gradient_norms`. For the way forward, look at
# the loss of the untrained network, where guessing has ln 10 = 2.3.
# :::
#
# :::{dropdown} Solution
# See the cell below. Each block adds to what is there, and no one divides: the numbers grow from
# block to block, the loss of the untrained network is far above 2.3, and the gradients are large
# in every layer. The path keeps the message alive. It does not keep it small. That is what
# BatchNorm is for in a ResNet.
# :::

# %% tags=["hide-cell"]
keras.utils.set_random_seed(seeds[0])
unnormalised = training.draw_weights(stacked(depths[-1], identity=True, norm=False), seeds[0])
norms = gradient_norms(unnormalised)
unnormalised.compile(loss="sparse_categorical_crossentropy", run_eagerly=True)
loss = unnormalised.evaluate(x_train[:batch_size], y_train[:batch_size], verbose=0)
print(f"loss {loss:.1f}; gradient of the first layer {norms[0]:.2g}, "
      f"of the last convolution {norms[-2]:.2g}")

# %% [markdown]
# **5. Open-ended.** Take one idea of one of the three and put it into another: the path into VGG,
# BatchNorm into AlexNet, averaging in place of VGG's dense layers. Say beforehand what you expect,
# and at which budget. Train it with the others' rules.
#
# :::{dropdown} Hint
# Write your network as a function, put it into `makers["mine"]`, and call `train("mine",
# seeds[0])`.
# :::
#
# :::{dropdown} What to look for
# Your expectation, held against the training *and* the validation accuracy, since an idea can help
# the one and hurt the other. Hold each difference against the {glue:text}`within_seeds` points
# that two seeds of one network lie apart, and put your network's multiply-adds beside its
# accuracy.
# :::
#
# ## Check yourself
#
# **1.** A plain network of 32 layers is worse than one of 20 on the *test* images. Has depth
# harmed its learning?
#
# :::{dropdown} Answer
# That cannot be said from the test images. It may have learned by heart. Only if it is worse on
# its own training images as well was it unable to do what the smaller one could.
# :::
#
# **2.** Why did the plain and the residual network need to have the same parameters?
#
# :::{dropdown} Answer
# So that one thing differs between them. Had the path brought weights along, as a convolution of 1
# x 1 does, a gain could have come from these.
# :::
#
# **3.** With BatchNorm, the gradient of an untrained plain network of 32 layers does not vanish.
# What does it do, and why is that a nuisance?
#
# :::{dropdown} Answer
# It grows on its way back to the image. All layers share one step size, and what suits the last
# ones is too large for the first ones.
# :::
#
# **4.** You set `KERAS_BACKEND` in the third cell of a notebook, after `import keras`. What
# happens?
#
# :::{dropdown} Answer
# Nothing. The backend is chosen once, when Keras is imported. Set the variable before that, or
# restart the kernel.
# :::
#
# **5.** Three networks were trained for 20 epochs each. Is that an equal budget?
#
# :::{dropdown} Answer
# Equal in epochs, and in nothing else. A network with twice the multiply-adds has spent twice the
# arithmetic. Which budget is meant has to be said.
# :::
#
# ## Summary
#
# - AlexNet: LeNet's pattern, made large, with ReLU and dropout. VGG: one small kernel, many times.
#   ResNet: let the input go round, so that doing nothing is easy.
# - At {glue:text}`n_epochs` epochs each, validation accuracy
#   {glue:text}`val_accuracy_AlexNet:.3f`, {glue:text}`val_accuracy_VGG:.3f` and
#   {glue:text}`val_accuracy_ResNet_32:.3f`, for {glue:text}`spent_AlexNet`, {glue:text}`spent_VGG`
#   and {glue:text}`spent_ResNet_32` times 10¹⁵ multiply-adds.
# - Plain networks of 20 and 32 layers reach {glue:text}`train_accuracy_plain_20:.3f` and
#   {glue:text}`train_accuracy_plain_32:.3f` on their own training images; with the path,
#   {glue:text}`train_accuracy_ResNet_20:.3f` and {glue:text}`train_accuracy_ResNet_32:.3f`.
# - The gradient of the untrained plain network does not vanish. With BatchNorm it grows towards
#   the image, {glue:text}`gradient_ratio_start_plain_32:.1f`-fold over 32 layers;
#   {glue:text}`gradient_ratio_start_ResNet_32:.1f`-fold with the path.
# - A trained ResNet survives the loss of a block: {glue:text}`typical_lesion_percent:.0f` % in
#   place of {glue:text}`whole_percent:.0f` %, in the middle.
# - Keras takes its backend from `KERAS_BACKEND`, else from `keras.json`, once, when it is
#   imported.
#
# ## Further reading
#
# - {cite:t}`krizhevsky2012imagenet`, {cite:t}`simonyan2015very`, {cite:t}`he2016deep`: the three.
# - {cite:t}`he2015delving` and {cite:t}`ioffe2015batch`: the two cures that came before the path.
# - {cite:t}`veit2016residual`: the crowd of shallow networks.
# - {cite:t}`yang2019mean`: why a normalised network's gradient grows, derived.
#
# Before this chapter: {doc}`09_augmentation`. The next one, {doc}`11_training_fast`, asks where the
# seconds go. All numbers in one place: {doc}`../pages/results`.
#
# ## How this page was made

# %% tags=["hide-input"]
conditions(dataset)
