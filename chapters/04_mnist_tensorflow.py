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
# # LeNet on MNIST in TensorFlow
#
# **What does training really do?**
#
# By the end of this chapter you will be able to
#
# - write a convolutional network as nothing but variables and functions, and count its parameters
#   before the computer does;
# - say what the loss of an untrained network ought to be, and find out why it is not;
# - take one gradient step by hand, and predict how far the loss will fall;
# - write the training loop, and say what `tf.function` does to it;
# - look inside: kernels that change, maps of a digit, the mistakes that are left;
# - say how much of a test accuracy is luck.
#
# You need {doc}`03_lenet`, where the shapes come from, and the idea of a derivative.
#
# Time to read and to try things out: about two hours. Minutes of computing, all cells, on two CPU
# cores: {glue:text}`minutes`. On a GPU: not measured.

# %% tags=["parameters"]
n_train = None  # images to train on; None: all 55,000
n_valid = None  # images to watch the training with; None: all 5,000
n_test = None  # images for the final test; None: all 10,000
n_epochs = 10  # passes over the training images
batch_size = 100  # images per gradient step
learning_rate = 0.001  # of Adam
seeds = [0, 1, 2]  # one training run for each; they fix the initial weights and the batches
more_seeds = [3, 4, 5]  # further runs, to see how far luck alone carries a result
n_steps = 50  # gradient steps of the first loop, before the training proper
n_timed = 20  # gradient steps in each timing

# %%
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from datasetslib import conditions, imutil, plots, record, training
from datasetslib.mnist import mnist

plots.use_style()
dataset = mnist(n_train=n_train, n_valid=n_valid, n_test=n_test)
dataset.x_layout = imutil.LAYOUT_NHWC
dataset.load_data()
dataset.scaleX()
x_train, y_train = dataset.X_train, dataset.Y_train
x_valid, y_valid = dataset.X_valid, dataset.Y_valid
x_test, y_test = dataset.X_test, dataset.Y_test

# %% [markdown]
# Three piles of digits. We train on the first, watch ourselves with the second, and open the third
# once, at the end. Each image is 28 x 28 numbers between 0 and 1, with an axis of length one for
# its single channel.
#
# ## Nothing but variables
#
# A network is a set of numbers and a rule for using them. In {doc}`03_lenet` you worked out which
# numbers: two convolutions, two dense layers, a kernel and a bias in each. How many are there?
# Write the four products down before you run the cell after next.
#
# We draw them at random, by the recipe whose result we want to reproduce: weights from a normal
# distribution with standard deviation 0.1, biases from one with standard deviation 1.

# %%
def initial_weights(seed):
    """Draw the network's variables: kernels with standard deviation 0.1, biases with 1."""
    shapes = {
        "conv1": (4, 4, 1, 32),  # height, width, channels in, channels out
        "conv2": (4, 4, 32, 64),
        "dense1": (7 * 7 * 64, 1024),  # numbers in, numbers out
        "dense2": (1024, 10),
    }
    generator = tf.random.Generator.from_seed(seed)
    weights = {}
    for layer, shape in shapes.items():
        weights[f"{layer}_kernel"] = tf.Variable(generator.normal(shape, stddev=0.1))
        weights[f"{layer}_bias"] = tf.Variable(generator.normal(shape[-1:], stddev=1.0))
    return weights

# %% [markdown]
# A `tf.Variable` is an array that can be changed in place and that TensorFlow can differentiate
# with respect to. That is all the machinery a network needs.

# %% tags=["nbval-check-output"]
weights = initial_weights(seed=0)
for name, variable in weights.items():
    print(f"{name:<13}  {str(tuple(variable.shape)):<16}  {int(tf.size(variable)):>9,}")

by_code = sum(int(tf.size(variable)) for variable in weights.values())
by_hand = (4 * 4 * 1 + 1) * 32 + (4 * 4 * 32 + 1) * 64 + (3136 + 1) * 1024 + (1024 + 1) * 10
print(f"by code {by_code:,}, by hand {by_hand:,}")
assert by_code == by_hand

# %% tags=["hide-cell"]
record("n_parameters", by_code)

# %% [markdown]
# 544 + 32,832 + 3,212,288 + 10,250 = 3,255,914. If you got 3,255,914 with pencil and paper, you
# know this network.
#
# ## One image, one pass
#
# Take one digit through the network, line by line. Before you run the cell, guess the shape that
# each line prints. The first axis is the number of images, one in our case.

# %% tags=["nbval-check-output"]
image = x_train[:1]
print("image   ", image.shape)

maps = tf.nn.conv2d(image, weights["conv1_kernel"], strides=1, padding="SAME")
maps = tf.nn.relu(maps + weights["conv1_bias"])
print("conv1   ", maps.shape)
maps = tf.nn.max_pool2d(maps, ksize=2, strides=2, padding="SAME")
print("pool1   ", maps.shape)

maps = tf.nn.conv2d(maps, weights["conv2_kernel"], strides=1, padding="SAME")
maps = tf.nn.relu(maps + weights["conv2_bias"])
print("conv2   ", maps.shape)
maps = tf.nn.max_pool2d(maps, ksize=2, strides=2, padding="SAME")
print("pool2   ", maps.shape)

flat = tf.reshape(maps, [-1, 7 * 7 * 64])
print("flatten ", flat.shape)
hidden = tf.nn.relu(flat @ weights["dense1_kernel"] + weights["dense1_bias"])
print("dense1  ", hidden.shape)
logits = hidden @ weights["dense2_kernel"] + weights["dense2_bias"]
print("logits  ", logits.shape)

