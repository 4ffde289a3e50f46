# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Diagnose and cure an overfitting network
#
# A ConvNet has been trained on {{n_train}} small images. Ask it about these, and it is right about
# every one. Ask it about others of the same kind, and it often is not. What has it learned?
#
# You get the images, the network and the history of its training. First you read the history, then
# you stop in time, then you make more of the images that there are, and at last you train a network
# that can be trusted. You need the chapter on LeNet in Keras.

# %%
import base64
import csv
import zlib

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers

# %% [markdown]
# ## The images
#
# Each shows one of four signs, drawn with two strokes: `L`, its mirror image `J`, `T` or `+`. Three
# short strokes mean nothing, and there is noise on top. The images are packed into one long line; you
# need not read it.

# %%
PACKED = "{{images}}"
LABELS_TRAIN = "{{labels_train}}"
LABELS_VALID = "{{labels_valid}}"

signs = ["L", "J", "T", "+"]
pixels = np.frombuffer(zlib.decompress(base64.b64decode(PACKED)), "uint8")
images = (pixels / 15).astype("float32").reshape(-1, 16, 16, 1)
y_train = np.array(list(LABELS_TRAIN), "int64")
y_valid = np.array(list(LABELS_VALID), "int64")
x_train, x_valid = images[:len(y_train)], images[len(y_train):]

figure, axes = plt.subplots(2, 8, figsize=(8, 2.5))
for image, label, axis in zip(x_train[:16], y_train[:16], axes.flat, strict=True):
    axis.imshow(image[..., 0], cmap="gray_r")
    axis.set_title(signs[label])
    axis.axis("off")

# %% [markdown]
# There are {{n_train}} images to learn from, and {{n_valid}} to watch the training with. Images are
# float32 from 0 to 1, with the shape `(n, 16, 16, 1)`; labels count from 0, in the order of `signs`.
#
# ## The network, and what became of it


