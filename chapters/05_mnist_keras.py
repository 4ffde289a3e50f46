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
# # The same network in Keras
#
# **What did we stop writing?**
#
# By the end of this chapter you will be able to
#
# - write LeNet in Keras, and say for each line which lines of {doc}`04_mnist_tensorflow` it
#   replaces;
# - prove that two programs compute the same function, by copying the weights across;
# - explain why softmax in the last layer and softmax in the loss are the same function and not the
#   same arithmetic;
# - take a difference between two results apart, with an experiment in place of an opinion;
# - save a model, load it, and have it read a digit that you drew.
#
# You need {doc}`04_mnist_tensorflow`: this chapter is its twin.
#
# Time to read and to try things out: about ninety minutes. Minutes of computing, all cells, on two
# CPU cores: {glue:text}`minutes`. On a GPU: not measured.

# %% tags=["parameters"]
n_train = None  # images to train on; None: all 55,000
n_valid = None  # images to watch the training with; None: all 5,000
n_test = None  # images for the final test; None: all 10,000
n_epochs = 10  # passes over the training images
batch_size = 100  # images per gradient step
learning_rate_sgd = 0.01  # step size of plain gradient descent
learning_rate_adam = 0.001  # step size of Adam
seeds = [0, 1, 2]  # one training run for each; they fix the initial weights and the batches

# %%
import keras
import numpy as np
import tensorflow as tf
from keras import layers

from datasetslib import conditions, plots, record, training
from datasetslib.mnist import mnist

plots.use_style()
dataset = mnist(n_train=n_train, n_valid=n_valid, n_test=n_test)
dataset.load_data()
dataset.scaleX()
flat_train, flat_valid, flat_test = dataset.X_train, dataset.X_valid, dataset.X_test
y_train, y_valid, y_test = dataset.Y_train, dataset.Y_valid, dataset.Y_test
print("images", flat_train.shape[1:], "labels", y_train.shape[1:])

# %% [markdown]
# This time each image comes as a row of 784 numbers, as it did in the run that we reproduce. The
# network will fold it up itself.
#
# ## Nine lines
#
# In the last chapter the network took eight variables, three functions and a loop. Here it is
# again:

