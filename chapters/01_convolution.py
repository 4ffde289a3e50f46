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
# # Convolution
#
# **How do you find edges with nothing but multiplication and addition?**
#
# By the end of this chapter you will be able to
#
# - compute a convolution by hand, and write it in ten lines of NumPy;
# - predict the shape of a feature map from the kernel, the stride and the padding, and say where
#   TensorFlow puts the odd pixel;
# - read a 3 x 3 kernel and guess what it does to a photograph;
# - count the parameters of a convolutional layer, and say why they are so few;
# - call `tf.nn.conv2d` and `keras.layers.Conv2D`, and know that they compute what you wrote by
#   hand;
# - work out which input pixels an output can see, through one layer or through many.
#
# You need NumPy arrays and a little Python. The last two exercises need a little calculus.
#
# Time to read and to try things out: 60 to 90 minutes. Minutes of computing, all cells, on two CPU
# cores: {glue:text}`minutes`. On a GPU: not measured.

# %% tags=["parameters"]
photo_width = 112  # pixels; width of the photograph, once cropped and reduced
seed = 1  # of the random images and kernels
n_agreements = 60  # random layers on which four programs are compared
timing_sizes = [16, 32, 64, 128, 256]  # pixels; sides of the images timed
n_repeats = 5  # repetitions of each timing; the fastest counts
n_train = 20  # training images of MNIST to keep; one of them is shown
n_test = 10  # test images of MNIST to keep
n_steps = 300  # gradient steps of the last exercise

# %%
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from matplotlib.cbook import get_sample_data
from numpy.lib.stride_tricks import sliding_window_view

from datasetslib import conditions, imutil, plots, record
from datasetslib.mnist import mnist

plots.use_style()
keras.utils.set_random_seed(seed)
rng = np.random.default_rng(seed)

# %% [markdown]
# ## Nine numbers
#
# Here is a photograph of Grace Hopper, who wrote one of the first compilers. It comes with
# matplotlib, so there is nothing to download. We crop it to a square, reduce it, and keep two
# versions: one in colour, one in grey.

# %% tags=["no-slide"]
with get_sample_data("grace_hopper.jpg") as file:
    original = plt.imread(file, format="jpg")  # uint8, 600 x 512, 3 channels

block = 512 // photo_width  # this many pixels a side are averaged into one
side = block * photo_width
left = (512 - side) // 2
square = original[30 : 30 + side, left : left + side] / 255
blocks = square.reshape(photo_width, block, photo_width, block, 3)
colour_photo = blocks.mean(axis=(1, 3))
photo = colour_photo @ [0.299, 0.587, 0.114]  # grey, as the eye weighs them

print("colour:", colour_photo.shape, "  grey:", photo.shape)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels. Left: a grey photograph of Grace Hopper in uniform. Right: the same picture reduced to its edges, bright lines on black: the cap, the spectacles, the collar and the stars of the flag stand out, flat areas are dark."}}
mystery = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])
inside = photo_width - 2
edges = sum(
    mystery[row, column] * photo[row : row + inside, column : column + inside]
    for row in range(3)
    for column in range(3)
)
plots.image_row(
    [photo, np.abs(edges).clip(0, 1)],
    ["the photograph", "what nine numbers made of it"],
    n_cols=2,
)

# %% [markdown]
# The picture on the right was made from the one on the left with these nine numbers, and with
# nothing but multiplication and addition:
#
# $$
# \begin{pmatrix} -1 & -1 & -1 \\ -1 & 8 & -1 \\ -1 & -1 & -1 \end{pmatrix}
# $$
#
# Look at them for a moment before you read on. What could be done with nine numbers, so that the
# plain wall behind her turns dark and the rim of her spectacles turns bright? One hint: add the
# nine numbers up.
#
# We come back to this matrix when you can read it at a glance.

# %% [markdown]
# ## Where this is going
#
# The operation is called **convolution**, and it is the heart of the *ConvNet*, the kind of network
# that this course is about. Nearly all ConvNets follow one pattern, so here it is, before any
# detail.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A chain of boxes from left to right: image, a block of convolution, ReLU and pooling, a second such block, flatten, dense layer, softmax. The arrows carry the shapes 28 x 28 x 1, 14 x 14 x 32, 7 x 7 x 64, 3136, 1024 and 10."}}
plots.shape_chain(
    [
        ("image", (28, 28, 1)),
        ("conv, ReLU, pool", (14, 14, 32)),
        ("conv, ReLU, pool", (7, 7, 64)),
        ("flatten", (3136,)),
        ("dense, ReLU", (1024,)),
        ("dense, softmax", (10,)),
    ]
)

# %% [markdown]
# Read it from the image onwards.
#
# - **Blocks** of convolution, a nonlinearity (ReLU) and pooling turn the image into maps. From
#   block to block the maps get smaller and more numerous. {doc}`02_pooling` is about the pooling.
# - The last maps are **flattened** into one long vector.
# - One or more **dense** layers (every input connected to every output) combine them.
# - A **softmax** at the end turns ten scores into ten probabilities.
#
# {doc}`03_lenet` builds this very network. This chapter is about the first word in each block.
#
# :::{note}
# **A kind correction.** The text that this course retraces calls the input layer of a ConvNet
# "fully connected". It is not. The input layer is the image itself: it holds numbers, and it has no
# weights and no connections of its own. The first layer with weights is the convolution, and each
# of its outputs is connected to a small patch of the image only. That is the whole point of it, as
# you will see when we count. The fully connected (dense) layers come last.
# :::

# %% [markdown]
# ## Sliding a kernel over an image
#
# Take an image of 3 x 3 pixels and a **kernel** of 2 x 2 numbers. A kernel is also called a
# **filter**. Lay the kernel on the top left corner of the image. Multiply each number of the kernel
# by the pixel beneath it, and add up the four products. That is a scalar product, and it gives
# *one* number.
#
# Then move the kernel by one pixel and do it again, until it has been everywhere it fits.
#
# $$
# \text{image} = \begin{pmatrix} 1 & 2 & 3 \\ 4 & 5 & 6 \\ 7 & 8 & 9 \end{pmatrix}
# \qquad
# \text{kernel} = \begin{pmatrix} 0 & -1 \\ -1 & 0 \end{pmatrix}
# $$
#
# **Before you look:** in how many places does the kernel fit? What number comes out at the top
# left? Take a pencil; it is one line.

# %% mystnb={"image": {"alt": "Four panels, one for each position of a 2 x 2 kernel on a 3 x 3 image. The pixels under the kernel are highlighted and the four products are written out. The sums are -6 at the top left, -8 at the top right, -12 at the bottom left and -14 at the bottom right."}}
image = np.arange(1, 10).reshape(3, 3)
kernel = np.array([[0, -1], [-1, 0]])
plots.convolution_panels(image, kernel)

# %% [markdown]
# Four places, four numbers. At the top left: $0 \cdot 1 - 1 \cdot 2 - 1 \cdot 4 + 0 \cdot 5 = -6$.
#
# The numbers keep the arrangement of the places they came from. The result is therefore an image
# again, a smaller one, called a **feature map**:
#
# $$
# \begin{pmatrix} -6 & -8 \\ -12 & -14 \end{pmatrix}
# $$
#
# Your turn to move it. The 5 in the middle of the image lies under the kernel at all four places.
# **If it were a 0, which of the four numbers would change?** Make your guess, then go to that pixel
# below and type a 0.
#
# :::{explorer} convolution
# An image, a kernel and the feature map that they make. Choose a cell of the map, or let the kernel
# walk, to see the products and the sum behind each number. Draw on the image, type your own kernel,
# and change stride, padding and dilation; the formula for the size follows, with its numbers. Besides
# this example there are kernels that find edges, blur, sharpen, or do nothing, and pictures for them.
# :::
#
# The answer: two of them. The 5 meets a $-1$ when the kernel is at the top right or at the bottom
# left, and a 0 at the other two places.
#
# In symbols, with image $x$, kernel $w$ and feature map $y$:
#
# $$
# y_{ij} = \sum_{a} \sum_{b} w_{ab} \, x_{i+a,\, j+b}
# $$
#
# Here $i, j$ say where the kernel lies, and $a, b$ run over the kernel. Now write it. Two loops are
# enough. Cover the cell below, and try it first.

