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
# # CIFAR-10 in TensorFlow
#
# **Why does a network that was perfect on digits fail on frogs?**
#
# By the end of this chapter you will be able to
#
# - say what makes a photograph harder than a digit, and measure some of it;
# - count the multiplications of a pass, and hold the count against the clock;
# - read curves of training and test side by side, and see a network learn its images by heart;
# - explain dropout: the mask, the scaling, what stays the same on average, and how to tell
#   whether it acts at all;
# - account for a gap between two results by changing one thing at a time.
#
# You need {doc}`04_mnist_tensorflow`: the variables, the loop and `tf.function` are those of that
# chapter.
#
# Time to read and to try things out: about two hours. Minutes of computing, all cells, on two CPU
# cores: {glue:text}`minutes`. On a GPU: {glue:text}`gpu_minutes`.

# %% tags=["parameters"]
n_train = None  # images to train on; None: all 50,000
n_test = None  # images to test on; None: all 10,000
n_epochs = 20  # passes over the training images
batch_size = 128  # images per gradient step
learning_rate = 0.001  # of RMSprop
seeds = [0, 1, 2]  # one training run for each; they fix the initial weights and the batches
n_steps = 150  # gradient steps in the close look at RMSprop
n_timed = 20  # passes in each timing
n_thinned = 200  # thinned networks whose answers are averaged
prefer = "train"  # "load": take the network that we look inside from a file, where there is one
precision = "float32"  # "bfloat16": pass through the network in half the bits, for a GPU
xla = False  # True: let XLA fuse the operations of a gradient step, for a GPU

# %%
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

from datasetslib import conditions, imutil, plots, record, training
from datasetslib.cifar import cifar10
from datasetslib.mnist import mnist

plots.use_style()
dataset = cifar10(n_train=n_train, n_test=n_test)
dataset.x_layout = imutil.LAYOUT_NHWC
dataset.load_data()
dataset.scaleX()
x_train, y_train = dataset.X_train, dataset.Y_train
x_test, y_test = dataset.X_test, dataset.Y_test
class_names = dataset.class_names

# %% [markdown]
# ## Ten classes
#
# Here are eight images of each class, the first eight in the training set.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Ten rows of eight small colour photographs, a row for each class from airplane to truck. Within a row, colours, backgrounds, poses and sizes differ from image to image."}}
mosaic = np.ones((10 * 34 - 2, 8 * 34 - 2, 3))
for label in range(10):
    for column, image in enumerate(x_train[y_train == label][:8]):
        mosaic[34 * label : 34 * label + 32, 34 * column : 34 * column + 32] = image
fig, ax = plt.subplots(figsize=(6.4, 6.0))
ax.imshow(mosaic)
ax.set_yticks(34 * np.arange(10) + 16, class_names)
ax.set_xticks([])
ax.tick_params(length=0)
ax.spines[:].set_visible(False)
plots.finish(fig)

# %% [markdown]
# Look along one row. A digit is ink of one colour on an empty ground, upright, centred, at one
# size. Here the ground is grass, sky, water or a living room. The thing itself comes in any colour,
# from the front or from the side, whole or in part. What do the eight frogs have in common that the
# eight cats do not? You know at once, and you will find it hard to put into words. No row of pixels
# says "frog".
#
# ## Label twenty yourself
#
# Before a network is judged, be judged. Here are twenty images from the test set, as the network
# will get them: 32 x 32 pixels. Write down a class for each.

# %% mystnb={"image": {"alt": "Twenty colour photographs of 32 x 32 pixels, numbered, from the ten classes, in random order."}}
rng = np.random.default_rng(20)
twenty = rng.permutation(
    np.concatenate([rng.choice(np.flatnonzero(y_test == label), 2) for label in range(10)])
)
plots.image_row(list(x_test[twenty]), [str(k + 1) for k in range(20)], n_cols=5)

# %% [markdown]
# Put your answers into the string, in order, with blanks between them. The next cell holds the
# truth, and stays closed until you open it.

# %%
yours = ""  # for example "cat ship airplane ..."

# %% tags=["hide-cell"]
for k, row in enumerate(twenty):
    print(f"{k + 1:2d} {class_names[y_test[row]]:<10}", end="\n" if k % 4 == 3 else "   ")
answers = yours.split()
if len(answers) == 20:
    hits = sum(a == class_names[y_test[row]] for a, row in zip(answers, twenty, strict=True))
    print(f"you read {hits} of 20")

# %% [markdown]
# Keep your score. Later, a network will sit the same test. With more patience than we ask of you,
# {cite:t}`hophuoc2018cifar10` had people label all of the test images: they were right on about
# 94 of 100.
#
# ## Where the images come from
#
# In 2008, a group at MIT collected 80 million tiny images from the web by searching for nouns
# {cite:p}`torralba2008tiny`. Alex Krizhevsky, Vinod Nair and Geoffrey Hinton chose ten classes and
# paid students to look at the candidates one by one {cite:p}`krizhevsky2009learning`. 60,000
# images were kept, 6,000 of each class, and stored as five training batches and one test batch of
# 10,000. The 80 million were withdrawn in 2020, when {cite:t}`birhane2021large` showed what else a
# search for nouns had brought in; the ten classes had been checked by eye, and stayed.

# %%
print("images", x_train.shape, x_train.dtype, f"from {x_train.min():.2f} to {x_train.max():.2f}")
print("labels", y_train.shape, y_train.dtype)
for label, name in enumerate(class_names):
    print(f"{label} {name:<10} {np.sum(y_train == label):6,} to train on,"
          f" {np.sum(y_test == label):5,} to test on")
record("n_train_images", len(x_train))
record("n_test_images", len(x_test))

# %% [markdown]
# The channels come last, and the values were divided by 255: `scaleX` did that. There is no
# validation split. The run that we reproduce had none, and looked at the test set after training.
# We shall look at it after *every* epoch, to see when things go wrong. Nothing in this chapter is
# chosen by what we see there. {doc}`07_cifar10_keras` takes up what choosing would cost.
#
# ## How much harder?
#
# Take the simplest reader there is. It averages all the training images of each class, and gives a
# new image the name of the average that lies nearest, pixel by pixel. Guess how often it is right,
# for digits and for photographs.

# %%
def nearest_mean(x, y, x_new, y_new):
    """Return the mean image of each class, and how often the nearest one is the right one."""
    means = np.stack([x[y == label].mean(axis=0) for label in range(10)])
    flat, rows = means.reshape(10, -1), x_new.reshape(len(x_new), -1)
    # The square of the new image is the same for all ten, so it is left out.
    distances = (flat**2).sum(axis=1) - 2 * rows @ flat.T
    return means, float(np.mean(distances.argmin(axis=1) == y_new))


digits = mnist(n_train=n_train, n_test=n_test)
digits.load_data()
digits.scaleX()
_, digits_score = nearest_mean(digits.X_train, digits.Y_train, digits.X_test, digits.Y_test)
means, photos_score = nearest_mean(x_train, y_train, x_test, y_test)
print(f"nearest mean, digits       {digits_score:.3f}")
print(f"nearest mean, photographs  {photos_score:.3f}")
record("nearest_mean_digits", digits_score)
record("nearest_mean_photos", photos_score)

# %% mystnb={"image": {"alt": "The mean image of each of the ten classes: soft clouds of colour, bluish for airplane and ship, brown and green for the animals; hardly any shape can be made out."}}
plots.image_row(list(means), list(class_names), n_cols=5)

# %% [markdown]
# {glue:text}`nearest_mean_digits:.2f` for digits, {glue:text}`nearest_mean_photos:.2f` for
# photographs; a guess gives 0.10. The mean of all threes still looks like a three. The mean of all
# frogs is a smudge. What the members of a class share is not *where* their bright pixels are.
#
# That is why a network that was nearly perfect on digits is in trouble here, and it is also why
# convolution is the right idea: it asks whether a pattern occurs, more than where.
#
# ## How much more arithmetic?
#
# One of the sources of this book reckons that CIFAR-10 takes about ten times the computing of
# MNIST. Is that so? The network is the one of {doc}`04_mnist_tensorflow` with a larger image at its
# front: 32 x 32 x 3 numbers in place of 28 x 28 x 1. Estimate the factor before you read on.
#
# A convolution makes, for each cell of each of its output maps, one multiplication and one
# addition for each weight of a kernel. A dense layer makes one for each weight.

