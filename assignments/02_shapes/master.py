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
# # Shapes, parameters, multiply-adds, receptive fields
#
# How large is a network that nobody has built yet? Will it fit into a phone, how long will it take,
# how much of the picture does it see? All of this can be known before a single weight exists. It
# takes a pencil, or the six functions that you write here.
#
# You need the first three chapters of the course, and no library at all: the answers are whole
# numbers, and so is everything on the way to them.
#
# ## A layer is a note
#
# Nothing is computed here, so a layer need not be able to compute. It is a note of what it would
# be: a dictionary. The first three kinds slide, and say how in the same four words, `kernel`
# (height and width), `stride`, `padding` and `dilation`. For a pooling layer the kernel is its
# window.


# %%
def conv(kernels, kernel, stride=1, padding="same", dilation=1):
    """Note a convolution with so many kernels; each has a bias."""
    return {"kind": "conv", "kernels": kernels, "kernel": kernel, "stride": stride,
            "padding": padding, "dilation": dilation}


def depthwise(kernel, stride=1, padding="same", dilation=1):
    """Note a depthwise convolution: one kernel and one bias for each channel, never added up."""
    return {"kind": "depthwise", "kernel": kernel, "stride": stride, "padding": padding,
            "dilation": dilation}


def pool(window, stride=2, padding="valid"):
    """Note a pooling layer; maximum or mean makes no difference here."""
    return {"kind": "pool", "kernel": window, "stride": stride, "padding": padding, "dilation": 1}


def flatten():
    """Note the layer that makes a vector of maps."""
    return {"kind": "flatten"}


def dense(units):
    """Note a dense layer that reads a vector; each unit has a bias."""
    return {"kind": "dense", "units": units}


# %% [markdown]
# A network is a list of notes, and a shape is a tuple: `(height, width, channels)` for maps, `(n,)`
# for a vector. Here is the network of the first question.

# %%
network = [
    conv(32, (4, 4), padding="valid"),
    pool((2, 2)),
    conv(64, (4, 4), padding="valid"),
    pool((2, 2)),
    flatten(),
    dense(1024),
    dense(10),
]

# %% [raw]
# QUESTION q1

# %% [markdown]
# ## 1. With a pencil ({points} points)
#
# This is LeNet, with one word changed: `valid` in place of `same`. Give it a colour photograph of
# 32 x 32 x 3. Which shape does each layer make? How many parameters has it? How many multiply-adds
# does it take for one image?
#
# Work it out on paper, and let the functions of the next questions find your slips afterwards.
# Two divisions leave a remainder. Mind the channels in the second convolution.
#
# Then say which layer holds the most parameters and which does the most work: `"conv1"`,
# `"conv2"`, `"dense1"` or `"dense2"`. Guess before you count.

# %%
conv1_shape = (29, 29, 32)  # SOLUTION
pool1_shape = (14, 14, 32)  # SOLUTION
conv2_shape = (11, 11, 64)  # SOLUTION
pool2_shape = (5, 5, 64)  # SOLUTION
flatten_shape = (1600,)  # SOLUTION

conv1_parameters = 1_568  # SOLUTION
conv2_parameters = 32_832  # SOLUTION
dense1_parameters = 1_639_424  # SOLUTION
dense2_parameters = 10_250  # SOLUTION

conv1_multiply_adds = 1_291_776  # SOLUTION
conv2_multiply_adds = 3_964_928  # SOLUTION
dense1_multiply_adds = 1_638_400  # SOLUTION
dense2_multiply_adds = 10_240  # SOLUTION

most_parameters = "dense1"  # SOLUTION
most_work = "conv2"  # SOLUTION

# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q2

# %% [markdown]
# ## 2. What comes out? ({points} points)
#
# The pencil is good for one network. For a hundred of them you want a function.
#
# Write `output_shape(layer, shape)`: what a layer makes of an input of this shape. Rows and columns
# follow the same rule, each with its own length. The rule is that of TensorFlow:
#
# - `"valid"`: the kernel stays inside, and what is left over at the end is never looked at.
# - `"same"`: the length divided by the stride, rounded up.
#
# With dilation $d$, neighbouring weights of a kernel lie $d$ cells apart. How many cells do $k$
# weights then span, from the first to the last? There are $k - 1$ gaps.


