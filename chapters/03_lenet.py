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
# # The LeNet pattern
#
# **Why this order?**
#
# By the end of this chapter you will be able to
#
# - draw a LeNet from memory, with the shape on every arrow;
# - count its parameters and its multiply-adds with a pencil, layer by layer, before any framework
#   prints them;
# - find a wrong line in somebody else's count;
# - say what each part is for, and point to an experiment instead of an opinion.
#
# You need {doc}`01_convolution`, {doc}`02_pooling` and a pencil.
#
# Time to read and to try things out: about an hour. Minutes of computing, all cells, on two CPU
# cores: {glue:text}`minutes`. On a GPU: not measured.

# %% tags=["parameters"]
n_train = 2000  # training digits of the experiment, from the front of the training set
n_valid = 5000  # digits it is judged on, from the validation set
n_epochs = 10  # passes over the training digits
n_hidden = 128  # units of the first dense layer in the experiment (1024 in LeNet itself)
batch_size = 50  # digits a step
learning_rate = 0.001  # of Adam
seeds = [0, 1, 2]  # one training of every variant for each

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from datasetslib import conditions, imutil, plots, record, training
from datasetslib.mnist import mnist

plots.use_style()

# %% [markdown]
# ## The whole network in one picture
#
# You can convolve. You can pool. In 1998 Yann LeCun, Léon Bottou, Yoshua Bengio and Patrick Haffner
# showed how far you get when you alternate the two and put an ordinary neural network at the end
# {cite:p}`lecun1998gradient`. Their network read the amounts on bank cheques, millions of them a
# day. The pattern is called **LeNet**, and most convolutional networks built since carry it inside.
#
# Here it is. Read it from the input on. Height and width go down. Depth goes up. At the end there
# is no picture left, only ten numbers.

# %% mystnb={"image": {"alt": "The network as a chain of boxes with the shape of the data on every arrow: image 28 by 28 by 1, convolution to 28 by 28 by 32, pooling to 14 by 14 by 32, convolution to 14 by 14 by 64, pooling to 7 by 7 by 64, flatten to 3136, dense to 1024, dense to 10 logits."}}
chain = [
    ("image", (28, 28, 1)),
    ("conv 4x4, ReLU", (28, 28, 32)),
    ("max pool 2x2", (14, 14, 32)),
    ("conv 4x4, ReLU", (14, 14, 64)),
    ("max pool 2x2", (7, 7, 64)),
    ("flatten", (3136,)),
    ("dense, ReLU", (1024,)),
    ("dense", (10,)),
]
plots.shape_chain(chain)

# %% [markdown]
# Why this order? Before you read on, make a guess: what would change if the pooling came last, or
# the dense layers first?
#
# Here is the argument in three steps. The rest of the chapter tests it.
#
# 1. **Convolution** looks for small patterns everywhere with the same few weights. *ReLU* keeps the
#    places where the pattern was found and sets the others to zero.
# 2. **Pooling** keeps the strongest response of each neighbourhood. Now one cell stands for a
#    larger piece of the image, and the next convolution, with a kernel no larger than before, sees
#    patterns *of patterns*.
# 3. When little is left of *where* and much of *what*, a **dense** layer weighs all of it, and a
#    last one gives a score to each of the ten digits.
#
# The ten scores are called **logits**. They can be any real numbers. The softmax turns them into
# probabilities.
#
# :::{note}
# Some texts call the input layer of a ConvNet "fully connected". It is the image, and it has no
# weights. The layers that are fully connected, or *dense*, stand at the other end.
# :::
#
# ## With a pencil
#
# Take a sheet of paper and copy this table. Fill it in before you read on. You need three rules.
#
# - A `SAME` convolution with stride 1 keeps height and width. Its depth is its number of kernels.
# - Pooling 2 x 2 with stride 2 halves height and width. It has no parameters.
# - A convolution has $(k_h k_w c_\text{in} + 1)\, c_\text{out}$ parameters; a dense layer has
#   $(n_\text{in} + 1)\, n_\text{out}$. The 1 is the bias.
#
# | layer | output shape | parameters |
# |---|---|---|
# | image | 28 x 28 x 1 | 0 |
# | conv 4 x 4, 32 kernels | ? | ? |
# | pool 2 x 2 | ? | ? |
# | conv 4 x 4, 64 kernels | ? | ? |
# | pool 2 x 2 | ? | ? |
# | flatten | ? | ? |
# | dense 1024 | ? | ? |
# | dense 10 | ? | ? |
#
# Done? Here is the sheet of a student who worked fast. One line of it is wrong. Does it agree with
# yours?