# %% tags=["nbval-check-output"]
def correlate(image, kernel):
    """Slide `kernel` over `image` and return the feature map."""
    k_h, k_w = kernel.shape
    n_h = image.shape[0] - k_h + 1
    n_w = image.shape[1] - k_w + 1
    feature_map = np.zeros((n_h, n_w), np.result_type(image, kernel))
    for i in range(n_h):
        for j in range(n_w):
            feature_map[i, j] = np.sum(image[i : i + k_h, j : j + k_w] * kernel)
    return feature_map


print(correlate(image, kernel))

# %% [markdown]
# Ten lines, and they are the whole idea. Everything else in this chapter makes them more general,
# or faster.
#
# ### Does the order matter?
#
# Some books slide the kernel along the rows, as we did. The source of this course slides it down
# the first column, then moves right. Does the feature map depend on it? Decide, then run three
# orders, the last one random.

# %% tags=["nbval-check-output"]
by_rows = [(i, j) for i in range(2) for j in range(2)]
by_columns = [(i, j) for j in range(2) for i in range(2)]
at_random = [(1, 0), (0, 1), (1, 1), (0, 0)]
orders = {"rows": by_rows, "columns": by_columns, "random": at_random}
for name, places in orders.items():
    feature_map = np.zeros((2, 2), int)
    visited = []
    for i, j in places:
        feature_map[i, j] = np.sum(image[i : i + 2, j : j + 2] * kernel)
        visited.append(int(feature_map[i, j]))
    print(f"{name:8s} computed {str(visited):22s} map {feature_map.tolist()}")
    assert np.array_equal(feature_map, correlate(image, kernel))

# %% [markdown]
# The numbers are *computed* in another order, but each one is *stored* where its kernel lay, and
# none of them needs another one. So the map is the same. It also means that all of them could be
# computed at once: this is why convolution suits a GPU so well.

# %% [markdown]
# ## Why this finds edges
#
# Here is an image with an edge in the middle: dark on the left, bright on the right. And here is a
# kernel whose left column is negative and whose right column is positive.
#
# **Before you run it:** what does the kernel return where the image is flat? And how wide will the
# edge be in the feature map, one column or two?

# %% tags=["nbval-check-output"]
step = np.array([[10, 10, 10, 50, 50, 50]] * 4)
vertical = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])

print("the image\n", step)
print("with the kernel for vertical edges\n", correlate(step, vertical))
print("with its transpose, for horizontal edges\n", correlate(step, vertical.T))
print("the same, on the transposed image\n", correlate(step.T, vertical.T))

# %% [markdown]
# Where the image is flat, the kernel adds what it subtracts, and the result is 0. Where the right
# side is brighter than the left by 40, the three rows give $3 \cdot 40 = 120$. The edge is two
# columns wide, because there are two places where the kernel straddles it.
#
# The transposed kernel looks for horizontal edges. This image has none, and the kernel says so:
# zeros everywhere.
#
# So that is the answer to the question of this chapter. **An edge is a difference between
# neighbours. A kernel with positive numbers on one side and negative ones on the other computes
# that difference, everywhere at once.** Subtraction is multiplication by $-1$ and addition.

# %% [markdown]
# ## How big is the feature map?
#
# Write down your guess for the side of the map before you run the cell.
#
# | side of the image $n$ | side of the kernel $k$ | your guess |
# |---|---|---|
# | 3 | 2 | |
# | 5 | 3 | |
# | 28 | 3 | |
# | 28 | 5 | |
# | 1000 | 3 | |

# %% tags=["nbval-check-output"]
for n, k in [(3, 2), (5, 3), (28, 3), (28, 5), (1000, 3)]:
    # To count one side, a strip of the image is enough.
    strip = correlate(np.zeros((n, k)), np.zeros((k, k)))
    print(f"n = {n:4d}   k = {k}   map {len(strip):4d}   lost {n - len(strip)}")

# %% [markdown]
# In each direction, a kernel of side $k$ fits in $n - k + 1$ places. The map is $k - 1$ pixels
# smaller than the image, whatever the size of the image.
#
# :::{admonition} Misconception: "a convolution shrinks the image by half"
# :class: warning
# It does not: 28 becomes 26, and 1000 becomes 998. What halves an image is a *stride* of 2, or the
# pooling of the next chapter.
# :::
#
# ### Stride
#
# So far the kernel moved by one pixel. The **stride** $s$ is the number of pixels it moves. Below
# is one row of an image with $n = 8$ pixels, and every place where a kernel of 3 pixels comes to
# lie. **How many bars will there be for stride 2? For stride 3?** And does every pixel get looked
# at?

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three panels, each with a row of eight pixels and, below it, one bar for each place of a kernel three pixels wide. Stride 1: six bars. Stride 2: three bars, and the last pixel is under none of them. Stride 3: two bars, and the last two pixels are under none of them."}}
n, k = 8, 3
figure, axes = plt.subplots(3, 1, figsize=(6.4, 5.6), height_ratios=[6.5, 3.9, 3.1])
for axis, stride in zip(axes, (1, 2, 3), strict=True):
    places = range(0, n - k + 1, stride)
    seen = places[-1] + k
    for pixel in range(n):
        shade = plots.COLOURS["blue"] if pixel < seen else "white"
        axis.add_patch(plt.Rectangle((pixel, 0), 1, 0.8, fc=shade, ec="black", alpha=0.5))
        axis.text(pixel + 0.5, 0.4, pixel + 1, ha="center", va="center")
    for row, place in enumerate(places):
        axis.plot([place + 0.08, place + k - 0.08], [-0.5 - 0.6 * row] * 2, lw=6,
                  color=plots.COLOURS["orange"], solid_capstyle="butt")
    axis.set(xlim=(-0.1, n + 0.1), ylim=(-0.6 * len(places) - 0.3, 0.9))
    axis.set_title(f"stride {stride}: {len(places)} places, never seen: {n - seen}")
    axis.axis("off")
plots.finish(figure, synthetic=False)

# %% [markdown]
# From the first place the kernel can move by $n - k$ pixels in all, which is $\lfloor (n-k)/s
# \rfloor$ jumps of $s$. The places are one more than the jumps:
#
# $$
# m = \left\lfloor \frac{n - k}{s} \right\rfloor + 1
# $$
#
# Where the division leaves a remainder, the last pixels are never looked at.
#
# ### Padding
#
# Near the border the kernel does not fit, so the border pixels are looked at less often, and the
# map is smaller than the image. The usual remedy is to surround the image by $p$ rows and columns
# of zeros. This is **padding**, and it makes $n$ into $n + 2p$:
#
# $$
# m = \left\lfloor \frac{n - k + 2p}{s} \right\rfloor + 1
# $$
#
# With $s = 1$, an odd kernel and $p = (k-1)/2$, the map is exactly as large as the image.
#
# But what do the zeros tell the kernel? Take an image in which there is nothing at all to see, all
# ones, and a kernel that adds up nine pixels. **What will the padded map look like?**

# %% tags=["nbval-check-output"]
ones = np.ones((5, 5), int)
nine = np.ones((3, 3), int)
print("without padding\n", correlate(ones, nine))
print("padded with one ring of zeros\n", correlate(np.pad(ones, 1), nine))

# %% [markdown]
# Without padding: flat, as it should be. With padding there is a dark frame, 6 along the sides and
# 4 in the corners, although the image has no frame.
#
# :::{admonition} Misconception: "padding adds information"
# :class: warning
# Padding adds zeros. It keeps the map from shrinking, and it lets the border pixels take part in as
# many sums as the others. What it tells the network about the world beyond the border is made up:
# an edge where there is none.
# :::

# %% [markdown]
# ### SAME and VALID
#
# TensorFlow does not ask for $p$. It offers two words.
#
# - `VALID`: no padding. The size is $\lfloor (n-k)/s \rfloor + 1$.
# - `SAME`: as much padding as it takes for a map of size $\lceil n/s \rceil$. With stride 1 that is
#   the *same* size as the image.
#
# How much is that? The last kernel starts at $(m-1)\,s$ and ends at $(m-1)\,s + k$. If the image is
# shorter than that, the missing pixels are padded:
#
# $$
# P = \max\big((m-1)\,s + k - n,\; 0\big), \qquad m = \lceil n/s \rceil
# $$
#
# For $n = 4$, $k = 2$ and $s = 1$ this is $P = 1$. One pixel cannot be shared out between two
# sides. **Where does TensorFlow put it, before the image or after?** We ask it, with a row of four
# pixels and a kernel that adds two neighbours.

