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
# # Pooling
#
# **What can you throw away and still recognise the digit?**
#
# By the end of this chapter you will be able to
#
# - compute a max-pooled or average-pooled map by hand, for any region, stride and padding;
# - predict the shape of a pooled map exactly as TensorFlow computes it;
# - say how much a pooled map changes when the picture moves by a pixel, with a measurement behind
#   the words;
# - send a gradient back through a maximum;
# - choose between pooling, a strided convolution and global pooling, and name what each one loses.
#
# You need {doc}`01_convolution` and, for one section, the idea of a derivative.
#
# Time to read and to try things out: about an hour. Minutes of computing, all cells, on two CPU
# cores: {glue:text}`minutes`. On a GPU: not measured.

# %% tags=["parameters"]
n_digits = 1000  # digits in the shift experiment, taken from the front of the test set
example_class = 8  # which digit (0 to 9) the opening picture shows
seed = 0  # seed of every random number in this chapter

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from matplotlib.patches import Rectangle
from numpy.lib.stride_tricks import sliding_window_view

from datasetslib import conditions, imutil, plots, record
from datasetslib.mnist import mnist

plots.use_style()
rng = np.random.default_rng(seed)

# %% [markdown]
# ## Where do you lose it?
#
# A layer of convolution makes an image *deep*: it hands on more numbers than it was given. This
# chapter is about the other half of a ConvNet's work: throwing numbers away, on purpose, and
# knowing which ones.
#
# Here is one handwritten digit. Below, it is made smaller three times: 28 pixels to a side, then
# 14, 7 and 4. The upper row keeps the *largest* value of each small square. The lower row keeps the
# *average*.
#
# Cover the upper row with your hand. At which size would you no longer bet on the digit? Now cover
# the lower row instead, and ask again.

# %% tags=["no-slide"]
dataset = mnist(n_train=1, n_valid=0, n_test=n_digits)  # only the test digits are needed
dataset.x_layout = imutil.LAYOUT_NHW
dataset.load_data()
dataset.scaleX()
digits = dataset.X_test
digit = digits[np.flatnonzero(dataset.Y_test == example_class)[0]]

# %% mystnb={"image": {"alt": "One handwritten digit shown at 28, 14, 7 and 4 pixels to a side, once reduced by maximum and once by average. With the maximum the strokes grow thicker and the holes close; with the average they grow fainter and blurred. At 4 pixels neither can be read."}}
def shrink(image, mode):
    """Halve an image by pooling 2 x 2 regions; an odd side is padded (7 becomes 4)."""
    pooled = tf.nn.pool(image[None, :, :, None], [2, 2], mode, strides=[2, 2], padding="SAME")
    return pooled.numpy()[0, :, :, 0]


fig, axes = plt.subplots(2, 4, figsize=(6.4, 3.5))
for row, mode in zip(axes, ("MAX", "AVG"), strict=True):
    image = digit
    for ax in row:
        ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="none")
        ax.set_title(f"{image.shape[0]} x {image.shape[1]}")
        ax.set_xticks([])
        ax.set_yticks([])
        image = shrink(image, mode)
    row[0].set_ylabel("maximum" if mode == "MAX" else "average")
plt.close(fig)
plots.finish(fig)

# %% [markdown]
# At 14 pixels three quarters of the numbers are gone, and the digit can still be read. At 7 pixels
# fifteen sixteenths are gone, and it depends on the digit and on the row.
#
# The two rows fail differently. The maximum *thickens*: a stroke survives, but a small hole closes.
# The average *fades*: the hole may last a little longer as a grey dip, but thin strokes drown in
# their background.
#
# ## Why throw anything away?
#
# Let us count. A 3 x 3 kernel slides over a 28 x 28 image with one channel. The feature map has
# $28 - 3 + 1 = 26$ rows and columns. One kernel gives 26 x 26 x 1. A layer has many kernels; take
# 32 of them.
#
# Before you run the next cell, guess: is the output of that layer larger or smaller than the image,
# and by what factor?

# %% tags=["nbval-check-output"]
n, k, n_kernels = 28, 3, 32
side = n - k + 1
print(f"image:        {n} x {n} x 1  = {n * n:>6,} numbers")
print(f"feature maps: {side} x {side} x {n_kernels} = {side * side * n_kernels:>6,} numbers")
print(f"factor:       {side * side * n_kernels / (n * n):.1f}")
half = side // 2
print(f"after 2 x 2 pooling: {half} x {half} x {n_kernels} = {half * half * n_kernels:,} numbers")