# %%
def output_shape(layer, shape):
    """Return the shape that a layer makes of an input of this shape, as a tuple."""
    # BEGIN SOLUTION
    if layer["kind"] == "dense":
        return (layer["units"],)
    if layer["kind"] == "flatten":
        height, width, channels = shape
        return (height * width * channels,)
    sides = []
    for axis in (0, 1):
        n, span = shape[axis], (layer["kernel"][axis] - 1) * layer["dilation"] + 1
        if layer["padding"] == "same":
            sides.append(-(-n // layer["stride"]))
        else:
            sides.append((n - span) // layer["stride"] + 1)
    return (*sides, layer.get("kernels", shape[2]))
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q3

# %% [markdown]
# ## 3. What has to be stored? ({points} points)
#
# A kernel of a convolution has a slice of weights for each channel that it reads, and one bias. A
# kernel of a depthwise convolution reads one channel only, and has one bias as well. How much is
# saved by that?
#
# Write `parameters(layer, shape)` for a layer that reads an input of this shape. Some layers have
# none.


# %%
def parameters(layer, shape):
    """Return the number of weights and biases of a layer that reads this shape."""
    # BEGIN SOLUTION
    if layer["kind"] == "conv":
        return (layer["kernel"][0] * layer["kernel"][1] * shape[2] + 1) * layer["kernels"]
    if layer["kind"] == "depthwise":
        return (layer["kernel"][0] * layer["kernel"][1] + 1) * shape[2]
    if layer["kind"] == "dense":
        return (shape[0] + 1) * layer["units"]
    return 0
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q4

# %% [markdown]
# ## 4. What has to be done? ({points} points)
#
# A convolution uses each of its weights again at every place where the kernel lies. So a layer can
# be small and busy. Which places are meant: those of the input, or those of the output?
#
# Write `multiply_adds(layer, shape)`: the multiplications of one image, each with the addition that
# follows it. As in the course, biases do not count, and pooling costs nothing, since it multiplies
# nothing. Padded cells count like all others.
#
# Then write `totals(layers, shape)` for a whole network: the pair of all its parameters and all its
# multiply-adds. What one layer makes, the next one reads.


# %%
def multiply_adds(layer, shape):
    """Return the multiply-adds that a layer takes for one input of this shape."""
    # BEGIN SOLUTION
    made = output_shape(layer, shape)
    if layer["kind"] == "conv":
        reads = layer["kernel"][0] * layer["kernel"][1] * shape[2]
        return made[0] * made[1] * made[2] * reads
    if layer["kind"] == "depthwise":
        return made[0] * made[1] * made[2] * layer["kernel"][0] * layer["kernel"][1]
    if layer["kind"] == "dense":
        return shape[0] * layer["units"]
    return 0
    # END SOLUTION


def totals(layers, shape):
    """Return the parameters and the multiply-adds of a network, as a pair."""
    # BEGIN SOLUTION
    stored = done = 0
    for layer in layers:
        stored += parameters(layer, shape)
        done += multiply_adds(layer, shape)
        shape = output_shape(layer, shape)
    return stored, done
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q5

# %% [markdown]
# ## 5. How far does one number see? ({points} points)
#
# One number of the last map depends on a patch of the image, its receptive field. Two numbers per
# direction are enough to work it out: the field, and the jump, the distance in pixels between
# neighbours. Both begin at 1. What does a layer do to each? And what does its dilation do?
#
# Write `receptive_field(layers)` for a list of layers that slide. It returns the pair of the height
# and the width of the patch, in pixels, as if the image had no border.


# %%
def receptive_field(layers):
    """Return the height and the width of what one number of the last map sees."""
    # BEGIN SOLUTION
    field, jump = [1, 1], 1
    for layer in layers:
        for axis, k in enumerate(layer["kernel"]):
            field[axis] += (k - 1) * layer["dilation"] * jump
        jump *= layer["stride"]
    return tuple(field)
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q6

# %% [markdown]
# ## 6. Design one ({points} points)
#
# So far the network came first, and the numbers followed. In practice it is the other way round:
# somebody says how much memory there is, and how large the things in the picture are.
#
# Write `design(shape, budget, field)`. It returns a list of layers for images of this shape:
#
# - layers that slide, then `flatten()`, then `dense(10)`, with no kernel and no window larger than
#   3 x 3;
# - before the flattening, each number sees at least `field` pixels in either direction, and at most
#   twice as many;
# - the whole has at most `budget` parameters, and more than half of that.
#
# Many networks will do, and none does for all: the grader asks for several. Images will have 24
# pixels or more a side, fields are from 8 to 24 pixels, and budgets are of 4,000 parameters or more.
# You own functions that count. Your function may try one design after another, and count.


# %%
def design(shape, budget, field):
    """Return a network for images of this shape that sees enough and spends its budget."""
    # BEGIN SOLUTION
    def candidate(kernels, n_blocks):
        return n_blocks * [conv(kernels, (3, 3)), pool((2, 2))] + [flatten(), dense(10)]

    n_blocks = 1
    while min(receptive_field(candidate(1, n_blocks)[:-2])) < field:
        n_blocks += 1
    kernels = 1
    while totals(candidate(kernels + 1, n_blocks), shape)[0] <= budget:
        kernels += 1
    return candidate(kernels, n_blocks)
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [markdown]
# ## What you have now
#
# Six functions, and no library. With them you can read the table of any paper, and find out whether
# it is right. The next assignment fills such a network with numbers, and lets it learn.