# %% tags=["nbval-check-output"]
# Axes of the image: batch, height, width, channels.
row = np.array([1, 2, 3, 4], np.float32).reshape(1, 1, 4, 1)
# Axes of the kernel: height, width, channels in, channels out.
pair = np.ones((1, 2, 1, 1), np.float32)

for padding in ("SAME", "VALID"):
    print(f"{padding:6s}", tf.nn.conv2d(row, pair, 1, padding).numpy().ravel())

# %% [markdown]
# $1+2$, $2+3$, $3+4$, and then $4 + 0$: the zero stands *after* the last pixel. Had it been before
# the first, the map would start with a 1.
#
# The rule is $\lfloor P/2 \rfloor$ before and the rest after, in each direction. So the odd pixel
# of padding always goes to the right and to the bottom. Here it is as a function, which we shall
# use in all that follows.

# %%
def padding_of(n, k, stride, padding):
    """Return how many zeros go before and after a row of `n` pixels."""
    if padding == "VALID":
        return 0, 0
    if padding == "SAME":
        m = -(-n // stride)  # n / stride, rounded up
        total = max((m - 1) * stride + k - n, 0)
        return total // 2, total - total // 2
    return padding, padding  # a number, for both sides


def pad(x, k_h, k_w, stride, padding):
    """Surround an image of shape (height, width, channels) with zeros."""
    rows = padding_of(x.shape[0], k_h, stride, padding)
    columns = padding_of(x.shape[1], k_w, stride, padding)
    return np.pad(x, [rows, columns, (0, 0)])


# %% [markdown]
# A rule is worth as much as its test. We take rows of 1 to 12 pixels, kernels of 1 to 6 and strides
# of 1 to 4, in every combination, and compare with TensorFlow. Whole numbers are exact in floating
# point, so we ask for *equality*: one zero on the wrong side, and the sums differ.

# %% tags=["nbval-check-output"]
n_cases = 0
shown = [(8, 3, 1), (8, 2, 1), (8, 3, 2), (9, 3, 2), (8, 5, 3)]
table = []
for n in range(1, 13):
    pixels = np.arange(1, n + 1, dtype=np.float32)
    for k in range(1, 7):
        weights = np.arange(1, k + 1, dtype=np.float32)
        for stride in range(1, 5):
            for padding in ["SAME", "VALID"] if k <= n else ["SAME"]:
                padded = np.pad(pixels, padding_of(n, k, stride, padding))
                ours = sliding_window_view(padded, k)[::stride] @ weights
                x, w = pixels.reshape(1, 1, n, 1), weights.reshape(1, k, 1, 1)
                theirs = tf.nn.conv2d(x, w, stride, padding).numpy().ravel()
                assert np.array_equal(ours, theirs), (n, k, stride, padding)
                n_cases += 1
                if (n, k, stride) in shown:
                    table.append((n, k, stride, padding, len(theirs)))
print("  n   k   s   padding   zeros before, after   size of the map")
for n, k, stride, padding, size in table:
    before, after = padding_of(n, k, stride, padding)
    print(f"{n:3d} {k:3d} {stride:3d}   {padding:7s} {before:10d}, {after} {size:20d}")
print(n_cases, "cases, all equal to TensorFlow")
record("n_padding_cases", n_cases)

# %% [markdown]
# All {glue:text}`n_padding_cases` cases agree. Three lines of the table deserve a second look.
#
# - $n = 8$, $k = 2$: with stride 1, SAME is lopsided for *every* even kernel. There is no middle
#   pixel in a pair.
# - $n = 8$, $k = 3$, $s = 2$: lopsided too, though the kernel is odd. One zero, and it goes after.
# - $n = 9$, $k = 3$, $s = 2$: one pixel more, and it is symmetric.
#
# The second one bites people who carry weights from one framework to another. PyTorch's `padding=1`
# puts one zero on *each* side: the same size of map for $n = 8$, but every kernel lies one pixel
# further to the left.

# %% [markdown]
# ## A gallery of kernels
#
# Now real images. Here are six kernels of nine numbers each.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Six 3 x 3 kernels with their numbers. 1: a single 1 in the middle. 2: all one ninth. 3: 5 in the middle, -1 above, below, left and right. 4: top row -1, bottom row +1. 5: left column -1, right column +1. 6: -2 at the top left, growing along the diagonal to 2 at the bottom right."}}
gallery = {
    1: np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
    2: np.ones((3, 3)) / 9,
    3: np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    4: np.array([[-1, -1, -1], [0, 0, 0], [1, 1, 1]]),
    5: np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]),
    6: np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
}
figure, axes = plt.subplots(2, 3, figsize=(6.4, 4.6))
for axis, (number, numbers) in zip(axes.flat, gallery.items(), strict=True):
    axis.imshow(np.sign(numbers) * np.abs(numbers) ** 0.5, cmap="PuOr_r", vmin=-4.5, vmax=4.5)
    for (i, j), value in np.ndenumerate(numbers):
        axis.text(j, i, "1/9" if number == 2 else f"{value:g}", ha="center", va="center", size=14)
    axis.set(title=f"kernel {number}", xticks=[], yticks=[], frame_on=False)
plots.finish(figure, synthetic=False)

# %% [markdown]
# And here is what they made of the photograph, in another order. **Which is which?** Write down six
# pairs before you unfold the answer. In C and F, grey is zero, white positive, black negative.
#
# Two things help. *Add up the nine numbers*: a flat area is multiplied by their sum. A sum of 1
# leaves it alone, a sum of 0 wipes it out. Then see *in which direction* the signs change.

# %% mystnb={"image": {"alt": "Six versions of the photograph. A looks like a relief lit from one side. B is crisper than the original. C is grey except for white and black lines along upright edges. D is the original. E is blurred. F is grey except for white and black lines along level edges such as brows, spectacles and collar."}}
answers = {"A": 6, "B": 3, "C": 5, "D": 1, "E": 2, "F": 4}
views = []
for number in answers.values():
    view = correlate(photo, gallery[number])
    if gallery[number].sum() == 0:
        view = 0.5 + view / 4  # signed: centre it on grey
    views.append(view.clip(0, 1))
plots.image_row(views, list(answers), n_cols=3)

# %% [markdown]
# :::{dropdown} The answer
# - **D is kernel 1**, the identity: each pixel is itself, once.
# - **E is kernel 2**, a blur: each pixel is the mean of nine. The sum is 1, so the brightness
#   stays.
# - **B is kernel 3**, which sharpens: five times the pixel less its four neighbours. A flat area
#   stays ($5 - 4 = 1$), a difference from the neighbours is exaggerated.
# - **F is kernel 4**, horizontal edges: below minus above. Look at the brows and at the upper rim
#   of the spectacles.
# - **C is kernel 5**, vertical edges: right minus left. Look at the pole behind her and at the
#   sides of the face. The pole, which stands out here, has vanished in F.
# - **A is kernel 6**, emboss: an edge detector along the diagonal, with a sum of 1, so that the
#   picture itself stays visible and seems to be lit from a corner.
#
# And the nine numbers at the top of the chapter? Their sum is 0: flat areas turn black. They are
# eight times the pixel less its eight neighbours, so they answer to a difference on any side: edges
# in all directions at once.
# :::
#
# Nobody will tell a ConvNet these kernels. It starts from random numbers and *learns* which ones
# help. Will edge detectors come out? You will see in {doc}`04_mnist_tensorflow`.
#
# Here are the same six on a handwritten digit, the first one that the course trains on.

# %% mystnb={"image": {"alt": "A handwritten digit and the six feature maps that the kernels of the gallery make of it: identity, blur, sharpen, horizontal edges, vertical edges, emboss. The two edge kernels answer to different strokes of the digit."}}
dataset = mnist(n_train=n_train, n_test=n_test)
dataset.x_layout = imutil.LAYOUT_NHW
dataset.load_data()
dataset.scaleX()
digit, label = dataset.X_train[0], dataset.class_names[dataset.Y_train[0]]