# %% [markdown]
# Ten numbers come out, one for each class. They are called *logits*: any real numbers, the largest
# one is the answer. There is no softmax here. It sits in the loss, for a reason that
# {doc}`05_mnist_keras` measures.
#
# The same lines, as a function of the weights and of any number of images:

# %%
def lenet(weights, images):
    """Map images of shape (n, 28, 28, 1) to logits of shape (n, 10)."""
    h = tf.nn.conv2d(images, weights["conv1_kernel"], strides=1, padding="SAME")
    h = tf.nn.max_pool2d(tf.nn.relu(h + weights["conv1_bias"]), 2, strides=2, padding="SAME")
    h = tf.nn.conv2d(h, weights["conv2_kernel"], strides=1, padding="SAME")
    h = tf.nn.max_pool2d(tf.nn.relu(h + weights["conv2_bias"]), 2, strides=2, padding="SAME")
    h = tf.reshape(h, [-1, 7 * 7 * 64])
    h = tf.nn.relu(h @ weights["dense1_kernel"] + weights["dense1_bias"])
    return h @ weights["dense2_kernel"] + weights["dense2_bias"]


def mean_loss(weights, images, labels):
    """Return the softmax cross-entropy, averaged over the images."""
    logits = lenet(weights, images)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(losses)

# %% [markdown]
# ## How wrong is a network that knows nothing?
#
# Softmax turns logits $z$ into probabilities, $p_k = e^{z_k} / \sum_j e^{z_j}$. The cross-entropy
# is $-\ln p_k$ for the right class $k$: the network's surprise at being told the answer.
#
# A network that knows nothing should call all ten digits equally likely. Then $p_k = 1/10$, and
# its surprise is $\ln 10 = 2.303$. Guess: what will our untrained network score?

# %%
sample_x, sample_y = x_train[:1000], y_train[:1000]
untrained = float(mean_loss(weights, sample_x, sample_y))
untrained_logits = lenet(weights, sample_x).numpy()
print(f"ln 10                       {np.log(10):10.4f}")
print(f"loss of the untrained net   {untrained:10.4f}")
print(f"spread of its logits        {untrained_logits.std(axis=1).mean():10.4f}")

record("untrained_loss", untrained)
record("untrained_logit_spread", float(untrained_logits.std(axis=1).mean()))

# %% [markdown]
# {glue:text}`untrained_loss:.0f`, where 2.3 was due. The network does not know nothing. It is
# *sure*, and it is sure of nonsense.
#
# The last line of the output says why. For one image, the ten logits differ by about
# {glue:text}`untrained_logit_spread:.0f` from each other. Softmax turns a lead of 10 into odds of
# $e^{10}$, 22,000 to one. So the winner takes everything, and nine times in ten it is the wrong
# winner. The loss is then about the distance between the largest logit and the right one.
#
# And why are the logits so large? Follow the sizes. A dense layer adds up one product for each of
# its inputs. The products are random, so they partly cancel, but a sum of $n$ of them still grows
# like $\sqrt n$. With 3,136 inputs and weights of size 0.1, the first dense layer multiplies by about
# $0.1\sqrt{3136} = 5.6$, less what ReLU takes away. By the same rule, the two convolutions before it
# multiply by 0.4 and 2.3, and the last layer by 3.2.
#
# Is that the explanation? Test it: shrink the logits, and nothing else.

# %%
for scale in (1, 0.1, 0.01, 0.001):
    shrunk = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=sample_y, logits=scale * untrained_logits
    )
    print(f"logits x {scale:<6}   loss {float(tf.reduce_mean(shrunk)):9.4f}")
assert abs(float(tf.reduce_mean(shrunk)) - np.log(10)) < 0.1

# %% [markdown]
# The smaller the logits, the nearer to $\ln 10$. It was the scale of the initial weights, as
# {cite:t}`glorot2010understanding` and {cite:t}`he2015delving` worked out: a layer keeps the size
# of its signal when its weights have a standard deviation near $\sqrt{2/n}$ for $n$ inputs, which
# is 0.025 for our large dense layer and not 0.1.
#
# We keep the 0.1. It is part of the recipe that we reproduce, and it will matter again in
# {doc}`05_mnist_keras`.
#
# :::{admonition} A common misconception
# :class: warning
# "The first loss is whatever it is." It is a free test. A loss far above $\ln 10$ for ten classes
# says that something is off: the initial weights, the scale of the inputs, or a loss that was
# handed probabilities where it wanted logits.
# :::
#
# ## Downhill, one step
#
# The loss is a function of 3,255,914 numbers. Its gradient says, for each of them, how fast the
# loss grows when that number grows. `GradientTape` records the forward pass and walks it
# backwards.

# %%
batch_x, batch_y = x_train[:batch_size], y_train[:batch_size]
with tf.GradientTape() as tape:
    loss = mean_loss(weights, batch_x, batch_y)
gradients = tape.gradient(loss, weights)
for name, gradient in gradients.items():
    print(f"{name:<13}  norm of the gradient {float(tf.norm(gradient)):12.3f}")

# %% [markdown]
# Can we trust it? One of the eight gradients can be written down with a pencil. The loss depends
# on the last bias through the logits alone, and the derivative of the cross-entropy by the logits
# is *probabilities minus truth*. So the gradient by the last bias is the average of that
# difference.

# %%
probabilities = tf.nn.softmax(lenet(weights, batch_x)).numpy()
truth = np.eye(10)[batch_y]
by_hand = (probabilities - truth).mean(axis=0)
by_tape = gradients["dense2_bias"].numpy()
print("by hand ", by_hand.round(4))
print("by tape ", by_tape.round(4))
assert np.linalg.norm(by_hand - by_tape) <= 1e-4 * np.linalg.norm(by_hand)