# %% tags=["nbval-check-output"]
sheet = [
    ("conv 4x4, 32 kernels", (28, 28, 32), (4 * 4 * 1 + 1) * 32),
    ("pool 2x2", (14, 14, 32), 0),
    ("conv 4x4, 64 kernels", (14, 14, 64), (4 * 4 * 1 + 1) * 64),
    ("pool 2x2", (7, 7, 64), 0),
    ("flatten", (7 * 7 * 64,), 0),
    ("dense 1024", (1024,), (7 * 7 * 64 + 1) * 1024),
    ("dense 10", (10,), (1024 + 1) * 10),
]
for name, shape, n_parameters in sheet:
    print(f"{name:22} {shape!s:14} {n_parameters:>10,}")
print(f"{'total':37} {sum(row[2] for row in sheet):>10,}")

# %% [markdown]
# Every shape is right, and the total looks plausible. To find the slip, build the layers and let
# the framework count each one on its own.

# %% tags=["nbval-check-output"]
def lenet():
    """LeNet for 28 x 28 x 1 images: ten logits."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, 4, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(64, 4, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(1024, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


model = lenet()
for (name, shape, n_parameters), layer in zip(sheet, model.layers, strict=True):
    assert layer.output.shape[1:] == shape
    counted = layer.count_params()
    verdict = "agrees" if counted == n_parameters else f"the sheet says {n_parameters:,}"
    print(f"{name:22} {counted:>10,}  {verdict}")

# %% [markdown]
# The second convolution. The student gave each of its 64 kernels 4 x 4 weights. But the layer reads
# *32 maps*, and a kernel has a slice of weights for every one of them: 4 x 4 x 32 weights and one
# bias. It is an easy slip to make. The first convolution hides it, since it reads a single channel.
#
# Here is the corrected count, worked out from the rules alone. Before you look: which line holds
# most of the total, and how much of it, half, nine tenths, more?

# %% tags=["nbval-check-output"]
counts = {
    "conv 4x4x1, 32": (4 * 4 * 1 + 1) * 32,
    "conv 4x4x32, 64": (4 * 4 * 32 + 1) * 64,
    "dense 3136 to 1024": (3136 + 1) * 1024,
    "dense 1024 to 10": (1024 + 1) * 10,
}
n_parameters = sum(counts.values())
assert n_parameters == model.count_params() == 3_255_914
for name, count in counts.items():
    print(f"{name:20} {count:>10,}  {100 * count / n_parameters:5.1f} %")
print(f"{'total':20} {n_parameters:>10,}")

# %% tags=["hide-input"]
record("n_parameters", n_parameters)
record("dense_percent", 100 * counts["dense 3136 to 1024"] / n_parameters)

# %% [markdown]
# ## Where do the parameters sit?
#
# A ConvNet is named after its convolutions. Look at the percentages again: one dense layer holds
# {glue:text}`dense_percent:.1f` % of all parameters. Drawn to scale, the first convolution is a
# dot.
#
# Now count something else: the **multiply-adds**, the work that one image costs. A convolution uses
# its few weights again at every position. A dense layer uses each weight once. Which layer does
# most of the work? Guess first.

# %% tags=["nbval-check-output"]
work = {
    "conv 4x4x1, 32": 28 * 28 * 4 * 4 * 1 * 32,
    "conv 4x4x32, 64": 14 * 14 * 4 * 4 * 32 * 64,
    "dense 3136 to 1024": 3136 * 1024,
    "dense 1024 to 10": 1024 * 10,
}
for name, multiply_adds in work.items():
    print(f"{name:20} {multiply_adds:>10,}  {100 * multiply_adds / sum(work.values()):5.1f} %")
print(f"{'total':20} {sum(work.values()):>10,}")

# %% mystnb={"image": {"alt": "Two rows of squares drawn to scale. By parameters, the first dense layer is huge and the convolutions are small dots. By multiply-adds, the second convolution is the largest square and the first dense layer is half its area."}}
fig, axes = plt.subplots(2, 1, figsize=(6.4, 5.4))
names = ["conv 1", "conv 2", "dense 1", "dense 2"]
palette = [plots.COLOURS[name] for name in ("sky", "blue", "orange", "vermillion")]
shares = {"parameters": counts, "multiply-adds": work}
for ax, (title, amounts) in zip(axes, shares.items(), strict=True):
    left = 0.0
    for name, colour, amount in zip(names, palette, amounts.values(), strict=True):
        side = np.sqrt(amount / sum(amounts.values()))
        ax.add_patch(Rectangle((left, 0), side, side, facecolor=colour))
        ax.text(left + side / 2, -0.05, name, ha="center", va="top")
        left += max(side, 0.16) + 0.22
    ax.set_xlim(-0.15, 2.4)
    ax.set_ylim(-0.22, 1.02)
    ax.set_aspect("equal")
    ax.axis("off")
    ax.set_title(f"{title}: area is the share of the total", loc="left")
plt.close(fig)
plots.finish(fig)

# %% [markdown]
# The parameters sit in the first dense layer. Most of the work sits in the second convolution.
# Weight sharing is what separates the two: a convolution is *small but busy*.
#
# Keep this in mind whenever somebody calls a network "large". Large to store, or slow to run?
#
# ## How far does one number see?
#
# A unit of the second pooled map stands for a patch of the image. How large is the patch? Count
# backwards, or forwards with two numbers per layer: the **receptive field** $r$, and the **jump**
# $j$, the distance in image pixels between two neighbouring units. Every layer with kernel $k$ and
# stride $s$ does
#
# $$r \leftarrow r + (k - 1)\, j, \qquad j \leftarrow j\, s .$$
#
# Start with $r = j = 1$ and try it on paper for the four layers. The last line should tell you how
# much of the image a unit can see before the dense layer looks at everything.

# %% tags=["nbval-check-output"]
r, j = 1, 1
for name, k, s in (("conv 1", 4, 1), ("pool 1", 2, 2), ("conv 2", 4, 1), ("pool 2", 2, 2)):
    r, j = r + (k - 1) * j, j * s
    print(f"{name}: sees {r:2} x {r:<2} pixels, neighbours are {j} pixels apart")

# %% [markdown]
# Not quite half the width of the image: enough for a loop or a corner, not for a whole 8. Without
# the first pooling the second convolution would see 7 pixels in place of 11. That is the second
# half of the answer to *why this order*: pooling widens the view of everything that comes after it.
#
# ## Stack your own
#
# You have counted with a pencil, found a slip, and let Keras count. Now let the page do the
# counting, so that you can ask *what if* as often as you like. It opens with the network of this
# chapter. Write three guesses down before you touch it.
#
# 1. Set the padding of both convolutions to `VALID`. No layer comes, no layer goes. Does the total
#    grow or shrink, and by how much: a tenth, a third, two thirds?
# 2. Go back, and take the second pooling out. Which number changes most, and why that one?
# 3. Go back, and move the second convolution up, so that both stand in front of both poolings. Does
#    one value of the last map see more than 13 pixels now, or fewer? And what does the move cost?
#
# :::{explorer} shapes
# A stack of layers, from the input down to the last dense layer. Layers can be added, taken out,
# moved and changed. Beside each layer stand the shape of its output, its parameters, its
# multiply-adds for one image, and its receptive field with the jump, all as Keras counts them. The
# totals stand at the foot, and two bars show to scale which layers hold the parameters and which do
# the work. It begins with LeNet: 3,255,914 parameters. Three networks for small colour photographs
# can be chosen as well, and the stack can be copied as Keras code.
# :::
#
# :::{dropdown} What you should have found
# 1. It shrinks to 1,093,226, by two thirds. The maps lose 3 pixels at each convolution, so the
#    flattened map has 4 x 4 x 64 numbers in place of 7 x 7 x 64, and the big dense layer reads them
#    all.
# 2. The parameters of that same dense layer: they grow fourfold, to 12,846,080. A pooling layer has
#    no parameters of its own, and decides about most of those behind it.
# 3. Fewer: 10. The second convolution no longer profits from the jump of the pooling. And it works
#    at 28 x 28 places in place of 14 x 14, so its multiply-adds grow fourfold too.
# :::
#
# ## The logits and the softmax
#
# The network ends with ten logits $z$. The softmax makes probabilities of them:
#
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}} .$$
#
# In {doc}`04_mnist_tensorflow` this softmax sits inside the loss. In {doc}`05_mnist_keras` it is
# the last layer, as in the source of this course. On paper the two are the same function. In a
# computer they need not be. What is $e^{1000}$ in single precision, where the largest number is
# about $3 \cdot 10^{38}$? And what will the formula make of it?

# %% tags=["nbval-check-output"]
z = np.array([1000.0, 999.0, 0.0], np.float32)
with np.errstate(over="ignore", invalid="ignore"):
    print("as the formula says:", np.exp(z) / np.exp(z).sum())
shifted = np.exp(z - z.max())
probabilities = shifted / shifted.sum()
print("largest logit taken off first:", probabilities.round(4))
with np.errstate(divide="ignore"):
    print("cross-entropy of class 2, from its probability:", -np.log(probabilities[2]))
print("cross-entropy of class 2, from the logits:", z.max() + np.log(shifted.sum()) - z[2])

# %% [markdown]
# Taking the largest logit off changes nothing on paper, because the factor $e^{-\max z}$ cancels.
# It saves the softmax from overflow. It cannot save a probability that is too small to be written:
# that becomes 0, minus its logarithm is infinite, and no useful gradient can be computed. A loss
# that is given the *logits* never forms the small probability, and answers 1000.3133.
#
# Prefer logits and a loss that knows about them. Know the other form, because you will read it.
#
# ## What is each part for?
#
# Now the test. Take the network apart. Remove one thing, train what is left for a short while on a
# small sample, and see what it costs.
#
# - **no pooling**: both pooling layers gone. The dense layer then reads 28 x 28 x 64 numbers.
# - **no ReLU**: the activation functions gone. Is anything left that is not linear?
# - **no convolution**: flatten and the two dense layers. Without kernels there are no maps to pool,
#   so the pooling goes too.
#
# So that all of this stays short, the first dense layer has fewer units than LeNet's 1024:
# `n_hidden` of them, set at the top of the chapter.
#
# Write down your order, best to worst, before you scroll.

# %%
def variant(pooling=True, relu=True, convolution=True):
    """LeNet with one of its parts left out."""
    activation = "relu" if relu else None
    layers = [keras.Input((28, 28, 1))]
    for n_kernels in (32, 64) if convolution else ():
        layers.append(keras.layers.Conv2D(n_kernels, 4, padding="same", activation=activation))
        if pooling:
            layers.append(keras.layers.MaxPooling2D(2))
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dense(n_hidden, activation=activation),
        keras.layers.Dense(10),
    ]
    return keras.Sequential(layers)


variants = {
    "complete": {},
    "no pooling": {"pooling": False},
    "no ReLU": {"relu": False},
    "no convolution": {"convolution": False},
}

# %% tags=["no-slide"]
dataset = mnist(n_train=n_train, n_valid=n_valid)
dataset.x_layout = imutil.LAYOUT_NHWC
dataset.load_data()
dataset.scaleX()

# %% [markdown]
# We choose between designs here, so we judge them on the *validation* digits. The test set is for
# the end, and this is not the end.

# %%
accuracies = {name: [] for name in variants}
sizes = {}
for name, options in variants.items():
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        model = variant(**options)
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        unit = f"lenet-{name.replace(' ', '-')}-seed{seed}"
        training.fit(
            model, dataset.X_train, dataset.Y_train, name=unit, line="",
            n_epochs=n_epochs, batch_size=batch_size, seed=seed,
        )
        _, accuracy = model.evaluate(dataset.X_valid, dataset.Y_valid, verbose=0)
        accuracies[name].append(float(accuracy))
        print(f"{name:16} seed {seed}: validation accuracy {accuracy:.4f}")
    sizes[name] = model.count_params()

# %%
print(f"{'variant':16} {'parameters':>12} {'mean':>8} {'lowest':>8} {'highest':>8}")
for name, values in accuracies.items():
    columns = (np.mean(values), min(values), max(values))
    print(f"{name:16} {sizes[name]:>12,}", *(f"{value:>8.4f}" for value in columns))

# %% mystnb={"image": {"alt": "Bars of the validation accuracy of the complete network and of the three networks with a part removed, with a dot for each seed. The complete network is the best, the network without convolution by far the worst, and the seeds of the one without pooling lie furthest apart."}}
plots.bars_with_spread(accuracies, ylabel="validation accuracy")

# %% tags=["hide-input"]
for name, values in accuracies.items():
    stem = name.lower().replace(" ", "_")
    record(f"{stem}_accuracy", 100 * float(np.mean(values)))
    record(f"{stem}_parameters", sizes[name])
record("ablation_accuracies", accuracies)
record("n_train", dataset.n_train)
record("n_epochs", n_epochs)
assert np.mean(accuracies["complete"]) > 0.5, "far above the 0.1 of guessing, at any size"

# %% [markdown]
# After {glue:text}`n_epochs` epochs on {glue:text}`n_train:,` digits:
#
# - The **complete** network reads {glue:text}`complete_accuracy:.1f` % of the validation digits,
#   which it has not been trained on.
# - **No pooling**: {glue:text}`no_pooling_accuracy:.1f` %, with
#   {glue:text}`no_pooling_parameters:,` parameters in place of {glue:text}`complete_parameters:,`.
# - **No ReLU**: {glue:text}`no_relu_accuracy:.1f` %. Without pooling *and* without ReLU the whole
#   network would collapse to one linear map. Here the maximum of the pooling is the only
#   nonlinearity left.
# - **No convolution**: {glue:text}`no_convolution_accuracy:.1f` %, with
#   {glue:text}`no_convolution_parameters:,` parameters. It must learn every pattern anew at every
#   place, and has few digits to learn it from.
#
# Compare with the order that you wrote down.
#
# :::{admonition} What such an experiment can say
# :class: note
#
# Small sample, short training, one dataset, three seeds. It tells you what a part buys *here*. The
# spread of the dots is what a seed alone does: a gap smaller than that is no finding. And the
# networks differ in size: taking the pooling away also makes the dense layer sixteen times as
# large.
# :::
#
# ## What was different in 1998
#
# The network of this chapter follows the pattern of LeNet-5 and not its letter.
#
# | | LeNet-5, 1998 | this course |
# |---|---|---|
# | input | 32 x 32 | 28 x 28 |
# | kernels | 5 x 5, `VALID`; 6, then 16 maps | 4 x 4, `SAME`; 32, then 64 maps |
# | second convolution | each map reads some of the six, by a fixed table | each map reads all |
# | pooling | average, with a trained weight and bias | maximum, nothing trained |
# | nonlinearity | a scaled hyperbolic tangent | ReLU |
# | output | distances to ten drawn templates | ten logits, softmax |
# | parameters | about 60,000 | 3,255,914 |
#
# The idea of alternating layers that find a pattern with layers that tolerate a shift is older
# still. Fukushima's neocognitron had it in 1980 {cite:p}`fukushima1980neocognitron`. In 1989 a
# convolutional network trained by backpropagation read handwritten postal codes
# {cite:p}`lecun1989backpropagation`.
#
# ## Exercises
#
# **1. Warm-up.** The same pattern on a colour image of 32 x 32 x 3. Fill in the table. How many
# parameters?
#
# :::{dropdown} Hint
# Two counts change: the first convolution reads three channels, and the first dense layer reads
# 8 x 8 x 64 numbers.
# :::
#
# :::{dropdown} Solution
# 1,568 + 32,832 + 4,195,328 + 10,250 = 4,239,978. The cell below counts it.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
print((4 * 4 * 3 + 1) * 32, (4 * 4 * 32 + 1) * 64, (8 * 8 * 64 + 1) * 1024, (1024 + 1) * 10)
print(f"{(4 * 4 * 3 + 1) * 32 + (4 * 4 * 32 + 1) * 64 + (8 * 8 * 64 + 1) * 1024 + 1025 * 10:,}")

# %% [markdown]
# **2. Does the order of ReLU and pooling matter?** Show that max pooling and ReLU may be exchanged.
# Then say which order is cheaper. Does it hold for average pooling?
#
# :::{dropdown} Hint
# If $a \le b$, what do you know about $\text{relu}(a)$ and $\text{relu}(b)$?
# :::
#
# :::{dropdown} Solution
# ReLU keeps the order of numbers, so the largest stays the largest: $\max_i \text{relu}(x_i) =
# \text{relu}(\max_i x_i)$. Pooling first applies ReLU to a quarter of the numbers. An average mixes
# the negative numbers in before they can be cut off, so there the order does matter.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
maps = np.random.default_rng(0).normal(size=(1, 8, 8, 4)).astype(np.float32)
relu = keras.ops.relu
for layer in (keras.layers.MaxPooling2D(2), keras.layers.AveragePooling2D(2)):
    same = np.allclose(relu(layer(maps)), layer(relu(maps)), atol=1e-6)
    print(f"{type(layer).__name__}: {'the same' if same else 'different'}")

# %% [markdown]
# **3. Replace the giant.** Put `GlobalAveragePooling2D` in place of flatten and the dense 1024. How
# many parameters are left? What has the network given up?
#
# :::{dropdown} Hint
# Global pooling has no parameters, and leaves one number for each of the 64 maps. How many weights
# does the last layer need then?
# :::
#
# :::{dropdown} Solution
# 544 + 32,832 + 650 = 34,026: about one in a hundred. It has given up *where*: each of the 64 maps
# is reduced to how strongly its pattern occurs on average.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
small = keras.Sequential(
    [*lenet().layers[:4], keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)]
)
small.build((None, 28, 28, 1))
print(f"{small.count_params():,} parameters")

# %% [markdown]
# **4. LeNet-5 by the book.** Take the table above. Assume that every map of the second convolution
# reads all six maps, that pooling trains nothing, and that dense layers of 120, 84 and 10 follow.
# Count the parameters. How near do you come to 60,000?
#
# :::{dropdown} Hint
# 32 → 28 → 14 → 10 → 5. The first dense layer reads 5 x 5 x 16 numbers.
# :::
#
# :::{dropdown} Solution
# 156 + 2,416 + 48,120 + 10,164 + 850 = 61,706.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
lenet5 = [(5 * 5 * 1 + 1) * 6, (5 * 5 * 6 + 1) * 16, (400 + 1) * 120, (120 + 1) * 84, (84 + 1) * 10]
print(lenet5, f"{sum(lenet5):,}")

# %% [markdown]
# **5. Open-ended.** You may spend 50,000 parameters. Design a network in this pattern, train it
# with the cells above, and report mean and spread over three seeds. Which layer did you make
# smaller first, and why?
#
# :::{dropdown} Hint
# Behind 3,136 inputs every unit of a dense layer costs 3,137 parameters, so 50,000 of them buy
# fifteen units and nothing else. What could you do to the maps first? Exercise 3 and
# {doc}`02_pooling` have two answers.
# :::
#
# :::{dropdown} What to look for
# Count by hand before you train, and judge on the validation digits. Two designs with the same
# number of parameters can differ in work by a factor of ten and more: report the multiply-adds as
# well. If two means differ by less than the spread of the seeds, call it a draw.
# :::
#
# ## Check yourself
#
# **1.** Which part of the network has the most parameters, and which does the most work?
#
# :::{dropdown} Answer
# The first dense layer has {glue:text}`dense_percent:.1f` % of the parameters. The second
# convolution does most of the multiply-adds, since it uses each weight at 14 x 14 positions.
# :::
#
# **2.** The second convolution has 64 kernels of 4 x 4 and reads 32 maps. How many weights has one
# kernel?
#
# :::{dropdown} Answer
# 4 x 4 x 32 = 512, and one bias.
# :::
#
# **3.** Why does the depth grow while height and width shrink?
#
# :::{dropdown} Answer
# Deeper layers look for combinations of patterns, and there are more combinations than edges.
# Pooling pays for the added maps by making each one smaller.
# :::
#
# **4.** Remove every ReLU, and the pooling as well. What is left?
#
# :::{dropdown} Answer
# One linear map, however many layers it is written in. A convolution without nonlinearity is a
# matrix, and a product of matrices is a matrix.
# :::
#
# **5.** A network ends in ten logits. What must you tell the Keras loss?
#
# :::{dropdown} Answer
# `from_logits=True`. Otherwise the loss takes the logits for probabilities, and trains on nonsense
# without complaint.
# :::
#
# ## Summary
#
# - Convolution and ReLU find patterns; pooling widens the view; dense layers decide. Twice the
#   first two, then the last.
# - 3,255,914 parameters, nearly all of them in one dense layer. The convolutions do most of the
#   work with one hundredth of the weights.
# - A kernel has a slice for every input map: that is the line to check in any count.
# - Each part was put to the test by taking it away, with the spread of the seeds beside it.
#
# ## Further reading
#
# - {cite:t}`lecun1998gradient`, sections II and III: long, clear, and still worth an evening.
# - {cite:t}`lecun1989backpropagation`, the shorter ancestor.
# - {cite:t}`nair2010rectified` on rectified units; {cite:t}`araujo2019computing` on receptive
#   fields.
#
# Next: the same network, trained. {doc}`04_mnist_tensorflow` hides nothing; {doc}`05_mnist_keras`
# hides as much as it can.
#
# ## How this page was made

# %% tags=["hide-input"]
conditions(dataset)