names = ["identity", "blur", "sharpen", "horizontal", "vertical", "emboss"]
maps = [correlate(digit, numbers) for numbers in gallery.values()]
plots.image_row([digit, *maps], [f"a {label}", *names], n_cols=4)

# %% [markdown]
# Where a map holds negative numbers, grey is zero, as before. A stroke has two sides, so each edge
# kernel draws it twice: once bright, once dark. The level strokes appear in one map, the upright
# ones in the other. For a machine that has to tell a 1 from a 7, that is already half the work.
#
# ### The map moves with the image
#
# Shift an image by three pixels to the right. **What happens to its feature map?**

# %% tags=["nbval-check-output"]
# Any image will do. Random numbers are the hardest test.
canvas = rng.integers(0, 10, (12, 12))
shifted = np.roll(canvas, 3, axis=1)
map_of_shifted = correlate(shifted, vertical)
shifted_map = np.roll(correlate(canvas, vertical), 3, axis=1)
same = np.array_equal(map_of_shifted[:, 3:], shifted_map[:, 3:])
print("equal, but for the three columns that came in at the left:", same)

# %% [markdown]
# It moves by three pixels. Away from the border, nothing else happens. The kernel does the same
# thing everywhere, so it finds a stroke wherever the stroke is. This property is called
# **translation equivariance**.
# Keep it in mind: the next chapter asks for something stronger.

# %% [markdown]
# ## Colour: three slices, one sum
#
# A colour image has three **channels**: red, green, blue. Its shape is (height, width, 3). The
# number of channels is also called the *depth*. What does a kernel look like now?
#
# It gets as many slices as the image has channels. Each slice slides over its own channel, and
# **the results are added up**. Below, three channels of 3 x 3 pixels and a kernel of $2 \times 2
# \times 3$.
#
# **How many maps come out, one or three?**

# %% tags=["nbval-check-output"]
channels = np.stack([image, 10 * np.eye(3, dtype=int), np.full((3, 3), 2)], axis=-1)
slices = np.stack([kernel, [[1, 0], [0, 1]], [[1, 1], [1, 1]]], axis=-1)
partial = [correlate(channels[..., c], slices[..., c]) for c in range(3)]
bias = 5

print("image", channels.shape, "  kernel", slices.shape)
for name, part in zip(["red", "green", "blue"], partial, strict=True):
    print(f"{name:5s}", part.tolist())
print("sum  ", sum(partial).tolist())
print("and with a bias of 5", (sum(partial) + bias).tolist())

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three rows, one for each channel: the 3 x 3 channel, the 2 x 2 slice of the kernel, the 2 x 2 partial result. At the right, the three partial results are added to one map: 22, 0, -4 and 14."}}
figure, axes = plt.subplots(3, 4, figsize=(6.4, 6.2), width_ratios=[3, 2, 2, 2])
for c, name in enumerate(["red", "green", "blue"]):
    for axis, numbers, title in [
        (axes[c, 0], channels[..., c], name),
        (axes[c, 1], slices[..., c], "slice"),
        (axes[c, 2], partial[c], "result"),
    ]:
        plots.annotate_matrix(axis, numbers)
        axis.set_title(title)
plots.annotate_matrix(axes[1, 3], sum(partial), strong=np.ones((2, 2)))
axes[1, 3].set_title("sum")
axes[0, 3].axis("off")
axes[2, 3].axis("off")
plots.finish(figure, synthetic=False)

# %% [markdown]
# One. At the top left, $-6 + 20 + 8 = 22$. A single number, the **bias**, may be added to the whole
# map at the end; every kernel has one.
#
# :::{admonition} Misconception: "a kernel gives one map for each channel"
# :class: warning
# A kernel has one *slice* for each input channel, and gives *one* map. If you want several maps,
# you need several kernels: **$k$ kernels give $k$ maps**, whatever the number of input channels.
# :::
#
# So a layer holds an array of four axes: kernel height, kernel width, channels in, channels out.
# Its output is an "image" with as many channels as there are kernels, and the next layer can slide
# over *that*. Here are three kernels on the colour photograph. All three see all three channels.

# %% mystnb={"image": {"alt": "The photograph in colour and three feature maps of it. The first map is bright where the picture is reddish: the red stripe of the flag and the face. The second is brightest on the blue wall, fainter on the blue of the flag, and dark elsewhere. The third shows upright edges."}}
three_kernels = np.zeros((3, 3, 3, 3))  # height, width, channels in, channels out
three_kernels[1, 1, :, 0] = [2, -1, -1]  # redder than it is green and blue
three_kernels[1, 1, :, 1] = [-1, -1, 2]  # bluer than it is red and green
three_kernels[:, :, :, 2] = vertical[..., None] / 3  # vertical edges of the grey

maps = tf.nn.conv2d(colour_photo[None], three_kernels, 1, "SAME")[0].numpy()
print("image", colour_photo.shape)
print("kernels", three_kernels.shape)
print("maps", maps.shape)
plots.image_row(
    [colour_photo, maps[..., 0].clip(0, 1), maps[..., 1].clip(0, 1), maps[..., 2]],
    ["photograph", "red?", "blue?", "upright?"],
)

# %% [markdown]
# The first two look at one pixel at a time and answer a question of colour; the third ignores
# colour and looks for edges. A layer of 32 kernels asks 32 such questions of every patch.

# %% [markdown]
# ## Counting parameters
#
# A kernel of $2 \times 2$ on one channel has 4 weights and 1 bias. Five such kernels have $5 \cdot
# 4$ weights and 5 biases: 25 parameters. In general
#
# $$
# (k_h \cdot k_w \cdot c_\text{in} + 1) \cdot c_\text{out}
# $$
#
# The size of the image does not appear in it. **Guess before you run:** 32 kernels of 3 x 3 on a
# grey image of 28 x 28 pixels, how many parameters? And how many for a dense layer that makes as
# many outputs from the same image: hundreds, thousands, millions?

# %% tags=["nbval-check-output"]
def count_conv(k_h, k_w, c_in, c_out):
    """Parameters of a convolutional layer with biases."""
    return (k_h * k_w * c_in + 1) * c_out


for sizes in [(2, 2, 1, 1), (2, 2, 1, 5), (3, 3, 1, 32), (3, 3, 3, 32), (4, 4, 32, 64)]:
    layer = keras.layers.Conv2D(filters=sizes[3], kernel_size=sizes[:2])
    layer.build((None, 28, 28, sizes[2]))
    ours, theirs = count_conv(*sizes), layer.count_params()
    print(f"kernels {str(sizes):14s} parameters {ours:6d}   keras {theirs:6d}")
    assert ours == theirs

n_in, n_out = 28 * 28, 26 * 26 * 32
n_dense = (n_in + 1) * n_out
n_local = (3 * 3 + 1) * n_out
n_conv = count_conv(3, 3, 1, 32)
print(f"\n{n_out:,} outputs from {n_in} pixels")
print(f"  dense, every pixel to every output     {n_dense:12,d}")
print(f"  local, nine pixels to every output     {n_local:12,d}")
print(f"  convolution, the nine weights shared   {n_conv:12,d}")

# %% [markdown]
# Seventeen million against 320. It takes two ideas to get there, and the table shows what each is
# worth.
#
# - **Local connections.** An output looks at nine pixels instead of all 784. Pixels that are far
#   apart have little to do with each other, at least at first.
# - **Shared weights.** All outputs of a map use the *same* nine numbers. An edge is an edge, in
#   whatever corner.
#
# ### A convolution is a dense layer
#
# It is a special one: many of its weights are held at zero, and the others are tied together. Take
# the 3 x 3 image as a vector of 9 numbers and the 2 x 2 map as one of 4. There must be a matrix of
# $4 \times 9$ that leads from one to the other. **Where in it are the four weights of the kernel?**