# %% [markdown]
# They agree. (One entry is close to 1: the untrained network gives nearly every image the same
# name.)
#
# Now take a step against the gradient: every weight $w$ becomes
# $w - \eta\, \partial L / \partial w$. How far should one go? For a small $\eta$ the slope makes a
# promise: the loss falls by $\eta$ times the squared length of the gradient. Guess at which $\eta$
# the promise breaks.

# %%
squared_length = sum(float(tf.reduce_sum(g**2)) for g in gradients.values())
print(f"loss before the step {float(loss):.4f}\n\n      eta   promised   measured")
for eta in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2):
    moved = {name: variable - eta * gradients[name] for name, variable in weights.items()}
    after = float(mean_loss(moved, batch_x, batch_y))
    print(f"{eta:9.0e}  {float(loss) - eta * squared_length:9.3f}  {after:9.3f}")

# %% [markdown]
# At the top of the table the promise is kept. Further down the loss falls, but by less than
# promised. At the bottom it is worse than before: the step has overshot into country that the
# slope at the start knew nothing about. A gradient is a statement about here.
#
# That is all that training is: this step, with a sensible $\eta$, on one small batch after
# another.
#
# ## Adam: a step size for each weight
#
# One $\eta$ for three million weights is crude, since the gradients of the layers differ in size
# by large factors, as you saw. Adam {cite:p}`kingma2015adam` keeps, for each weight, a running
# average of its gradient and one of the gradient's square, and moves by the ratio of the first to
# the root of the second. In its very first step that ratio is $g / |g|$. So we can predict:
# whatever its gradient, each weight moves by the learning rate, or not at all.

# %%
trial = initial_weights(seed=0)
optimizer = keras.optimizers.Adam(learning_rate)
optimizer.apply_gradients((gradients[name], trial[name]) for name in trial)
move = np.concatenate([(trial[n] - weights[n]).numpy().ravel() for n in trial])
steps = np.abs(move) / learning_rate
print(f"moved by 0.99 to 1.01 learning rates: {np.mean(np.abs(steps - 1) < 0.01):7.2%}")
print(f"did not move:                         {np.mean(steps < 0.01):7.2%}")
print(f"loss before {float(loss):.4f}, after {float(mean_loss(trial, batch_x, batch_y)):.4f}")
assert steps.max() < 1.01
assert float(mean_loss(trial, batch_x, batch_y)) < float(loss)

# %% [markdown]
# The weights that did not move belong to units that stayed dark for all images of the batch, or
# read from such units: their gradient is exactly zero. Exercise 4 writes Adam out in six lines.
#
# ## The loop
#
# One step is a function of a batch. We write it once for any optimiser: forward, backward, update.

# %%
def make_step(weights, optimizer):
    """Return a function that takes one gradient step, and returns the loss before it."""
    variables = list(weights.values())
    optimizer.build(variables)

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = mean_loss(weights, images, labels)
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    return step

# %% [markdown]
# And here is the loop in the open, for the first {glue:text}`n_steps` batches: cut a batch, step,
# repeat. Will the loss fall with every step?

# %%
weights = initial_weights(seed=0)
step = make_step(weights, keras.optimizers.Adam(learning_rate))
for k in range(n_steps):
    rows = slice(k * batch_size, (k + 1) * batch_size)
    loss = step(x_train[rows], y_train[rows])
    if k < 5 or (k + 1) % 10 == 0:
        print(f"step {k + 1:3d}   loss {float(loss):9.4f}")
after_a_few = float(mean_loss(weights, sample_x, sample_y))
print(f"loss on the first 1,000 images: {untrained:.4f} before, {after_a_few:.4f} now")
assert after_a_few < untrained
record("n_steps", n_steps)
record("loss_after_a_few", after_a_few)

# %% [markdown]
# {glue:text}`n_steps` steps take the loss from {glue:text}`untrained_loss:.1f` to
# {glue:text}`loss_after_a_few:.1f`, and not in a straight line. Each number belongs to another
# batch, and Adam's first steps, which are as long for a small gradient as for a large one, may
# well overshoot. What counts is the trend: the first thing that training does is to undo the
# damage of the initial weights.
#
# :::{note}
# In books from before 2019 the same loop looks different. There, one first drew a graph:
# `tf.placeholder` for the images and labels, `tf.Variable` for the weights, a node for the loss
# and one for `optimizer.minimize(loss)`. Nothing was computed until a `tf.Session` was opened and
# `session.run(train_op, feed_dict={x: batch_x, y: batch_y})` called. Today a function takes the
# place of the graph, its arguments the place of placeholders, and calling it the place of the
# session.
# :::
#
# ## What tf.function does
#
# The line `@tf.function` above `step` makes TensorFlow run the Python code once, write down the
# operations it meets, and afterwards replay that list without Python. What does this save? Take
# the decoration off, and measure.

# %%
def seconds_per_step(step, n=n_timed):
    """Return the mean wall time of a gradient step, after one step to warm up."""
    step(batch_x, batch_y)
    start = time.perf_counter()
    for _ in range(n):
        loss = step(batch_x, batch_y)
    float(loss)  # waits for the last step to end
    return (time.perf_counter() - start) / n


eager = make_step(initial_weights(0), keras.optimizers.Adam(learning_rate)).python_function
graph = make_step(initial_weights(0), keras.optimizers.Adam(learning_rate))
eager_seconds, graph_seconds = seconds_per_step(eager), seconds_per_step(graph)
print(f"eager  {1000 * eager_seconds:6.1f} ms a step")
print(f"graph  {1000 * graph_seconds:6.1f} ms a step")
record("eager_ms", 1000 * eager_seconds)
record("graph_ms", 1000 * graph_seconds)
record("graph_speedup", eager_seconds / graph_seconds)

