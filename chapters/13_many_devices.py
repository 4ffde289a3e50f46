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
# # Many devices
#
# **What if one machine is not enough?**
#
# By the end of this chapter you will be able to
#
# - say what data parallelism computes, and show that it is the step of one large batch;
# - name two things that break this equality;
# - train one network on two devices and in two processes, without a change to its code;
# - run a search on a cluster that loses a machine, and check that nothing is missing;
# - measure what a message costs, and predict from it when two processes are faster than one.
#
# You need {doc}`05_mnist_keras`, for Keras, and {doc}`10_architectures`, for its backends.
#
# Time to read and to try things out: about two hours. Minutes of computing, all cells, on two CPU
# cores: {glue:text}`minutes`. On a GPU: not measured.

# %% tags=["parameters"]
n_train = 2560  # images that the runs learn from
n_valid = 1000  # images held out, which the study judges by
batch_size = 128  # images per gradient step, over all devices together
learning_rate = 0.05  # step size of gradient descent with momentum
seed = 0  # fixes the starting weights
engines = ["tensorflow", "jax", "ray"]  # which parts with processes of their own are run
n_trials = 16  # trials of the study on two nodes
study_epochs = 2  # passes over the images for each trial
message_sizes = [2**k for k in range(2, 25, 2)]  # bytes that two processes add up
n_repeats = 30  # messages of each size that are timed
batch_sizes = [16, 128, 1024]  # images per step, for which we predict whether two are faster
units = [16, 4096]  # hidden units of the network, small and large, for the same
n_timed = 10  # gradient steps that are timed

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from matplotlib.patches import FancyArrowPatch, Rectangle

from datasetslib import conditions, imutil, plots, processes, record, training
from datasetslib.cifar import cifar10

# Before TensorFlow computes anything: one processor, shown to it as two devices.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
plots.use_style()
dataset = cifar10(n_train=n_train, n_valid=n_valid, n_test=10)
dataset.x_layout = imutil.LAYOUT_NHWC
dataset.load_data()
dataset.scaleX()
x_train, y_train = dataset.X_train, dataset.Y_train
n_steps = len(x_train) // batch_size
print(f"{len(x_train):,} images, {n_steps} steps; parts with processes: {engines or 'left out'}")

# %% tags=["hide-cell"]
record("edition", str(dataset.edition))
record("engines", engines)
record("batch_size", batch_size)
record("n_steps", n_steps)
assert len(x_train) == n_steps * batch_size, "n_train must be whole batches"

# %% [markdown]
# All numbers on this page come from this copy of the data: {glue:text}`edition`. The box at its
# end names the machine. Everything runs on that one machine: two devices, two processes and two
# nodes are made out of its two cores. What they compute is what two machines would compute. How
# long their messages take is another matter, and we shall measure only what is there.
#
# :::{admonition} A second Python
# :class: tip
# JAX, Ray and Optuna are large, and no other chapter needs all three. So the parts that do run in
# processes of their own. On Colab, `pip install jax ray optuna` puts them beside TensorFlow, and
# there is no more to do. In a clone of the course, `make many` makes an environment for them,
# `.venv-many`; let the variable `COURSE_MANY_PYTHON` name its Python before you start the
# notebook. With `engines = []` these parts are left out, and each says so.
# :::

# %%
many = processes.python_with("jax", "ray", "optuna") if {"jax", "ray"} & set(engines) else None

# %% [markdown]
# ## One network for every engine
#
# The network is small, so that a step takes milliseconds, and it has neither dropout nor
# augmentation: nothing in it is drawn at random while it learns. It also bends smoothly, as the
# LeNet of 1998 did, with tanh in place of ReLU and means in place of maxima. A ReLU and a maximum
# are switches. Where two numbers agree in all their digits but the last, rounding may throw such a
# switch one way here and the other way there, and two runs part that were the same. Without chance
# and without switches we can ask for equal weights, to the precision of the numbers, and not for
# "about the same accuracy".
#
# One function builds it. Every engine that trains it, in this process or another, calls these
# lines and no others. The weights from which each run starts lie in a file.

# %%
def build(n_units=64):
    """Return a small LeNet for CIFAR-10, the same for every engine of this chapter."""
    return keras.Sequential([
        keras.Input((32, 32, 3)),
        layers.Conv2D(8, 5, activation="tanh"), layers.AveragePooling2D(2),
        layers.Conv2D(16, 5, activation="tanh"), layers.AveragePooling2D(2),
        layers.Flatten(), layers.Dense(n_units, activation="tanh"), layers.Dense(10),
    ])


def begin(folder, learning_rate):
    """Return the network, compiled, with the weights from which every run starts."""
    model = build()
    model.compile(keras.optimizers.SGD(learning_rate, momentum=0.9),
                  keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with np.load(f"{folder}/start.npz") as start:
        model.set_weights([start[name] for name in start.files])
    return model


def difference(some, others):
    """Return the norm of the difference over the norm, of two lists of arrays."""
    some, others = (np.concatenate([np.ravel(a) for a in arrays]) for arrays in (some, others))
    return float(np.linalg.norm(some - others) / np.linalg.norm(others))

# %%
scratch = TemporaryDirectory(prefix="many-")
folder = scratch.name
np.savez(f"{folder}/start.npz", *training.draw_weights(build(), seed).get_weights())
np.savez(f"{folder}/train.npz", x=x_train, y=y_train)
np.savez(f"{folder}/valid.npz", x=dataset.X_valid, y=dataset.Y_valid)
print(f"{build().count_params():,} parameters")

# %% [markdown]
# ## One batch, two devices
#
# Two people can read two halves of a book at once. Can two devices take two halves of a *step*?
#
# A step needs a gradient, and a gradient comes from a batch. Suppose that each device holds the
# same weights, gets half of the batch, and works out the gradient of its half. What do they have
# to do with the two gradients, so that both take the step that one device would have taken with
# the whole batch?

# %% tags=["hide-input"] mystnb={"image": {"alt": "A batch is cut into two halves. Each half goes to a copy of the same weights, which gives a gradient. Both gradients meet in one box, the mean, which makes one step for both."}}
def box(axis, x, y, width, words, colour):
    """Draw a box with words in it."""
    axis.add_patch(Rectangle((x, y), width, 0.8, facecolor=plots.COLOURS[colour],
                             edgecolor=plots.COLOURS["grey"]))
    axis.text(x + width / 2, y + 0.4, words, ha="center", va="center", fontsize=12)


def arrow(axis, start, end):
    """Draw an arrow."""
    axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14,
                                   color=plots.COLOURS["ink"]))