# %% [markdown]
# The layer took an image and made nearly twenty-eight times as many numbers of it. Stack a second
# such layer and every one of its kernels must walk over all of that.
#
# Most of it says the same thing several times. If a kernel finds an edge *here*, it finds nearly
# the same edge one pixel to the right. Pooling replaces each small neighbourhood by one summary:
# the strongest response in it, or the average response. Nothing is learned. There is no weight in a
# pooling layer.
#
# ## By hand, four positions
#
# Take the numbers 1 to 9 in a 3 x 3 square. Lay a 2 x 2 region over the top left corner: it covers
# 1, 2, 4 and 5. The largest is 5. Slide the region one step to the right, and go on.
#
# Say the four answers aloud before you look.

# %% mystnb={"image": {"alt": "Four panels of max pooling on the 3 by 3 image holding 1 to 9. The 2 by 2 region covers 1 2 4 5, then 2 3 5 6, then 4 5 7 8, then 5 6 8 9; the winners 5, 6, 8 and 9 are highlighted and fill the 2 by 2 pooled map."}}
image = np.arange(1, 10).reshape(3, 3)
plots.pooling_panels(image, size=2, stride=1, mode="max")

# %% [markdown]
# The pooled map is [[5, 6], [8, 9]]. Each panel is the whole algorithm: look at a region, keep one
# number, move on.
#
# It is the walk of the kernel in {doc}`01_convolution`. Only the arithmetic at each stop is
# different. There, four products and their sum. Here, one comparison after another.
#
# Here is the region for you to move. **If the 9 in the corner became a 1, how many of the four
# answers would change?** Guess, then type it. Afterwards take the seven, move it by one pixel, and
# guess again before you look: of the cells that are lit, how many survive?
#
# :::{explorer} pooling
# An image, a square region on it, and the pooled map. Choose a cell of the map, or let the region walk,
# to see which pixels it saw and which one won. Draw on the image; change the region, the stride and
# what is kept, the maximum or the average. Move the image by a pixel, and count the cells of the map
# that are still the same.
# :::
#
# Two loops are enough to write it.

# %% tags=["nbval-check-output"]
def pool(image, size, stride, summary=np.max):
    """Slide a square region over a 2-D image and keep one number at each stop."""
    n_rows = (image.shape[0] - size) // stride + 1
    n_cols = (image.shape[1] - size) // stride + 1
    pooled = np.empty((n_rows, n_cols))
    for row in range(n_rows):
        for col in range(n_cols):
            top, left = row * stride, col * stride
            pooled[row, col] = summary(image[top : top + size, left : left + size])
    return pooled


print("maximum, stride 1:\n", pool(image, 2, 1))
print("average, stride 1:\n", pool(image, 2, 1, np.mean))
print("whole image:", pool(image, 3, 1), pool(image, 3, 1, np.mean))

# %% [markdown]
# The region and the stride are separate choices. Here they differ (region 2, stride 1), so the
# regions *overlap*, and the 5 in the middle was looked at four times. In most networks region and
# stride are equal: the regions tile the image, and each number is looked at once. That is called
# **non-overlapping pooling**.
#
# The average is the same walk with another summary.
#
# When the region is the whole image, one number is left. That is **global pooling**.
#
# ## What size comes out?
#
# Predict the pooled size for a side of $n = 7$: region 2 and stride 2; region 3 and stride 2;
# region 3 and stride 1. Count stops on your fingers if you like: how many times does the region
# fit?

# %% tags=["nbval-check-output"]
for size, stride in ((2, 2), (3, 2), (3, 1)):
    pooled = pool(np.zeros((7, 7)), size, stride)
    print(f"n = 7, region {size}, stride {stride}: {pooled.shape[0]} x {pooled.shape[1]}")

# %% [markdown]
# The counting has a formula, and you know it already. It is the one for a convolution with a kernel
# as large as the region:
#
# $$n_\text{out} = \left\lfloor \frac{n - k}{s} \right\rfloor + 1 .$$
#
# The rounding down has a price. With $n = 7$, region 2 and stride 2, the last row and the last
# column are never looked at. Whatever stood there is lost, and no later layer can get it back.
#
# TensorFlow calls this rule `VALID`. Its other rule, `SAME`, promises $\lceil n / s \rceil$
# instead, and pads the image to keep the promise. Padding with what? Zeros would be wrong: the
# maximum of negative numbers would become 0. So for the maximum the padding is ignored, as if it
# were minus infinity. For the average it is ignored too: the sum is divided by the number of *real*
# cells in the region.
#
# Let us write that down and hold it against the library.