# %% [markdown]
# {glue:text}`eager_ms:.0f` ms against {glue:text}`graph_ms:.0f` ms: a factor of
# {glue:text}`graph_speedup:.1f` on this machine. The arithmetic is the same in both. What differs
# is the Python between the operations, and what TensorFlow can rearrange when it sees all of them
# at once. The smaller the layers, the larger the share of Python, and the more is saved.
#
# There is a price. Python inside the function runs while it is being written down, not in later
# calls, so a `print` there speaks once. And each new shape of the arguments is written down anew.
# That is why it pays to cut batches of one size.
#
# ## Where the batches come from
#
# The gradient of a batch of {glue:text}`batch_size` is a rough estimate of the gradient over all
# images {cite:p}`robbins1951stochastic`. It is a fair estimate only if the batch is a fair sample.
# So we shuffle. TensorFlow's tool for feeding data is `tf.data`: a chain of small operations on a
# stream.

# %%
stream = tf.data.Dataset.from_tensor_slices((x_train[:5000], y_train[:5000]))
stream = stream.shuffle(buffer_size=1000, seed=0).batch(batch_size).prefetch(2)
images, labels = next(iter(stream))
print("one batch:", images.shape, images.dtype.name, labels.shape, labels.dtype.name)

record("batch_size", batch_size)

# %% [markdown]
# Read it as a sentence: take the images one by one, shuffle them, put them into batches, and
# prepare two batches ahead while the network is busy. For data that does not fit into memory there
# is no better way.
#
# It has a trap. `shuffle` does not shuffle the stream. It keeps a buffer of `buffer_size` elements
# and draws from that. What happens when the data arrives sorted by class?

# %%
in_order = np.sort(y_train[:2000])
for buffer_size in (1, 200, 2000):
    stream = tf.data.Dataset.from_tensor_slices(in_order).shuffle(buffer_size, seed=0)
    first = np.array(list(stream.take(100).as_numpy_iterator()))
    print(f"buffer {buffer_size:5d}: the first 100 labels by class",
          np.bincount(first, minlength=10))
assert len(np.unique(first)) >= 8

# %% [markdown]
# With a buffer smaller than the data, the first batches see the first classes only. The buffer
# must be as large as the data, or the data well mixed before.
#
# MNIST fits into memory many times over. So we let NumPy draw a fresh order of all the images in
# each epoch, and cut it into pieces. That has a second merit. The order of epoch $i$ follows from
# the seed and from $i$, and from nothing else. A training run that was stopped after epoch 6 can
# go on with epoch 7 as if nothing had happened.
#
# ## Ten epochs
#
# Now the real thing. First, a function that gives the logits of many images, a thousand at a time,
# so that the maps of ten thousand digits need not all be in memory at once.

# %%
def predict(weights, images):
    """Return the logits of any number of images as one NumPy array."""
    return np.concatenate(
        [lenet(weights, images[k : k + 1000]).numpy() for k in range(0, len(images), 1000)]
    )

# %% [markdown]
# `train` draws the weights, says what an epoch is, and hands both to `training.run`. That calls
# `epoch(0)`, `epoch(1)` and so on, prints a line after each, and remembers on disk how far it got,
# if you have named a folder for it in `DATASETSLIB_RUNS`. `train` knows a second optimiser, SGD,
# which {doc}`05_mnist_keras` will need.

# %%
def train(optimiser, learning_rate, seed, line=None):
    """Train the network; return its weights and what was measured after each epoch."""
    weights = initial_weights(seed)
    choices = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    optimizer = choices[optimiser](learning_rate)
    step = make_step(weights, optimizer)

    def epoch(i):  # its batches follow from the seed and i alone
        order = np.random.default_rng([seed, i]).permutation(len(x_train))
        batches = np.split(order, range(batch_size, len(order), batch_size))
        losses = [step(x_train[rows], y_train[rows]) for rows in batches]
        correct = predict(weights, x_valid).argmax(axis=1) == y_valid
        return {"loss": np.mean([float(loss) for loss in losses]), "val_accuracy": correct.mean()}

    key = {"functions": [initial_weights, lenet, mean_loss, make_step, predict, train],
           "numbers": [optimiser, learning_rate, batch_size, seed],
           "data": [x_train, y_train, x_valid, y_valid]}
    history = training.run(
        f"mnist-tensorflow-{optimiser}-seed{seed}", epoch, n_epochs,
        [*weights.values(), *optimizer.variables], key=key, line=line,
        snapshot=lambda: {"kernels": weights["conv1_kernel"].numpy()},
    )
    return weights, history

# %% [markdown]
# The log is in the form in which the run we reproduce printed it, so that you can lay the two side
# by side. It began with `Epoch: 0000   loss = 1.418295` and ended with `Accuracy: 0.9884`.

# %%
stated_line = "Epoch: {index:04d}   loss = {loss:.6f}"
weights, history = train("adam", learning_rate, seeds[0], line=stated_line)
print("Model Trained.")
predicted = predict(weights, x_test).argmax(axis=1)
print(f"Accuracy: {np.mean(predicted == y_test):.4f}")

# %% [markdown]
# The loss of an epoch is the mean over its batches, each taken *before* its own step. So the first
# number still contains the ruinous start, and the later ones look a little worse than the network
# is by the end of the epoch.
#
# One run is an anecdote. Two more, with other initial weights and other batches:

# %%
runs = {seeds[0]: (weights, history)}
for seed in seeds[1:]:
    print(f"seed {seed}")
    runs[seed] = train("adam", learning_rate, seed, line=stated_line)