fig, axis = plt.subplots(figsize=(6.4, 4.0))
box(axis, 0, 4.2, 2, "half a batch", "pale orange")
box(axis, 2, 4.2, 2, "half a batch", "pale sky")
for x, colour in ((0, "pale orange"), (2, "pale sky")):
    box(axis, x + 0.1, 2.8, 1.8, "same weights", "pale grey")
    box(axis, x + 0.1, 1.4, 1.8, "its gradient", colour)
    arrow(axis, (x + 1, 4.2), (x + 1, 3.6))
    arrow(axis, (x + 1, 2.8), (x + 1, 2.2))
    arrow(axis, (x + 1, 1.4), (2, 0.8))
box(axis, 0.6, 0, 2.8, "mean: one step for both", "pale grey")
axis.set(xlim=(-0.1, 4.1), ylim=(-0.1, 5.1))
axis.axis("off")
plots.finish(fig)

# %% [markdown]
# They average them. Guess before the next cell: will the result be *near* the gradient of the
# whole batch, or the same?
#
# The loss of a batch is a mean over its images. The mean of many numbers is the mean of the means
# of two halves, and a gradient goes through sums and factors:
#
# $$
# \nabla \frac{1}{n} \sum_{i=1}^{n} \ell_i
# = \frac{1}{2} \left( \nabla \frac{2}{n} \sum_{i \le n/2} \ell_i
# + \nabla \frac{2}{n} \sum_{i > n/2} \ell_i \right)
# $$
#
# There is no approximation in this line.

# %%
def gradient(model, x, y):
    """Return the gradient of the mean loss over some images, an array for each variable."""
    with tf.GradientTape() as tape:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
            y, model(x, training=True))
    found = tape.gradient(loss, [v.value for v in model.trainable_variables])
    return [g.numpy() for g in found]


def mean_of_parts(model, x, y, cuts, weigh=True):
    """Cut a batch, take the gradient of each part, and add them up."""
    parts = list(zip(np.split(x, cuts), np.split(y, cuts), strict=True))
    shares = [len(part) / len(x) if weigh else 1 / len(parts) for part, _ in parts]
    by_part = [gradient(model, *part) for part in parts]
    return [sum(s * g for s, g in zip(shares, gs, strict=True))
            for gs in zip(*by_part, strict=True)]


model = begin(folder, learning_rate)
x, y = x_train[:batch_size], y_train[:batch_size]
whole = gradient(model, x, y)
half = batch_size // 2
split_difference = difference(mean_of_parts(model, x, y, [half]), whole)
print(f"two halves against the whole: {split_difference:.1e}")
assert split_difference < 1e-5

# %% [markdown]
# The relative difference is {glue:text}`split_difference:.1e`. A 32-bit number has about seven
# digits. A gradient is a sum of many terms that partly cancel, and here they were added in another
# order. This is the same step, to the last digits that floating point allows. **Data parallelism
# is one large batch, cut into pieces.**
#
# It follows that two devices do not learn *more* from a batch of {glue:text}`batch_size` than one
# does. They can only be done with it sooner.
#
# ## Two ways to break it
#
# **Unequal parts.** Let one device take a quarter of the batch and the other the rest, for example
# because the last batch of an epoch does not divide evenly. Is the mean of the two gradients still
# right?

# %%
third = batch_size // 4
uneven_difference = difference(mean_of_parts(model, x, y, [third]), whole)
unweighed_difference = difference(mean_of_parts(model, x, y, [third], weigh=False), whole)
print(f"a quarter and three quarters, weighed: {uneven_difference:.1e}, "
      f"not weighed: {unweighed_difference:.1e}")
assert uneven_difference < 1e-5 < unweighed_difference

# %% [markdown]
# It is right if each gradient is weighed by its share of the images. The plain mean is off by
# {glue:text}`unweighed_percent:.0f` %, since an image of the small part then counts three times as
# much as one of the large part. Engines that average without asking want equal parts.
#
# **A layer that looks at the whole batch.** The proof used one thing silently: the loss of an
# image depends on that image alone. {doc}`10_architectures` had a layer for which that is false.
# Which one?

# %%
normalised = keras.Sequential([
    keras.Input((32, 32, 3)), layers.Conv2D(8, 5), layers.BatchNormalization(), layers.ReLU(),
    layers.GlobalAveragePooling2D(), layers.Dense(10)])
training.draw_weights(normalised, seed)
batchnorm_difference = difference(
    mean_of_parts(normalised, x, y, [half]), gradient(normalised, x, y))
print(f"with BatchNorm, two halves against the whole: {batchnorm_difference:.1e}")
assert batchnorm_difference > 1e-4

# %% tags=["hide-cell"]
record("n_parameters", model.count_params())
record("split_difference", split_difference)
record("uneven_difference", uneven_difference)
record("unweighed_percent", 100 * unweighed_difference)
record("batchnorm_percent", 100 * batchnorm_difference)

# %% [markdown]
# `BatchNormalization` subtracts the mean of *the images that it sees*. Where each device sees only
# its half, each subtracts something else, and the gradient differs by
# {glue:text}`batchnorm_percent:.0f` %. That is not a fault of an engine. It is another network: one
# that is normalised over half batches. With many devices and few images on each, it is worth
# knowing which of the two you train. With TensorFlow as its backend, Keras offers
# `BatchNormalization(synchronized=True)`, which pays for the equality with messages inside the
# forward pass.
#
# ## Two devices in TensorFlow
#
# Now the engines. `tf.distribute.MirroredStrategy` keeps a *mirrored* copy of each weight on every
# device, and hands each its part of the batch. Each device divides its loss by the number of images
# in the *whole* batch, so that the sum of the gradients is the mean that we need. The sum over
# devices is called an **all-reduce**: everybody gives an array, everybody gets the sum.
#
# The cell with the imports showed the processor to TensorFlow as two devices. On a machine with
# two graphics cards, that line and the names of the devices would go, and nothing else would
# change. Look for what has to be added to the code of {doc}`05_mnist_keras`: it is the line with
# `scope`.

