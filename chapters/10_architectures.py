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
# # Three famous shapes
#
# **What did each of them see that the one before had not?**
#
# By the end of this chapter you will be able to
#
# - write AlexNet, a VGG and a ResNet at the size of CIFAR-10, each as one short function;
# - say what a comparison at an equal budget holds equal, and what it does not;
# - measure the gradient of each layer, and read from it whether a deep network can start to learn;
# - explain what the path around two layers changes, and check the explanation;
# - run one program on another backend of Keras.
#
# You need {doc}`08_deeper`, for the rules by which networks are compared.
#
# Time to read and to try things out: about two hours. Minutes of computing, all cells, on two CPU
# cores: {glue:text}`minutes`.

# %% tags=["parameters"]
n_train = None  # images to train on; None: all that are not held out
n_valid = 5000  # images held out, to judge by
n_test = None  # images for the final test; None: all 10,000
n_epochs = 20  # passes over the training images, the same for every network
batch_size = 128  # images per gradient step
learning_rate = 0.05  # largest step size of gradient descent with momentum
weight_decay = 0.005  # share of each weight that a step of size 1 would take away
depths = [8, 20, 32]  # layers of the plain and of the residual networks: 6n + 2
seeds = [0, 1]  # the first for every network; the others for the two deepest, plain and residual
n_steps = 50  # gradient steps between two looks at the gradients
n_timed = 20  # gradient steps that are timed, for each network
precision = "float32"  # on a GPU: "mixed_float16", or "mixed_bfloat16" on a recent one
xla = "auto"  # the XLA compiler: on for a GPU, off for a CPU; True or False: always or never
prefer = "train"  # "load": take the weights of the network that we look at from a file

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers

from datasetslib import conditions, imutil, plots, record, training
from datasetslib.cifar import cifar10

plots.use_style()
keras.config.set_dtype_policy(precision)
dataset = cifar10(n_train=n_train, n_valid=n_valid, n_test=n_test)
dataset.x_layout = imutil.LAYOUT_NHWC
dataset.load_data()
dataset.scaleX()
x_train, y_train = dataset.X_train, dataset.Y_train
x_valid, y_valid = dataset.X_valid, dataset.Y_valid
x_test, y_test = dataset.X_test, dataset.Y_test
print(f"{len(x_train):,} images to train on, {len(x_valid):,} to judge by")

# %% tags=["hide-cell"]
record("edition", str(dataset.edition))
record("n_train", len(x_train))
record("n_valid", len(x_valid))
record("n_epochs", n_epochs)
record("batch_size", batch_size)

# %%
def conv(width, side=3):
    """Return a convolution with ReLU; He's rule keeps the size of what flows through it."""
    return layers.Conv2D(width, side, padding="same", activation="relu",
                         kernel_initializer="he_normal")


def dense(width):
    """Return a dense layer with ReLU, and dropout behind it."""
    return [layers.Dense(width, activation="relu", kernel_initializer="he_normal"),
            layers.Dropout(0.5)]


def entrance():
    """Return what stands before every network: while it learns, half of the images mirrored."""
    return [keras.Input((32, 32, 3)), layers.RandomFlip("horizontal")]


def ten_classes():
    """Return what stands at the end of every network: ten probabilities."""
    return layers.Dense(10, activation="softmax", dtype="float32")

# %%
def alexnet():
    """Return AlexNet at half its width: five convolutions and three dense layers."""
    return keras.Sequential([
        *entrance(),
        conv(48, 5), layers.MaxPooling2D(3, 2, "same"),
        conv(128, 5), layers.MaxPooling2D(3, 2, "same"),
        conv(192), conv(192), conv(128), layers.MaxPooling2D(3, 2, "same"),
        layers.Flatten(), *dense(1024), *dense(1024), ten_classes(),
    ])