test_logits = {seed: predict(weights, x_test) for seed, (weights, _) in runs.items()}
accuracies = [float(np.mean(z.argmax(axis=1) == y_test)) for z in test_logits.values()]
losses = [
    float(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y_test, z)))
    for z in test_logits.values()
]
for seed, accuracy, loss in zip(seeds, accuracies, losses, strict=True):
    print(f"seed {seed}: test accuracy {accuracy:.4f}, test loss {loss:.4f}")
assert min(accuracies) > 0.5, "well above the 0.1 of guessing"

# %% tags=["hide-cell"]
histories = [history for _, history in runs.values()]
paces = [history.seconds_per_epoch for history in histories]
spread = float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else 0.0
record("test_accuracy", float(np.mean(accuracies)))
record("test_accuracy_by_seed", accuracies)
record("test_accuracy_spread", spread)
record("test_accuracy_listed", ", ".join(f"{a:.4f}" for a in accuracies))
record("test_loss", float(np.mean(losses)))
record("test_loss_by_seed", losses)
record("first_loss", float(np.mean([h["loss"][0] for h in histories])))
record("last_loss", float(np.mean([h["loss"][-1] for h in histories])))
record("val_accuracy", float(np.mean([h["val_accuracy"][-1] for h in histories])))
record("n_epochs", n_epochs)
record("seconds_per_epoch", None if None in paces else float(np.median(paces)))

# %% mystnb={"image": {"alt": "Two panels over the epochs, one line for each seed. Left: the training loss, steep at first and then flat near zero. Right: the accuracy on the validation images, which rises quickly and then wavers."}}
plots.learning_curves(
    {f"seed {seed}": history.metrics for seed, (_, history) in runs.items()},
    keys=("loss", "val_accuracy"),
)

# %% [markdown]
# The training loss begins at {glue:text}`first_loss:.3f`, averaged over the first epoch and the
# seeds, and ends at {glue:text}`last_loss:.4f`. The stated run went from 1.418 to 0.0103. The
# validation accuracy gains most of its height in the first epoch.
#
# ## How much of 0.9884 is luck?
#
# The stated test accuracy is 0.9884. Ours are {glue:text}`test_accuracy_listed`: on average
# {glue:text}`test_accuracy:.4f`, with a standard deviation of {glue:text}`test_accuracy_spread:.4f`
# from run to run. The author's public notebook shows another draw of the same program: 0.9854.
#
# Same network, same recipe, and a gap of two thousandths to the stated value. Is something wrong
# with ours, or was the stated run lucky? Before you read on, list what could be luck here. We can
# think of three things.
#
# **Which digits are in the test set.** If a network reads each new digit rightly with probability
# $p$, the share it gets right among $n$ digits has a standard error of $\sqrt{p(1-p)/n}$.
#
# **When one stops.** Look at the validation curves again: they waver. The last epoch is no better
# than the ones before it, it happens to be the last.
#
# **The seed.** It decides where the weights start, and in which order the digits come.

# %%
mean = np.mean(accuracies)
standard_error = float(np.sqrt(mean * (1 - mean) / len(y_test)))
wobble = float(np.mean([np.ptp(h["val_accuracy"][-5:]) for h in histories]))
print(f"standard error from {len(y_test):,} test images                   {standard_error:.4f}")
print(f"validation accuracy, highest less lowest of 5 epochs   {wobble:.4f}")
print(f"spread over the seeds (standard deviation)              {spread:.4f}")
record("test_standard_error", standard_error)
record("wobble", wobble)

# %% [markdown]
# Each of the three is a thousandth or more. The accuracy moves by {glue:text}`wobble:.4f` over the
# last five epochs of a run alone.
#
# So three runs are few. Let us take three more, and set all of them beside the two draws that the
# author of the source published.

# %%
everyone = list(accuracies)
for seed in more_seeds:
    more_weights, _ = train("adam", learning_rate, seed, line="")
    everyone.append(float(np.mean(predict(more_weights, x_test).argmax(axis=1) == y_test)))
    print(f"seed {seed}: test accuracy {everyone[-1]:.4f}")
published = [0.9884, 0.9854]
gap = np.mean(everyone) - np.mean(published)
print(f"\nours       {len(everyone)} runs, mean {np.mean(everyone):.4f}")
print(f"published  {len(published)} runs, mean {np.mean(published):.4f}")

# %% tags=["hide-cell"]
record("n_runs", len(everyone))
record("all_accuracies", everyone)
record("all_mean", float(np.mean(everyone)))
record("all_spread", float(np.std(everyone, ddof=1)) if len(everyone) > 1 else 0.0)
record("all_lowest", min(everyone))
record("all_highest", max(everyone))
record("published_mean", float(np.mean(published)))
record("mean_gap", f"{gap:+.4f}".replace("-", "\N{MINUS SIGN}"))

# %% mystnb={"image": {"alt": "Two rows of dots, the test accuracy of our runs and of the two published draws, each with a bar to its mean. The published draws lie 0.003 apart; our runs spread over a similar width."}}
plots.bars_with_spread(
    {f"ours, {len(everyone)} runs": everyone, "published, 2 runs": published},
    "test accuracy", from_zero=False, fmt=".4f",
)

