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
# # The open challenge
#
# How many photographs can a network get right if it may hold no more than {{max_parameters}}
# parameters, and take no more than {{max_multiply_adds}} multiply-adds for one image? Nobody knows.
# There is no solution to copy, and there are many good ones.
#
# The photographs are CIFAR-10's: 32 x 32 pixels, ten classes. You design a network within the
# budget, train it, save it, and hand in the file. The grader loads your file, counts, and shows it
# {{n_images}} test images. Whoever stays within the budget gets onto the leaderboard.
#
# ## What a budget means
#
# Parameters are what has to be stored. Multiply-adds are what has to be done, again for every
# image: they decide how warm a phone gets. A dense layer has many of the first, a convolution many
# of the second. So a budget in both leaves no cheap way out, and a saved network proves that it
# keeps to it: the grader counts in the file.
#
# What the *training* cost, no file can prove. You declare it, in the last question, and the
# leaderboard shows what you declared beside what was counted.
#
# ## What is counted
#
# All parameters count, also those that are not trained. Multiply-adds count in these layers alone,
# for one image:
#
# | Layer | Each number that it makes takes |
# |---|---|
# | `Conv2D` | height x width of the kernel x channels that one kernel reads |
# | `DepthwiseConv2D` | height x width of the kernel |
# | `SeparableConv2D` | a depthwise convolution with the stride, then a 1 x 1 convolution |
# | `Dense` | as many as one unit reads; on maps, at every place |
# | `Multiply` of two maps | one |
#
# Biases do not count. Input, pooling, padding, cropping, upsampling, flattening and reshaping,
# `Add`, `Concatenate` and their like, activations, `Rescaling`, `Dropout`, noise and the `Random...`
# layers are free: they multiply nothing, or nothing once the training is over. Batch normalisation
# multiplies, and is free all the same: after the training it can be folded into the weights of the
# convolution before it. Its parameters count. Any other layer loses the points of the budget, since
# it cannot be counted. So does a layer that is used twice, and a network within the network.
#
# ## Play fair
#
# The test images of CIFAR-10 are public. You could train on them, and the number would be a lie: it
# would say how well your network remembers, not how well it sees. Even choosing is learning. Try
# twenty networks, keep the one that is best on the test images, and part of its lead is luck with
# these very images. So the notebook loads the training images only, and holds some of them back.
# Choose on those, as often as you like. The test comes once, at the end, and it is not yours.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers

max_parameters = {{max_parameters}}
max_multiply_adds = {{max_multiply_adds}}

# %% [markdown]
# The grader runs your notebook, and has neither the images nor the hours to train. So whatever
# trains stands under `if TRAIN:`. Set it to `True` while you work. Hand the notebook in with
# `False`, together with the file that your training has saved.

# %%
TRAIN = False

# %%
if TRAIN:
    (images, labels), _ = keras.datasets.cifar10.load_data()  # _ is the test set: leave it alone
    labels = labels.ravel()
    n_valid = len(images) // 10
    x_valid, y_valid = images[:n_valid], labels[:n_valid]
    x_train, y_train = images[n_valid:], labels[n_valid:]
    print(f"{len(x_train):,} images to train on, {n_valid:,} to choose on, numbers from "
          f"{images.min()} to {images.max()}")
    fig, axes = plt.subplots(2, 8, figsize=(8, 2.2))
    for ax, image in zip(axes.flat, images, strict=False):
        ax.imshow(image)
        ax.axis("off")
    plt.show()

# %% [raw]
# QUESTION q1

# %% [markdown]
# ## 1. Count ({points} points)
#
# How do you know that you are within the budget before you have trained for an hour? Count first.
#
# `described` notes of each layer its kind, the shape of what it makes of one image, and the shapes
# of the arrays that it holds, the kernel first. Weights of a `Conv2D` have the axes height, width,
# channels that a kernel reads, kernels. Those of a `DepthwiseConv2D`: height, width, channels,
# kernels for each channel. A `SeparableConv2D` holds both: the depthwise array, then the other.
#
# Write `cost(layers)` for such a list. It returns the pair of all parameters and all multiply-adds.
# Padding and stride need no thought: they have done their work in the shape of the output.


# %%
def described(model):
    """Note what each layer of a model is, makes and holds."""
    return [{"class": type(layer).__name__, "output": tuple(layer.output.shape[1:]),
             "weights": [tuple(weight.shape) for weight in layer.weights]}
            for layer in model.layers]


def cost(layers):
    """Return the parameters and the multiply-adds of a network, as a pair."""
    # BEGIN SOLUTION
    parameters = multiply_adds = 0
    for layer in layers:
        sizes = [int(np.prod(shape)) for shape in layer["weights"]]
        parameters += sum(sizes)
        places = int(np.prod(layer["output"][:-1]))
        if layer["class"] in ("Conv2D", "DepthwiseConv2D", "Dense"):
            multiply_adds += places * sizes[0]
        elif layer["class"] == "SeparableConv2D":
            multiply_adds += places * (sizes[0] + sizes[1])
        elif layer["class"] == "Multiply":
            multiply_adds += places * layer["output"][-1]
    return parameters, multiply_adds
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [markdown]
# ## Where to begin
#
# A network that is sure to run, far below the budget. Its first layer is part of the file: the
# grader hands over numbers from 0 to 255, as they are in the images, and knows nothing of your
# preprocessing. What the network needs done to its images has to lie *in* the network. If you divide
# by 255 in the notebook instead, everything looks fine until somebody else opens the file.
#
# The last layer is a softmax, since the grader asks for probabilities.