# %%
def learn(model):
    """Take the steps of one pass, in order, and return the weights."""
    model.fit(x_train, y_train, batch_size=batch_size, shuffle=False, verbose=0)
    return model.get_weights()


one = learn(begin(folder, learning_rate))
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    mirrored = begin(folder, learning_rate)
mirrored_difference = difference(learn(mirrored), one)
moved = difference(one, begin(folder, learning_rate).get_weights())
print(f"{strategy.num_replicas_in_sync} devices, {n_steps} steps: "
      f"{mirrored_difference:.1e} from one device; the steps moved the weights by {moved:.2f}")
assert strategy.num_replicas_in_sync == 2 and mirrored_difference < 1e-5 < moved

# %% tags=["hide-cell"]
record("mirrored_difference", mirrored_difference)
record("moved_percent", 100 * moved)

# %% [markdown]
# After {glue:text}`n_steps` steps the weights differ from those of one device by
# {glue:text}`mirrored_difference:.1e`, while the steps have moved them by
# {glue:text}`moved_percent:.0f` %. Rounding differs in each step, and each step starts from what
# the last one left. Yet the two stay together.
#
# ## Two devices in JAX
#
# JAX goes about it another way. Nothing is mirrored by hand. An array may lie *spread* over
# several devices, and the compiler sees from where its inputs lie which messages a program needs.
# Keras gives this a name, `keras.distribution.DataParallel`: weights on all devices, batches cut
# along their first axis.
#
# JAX can also be told to show one processor as two. It has to be told before it starts, and this
# notebook runs TensorFlow. So the next cell hands three of our functions to a fresh Python
# process: `build` and `begin`, as they stand above, and one more.

# %%
HEADER = "import keras\nimport numpy as np\nfrom keras import layers"


def two_devices(folder, learning_rate, batch_size):
    """Train on two devices of one process; this runs in a process of its own."""
    devices = keras.distribution.list_devices()
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    model = begin(folder, learning_rate)
    data = np.load(f"{folder}/train.npz")
    model.fit(data["x"], data["y"], batch_size=batch_size, shuffle=False, verbose=0)
    return {"devices": devices, "weights": [w.tolist() for w in model.get_weights()]}