# %% mystnb={"image": {"alt": "A matrix of four rows and nine columns. Each row holds the four weights a, b, c, d of the kernel, at columns 1, 2, 4, 5 in the first row, moved by one in the second, by three in the third and by four in the fourth. All other entries are zero."}}
def as_dense_matrix(kernel, n):
    """Return the matrix that acts on a flattened n x n image as the kernel does."""
    k = len(kernel)
    rows = []
    for i in range(n - k + 1):
        for j in range(n - k + 1):
            row = np.zeros((n, n), kernel.dtype)
            row[i : i + k, j : j + k] = kernel
            rows.append(row.ravel())
    return np.stack(rows)


print((as_dense_matrix(kernel, 3) @ image.ravel()).reshape(2, 2))
pattern = as_dense_matrix(np.array([[1, 2], [3, 4]]), 3)
figure, axis = plt.subplots(figsize=(6.4, 3.3))
axis.imshow(np.where(pattern, pattern, np.nan), cmap="viridis", vmin=-1, vmax=4.5)
for (i, j), entry in np.ndenumerate(pattern):
    colour = "white" if 0 < entry < 3 else "black"
    axis.text(j, i, "0abcd"[entry], ha="center", va="center", color=colour)
axis.set(xticks=range(9), yticks=range(4), xlabel="pixel of the image", ylabel="pixel of the map")
axis.set_xticklabels(range(1, 10))
axis.set_yticklabels(range(1, 5))
plots.finish(figure, synthetic=False)

# %% [markdown]
# Each row holds the same $a, b, c, d$, moved along. Twenty of the 36 entries are zero and stay
# zero. The printed result is the map of the worked example again.
#
# So a dense layer *could* learn a convolution. It would have to find out by itself that pixels have
# neighbours and that an edge means the same everywhere. The convolution is told.

# %% [markdown]
# ## It is not quite what mathematicians call convolution
#
# In mathematics, the convolution of $x$ and $w$ runs through the kernel backwards:
#
# $$
# (w * x)_{ij} = \sum_a \sum_b w_{ab} \, x_{i-a,\, j-b}
# $$
#
# Minus signs, where our formula has plus signs. What we, and every deep learning library, compute
# is called **cross-correlation**. The two differ by a flip of the kernel, left to right and top to
# bottom.
#
# Does it matter for the kernel of our worked example? Look at it: $\begin{pmatrix} 0 & -1 \\ -1 & 0
# \end{pmatrix}$. Turned upside down and back to front, it is itself. The example *cannot tell*. So
# take a lopsided kernel, and the image that shows most plainly what a kernel does: one bright pixel
# on black.

# %% mystnb={"image": {"alt": "Four matrices. An image of zeros with a single 1 in the middle; the kernel 1 2 3, 4 5 6, 7 8 9; the cross-correlation of the two, in which the kernel appears turned by half a turn: 9 8 7, 6 5 4, 3 2 1; the convolution, in which the kernel appears as it is."}}
impulse = np.zeros((5, 5), int)
impulse[2, 2] = 1
lopsided = np.arange(1, 10).reshape(3, 3)
flipped = lopsided[::-1, ::-1]

figure, axes = plt.subplots(2, 2, figsize=(6.4, 6.2))
for axis, title, numbers in [
    (axes[0, 0], "one bright pixel", impulse),
    (axes[0, 1], "the kernel", lopsided),
    (axes[1, 0], "cross-correlation", correlate(impulse, lopsided)),
    (axes[1, 1], "convolution", correlate(impulse, flipped)),
]:
    plots.annotate_matrix(axis, numbers)
    axis.set_title(title)
plots.finish(figure, synthetic=False)

# %% [markdown]
# Cross-correlation returns the kernel turned by half a turn; convolution, with the flip, returns it
# as it is. NumPy knows both in one dimension, and TensorFlow sides with the first:

# %% tags=["nbval-check-output"]
print("np.convolve   ", np.convolve([0, 0, 1, 0, 0], [1, 2, 3], mode="valid"))
print("np.correlate  ", np.correlate([0, 0, 1, 0, 0], [1, 2, 3], mode="valid"))
spike = tf.reshape(tf.constant([0.0, 0, 1, 0, 0]), (1, 1, 5, 1))
rising = tf.reshape(tf.constant([1.0, 2, 3]), (1, 3, 1, 1))
print("tf.nn.conv2d  ", tf.nn.conv2d(spike, rising, 1, "VALID").numpy().ravel())

# %% [markdown]
# Why does nobody mind? Because the kernel is *learned*. If the flip is missing, training finds the
# flipped kernel. The name stayed, and from here on we say convolution as everyone does. Remember
# the flip when you compare with a signal-processing library, or when you type in a kernel from a
# book.

# %% [markdown]
# ## One call instead
#
# Libraries take a whole **batch** of images, with all their channels, and many kernels. Here is the
# signature to know by heart:
#
# | argument | shape or value | meaning |
# |---|---|---|
# | `input` | `[batch, height, width, in_channels]` | the images |
# | `filters` | `[kh, kw, in_channels, out_channels]` | the kernels |
# | `strides` | a number, or one for height and one for width | the step |
# | `padding` | `"SAME"`, `"VALID"`, or a list of zeros before and after | the border |
# | `data_format` | `"NHWC"` (default) or `"NCHW"` | where the channels are |
#
# Now the general case in NumPy, twice: first with loops, so that nothing is hidden, and then
# without.

# %%
def conv2d_loops(x, kernels, bias, stride=1, padding="VALID"):
    """Convolve x (h, w, c_in) with kernels (kh, kw, c_in, c_out), place by place."""
    k_h, k_w, _, c_out = kernels.shape
    x = pad(x, k_h, k_w, stride, padding)
    n_h = (x.shape[0] - k_h) // stride + 1
    n_w = (x.shape[1] - k_w) // stride + 1
    maps = np.empty((n_h, n_w, c_out), x.dtype)
    for i in range(n_h):
        for j in range(n_w):
            top, left = i * stride, j * stride
            patch = x[top : top + k_h, left : left + k_w]
            for c in range(c_out):
                maps[i, j, c] = np.sum(patch * kernels[..., c]) + bias[c]
    return maps


def conv2d_vectorised(x, kernels, bias, stride=1, padding="VALID"):
    """Compute the same as `conv2d_loops`, all places at once."""
    k_h, k_w = kernels.shape[:2]
    x = pad(x, k_h, k_w, stride, padding)
    windows = sliding_window_view(x, (k_h, k_w), axis=(0, 1))[::stride, ::stride]
    return np.einsum("ijcab,abck->ijk", windows, kernels, optimize=True) + bias


# %% [markdown]
# `sliding_window_view` makes an array of all patches without copying a single pixel: axes $i, j$
# for the place, $c$ for the channel, $a, b$ for the position under the kernel. `einsum` reads like
# our formula. The letters that are missing after the arrow, $a$, $b$ and $c$, are summed over.
#
# And the library, twice. TensorFlow's function is handed the kernels; Keras's layer *owns* them.

# %%
def conv2d_tensorflow(x, kernels, bias, stride=1, padding="VALID"):
    """Let TensorFlow do it."""
    if isinstance(padding, int):  # zeros before and after, for each of the four axes
        padding = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    maps = tf.nn.conv2d(x[None], kernels, strides=stride, padding=padding)
    return (maps[0] + bias).numpy()


def conv2d_keras(x, kernels, bias, stride=1, padding="VALID"):
    """Let a Keras layer do it, with our weights put into it."""
    x = x[None]
    if isinstance(padding, int):  # Conv2D knows the two words only
        x, padding = keras.layers.ZeroPadding2D(padding)(x), "valid"
    k_h, k_w, _, c_out = kernels.shape
    layer = keras.layers.Conv2D(c_out, (k_h, k_w), stride, padding.lower())
    layer.build(x.shape)
    layer.set_weights([kernels, bias])
    return keras.ops.convert_to_numpy(layer(x)[0])


# %% [markdown]
# Four programs for one formula. Do they agree? We draw images, kernels, strides, paddings and
# numbers of channels at random, and compare each with the loops. Floating point adds in a different
# order each time, so we ask for a relative difference (the norm of the difference over the norm of
# the result) of at most $10^{-5}$.