# %% [markdown]
# Our {glue:text}`n_runs` runs reach from {glue:text}`all_lowest:.4f` to
# {glue:text}`all_highest:.4f`, with a mean of {glue:text}`all_mean:.4f` and a standard deviation of
# {glue:text}`all_spread:.4f`. The two published draws have a mean of
# {glue:text}`published_mean:.4f`; ours differs from it by {glue:text}`mean_gap`.
#
# Is that a difference? A mean of two draws that spread as ours do is itself uncertain, by
# {glue:text}`all_spread:.4f` divided by $\sqrt 2$. So there is nothing here that needs a cause. The
# stated 0.9884 is the better of two draws. It lies above all of ours, as one draw in several must.
# Had the author printed the other one, we should now be asking why most of ours are so good.
#
# The third decimal of a single MNIST result is mostly luck, and two networks that differ by two
# thousandths cannot be told apart by one run each.
#
# Luck decides where in this range a run ends. What decides where the range lies? Not the
# optimiser alone: {doc}`05_mnist_keras` starts the same network from smaller weights, trains it
# with the same Adam, and measures what this recipe's start costs.
#
# For two networks tried on the *same* test images one can do better, by looking at the images on
# which they disagree. How many are these?

# %%
wrong = np.array([z.argmax(axis=1) != y_test for z in test_logits.values()])
print(f"wrong, by seed:            {wrong.sum(axis=1)}")
print(f"wrong for every seed:      {wrong.all(axis=0).sum()}")
print(f"wrong for some, not all:   {(wrong.any(axis=0) & ~wrong.all(axis=0)).sum()}")
record("n_wrong_always", int(wrong.all(axis=0).sum()))
record("n_wrong_sometimes", int((wrong.any(axis=0) & ~wrong.all(axis=0)).sum()))

# %% [markdown]
# {glue:text}`n_wrong_always` digits defeat all the runs, and {glue:text}`n_wrong_sometimes` more
# are read rightly by some and wrongly by others. The first group is hard. The second is luck.
#
# ## Sixteen kernels, ten epochs
#
# What did all those steps do to the first layer? `training.run` kept its kernels after each epoch.
# Here are sixteen of the thirty-two, one in each column. Time runs downwards; the last row is what
# was added to the first.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A grid of small 4 x 4 kernels in blue for negative and orange for positive weights: sixteen columns, one for each kernel; a row for the start, one for the end of each epoch, and below, set apart, one for the change from start to end."}}
snapshots = runs[seeds[0]][1].snapshots["kernels"][:, :, :, 0, :16]
rows = [*snapshots, snapshots[-1] - snapshots[0]]
labels = ["start", *map(str, range(1, len(snapshots))), "change"]
tops = [5 * k + (3 if k == len(snapshots) else 0) for k in range(len(rows))]
mosaic = np.full((tops[-1] + 4, 5 * 16 - 1), np.nan)
for top, kernels in zip(tops, rows, strict=True):
    for column in range(16):
        mosaic[top : top + 4, 5 * column : 5 * column + 4] = kernels[:, :, column]
limit = np.abs(snapshots).max()
fig, ax = plt.subplots(figsize=(6.4, 1.0 + 0.37 * len(rows)))
shown = ax.imshow(mosaic, cmap=plots.style.DIVERGING, vmin=-limit, vmax=limit)
ax.set_yticks(np.array(tops) + 1.5, labels)
ax.set_xticks([])
ax.set_ylabel("epoch")
ax.tick_params(length=0)
ax.spines[:].set_visible(False)
fig.colorbar(shown, orientation="horizontal", shrink=0.6, aspect=40, pad=0.03, label="weight")
plots.finish(fig)