# %%
def vgg():
    """Return a VGG of thirteen layers at half its width: convolutions of 3 x 3 in pairs."""
    trunk = []
    for width in (32, 64, 128, 256, 256):
        trunk += [conv(width), conv(width), layers.MaxPooling2D(2)]
    return keras.Sequential([
        *entrance(), *trunk, layers.Flatten(), *dense(1024), *dense(1024), ten_classes(),
    ])

# %%
def convolve(h, width, stride=1, norm=True):
    """Convolve with 3 x 3 kernels and normalise; the ReLU is left to the caller."""
    h = layers.Conv2D(width, 3, stride, "same", use_bias=not norm,
                      kernel_initializer="he_normal")(h)
    return layers.BatchNormalization(momentum=0.9)(h) if norm else h


def stacked(depth, identity, norm=True):
    """Return a network of 6n + 2 layers, with or without the identity path around each pair."""
    inputs, mirror = entrance()
    h = layers.ReLU()(convolve(mirror(inputs), 16, norm=norm))
    for stage, width in enumerate((16, 32, 64)):
        for block in range((depth - 2) // 6):
            stride = 2 if stage > 0 and block == 0 else 1
            past = h
            h = layers.ReLU()(convolve(h, width, stride, norm))
            h = convolve(h, width, norm=norm)
            if identity:
                h = layers.Add()([h, past if stride == 1 else narrowed(past)])
            h = layers.ReLU()(h)
    return keras.Model(inputs, ten_classes()(layers.GlobalAveragePooling2D()(h)))


def narrowed(h):
    """Return every second pixel of h in both directions, and as many maps again, of zeros."""
    h = layers.MaxPooling2D(1, 2)(h)
    return layers.Concatenate()([h, keras.ops.zeros_like(h)])

# %%
makers = {"AlexNet": alexnet, "VGG": vgg}
for depth in depths:
    makers[f"plain {depth}"] = lambda depth=depth: stacked(depth, identity=False)
    makers[f"ResNet {depth}"] = lambda depth=depth: stacked(depth, identity=True)

# %%
def compiled(name, seed):
    """Return a network with its starting weights, ready to be trained."""
    keras.utils.set_random_seed(seed)
    model = training.draw_weights(makers[name](), seed)
    total = n_epochs * -(-len(x_train) // batch_size)  # gradient steps
    rising = -(-total // 20)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, total - rising, warmup_target=learning_rate, warmup_steps=rising)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=weight_decay)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"],
                  jit_compile=xla)
    return model

# %%
def train(name, seed, line=None, history_only=True):
    """Train one network from one seed; return it and what was measured after each epoch."""
    model = compiled(name, seed)
    before_the_last = (n_epochs - 1) * -(-len(x_train) // batch_size)  # gradient steps

    def after_epoch():
        seen = model.evaluate(x_train[:5000], y_train[:5000], batch_size=500, verbose=0)
        measured = {"train_loss": seen[0], "train_accuracy": seen[1]}
        if int(model.optimizer.iterations) > before_the_last:
            sealed = model.evaluate(x_test, y_test, batch_size=500, verbose=0)
            measured.update(test_loss=sealed[0], test_accuracy=sealed[1], n_test=len(x_test))
        return measured

    history = training.fit(
        model, x_train, y_train, n_epochs=n_epochs, batch_size=batch_size, seed=seed,
        name=f"cifar10-architectures-{name}-seed{seed}", validation_data=(x_valid, y_valid),
        after_epoch=after_epoch, line=line, history_only=history_only,
    )
    return model, history

# %% tags=["hide-output"]
short = "epoch {epoch:2d}   loss {loss:.4f}   train {train_accuracy:.4f}   val {val_accuracy:.4f}"
deepest = [f"plain {depths[-1]}", f"ResNet {depths[-1]}"]
networks, histories = {}, {}
for name in makers:
    for seed in seeds if name in deepest else seeds[:1]:
        print(f"{name}, seed {seed}")
        networks[name, seed], histories[name, seed] = train(name, seed, line=short)