# %%
others = {
    "vectorised": conv2d_vectorised,
    "tensorflow": conv2d_tensorflow,
    "keras": conv2d_keras,
}
paddings = ["VALID", "SAME", 1, 2]
worst = {}
for trial in range(n_agreements):
    padding = paddings[trial % 4]
    height, width = rng.integers(6, 13, 2)
    k_h, k_w, c_in, c_out = (int(size) for size in rng.integers(1, 6, 4))
    stride = int(rng.integers(1, 4))
    x = rng.normal(size=(height, width, c_in)).astype(np.float32)
    kernels = rng.normal(size=(k_h, k_w, c_in, c_out)).astype(np.float32)
    bias = rng.normal(size=c_out).astype(np.float32)
    expected = conv2d_loops(x, kernels, bias, stride, padding)
    for name, function in others.items():
        result = function(x, kernels, bias, stride, padding)
        assert result.shape == expected.shape
        difference = np.linalg.norm(result - expected) / np.linalg.norm(expected)
        assert difference <= 1e-5, (name, x.shape, kernels.shape, stride, padding)
        worst[name, padding] = max(worst.get((name, padding), 0), difference)

print(f"largest relative difference from the loops, {n_agreements} random layers\n")
print("padding   " + "".join(f"{name:>14s}" for name in others))
for padding in paddings:
    row = [worst[name, padding] for name in others]
    print(f"{padding!s:10s}" + "".join(f"{value:14.1e}" for value in row))
record("largest_difference", float(max(worst.values())))
record("n_random_layers", n_agreements)

# %% [markdown]
# Over {glue:text}`n_random_layers` random layers, the largest relative difference is
# {glue:text}`largest_difference:.1e`: a few units in the last digit that float32 can hold. The four
# are one and the same function, and from now on you may use the short one with a good conscience.
#
# ### Channels last or channels first
#
# `NHWC` stands for batch (N), height, width, channels. `NCHW` has the channels before height and
# width, the order that PyTorch uses and in which NVIDIA's older kernels were fastest. The values
# are the same; the order in memory is not. Transposing is easy to write and easy to forget:

# %%
batch = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
kernels = rng.normal(size=(3, 3, 3, 4)).astype(np.float32)
last = tf.nn.conv2d(batch, kernels, strides=1, padding="VALID")
try:
    channels_first = tf.transpose(batch, [0, 3, 1, 2])
    first = tf.nn.conv2d(channels_first, kernels, 1, "VALID", data_format="NCHW")
    back = tf.transpose(first, [0, 2, 3, 1])
    difference = float(tf.norm(back - last) / tf.norm(last))
    outcome = f"it ran: {first.shape} instead of {last.shape}"
    outcome += f", relative difference {difference:.1g}"
except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError) as error:
    outcome = "it was refused: " + error.message.split("}} ")[-1].split(" [Op")[0]
print(outcome)
record("channels_first_outcome", outcome)

# %% [markdown]
# On the machine that made this page, {glue:text}`channels_first_outcome`.
#
# You may see something else, and it is good to know why. TensorFlow's own CPU code knows NHWC only.
# Builds with Intel's oneDNN library, such as the usual one for Linux, accept NCHW all the same.
# Switch that library off (set the environment variable `TF_ENABLE_ONEDNN_OPTS=0` before TensorFlow
# is imported), and the same call stops with *"The Conv2D op currently only supports the NHWC tensor
# format on the CPU"*. A program meant to run everywhere uses NHWC on the CPU. This course always
# does.

# %% [markdown]
# ## What do the loops cost?
#
# The four functions agree. They do not cost the same. We convolve a colour image of growing side
# with 8 kernels of 3 x 3. For Keras we build the layer once, as one does in a network.
#
# The side doubles from one size to the next: **by how much should the time grow?** And how many
# times faster than the loops is the library: 10, 100, 1000?

# %%
kernels = rng.normal(size=(3, 3, 3, 8)).astype(np.float32)
bias = np.zeros(8, np.float32)
layer = keras.layers.Conv2D(8, 3, padding="same")
layer.build((None, None, None, 3))
layer.set_weights([kernels, bias])
functions = {
    "loops": conv2d_loops,
    "vectorised": conv2d_vectorised,
    "tensorflow": conv2d_tensorflow,
    "keras": lambda x, *_: keras.ops.convert_to_numpy(layer(x[None])),
}
milliseconds = {name: [] for name in functions}
for size in timing_sizes:
    x = rng.normal(size=(size, size, 3)).astype(np.float32)
    for name, function in functions.items():
        # A library's first call prepares things. The loops have nothing to prepare.
        times = []
        for _ in range(1 if name == "loops" else n_repeats + 1):
            start = time.perf_counter()
            function(x, kernels, bias, 1, "SAME")
            times.append(time.perf_counter() - start)
        milliseconds[name].append(1000 * min(times))

print("milliseconds")
print("side" + "".join(f"{name:>14s}" for name in functions))
for size, *row in zip(timing_sizes, *milliseconds.values(), strict=True):
    print(f"{size:4d}" + "".join(f"{value:14.2f}" for value in row))
record("milliseconds", milliseconds)
record("largest_side", timing_sizes[-1])
last = {name: times[-1] for name, times in milliseconds.items()}
record("loops_over_vectorised", last["loops"] / last["vectorised"])
record("loops_over_tensorflow", last["loops"] / last["tensorflow"])
first = {name: times[0] for name, times in milliseconds.items()}
record("smallest_side", timing_sizes[0])
record("keras_over_tensorflow_small", first["keras"] / first["tensorflow"])
record("keras_over_tensorflow_large", last["keras"] / last["tensorflow"])

# %% tags=["hide-input"] mystnb={"image": {"alt": "Milliseconds against the side of the image, both axes logarithmic. The line of the loops is straight and lies far above the other three; the vectorised, the TensorFlow and the Keras version rise less steeply for small images."}}
figure, axis = plt.subplots(figsize=(6.4, 4))
for name, marker in zip(functions, "os^D", strict=True):
    axis.loglog(timing_sizes, milliseconds[name], marker=marker, label=name)
axis.set(xlabel="side of the image (pixels)", ylabel="time (milliseconds)")
axis.set_xticks(timing_sizes, [str(size) for size in timing_sizes])
axis.minorticks_off()
axis.legend()
plots.finish(figure, synthetic=False)

# %% [markdown]
# Twice the side means four times the pixels. The loops follow that: their line is straight and
# rises about fourfold at each step. The other three hardly notice the small images, where the time
# goes into making the call at all.
#
# At a side of {glue:text}`largest_side` pixels, NumPy without loops is
# {glue:text}`loops_over_vectorised:.0f` times and TensorFlow {glue:text}`loops_over_tensorflow:.0f`
# times faster than the loops.
#
# Keras takes {glue:text}`keras_over_tensorflow_small:.1f` times as long as TensorFlow's bare function
# at a side of {glue:text}`smallest_side` pixels, and {glue:text}`keras_over_tensorflow_large:.1f`
# times as long at {glue:text}`largest_side`. A layer does some bookkeeping at each call, and that
# takes the same time whatever the size of the image.
#
# These are timings of one machine on one day. Take away the order of magnitude.

# %% [markdown]
# ## What can one output see?
#
# The input pixels that an output depends on are its **receptive field**. For one layer of 3 x 3
# kernels, that is a patch of 3 x 3 pixels. A second such layer looks at a 3 x 3 patch *of the first
# map*. **How many pixels of the image does one of its outputs see: 3 x 3, 5 x 5, 6 x 6 or 9 x 9?**
#
# We need not argue, we can ask TensorFlow. The gradient of an output with respect to the image
# says, for each pixel, how much the output changes when that pixel changes a little. If all weights
# are 1, it does more. It counts the ways that lead from the pixel to the output, and is zero where
# there is none.