# %%
def overfitting():
    """Return the network that learned its images by heart, ready to be trained."""
    model = keras.Sequential([
        keras.Input((16, 16, 1)),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(48, activation="relu"),
        layers.Dense(4, activation="softmax"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# %% [markdown]
# This is the history that `fit` wrote, one line for each epoch. `loss` and `accuracy` are those of the
# images that the network learned from, `val_loss` and `val_accuracy` those of the {{n_valid}} others.

# %%
HISTORY = """
{{history}}
"""

lines = [line for line in HISTORY.strip().split("\n") if not line.startswith("#")]
table = list(csv.DictReader(lines))
history = {name: [float(row[name]) for row in table] for name in table[0] if name != "epoch"}

epochs = range(1, len(table) + 1)
figure, axes = plt.subplots(1, 2, figsize=(9, 3))
for axis, name in zip(axes, ["loss", "accuracy"], strict=True):
    axis.plot(epochs, history[name], label="learned from")
    axis.plot(epochs, history[f"val_{name}"], label="validation")
    axis.set_xlabel("epoch")
    axis.set_title(name)
    axis.legend()

# %% [markdown]
# Before you go on, look at the two pictures and answer for yourself. Up to which epoch do both losses
# fall? What does the validation loss do then, and what does the validation accuracy do meanwhile? How
# can the one become so much worse while the other hardly moves?
#
# The loss asks how sure the network was of the right answer. Where it is wrong, it grows surer of its
# mistake with every epoch. The accuracy does not see that: wrong is wrong.

# %% [raw]
# QUESTION q1

# %% [markdown]
# ## 1. Read the curves ({points} points)
#
# Which epoch's network would you keep? Not the last one, and not the one with the lowest training
# loss, although both look best in the log. What counts are images that it did not learn from.
#
# Write three functions of a history: a dictionary like `history`, with lists or arrays.
#
# - `best_epoch(history)` returns the epoch with the lowest validation loss. Epochs count from 1, as
#   in the log. If several are equal, it is the first: why train longer for the same?
# - `gap(history)` returns validation loss less training loss, one number for each epoch.
# - `diagnose(history, enough, allowed)` looks at the last epoch and returns one of three words. If the
#   training accuracy is below `enough`, the network has not even learned what it saw:
#   `"underfitting"`. Otherwise, if the validation accuracy lies below the training accuracy by more
#   than `allowed`, it is `"overfitting"`. Otherwise it is `"fine"`.
#
# A low validation accuracy alone says little. Both illnesses have it, and their cures are opposite.


# %%
def best_epoch(history):
    """Return the number of the epoch, from 1, whose network is the one to keep."""
    # BEGIN SOLUTION
    return int(np.argmin(history["val_loss"])) + 1
    # END SOLUTION


def gap(history):
    """Return how far the validation loss lies above the training loss, for each epoch."""
    # BEGIN SOLUTION
    return np.subtract(history["val_loss"], history["loss"])
    # END SOLUTION


def diagnose(history, enough, allowed):
    """Return "underfitting", "overfitting" or "fine"."""
    # BEGIN SOLUTION
    learned, new = history["accuracy"][-1], history["val_accuracy"][-1]
    if learned < enough:
        return "underfitting"
    return "overfitting" if learned - new > allowed else "fine"
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q2

# %% [markdown]
# ## 2. Stop in time ({points} points)
#
# With the whole history in front of you the best epoch is easy to find. During training only the past
# is known. Is the loss rising for good, or was that one bad epoch? Early stopping waits a while before
# it decides. Keras does it like this:
#
# - The first epoch is the best so far.
# - A later epoch is better if its validation loss lies below that of the best so far by *more than*
#   `min_delta`. Then it becomes the best so far.
# - If it is not, one more epoch has been waited for. After `patience` such epochs in a row, training
#   stops at the end of the last of them.
#
# Write `early_stopping(val_losses, patience, min_delta)`. The list holds what the losses would be if
# nobody stopped. Return two epochs, counted from 1: the one after which training stops, which is the
# last one of the list if nothing stops it, and the best so far, whose weights are kept. `patience` is 1
# or more.
#
# What if the loss falls all the time, and each time by less than `min_delta`? Compare with the best so
# far, not with the epoch before.


# %%
def early_stopping(val_losses, patience, min_delta=0.0):
    """Return the epoch at which training stops, and the epoch whose weights are kept."""
    # BEGIN SOLUTION
    kept, lowest, waited = 1, val_losses[0], 0
    for epoch, loss in enumerate(val_losses[1:], 2):
        waited += 1
        if loss < lowest - min_delta:
            kept, lowest, waited = epoch, loss, 0
        elif waited == patience:
            return epoch, kept
    return len(val_losses), kept
    # END SOLUTION


# %% [markdown]
# In Keras this is `keras.callbacks.EarlyStopping(patience=..., restore_best_weights=True)`. Without
# the second argument it stops at the first of your two epochs, and keeps the weights of that one.
#
# Try your function on `history["val_loss"]`. What accuracy would have been kept? So stopping in time
# saves work and prevents the worst, but the network that it keeps is no good one either.

# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q3

# %% [markdown]
# ## 3. More of the same ({points} points)
#
# More images would help, and there are none. But is a `T` that stands two pixels further to the left
# still a `T`? Then each image stands for many, and the network can get another one in every epoch.
#
# Which changes are allowed is not a question of programming: the label must stay true. What becomes of
# each sign if you look at it in a mirror, left and right exchanged? Fill in `mirrored`, a dictionary of
# the four signs, `{"L": ..., "J": ..., "T": ..., "+": ...}`. Then ask yourself what
# `layers.RandomFlip("horizontal")` would teach a network here.

# %%
mirrored = {"L": "J", "J": "L", "T": "T", "+": "+"}  # SOLUTION

# %% [markdown]
# Shifts are allowed: at the border two pixels are free of the sign in each image. Write
# `augment(images, rng, reach)`. It returns new images, in the same order and of the same shape and
# type:
#
# - Each image is shifted down or up and right or left by whole pixels, each from `-reach` to `reach`,
#   both ends included. All shifts are equally likely, and each image gets its own.
# - What leaves at one border is gone. It does not come in again at the other, as with `np.roll`; there
#   the image is 0.
# - All chance comes from `rng`, a generator as `np.random.default_rng(seed)` makes it. So whoever has
#   the seed gets the same images again.
# - The images that were handed in stay as they are.
#
# The shape is `(n, height, width, channels)`, and the grader uses others than yours.


# %%
def augment(images, rng, reach=2):
    """Return images, each shifted by up to `reach` pixels in both directions."""
    # BEGIN SOLUTION
    height, width = images.shape[1:3]
    framed = np.pad(images, [(0, 0), (reach, reach), (reach, reach), (0, 0)])
    corners = rng.integers(0, 2 * reach + 1, (len(images), 2))
    return np.stack([image[top:top + height, left:left + width]
                     for image, (top, left) in zip(framed, corners, strict=True)])
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q4

# %% [markdown]
# ## 4. The cure ({points} points)
#
# Write `train(x, y, x_valid, y_valid)`. It builds a Keras model, compiles it, trains it and returns it,
# with these images and no others. The grader then has it predict. It asks that
#
# - of images that nobody has shown it, it gets at least {{percent}} right;
# - of those that it learned from, it gets at most {{points_apart}} percentage points more right;
# - asked twice, it says the same twice: what is only for training is switched off;
# - it has at most {{parameters}} parameters, and training it took at most {{steps}} steps, with at most
#   32 images each. A step is one change of the weights; the optimizer counts them, as
#   `model.optimizer.iterations`.
#
# For each image it gives four scores, one for each sign. `overfitting()` keeps to this budget: size is
# not what it lacks.
#
# What can you change? Here is what there is against overfitting. Change one thing at a time and write
# down what it brought, on `x_valid`: a shift of the images (your `augment`; several copies of the
# training images, each shifted anew, make one epoch), fewer weights, above all where most of them are
# (count them), pooling more before the first dense layer, `layers.Dropout`, early stopping. Which one is
# enough?
#
# The grader calls `train` more than once, also with other images. So training should succeed each time,
# not once: ask for more than you need.


# %%
def train(x, y, x_valid, y_valid):
    """Return a trained Keras model that can be trusted with new images."""
    # BEGIN SOLUTION
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    cured = keras.Sequential([keras.Input(x.shape[1:])])
    for kernels in (12, 24):
        cured.add(layers.Conv2D(kernels, 5, padding="same", activation="relu"))
        cured.add(layers.MaxPooling2D(2) if kernels == 12 else layers.GlobalMaxPooling2D())
    # The last maps were pooled as a whole, so the dense layer has few weights, and no place to know.
    cured.add(layers.Dropout(0.2))
    cured.add(layers.Dense(4, activation="softmax"))
    cured.compile(keras.optimizers.Adam(0.008), "sparse_categorical_crossentropy")
    copies = 5
    many = np.concatenate([augment(x, rng) for _ in range(copies)])
    stopping = keras.callbacks.EarlyStopping(patience=4, restore_best_weights=True)
    cured.fit(many, np.tile(y, copies), batch_size=32, epochs=8, verbose=0,
              validation_data=(x_valid, y_valid), callbacks=[stopping])
    return cured
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [markdown]
# ## What you have now
#
# A way of working. Read both curves before you change anything, name the illness, change one thing at
# a time, and judge by images that took no part. One honest word about that: you chose your cure by
# `x_valid`, again and again, so by now you have learned a little of `x_valid` by heart. This is why the
# grader keeps images that nobody has seen.