# %%
def build(last="softmax"):
    """Return LeNet for rows of 784 numbers; `last` is what the last layer ends with."""
    return keras.Sequential([
        keras.Input((784,)),
        layers.Reshape((28, 28, 1)),
        layers.Conv2D(32, 4, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 4, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(1024, activation="relu"),
        layers.Dense(10, activation=last),
    ])

# %% [markdown]
# What did we stop writing? Go through it line by line, and cover the right column first.
#
# | In Keras | In chapter 04 |
# |---|---|
# | `Conv2D(32, 4, padding="same", activation="relu")` | two variables with their shapes and their initial values; `tf.nn.conv2d(h, kernel, strides=1, padding="SAME")`; `+ bias`; `tf.nn.relu(...)` |
# | `MaxPooling2D(2)` | `tf.nn.max_pool2d(h, 2, strides=2, padding="SAME")` |
# | `Flatten()` | `tf.reshape(h, [-1, 7 * 7 * 64])`, and the 7 x 7 x 64 that we worked out by hand |
# | `Dense(1024, activation="relu")` | two more variables; `tf.nn.relu(h @ kernel + bias)` |
# | `Dense(10, activation="softmax")` | two more; the softmax was inside the loss |
# | `compile(optimizer, loss, metrics)` | `mean_loss`; the optimiser; the count of right answers |
# | `fit(x, y, batch_size, epochs)` | `make_step` with its `GradientTape` and `tf.function`; the shuffling; the loop |
# | `predict(x)` | `predict`, a thousand images at a time |
# | `save(path)` | the dictionary of arrays, and the code that builds the network |
#
# The number of input channels appears nowhere. Each layer learns it from the layer before, when
# the model is built. Neither does the initialisation. That is convenient, and it is a decision
# that somebody else has taken for us; keep it in mind.
#
# Before you run the next cell: how many parameters has each layer? You have counted them twice.

# %%
model = build()
model.summary(line_length=76, print_fn=lambda text: print(text))

# %% tags=["nbval-check-output"]
counted = [layer.count_params() for layer in model.layers if layer.count_params()]
print(" + ".join(f"{n:,}" for n in counted), "=", f"{model.count_params():,}")
assert counted == [544, 32_832, 3_212_288, 10_250]
assert model.count_params() == 3_255_914

# %% tags=["hide-cell"]
record("n_parameters", model.count_params())

# %% [markdown]
# 3,255,914 again, layer by layer as the source of this experiment states them.
#
# ## Is it the same function?
#
# The same counts do not make the same function. The kernels might be flipped, the padding might
# fall on the other side, the flattening might go through the maps in another order. How would you
# find out? Copy the weights across, show both networks the same images, and compare the logits.
#
# Here are the functions of {doc}`04_mnist_tensorflow`, copied word for word.

# %% tags=["hide-input"]
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

# %% tags=["hide-input"]
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

# %% tags=["hide-input"]
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


def predict(weights, images):
    """Return the logits of any number of images as one NumPy array."""
    return np.concatenate(
        [lenet(weights, images[k : k + 1000]).numpy() for k in range(0, len(images), 1000)]
    )

# %% tags=["hide-input"]
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
# They want images, so we fold the rows. Then the experiment. `set_weights` takes the arrays in the
# order of the layers, kernel before bias, which is the order of our dictionary too. The softmax is
# left out for the moment: `build(last=None)` ends with the logits.

# %%
x_train, x_valid, x_test = (
    flat.reshape(-1, 28, 28, 1) for flat in (flat_train, flat_valid, flat_test)
)
weights = initial_weights(seed=0)
linear = build(last=None)
linear.set_weights([variable.numpy() for variable in weights.values()])


def relative_difference(a, b):
    """Return the norm of the difference of two arrays over the norm of the second."""
    return float(np.linalg.norm(np.asarray(a) - np.asarray(b)) / np.linalg.norm(b))


logits_difference = relative_difference(linear(flat_test[:200]), lenet(weights, x_test[:200]))
print(f"relative difference of the logits: {logits_difference:.1e}")
assert logits_difference <= 1e-4
record("logits_difference", f"{logits_difference:.0e}" if logits_difference else "0")

# %% [markdown]
# The relative difference is {glue:text}`logits_difference`. A float32 carries about seven digits,
# and a sum of thousands of products may lose one of them. So whatever lies below a millionth is
# rounding, and nothing is left to explain.
#
# Training follows the gradients. Are these equal too? All eight, from the same batch:

# %%
with tf.GradientTape() as tape:
    loss = mean_loss(weights, x_train[:batch_size], y_train[:batch_size])
ours = tape.gradient(loss, list(weights.values()))

with tf.GradientTape() as tape:
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = cross_entropy(y_train[:batch_size], linear(flat_train[:batch_size]))
theirs = tape.gradient(loss, [variable.value for variable in linear.trainable_variables])

for name, a, b in zip(weights, theirs, ours, strict=True):
    print(f"{name:<13}  relative difference of the gradients {relative_difference(a, b):.1e}")
gradients_difference = max(map(relative_difference, theirs, ours))
assert gradients_difference <= 1e-4
record("gradients_difference", f"{gradients_difference:.0e}")

# %% [markdown]
# At most {glue:text}`gradients_difference`. Same function, same gradients: from here on, every
# difference between the two chapters must come from what we feed the network, where it starts, or
# how it steps. Not from the framework.
#
# ## Softmax here or softmax there
#
# The Keras network of the source ends in softmax, and its loss is told probabilities. In
# TensorFlow the network ended in logits and the loss did both. On paper, the two are one function.
# In float32?
#
# Take the untrained weights of the last chapter, the ones that were sure of nonsense. Compute the
# loss in three ways: from the logits; from nothing but probabilities; and as `evaluate` does it,
# for the model with softmax at its end. Guess which two agree.

# %%
onehot_train = keras.utils.to_categorical(y_train, 10)
onehot_valid = keras.utils.to_categorical(y_valid, 10)
onehot_test = keras.utils.to_categorical(y_test, 10)

soft = build()
soft.set_weights(linear.get_weights())
soft.compile(loss="categorical_crossentropy")
some_x, some_y = flat_train[:1000], onehot_train[:1000]
logits = linear(some_x).numpy()
probabilities = soft(some_x).numpy()

from_logits = float(keras.losses.CategoricalCrossentropy(from_logits=True)(some_y, logits))
from_probabilities = float(keras.losses.CategoricalCrossentropy()(some_y, probabilities))
as_evaluated = float(soft.evaluate(some_x, some_y, verbose=0))
print(f"from logits           {from_logits:8.4f}")
print(f"from probabilities    {from_probabilities:8.4f}")
print(f"as evaluate does it   {as_evaluated:8.4f}")
assert abs(as_evaluated - from_logits) <= 1e-4 * from_logits
assert from_probabilities < -np.log(1e-7) + 0.01

# %% tags=["hide-cell"]
record("loss_from_logits", from_logits)
record("loss_from_probabilities", from_probabilities)

# %% [markdown]
# From the logits {glue:text}`loss_from_logits:.2f`, from the probabilities
# {glue:text}`loss_from_probabilities:.2f`. Keras does not let a probability fall below $10^{-7}$,
# for the logarithm of zero is minus infinity. So no image can cost more than
# $-\ln 10^{-7} = 16.1$, however wrong the network is. Worse, where the limit acts, the loss is
# flat. What does that do to the gradient?

# %%
z = tf.constant(logits)
with tf.GradientTape() as tape:
    tape.watch(z)
    loss = tf.reduce_sum(keras.losses.categorical_crossentropy(some_y, tf.nn.softmax(z)))
clipped = tape.gradient(loss, z).numpy()
exact = tf.nn.softmax(z).numpy() - some_y
stuck = (np.abs(clipped).max(axis=1) == 0) & (np.abs(exact).max(axis=1) > 0.5)
print(f"{stuck.mean():.1%} of the images are read wrongly and teach nothing")
record("stuck_percent", 100 * float(stuck.mean()))

# %% [markdown]
# {glue:text}`stuck_percent:.0f` % of the images, all of them badly wrong, have a gradient of
# exactly zero. They teach the network nothing, and they are the ones it should learn from most.
#
# And yet `evaluate` agreed with the logits. When Keras runs as a graph on TensorFlow, its loss
# looks at where the probabilities came from. If it finds a softmax, it takes the softmax's input
# and computes from that. So `softmax` plus `categorical_crossentropy` is safe inside `fit`. It is
# not when you call the loss on numbers of your own. The rule that is always safe: logits out of
# the network, and `from_logits=True`.
#
# :::{note}
# `categorical_crossentropy` wants a row of ten with a single one for each label, which
# `to_categorical` makes. `sparse_categorical_crossentropy` wants the label itself. Same loss, same
# gradients, a tenth of the memory for ten classes and a thousandth for a thousand. Handing one
# kind of label to the other loss is among the most common errors with Keras; the shapes give it
# away.
# :::
#
# ## Training in two lines
#
# `compile` says how to train, `fit` trains:
#
# ```python
# model.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy", metrics=["accuracy"])
# model.fit(x, y, batch_size=100, epochs=10)
# ```
#
# We call `fit` through `training.fit`, which does the same an epoch at a time. It prints one line
# an epoch, and can go on where a stopped run left off.

# %%
def train_keras(optimiser, learning_rate, seed, line=None):
    """Train the Keras network; return it and what was measured after each epoch."""
    keras.utils.set_random_seed(seed)
    model = build()
    choices = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    model.compile(
        choices[optimiser](learning_rate), "categorical_crossentropy", metrics=["accuracy"]
    )
    history = training.fit(
        model, flat_train, onehot_train, n_epochs=n_epochs, batch_size=batch_size, seed=seed,
        name=f"mnist-keras-{optimiser}-seed{seed}",
        validation_data=(flat_valid, onehot_valid), line=line,
    )
    return model, history

# %% [markdown]
# The stated run used plain stochastic gradient descent with a step of 0.01, and the initial
# weights that Keras chooses. Three seeds:

# %%
short = "epoch {epoch:2d}   loss {loss:.4f}   accuracy {accuracy:.4f}   val {val_accuracy:.4f}"
runs = {}
for seed in seeds:
    print(f"seed {seed}")
    runs[seed] = train_keras("sgd", learning_rate_sgd, seed, line=short)

scores = [model.evaluate(flat_test, onehot_test, verbose=0) for model, _ in runs.values()]
losses, accuracies = (list(map(float, column)) for column in zip(*scores, strict=True))
for seed, loss, accuracy in zip(seeds, losses, accuracies, strict=True):
    print(f"seed {seed}: test loss {loss:.4f}, test accuracy {accuracy:.4f}")
assert min(accuracies) > 0.3, "well above the 0.1 of guessing"

# %% tags=["hide-cell"]
def spread(values):
    """Return the standard deviation over the seeds."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


histories = [history for _, history in runs.values()]
paces = [history.seconds_per_epoch for history in histories]
record("test_accuracy", float(np.mean(accuracies)))
record("test_accuracy_by_seed", accuracies)
record("test_accuracy_spread", spread(accuracies))
record("test_accuracy_listed", ", ".join(f"{a:.4f}" for a in accuracies))
record("test_loss", float(np.mean(losses)))
record("test_loss_by_seed", losses)
record("first_loss", float(np.mean([h["loss"][0] for h in histories])))
record("last_loss", float(np.mean([h["loss"][-1] for h in histories])))
record("first_accuracy", float(np.mean([h["accuracy"][0] for h in histories])))
record("last_accuracy", float(np.mean([h["accuracy"][-1] for h in histories])))
record("seconds_per_epoch", None if None in paces else float(np.median(paces)))

# %% [markdown]
# Ours against the stated log, as means over the seeds:
#
# | | stated | ours |
# |---|---|---|
# | training accuracy, first epoch | 0.7631 | {glue:text}`first_accuracy:.4f` |
# | training accuracy, last epoch | 0.9804 | {glue:text}`last_accuracy:.4f` |
# | training loss, first epoch | 0.8854 | {glue:text}`first_loss:.4f` |
# | training loss, last epoch | 0.0630 | {glue:text}`last_loss:.4f` |
# | test loss | 0.0629 | {glue:text}`test_loss:.4f` |
# | test accuracy | 0.9785 | {glue:text}`test_accuracy:.4f` |
#
# By seed, the test accuracies are {glue:text}`test_accuracy_listed`, with a standard deviation of
# {glue:text}`test_accuracy_spread:.4f`. Training and test agree closely: this network is not yet
# learning by heart.
#
# ## Why is it worse by a point?
#
# Chapter 04 states 0.9884, this one 0.9785. We have proved that both networks are the same
# function. So where does a point of accuracy go? The source puts it down to the optimiser: SGD
# here, Adam there.
#
# Maybe. But two things changed between the chapters, and one of them does not show in the code.
# What is the other?
#
# :::{dropdown} The other
# The initial weights. Chapter 04 draws its kernels with standard deviation 0.1, and its biases with
# ten times that. Keras starts the biases at zero and draws the kernels by Glorot's rule
# {cite:p}`glorot2010understanding`, which for the large dense layer means a standard deviation of
# 0.022.
# :::
#
# Two causes, changed together, cannot be told apart. So change them one at a time: four cells,
# each combination once, three seeds each. Make your prediction before you read on: which of the
# four will be best, and which worst?
#
# One row of the table is the last chapter's network with its initial weights; we have its
# functions above. Its run with Adam *is* the run of chapter 04, down to the seed. If
# `DATASETSLIB_RUNS` names the folder where that chapter left its runs, it is read from there and
# not trained again.

# %% tags=["hide-output"]
cells = {"Keras, SGD": accuracies}
curves = {"Keras, SGD": runs[seeds[0]][1].metrics}
pace = "epoch {epoch:2d}   loss {loss:.4f}   val {val_accuracy:.4f}"

for optimiser, rate in (("sgd", learning_rate_sgd), ("adam", learning_rate_adam)):
    label = f"chapter 04, {'SGD' if optimiser == 'sgd' else 'Adam'}"
    cells[label] = []
    for seed in seeds:
        print(f"{label}, seed {seed}")
        weights, history = train(optimiser, rate, seed, line=pace)
        correct = predict(weights, x_test).argmax(axis=1) == y_test
        cells[label].append(float(correct.mean()))
        curves.setdefault(label, history.metrics)

cells["Keras, Adam"] = []
for seed in seeds:
    print(f"Keras, Adam, seed {seed}")
    model, history = train_keras("adam", learning_rate_adam, seed, line=pace)
    cells["Keras, Adam"].append(float(model.evaluate(flat_test, onehot_test, verbose=0)[1]))
    curves.setdefault("Keras, Adam", history.metrics)

# %%
print(f"{'initial weights':<18}{'SGD':>20}{'Adam':>20}")
for start in ("chapter 04", "Keras"):
    row = [cells[f"{start}, {optimiser}"] for optimiser in ("SGD", "Adam")]
    print(f"{start:<18}" + "".join(f"{np.mean(v):>11.4f} ± {spread(v):.4f}" for v in row))
assert np.mean(cells["Keras, Adam"]) > 0.5, "well above the 0.1 of guessing"

# %% tags=["hide-cell"]
means = {label: float(np.mean(values)) for label, values in cells.items()}
for label, values in cells.items():
    name = label.replace("chapter 04", "tf").replace(", ", "_").lower()
    record(f"{name}_accuracy", float(np.mean(values)))
    record(f"{name}_accuracy_by_seed", values)
    record(f"{name}_spread", spread(values))


def points(better, worse):
    """Return a difference of two cells in points, with its sign."""
    return f"{100 * (means[better] - means[worse]):+.2f}".replace("-", "\N{MINUS SIGN}")


record("gap", points("chapter 04, Adam", "Keras, SGD"))
record("adam_for_keras", points("Keras, Adam", "Keras, SGD"))
record("adam_for_tf", points("chapter 04, Adam", "chapter 04, SGD"))
record("keras_start_for_sgd", points("Keras, SGD", "chapter 04, SGD"))
record("keras_start_for_adam", points("Keras, Adam", "chapter 04, Adam"))

# %% mystnb={"image": {"alt": "Four groups of dots, one for each combination of initial weights and optimiser, with the mean of each group marked: the test accuracies of three seeds. Both groups with Adam lie to the right of both groups with SGD. For either optimiser, the group that starts from Keras's weights lies to the right of the one that starts from those of chapter 04."}}
order = ["chapter 04, SGD", "Keras, SGD", "chapter 04, Adam", "Keras, Adam"]
plots.bars_with_spread(
    {label: cells[label] for label in order}, "test accuracy", from_zero=False, fmt=".4f"
)

# %% [markdown]
# Read the table along its rows and its columns, in points, that is in hundredths of the accuracy:
#
# - The gap between the two chapters, as run here: {glue:text}`gap`.
# - SGD replaced by Adam, Keras's initial weights kept: {glue:text}`adam_for_keras`.
# - SGD replaced by Adam, chapter 04's initial weights kept: {glue:text}`adam_for_tf`.
# - Chapter 04's initial weights replaced by those of Keras, under SGD:
#   {glue:text}`keras_start_for_sgd`.
# - The same under Adam: {glue:text}`keras_start_for_adam`.
#
# The claim is true, and it is half of the truth.
#
# The optimiser is worth about a point, whichever weights the network starts from: the second and
# the third number agree. The initial weights are worth more than half a point, whichever optimiser
# moves them: so do the fourth and the fifth. Neither effect needs the other.
#
# And in the comparison of the source the two work *against* each other. The Keras network lost a
# point to SGD, and won more than half of it back with the better start, which nobody had mentioned
# because nobody had chosen it. The gap of {glue:text}`gap` points is what was left over.
#
# Did you expect Adam to be immune to bad initial weights, since it gives each weight a step of its
# own? So did we. It is not. Look for the best of the four: it is the one that neither program of
# the source ran, Adam from the weights of Keras, with {glue:text}`keras_adam_accuracy:.4f`.

# %% mystnb={"image": {"alt": "The accuracy on the validation images over the epochs, one line for each of the four combinations, for the first seed. The two lines with Adam begin high and soon waver about a level. The two with SGD begin lower and are still rising slowly at the end."}}
plots.learning_curves(
    {label: {"validation accuracy": curves[label]["val_accuracy"]} for label in order},
    keys=("validation accuracy",),
)

# %% [markdown]
# Where are the curves going? A curve that still climbs in its last epoch belongs to a network that
# was stopped, not to one that cannot do better. Then "worse" means "slower at this step size", and
# more epochs, a larger step or some momentum may close the gap. {cite:t}`wilson2017marginal` even
# report problems on which SGD ends ahead, given time and a tuned step. Exercise 3 puts this
# network to that test.
#
# :::{admonition} A common misconception
# :class: warning
# "Keras is less accurate than TensorFlow." The frameworks computed the same logits and the same
# gradients. What differed were two settings, and one of them was invisible because it was a
# default.
# :::
#
# ## Old names and new
#
# :::{note}
# Books that use Keras 1 or 2 write `lr` where we write `learning_rate`, save to `.h5` where we
# save to `.keras`, pass `input_shape=` to the first layer where we write `keras.Input`, and import
# from `tensorflow.keras`. Some say `nb_epoch`, `Convolution2D` and `border_mode`. The ideas are
# the same.
# :::
#
# :::{note}
# Keras 3 computes nothing itself. It hands the work to a *backend*: TensorFlow, JAX or PyTorch.
# `keras.backend.backend()` names the present one. To choose another, set the environment variable
# `KERAS_BACKEND` to `tensorflow`, `jax` or `torch` before Keras is imported, or edit `keras.json`
# in the folder `.keras` of your home directory. It cannot be changed afterwards. Our `build`,
# `compile` and `fit` would run on each of them. The cells with `GradientTape` are TensorFlow's
# own.
# :::

# %% tags=["no-slide"]
print(keras.backend.backend(), "images as", keras.config.image_data_format())

# %% [markdown]
# ## Save, load
#
# A `.keras` file holds the architecture, the weights and the state of the optimiser. What comes
# back can predict, and can be trained further.

# %%
model = runs[seeds[0]][0]
path = training.model_path("mnist_keras.keras")
model.save(path)
loaded = keras.saving.load_model(path)

before, after = (m(flat_test[:200]).numpy() for m in (model, loaded))
assert relative_difference(after, before) <= 1e-4
assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations)
print(f"{path.stat().st_size / 1e6:.1f} MB, loaded after {int(loaded.optimizer.iterations)} steps")

# %% [markdown]
# ## A digit that you drew
#
# Now something that MNIST has never seen. A digit is a few strokes. A stroke is a list of points:
# here a curve and a line, x to the right and y downwards, in a square of side 1. Change the points
# and draw your own.

# %%
strokes = [
    [(0.26, 0.30), (0.30, 0.18), (0.42, 0.10), (0.56, 0.10), (0.68, 0.18), (0.71, 0.31),
     (0.65, 0.45), (0.50, 0.60), (0.36, 0.74), (0.24, 0.89)],
    [(0.24, 0.89), (0.40, 0.86), (0.58, 0.90), (0.78, 0.87)],
]
intended = 2

# %% [markdown]
# To rasterise it, ask of each pixel how far its centre is from the nearest piece of a stroke.
# Within half the width of the pen there is ink, outside there is none, and in between the ink
# fades over one pixel. That fading is called anti-aliasing, and the pixels of MNIST have it.

# %%
def rasterise(strokes, side=28, pen=2.4, fade=1.0):
    """Draw strokes, given in pixels, into an image of ink between 0 and 1."""
    y, x = np.mgrid[:side, :side] + 0.5
    distance = np.full((side, side), np.inf)
    for stroke in strokes:
        for (x0, y0), (x1, y1) in zip(stroke, stroke[1:], strict=False):
            along = (x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)
            along = np.clip(along / ((x1 - x0) ** 2 + (y1 - y0) ** 2), 0, 1)
            dx, dy = x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)
            distance = np.minimum(distance, np.hypot(dx, dy))
    return np.clip((pen / 2 - distance) / fade + 0.5, 0, 1).astype("float32")


def scaled(strokes, factor, shift):
    """Return the strokes, multiplied by a factor and then moved by (x, y)."""
    return [[(factor * x + shift[0], factor * y + shift[1]) for x, y in s] for s in strokes]

# %% [markdown]
# A network expects what it was trained on. MNIST's digits were fitted into a box of 20 x 20
# pixels, and moved so that their centre of mass lies in the middle of the 28 x 28. We do the same,
# and keep three careless versions to compare: the drawing in a corner, the drawing with hard
# edges, and the drawing with ink and paper exchanged, as a scanner would deliver it.

# %%
def like_mnist(strokes, fade=1.0):
    """Fit strokes into 20 x 20 pixels and centre their mass in 28 x 28."""
    corners = np.array([point for stroke in strokes for point in stroke])
    factor = (20 - 2.4) / np.ptp(corners, axis=0).max()
    image = rasterise(scaled(strokes, factor, 14 - factor * np.ptp(corners, axis=0) / 2
                             - factor * corners.min(axis=0)), fade=fade)
    y, x = np.mgrid[:28, :28] + 0.5
    mass = np.array([(x * image).sum(), (y * image).sum()]) / image.sum()
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    return rasterise(scaled(strokes, factor, 28 - factor * middle - mass), fade=fade)


drawings = {
    "like MNIST": like_mnist(strokes),
    "in a corner": rasterise(scaled(strokes, 14, (0, 0))),
    "hard edges": like_mnist(strokes, fade=1e-3),
    "ink on white": 1 - like_mnist(strokes),
}
chances = loaded.predict(np.stack(list(drawings.values())).reshape(-1, 784), verbose=0)
for name, row in zip(drawings, chances, strict=True):
    print(f"{name:<13} read as {row.argmax()}, certainty {row.max():.2f}")
assert np.allclose(chances.sum(axis=1), 1, atol=1e-4)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four drawings of the same digit two: centred with soft edges; small in the upper left corner; centred with jagged edges; black on white. Above each, what the network reads."}}
titles = [f"{n}\nread as {r.argmax()}" for n, r in zip(drawings, chances, strict=True)]
plots.image_row(list(drawings.values()), titles, n_cols=4)

# %% tags=["hide-cell"]
record("drawn_digit", intended)
for name, row in zip(("like_mnist", "in_a_corner", "hard_edges", "ink_on_white"), chances,
                     strict=True):
    record(f"read_{name}", int(row.argmax()))
    record(f"certainty_{name}", float(row.max()))

# %% [markdown]
# The drawing is a {glue:text}`drawn_digit`. Prepared like MNIST, it is read as
# {glue:text}`read_like_mnist`, with a certainty of {glue:text}`certainty_like_mnist:.2f`; in the
# corner as {glue:text}`read_in_a_corner`, with {glue:text}`certainty_in_a_corner:.2f`; with hard
# edges as {glue:text}`read_hard_edges`, with {glue:text}`certainty_hard_edges:.2f`; and as ink on
# white as {glue:text}`read_ink_on_white`, with {glue:text}`certainty_ink_on_white:.2f`.
#
# You read all four without noticing a difference. The network has no such indifference: it knows
# the digits of one collection, prepared in one way. A test accuracy is a promise about images like
# the test images.
#
# ## Look inside while you draw
#
# Points in a list are a slow way to draw. Here is a board, and behind it this chapter's network:
# trained with SGD from the first seed, its weights rounded to fit into the page. Before you draw:
# which digit will it get wrong in your handwriting?
#
# :::{explorer} lenet
# A board to draw on, and ten drawings to start from. The drawing is fitted and centred as MNIST's
# digits were, and the network of this chapter reads it, stroke by stroke, in your browser. Shown are
# the ten probabilities, the 32 kernels of the first convolution with their feature maps and pooled
# maps, the 64 of the second, and the 1,024 numbers of the dense layer. Choose a pixel of any map, and
# the patch, the kernel, their products and the sum that made it are written out. The keyboard draws
# too: the arrow keys move the pen, the space bar sets it down.
# :::
#
# Three things to try:
#
# - Draw a seven, and watch the maps of the first convolution. Some answer to its bar, some to its
#   stem. Choose a bright pixel, and find the reason in its kernel.
# - Draw a small digit in a corner. Then switch the fitting and centring off.
# - Draw a letter, or a face. The ten probabilities still add up to one: "none of these" is not among
#   the answers that the network was given.
#
# ## Exercises
#
# **1. Warm-up.** In `build`, replace `padding="same"` by `padding="valid"` in both convolutions.
# Predict the shapes and the number of parameters, then check.
#
# :::{dropdown} Hint
# 28 → 25 → 12 → 9 → 4.
# :::
#
# :::{dropdown} Solution
# Flatten gives 4 x 4 x 64 = 1,024 numbers in place of 3,136. The first dense layer shrinks to
# (1,024 + 1) x 1,024 = 1,049,600, and the sum is 544 + 32,832 + 1,049,600 + 10,250 = 1,093,226.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
valid = keras.Sequential([
    keras.Input((784,)), layers.Reshape((28, 28, 1)),
    layers.Conv2D(32, 4, activation="relu"), layers.MaxPooling2D(2),
    layers.Conv2D(64, 4, activation="relu"), layers.MaxPooling2D(2),
    layers.Flatten(), layers.Dense(1024, activation="relu"), layers.Dense(10),
])
print([layer.output.shape[1:] for layer in valid.layers], f"{valid.count_params():,}")

# %% [markdown]
# **2.** Give Keras the initial weights of chapter 04 without copying arrays: through
# `kernel_initializer` and `bias_initializer`. Check the standard deviations.
#
# :::{dropdown} Hint
# `keras.initializers.RandomNormal(stddev=0.1)`.
# :::
#
# :::{dropdown} Solution
# See the cell below, for one layer. With it in every layer, the Keras program becomes chapter 04
# in full.
# :::

# %% tags=["hide-cell"]
normal = keras.initializers.RandomNormal
layer = layers.Dense(1024, kernel_initializer=normal(stddev=0.1, seed=0),
                     bias_initializer=normal(stddev=1.0, seed=1))
layer.build((None, 3136))
kernel, bias = layer.get_weights()
print(f"kernel {kernel.std():.3f}, bias {bias.std():.2f}")
assert abs(kernel.std() - 0.1) < 0.001 and abs(bias.std() - 1) < 0.1

# %% [markdown]
# **3.** Is SGD worse, or slower? Train the Keras network for as many epochs with a step of 0.1,
# and with a step of 0.01 and `momentum=0.9`. Use the validation images to compare, and three seeds
# before you conclude.
#
# :::{dropdown} Hint
# `train_keras("sgd", 0.1, seed)` does the first. For the second, add an entry to `choices`:
# `"momentum": lambda rate: keras.optimizers.SGD(rate, momentum=0.9)`.
# :::
#
# :::{dropdown} What to look for
# With momentum 0.9, each gradient acts ten times over: its influence is
# $1 + 0.9 + 0.9^2 + \dots = 10$. So both variants go about ten times as far for each step. If they
# reach what Adam reaches, the optimiser was never at fault: the step was.
# :::
#
# **4.** Fit only one thing: freeze both convolutions at Keras's random initial weights
# (`trainable = False`) and train the rest. How much accuracy do learned kernels buy?
#
# :::{dropdown} Hint
# Set `layer.trainable` before `compile`. Count the trainable parameters first.
# :::
#
# :::{dropdown} Solution
# The cell below builds and counts it: 33,376 parameters are frozen, 3,222,538 are trained. Train
# it with `training.fit` as in `train_keras`, and compare on the validation images.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
frozen = build()
for layer in frozen.layers:
    layer.trainable = not isinstance(layer, layers.Conv2D)
trainable = sum(int(np.prod(v.shape)) for v in frozen.trainable_variables)
print(f"trained {trainable:,}, frozen {frozen.count_params() - trainable:,}")

# %% [markdown]
# **5. Open-ended.** Draw ten digits of your own, prepared like MNIST. How many does the network
# read? Then change one thing about your style (the width of the pen, a slant, a crossed seven)
# until it fails, and find the nearest training images to see why.
#
# :::{dropdown} Hint
# `like_mnist` makes an image of your strokes, and `loaded.predict` reads rows of 784 numbers. For the
# nearest training images, subtract your row from all of `flat_train`, square, and add up along each
# row.
# :::
#
# :::{dropdown} What to look for
# Say before each change whether the network will still read the digit, and change one thing at a
# time. Where it fails, look at the labels of the nearest training images. If they are what the network
# said, your drawing lies among the digits of another class, and pixel by pixel the network is right.
# If they are what you meant, the evidence was there and the network missed it. Mind that this distance
# is a crude judge: a stroke moved by one pixel counts as a stroke lost and another one gained. And do
# not make much of ten drawings: with 8 of 10 read, the standard error is more than one digit.
# :::
#
# ## Check yourself
#
# **1.** Two programs print the same number of parameters. Do they compute the same function?
#
# :::{dropdown} Answer
# Not necessarily: order of axes, padding and activation leave the count alone. Copy the weights
# and compare the outputs.
# :::
#
# **2.** Why is softmax in the last layer dangerous when you call the loss yourself?
#
# :::{dropdown} Answer
# The loss sees probabilities that were rounded and then limited to $10^{-7}$ from below. Very
# wrong images get a loss of at most 16.1, and no gradient.
# :::
#
# **3.** A colleague changed framework and optimiser at once and concludes that the new framework
# is better. What is missing?
#
# :::{dropdown} Answer
# The other two cells of the table, and more than one seed in each.
# :::
#
# **4.** Which line of the Keras program sets the initial weights?
#
# :::{dropdown} Answer
# None: they are the defaults of `Conv2D` and `Dense`, Glorot's rule for the kernels and zeros for
# the biases. A default is a decision too.
# :::
#
# **5.** Your network reads 98 % of the test set and fails on your own photographs of digits. What
# do you check first?
#
# :::{dropdown} Answer
# Whether the photographs are prepared as the training images were: light ink on dark, 28 x 28,
# fitted to 20 x 20, centred by mass, divided by 255.
# :::
#
# ## Summary
#
# - Keras takes over the variables, the shapes, the gradient tape and the loop. It computes the
#   same function: after copying the weights, logits differ by {glue:text}`logits_difference` and
#   gradients by at most {glue:text}`gradients_difference`, relative to their size.
# - Softmax belongs into the loss. Inside `fit`, Keras puts it there for you.
# - SGD with Keras's defaults reaches {glue:text}`test_accuracy:.4f`, mean of the seeds, where
#   0.9785 was stated.
# - The optimiser accounts for about a point ({glue:text}`adam_for_keras`), the initial weights for
#   half a point the other way ({glue:text}`keras_start_for_adam`). Both together give
#   {glue:text}`keras_adam_accuracy:.4f`. To find that out, change one thing at a time, and repeat.
# - A model is good for data that was prepared like its training data.
#
# ## Further reading
#
# - {cite:t}`chollet2015keras`: the Keras documentation, with its guides to saving and to custom
#   training loops.
# - {cite:t}`glorot2010understanding`: the rule behind the defaults.
# - {cite:t}`wilson2017marginal`, on what adaptive optimisers gain and lose.
# - {cite:t}`zhang2023dive`, for the same ideas in several frameworks side by side.
#
# The twin of this chapter: {doc}`04_mnist_tensorflow`. Next, photographs:
# {doc}`06_cifar10_tensorflow`. All numbers in one place: {doc}`../pages/results`.
#
# ## How this page was made

# %% tags=["hide-input"]
conditions(dataset)
