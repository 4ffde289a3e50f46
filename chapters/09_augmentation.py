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
# # More data for free

# %% tags=["parameters"]
schedule = "short"  # how long to train: "two cores", "short" or "source", spelled out below
n_train = None  # images to train on; None: all that are not held out
n_valid = 5000  # images held out, to compare with
n_test = None  # images for the final test; None: all 10,000
seeds = [0]  # one run of each path for each seed
n_timed = 3  # gradient steps of the large network that are timed on this machine
precision = "float32"  # on a GPU: "mixed_float16", or "mixed_bfloat16" on a recent one
xla = "auto"  # compile each step with XLA: "auto" does so on a GPU and not on a CPU
prefer = "train"  # "load": take the augmented network's weights from a file, if there is one

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
print(f"{len(x_train):,} images to train on, {len(x_valid):,} to compare with")

# %%
def augmentation(shift=0.2, degrees=10):
    """Return layers that move, turn and mirror each image anew, each time they see it."""
    made = [layers.RandomTranslation(shift, shift, fill_mode="nearest", dtype="float32")]
    if degrees:
        made.append(layers.RandomRotation(degrees / 360, fill_mode="nearest", dtype="float32"))
    made.append(layers.RandomFlip("horizontal", dtype="float32"))
    if keras.backend.backend() == "jax":  # where XLA can move and turn; in TensorFlow it cannot
        for layer in made:
            layer.supports_jit = True
    return made

# %%
def block(n_maps):
    """Return convolutions, one for each number of maps: 3 x 3, padding SAME, ReLU."""
    return [layers.Conv2D(n, 3, padding="same", activation="relu") for n in n_maps]


def build(front=()):
    """Return the fifteen convolutions, behind the layers of `front`."""
    return keras.Sequential([
        keras.Input((32, 32, 3)), *front,
        *block([32, 32, 32, 48, 48]), layers.MaxPooling2D(2), layers.Dropout(0.25),
        *block([80] * 5), layers.MaxPooling2D(2), layers.Dropout(0.25),
        *block([128] * 5), layers.GlobalMaxPooling2D(), layers.Dropout(0.25),
        layers.Dense(500, activation="relu"), layers.Dropout(0.25),
        layers.Dense(10, activation="softmax", dtype="float32"),
    ])

# %%
schedules = {  # for each path: images per gradient step, and passes over the images
    "two cores": {"rate": 0.001, "cosine": True, "plain": (64, 4), "augmented": (64, 4)},
    "short": {"rate": 0.001, "cosine": True, "plain": (128, 50), "augmented": (128, 50)},
    "source": {"rate": 0.0001, "cosine": False, "plain": (128, 600), "augmented": (32, 1600)},
}


def compiled(path, seed):
    """Return the network of a path, with its starting weights, ready for its schedule."""
    keras.utils.set_random_seed(seed)
    model = build(augmentation() if path == "augmented" else ())
    training.draw_weights(model, seed)
    plan = schedules[schedule]
    rate, (batch_size, n_epochs) = plan["rate"], plan[path]
    if plan["cosine"]:
        epoch = -(-len(x_train) // batch_size)  # gradient steps
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, (n_epochs - 1) * epoch, warmup_target=rate, warmup_steps=epoch)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy",
                  metrics=["accuracy"], jit_compile=xla)
    return model

# %%
def train(path, seed, line=None, history_only=True):
    """Train the network of a path from a seed; return it and what was measured."""
    model = compiled(path, seed)
    batch_size, n_epochs = schedules[schedule][path]
    before_the_last = (n_epochs - 1) * -(-len(x_train) // batch_size)  # gradient steps

    def accuracy(images, labels):
        return model.evaluate(images, labels, batch_size=500, verbose=0)[1]

    def after_epoch():
        seen = {"train_accuracy": accuracy(x_train[:5000], y_train[:5000])}
        if int(model.optimizer.iterations) <= before_the_last:
            return seen
        moved = np.pad(x_valid, ((0, 0), (4, 0), (4, 0), (0, 0)), "edge")[:, :32, :32]
        return {**seen, "mirrored_accuracy": accuracy(x_valid[:, :, ::-1], y_valid),
                "moved_accuracy": accuracy(moved, y_valid),
                "test_accuracy": accuracy(x_test, y_test), "n_test": len(x_test)}

    history = training.fit(
        model, x_train, y_train, n_epochs=n_epochs, batch_size=batch_size, seed=seed,
        name=f"cifar10-fifteen-{path}-seed{seed}", validation_data=(x_valid, y_valid),
        after_epoch=after_epoch, line=line, history_only=history_only,
    )
    return model, history

# %%
short = "epoch {epoch:2d}   loss {loss:.4f}   train {train_accuracy:.4f}   val {val_accuracy:.4f}"
histories = {}
for path in ("plain", "augmented"):
    for seed in seeds:
        print(f"{path}, seed {seed}")
        _, histories[path, seed] = train(path, seed, line=short)