# %% tags=["nbval-check-output"]
def multiply_adds(side, depth):
    """Return the multiply-adds of a pass through our network, layer by layer."""
    return {
        "conv1": side**2 * 4 * 4 * depth * 32,
        "conv2": (side // 2) ** 2 * 4 * 4 * 32 * 64,
        "dense1": (side // 4) ** 2 * 64 * 1024,
        "dense2": 1024 * 10,
    }


small, large = multiply_adds(28, 1), multiply_adds(32, 3)
for layer in small:
    print(f"{layer:<7} {small[layer]:>11,} {large[layer]:>11,}")
n_small, n_large = sum(small.values()), sum(large.values())
print(f"{'sum':<7} {n_small:>11,} {n_large:>11,}   a factor of {n_large / n_small:.2f}")
print(f"ten epochs of 55,000 against twenty of 50,000: {n_large * 20 * 50 / n_small / 550:.2f}")

# %% tags=["hide-cell"]
record("multiply_adds_digits", n_small)
record("multiply_adds_photos", n_large)
record("multiply_adds_ratio", n_large / n_small)
record("whole_run_ratio", n_large * 20 * 50 / n_small / 550)

# %% [markdown]
# A factor of {glue:text}`multiply_adds_ratio:.2f`. Only the first layer meets the three channels;
# behind it, the maps are a little wider, and that is all. Even the whole run, with its twenty
# epochs, comes to {glue:text}`whole_run_ratio:.1f` times that of MNIST. But arithmetic is not time.
# Use the clock:

# %%
def make_pass(side, depth):
    """Return a pass through the network, with random weights, for images of one size."""
    normal = tf.random.normal
    conv1, conv2 = normal([4, 4, depth, 32]), normal([4, 4, 32, 64])
    dense1, dense2 = normal([(side // 4) ** 2 * 64, 1024]), normal([1024, 10])

    @tf.function
    def forward(images):
        h = tf.nn.max_pool2d(tf.nn.relu(tf.nn.conv2d(images, conv1, 1, "SAME")), 2, 2, "SAME")
        h = tf.nn.max_pool2d(tf.nn.relu(tf.nn.conv2d(h, conv2, 1, "SAME")), 2, 2, "SAME")
        return tf.nn.relu(tf.reshape(h, [len(h), -1]) @ dense1) @ dense2

    return forward


def milliseconds(function, *arguments):
    """Return the median wall time of a call, after one call to warm up."""
    function(*arguments)
    spent = []
    for _ in range(n_timed):
        start = time.perf_counter()
        np.asarray(function(*arguments))  # as an array: waits until the result is there
        spent.append(1000 * (time.perf_counter() - start))
    return float(np.median(spent))

# %%
spent = {side: milliseconds(make_pass(side, depth), tf.random.uniform([128, side, side, depth]))
         for side, depth in ((28, 1), (32, 3))}
print(f"128 digits       {spent[28]:6.1f} ms")
print(f"128 photographs  {spent[32]:6.1f} ms, {spent[32] / spent[28]:.2f} times as long")
record("digits_ms", spent[28])
record("photos_ms", spent[32])
record("pass_ratio", spent[32] / spent[28])

# %% [markdown]
# {glue:text}`photos_ms:.0f` ms against {glue:text}`digits_ms:.0f` ms for a batch, a factor of
# {glue:text}`pass_ratio:.1f` on this machine, where the count said
# {glue:text}`multiply_adds_ratio:.1f`. We do not find a ten. An estimate like that is worth a
# minute with pencil and paper. Often the pencil is as good as the clock, and it works before the
# program is written.
#
# ## The network, with a pencil
#
# 32 x 32 x 3 in, the same layers as before. Which shape stands on each arrow? How many parameters
# has each layer? Write down four products and their sum. Cover the picture meanwhile.

# %% tags=["hide-input"] mystnb={"image": {"alt": "The network as a chain of boxes with the shape of the data on every arrow: input 32 x 32 x 3, convolution to 32 x 32 x 32, pooling to 16 x 16 x 32, convolution to 16 x 16 x 64, pooling to 8 x 8 x 64, flattened to 4096, dense to 1024, dense to 10."}}
plots.shape_chain([
    ("image", (32, 32, 3)),
    ("conv 4x4", (32, 32, 32)),
    ("pool 2x2", (16, 16, 32)),
    ("conv 4x4", (16, 16, 64)),
    ("pool 2x2", (8, 8, 64)),
    ("flatten", (4096,)),
    ("dense, ReLU", (1024,)),
    ("dense", (10,)),
])

# %% [markdown]
# The program that we reproduce draws its kernels from a normal distribution with standard
# deviation 0.01, and its biases from one with standard deviation 1. Our function knows that
# recipe, and a second one, which Keras uses without being asked. We shall need both.

# %%
def initial_weights(seed, recipe):
    """Draw the network's variables: by the source's recipe, or as Keras does by default."""
    shapes = {
        "conv1": (4, 4, 3, 32),  # height, width, channels in, channels out
        "conv2": (4, 4, 32, 64),
        "dense1": (8 * 8 * 64, 1024),  # numbers in, numbers out
        "dense2": (1024, 10),
    }
    rng = np.random.default_rng(seed)
    weights = {}
    for layer, shape in shapes.items():
        if recipe == "source":
            kernel = rng.normal(0, 0.01, shape)
            bias = rng.normal(0, 1, shape[-1:])
        else:  # Glorot's rule for the kernels, zeros for the biases
            limit = np.sqrt(6 / (np.prod(shape[:-2]) * (shape[-2] + shape[-1])))
            kernel = rng.uniform(-limit, limit, shape)
            bias = np.zeros(shape[-1])
        weights[f"{layer}_kernel"] = tf.Variable(kernel, dtype=tf.float32)
        weights[f"{layer}_bias"] = tf.Variable(bias, dtype=tf.float32)
    return weights

# %% tags=["nbval-check-output"]
weights = initial_weights(0, "source")
counted = {}
for name, variable in weights.items():
    layer = name.split("_")[0]
    counted[layer] = counted.get(layer, 0) + int(tf.size(variable))
print(" + ".join(f"{n:,}" for n in counted.values()), "=", f"{sum(counted.values()):,}")
assert list(counted.values()) == [1_568, 32_832, 4_195_328, 10_250]
assert sum(counted.values()) == 4_239_978

# %% tags=["hide-cell"]
record("n_parameters", sum(counted.values()))

# %% [markdown]
# 1,568 + 32,832 + 4,195,328 + 10,250 = 4,239,978. As in {doc}`03_lenet`, nearly all of them sit in
# the first dense layer.
#
# Now the function. It has one line after each pooling, and one after the first dense layer, that
# chapter 04 did not have: `dropout`. Read it. Each number is kept with the probability `keep_prob`
# and set to zero otherwise. What is kept is divided by `keep_prob`. What does it do when
# `keep_prob` is 1?

# %%
def dropout(h, keep_prob, seed):
    """Keep each number with probability keep_prob, enlarged to make up for the lost ones."""
    if keep_prob == 1.0:
        return h
    kept = tf.random.stateless_uniform(tf.shape(h), seed) < keep_prob
    return tf.where(kept, h / keep_prob, tf.zeros_like(h))


def convnet(weights, images, keep_prob=1.0, seed=(0, 0)):
    """Map images of shape (n, 32, 32, 3) to logits of shape (n, 10)."""
    w = {name: tf.cast(variable, precision) for name, variable in weights.items()}
    h = tf.nn.conv2d(tf.cast(images, precision), w["conv1_kernel"], strides=1, padding="SAME")
    h = tf.nn.max_pool2d(tf.nn.relu(h + w["conv1_bias"]), 2, strides=2, padding="SAME")
    h = dropout(h, keep_prob, seed)
    h = tf.nn.conv2d(h, w["conv2_kernel"], strides=1, padding="SAME")
    h = tf.nn.max_pool2d(tf.nn.relu(h + w["conv2_bias"]), 2, strides=2, padding="SAME")
    h = dropout(h, keep_prob, seed + tf.constant([0, 1]))
    h = tf.reshape(h, [-1, 8 * 8 * 64])
    h = tf.nn.relu(h @ w["dense1_kernel"] + w["dense1_bias"])
    h = dropout(h, keep_prob, seed + tf.constant([0, 2]))
    return tf.cast(h @ w["dense2_kernel"] + w["dense2_bias"], tf.float32)

# %% [markdown]
# With 1 it does nothing, and we leave it at that for the moment.
#
# Loss, as before, and one step. The optimiser is RMSprop {cite:p}`tieleman2012rmsprop`. It keeps,
# for each weight, a running mean of the square of its gradient, and divides the gradient by the
# root of that mean. A weight whose gradients are always small takes steps as long as one whose
# gradients are large. We write it out, because two versions of it will matter later: what the
# running means start from, and the small `epsilon` under the root.

# %%
def mean_loss(weights, images, labels, keep_prob=1.0, seed=(0, 0)):
    """Return the softmax cross-entropy, averaged over the images."""
    logits = convnet(weights, images, keep_prob, seed)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(losses)


def make_step(weights, squares, keep_prob, epsilon):
    """Return a function that takes one step of RMSprop, and returns the loss before it."""
    variables = list(weights.values())

    @tf.function(jit_compile=xla)
    def step(images, labels, seed):
        with tf.GradientTape() as tape:
            loss = mean_loss(weights, images, labels, keep_prob, seed)
        gradients = tape.gradient(loss, variables)
        for variable, square, gradient in zip(variables, squares, gradients, strict=True):
            square.assign(0.9 * square + 0.1 * gradient**2)
            variable.assign_sub(learning_rate * gradient * tf.math.rsqrt(square + epsilon))
        return loss

    return step

# %%
def predict(weights, images):
    """Return the logits of any number of images as one NumPy array."""
    return np.concatenate(
        [convnet(weights, images[k : k + 1000]).numpy() for k in range(0, len(images), 1000)]
    )


def measure(weights, images, labels):
    """Return the mean loss and the accuracy over any number of images, dropout off."""
    logits = predict(weights, images)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return float(tf.reduce_mean(losses)), float(np.mean(logits.argmax(axis=1) == labels))

# %% [markdown]
# `train` puts them together. The order of the images in epoch `i`, and what is dropped in each
# step, follow from the seed and `i`, so that a run that was stopped can go on as if nothing had
# happened. After each epoch it measures the network with dropout off: on the test images, and on
# the first 5,000 of the images that it was trained on.

# %%
def train(keep_prob, recipe, rmsprop, seed, line=None, history_only=False):
    """Train the network; return its weights and what was measured after each epoch."""
    weights = initial_weights(seed, recipe)
    first_square, epsilon = {"TensorFlow 1": (1.0, 1e-10), "Keras": (0.0, 1e-7)}[rmsprop]
    squares = [tf.Variable(tf.fill(v.shape, first_square)) for v in weights.values()]
    step = make_step(weights, squares, keep_prob, epsilon)

    def epoch(i):  # its batches, and what is dropped, follow from the seed and i alone
        order = np.random.default_rng([seed, i]).permutation(len(x_train))
        batches = np.split(order, range(batch_size, len(order), batch_size))
        losses = [
            step(x_train[rows], y_train[rows], tf.constant([1000 * seed + i, 3 * k]))
            for k, rows in enumerate(batches)
        ]
        test_loss, test_accuracy = measure(weights, x_test, y_test)
        _, train_accuracy = measure(weights, x_train[:5000], y_train[:5000])
        return {"loss": np.mean([float(loss) for loss in losses]), "test_loss": test_loss,
                "train_accuracy": train_accuracy, "test_accuracy": test_accuracy}

    key = {"functions": [initial_weights, dropout, convnet, mean_loss, make_step, predict,
                         measure, train],
           "settings": [keep_prob, recipe, rmsprop, seed, batch_size, learning_rate, precision,
                        xla],
           "data": [x_train, y_train, x_test, y_test]}
    history = training.run(
        f"cifar10-tensorflow-{recipe}-{rmsprop}-keep{keep_prob}-seed{seed}", epoch, n_epochs,
        [*weights.values(), *squares], key=key, line=line, history_only=history_only,
    )
    return weights, history

# %% [markdown]
# :::{note}
# **On a GPU.** This notebook uses one without a change. Two parameters make it quicker there.
# `precision = "bfloat16"` sends the images through the network in sixteen bits, while the
# variables, their updates and the loss stay in float32. Its results differ from ours in the
# third decimal or so, as if another seed had been used. `xla = True` has the operations of a
# step compiled into a few larger ones: the same arithmetic, in another order. On a CPU leave both
# alone.
# :::
#
# ## As the source did it
#
# Twenty epochs, batches of 128, a step of 0.001, and `keep_prob` as it was in the run that we
# reproduce: 1.0. Its log went from `Epoch: 0000   loss = 2.115800` to a loss of 0.1264, and ended
# with a test accuracy of 0.6361. Predict: will ours come out the same?

# %%
settings = {"as the source": (1.0, "source", "TensorFlow 1")}
stated_line = "Epoch: {index:04d}   loss = {loss:.6f}"
by_hand = {}


def as_keras(weights):
    """Put the weights into a Keras network of the same shape, which knows how to be saved."""
    model = keras.Sequential([
        keras.Input((32, 32, 3)),
        layers.Conv2D(32, 4, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 4, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(1024, activation="relu"),
        layers.Dense(10),
    ])
    model.set_weights([variable.numpy() for variable in weights.values()])
    return model


def train_by_hand():
    """Train the network; keep what was measured meanwhile."""
    weights, history = train(*settings["as the source"], seeds[0], line=stated_line)
    by_hand.update(history.metrics, seconds=history.seconds_per_epoch)
    print("Model Trained.")
    return as_keras(weights)

# %%
model = training.train_or_load("cifar10_tensorflow", train_by_hand, prefer=prefer)
weights = dict(zip(initial_weights(0, "keras"), map(tf.Variable, model.get_weights()),
                   strict=True))
by_hand_loss, by_hand_accuracy = measure(weights, x_test, y_test)
print(f"Accuracy: {by_hand_accuracy:.4f}")

# %% [markdown]
# `as_keras` is there for the saving. A `.keras` file holds an architecture and its weights, so the
# weights go into a network of the same shape. It gives the same answers, or we should not use it:

# %%
ours, kept = convnet(weights, x_test[:100]).numpy(), model(x_test[:100]).numpy()
difference = np.linalg.norm(ours - kept) / np.linalg.norm(kept)
print(f"relative difference of the logits {difference:.1e}")
assert difference <= (1e-4 if precision == "float32" else 0.1)

# %% [markdown]
# One run is one draw. We want several seeds, and soon several versions of this program, a dozen
# runs in all. {doc}`05_mnist_keras` has shown that a network of Keras can be the very function that
# we write by hand. So we let Keras repeat the experiment: the same layers, the same initial
# weights, copied in, and the same RMSprop. Mind one number on the way: Keras asks for the share to
# *drop*, where we give the share to keep.

# %%
def twin(keep_prob, recipe, rmsprop, seed):
    """Return our network, with its weights and its RMSprop, as a Keras model to be trained."""
    keras.utils.set_random_seed(seed)
    drop = round(1 - keep_prob, 6)
    model = keras.Sequential([
        keras.Input((32, 32, 3)),
        layers.Conv2D(32, 4, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Dropout(drop),
        layers.Conv2D(64, 4, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Dropout(drop),
        layers.Flatten(),
        layers.Dense(1024, activation="relu"),
        layers.Dropout(drop),
        layers.Dense(10, dtype="float32"),
    ])
    training.draw_weights(model, seed)  # the dice of the dropout
    model.set_weights([np.asarray(v) for v in initial_weights(seed, recipe).values()])
    return compile_twin(model, rmsprop)

# %%
def compile_twin(model, rmsprop):
    """Give the model the loss and the RMSprop of our program; return the model."""
    first_square, epsilon = {"TensorFlow 1": (1.0, 1e-10), "Keras": (0.0, 1e-7)}[rmsprop]
    optimizer = keras.optimizers.RMSprop(learning_rate, epsilon=epsilon)
    optimizer.build(model.trainable_variables)
    for variable in optimizer.variables:
        if "velocity" in variable.path:  # Keras's name for the running mean of the squares
            variable.assign(np.full(variable.shape, first_square))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=xla or "auto")
    return model

# %% [markdown]
# Is that the same program? Let both take ten steps, on the same batches, without dropout, and
# compare the losses.

# %%
start, other = initial_weights(0, "keras"), twin(1.0, "keras", "TensorFlow 1", 0)
step = make_step(start, [tf.Variable(tf.ones_like(v)) for v in start.values()], 1.0, 1e-10)
losses = {"by hand": [], "Keras": []}
for k in range(10):
    rows = np.arange(k * batch_size, (k + 1) * batch_size) % len(x_train)
    losses["by hand"].append(float(step(x_train[rows], y_train[rows], tf.constant([0, 0]))))
    other.reset_metrics()
    losses["Keras"].append(float(other.train_on_batch(x_train[rows], y_train[rows])[0]))
for name, values in losses.items():
    print(f"{name:<8}", " ".join(f"{loss:.5f}" for loss in values))
apart = np.linalg.norm(np.subtract(*losses.values())) / np.linalg.norm(losses["by hand"])
print(f"relative difference {apart:.0e}")
assert apart <= (1e-4 if precision == "float32" else 0.1)

# %% [markdown]
# It is. The runs of the twin, one for each seed:

# %%
runs = {}


def history_of(label, seed, line=""):
    """Train the twin with these settings and this seed, once; return its metrics by epoch."""
    if (label, seed) not in runs:
        model = twin(*settings[label], seed)

        def on_both():
            test = model.evaluate(x_test, y_test, batch_size=500, verbose=0)
            seen = model.evaluate(x_train[:5000], y_train[:5000], batch_size=500, verbose=0)
            return {"test_loss": test[0], "test_accuracy": test[1], "train_accuracy": seen[1]}

        keep_prob, recipe, rmsprop = settings[label]
        runs[label, seed] = training.fit(
            model, x_train, y_train, n_epochs=n_epochs, batch_size=batch_size, seed=seed,
            name=f"cifar10-ladder-{recipe}-{rmsprop}-keep{keep_prob}-seed{seed}",
            after_epoch=on_both, line=line, history_only=True,
        )
    return runs[label, seed]

# %%
for seed in seeds:
    history = history_of("as the source", seed)
    print(f"seed {seed}: training loss {history['loss'][-1]:.4f},"
          f" test accuracy {history['test_accuracy'][-1]:.4f}")

# %% tags=["hide-cell"]
def by_seed(label, metric, index=-1):
    """Return one metric after one epoch, for each seed."""
    return [history_of(label, seed)[metric][index] for seed in seeds]


def spread(values):
    """Return the standard deviation over the seeds."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


record("by_hand_accuracy", by_hand_accuracy)
record("by_hand_first_loss", by_hand["loss"][0] if by_hand else None)
record("by_hand_last_loss", by_hand["loss"][-1] if by_hand else None)
record("twin_difference", f"{apart:.0e}")
as_stated = by_seed("as the source", "test_accuracy")
record("test_accuracy", float(np.mean(as_stated)))
record("test_accuracy_by_seed", as_stated)
record("test_accuracy_listed", ", ".join(f"{a:.4f}" for a in as_stated))
record("test_accuracy_spread", spread(as_stated))
record("first_loss", float(np.mean(by_seed("as the source", "loss", 0))))
record("last_loss", float(np.mean(by_seed("as the source", "loss"))))
record("last_train_accuracy", float(np.mean(by_seed("as the source", "train_accuracy"))))
lowest = [min(history_of("as the source", seed)["test_loss"]) for seed in seeds]
record("lowest_test_loss", float(np.mean(lowest)))
record("lowest_test_loss_epoch", float(np.mean(
    [1 + np.argmin(history_of("as the source", seed)["test_loss"]) for seed in seeds])))
record("last_test_loss", float(np.mean(by_seed("as the source", "test_loss"))))
record("n_epochs", n_epochs)
record("half_epochs", n_epochs // 2)
record("seconds_per_epoch", by_hand.get("seconds"))

# %% [markdown]
# | | stated | by hand, one seed | its twin, mean of the seeds |
# |---|---|---|---|
# | training loss, first epoch | 2.1158 | {glue:text}`by_hand_first_loss:.4f` | {glue:text}`first_loss:.4f` |
# | training loss, last epoch | 0.1264 | {glue:text}`by_hand_last_loss:.4f` | {glue:text}`last_loss:.4f` |
# | test accuracy | 0.6361 | {glue:text}`by_hand_accuracy:.4f` | {glue:text}`test_accuracy:.4f` |
#
# By seed, the test accuracies are {glue:text}`test_accuracy_listed`. The public notebook of the
# source's author shows another draw of the same program: 0.6295.
#
# 0.63, after 0.99 on digits. Is the network too small? Was it trained too briefly? Put the curves
# of training and test side by side, and look before you answer.

# %%
def training_and_test(labels):
    """Draw loss and accuracy by epoch: training as a solid line, test as a dotted one."""
    fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.3 + 0.5 * len(labels)))
    parts = {"training": ("loss", "train_accuracy"), "test": ("test_loss", "test_accuracy")}
    looks = iter(plots.style.LINES)
    for label in labels:
        for part, metrics in parts.items():
            look = {**next(looks), "linestyle": "-" if part == "training" else ":"}
            for ax, metric in zip(axes, metrics, strict=True):
                curves = np.array([history_of(label, seed)[metric] for seed in seeds])
                epochs = np.arange(1, n_epochs + 1)
                for curve in curves:  # each seed as a thin line, their mean as a thick one
                    ax.plot(epochs, curve, color=look["color"], linewidth=0.8, alpha=0.5)
                ax.plot(epochs, curves.mean(axis=0), label=f"{label}, {part}",
                        markevery=max(1, n_epochs // 5), **look)
    for ax, title in zip(axes, ("loss", "accuracy"), strict=True):
        ax.set_title(title)
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(plt.MaxNLocator(5, integer=True, min_n_ticks=1))
        ax.grid(axis="y")
    axes[1].set_ylim(0, 1)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=1)
    return plots.finish(fig)

# %% mystnb={"image": {"alt": "Two panels over the epochs, loss on the left and accuracy on the right, thin lines for the seeds and thick ones for their mean. On the training images the loss falls towards zero and the accuracy rises towards one; on the test images the loss turns and climbs, and the accuracy stays on a plateau far below."}}
training_and_test(["as the source"])

# %% [markdown]
# The two panels tell one story. On the images that it trains on, the network gets better and
# better: at the end it reads {glue:text}`last_train_accuracy:.2f` of them rightly. On images that
# it has never seen, it reads {glue:text}`test_accuracy:.2f`. The test loss is lowest after epoch
# {glue:text}`lowest_test_loss_epoch:.0f`, with {glue:text}`lowest_test_loss:.2f`; from there it
# moves to {glue:text}`last_test_loss:.2f`, while the training loss goes on falling.
#
# A network too small, or trained too briefly, would fail on *both*. This one is large enough to
# learn its training images by heart, and that is what it does: this cat by the corner of the sofa,
# that ship by a speck in the sky. The name for it is *overfitting*.
#
# :::{admonition} A common misconception
# :class: warning
# "The test accuracy has stopped rising, so training has no further effect." It has. Look at the
# test loss: the network's mistakes become ever more certain. The accuracy only counts them.
# :::
#
# ## Follow the evidence
#
# The program had a remedy against this built in. It declares a number called `keep_prob`, and uses
# it in `dropout` after both poolings and after the dense layer. And still the network learned by
# heart. Did the dropout act at all?
#
# There is a test that needs no knowledge of the program. Dropout throws dice. Ask a network twice
# about the same image, with different dice: if dropout acts, the answers differ.

# %%
for keep_prob in (1.0, 0.8):
    first = convnet(weights, x_test[:1], keep_prob, (0, 1))
    second = convnet(weights, x_test[:1], keep_prob, (0, 2))
    apart = float(tf.reduce_max(tf.abs(first - second)))
    print(f"keep_prob {keep_prob}: the ten logits differ by up to {apart:.4f}")
    assert (apart > 0) == (keep_prob < 1)

# %% [markdown]
# With 1.0 the dice have no effect. And 1.0 is what the program fed. In TensorFlow 1, a graph was
# drawn first, and numbers were fed to it at each call:
#
# ```python
# keep_prob = tf.placeholder(tf.float32)            # a hole, to be filled at every call
# maps = tf.nn.dropout(maps, keep_prob)             # ... somewhere in the network
#
# feed = {x: batch_x, y: batch_y, keep_prob: 1.0}   # one step of training
# session.run(train_op, feed_dict=feed)
#
# feed = {x: x_test, y: y_test, keep_prob: 1.0}     # the test
# session.run(accuracy, feed_dict=feed)
# ```
#
# In the test, 1.0 is right. In training it switches the dropout off. Whoever wrote this made a
# small slip, and the interface invited it. Training and testing differ in one number, that number
# has to be repeated in every dictionary, and leaving it wrong raises no error: the program runs,
# the training loss falls handsomely, and the test accuracy is not bad enough to look like a fault.
# {doc}`07_cifar10_keras` shows an interface in which this slip is hard to make.
#
# ## What dropout is
#
# {cite:t}`srivastava2014dropout` had a simple idea. A network that learns by heart relies on
# conspiracies: this unit corrects that one, for one image. So make every unit unreliable. In each
# step, for each image, throw some of them out. What is left must be useful in whatever company it
# finds itself.
#
# Here is one of the maps after the first pooling, the dice thrown for it, and what is passed on.

# %% mystnb={"image": {"alt": "Three grey pictures of 16 x 16 cells: a map after the first pooling; a mask in which about a fifth of the cells is black; their product, in which the picture is peppered with black holes."}}
trained_start = initial_weights(0, "keras")
maps = tf.nn.conv2d(x_test[:1], trained_start["conv1_kernel"], 1, "SAME")
maps = tf.nn.max_pool2d(tf.nn.relu(maps), 2, 2, "SAME")
dropped = dropout(maps, 0.8, (0, 1)).numpy()[0]
brightest = maps[0].numpy().mean(axis=(0, 1)).argmax()
before, after = maps[0].numpy()[..., brightest], dropped[..., brightest]
mask = (after > 0) | (before == 0)
plots.image_row([before / before.max(), mask.astype(float), after / before.max() * 0.8],
                ["map", "kept (white)", "passed on"], n_cols=3)

# %% [markdown]
# A fifth of the cells is black. Now the scaling. What is kept is divided by 0.8, so a quarter is
# added to it. Why? Suppose a unit of the next layer adds up a thousand numbers. With a fifth of
# them gone, its sum shrinks by a fifth, and at test time, when nothing is dropped, it would be
# larger than in all of training. Dividing by `keep_prob` makes up for that *on average*: a number
# $h$ becomes $h / 0.8$ with probability 0.8, and 0 with probability 0.2, so its mean is
# $0.8 \cdot h / 0.8 + 0.2 \cdot 0 = h$. Check it with dice:

# %%
h = tf.tile([[1.0, 2.0, 3.0, 4.0]], [100_000, 1])
thrown = dropout(h, 0.8, (0, 1)).numpy()
print("one throw          ", thrown[0])
print("mean of 100,000    ", thrown.mean(axis=0).round(3))
print("zeros              ", (thrown == 0).mean(axis=0).round(3))
assert np.allclose(thrown.mean(axis=0), [1, 2, 3, 4], rtol=0.02)

# %% [markdown]
# The mean is kept. What about the answer of a whole network, in which ReLU and pooling follow,
# which do not respect means? Throw many thinned networks, average their logits, and compare with
# the one full network.

# %%
image = x_test[:1]
full = convnet(weights, image).numpy()[0]
thinned = np.stack([convnet(weights, image, 0.8, (1, 3 * k)).numpy()[0]
                    for k in range(n_thinned)])
apart = np.linalg.norm(thinned - full, axis=1).mean() / np.linalg.norm(full)
apart_of_mean = np.linalg.norm(thinned.mean(axis=0) - full) / np.linalg.norm(full)
print(f"one thinned network from the full one:                {apart:.2f} of its logits' length")
print(f"the mean of {n_thinned} thinned networks from the full one:  {apart_of_mean:.2f}")
record("n_thinned", n_thinned)
record("thinned_apart", float(apart))
record("thinned_mean_apart", float(apart_of_mean))

# %% [markdown]
# One thinned network differs from the full one by {glue:text}`thinned_apart:.2f` of the length of
# its logits, the mean of {glue:text}`n_thinned` of them by {glue:text}`thinned_mean_apart:.2f`.
# That is the second way to see dropout. Each throw is a network of its own, and there are
# 16 x 16 x 32 + 8 x 8 x 64 + 1,024 = 13,312 numbers per image that may stay or go: $2^{13312}$
# networks, which share their weights. The full network, at test time, stands in for the average of
# them all.
#
# ## Dropout on
#
# Change one number: 1.0 becomes 0.8. The same seeds, so the same initial weights and the same
# batches. What do you expect of the *training* loss?

# %%
settings["dropout on"] = (0.8, "source", "TensorFlow 1")

for seed in seeds:
    history = history_of("dropout on", seed)
    print(f"seed {seed}: training loss {history['loss'][-1]:.4f},"
          f" test accuracy {history['test_accuracy'][-1]:.4f}")

# %% mystnb={"image": {"alt": "Loss and accuracy over the epochs for both settings, training in solid and test in dotted lines. With dropout on, the training loss stays higher, the test loss stays lower, and the distance between training and test accuracy is smaller."}}
training_and_test(["as the source", "dropout on"])

# %% tags=["hide-cell"]
with_dropout = by_seed("dropout on", "test_accuracy")
record("dropout_accuracy", float(np.mean(with_dropout)))
record("dropout_accuracy_listed", ", ".join(f"{a:.4f}" for a in with_dropout))
record("dropout_train_accuracy", float(np.mean(by_seed("dropout on", "train_accuracy"))))
record("dropout_last_loss", float(np.mean(by_seed("dropout on", "loss"))))
record("dropout_last_test_loss", float(np.mean(by_seed("dropout on", "test_loss"))))

# %% [markdown]
# | after the last epoch, mean of the seeds | `keep_prob` 1.0 | `keep_prob` 0.8 |
# |---|---|---|
# | training loss | {glue:text}`last_loss:.3f` | {glue:text}`dropout_last_loss:.3f` |
# | accuracy on training images | {glue:text}`last_train_accuracy:.3f` | {glue:text}`dropout_train_accuracy:.3f` |
# | test loss | {glue:text}`last_test_loss:.3f` | {glue:text}`dropout_last_test_loss:.3f` |
# | test accuracy | {glue:text}`test_accuracy:.4f` | {glue:text}`dropout_accuracy:.4f` |
#
# The training loss tells less than it seems to: it is measured by thinned networks, while they
# learn. The accuracy on training images is measured afterwards, with nothing dropped. Compare it
# with the test accuracy below it, in both columns: that difference is what was learned by heart.
#
# ## It is not enough
#
# The same network in Keras is stated to reach 0.7414. The number that we have with dropout is
# {glue:text}`dropout_accuracy:.4f`. So the slip explains a part, and only a part. Where is the
# rest?
#
# Lay the two programs side by side and list every difference. Layers, batches and learning rate
# are the same, and so, as {doc}`07_cifar10_keras` proves, is the function. We find three more:
#
# 1. **The initial weights.** Kernels of size 0.01 and biases of size 1, against Glorot's rule
#    {cite:p}`glorot2010understanding` and zeros.
# 2. **RMSprop.** Both forget at the same rate: 0.9 of the running mean is kept in each step. (We
#    had expected a difference there and found none.) But in TensorFlow 1 the running mean started
#    at one, with an `epsilon` of $10^{-10}$ under the root. In Keras it starts at zero, with
#    $10^{-7}$.
# 3. **The epochs.** 20 there, 10 here.
#
# Before we measure what each is worth, look at the first two closely.
#
# ### What the image has to say at the start
#
# Send a thousand images through an untrained network. At each layer ask two things. How much do
# the numbers vary *from image to image*? That is what the image has to say. And how much do they
# vary *from unit to unit*, averaged over the images? That is the same for every image, and says
# nothing.

# %%
def layer_by_layer(weights, images):
    """Return what each layer of the network gives before ReLU, by name."""
    h, found = images, {}
    for name in ("conv1", "conv2"):
        h = tf.nn.conv2d(h, weights[f"{name}_kernel"], 1, "SAME") + weights[f"{name}_bias"]
        found[name] = h
        h = tf.nn.max_pool2d(tf.nn.relu(h), 2, 2, "SAME")
    h = tf.reshape(h, [len(images), -1])
    for name in ("dense1", "dense2"):
        h = h @ weights[f"{name}_kernel"] + weights[f"{name}_bias"]
        found[name] = h
        h = tf.nn.relu(h)
    return {name: values.numpy() for name, values in found.items()}


says = {}
print("            from image to image     from unit to unit")
for recipe in ("source", "keras"):
    for name, values in layer_by_layer(initial_weights(0, recipe), x_train[:1000]).items():
        of_image, of_unit = values.std(axis=0).mean(), values.mean(axis=0).std()
        says[recipe, name] = float(of_image), float(of_unit)
        print(f"{recipe:>7} {name:<8} {of_image:10.4f} {of_unit:22.4f}")

# %% tags=["hide-cell"]
for recipe in ("source", "keras"):
    record(f"logit_image_{recipe}", says[recipe, "dense2"][0])
    record(f"logit_unit_{recipe}", says[recipe, "dense2"][1])
    record(f"start_loss_{recipe}", float(mean_loss(initial_weights(0, recipe), x_train[:1000],
                                                  y_train[:1000])))

# %% [markdown]
# Look at the last layer. By the recipe of the source, a logit varies by
# {glue:text}`logit_image_source:.4f` from image to image, and by {glue:text}`logit_unit_source:.2f`
# from class to class. The untrained network gives the same answer to everything, and that answer is
# its biases. With Keras's recipe the two numbers are {glue:text}`logit_image_keras:.3f` and
# {glue:text}`logit_unit_keras:.3f`.
#
# Why does that matter? The gradient of a kernel is made of what comes in and of what the later
# layers do with it. Kernels of 0.01 pass on a whisper in both directions. Training has first to
# turn the volume up, against biases that shout. Both untrained networks have a loss near
# $\ln 10 = 2.303$, namely {glue:text}`start_loss_source:.2f` and
# {glue:text}`start_loss_keras:.2f`, so the test of {doc}`04_mnist_tensorflow`, useful as it is,
# does not warn us here.
#
# ### The first steps of RMSprop
#
# Take a weight whose gradient is 0.01 in every step. RMSprop wants to move it by one learning rate
# a step, whatever the gradient. If the running mean starts at one, how long does it take until it
# does?

# %% tags=["nbval-check-output"]
print("step   start at 1   start at 0   (moves in learning rates)")
squares = {1.0: 1.0, 0.0: 0.0}
epsilons = {1.0: 1e-10, 0.0: 1e-7}
for k in range(1, 151):
    squares = {start: 0.9 * square + 0.1 * 0.01**2 for start, square in squares.items()}
    if k in (1, 2, 5, 10, 20, 50, 100, 150):
        moves = [0.01 / (squares[start] + epsilons[start]) ** 0.5 for start in (1.0, 0.0)]
        print(f"{k:4d}   {moves[0]:10.3f}   {moves[1]:10.3f}")

# %% [markdown]
# Starting at one is starting with the brake on: the first move is a hundredth of a learning rate,
# and only after a hundred steps is the brake released. Starting at zero is the opposite. The first
# moves are three times too long, because the mean of one square, begun at zero, is a tenth of that
# square.
#
# And `epsilon`? It acts where the running mean is smaller than it. A weight whose gradients are
# below $\sqrt{10^{-7}} = 0.0003$ moves less in Keras than in TensorFlow 1. Are there such weights?
# Take the same network and the same batches, and step {glue:text}`n_steps` times with either.

# %%
early, shares = {}, {}
for name, (start, epsilon) in {"TensorFlow 1": (1.0, 1e-10), "Keras": (0.0, 1e-7)}.items():
    trial = initial_weights(0, "keras")
    squares = [tf.Variable(tf.fill(v.shape, start)) for v in trial.values()]
    step = make_step(trial, squares, 0.8, epsilon)
    early[name] = []
    for k in range(n_steps):
        rows = np.arange(k * batch_size, (k + 1) * batch_size) % len(x_train)
        early[name].append(float(step(x_train[rows], y_train[rows], tf.constant([0, 3 * k]))))
    small = [np.mean(square.numpy() < 1e-7) * np.size(square) for square in squares]
    shares[name] = float(sum(small) / sum(np.size(square) for square in squares))
    print(f"{name:<13} loss of the first step {early[name][0]:.3f},"
          f" mean of the last ten {np.mean(early[name][-10:]):.3f}")
print(f"running means below 1e-7 with Keras: {shares['Keras']:.0%}")

# %% tags=["hide-cell"]
record("n_steps", n_steps)
record("early_loss_tf", float(np.mean(early["TensorFlow 1"][-10:])))
record("early_loss_keras", float(np.mean(early["Keras"][-10:])))
record("small_percent", 100 * shares["Keras"])

# %% mystnb={"image": {"alt": "The loss over the first gradient steps, two jagged lines: RMSprop as in TensorFlow 1, which stays near the start for many steps and then sinks smoothly, and as in Keras, which moves at once, upwards at first."}}
fig, ax = plt.subplots(figsize=(6.4, 3.2))
for (name, values), look in zip(early.items(), plots.style.LINES, strict=False):
    ax.plot(range(1, n_steps + 1), values, label=name, markevery=max(1, n_steps // 5), **look)
ax.set_yscale("log")
ax.yaxis.set_major_formatter("{x:g}")
ax.yaxis.set_minor_formatter("{x:g}")
ax.tick_params(axis="y", which="minor", labelsize=plots.style.SMALL)
ax.set_xlabel("step")
ax.set_ylabel("loss of the batch")
ax.legend()
plots.finish(fig)

# %% [markdown]
# After {glue:text}`n_steps` steps, the mean of the last ten losses is
# {glue:text}`early_loss_tf:.2f` with the start of TensorFlow 1 and
# {glue:text}`early_loss_keras:.2f` with that of Keras. One epoch has 391 steps, and there are
# twenty, so the start alone should soon be forgotten. The `epsilon` stays: with Keras's,
# {glue:text}`small_percent:.0f` % of the running means lie below it at this point.
#
# ## One change at a time
#
# Now the ladder. Each rung changes one thing and keeps the ones before: dropout, then the initial
# weights, then RMSprop. The last change, from 20 epochs to 10, needs no run of its own. It is read
# off the same curves half-way. At the foot of the ladder stands the source's TensorFlow program,
# at the top its Keras program, function by function. Which rung will be the tallest? Write down an
# order before you run the cell.

# %% tags=["hide-output"]
settings["+ Keras's weights"] = (0.8, "keras", "TensorFlow 1")
settings["+ Keras's RMSprop"] = (0.8, "keras", "Keras")
pace = "epoch {epoch:2d}   loss {loss:.4f}   test accuracy {test_accuracy:.4f}"
for label in settings:
    for seed in seeds:
        print(f"{label}, seed {seed}")
        history_of(label, seed, line=pace)

# %%
half = n_epochs // 2 - 1  # the index of the epoch half-way
whole_run = {label: by_seed(label, "test_accuracy") for label in settings}
half_run = {label: by_seed(label, "test_accuracy", half) for label in settings}
print(f"{'test accuracy after':<20}{n_epochs:>10} epochs{n_epochs // 2:>10} epochs")
for label in settings:
    cells = [f"{np.mean(v[label]):.4f} ± {spread(v[label]):.4f}" for v in (whole_run, half_run)]
    print(f"{label:<20}{cells[0]:>17}{cells[1]:>17}")
top = list(settings)[-1]
assert np.mean(half_run[top]) > 0.12, "above the 0.1 of guessing"

# %% mystnb={"image": {"alt": "Two rows of dots for each rung of the ladder, the test accuracies of the seeds after all epochs and after half of them, with a short line at each mean; a dashed line marks the stated accuracy of the Keras program, 0.7414."}}
rows = {}
for label in settings:
    rows[f"{label}, {n_epochs}"] = whole_run[label]
    rows[f"{label}, {n_epochs // 2}"] = half_run[label]
plots.bars_with_spread(rows, "test accuracy", baseline=0.7414, baseline_label="stated, Keras",
                       from_zero=False, fmt=".4f")

# %% tags=["hide-cell"]
def points(difference):
    """Return a difference of accuracies in points, with its sign."""
    return f"{100 * difference:+.2f}".replace("-", "\N{MINUS SIGN}")


ends = [np.mean(values) for values in whole_run.values()] + [np.mean(half_run[top])]
changes = dict(zip(("dropout", "weights", "rmsprop", "epochs"), np.diff(ends), strict=True))
total = float(ends[-1] - ends[0])
for name, change in changes.items():
    record(f"change_{name}", points(change))
    record(f"share_{name}", f"{change / total:.0%}".replace("-", "\N{MINUS SIGN}")
           if total > 0.01 else "no share")
for name, label in zip(("dropout", "weights", "rmsprop"), list(settings)[1:], strict=True):
    before = list(settings)[list(settings).index(label) - 1]
    record(f"half_change_{name}", points(np.mean(half_run[label]) - np.mean(half_run[before])))
record("change_total", points(total))
record("gap_stated", points(0.7414 - 0.6361))
record("left_at_start", points(ends[0] - 0.6361))
record("left_at_end", points(0.7414 - ends[-1]))
assert abs(ends[0] - 0.6361 + sum(changes.values()) + 0.7414 - ends[-1] - (0.7414 - 0.6361)) < 1e-9

# %% tags=["hide-cell"]
names = {"dropout": "the dropout", "weights": "the initial weights",
         "rmsprop": "RMSprop's start and epsilon", "epochs": "the number of epochs"}
record("largest_change", names[max(changes, key=lambda name: changes[name])])
record("most_accurate", list(rows)[int(np.argmax([np.mean(v) for v in rows.values()]))])
for name, label in zip(("source", "dropout", "weights", "rmsprop"), settings, strict=True):
    record(f"ladder_{name}", float(np.mean(whole_run[label])))
    record(f"ladder_{name}_by_seed", whole_run[label])
    record(f"ladder_{name}_half", float(np.mean(half_run[label])))
    record(f"ladder_{name}_half_by_seed", half_run[label])
uncertain = np.sqrt(np.mean([spread(v) ** 2 for v in whole_run.values()]) * 2 / len(seeds))
record("change_uncertain", float(100 * uncertain))

# %% [markdown]
# The accounts, in points, that is in hundredths of the accuracy:
#
# | from → to | change | share of our gap | the same after half of the epochs |
# |---|---|---|---|
# | stated for TensorFlow → our run of it | {glue:text}`left_at_start` | | |
# | dropout 1.0 → 0.8 | {glue:text}`change_dropout` | {glue:text}`share_dropout` | {glue:text}`half_change_dropout` |
# | initial weights, the source's → Keras's | {glue:text}`change_weights` | {glue:text}`share_weights` | {glue:text}`half_change_weights` |
# | RMSprop, TensorFlow 1's → Keras's | {glue:text}`change_rmsprop` | {glue:text}`share_rmsprop` | {glue:text}`half_change_rmsprop` |
# | 20 epochs → 10 | {glue:text}`change_epochs` | {glue:text}`share_epochs` | |
# | our last rung → stated for Keras | {glue:text}`left_at_end` | | |
# | **stated gap, 0.6361 → 0.7414** | {glue:text}`gap_stated` | | |
#
# The column of changes adds up to the stated gap: nothing is swept under the carpet. Our four
# changes together make {glue:text}`change_total` points. The first and the last line are what is
# left over. They compare single stated runs with the means of ours, so each holds the luck of one
# draw, and whatever our copy of the images or eight years of software have changed.
#
# Compare the two columns of numbers in the row of the dropout. A network that is thinned at every
# step learns more slowly, so what dropout is worth depends on how long one trains.
#
# How far can one trust a line? Three seeds that spread as ours do leave an uncertainty of about
# {glue:text}`change_uncertain:.1f` points in the difference of two means. Read smaller changes as
# "none that we could measure". The largest change is due to {glue:text}`largest_change`. The best
# mean of all eight is that of "{glue:text}`most_accurate`".
#
# One warning about ladders. What a change is worth may depend on the rung on which it is made:
# good initial weights may be worth more to a network with dropout than to one without. A ladder
# answers "what took us from here to there", in one order. Exercise 5 climbs it in another.
#
# ## What the network sees
#
# Now look inside the network that we trained by hand. Its 32 kernels have three slices each,
# for red, green and blue, so they can be shown in colour. Middle grey is zero.

# %% mystnb={"image": {"alt": "Thirty-two kernels of 4 x 4 cells in colour: some are edges between light and dark, some oppose two colours, some are nearly uniform."}}
kernels = np.moveaxis(weights["conv1_kernel"].numpy(), 3, 0)
largest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
plots.image_row(list(0.5 + 0.5 * kernels / largest), n_cols=8)

# %% [markdown]
# Each is scaled to its own largest weight. A kernel of one colour throughout averages; one with a
# light and a dark side answers to an edge; one with blue against orange tells sky from sand. Now a
# frog, if there is one among the test images, on its way through the network.

# %%
def see(weights, image):
    """Return what both convolutions make of one image: arrays of shape (h, w, maps)."""
    first = tf.nn.relu(tf.nn.conv2d(image[None], weights["conv1_kernel"], 1, "SAME")
                       + weights["conv1_bias"])
    second = tf.nn.conv2d(tf.nn.max_pool2d(first, 2, 2, "SAME"), weights["conv2_kernel"], 1, "SAME")
    return first[0].numpy(), tf.nn.relu(second + weights["conv2_bias"])[0].numpy()


frog = int(np.flatnonzero(y_test == class_names.index("frog"))[0])
first_maps, second_maps = see(weights, x_test[frog])
dark = [int((maps.max(axis=(0, 1)) == 0).sum()) for maps in (first_maps, second_maps)]
print(f"maps that are black all over: {dark[0]} of 32, then {dark[1]} of 64")
record("n_black_first", dark[0])
record("n_black_second", dark[1])

# %% mystnb={"image": {"alt": "A small colour photograph of a frog from the test set."}}
plots.image_row([x_test[frog]], ["what goes in"], n_cols=1)

# %% mystnb={"image": {"alt": "Thirty-two grey maps of 32 x 32 cells, the frog seen through the kernels of the first layer: outlines, light areas, dark areas; some maps are even or black."}}
plots.feature_maps(first_maps, n_cols=8)

# %% mystnb={"image": {"alt": "The first thirty-two of the sixty-four maps of the second layer, 16 x 16 cells each: scattered bright spots; the frog is hard to recognise."}}
plots.feature_maps(second_maps[:, :, :32], n_cols=8)

# %% [markdown]
# In the first layer you can still find the frog. {glue:text}`n_black_first` of the 32 maps are
# black all over on this image, and {glue:text}`n_black_second` of the 64 after them: biases of
# size 1 have switched them off, as they did in {doc}`04_mnist_tensorflow`.
#
# ## What it takes for what

# %% mystnb={"image": {"alt": "Confusion matrix of the ten classes on the test set, rows for the truth and columns for the prediction. The darkest mistakes lie among the animals and between the two road vehicles."}}
chances = tf.nn.softmax(predict(weights, x_test)).numpy()
predicted = chances.argmax(axis=1)
plots.confusion_matrix(y_test, predicted, class_names)

# %% tags=["hide-cell"]
counts = np.zeros((10, 10), int)
np.add.at(counts, (y_test, predicted), 1)
recall = counts.diagonal() / counts.sum(axis=1)
np.fill_diagonal(counts, 0)
true, taken_for = np.unravel_index(counts.argmax(), counts.shape)
certain = (predicted != y_test) & (chances.max(axis=1) > 0.99)
record("worst_pair", f"{class_names[true]} taken for {class_names[taken_for]}")
record("worst_pair_count", int(counts.max()))
record("n_mistakes", int(counts.sum()))
record("n_certain_mistakes", int(certain.sum()))
record("frog_recall_percent", 100 * float(recall[class_names.index("frog")]))
record("easiest_class", class_names[int(recall.argmax())])
record("hardest_class", class_names[int(recall.argmin())])
record("hardest_recall_percent", 100 * float(recall.min()))

# %% [markdown]
# The most frequent mistake is {glue:text}`worst_pair`, {glue:text}`worst_pair_count` times. Of the
# frogs, {glue:text}`frog_recall_percent:.0f` % are found. The easiest class is
# "{glue:text}`easiest_class`", the hardest "{glue:text}`hardest_class`", with
# {glue:text}`hardest_recall_percent:.0f` % found. So the frogs of our question stand for all
# the animals. Here are the mistakes of which the network was most certain:

# %% mystnb={"image": {"alt": "A grid of colour photographs that the network misread, the most confident mistake first, with the true and the predicted class below each."}}
plots.mistakes(x_test, y_test, chances, class_names, n=30)

# %% [markdown]
# Would you have read them? Unlike the worst digits of {doc}`04_mnist_tensorflow`, most of these are
# plain to a person. Of its {glue:text}`n_mistakes` mistakes, the network made
# {glue:text}`n_certain_mistakes` with more than 99 % certainty.
#
# And now the test that you have sat already. The same twenty images:

# %%
right = predicted[twenty] == y_test[twenty]
for k, row in enumerate(twenty):
    print(f"{k + 1:2d} {class_names[y_test[row]]:<11} read as {class_names[predicted[row]]:<11}"
          f" certainty {chances[row].max():.2f}{'' if right[k] else '   wrong'}")
print(f"{right.sum()} of 20")
record("n_right_of_twenty", int(right.sum()))

# %% [markdown]
# {glue:text}`n_right_of_twenty` of 20. And you? If you read more, you have found out what this
# part of the book is about.
#
# ## Channels first or last
#
# "The order of the axes greatly affects the time", one of the sources says. The images of this
# chapter have their channels last. TensorFlow's convolution also takes them first, where the
# machine can do it; on some CPUs it refuses. Then the maps must be transposed before and after.
# What do the two orders cost here, for the second convolution and a batch of 128?

# %%
maps = tf.random.normal([128, 16, 16, 32])
maps_first = tf.transpose(maps, [0, 3, 1, 2])
kernel = tf.random.normal([4, 4, 32, 64])
layout_ms = {"last": milliseconds(tf.function(lambda m: tf.nn.conv2d(m, kernel, 1, "SAME")), maps)}
try:
    first = tf.function(lambda m: tf.nn.conv2d(m, kernel, 1, "SAME", data_format="NCHW"))
    layout_ms["first"] = milliseconds(first, maps_first)
except tf.errors.OpError as error:
    print("channels first is refused here:", str(error).splitlines()[0][:90])
turn = tf.function(lambda m: tf.transpose(m, [0, 3, 1, 2]))
layout_ms["transposing"] = milliseconds(turn, maps)
for name, spent_ms in layout_ms.items():
    print(f"{name:<12} {spent_ms:6.1f} ms")
record("channels_last_ms", layout_ms["last"])
record("channels_first_ms",
       f"{layout_ms['first']:.1f} ms" if "first" in layout_ms else "refused on this machine")
record("transposing_ms", layout_ms["transposing"])

# %% [markdown]
# Channels last: {glue:text}`channels_last_ms:.1f` ms. Channels first:
# {glue:text}`channels_first_ms`. Turning the maps from one order into the other:
# {glue:text}`transposing_ms:.1f` ms. The claim was made for graphics cards and the libraries of its
# time. What holds everywhere: choose one order, keep it from the first layer to the last, and
# measure before you change it.
#
# ## Exercises
#
# **1. Warm-up.** A layer has 1,024 units, and `keep_prob` is 0.8. How many are kept on average?
# By how much does that number vary from throw to throw?
#
# :::{dropdown} Hint
# A sum of $n$ coins that fall on heads with probability $p$ has the mean $np$ and the standard
# deviation $\sqrt{np(1-p)}$.
# :::
#
# :::{dropdown} Solution
# 819.2, and $\sqrt{1024 \cdot 0.8 \cdot 0.2} = 12.8$. So in nearly all throws between 780 and 860
# of the units are left. The cell below throws ten thousand times.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
kept = np.random.default_rng(0).binomial(1024, 0.8, size=10_000)
print(f"mean {kept.mean():.1f}, standard deviation {kept.std():.1f}")

# %% [markdown]
# **2.** Replace the kernels of 4 x 4 by 5 x 5, and `SAME` by `VALID` in both convolutions. Which
# shapes, how many parameters, how many multiply-adds?
#
# :::{dropdown} Hint
# 32 → 28 → 14 → 10 → 5.
# :::
#
# :::{dropdown} Solution
# 2,432 + 51,264 + 1,639,424 + 10,250 = 1,703,370 parameters. The dense layer has shrunk to two
# fifths, because it reads 5 x 5 x 64 numbers in place of 8 x 8 x 64. The multiply-adds are in the
# cell below.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
counts_of_layers = [(5 * 5 * 3 + 1) * 32, (5 * 5 * 32 + 1) * 64, (5 * 5 * 64 + 1) * 1024, 10_250]
print(" + ".join(f"{n:,}" for n in counts_of_layers), "=", f"{sum(counts_of_layers):,}")
operations = [28**2 * 5 * 5 * 3 * 32, 10**2 * 5 * 5 * 32 * 64, 5 * 5 * 64 * 1024, 1024 * 10]
print(f"{sum(operations):,} multiply-adds")

# %% [markdown]
# **3.** The paper of {cite:t}`srivastava2014dropout` does not divide while training. It multiplies
# the weights by `keep_prob` when testing. Show that both agree on average for one linear unit, and
# say why dividing while training has won.
#
# :::{dropdown} Hint
# Compare the mean of $w \cdot (m \odot h)$ over masks $m$ with $0.8\, w \cdot h$.
# :::
#
# :::{dropdown} Solution
# The mean of each $m_i$ is 0.8, so the mean of the sum is 0.8 times the full sum: the cell below
# throws the dice. Dividing while training leaves the network that is used, saved and handed on
# without a trace of dropout. Nobody who loads it needs to know `keep_prob`.
# :::

# %% tags=["hide-cell"]
rng = np.random.default_rng(0)
w, h = rng.normal(size=50), rng.normal(size=50)
masks = rng.random((200_000, 50)) < 0.8
paper, ours = (masks * h) @ w, (masks * h / 0.8) @ w
print(f"undivided {paper.mean():.3f}, 0.8 of the full sum {0.8 * w @ h:.3f}")
print(f"divided   {ours.mean():.3f}, the full sum        {w @ h:.3f}")
assert abs(ours.mean() - w @ h) < 0.05

# %% [markdown]
# **4.** Check our RMSprop against `keras.optimizers.RMSprop` on one variable, for five steps. Then
# give ours the start of TensorFlow 1, and see how far the first five steps go.
#
# :::{dropdown} Hint
# The two lines of `make_step` under the loop are all you need; use NumPy.
# :::
#
# :::{dropdown} Solution
# See the cell below. With a start at one, gradients of size one shorten the first steps a
# little; gradients of 0.01 would shorten them a hundredfold.
# :::

# %% tags=["hide-cell"]
rng = np.random.default_rng(0)
theirs, by_hand, braked = tf.Variable(tf.ones(6)), np.ones(6), np.ones(6)
rmsprop, square, square_1 = keras.optimizers.RMSprop(0.01), np.zeros(6), np.ones(6)
for _ in range(5):
    g = rng.normal(size=6).astype("float32")
    rmsprop.apply_gradients([(tf.constant(g), theirs)])
    square, square_1 = 0.9 * square + 0.1 * g**2, 0.9 * square_1 + 0.1 * g**2
    by_hand -= 0.01 * g / np.sqrt(square + 1e-7)
    braked -= 0.01 * g / np.sqrt(square_1 + 1e-10)
print("Keras          ", theirs.numpy().round(4))
print("by hand        ", by_hand.round(4))
print("TensorFlow 1's ", braked.round(4))
assert np.linalg.norm(theirs.numpy() - by_hand) <= 1e-4 * np.linalg.norm(by_hand)

# %% [markdown]
# **5. Open-ended.** Climb the ladder in another order: the initial weights first, the dropout
# last. What is each change worth now? If the two ladders disagree about a change, which of them is
# right?
#
# :::{dropdown} Hint
# Two new settings are enough, for example `(1.0, "keras", "TensorFlow 1")`. Add them to `settings`
# and call `history_of`.
# :::
#
# :::{dropdown} What to look for
# Both ladders lead from the same program to the same other program. So the changes must add up to the
# same gap, whatever the order; only its division may differ. Where the two disagree by more than the
# uncertainty of a difference of two means, the changes act on each other, and neither ladder is right
# alone. The honest report then names both numbers, and the order in which each was found.
# :::
#
# ## Check yourself
#
# **1.** Training accuracy 0.97, test accuracy 0.63. Would a larger network help?
#
# :::{dropdown} Answer
# Not by itself. This one can already hold its training images in memory. It needs to be kept from
# doing that: by dropout, by more images, or by stopping earlier.
# :::
#
# **2.** How do you find out, from the outside, whether dropout acts while a network trains?
#
# :::{dropdown} Answer
# Ask it twice about the same image in its training mode. If the answers are equal, nothing is
# dropped.
# :::
#
# **3.** With dropout on, the training loss is higher at the end than without. Is that a fault?
#
# :::{dropdown} Answer
# No. It is measured on thinned networks while they train, and keeping that loss from vanishing is
# the purpose. Look at the test loss.
# :::
#
# **4.** The untrained network has a loss near $\ln 10$. Is its start in order?
#
# :::{dropdown} Answer
# Not necessarily. A network whose answer does not depend on the image has such a loss too. See how
# much the logits change from image to image.
# :::
#
# **5.** Two programs differ in four settings, and in ten points of accuracy. You change one
# setting and win three points. Is that setting worth three points?
#
# :::{dropdown} Answer
# On this rung of the ladder, for these seeds. Measured from the other end it may be worth more or
# less. And three points must first be compared with the spread over the seeds.
# :::
#
# ## Summary
#
# - A photograph is harder than a digit because its class is not a matter of where the pixels are
#   bright: the nearest mean reads {glue:text}`nearest_mean_photos:.2f` of the photographs and
#   {glue:text}`nearest_mean_digits:.2f` of the digits. A pass takes
#   {glue:text}`multiply_adds_ratio:.1f` times the arithmetic, not ten times.
# - As the source ran it, the network learns by heart: {glue:text}`last_train_accuracy:.2f` on
#   training images, {glue:text}`test_accuracy:.4f` on test images, where 0.6361 was stated.
# - Its dropout never acted, because `keep_prob` was fed as 1.0. With 0.8 the test accuracy is
#   {glue:text}`dropout_accuracy:.4f`.
# - The gap to the Keras program, by one change at a time, in points: dropout
#   {glue:text}`change_dropout`, initial weights {glue:text}`change_weights`, RMSprop
#   {glue:text}`change_rmsprop`, epochs {glue:text}`change_epochs`; uncertain by about
#   {glue:text}`change_uncertain:.1f`.
# - Dropout sets numbers to zero at random and enlarges the others, so that the mean stays. It acts
#   in training only.
#
# ## Further reading
#
# - {cite:t}`krizhevsky2009learning`, who made the data set, and {cite:t}`torralba2008tiny`, where
#   its images came from.
# - {cite:t}`srivastava2014dropout`: dropout, with many experiments and clear pictures.
# - {cite:t}`tieleman2012rmsprop`: the lecture in which RMSprop was first shown.
# - {cite:t}`glorot2010understanding`, on initial weights.
# - {cite:t}`hophuoc2018cifar10`, on how people do.
#
# The same network in Keras, and when to stop: {doc}`07_cifar10_keras`. Before it:
# {doc}`05_mnist_keras`.
#
# ## How this page was made

# %% tags=["hide-input"]
conditions(dataset, digits)