# %%
def pool_same(image, size, stride, mode):
    """Pool with TensorFlow's SAME padding; the padded cells never count."""
    widths = []
    for n in image.shape:
        total = max((-(-n // stride) - 1) * stride + size - n, 0)
        widths.append((total // 2, total - total // 2))  # the odd one goes to the bottom or right
    padded = np.pad(image.astype(float), widths, constant_values=np.nan)
    return pool(padded, size, stride, np.nanmax if mode == "MAX" else np.nanmean)


def tensorflow_pool(image, size, stride, mode, padding):
    """Pool one 2-D image with tf.nn."""
    operation = tf.nn.max_pool2d if mode == "MAX" else tf.nn.avg_pool2d
    batch = tf.constant(image[None, :, :, None], tf.float32)
    return operation(batch, ksize=size, strides=stride, padding=padding).numpy()[0, :, :, 0]

# %% tags=["nbval-check-output"]
n_cases, worst = 0, 0.0
for side in range(4, 11):
    for size in (2, 3, 4):
        for stride in (1, 2, 3):
            for mode, summary in (("MAX", np.max), ("AVG", np.mean)):
                sample = rng.normal(size=(side, side + 1)).astype(np.float32)
                ours = pool(sample, size, stride, summary), pool_same(sample, size, stride, mode)
                for result, padding in zip(ours, ("VALID", "SAME"), strict=True):
                    theirs = tensorflow_pool(sample, size, stride, mode, padding)
                    assert result.shape == theirs.shape
                    worst = max(worst, float(np.abs(result - theirs).max()))
                    n_cases += 1
assert worst < 1e-5
print(f"{n_cases} cases of size, region, stride, summary and padding: all agree within 1e-5")

# %% [markdown]
# Ten lines of loops, a few more for the padding, and a compiled library agree on all of them, odd
# sides and uneven padding included.
#
# :::{note}
# **The signature.** `tf.nn.max_pool2d(input, ksize, strides, padding, data_format="NHWC")` takes a
# batch `[batch, height, width, channels]`. `ksize` is the region and `strides` the step; each may
# be one number, two, or four in the order of `data_format`. With `data_format="NCHW"` the channels
# come second. In older books you meet `ksize=[1, 2, 2, 1]`: a region of 1 along the batch and 1
# along the channels, because no one wants to pool over *those*.
# :::
#
# Keras wraps the same operations as layers. Guess the four output shapes before you run it.

# %% tags=["nbval-check-output"]
maps = rng.normal(size=(1, 26, 26, 32)).astype(np.float32)
layers = [
    keras.layers.MaxPooling2D(pool_size=2),
    keras.layers.AveragePooling2D(pool_size=2),
    keras.layers.MaxPooling2D(pool_size=3, strides=2, padding="same"),
    keras.layers.GlobalMaxPooling2D(),
]
for layer in layers:
    shape = tuple(layer(maps).shape)
    print(f"{type(layer).__name__:20} {shape!s:17} {layer.count_params()} parameters")
assert np.allclose(layers[0](maps)[0, :, :, 5], pool(maps[0, :, :, 5], 2, 2), atol=1e-5)
assert np.allclose(layers[3](maps)[0, 5], maps[0, :, :, 5].max(), atol=1e-5)

# %% [markdown]
# In Keras the stride is the region unless you say otherwise: `MaxPooling2D(pool_size=2)` is
# non-overlapping.
#
# Look at the last number of each shape. It is 32 every time. Each feature map is pooled **on its
# own**. Pooling shrinks height and width and leaves the depth alone.
#
# ## The picture moves by one pixel
#
# You will read that pooling makes a network "invariant to translation". Is that so? We can measure
# it.
#
# Take a digit. Convolve it with a kernel that answers to vertical edges, and keep the positive
# part. That is a feature map, as in the last chapter. Now move the digit one pixel to the right and
# do it again. How many cells of the map change?
#
# A cell that was zero and stays zero tells us nothing, so look at the **lit** cells only: those
# above a tenth of the map's largest value, before or after the move. A lit cell has *changed* when
# its two values differ by more than a tenth of that largest value.

# %%
edge_kernel = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], np.float32)


def edge_maps(images):
    """Positive response to vertical edges: (n, 28, 28) images give (n, 26, 26) maps."""
    windows = sliding_window_view(images, (3, 3), axis=(1, 2))
    return np.maximum(np.einsum("nhwij,ij->nhw", windows, edge_kernel), 0)


def max_pool(maps, size, stride):
    """Max-pool a stack of maps (n, height, width)."""
    windows = sliding_window_view(maps, (size, size), axis=(1, 2))
    return windows[:, ::stride, ::stride].max(axis=(3, 4))


def share_changed(before, after, of_all=False):
    """Share of the lit cells of each map that differ by more than a tenth of its maximum."""
    threshold = 0.1 * before.max(axis=(1, 2), keepdims=True)
    lit = (before > threshold) | (after > threshold) | of_all  # of_all: count every cell
    changed = np.abs(before - after) > threshold
    return changed.sum(axis=(1, 2)) / np.maximum(lit.sum(axis=(1, 2)), 1)

# %% [markdown]
# One digit first. On the left of each pair the map before the move, on the right the map after it.
# Watch the pooled pair in the lower row: is it the same picture?

# %% mystnb={"image": {"alt": "Vertical edges of one digit before and after a move of one pixel to the right: the 26 by 26 feature maps in the upper row, the 13 by 13 max-pooled maps in the lower row. The pooled maps resemble each other more, but are not equal."}}
moved = np.zeros_like(digits)
moved[:, :, 1:] = digits[:, :, :-1]  # one pixel to the right; the first column stays empty
before, after = edge_maps(digits), edge_maps(moved)
index = int(np.flatnonzero(dataset.Y_test == example_class)[0])
fig, axes = plt.subplots(2, 2, figsize=(5.4, 5.6))
pairs = ((before, after), (max_pool(before, 2, 2), max_pool(after, 2, 2)))
for row, pair, name in zip(axes, pairs, ("feature map", "pooled map"), strict=True):
    for ax, maps, when in zip(row, pair, ("before", "after"), strict=True):
        ax.imshow(maps[index], cmap="gray", interpolation="none")
        ax.set_title(f"{name} {when}")
        ax.set_xticks([])
        ax.set_yticks([])
plt.close(fig)
plots.finish(fig)

# %% [markdown]
# One digit is an anecdote. Here are many of them, as a histogram for each way of making the map
# smaller. The last row is a control: it takes every second cell of the map and pools nothing.

# %%
ways = {
    "feature map, 26 x 26": lambda maps: maps,
    "max pool 2, 13 x 13": lambda maps: max_pool(maps, 2, 2),
    "max pool 4, 6 x 6": lambda maps: max_pool(maps, 4, 4),
    "max pool 13, 2 x 2": lambda maps: max_pool(maps, 13, 13),
    "every 2nd cell, 13 x 13": lambda maps: maps[:, ::2, ::2],
}
shares = {name: share_changed(way(before), way(after)) for name, way in ways.items()}
for name, values in shares.items():
    print(f"{name:24} median share of lit cells that changed: {np.median(values):.2f}")

# %% mystnb={"image": {"alt": "Five histograms of the share of lit cells that change when a digit moves by one pixel. The unpooled map is bunched near the right end, pooling over 2 and 4 cells moves the bulk to the left, pooling over 13 cells piles it at zero, and taking every second cell without pooling stays as far right as the unpooled map."}}
fig, axes = plt.subplots(len(shares), 1, figsize=(6.0, 7.2), sharex=True, sharey=True)
for ax, (name, values) in zip(axes, shares.items(), strict=True):
    colour = plots.COLOURS["orange" if name.startswith("every") else "blue"]
    weights = np.full(len(values), 1 / len(values))  # bars add up to 100 %
    ax.hist(values, bins=np.linspace(0, 1, 26), weights=weights, color=colour)
    ax.axvline(np.median(values), color="black", linewidth=1.5, linestyle="--")
    ax.set_title(name, loc="left")
    ax.set_ylim(0, 0.8)
    ax.set_yticks([0, 0.4, 0.8], ["0", "40 %", "80 %"])
axes[2].set_ylabel("share of the digits")
axes[-1].set_xlabel("share of the lit cells that changed (dashed: median)")
plt.close(fig)
plots.finish(fig)

# %% tags=["hide-input"]
medians = {name: float(np.median(values)) for name, values in shares.items()}
unpooled, pooled_2, pooled_4, pooled_13, sampled = medians.values()
record("changed_unpooled", 100 * unpooled)
record("changed_pooled_2", 100 * pooled_2)
record("changed_pooled_4", 100 * pooled_4)
record("changed_pooled_13", 100 * pooled_13)
record("changed_sampled", 100 * sampled)
record("n_digits", len(digits))
for name, way in list(ways.items())[:2]:
    of_all = share_changed(way(before), way(after), of_all=True)
    record("of_all_unpooled" if name.startswith("feature") else "of_all_pooled_2",
           100 * float(np.median(of_all)))
assert pooled_13 <= pooled_4 < pooled_2 < unpooled
assert abs(sampled - unpooled) < 0.1

# %% [markdown]
# Over {glue:text}`n_digits:,` digits, the median digit changed {glue:text}`changed_unpooled:.0f` %
# of the lit cells of its feature map. After 2 x 2 max pooling it changed
# {glue:text}`changed_pooled_2:.0f` %, after 4 x 4 {glue:text}`changed_pooled_4:.0f` %, and with
# regions of half the map {glue:text}`changed_pooled_13:.0f` %.
#
# So the honest word is **tolerance**, not invariance. One 2 x 2 pooling takes the edge off a
# one-pixel move. It does not undo it. Tolerance grows with the region, and what it costs is knowing
# *where*.
#
# The control tells us what did the work. Taking every second cell makes the map as small as 2 x 2
# pooling does, and it changed {glue:text}`changed_sampled:.0f` % of its lit cells, about as many as
# the full map. The tolerance comes from the *summary* and not from the *shrinking*.
# {cite:t}`zhang2019shift` follows this thread further, and blurs before it shrinks.
#
# :::{admonition} A trap in the counting
# :class: note
#
# We counted lit cells only. Why not all cells? Because strokes cover a larger part of a small map
# than of a large one. Divided by *all* cells, the share of cells that changed would have been
# {glue:text}`of_all_unpooled:.0f` % before 2 x 2 pooling and {glue:text}`of_all_pooled_2:.0f` %
# after it: pooling would seem to make things worse. When a paper reports "less change", ask: change
# of what, divided by what?
# :::
#
# ## Who gets the gradient?
#
# Training asks of every number: had it been a little larger, by how much would the loss have
# changed? For a maximum the answer is short. Had the *winner* been a little larger, the output
# would have been larger by as much. Had any *other* cell been a little larger, nothing would have
# happened.
#
# So the gradient goes to the winner, all of it; where two cells tie, one of them is chosen. In the
# 3 x 3 example with stride 1, which cells win? And what happens with the average, where no cell
# wins? Write down both sets of nine gradients, for a loss that is the sum of the four outputs.

# %% tags=["nbval-check-output"]
x = tf.Variable(image[None, :, :, None].astype(np.float32))
for name, operation in (("maximum", tf.nn.max_pool2d), ("average", tf.nn.avg_pool2d)):
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(operation(x, ksize=2, strides=1, padding="VALID"))
    gradient = tape.gradient(total, x).numpy()[0, :, :, 0]
    print(f"{name}:\n{gradient}")

# %% [markdown]
# With the maximum, each of 5, 6, 8 and 9 wins once, and the other five cells receive nothing. The
# average gives every cell of a region an equal part: the middle cell sits in four regions and
# collects four quarters, a corner sits in one and gets a quarter.
#
# Now on the digit. Max-pool its edge map over 4 x 4 regions and outline the winners. How many of
# the cells with a response will they be: half, a sixth, a sixteenth?

# %% mystnb={"image": {"alt": "The edge map of a digit with a grid of 4 by 4 regions. In each region that has a response, one cell is outlined: the winner, the only cell that receives a gradient."}}
edges = tf.Variable(before[index][None, :24, :24, None])
with tf.GradientTape() as tape:
    total = tf.reduce_sum(tf.nn.max_pool2d(edges, ksize=4, strides=4, padding="VALID"))
winners = tape.gradient(total, edges).numpy()[0, :, :, 0] * (edges.numpy()[0, :, :, 0] > 0)
fig, ax = plt.subplots(figsize=(5.2, 5.2))
ax.imshow(edges.numpy()[0, :, :, 0], cmap="gray", interpolation="none")
style = {"fill": False, "linewidth": 2.5, "edgecolor": plots.COLOURS["orange"]}
for row, col in np.argwhere(winners):
    ax.add_patch(Rectangle((col - 0.5, row - 0.5), 1, 1, **style))
ax.set_xticks(np.arange(-0.5, 24, 4), [])
ax.set_yticks(np.arange(-0.5, 24, 4), [])
ax.grid(color=plots.COLOURS["sky"], linewidth=0.8)
ax.set_title("the winner of each 4 x 4 region")
plt.close(fig)
plots.finish(fig)

# %% tags=["hide-input"]
record("winners_percent", 100 * float((winners > 0).sum() / (edges.numpy() > 0).sum()))

# %% [markdown]
# Of the cells with any response, {glue:text}`winners_percent:.0f` % receive a gradient. With max
# pooling, a kernel learns from the best match in each neighbourhood and ignores the rest. With
# average pooling, it learns from them all, a little.
#
# ## Three ways to make a map small
#
# A convolution can shrink its own output: let it take steps of two. Is that not the same, and
# cheaper? Let us set three designs side by side on a 28 x 28 x 32 input, each with 64 kernels of
# 3 x 3. Before you run it: which has the most parameters, and which does the least work?

# %% tags=["nbval-check-output"]
def convolution_cost(n_out, c_in, c_out, k=3):
    """Weights and multiply-adds of a SAME convolution that ends with n_out x n_out maps."""
    return (k * k * c_in + 1) * c_out, n_out * n_out * k * k * c_in * c_out


designs = (
    ("convolution, then max pool 2", 28, "14 x 14 x 64"),
    ("convolution with stride 2", 14, "14 x 14 x 64"),
    ("convolution, then global pool", 28, "1 x 1 x 64"),
)
print(f"{'design':30} {'output':13} {'parameters':>10} {'multiply-adds':>14}")
for name, n_out, output in designs:
    n_parameters, multiply_adds = convolution_cost(n_out, 32, 64)
    print(f"{name:30} {output:13} {n_parameters:>10,} {multiply_adds:>14,}")

# %% [markdown]
# All three have the same parameters, and the strided convolution does a quarter of the arithmetic.
# Where did the rest go? It is the plain convolution with three of every four outputs never
# computed. They are not summarised. They are not looked at.

# %% tags=["nbval-check-output"]
picture = rng.normal(size=(1, 28, 28, 32)).astype(np.float32)
kernel = rng.normal(size=(3, 3, 32, 64)).astype(np.float32)
full = tf.nn.conv2d(picture, kernel, strides=1, padding="VALID").numpy()
strided = tf.nn.conv2d(picture, kernel, strides=2, padding="VALID").numpy()
kept = full[:, ::2, ::2]
difference = np.linalg.norm(kept - strided) / np.linalg.norm(strided)
assert difference < 1e-4
print(f"full {full.shape[1:]}, strided {strided.shape[1:]}")
print("every second row and column of the full map is the strided map: agree within 1e-4")

# %% [markdown]
# Which is better, then? Both are in use.
#
# - **Max pooling** computes everything and keeps the strongest. It buys some tolerance, as you
#   measured.
# - **A strided convolution** is cheaper, and its kernel can learn a summary of its own.
#   {cite:t}`springenberg2015striving` built networks with no pooling at all, and they did well. It
#   gives no tolerance for free: the control of our experiment, every second cell of a map, was one.
# - **Global pooling** gives up *where* altogether and keeps *whether*. {cite:t}`lin2014network` put
#   it at the end of a network, in place of the large dense layers. You meet it again in the deeper
#   networks of this course.
#
# ## What was lost
#
# A pooled map is a summary, and different things can have the same summary. How different? Shuffle
# the pixels of a digit inside each 2 x 2 square. Then pool both. How many cells of the two pooled
# maps will differ?

# %% mystnb={"image": {"alt": "Two images and their pooled maps. Left: a digit. Right: the same digit with the pixels inside every 2 by 2 square shuffled, which looks frayed. Their max-pooled maps below are identical."}}
blocks = digit.reshape(14, 2, 14, 2).transpose(0, 2, 1, 3).reshape(14, 14, 4)
shuffled = rng.permuted(blocks, axis=2)
frayed = shuffled.reshape(14, 14, 2, 2).transpose(0, 2, 1, 3).reshape(28, 28)
fig, axes = plt.subplots(2, 2, figsize=(5.4, 5.6))
columns = {"a digit": digit, "shuffled": frayed}
for (top, bottom), (name, picture) in zip(axes.T, columns.items(), strict=True):
    top.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="none")
    top.set_title(name)
    bottom.imshow(pool(picture, 2, 2), cmap="gray", vmin=0, vmax=1, interpolation="none")
    bottom.set_title("pooled")
for ax in axes.flat:
    ax.set_xticks([])
    ax.set_yticks([])
plt.close(fig)
plots.finish(fig)

# %%
n_different = int((digit != frayed).sum())
assert n_different > 0
assert np.array_equal(pool(digit, 2, 2), pool(frayed, 2, 2))
record("n_different", n_different)
print(f"pixels that differ: {n_different} of {digit.size};  pooled cells that differ: 0")

# %% [markdown]
# The two images differ in {glue:text}`n_different` pixels. Their pooled maps are the same to the
# last bit. No layer after the pooling can tell the two apart, however deep or clever it is.
#
# That is the bargain. Pooling makes the rest of the network cheaper and calmer, and pays with
# detail. On digits the detail is seldom needed. On a task where position matters, such as finding
# the outline of an organ, it is, and networks for such tasks carry the detail around the pooling by
# another path.
#
# ## Exercises
#
# **1. Warm-up.** A 32 x 32 x 64 stack of maps is max-pooled with region 3, stride 2, `VALID`. What
# is the output shape? And with `SAME`?
#
# :::{dropdown} Hint
# Two formulas: $\lfloor (n - k) / s \rfloor + 1$ and $\lceil n / s \rceil$. Depth does not take
# part.
# :::
#
# :::{dropdown} Solution
# `VALID`: $\lfloor 29 / 2 \rfloor + 1 = 15$, so 15 x 15 x 64. `SAME`: $\lceil 32 / 2 \rceil = 16$,
# so 16 x 16 x 64. The next cell asks TensorFlow.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
stack = tf.zeros((1, 32, 32, 64))
for padding in ("VALID", "SAME"):
    print(padding, tuple(tf.nn.max_pool2d(stack, 3, 2, padding).shape[1:]))

# %% [markdown]
# **2. Minimum pooling.** TensorFlow has no `min_pool2d`. Make one out of `max_pool2d` and nothing
# else.
#
# :::{dropdown} Hint
# What happens to an order when every number changes its sign?
# :::
#
# :::{dropdown} Solution
# The smallest number is the largest of the negated ones, negated: $\min(x) = -\max(-x)$.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
def min_pool(image, size, stride):
    """Minimum pooling by way of the maximum of the negated image."""
    return -tensorflow_pool(-image, size, stride, "MAX", "VALID")


print(min_pool(image, 2, 1))
assert np.array_equal(min_pool(image, 2, 1), pool(image, 2, 1, np.min))

# %% [markdown]
# **3. The gradient by hand.** Write the backward pass of non-overlapping max pooling yourself:
# given the image, the region and the gradient that arrives at each pooled cell, return the gradient
# of every pixel. Check it with `tf.GradientTape` on random numbers.
#
# :::{dropdown} Hint
# Walk the same two loops. At each stop find the position of the maximum with
# `np.unravel_index(np.argmax(...))` and add the incoming gradient there.
# :::
#
# :::{dropdown} Solution
# *Add*, not assign: with overlapping regions one pixel can win several times. The cell below passes
# for those too.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
def pool_gradient(image, size, stride, upstream):
    """Send each pooled cell's gradient to the pixel that won its region."""
    gradient = np.zeros_like(image)
    for row, col in np.ndindex(upstream.shape):
        top, left = row * stride, col * stride
        region = image[top : top + size, left : left + size]
        i, j = np.unravel_index(np.argmax(region), region.shape)
        gradient[top + i, left + j] += upstream[row, col]
    return gradient


sample = rng.normal(size=(9, 9)).astype(np.float32)
upstream = rng.normal(size=(4, 4)).astype(np.float32)
variable = tf.Variable(sample[None, :, :, None])
with tf.GradientTape() as tape:
    pooled = tf.nn.max_pool2d(variable, 3, 2, "VALID")
    total = tf.reduce_sum(pooled * upstream[None, :, :, None])
expected = tape.gradient(total, variable).numpy()[0, :, :, 0]
assert np.allclose(pool_gradient(sample, 3, 2, upstream), expected, atol=1e-6)
print("the hand-written gradient agrees with GradientTape")

# %% [markdown]
# **4. Average pooling is a convolution.** Find the kernel and the stride that make
# `tf.nn.depthwise_conv2d` compute 2 x 2 average pooling. Why is there no such kernel for the
# maximum?
#
# :::{dropdown} Hint
# Write the average of four numbers as a sum of products. In a depthwise convolution every channel
# has a kernel of its own, and the results are not added up.
# :::
#
# :::{dropdown} Solution
# Every weight is 1/4, the stride is 2, one kernel for each channel. A convolution is linear:
# doubling one input and leaving the rest changes the output by a fixed weight times that input. A
# maximum does not behave so, because a cell that loses has no effect until it wins.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
colour = rng.normal(size=(1, 8, 8, 3)).astype(np.float32)
quarter = np.full((2, 2, 3, 1), 0.25, np.float32)
as_convolution = tf.nn.depthwise_conv2d(colour, quarter, [1, 2, 2, 1], "VALID")
assert np.allclose(as_convolution, tf.nn.avg_pool2d(colour, 2, 2, "VALID"), atol=1e-6)
print("a 2 x 2 kernel of quarters with stride 2 is average pooling")

# %% [markdown]
# **5. Open-ended.** Repeat the shift experiment with *overlapping* pooling (region 3, stride 2),
# with average pooling, and with a blur before the maximum is sampled. Which one changes least for a
# move of one pixel? Of two? Plot the median against the size of the move, and say what each way
# costs in arithmetic.
#
# :::{dropdown} Hint
# `share_changed` takes any two stacks of maps. For a blur, convolve with [[1, 2, 1], [2, 4, 2], [1,
# 2, 1]] / 16 after a maximum with stride 1, then take every second cell; that is the idea of
# {cite:t}`zhang2019shift`.
# :::
#
# :::{dropdown} What to look for
# Two curves may cross: what is best for one pixel need not be best for two. Count the comparisons
# as well. A 2 x 2 region costs three for each output, a 3 x 3 region eight, and a maximum with
# stride 1 has four times as many outputs as one with stride 2. Check that your control, every
# second cell with no summary, still changes as much as the full map; if it does not, look for a
# mistake.
# :::
#
# ## Check yourself
#
# **1.** A max-pooling layer with region 2 and stride 2 reads 14 x 14 x 64. How many parameters has
# it?
#
# :::{dropdown} Answer
# None. Pooling learns nothing; region and stride are chosen, not trained.
# :::
#
# **2.** What comes out: 7 x 7 x 64, 7 x 7 x 16 or 14 x 14 x 16?
#
# :::{dropdown} Answer
# 7 x 7 x 64. Height and width are halved, and each of the 64 maps is pooled on its own.
# :::
#
# **3.** Max pooling with `SAME` padding reads a map of negative numbers. Can a zero of the padding
# win?
#
# :::{dropdown} Answer
# No. TensorFlow ignores padded cells, as if they were minus infinity, so the largest real number
# wins.
# :::
#
# **4.** "Max pooling makes a network invariant to translation." What would you answer?
#
# :::{dropdown} Answer
# It makes it somewhat tolerant. In the experiment of this chapter a move of one pixel still changed
# {glue:text}`changed_pooled_2:.0f` % of the lit cells after one 2 x 2 pooling. Only with regions
# far larger than the move did the map of the median digit stay nearly as it was.
# :::
#
# **5.** During training, which cells of a region receive the gradient of a max-pooled cell?
#
# :::{dropdown} Answer
# The winner alone. The gradient of a maximum is 1 for the largest input and 0 for all others; an
# average shares it equally.
# :::
#
# ## Summary
#
# - Pooling slides a region over each feature map and keeps one number: the maximum or the average.
#   No parameters, and depth unchanged.
# - Sizes follow the convolution's rules: `VALID` $\lfloor (n-k)/s \rfloor + 1$, `SAME` $\lceil n/s
#   \rceil$ with padding that never counts.
# - It buys smaller maps and some tolerance to small moves. The tolerance comes from the summary,
#   not from the shrinking.
# - The gradient of a maximum goes to the winner; that of an average is shared.
# - What it throws away is gone: different images can have the same pooled map.
#
# ## Further reading
#
# - {cite:t}`scherer2010evaluation` compare maximum and averaging on object recognition;
#   {cite:t}`boureau2010theoretical` ask why the maximum often wins.
# - {cite:t}`springenberg2015striving` do without pooling.
# - {cite:t}`zhang2019shift` measures how fragile pooling is to a shift and mends it.
# - {cite:t}`dumoulin2016guide` draw the arithmetic of convolution and pooling, one picture for each
#   case.
# - The pooling page of the {cite:t}`ufldl` tutorial.
#
# Next, {doc}`03_lenet` puts convolution and pooling together and asks why they come in this order.
#
# ## How this page was made

# %% tags=["hide-input"]
conditions(dataset)