# %%
start = runs[seeds[0]][1].snapshots["kernels"][0]
for index in sorted({1, n_epochs // 2, n_epochs} - {0}):
    now = runs[seeds[0]][1].snapshots["kernels"][index]
    moved = np.linalg.norm(now - start) / np.linalg.norm(start)
    pairs = zip(start.reshape(16, 32).T, now.reshape(16, 32).T, strict=True)
    alike = np.mean([np.corrcoef(before, after)[0, 1] for before, after in pairs])
    print(f"after epoch {index:2d}: moved by {moved:5.1%} of their length, correlation {alike:.2f}")
record("kernels_moved_percent", 100 * float(moved))
record("kernels_correlation", float(alike))

# %% [markdown]
# Did you expect edge detectors to emerge from the noise? At the end, the kernels have moved by
# {glue:text}`kernels_moved_percent:.0f` % of their length, and their mean correlation with what
# they were at the start is {glue:text}`kernels_correlation:.2f`. A correlation near 1 means that
# random kernels were kept and adjusted; one near 0, that they were replaced. Random kernels are
# not useless: many of them already react to some direction of stroke, and three million weights
# behind them can learn to use whatever they deliver.
#
# ## What the layers see
#
# Here is one digit of the test set, as the trained network sees it after the first convolution and
# ReLU, and after the second.

# %%
def see(weights, image):
    """Return what both convolutions make of one image: arrays of shape (h, w, maps)."""
    first = tf.nn.conv2d(image[None], weights["conv1_kernel"], 1, "SAME")
    first = tf.nn.relu(first + weights["conv1_bias"])
    pooled = tf.nn.max_pool2d(first, 2, 2, "SAME")
    second = tf.nn.conv2d(pooled, weights["conv2_kernel"], 1, "SAME")
    return first[0].numpy(), tf.nn.relu(second + weights["conv2_bias"])[0].numpy()


weights = runs[seeds[0]][0]
first_maps, second_maps = see(weights, x_test[0])
untrained_maps = see(initial_weights(seeds[0]), x_test[0])
both = {"trained": (first_maps, second_maps), "untrained": untrained_maps}
print(f"label {y_test[0]}; maps that are black all over:")
for name, layers in both.items():
    dark = [int((maps.max(axis=(0, 1)) == 0).sum()) for maps in layers]
    print(f"  {name:9}  {dark[0]} of 32, then {dark[1]} of 64")
    record(f"n_black_first_{name}", dark[0])
    record(f"n_black_second_{name}", dark[1])

# %% tags=["hide-input"] mystnb={"image": {"alt": "Thirty-two grey maps of 28 x 28 pixels: the digit, once with its left rims bright, once with its horizontal strokes, once as its own negative; a few maps are black."}}
plots.feature_maps(first_maps, n_cols=8)

# %% tags=["hide-input"] mystnb={"image": {"alt": "The first thirty-two of the sixty-four maps of the second convolution, 14 x 14 pixels each: bright spots at the ends, corners and crossings of the strokes; the digit as a whole is hard to recognise."}}
plots.feature_maps(second_maps[:, :, :32], n_cols=8)

# %% [markdown]
# In the first layer you still see the digit: each map lights up one side of its strokes, or its
# background. In the second layer the digit dissolves into places: here an end, there a bend. The
# dense layers read these as a list of evidence.
#
# {glue:text}`n_black_first_trained` of the 32 maps are black all over on this digit, and
# {glue:text}`n_black_second_trained` of the 64 after them. Did training do that? Before it, there
# were {glue:text}`n_black_first_untrained` and {glue:text}`n_black_second_untrained`.
#
# So in the first layer it is the work of the biases, which were drawn with standard deviation 1.
# Where a bias is far below zero, no stroke lifts the sum above it, and ReLU passes nothing on. In
# the second layer, training has put out more lights than it lit. A map that is black for every
# image gets no gradient: it has no way back, and the network does without it.
#
# ## What is left

# %% mystnb={"image": {"alt": "Confusion matrix of the ten digits on the test set: nearly all counts lie on the diagonal; the few others are tinted by their share."}}
probabilities = tf.nn.softmax(test_logits[seeds[0]]).numpy()
plots.confusion_matrix(y_test, probabilities.argmax(axis=1), dataset.class_names)

# %% tags=["hide-cell"]
counts = np.zeros((10, 10), int)
np.add.at(counts, (y_test, probabilities.argmax(axis=1)), 1)
np.fill_diagonal(counts, 0)
true, taken_for = np.unravel_index(counts.argmax(), counts.shape)
certain = (probabilities.argmax(axis=1) != y_test) & (probabilities.max(axis=1) > 0.99)
record("worst_pair", f"{true} taken for {taken_for}")
record("worst_pair_count", int(counts.max()))
record("n_mistakes", int(counts.sum()))
record("n_certain_mistakes", int(certain.sum()))

# %% [markdown]
# No mistake is more frequent than {glue:text}`worst_pair`: {glue:text}`worst_pair_count` times. Now
# the one hundred worst, which are those the network was most certain of. Below each, the truth and
# the network's reading. Would you have read them?

# %% mystnb={"image": {"alt": "Up to one hundred misread digits, the most confident mistake first, with the true and the predicted class below each. Many are open loops, missing strokes and slanted ones or sevens that a person would hesitate over; some are plain."}}
plots.mistakes(x_test, y_test, probabilities, dataset.class_names, n=100)

# %% [markdown]
# Be honest: some of these you would have misread too, and a few labels look wrong
# {cite:p}`yadav2019cold`. Others are plain, and the network was sure all the same. Of its
# {glue:text}`n_mistakes` mistakes, it made {glue:text}`n_certain_mistakes` with more than 99 %
# certainty. A softmax output is called a probability because it is positive and adds up to one.
# That does not make it a reliable estimate of being right.
#
# ## Keep it
#
# The trained network is eight arrays. NumPy can store them; a network that reads them back must
# give the same answers. (`tf.train.Checkpoint` does the same for larger programs, and took the
# place of the old `tf.train.Saver`.)

# %%
path = training.model_path("mnist_tensorflow.npz")
np.savez(path, **{name: variable.numpy() for name, variable in weights.items()})

with np.load(path) as stored:
    loaded = {name: tf.Variable(stored[name]) for name in weights}
again = lenet(loaded, x_test[:100]).numpy()
before = lenet(weights, x_test[:100]).numpy()
assert np.linalg.norm(again - before) <= 1e-4 * np.linalg.norm(before)
print(f"{path.stat().st_size / 1e6:.1f} MB; the loaded network gives the same logits")

# %% [markdown]
# ## Exercises
#
# **1. Warm-up.** Three classes, logits 2, 1 and 0, and the right class is the first. What is the
# loss? What is it when the right class is the last?
#
# :::{dropdown} Hint
# $-\ln p_k = -z_k + \ln \sum_j e^{z_j}$.
# :::
#
# :::{dropdown} Solution
# The sum is $e^2 + e + 1 = 11.107$, its logarithm 2.408. So 0.408 for the first class and 2.408
# for the last. The cell below checks it.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
print(tf.nn.sparse_softmax_cross_entropy_with_logits([0, 2], [[2.0, 1, 0]] * 2).numpy().round(3))

# %% [markdown]
# **2.** With 55,000 images, batches of 100 and ten epochs, how many gradient steps are taken? How
# many would it be with batches of 128, and how many images are in the last batch of an epoch then?
#
# :::{dropdown} Hint
# An epoch shows every image once. If the division leaves a remainder, that is a batch too.
# :::
#
# :::{dropdown} Solution
# 550 x 10 = 5,500. With 128: 429 full batches and one of 55,000 - 429 x 128 = 88 images, so 430 x
# 10 = 4,300. The short batch has a shape of its own, and `tf.function` writes the step down a
# second time for it.
# :::
#
# **3.** Draw the weights with standard deviation $\sqrt{2/n}$, where $n$ is the number of inputs
# of one output, and set the biases to zero. Predict the loss of the untrained network; measure it.
#
# :::{dropdown} Hint
# For a convolution, $n$ is height x width x channels in: the product of all axes of the kernel but
# the last.
# :::
#
# :::{dropdown} Solution
# The signal keeps its size, so the logits are of the order of the inputs, and the loss comes close
# to $\ln 10$. See the cell below.
# :::

# %% tags=["hide-cell"]
he = {}
for name, variable in initial_weights(0).items():
    n_inputs = np.prod(variable.shape[:-1])
    is_kernel = name.endswith("kernel")
    factor = np.sqrt(2 / n_inputs) / 0.1 if is_kernel else 0.0
    he[name] = tf.Variable(variable * factor)
he_loss = float(mean_loss(he, sample_x, sample_y))
print(f"loss of the untrained network: {he_loss:.3f}   (ln 10 = {np.log(10):.3f})")
assert abs(he_loss - np.log(10)) < 1

# %% [markdown]
# **4.** Write Adam yourself, for one variable, and check five steps against Keras. With the
# gradient $g$ of step $t = 1, 2, \dots$:
#
# $$
# m \leftarrow 0.9\, m + 0.1\, g, \qquad v \leftarrow 0.999\, v + 0.001\, g^2, \qquad
# w \leftarrow w - \eta\, \frac{\sqrt{1 - 0.999^t}}{1 - 0.9^t}\, \frac{m}{\sqrt v + \epsilon}
# $$
#
# with $\epsilon = 10^{-7}$.
#
# :::{dropdown} Hint
# Five random arrays serve as gradients. No network is needed.
# :::
#
# :::{dropdown} Solution
# See the cell below.
# :::

# %% tags=["hide-cell"]
rng = np.random.default_rng(0)
theirs, by_hand = tf.Variable(tf.ones(6)), np.ones(6)
adam, m, v = keras.optimizers.Adam(0.01), np.zeros(6), np.zeros(6)
for t in range(1, 6):
    g = rng.normal(size=6).astype("float32")
    adam.apply_gradients([(tf.constant(g), theirs)])
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    by_hand -= 0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
print("Keras  ", theirs.numpy().round(5))
print("by hand", by_hand.round(5))
assert np.linalg.norm(theirs.numpy() - by_hand) <= 1e-4 * np.linalg.norm(by_hand)

# %% [markdown]
# **5. Open-ended.** Batches of 20, 100 and 500, the same number of *images* seen. Which reaches
# the best validation accuracy, which is the quickest in seconds, and does the learning rate have
# to follow? Report mean and spread over three seeds, and leave the test set alone while you
# choose.
#
# :::{dropdown} Hint
# `train` reads `batch_size` and `n_epochs`. Change them, and start with a tenth of the images.
# :::
#
# :::{dropdown} What to look for
# The same number of images is not the same number of steps: batches of 20 take 25 times as many as
# batches of 500. A large batch has a less noisy gradient, so it can bear a longer step. If 500 looks
# worst at a rate of 0.001, raise its rate before you blame the batch. Seconds may rank the three in
# another order than accuracy does, since a large batch keeps the processor busier. And a difference
# smaller than the spread of the seeds is a draw.
# :::
#
# ## Check yourself
#
# **1.** An untrained network for 100 classes has a loss of 4.6. Should you worry?
#
# :::{dropdown} Answer
# No: $\ln 100 = 4.605$. It thinks all classes equally likely, as it should.
# :::
#
# **2.** What does a gradient promise, and when does it break the promise?
#
# :::{dropdown} Answer
# A small step $\eta$ against it lowers the loss by $\eta$ times its squared length. It describes
# the surface where you stand. A large step leaves that neighbourhood.
# :::
#
# **3.** Why is the loss printed for the first epoch so much higher than the loss measured right
# after it?
#
# :::{dropdown} Answer
# It is an average over all batches of the epoch, from the untrained network to the trained one.
# :::
#
# **4.** A colleague reports 0.9891 instead of 0.9884, from one run. What do you say?
#
# :::{dropdown} Answer
# That is seven digits in ten thousand. The standard error of such a number is about ten digits,
# and another seed moves it as well. Ask for more runs.
# :::
#
# **5.** You put `print(loss)` into a function under `@tf.function`, and it prints once. Why?
#
# :::{dropdown} Answer
# Python runs while TensorFlow writes the operations down. Later calls replay the operations, and
# `print` is none of them. `tf.print` is.
# :::
#
# ## Summary
#
# - A network is variables and a function. 3,255,914 numbers here, and about twenty lines.
# - The loss of an untrained network is a test of its initial weights. It should be $\ln 10$; here
#   it was {glue:text}`untrained_loss:.0f`.
# - Training is one step, repeated: a batch, its gradient, a small move. `tf.function` makes the
#   step quicker and leaves its arithmetic alone.
# - Ten epochs, {glue:text}`test_accuracy:.4f` on average over the seeds, 0.9884 stated. The
#   standard error is {glue:text}`test_standard_error:.4f`: mind the third decimal.
# - What remains are {glue:text}`n_mistakes` digits in the test set for the first seed, some of
#   them hard for people, some not.
#
# ## Further reading
#
# - {cite:t}`kingma2015adam`: the paper of Adam; its algorithm fits on half a page.
# - {cite:t}`glorot2010understanding` and {cite:t}`he2015delving`, on how large initial weights
#   should be.
# - {cite:t}`rumelhart1986learning`: backpropagation, in four pages.
# - {cite:t}`abadi2016tensorflow`, on graphs and why one would want them.
# - {cite:t}`yadav2019cold`, who found the lost half of the test set and asked the same question
#   about luck.
#
# The same network in nine lines: {doc}`05_mnist_keras`. Before it: {doc}`03_lenet`.
#
# ## How this page was made

# %% tags=["hide-input"]
conditions(dataset)
