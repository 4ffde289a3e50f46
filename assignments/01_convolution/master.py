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
# # Convolution and pooling in NumPy
#
# A library computes a convolutional layer in one line. What does that line do? Here you write it
# yourself, with arrays and loops and nothing else. At the end you have every part of LeNet that
# touches an image, and the one step of the way back that surprises most people.
#
# You need the first two chapters of the course. Speed does not matter here: two plain loops over the
# positions of the kernel are a good answer.

# %%
import numpy as np

# %% [raw]
# QUESTION q1

# %% [markdown]
# ## 1. How large, and how many zeros ({points} points)
#
# A row has $n$ cells. A kernel of $k$ cells slides along it, $s$ cells at a time. How often does it
# fit?
#
# Two answers are in use. With `"valid"` the kernel stays inside the row. With `"same"` zeros are
# added at both ends, so that the number of positions depends on the stride alone: it is $n / s$,
# rounded up. With a stride of 1 the output is then as long as the input, hence the name.
#
# How many zeros does `"same"` add? Enough for the last position, and no more. The last position
# begins $(m - 1)\,s$ cells after the first, where $m$ is the number of positions; count how far the
# kernel then reaches. The zeros are shared out between the two ends. Where their number is odd, the
# extra one comes *after* the row, as in TensorFlow. Where the row is long enough already, there are
# none.
#
# Write both: `output_size`, a whole number, and `padding_amounts`, the pair of numbers of zeros
# before and after the row.


# %%
def output_size(n, k, stride, padding):
    """Return the number of positions of a kernel of k cells on a row of n cells."""
    # BEGIN SOLUTION
    if padding == "same":
        return -(-n // stride)
    return (n - k) // stride + 1
    # END SOLUTION


def padding_amounts(n, k, stride):
    """Return the numbers of zeros that "same" puts before and after a row of n cells."""
    # BEGIN SOLUTION
    reach = (output_size(n, k, stride, "same") - 1) * stride + k
    zeros = max(reach - n, 0)
    return zeros // 2, zeros - zeros // 2
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q2

# %% [markdown]
# ## 2. One image, one kernel ({points} points)
#
# What does the kernel see at one position? A small window of the image, of the kernel's own shape.
# It multiplies the two cell by cell and adds up the products: one number of the output.
#
# In this field the kernel is laid on the image as it is. Mathematicians turn it by 180 degrees
# first; nobody does so in a network, where the kernel is learned and could have been learned turned.
#
# Write `convolve` for an image of shape `(height, width)`. Neither the image nor the kernel need be
# square. Rows and columns follow the same rules, each with its own length.


# %%
def convolve(image, kernel, stride=1, padding="valid"):
    """Return the feature map of an image (height, width) under a kernel (height, width)."""
    # BEGIN SOLUTION
    (n_rows, n_columns), (k_rows, k_columns) = image.shape, kernel.shape
    if padding == "same":
        image = np.pad(image, [padding_amounts(n_rows, k_rows, stride),
                               padding_amounts(n_columns, k_columns, stride)])
    feature_map = np.zeros([output_size(n_rows, k_rows, stride, padding),
                            output_size(n_columns, k_columns, stride, padding)])
    for row, column in np.ndindex(*feature_map.shape):
        top, left = row * stride, column * stride
        seen = image[top:top + k_rows, left:left + k_columns]
        feature_map[row, column] = np.sum(seen * kernel)
    return feature_map
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q3

# %% [markdown]
# ## 3. A whole layer ({points} points)
#
# A photograph has three channels, and a layer has many kernels. What changes?
#
# Less than one might fear. An input of shape `(height, width, channels_in)` meets kernels of shape
# `(rows, columns, channels_in, channels_out)`. Each kernel is as deep as the input: it reads all
# channels at once, and the products of all of them go into one sum. Then it adds its own bias. The
# output has one map for each kernel: `(height, width, channels_out)`.
#
# Write `conv_layer`. It may call what you wrote before, or start anew.


# %%
def conv_layer(x, kernels, bias, stride=1, padding="valid"):
    """Return the output of a convolutional layer for one input (height, width, channels)."""
    # BEGIN SOLUTION
    n_in, n_out = kernels.shape[2:]
    maps = [sum(convolve(x[:, :, channel], kernels[:, :, channel, number], stride, padding)
                for channel in range(n_in)) + bias[number]
            for number in range(n_out)]
    return np.stack(maps, axis=-1)
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q4

# %% [markdown]
# ## 4. Pooling ({points} points)
#
# Pooling slides a window too, and has nothing to learn: of each window it keeps the largest number
# (`kind="max"`) or the mean (`kind="mean"`). Each channel is pooled by itself.
#
# With `"same"` some windows reach beyond the image. What should count there? Only cells that exist.
# Suppose that all numbers are negative: a zero from outside would win every maximum it takes part
# in, and would pull every mean up. So a window at the edge takes its maximum, or its mean, of fewer
# cells.
#
# Write `pool` for an input of shape `(height, width, channels)` and a square window of `size` by
# `size` cells.


# %%
def pool(x, size, stride, padding="valid", kind="max"):
    """Return the maxima or means of the windows of x (height, width, channels)."""
    # BEGIN SOLUTION
    n_rows, n_columns, n_channels = x.shape
    above = left = 0
    if padding == "same":
        above = padding_amounts(n_rows, size, stride)[0]
        left = padding_amounts(n_columns, size, stride)[0]
    pooled = np.zeros([output_size(n_rows, size, stride, padding),
                       output_size(n_columns, size, stride, padding), n_channels])
    for row, column in np.ndindex(*pooled.shape[:2]):
        top, start = row * stride - above, column * stride - left
        inside = x[max(top, 0):top + size, max(start, 0):start + size]
        pooled[row, column] = inside.max((0, 1)) if kind == "max" else inside.mean((0, 1))
    return pooled
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q5

# %% [markdown]
# ## 5. The way back ({points} points)
#
# When a network learns, a gradient comes back through max pooling: `upstream` holds, for each
# pooled number, how much the loss grows when that number grows a little. How much does the loss grow
# when a cell of the *input* grows a little?
#
# Nudge a cell that is not the largest of its window: the maximum stays what it was. Its share is
# zero. Nudge the largest: the maximum follows one for one. So each number of `upstream` goes, whole,
# to the one cell that won.
#
# Two details. Where windows overlap, one cell may win several times, and adds up what it gets. Where
# two cells of a window tie, the first in reading order (left to right, then down) has it, as in
# TensorFlow.
#
# Write `max_pool_gradient` for pooling without padding. What it returns has the shape of `x`.


# %%
def max_pool_gradient(x, upstream, size, stride):
    """Return the gradient with respect to x of max pooling, given that of its output."""
    # BEGIN SOLUTION
    gradient = np.zeros(x.shape)
    for row, column, channel in np.ndindex(*upstream.shape):
        top, left = row * stride, column * stride
        window = x[top:top + size, left:left + size, channel]
        down, across = np.unravel_index(np.argmax(window), window.shape)
        gradient[top + down, left + across, channel] += upstream[row, column, channel]
    return gradient
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [markdown]
# ## What you have built
#
# These five functions are the forward pass of the convolutional half of LeNet, and the part of its
# backward pass that no formula sheet prepares you for. The next assignment asks how large such
# networks are before anything is computed at all.