# %%
def baseline():
    """Return a small network to begin with."""
    return keras.Sequential([
        keras.Input((32, 32, 3)),
        layers.Rescaling(1 / 255),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ])


baseline().summary()

# %% [raw]
# QUESTION q2

# %% [markdown]
# ## 2. Within the budget ({points} points)
#
# Write `build()`, which returns your network, untrained. The check below reads `network.keras`, so
# save your network once before you train it: an hour of training is a pity if the network is too
# large. The check counts the parameters. The grader counts the multiply-adds too, as your `cost` does.
#
# Some questions to ask of the table of shapes. Where do the parameters sit, and where the work? What
# does a second convolution at full resolution cost, and what after a pooling? What would a
# `GlobalAveragePooling2D` save in place of `Flatten`? What does a depthwise convolution save, and
# what does it lose?


# %%
def build():
    """Return an untrained network for images of numbers from 0 to 255."""
    # BEGIN SOLUTION
    inputs = keras.Input((32, 32, 3))
    maps = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    # The first convolution jumps two pixels: at full resolution it would do half of all the work.
    for kernels, size, step in ((32, 5, 2), (48, 3, 1), (96, 3, 1)):
        maps = layers.Conv2D(kernels, size, strides=step, padding="same", use_bias=False)(maps)
        maps = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(maps))
        maps = maps if step == 2 else layers.MaxPooling2D()(maps)
    outputs = layers.Dense(10, "softmax")(layers.Flatten()(maps))
    return keras.Model(inputs, outputs)
    # END SOLUTION


# %%
if TRAIN:
    model = build()
    for held, most in zip(cost(described(model)), (max_parameters, max_multiply_adds),
                          strict=True):
        print(f"{held:>12,} of {most:,}")
    model.save("network.keras")

# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q3

# %% [markdown]
# ## 3. As many right as you can ({points} points)
#
# Write `train(model, x_train, y_train, x_valid, y_valid)`. It trains a network on the images as they
# are, whole numbers from 0 to 255, with labels from 0 to 9. Then run the cell below it, which saves
# what you hand in.
#
# There are points for {{steps}} of the test images, counted on {{n_images}} of them. Of so many, one
# network gets about one in a hundred more or fewer right by chance, so leave a margin. Above the last
# step there is only the leaderboard.
#
# Keep a table of what you tried. Change one thing at a time, and write down the answer of the
# validation images, also where it disappoints:
#
# | Network | Parameters | Multiply-adds | Epochs | Validation accuracy | What I changed, and what I expected |
# |---|---|---|---|---|---|
# | baseline | | | | | |
# | | | | | | |
# | | | | | | |
#
# Which row will you hand in, and which column decided? If you can say so before you see the test
# result, you have validated honestly.


# %%
def train(model, x_train, y_train, x_valid, y_valid):
    """Train a network, and return the epochs that it took."""
    # BEGIN SOLUTION
    n_epochs, batch = 3, 64
    steps = n_epochs * -(-len(x_train) // batch)
    falling = keras.optimizers.schedules.CosineDecay(0.002, steps)
    model.compile(keras.optimizers.Adam(falling), "sparse_categorical_crossentropy",
                  metrics=["accuracy"])
    model.fit(x_train, y_train, batch, n_epochs, verbose=2, validation_data=(x_valid, y_valid))
    return n_epochs
    # END SOLUTION


# %%
if TRAIN:
    keras.utils.set_random_seed(1)
    model = build()
    epochs = train(model, x_train, y_train, x_valid, y_valid)
    model.save("network.keras")
    answers = keras.saving.load_model("network.keras").predict(x_valid, verbose=0)
    print(f"{epochs} epochs; {np.mean(answers.argmax(1) == y_valid):.1%} of the validation images")

# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q4

# %% [markdown]
# ## 4. Say what it took ({points} points)
#
# `team` is the name that the leaderboard shows: 2 to 24 letters, digits, spaces and hyphens. Others
# may get to see it. Choose one that does not give you away, unless you want it to.
#
# `declared` is a dictionary that says what the training of the file that you hand in took: `epochs`;
# `images`, where every image counts each time that the network saw it; `seconds`; and `device`, the
# machine in a few words. Nobody can check it from the file, and nobody gets points for a small
# number: the points are for saying it. Your teacher may run your notebook again.

# %%
team = "Three poolings"  # SOLUTION
declared = {"epochs": 3, "images": 135_000, "seconds": 287, "device": "two busy CPU cores"}  # SOLUTION

# %% [raw]
# END QUESTION

# %% [markdown]
# ## Before you hand in
#
# Set `TRAIN` to `False`. Restart the kernel, run all cells, and see that no check complains. Then
# hand in the notebook and `network.keras` together.
#
# And afterwards? Look at the leaderboard. Two networks that lie a point apart are equal, as far as
# {{n_images}} images can say. Does the best one spend its whole budget? Which of the two numbers was
# the tighter one, for you?
