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
# # LeNet in raw TensorFlow: the forward pass and one training step
#
# `model.fit` trains a network for hours, and it does one thing all the time: a batch goes in, a loss
# comes out, every weight moves a little. Can you write that one thing yourself? Five short
# functions do it, and no layer, model or optimiser of Keras is needed.
#
# You need the chapter on LeNet in TensorFlow. The network is the same, and much smaller here, so that
# each check takes a moment.
#
# ## Nothing but arrays
#
# The weights are a dictionary of eight arrays:
#
# | name | shape |
# |---|---|
# | `conv1_kernel`, `conv1_bias` | (rows, columns, channels, maps), (maps,) |
# | `conv2_kernel`, `conv2_bias` | (rows, columns, maps in, maps out), (maps out,) |
# | `dense1_kernel`, `dense1_bias` | (numbers in, units), (units,) |
# | `dense2_kernel`, `dense2_bias` | (units, classes), (classes,) |
#
# Images have the shape `(n, height, width, channels)`, labels the shape `(n,)`; a label is the number
# of the class, counted from 0. All arrays but the labels are float32.
#
# Do not rely on any length. The grader has other images, kernels and numbers of classes than you will
# see here, and some sides are odd. What you return may be tensors or arrays.

# %%
import numpy as np
import tensorflow as tf

# %% [raw]
# QUESTION q1

# %% [markdown]
# ## 1. Forward ({points} points)
#
# What does the network say to a batch of images? Twice: a convolution with its bias, ReLU, max
# pooling of 2 x 2 with a stride of 2. Then flatten, a dense layer with ReLU, and a last dense layer.
# All strides of the convolutions are 1, and the padding is `"SAME"` everywhere, in the pooling too.
#
# Write `forward`. It returns the logits, of shape `(n, classes)`, and no probabilities.


# %%
def forward(weights, images):
    """Return the logits of images (n, height, width, channels)."""
    # BEGIN SOLUTION
    maps = images
    for layer in ("conv1", "conv2"):
        maps = tf.nn.conv2d(maps, weights[f"{layer}_kernel"], strides=1, padding="SAME")
        maps = tf.nn.relu(maps + weights[f"{layer}_bias"])
        maps = tf.nn.max_pool2d(maps, ksize=2, strides=2, padding="SAME")
    flat = tf.reshape(maps, [len(images), -1])
    hidden = tf.nn.relu(flat @ weights["dense1_kernel"] + weights["dense1_bias"])
    return hidden @ weights["dense2_kernel"] + weights["dense2_bias"]
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q2

# %% [markdown]
# ## 2. How wrong is it? ({points} points)
#
# The loss of one image is the network's surprise at the right answer $k$: softmax makes
# probabilities $p$ of the logits, and the surprise is $-\ln p_k$. The loss of a batch is the mean.
#
# What if the network is very sure, and wrong? Then $p_k$ is too small for a float32 and becomes 0.
# The surprise is large all the same, and it is finite. A loss that is given logits gets this right.
#
# Write `mean_loss`, one number.


# %%
def mean_loss(weights, images, labels):
    """Return the softmax cross-entropy, averaged over the images."""
    # BEGIN SOLUTION
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels, logits=forward(weights, images))
    return tf.reduce_mean(losses)
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q3

# %% [markdown]
# ## 3. Which way is down? ({points} points)
#
# How fast does the loss grow when one weight grows? And what if there are thousands of weights?
# `tf.GradientTape` answers for all of them at once. It watches a `tf.Variable` by itself, but not an
# array: it would have nothing to differentiate with respect to.
#
# Write `gradients`. It returns a dictionary with the names of `weights`, and in it the gradients of
# `mean_loss`.


# %%
def gradients(weights, images, labels):
    """Return the gradient of the mean loss for each of the weights, by name."""
    # BEGIN SOLUTION
    variables = {name: tf.Variable(array) for name, array in weights.items()}
    with tf.GradientTape() as tape:
        loss = mean_loss(variables, images, labels)
    return tape.gradient(loss, variables)
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q4

# %% [markdown]
# ## 4. One step ({points} points)
#
# The gradient points to where the loss grows. Go the other way, by the gradient times the learning
# rate: this is stochastic gradient descent, and all of it.
#
# Write `sgd_step`. It returns the new weights in a new dictionary, kernels and biases alike.


# %%
def sgd_step(weights, images, labels, learning_rate):
    """Return the weights after one step of gradient descent on a batch."""
    # BEGIN SOLUTION
    slope = gradients(weights, images, labels)
    return {name: array - learning_rate * slope[name] for name, array in weights.items()}
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [raw]
# QUESTION q5

# %% [markdown]
# ## 5. One step of Adam ({points} points)
#
# Is one learning rate right for all weights? Adam gives each weight a length of step of its own. It
# remembers two running means for each weight, of its gradient $g$ and of the square of that:
#
# $$
# m \leftarrow 0.9\, m + 0.1\, g, \qquad v \leftarrow 0.999\, v + 0.001\, g^2 .
# $$
#
# Both begin at 0, so at first they are too small. In step $t = 1, 2, \dots$ this is made good:
#
# $$
# w \leftarrow w - \eta\, \frac{\sqrt{1 - 0.999^t}}{1 - 0.9^t}\, \frac{m}{\sqrt v + \epsilon},
# \qquad \epsilon = 10^{-7} .
# $$
#
# This is the form that Keras computes. (The paper adds $\epsilon$ to the corrected root, which is
# not quite the same where gradients are small.)
#
# Write `training_step`. `m` and `v` are dictionaries with the names of `weights`, and `t` is the
# number of this step, counted from 1. It returns the new `(weights, m, v)`.


# %%
def training_step(weights, m, v, t, images, labels, learning_rate):
    """Return weights, m and v after step number t of Adam on a batch."""
    # BEGIN SOLUTION
    slope = gradients(weights, images, labels)
    m = {name: 0.9 * m[name] + 0.1 * slope[name] for name in weights}
    v = {name: 0.999 * v[name] + 0.001 * slope[name] ** 2 for name in weights}
    rate = learning_rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    moved = {name: weights[name] - rate * m[name] / (tf.sqrt(v[name]) + 1e-7) for name in weights}
    return moved, m, v
    # END SOLUTION


# %% [raw]
# END QUESTION

# %% [markdown]
# ## What you have now
#
# Call `training_step` on one batch after another, and you have trained LeNet. In the course,
# `@tf.function` makes the step quicker and `keras.optimizers.Adam` keeps `m` and `v` for you. What they
# do is what you have written.