task = {"folder": folder, "learning_rate": learning_rate, "batch_size": batch_size}
if "jax" in engines:
    answer = processes.start(
        build, begin, two_devices, arguments=task, header=HEADER, python=many,
        environ={"KERAS_BACKEND": "jax",
                 "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}).result()
    jax_difference = difference(answer["weights"], one)
    print(answer["devices"], f"{jax_difference:.1e} from one device of TensorFlow")
    assert len(answer["devices"]) == 2 and jax_difference < 1e-5
    record("jax_difference", jax_difference)
else:
    print("Left out of this run: two devices of JAX.")

# %% [markdown]
# ## Two processes
#
# Two devices of one process share their memory. Two machines do not. So the last step is to take
# it away: two *processes*, each with one device, its own copy of the weights, and no way to the
# other but messages over the network. The network is the loopback of this machine, at 127.0.0.1.
# Put the names of two machines there, and the program is the same.
#
# Each process is told who it is (its *rank*) and where to meet. Each reads its own half of each
# batch. The messages are carried by a library named Gloo.

# %%
def join(rank, address):
    """Make this process one of two that train together."""
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, num_processes=2, process_id=rank)
    keras.utils.set_random_seed(0)  # Keras checks that both draw the same weights
    keras.distribution.set_distribution(keras.distribution.DataParallel(
        devices=keras.distribution.list_devices(), auto_shard_dataset=False))


def worker(rank, address, folder, learning_rate, batch_size):
    """Train as one of two processes, which gets half of each batch."""
    join(rank, address)
    model = begin(folder, learning_rate)
    half, data = batch_size // 2, np.load(f"{folder}/train.npz")
    mine = np.arange(len(data["x"])) % batch_size // half == rank
    model.fit(data["x"][mine], data["y"][mine], batch_size=half, shuffle=False, verbose=0)
    return [w.tolist() for w in model.get_weights()]

# %% [markdown]
# One more thing has to be fair. A process of JAX takes all cores that it finds. If we ever want to
# compare one process with two, each must have **one core**: the system pins it there, and XLA is
# told to use a single thread. Without this, "one device" would silently be two. (What works and
# what carries messages now share a core. Linux is told that this is a batch job; else each message
# would wait for a tick of its clock, some milliseconds.)

# %%
ONE_CORE = {"KERAS_BACKEND": "jax", "OMP_NUM_THREADS": "1",
            "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}


def two_processes(*functions, **arguments):
    """Run the last function as two processes with a core each; return both answers."""
    address = f"127.0.0.1:{processes.free_port()}"
    return processes.gather([
        processes.start(*functions, header=HEADER, python=many, environ=ONE_CORE, core=rank,
                        arguments={**arguments, "rank": rank, "address": address})
        for rank in (0, 1)], timeout=600)


if "jax" in engines:
    first, second = two_processes(build, begin, join, worker, **task)
    processes_difference = difference(first, one)
    apart = difference(first, second)
    print(f"{processes_difference:.1e} from one device; the two from each other: {apart:.1e}")
    assert processes_difference < 1e-5 and apart == 0
    record("processes_difference", processes_difference)
    record("jax_and_tensorflow", max(jax_difference, processes_difference))
else:
    print("Left out of this run: two processes.")

# %% [markdown]
# Two processes that share nothing but messages end with the same weights as one device of another
# engine, to within {glue:text}`jax_and_tensorflow:.1e`. And the two agree with each other to the
# last bit: both added the same numbers.
#
# ## What does not work
#
# TensorFlow has a strategy for several machines, `MultiWorkerMirroredStrategy`, and many tutorials
# that show it. They were written for Keras 2. What happens with the Keras of this page? We ask it,
# with the same network and the same two processes.

# %%
TF = "os.environ['KERAS_BACKEND'] = 'tensorflow'\n"
def tf_worker(rank, ports, folder, learning_rate, batch_size):
    """Try to train under MultiWorkerMirroredStrategy, as one of two processes."""
    import json
    import os

    os.environ["TF_CONFIG"] = json.dumps({
        "cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]},
        "task": {"type": "worker", "index": rank}})
    import tensorflow as tf

    with tf.distribute.MultiWorkerMirroredStrategy().scope():
        model = begin(folder, learning_rate)
    data = np.load(f"{folder}/train.npz")
    model.fit(data["x"], data["y"], batch_size=batch_size, shuffle=False, verbose=0)
    return [w.tolist() for w in model.get_weights()]


def attempt():
    """Return what became of it, in a line."""
    ports = [processes.free_port(), processes.free_port()]
    jobs = [processes.start(build, begin, tf_worker, header="import os\n" + TF + HEADER, core=rank,
                            arguments={**task, "rank": rank, "ports": ports}) for rank in (0, 1)]
    try:
        return f"it trained, {difference(processes.gather(jobs, 120)[0], one):.1e} from one device"
    except (RuntimeError, TimeoutError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        return next((line for line in lines if "Error: " in line), lines[0])

# %%
if "tensorflow" in engines:
    multi_worker = attempt()
    works = multi_worker.startswith("it trained")
    print(multi_worker)
    record("multi_worker_works", works)
    record("multi_worker", "trains" if works else "does not train")
    record("multi_worker_line", multi_worker.partition(" (")[0][:90])
else:
    print("Left out of this run: MultiWorkerMirroredStrategy.")

# %% [markdown]
# With the versions of this page it {glue:text}`multi_worker`. What it says begins with
# "{glue:text}`multi_worker_line`". The report is open as
# [keras-team/keras#20585](https://github.com/keras-team/keras/issues/20585). As long as it is, the
# way to several machines with Keras 3 leads through JAX, as above, or through PyTorch's own tools.
#
# ## Another kind of parallel: a study on a cluster
#
# Data parallelism needs a message for every step. The search of {doc}`12_challenge` needs none:
# its trials do not know of each other. For such work a queue is enough, and what can go wrong is
# of another kind. **A machine dies in the middle. What is lost?**
#
# Ray is such a queue, for any number of machines, called *nodes*. A function becomes a task; a
# node with a free core takes it. We give it a small edition of that study: four of the knobs, few
# images, {glue:text}`n_trials` trials.

# %%
def choose(trial):
    """Draw four of the knobs of chapter 12."""
    return {"blocks": trial.suggest_int("blocks", 1, 2),
            "filters": trial.suggest_int("filters", 8, 24, log=True),
            "kernel": trial.suggest_int("kernel", 2, 5),
            "rate": trial.suggest_float("rate", 0.002, 0.1, log=True)}


def evaluate(number, knobs, folder, epochs):
    """Train one network in a task of Ray; return its accuracy, and where and when it ran."""
    import time

    import ray

    node, start = ray.get_runtime_context().get_node_id(), time.time()
    with open(f"{folder}/attempts.txt", "a") as file:
        file.write(f"{number} {node} {start}\n")
    keras.utils.set_random_seed(number)
    trunk = [layer for _ in range(knobs["blocks"]) for layer in (
        layers.Conv2D(knobs["filters"], knobs["kernel"], padding="same", activation="relu"),
        layers.MaxPooling2D(2))]
    model = keras.Sequential(
        [keras.Input((32, 32, 3)), *trunk, layers.Flatten(), layers.Dense(10)])
    model.compile(keras.optimizers.SGD(knobs["rate"], momentum=0.9),
                  keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=["accuracy"])
    train, valid = (np.load(f"{folder}/{name}.npz") for name in ("train", "valid"))
    model.fit(train["x"], train["y"], batch_size=64, epochs=epochs, verbose=0)
    accuracy = model.evaluate(valid["x"], valid["y"], verbose=0)[1]
    return accuracy, node, start, time.time()

# %% [markdown]
# `evaluate` notes each *attempt* in a file before it does anything else, so that we can count
# later what was begun, and not only what was finished.
#
# Now the cluster: two nodes on this machine, a core each. And the accident. A process that is
# killed with the signal 9 gets no chance to tidy up, to send a last message, or to finish a
# sentence. That is as near to a pulled plug as one machine can come.

# %%
def cluster_of_two():
    """Start two nodes of Ray on this machine, a core each; return both."""
    import ray
    from ray.cluster_utils import Cluster

    settings = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "include_log_monitor": False}
    cluster = Cluster(initialize_head=True, head_node_args={
        **settings, "include_dashboard": False, "no_monitor": True})
    second = cluster.add_node(**settings)
    ray.init(address=cluster.address, log_to_driver=False)
    return cluster.head_node, second


def processes_of(node):
    """Return what a node consists of: the id of its raylet, and those of the workers below it."""
    import subprocess

    raylet = node.all_processes["raylet"][0].process.pid
    below = subprocess.run(["pgrep", "-P", str(raylet)], capture_output=True, text=True).stdout
    return [raylet, *map(int, below.split())]


def pull_out(pids):
    """Kill a node as a power cut would: all at once, and without a word."""
    import contextlib
    import os
    import signal

    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # a worker that has ended by itself
            os.kill(pid, signal.SIGKILL)


def running_on(node, folder, finished):
    """Return the trials that a node has begun and not finished."""
    with open(f"{folder}/attempts.txt") as file:
        attempts = [line.split() for line in file]
    return [int(n) for n, where, _ in attempts if where == node and int(n) not in finished]

# %% [markdown]
# What takes care that nothing gets lost? Two things, one on each side. `max_retries=3` tells Ray
# that a task whose node is gone may be given to another. And Optuna's storage is a journal, a file
# to which every answer is appended: a trial without an answer is still open, and cannot be taken
# for finished.
#
# Half-way, when the second node is in the middle of a trial, it is killed.

# %%
def study(folder, n_trials, epochs, log_level=30):
    """Run a study on two nodes, and kill the second of them half-way."""
    import time

    import optuna
    import ray
    optuna.logging.set_verbosity(log_level)
    first, second = cluster_of_two()
    alive = [sum(node["Alive"] for node in ray.nodes())]
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(f"{folder}/study.log"))
    plan = optuna.create_study(storage=storage, direction="maximize",
                               sampler=optuna.samplers.RandomSampler(seed=0))
    remote = ray.remote(num_cpus=1, max_retries=3, scheduling_strategy="SPREAD")(evaluate)
    waiting = {}
    for trial in [plan.ask() for _ in range(n_trials)]:
        waiting[remote.remote(trial.number, choose(trial), folder, epochs)] = trial.number
    told, killed = {}, None
    while waiting:
        pids = processes_of(second) if killed is None else []
        for ready in ray.wait(list(waiting), timeout=0.1)[0]:
            number = waiting.pop(ready)
            told[number] = ray.get(ready)
            plan.tell(number, told[number][0])
        if killed is None and len(told) >= n_trials // 2:
            if lost := running_on(second.node_id, folder, told):
                pull_out(pids)
                killed = {"at": time.time(), "lost": lost}
    alive.append(sum(node["Alive"] for node in ray.nodes()))
    return {"told": told, "killed": killed, "alive": alive, "first": first.node_id}

# %%
RAY = {"KERAS_BACKEND": "jax", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1",
       "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # telemetry off; stay on the loopback address

if "ray" in engines:
    # Ray's sockets need a short path, and its logs need not outlive the run.
    with TemporaryDirectory(prefix="ray-") as short:
        run = processes.start(
            choose, evaluate, cluster_of_two, processes_of, pull_out, running_on, study,
            header=HEADER, python=many, environ={**RAY, "RAY_TMPDIR": short},
            arguments={"folder": folder, "n_trials": n_trials, "epochs": study_epochs}).result(600)
    attempts = [line.split() for line in Path(folder, "attempts.txt").read_text().splitlines()]
    journal = Path(folder, "study.log").read_text().splitlines()
    killed, told = run["killed"], run["told"]
    print(f"nodes: {run['alive'][0]} at the start, {run['alive'][1]} at the end; "
          f"killed in the middle of trial {killed['lost']}")
    print(f"{len(told)} trials have an answer, after {len(attempts)} attempts")
else:
    print("Left out of this run: the study on two nodes of Ray.")

# %% [markdown]
# Is it all there? We do not ask the program that ran the study, since it might be mistaken. We
# read the two files that it left behind: the journal of the answers, and the list of the attempts.

# %%
if "ray" in engines:
    import json

    answers = [entry["trial_id"] for entry in map(json.loads, journal) if entry.get("state") == 1]
    n_begun = {k: sum(int(a[0]) == k for a in attempts) for k in range(n_trials)}
    retried = [k for k, n in n_begun.items() if n > 1]
    print(f"answers in the journal: {len(answers)}, of {len(set(answers))} different trials")
    print("begun more than once:", retried)
    assert sorted(answers) == list(range(n_trials)) and run["alive"] == [2, 1]
    assert set(killed["lost"]) <= set(retried) and min(n_begun.values()) == 1

# %% tags=["hide-cell"]
if "ray" in engines:
    record("n_trials", n_trials)
    record("n_answers", len(set(answers)))
    record("n_twice", len(answers) - len(set(answers)))
    record("n_attempts", len(attempts))
    record("n_retried", len(retried))
    again = [float(a[2]) for a in attempts if int(a[0]) in killed["lost"]]
    record("retry_wait", max(again) - killed["at"])
    record("n_by_first", sum(node == run["first"] for _, node, _, _ in told.values()))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of bars over time, a row for each node and a bar for each trial. The bars of the second node end at a vertical line, where it is killed, and the last of them is hatched: begun and lost. The first node goes on alone."}}
def timeline():
    """Draw which node worked on which trial, and when."""
    began = min(float(start) for _, _, start in attempts)
    fig, axis = plt.subplots(figsize=(6.4, 2.8))
    for _, node, start, end in told.values():
        row, colour = (1, "pale sky") if node == run["first"] else (0, "pale orange")
        axis.barh(row, end - start, 0.6, start - began, color=plots.COLOURS[colour],
                  edgecolor=plots.COLOURS["grey"])
    for number in killed["lost"]:
        start = min(float(a[2]) for a in attempts if int(a[0]) == number)
        axis.barh(0, killed["at"] - start, 0.6, start - began, color="none", hatch="////",
                  edgecolor=plots.COLOURS["vermillion"])
    axis.axvline(killed["at"] - began, color=plots.COLOURS["vermillion"])
    axis.text(killed["at"] - began, -0.55, " killed", color=plots.COLOURS["vermillion"])
    axis.set(yticks=[0, 1], yticklabels=["second node", "first node"], ylim=(-0.7, 1.5),
             xlabel="seconds since the first attempt")
    return plots.finish(fig)


timeline() if "ray" in engines else None

# %% [markdown]
# {glue:text}`n_answers` of {glue:text}`n_trials` trials have an answer. {glue:text}`n_twice` have
# more than one. There were {glue:text}`n_attempts` attempts: what the dead node had in its hands
# was begun once more ({glue:text}`n_retried`), and the first node answered {glue:text}`n_by_first`
# in all. The study lost time. It did not lose a trial.
#
# Between the kill and the second beginning of the lost trial lay {glue:text}`retry_wait:.0f`
# seconds. Nobody *tells* a cluster that a node is dead. It stops answering, the others have to
# draw their conclusion, and then the trial waits for a free core.
#
# :::{admonition} What this does not survive
# :class: warning
# The first node holds the cluster's own book-keeping. Had we killed that one, the study would have
# stopped. The journal would still have every answer given so far, and a new cluster could go on
# from it, as {doc}`12_challenge` does after a kill.
# :::
#
# ## What a message costs
#
# Back to the two processes. They computed the same as one. Were they *faster*? Before we look, we
# want to be able to predict it. For this we need the price of a message.
#
# We let two processes add up arrays, from a few bytes to {glue:text}`largest_mb` MB, and take the
# median time of {glue:text}`n_repeats` for each size. What shape do you expect the curve to have?

# %%
def messages(rank, address, sizes, n_repeats):
    """Return the median seconds in which two processes add up arrays of some sizes."""
    import time

    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    join(rank, address)
    mesh = jax.sharding.Mesh(jax.devices(), "both")
    spread, everywhere = (NamedSharding(mesh, PartitionSpec(*axis)) for axis in (["both"], []))
    add = jax.jit(lambda array: array.sum(axis=0), out_shardings=everywhere)
    medians = []
    for size in sizes:
        mine = np.ones((1, size // 4), "float32")
        both = jax.make_array_from_process_local_data(spread, mine)
        seconds = []
        for _ in range(n_repeats + 2):
            start = time.perf_counter()
            add(both).block_until_ready()
            seconds.append(time.perf_counter() - start)
        medians.append(float(np.median(seconds[2:])))  # the first ones compile and warm up
    return medians

# %%
if "jax" in engines:
    sizes = np.array(message_sizes)
    answers = two_processes(join, messages, sizes=message_sizes, n_repeats=n_repeats)
    seconds = np.max(answers, axis=0)  # a message has arrived when both have it
    # The line with the least relative error: small messages count as much as large ones.
    latency, per_byte = np.linalg.lstsq(
        np.stack([np.ones(len(sizes)), sizes], 1) / seconds[:, None], np.ones(len(sizes)),
        rcond=None)[0]
    fitted = latency + sizes * per_byte
    misfit = float(np.median(np.abs(fitted / seconds - 1)))
    print(f"latency {1e6 * latency:.0f} microseconds, bandwidth {1e-6 / per_byte:,.0f} MB/s; "
          f"the line is off by {100 * misfit:.0f} % in the middle")
    assert latency > 0 and per_byte > 0

# %% tags=["hide-cell"]
if "jax" in engines:
    record("largest_mb", f"{sizes[-1] / 2**20:.0f}")
    record("n_repeats", n_repeats)
    record("message_seconds", seconds)
    record("latency_us", 1e6 * latency)
    record("bandwidth_mb", 1e-6 / per_byte)
    record("misfit_percent", 100 * misfit)
    record("equal_kb", latency / per_byte / 1000)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Time of an all-reduce against the size of the message, both axes logarithmic: dots for the measurements, and the line latency plus bytes over bandwidth, level on the left and rising on the right."}}
def price_of_a_message():
    """Draw the measured times, and the line through them."""
    fig, axis = plt.subplots(figsize=(6.4, 3.6))
    axis.loglog(sizes, 1e3 * seconds, "o", color=plots.COLOURS["blue"], label="measured")
    axis.loglog(sizes, 1e3 * fitted, color=plots.COLOURS["orange"],
                label="latency + bytes / bandwidth")
    axis.set(xlabel="bytes", ylabel="milliseconds")
    axis.legend(loc="upper left")
    return plots.finish(fig)


price_of_a_message() if "jax" in engines else None

# %% [markdown]
# A small message costs what an empty envelope costs, the **latency**: here
# {glue:text}`latency_us:.0f` microseconds. A large one costs its bytes over the **bandwidth**,
# here {glue:text}`bandwidth_mb:,.0f` MB in a second. The two shares are equal at
# {glue:text}`equal_kb:,.0f` kB. Two numbers describe the curve, and in the middle they miss a
# measurement by {glue:text}`misfit_percent:.0f` %.
#
# :::{admonition} On a busy machine
# :class: note
# A message has arrived when the *other* process has had its turn. If a third program wants the
# same core, the message waits for it, some milliseconds for a few bytes. The box at the end of
# this page says how busy the machine was. Close what you can before you run this part.
# :::
#
# ## When does it pay?
#
# Now we can say how long a step should take with $n$ processes:
#
# $$
# t(n) = \frac{\text{compute}}{n} + k \cdot \text{latency}
# + \frac{2 (n - 1)}{n} \cdot \frac{\text{bytes}}{\text{bandwidth}}
# $$
#
# The arithmetic is shared. The messages are added: one for each of the $k$ arrays of the network,
# with the bytes of all its weights. The factor $2 (n - 1) / n$ belongs to the usual way of adding
# up, in a ring: each process passes on all but one of $n$ pieces, twice. For two processes it is
# 1, and that is the only case that we measure. (A ring of more would also wait more often, for
# $2 (n - 1)$ messages and not for one.)
#
# Note what is *not* in the second and third terms: the size of the batch. So a larger batch is
# worth its messages sooner. And a network with more weights, for the same arithmetic, is worth
# them later.
#
# We take {glue:text}`n_cases_words`. One process with one core gives the compute; the formula gives
# the rest. In which of these cases do you expect two processes to win?

# %%
def step_times(folder, batch_sizes, units, n_timed, rank=0, address=None):
    """Return the seconds of a training step for each network and batch size."""
    import time

    if address:
        join(rank, address)
    data, found = np.load(f"{folder}/train.npz"), []
    for n_units, size in [(n, size) for n in units for size in batch_sizes]:
        keras.utils.set_random_seed(0)
        model = build(n_units)
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9),
                      keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        mine = size // 2 if address else size
        images = np.arange(mine * n_timed) % len(data["x"])
        x, y, passes = data["x"][images], data["y"][images], []
        for _ in range(4):
            start = time.perf_counter()
            model.fit(x, y, batch_size=mine, shuffle=False, verbose=0)
            passes.append((time.perf_counter() - start) / n_timed)
        found.append(float(np.median(passes[1:])))  # the first one compiles
    return found

# %%
if "jax" in engines:
    work = {"folder": folder, "batch_sizes": batch_sizes, "units": units, "n_timed": n_timed}
    alone = np.array(processes.start(build, step_times, arguments=work, header=HEADER,
                                     python=many, environ=ONE_CORE, core=0).result(600))
    arrays = len(build().trainable_variables)
    n_bytes = np.repeat([4 * build(n).count_params() for n in units], len(batch_sizes))
    predicted = alone / 2 + arrays * latency + n_bytes * per_byte
    names = [f"batch {size}, {n} units" for n in units for size in batch_sizes]
    for name, one_process, two in zip(names, alone, predicted, strict=True):
        verdict = "two are faster" if two < one_process else "one is faster"
        print(f"{name:24} one {1e3 * one_process:7.2f} ms, two {1e3 * two:7.2f} ms: {verdict}")

# %% [markdown]
# These are predictions. Now the measurement: the same steps, in two processes.

# %%
if "jax" in engines:
    together = np.max(two_processes(build, join, step_times, **work), axis=0)
    right = (predicted < alone) == (together < alone)
    for name, *times, as_said in zip(names, alone, predicted, together, right, strict=True):
        speedups = times[0] / times[1], times[0] / times[2]
        print(f"{name:24} speedup predicted {speedups[0]:5.2f}, measured {speedups[1]:5.2f}  "
              f"{'right' if as_said else 'WRONG'} side")
    print(f"{right.sum()} of {len(right)} predictions fall on the right side")

# %% tags=["hide-input"] mystnb={"image": {"alt": "For each of the six cases two dots on a logarithmic axis, the predicted and the measured speedup of two processes over one, and a dashed line at 1, where neither wins."}}
def speedups_drawn():
    """Draw the predicted and the measured speedups."""
    fig, axis = plt.subplots(figsize=(6.4, 3.8))
    rows = np.arange(len(names))[::-1]
    axis.hlines(rows, alone / predicted, alone / together, color=plots.COLOURS["grey"])
    axis.plot(alone / predicted, rows, "o", mfc=plots.COLOURS["face"], mew=2,
              color=plots.COLOURS["orange"], label="predicted")
    axis.plot(alone / together, rows, "o", color=plots.COLOURS["blue"], label="measured")
    axis.axvline(1, color=plots.COLOURS["ink"], linestyle=(0, (4, 3)))
    axis.set(yticks=rows, yticklabels=names, xscale="log", xlabel="speedup of two over one")
    axis.set_xticks([1 / 4, 1 / 2, 1, 2], ["1/4", "1/2", "1", "2"])
    axis.minorticks_off()
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return plots.finish(fig)


speedups_drawn() if "jax" in engines else None

# %% tags=["hide-cell"]
if "jax" in engines:
    gains, n_won = alone / together, int((together < alone).sum())
    n_cases = len(names)
    record("n_cases_words", " and ".join(
        [f"batches of {', '.join(map(str, batch_sizes))}",
         f"networks of {', '.join(f'{4e-6 * build(n).count_params():.2g} MB' for n in units)}"]))
    record("n_cases", n_cases)
    record("n_right", int(right.sum()))
    record("n_won", n_won)
    record("alone_ms", 1e3 * alone)
    record("predicted_ms", 1e3 * predicted)
    record("together_ms", 1e3 * together)
    record("best_case", names[int(gains.argmax())])
    record("best_gain", float(gains.max()))
    record("worst_case", names[int(gains.argmin())])
    record("worst_gain", float(gains.min()))
    record("unexpected", "none" if right.all() else "; ".join(
        name for name, as_said in zip(names, right, strict=True) if not as_said))
    late = together / predicted
    record("late_least", float(late.min()))
    record("late_most", float(late.max()))

# %% [markdown]
# {glue:text}`n_right` of {glue:text}`n_cases` predictions fall on the right side; on the wrong
# side: {glue:text}`unexpected`. Two processes won in {glue:text}`n_won` of them. They did best
# with {glue:text}`best_case`, {glue:text}`best_gain:.2f` times as fast as one, and worst with
# {glue:text}`worst_case`, {glue:text}`worst_gain:.2f` times.
#
# The right side is one question, the right time another. The measured steps took between
# {glue:text}`late_least:.2f` and {glue:text}`late_most:.2f` times what the formula says. Three
# things are not in it. Keras needs some time for each step that does not shrink with the batch.
# Half a batch does not always take half the time: small arrays use a core less well, and large
# ones outgrow its cache. And the two cores share one memory, in which the arithmetic of the one is
# in the way of the other.
#
# **No more follows from this page.** Two processes on one machine say nothing about eight graphics
# cards, whose links and whose arithmetic are of another order. What does carry over is the way:
# measure the step of one, measure the message, and write down the prediction before you pay for the
# second machine.
#
# ## Exercises
#
# **1. Warm-up.** Four devices share a batch of 100 images: 30, 30, 30 and 10. Each returns the
# gradient of its mean loss. With which weights are they to be added?
#
# :::{dropdown} Hint
# In the mean over the whole batch, each image counts as much as any other.
# :::
#
# :::{dropdown} Solution
# 0.3, 0.3, 0.3 and 0.1, their shares of the images. The plain mean would weigh each image of the
# last device three times as much as the others.
# :::
#
# **2.** `batch_size` is 128 on one device. You get four devices and leave 128 *on each*. Which run
# on one device is the same as yours now, and what should you think about before you compare the
# two?
#
# :::{dropdown} Hint
# How many images does a step see, and how many steps does an epoch have?
# :::
#
# :::{dropdown} Solution
# A run with batches of 512. It takes a quarter of the steps an epoch, so with the same step size
# it moves less far in the same number of epochs. {cite:t}`goyal2017accurate` raise the step size
# with the number of devices, and begin with a small one. It is another training, not the same one
# made faster.
# :::
#
# **3.** The all-reduce of the formula sends $2 (n - 1) / n$ times the bytes. Work it out for a
# ring of three: each process holds an array of three pieces, and in each round it passes one piece
# to its neighbour.
#
# :::{dropdown} Hint
# First let each piece travel until one process has its sum. Then let the sums travel.
# :::
#
# :::{dropdown} Solution
# Two rounds to add up: in each, every process passes one piece on, and the receiver adds it to its
# own. After these each process holds one finished piece. Two more rounds to hand the finished
# pieces round. Four rounds of a third: 4/3 of the bytes, and $2 \cdot 2 / 3 = 4/3$. The cell below
# plays it.
# :::

# %% tags=["hide-cell", "nbval-check-output"]
held = np.array([[1, 2, 3], [10, 20, 30], [100, 200, 300]])  # a row for each process
pieces_sent = np.zeros(3, int)
for turn in range(4):
    passed = [(rank, (rank - turn) % 3, held[rank, (rank - turn) % 3]) for rank in range(3)]
    if turn >= 2:  # the finished pieces go round
        passed = [(rank, (rank + 1 - (turn - 2)) % 3, held[rank, (rank + 1 - (turn - 2)) % 3])
                  for rank in range(3)]
    for rank, piece, value in passed:
        held[(rank + 1) % 3, piece] = value + (held[(rank + 1) % 3, piece] if turn < 2 else 0)
        pieces_sent[rank] += 1
print(held)
print("pieces sent by each:", pieces_sent)
assert (held == [111, 222, 333]).all() and (pieces_sent == 4).all()

# %% [markdown]
# **4.** From the formula: at which size of the batch do two processes begin to win, if the compute
# grows in proportion to the batch? Write it for $n = 2$.
#
# :::{dropdown} Hint
# Two processes win if what they save is more than what they pay. They save half of the compute.
# :::
#
# :::{dropdown} Solution
# With $c$ seconds of compute an image and a batch of $b$: two win if $b c / 2$ is more than
# $m = k \cdot \text{latency} + \text{bytes} / \text{bandwidth}$, so if $b > 2 m / c$. Twice the
# bandwidth halves the second part of $m$ and leaves the first as it is.
# :::
#
# **5.** Put the switches back: `relu` and `MaxPooling2D` in `build`. Compare two devices with one
# for several step sizes and seeds. Is the difference always as small as above?
#
# :::{dropdown} Hint
# Only the cells from `build` to `MirroredStrategy` have to run again. Print the difference for
# each step size.
# :::
#
# :::{dropdown} What to look for
# Most runs agree as before. In some, the difference is larger by powers of ten: one maximum, at
# one place of one image, was won by another pixel, and everything after that step is a little
# different. No engine is at fault, and no accuracy suffers. But a test that demands equal weights
# of such a network fails now and then.
# :::
#
# **6. Open-ended.** Give the study on two nodes another accident: kill only the *worker* that
# trains, and leave the node alive. What do you expect of the number of attempts, and of the time
# until the trial is begun again?
#
# :::{dropdown} Hint
# In `processes_of`, leave out the raylet.
# :::
#
# :::{dropdown} What to look for
# The raylet is the parent of the worker, so it notices at once, where the cluster needed several
# missed questions to give up a node. The trial is begun again within a second or so, perhaps on
# the same node.
# :::
#
# ## Check yourself
#
# **1.** Two devices train with data parallelism on batches of 128 in all. Is the result better
# than that of one device?
#
# :::{dropdown} Answer
# It is the same result, but for rounding. It may be there sooner.
# :::
#
# **2.** Why does this chapter's network have no dropout?
#
# :::{dropdown} Answer
# Each device would draw its own zeros. The runs would be equally good and not equal, and nothing
# could be shown to 1 part in 100,000.
# :::
#
# **3.** A network has few weights and much arithmetic, another many weights and little arithmetic.
# Which one gains more from a second machine?
#
# :::{dropdown} Answer
# The first. Its messages are short, and there is much to share.
# :::
#
# **4.** A node of a cluster dies. Why can the study go on, and what would be lost if the answers
# had been kept in the memory of the program that asks for them?
#
# :::{dropdown} Answer
# Its open trials are given to another node. Answers in memory would survive the death of the node
# too, but not that of the program; in a journal they survive both.
# :::
#
# **5.** Two processes are slower than one for a small batch. What has to be measured before anyone
# may say for which batch that changes?
#
# :::{dropdown} Answer
# The compute of one process for each batch, the latency of a message, and the bandwidth: on the
# machines in question, since none of the three carries over from others.
# :::
#
# ## Summary
#
# - Data parallelism is one large batch, cut into pieces: two halves give its gradient to
#   {glue:text}`split_difference:.1e`. Unequal parts have to be weighed. A layer that looks at the
#   whole batch breaks the equality.
# - After {glue:text}`n_steps` steps, two devices of TensorFlow, two of JAX and two processes
#   differ from one device by {glue:text}`mirrored_difference:.1e`, {glue:text}`jax_difference:.1e`
#   and {glue:text}`processes_difference:.1e`.
# - `MultiWorkerMirroredStrategy` {glue:text}`multi_worker` with the Keras of this page.
# - A study on two nodes, one of them killed: {glue:text}`n_answers` of {glue:text}`n_trials`
#   trials answered, {glue:text}`n_retried` begun again.
# - A message costs {glue:text}`latency_us:.0f` microseconds and its bytes at
#   {glue:text}`bandwidth_mb:,.0f` MB/s here. With that, {glue:text}`n_right` of
#   {glue:text}`n_cases` predictions of who is faster were right.
#
# ## Further reading
#
# - {cite:t}`goyal2017accurate`: what to do when the batch grows with the number of devices.
# - {cite:t}`moritz2018ray`: Ray, and why a task may be run again.
# - {cite:t}`akiba2019optuna`: studies that many workers share.
# - {cite:t}`patarasuk2009bandwidth`: how to add up with the fewest bytes.
#
# Before this chapter: {doc}`12_challenge`. All numbers in one place: {doc}`../pages/results`.
#
# ## How this page was made

# %% tags=["hide-input"]
scratch.cleanup()
conditions(dataset)