# %% mystnb={"image": {"alt": "Four panels of 9 x 9 pixels. The pixels that the central output sees are painted and carry a number, the count of ways to the output. One layer of 3 x 3 kernels: 3 x 3 pixels, all 1. Two layers: 5 x 5 pixels, 1 at the corners, 9 in the middle. Three layers: 7 x 7 pixels, 1 at the corners, 49 in the middle. One layer of a 7 x 7 kernel: the same 7 x 7 pixels, all 1."}}
def ways_to_the_centre(layers, n):
    """Count the ways from each pixel of an n x n image to the central output."""
    x = tf.ones((1, n, n, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x
        for k, stride in layers:
            y = tf.nn.conv2d(y, tf.ones((k, k, 1, 1)), stride, "VALID")
        output = y[0, y.shape[1] // 2, y.shape[2] // 2, 0]
    return tape.gradient(output, x)[0, :, :, 0].numpy().round().astype(int)


panels = {
    "one layer of 3x3": [(3, 1)],
    "two layers of 3x3": [(3, 1)] * 2,
    "three layers of 3x3": [(3, 1)] * 3,
    "one layer of 7x7": [(7, 1)],
}
figure, axes = plt.subplots(2, 2, figsize=(6.4, 6.8))
for axis, (title, layers) in zip(axes.flat, panels.items(), strict=True):
    ways = ways_to_the_centre(layers, 9)
    axis.imshow(np.where(ways, np.log1p(ways), np.nan), cmap="YlOrBr", vmin=-0.5, vmax=9)
    for (i, j), count in np.ndenumerate(ways):
        if count:
            axis.text(j, i, count, ha="center", va="center_baseline", fontsize=12)
    axis.set(title=title, xticks=[], yticks=[])
    axis.spines[:].set_visible(True)
plots.finish(figure, synthetic=False)

# %% [markdown]
# 3, 5, 7. Each further layer of 3 x 3 kernels adds one pixel on either side. In general, layer $l$
# with kernel $k_l$ adds $k_l - 1$ steps. How long is a step, in pixels of the image? It is the
# product of all the strides before that layer:
#
# $$
# r = 1 + \sum_{l} (k_l - 1) \prod_{m < l} s_m
# $$
#
# The numbers in the squares say something more. The pixels in the middle have many more ways to the
# output than those at the rim: 49 against 1 after three layers. An output sees its whole field, but
# it looks at the middle {cite:p}`luo2016understanding`.
#
# Now check the formula against the gradient, with strides too. The last line is the network of
# {doc}`03_lenet`, up to its second pooling; for the size of the field, a pooling counts like a
# kernel of its size and stride.

# %% tags=["nbval-check-output"]
def receptive_field(layers):
    """Side of the receptive field of a stack of (kernel, stride) pairs."""
    field, step = 1, 1
    for k, stride in layers:
        field += (k - 1) * step
        step *= stride
    return field


stacks = {
    "3x3, three times": [(3, 1)] * 3,
    "one 7x7": [(7, 1)],
    "3x3 with stride 2, three times": [(3, 2)] * 3,
    "conv 4x4, pool 2, conv 4x4, pool 2": [(4, 1), (2, 2), (4, 1), (2, 2)],
}
for name, layers in stacks.items():
    painted = int((ways_to_the_centre(layers, 41).sum(axis=0) > 0).sum())
    print(f"{name:36s} formula {receptive_field(layers):3d}   painted {painted:3d}")
    assert painted == receptive_field(layers)

# %% [markdown]
# Compare the first two lines. Three layers of 3 x 3 see as far as one layer of 7 x 7. On one
# channel they have $3 \cdot 9 = 27$ weights, against 49, and there is room for two nonlinearities
# in between. That is one reason why deep networks are built from small kernels. Strides make the
# field grow much faster: 15 instead of 7. How fields grow in famous networks is worked out in
# {cite:t}`araujo2019computing`.

# %% [markdown]
# ## Exercises
#
# **1. Warm-up: sizes and parameters.** An image of 32 x 32 x 3 goes through 16 kernels of 5 x 5
# with stride 2. Give the shape of the output for VALID and for SAME, the zeros that SAME adds on
# each side, and the number of parameters.
#
# :::{dropdown} Hint
# Three formulas, in this order: the size, then $P$, then the parameters. The number of parameters
# does not depend on the padding.
# :::
#
# :::{dropdown} Solution
# VALID: $\lfloor (32-5)/2 \rfloor + 1 = 14$, so 14 x 14 x 16. SAME: $\lceil 32/2 \rceil = 16$, so
# 16 x 16 x 16, with $P = 15 \cdot 2 + 5 - 32 = 3$ zeros: one before, two after. Parameters: $(5
# \cdot 5 \cdot 3 + 1) \cdot 16 = 1216$. The cell below checks it.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
x, w = tf.zeros((1, 32, 32, 3)), tf.zeros((5, 5, 3, 16))
print("VALID", tf.nn.conv2d(x, w, 2, "VALID").shape)
print("SAME ", tf.nn.conv2d(x, w, 2, "SAME").shape)
print("zeros before and after with SAME:", padding_of(32, 5, 2, "SAME"))
print("parameters:", count_conv(5, 5, 3, 16))

# %% [markdown]
# **2. Warm-up: a kernel that moves.** Write a 3 x 3 kernel that shifts an image by one pixel to the
# left and does nothing else. Which of its nine numbers is not zero? Try it on the 3 x 3 image,
# padded.
#
# :::{dropdown} Hint
# The identity takes the pixel in the middle. To move the picture to the left, each place must take
# the pixel on its *right*.
# :::
#
# :::{dropdown} Solution
# A single 1 in the middle row, on the right. The cell below tries it: the columns 2, 5, 8 and 3, 6,
# 9 move to the left, and a column of zeros comes in from the padding.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
move = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 0]])
print(correlate(np.pad(image, 1), move))

# %% [markdown]
# **3. A detector for diagonals.** Design a 3 x 3 kernel that answers to a line from the top left to
# the bottom right, not to one from the top right to the bottom left, and that returns 0 on a flat
# image. Test it on the two 5 x 5 images `np.eye(5)` and `np.eye(5)[:, ::-1]`.
#
# :::{dropdown} Hint
# A kernel answers most to a patch that looks like itself. Begin with ones on the diagonal. Then
# make the sum zero by subtracting the same number elsewhere.
# :::
#
# :::{dropdown} Solution
# Twos on the diagonal and $-1$ elsewhere: $3 \cdot 2 - 6 \cdot 1 = 0$. The cell below tries it. The
# kernel gives 6 wherever it lies on its own line. On the other line it gives 2 at most, where only
# one of its corners touches the line. Add a bias of $-2$ and set what is negative to zero, which is
# what the ReLU after it does in a network: now the answer is 4 on the right line and 0 on the wrong
# one. Nine numbers, a bias and a threshold make a detector.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
diagonal = np.array([[2, -1, -1], [-1, 2, -1], [-1, -1, 2]])
print("on the diagonal\n", correlate(np.eye(5, dtype=int), diagonal))
print("on the other diagonal\n", correlate(np.eye(5, dtype=int)[:, ::-1], diagonal))
print("on a flat image\n", correlate(np.full((5, 5), 7), diagonal))

# %% [markdown]
# **4. Dilation.** A *dilated* (or *atrous*) convolution spreads the kernel out: with dilation $d$,
# neighbouring weights lie on pixels that are $d$ apart. A 3 x 3 kernel with $d = 2$ covers 5 x 5
# pixels, with nine weights. Derive the size of the map for VALID and stride 1. Then write it with
# `correlate`, and compare with `tf.nn.conv2d(..., dilations=d)`.
#
# :::{dropdown} Hint
# Dilation is an ordinary convolution with a larger kernel that has zeros in the gaps. How large is
# it? There are $k - 1$ gaps.
# :::
#
# :::{dropdown} Solution
# The spread kernel has side $(k-1)\,d + 1$, so the map has side $n - (k-1)\,d$. The number of
# weights stays what it was. Three layers of 3 x 3 kernels with dilations 1, 2, 4 see $1 + 2 \cdot
# (1 + 2 + 4) = 15$ pixels: this is how to widen the receptive field without pooling and without
# more weights.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
def dilate(kernel, d):
    """Spread a square kernel out, with zeros in the gaps."""
    k = len(kernel)
    spread = np.zeros(((k - 1) * d + 1,) * 2, kernel.dtype)
    spread[::d, ::d] = kernel
    return spread


picture = np.arange(81).reshape(9, 9) % 7
for d in (1, 2, 3):
    ours = correlate(picture, dilate(lopsided, d))
    theirs = tf.nn.conv2d(
        tf.cast(picture.reshape(1, 9, 9, 1), tf.float32),
        tf.cast(lopsided.reshape(3, 3, 1, 1), tf.float32),
        strides=1,
        padding="VALID",
        dilations=d,
    )[0, :, :, 0].numpy()
    covers = len(dilate(lopsided, d))
    equal = np.array_equal(ours, theirs)
    print(f"d = {d}: covers {covers}, map {ours.shape}, equal: {equal}")

# %% [markdown]
# **5. The gradient of the kernel.** Take the worked example again, $y$ the feature map, and the
# loss $L = \frac{1}{2} \sum_{ij} y_{ij}^2$. Derive $\partial L / \partial w_{ab}$ for the four
# weights, with a pencil. Then check the four numbers with `tf.GradientTape`. What operation is it
# that you have done?
#
# :::{dropdown} Hint
# Chain rule: $\partial L / \partial y_{ij} = y_{ij}$, and the formula for $y_{ij}$ says that
# $\partial y_{ij} / \partial w_{ab} = x_{i+a,\, j+b}$. Sum over all places $i, j$: the weight is
# shared, so every place has its say.
# :::
#
# :::{dropdown} Solution
# $\partial L / \partial w_{ab} = \sum_{ij} y_{ij}\, x_{i+a,\, j+b}$. For $a = b = 0$: $-6 \cdot 1 -
# 8 \cdot 2 - 12 \cdot 4 - 14 \cdot 5 = -140$; the others are $-180$, $-260$ and $-300$. This
# formula is the cross-correlation of the image with $\partial L / \partial y$ as the kernel: the
# gradient of a convolution is a convolution. That is why the cell below can use `correlate` again.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
weights = tf.Variable(kernel.reshape(2, 2, 1, 1).astype(np.float32))
with tf.GradientTape() as tape:
    y = tf.nn.conv2d(image.reshape(1, 3, 3, 1).astype(np.float32), weights, 1, "VALID")
    loss = tf.reduce_sum(y**2) / 2
by_tape = tape.gradient(loss, weights).numpy().reshape(2, 2).astype(int)
by_hand = correlate(image, correlate(image, kernel))
print("by hand\n", by_hand)
print("by the tape\n", by_tape)
assert np.array_equal(by_hand, by_tape)

# %% [markdown]
# **6. Open-ended: find the nine numbers.** Somebody shows you the photograph and its edges, and has
# lost the kernel. Recover it: start from nine zeros, measure the mean squared difference between
# your edges and the given ones, and go down its gradient. How many steps does it take? Which of the
# nine numbers come first? What if you have only one corner of the picture, or if the edges are
# noisy? You will have trained a convolutional network: one layer, one kernel, one image.
#
# :::{dropdown} Hint
# `tf.Variable(tf.zeros((3, 3, 1, 1)))`, a `GradientTape` around `tf.nn.conv2d` and
# `tf.reduce_mean`, and an optimiser from `keras.optimizers`. Neighbouring pixels are nearly equal,
# which makes plain gradient descent slow. Try Adam with a large learning rate. It also helps to
# subtract the mean from the photograph: why may you?
# :::

# %% tags=["hide-cell"]
given = (photo - photo.mean())[None, ..., None].astype(np.float32)
target = tf.nn.conv2d(given, mystery.reshape(3, 3, 1, 1).astype(np.float32), 1, "VALID")
found = tf.Variable(tf.zeros((3, 3, 1, 1)))
optimizer = keras.optimizers.Adam(learning_rate=0.3)


@tf.function
def step_down():
    with tf.GradientTape() as tape:
        error = tf.nn.conv2d(given, found, 1, "VALID") - target
        loss = tf.reduce_mean(error**2)
    optimizer.apply_gradients([(tape.gradient(loss, found), found)])
    return loss


optimizer.build([found])
losses = [float(step_down()) for _ in range(n_steps)]
print(f"mean squared difference at first: {losses[0]:.4f}")
print(f"after {n_steps} steps: {losses[-1]:.1e}")
print(found.numpy().reshape(3, 3).round(2))
assert losses[-1] < 0.2 * losses[0]
record("n_recovery_steps", n_steps)
record("recovery_loss_ratio", losses[-1] / losses[0])

# %% [markdown]
# :::{dropdown} What to see
# After {glue:text}`n_recovery_steps` steps the loss has fallen to
# {glue:text}`recovery_loss_ratio:.0e` of what it was, and the nine numbers are close to those at
# the top of the chapter. You may subtract the mean because this kernel sums to zero: a constant
# added to the photograph changes nothing in its edges.
# :::

# %% [markdown]
# ## Check yourself
#
# **1.** An image of 28 x 28 x 1 goes through 32 kernels of 3 x 3 without padding. What comes out?
#
# :::{dropdown} Answer
# 26 x 26 x 32: the side is $28 - 3 + 1$, and there is one map for each kernel.
# :::
#
# **2.** The next layer has 64 kernels of 3 x 3. How many weights has one of them, and how many maps
# does it make?
#
# :::{dropdown} Answer
# It has a slice for each of the 32 maps that come in: $3 \cdot 3 \cdot 32 = 288$ weights, and one
# bias. It makes one map. The 64 kernels make 64.
# :::
#
# **3.** A kernel's numbers add up to 0. What does it make of a blank wall? And what if they add up
# to 1?
#
# :::{dropdown} Answer
# Zero, whatever the brightness of the wall: it shows differences only. With a sum of 1 the wall
# keeps its brightness.
# :::
#
# **4.** With `SAME`, stride 1 and a kernel of 4 x 4, where do the zeros go?
#
# :::{dropdown} Answer
# $P = 3$: one row above and one column to the left, two rows below and two columns to the right.
# With stride 1, `SAME` is lopsided for every even kernel.
# :::
#
# **5.** Two layers of 3 x 3 or one of 5 x 5: which sees further, and which has more weights? Take
# one channel.
#
# :::{dropdown} Answer
# Both see 5 x 5 pixels. Two layers of 3 x 3 have 18 weights, one of 5 x 5 has 25.
# :::

# %% [markdown]
# ## Summary
#
# - A convolution slides a kernel over an image and takes a scalar product at each place. The order
#   of the places does not matter.
# - The result is a feature map. Its side is $\lfloor (n - k + 2p)/s \rfloor + 1$; with TensorFlow's
#   SAME it is $\lceil n/s \rceil$, and the odd zero goes after.
# - Edges are differences, and a kernel with both signs computes differences. If its numbers add up
#   to zero, flat areas vanish.
# - A kernel has a slice for each input channel; the slices' results are added. $k$ kernels give $k$
#   maps.
# - Parameters: $(k_h k_w c_\text{in} + 1)\, c_\text{out}$. Local connections and shared weights
#   keep the number small.
# - Deep learning's convolution is cross-correlation: no flip.
# - The receptive field grows by $k - 1$ steps with each layer, and a step grows with the strides.
#
# ## Further reading
#
# - {cite:t}`olah2014understanding` builds convolution up from a ball that is dropped twice; read it
#   for the flip.
# - {cite:t}`dumoulin2016guide` draw kernels, strides and paddings, one picture for each case, and
#   the transposed convolution too.
# - {cite:t}`ufldl`: the pages on feature extraction by convolution and on pooling.
# - {cite:t}`lecun1998gradient` is the paper that this course follows up to chapter 5, and it is
#   good reading still; {cite:t}`lecun1989backpropagation` had the shared weights before. LeCun's
#   own pages on LeNet, once at yann.lecun.com/exdb/lenet, showed the network at work.
# - {cite:t}`fukushima1980neocognitron`: where the idea of one detector, applied everywhere, came
#   from.
# - {cite:t}`goodfellow2016deep`, chapter 9, for the theory; {cite:t}`zhang2023dive` for another
#   road through the same country.
#
# Next: {doc}`02_pooling` asks what can be thrown away. Feature maps are large, and most of what
# they hold says *where*, not *what*. The convolutions of this chapter are put to work twice over,
# in {doc}`04_mnist_tensorflow` with `tf.nn.conv2d` and in its twin {doc}`05_mnist_keras` with
# `Conv2D`.

# %% [markdown]
# ## How this page was made

# %% tags=["hide-input"]
conditions(dataset)
