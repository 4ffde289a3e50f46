"""
How many images a second one network trains on, and which share of the machine that is.

    python -m benchmarks training

The network is chapter 7's: 4x4 convolution to 32 maps, pooling, 4x4 convolution to 64 maps,
pooling, dense to 1024, dense to 10; batches of 128, RMSprop, images of 32 x 32 x 3. The sides:

- *loop*: the low-level TensorFlow of chapter 6, taken from the chapter: its `make_step` and all
  that it calls, on batches gathered with NumPy as there. This is ours.
- *Keras fit*: chapter 7's `build`, taken from the chapter, on the backends TensorFlow, JAX and
  PyTorch.
- *PyTorch*: the same layers in ``torch.nn`` in the order that its guides use, in its default
  memory format and in ``channels_last``; batches are taken from tensors in memory.

Nothing is dropped out, so that all sides compute the same numbers: before anything is timed, they
get the same weights and the same batch, and logits and gradients have to agree. In float32 the
relative difference is at most 1e-4.

Each side lives in a process of its own, in float32 and in bfloat16 (mixed precision where the
library has it), and trains an epoch over some thousand images before the clock starts, so that
compilation is over. Then the sides take turns. In each turn each side also times a matrix product
and a 3x3 convolution with its own library: the best rate of any side is the machine's peak for the
*share*. The arithmetic counted is that of `multiply_adds` of chapter 6: forward once, backward
twice, without the gradient for the image.
"""

import os
import time

from benchmarks import common
from benchmarks.worker import Worker

BATCH = 128
RATE = 0.001
PRECISIONS = ("float32", "bfloat16")
OURS = "loop, TensorFlow"
#: The largest relative difference of logits and of gradients, by precision. In 16 bits the gradient
#: of the first biases is a sum over 131,072 places: JAX's is 9 to 13 % from TensorFlow's, from
#: run to run, and TensorFlow's 7 % from that in 32 bits. A transposed kernel is 100 % apart.
APART = {"float32": 1e-4, "bfloat16": 0.25}
TINY = {"matmul": 256, "channels": 16}
FULL = {"matmul": 2048, "channels": 64}
LAYERS = ("conv1", "conv2", "dense1", "dense2")


def flops_per_image():
    """Return the floating-point operations of training on one image, by chapter 6 (int)."""
    names = common.chapter_functions("06_cifar10_tensorflow", ["multiply_adds"], {})
    layers = names["multiply_adds"](32, 3)
    # The image needs no gradient: the first layer goes forward, and back to its kernels.
    return 2 * (3 * sum(layers.values()) - layers["conv1"])


def initial(seed):
    """
    Draw initial weights by Glorot's rule, for all sides.

    Returns
    -------
    dict of ndarray
        ``conv1_kernel`` of shape (height, width, in, out), ``conv1_bias`` and so on.
    """
    import numpy as np

    rng, weights = np.random.default_rng(seed), {}
    shapes = [(4, 4, 3, 32), (4, 4, 32, 64), (4096, 1024), (1024, 10)]
    for layer, shape in zip(LAYERS, shapes, strict=True):
        limit = np.sqrt(6 / (np.prod(shape[:-2]) * (shape[-2] + shape[-1])))
        weights[f"{layer}_kernel"] = rng.uniform(-limit, limit, shape).astype("float32")
        weights[f"{layer}_bias"] = np.zeros(shape[-1], "float32")
    return weights


def images(n, seed=0):
    """Return n random images and labels: speed does not depend on what they show."""
    import numpy as np

    rng = np.random.default_rng(seed)
    return (rng.random((n, 32, 32, 3), dtype="float32"),
            rng.integers(0, 10, n).astype("int32"))


class Side:
    """One way to train; subclasses hold the library."""

    def start(self, precision, n):
        """Make the network, and n images."""
        self.precision = precision
        self.x, self.y = images(n)
        self.build(initial(0))

    def epoch(self):
        """Train on all images once; return images a second."""
        start = time.perf_counter()
        self.train()
        return len(self.x) // BATCH * BATCH / (time.perf_counter() - start)

    def agree(self):
        """Return logits and gradients of the first batch, as flat lists in one common order."""
        logits, gradients = self.probe(self.x[:BATCH], self.y[:BATCH])
        return {"logits": [float(v) for v in logits.ravel()],
                "norms": {name: float((g.astype("float64") ** 2).sum() ** 0.5)
                          for name, g in gradients.items()},
                # Some numbers of each kernel, in the layout of the chapters, tell a transposed one.
                "some": {name: [float(v) for v in g.ravel()[:: max(1, g.size // 50)]]
                         for name, g in gradients.items()}}

    def peak(self, precision, sizes, seconds):
        """Return the best rate of a matrix product and of a 3x3 convolution, in GFLOP/s."""
        n, c = sizes["matmul"], sizes["channels"]
        return {"matrix product": 2 * n**3 / self.best(self.product(precision, n), seconds) / 1e9,
                "convolution": 2 * 32 * 32 * 32 * 9 * c * c
                / self.best(self.convolution(precision, c), seconds) / 1e9}

    @staticmethod
    def best(call, seconds):
        """Return the shortest time of a call, of all that fit into so many seconds."""
        call()
        shortest, end = float("inf"), time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            call()
            shortest = min(shortest, time.perf_counter() - start)
        return shortest


class TensorFlowPeaks:
    """Matrix product and convolution with TensorFlow."""

    def product(self, precision, n):
        """Return a function that multiplies two n x n matrices."""
        import tensorflow as tf

        a, b = (tf.cast(tf.random.normal([n, n]), precision) for _ in range(2))
        call = tf.function(lambda: tf.matmul(a, b)[0, 0])
        return lambda: call().numpy()

    def convolution(self, precision, c):
        """Return a function that convolves 32 images of 32 x 32 with c maps to c maps."""
        import tensorflow as tf

        x = tf.cast(tf.random.normal([32, 32, 32, c]), precision)
        kernel = tf.cast(tf.random.normal([3, 3, c, c]), precision)
        call = tf.function(lambda: tf.nn.conv2d(x, kernel, 1, "SAME")[0, 0, 0, 0])
        return lambda: call().numpy()


class Loop(TensorFlowPeaks, Side):
    """Chapter 6's own step."""

    def build(self, weights):
        """Take the functions of the chapter and make its variables and its step."""
        import numpy as np
        import tensorflow as tf

        self.names = common.chapter_functions(
            "06_cifar10_tensorflow", ["dropout", "convnet", "mean_loss", "make_step"],
            {"tf": tf, "np": np, "precision": self.precision, "learning_rate": RATE, "xla": False})
        self.tf, self.np = tf, np
        self.weights = {name: tf.Variable(value) for name, value in weights.items()}
        squares = [tf.Variable(tf.zeros_like(v)) for v in self.weights.values()]
        self.step = self.names["make_step"](self.weights, squares, 1.0, 1e-7)
        self.round = 0

    def train(self):
        """Take an epoch of steps, as the chapter does."""
        self.round += 1
        order = self.np.random.default_rng(self.round).permutation(len(self.x))
        losses = [self.step(self.x[order[k:k + BATCH]], self.y[order[k:k + BATCH]],
                            self.tf.constant([self.round, k]))
                  for k in range(0, len(order) // BATCH * BATCH, BATCH)]
        self.np.mean([float(loss) for loss in losses])

    def probe(self, x, y):
        """Return logits and gradients."""
        with self.tf.GradientTape() as tape:
            loss = self.names["mean_loss"](self.weights, x, y)
        gradients = tape.gradient(loss, self.weights)
        return (self.names["convnet"](self.weights, x).numpy(),
                {name: g.numpy() for name, g in gradients.items()})


class KerasFit(Side):
    """Chapter 7's network and ``fit``; the backend is the one that KERAS_BACKEND names."""

    def build(self, weights):
        """Take `build` of the chapter, nothing dropped out, and compile it as there."""
        from types import SimpleNamespace

        import keras
        import numpy as np

        mixed = self.precision if self.precision == "float32" else f"mixed_{self.precision}"
        keras.config.set_dtype_policy(mixed)
        layers = SimpleNamespace(**{name: getattr(keras.layers, name) for name in (
            "Conv2D", "MaxPooling2D", "Flatten", "Dense")},
            Dropout=lambda rate: keras.layers.Dropout(0.0))
        names = common.chapter_functions("07_cifar10_keras", ["build"],
                                         {"keras": keras, "layers": layers})
        self.keras, self.np, self.given = keras, np, list(weights.values())
        self.model = self.compiled(names["build"](last=None), keras.optimizers.RMSprop(RATE))
        self.other = self.compiled(names["build"](last=None), keras.optimizers.SGD(1.0))

    def compiled(self, model, optimizer):
        """Give a model the common weights, and compile it."""
        model.set_weights(self.given)
        loss = self.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss)
        return model

    def train(self):
        """Fit for an epoch."""
        n = len(self.x) // BATCH * BATCH
        self.model.fit(self.x[:n], self.y[:n], batch_size=BATCH, epochs=1, verbose=0)

    def probe(self, x, y):
        """Return logits and gradients: the latter from a step of plain descent with rate one."""
        logits = self.np.asarray(self.other.predict(x, batch_size=len(x), verbose=0))
        self.other.set_weights(self.given)
        self.other.train_on_batch(x, y)
        names = [f"{layer}_{part}" for layer in LAYERS for part in ("kernel", "bias")]
        return logits, {name: old - self.np.asarray(new) for name, old, new in
                        zip(names, self.given, self.other.get_weights(), strict=True)}


class KerasOnTensorFlow(TensorFlowPeaks, KerasFit):
    """Keras on TensorFlow."""


class KerasOnJAX(KerasFit):
    """Keras on JAX."""

    def product(self, precision, n):
        """Return a function that multiplies two n x n matrices."""
        import jax
        import jax.numpy as jnp

        a, b = (jax.random.normal(jax.random.key(k), (n, n)).astype(precision) for k in range(2))
        call = jax.jit(jnp.matmul)
        return lambda: call(a, b).block_until_ready()

    def convolution(self, precision, c):
        """Return a function that convolves 32 images of 32 x 32 with c maps to c maps."""
        import jax

        x = jax.random.normal(jax.random.key(0), (32, 32, 32, c)).astype(precision)
        kernel = jax.random.normal(jax.random.key(1), (3, 3, c, c)).astype(precision)
        call = jax.jit(lambda x, kernel: jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")))
        return lambda: call(x, kernel).block_until_ready()


class TorchPeaks:
    """Matrix product and convolution with PyTorch."""

    def product(self, precision, n):
        """Return a function that multiplies two n x n matrices."""
        import torch

        a, b = (torch.randn(n, n).to(getattr(torch, precision)) for _ in range(2))
        return lambda: torch.mm(a, b)

    def convolution(self, precision, c):
        """Return a function that convolves 32 images of 32 x 32 with c maps to c maps."""
        import torch

        kind = {"dtype": getattr(torch, precision), "memory_format": torch.channels_last}
        x, kernel = torch.randn(32, c, 32, 32).to(**kind), torch.randn(c, c, 3, 3).to(**kind)

        def call():
            with torch.inference_mode():
                return torch.nn.functional.conv2d(x, kernel, padding=1)
        return call


class KerasOnTorch(TorchPeaks, KerasFit):
    """Keras on PyTorch."""


class Torch(TorchPeaks, Side):
    """PyTorch's own layers, optimiser and loop."""

    last = False

    def build(self, weights):
        """Make the network; ``padding="same"`` puts the odd zero behind, as TensorFlow does."""
        import torch
        from torch import nn

        torch.set_num_threads(common.cores())
        self.torch = torch
        self.model = nn.Sequential(
            nn.Conv2d(3, 32, 4, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 4, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(4096, 1024), nn.ReLU(), nn.Linear(1024, 10))
        layers = [self.model[k] for k in (0, 3, 7, 9)]
        self.layers = dict(zip(LAYERS, layers, strict=True))
        with torch.no_grad():
            for name, layer in self.layers.items():
                kernel = torch.from_numpy(weights[f"{name}_kernel"])
                layer.weight.copy_(self.theirs(name, kernel))
                layer.bias.copy_(torch.from_numpy(weights[f"{name}_bias"]))
        if self.last:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.RMSprop(self.model.parameters(), RATE, alpha=0.9, eps=1e-7)
        self.loss = nn.CrossEntropyLoss()
        self.images = torch.from_numpy(self.x).permute(0, 3, 1, 2).contiguous(
            memory_format=torch.channels_last if self.last else torch.contiguous_format)
        self.labels = torch.from_numpy(self.y).long()
        self.round = 0

    def theirs(self, name, kernel):
        """Return a kernel of the chapters in PyTorch's layout (both ways of a dense layer)."""
        if name.startswith("conv"):
            return kernel.permute(3, 2, 0, 1)
        if name == "dense1":  # the maps are flattened with the channels first
            return kernel.reshape(8, 8, 64, 1024).permute(3, 2, 0, 1).reshape(1024, 4096)
        return kernel.T

    def ours(self, name, kernel):
        """Return a kernel of PyTorch's in the layout of the chapters."""
        if name.startswith("conv"):
            return kernel.permute(2, 3, 1, 0)
        if name == "dense1":
            return kernel.reshape(1024, 64, 8, 8).permute(2, 3, 1, 0).reshape(4096, 1024)
        return kernel.T

    def forward(self, x, y):
        """Return logits and loss, in the precision of the side."""
        torch = self.torch
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bfloat16"):
            logits = self.model(x)
        return logits, self.loss(logits.float(), y)

    def train(self):
        """Take an epoch of steps."""
        self.round += 1
        generator = self.torch.Generator().manual_seed(self.round)
        order = self.torch.randperm(len(self.images), generator=generator)
        losses = []
        for k in range(0, len(order) // BATCH * BATCH, BATCH):
            rows = order[k:k + BATCH]
            self.optimizer.zero_grad(set_to_none=True)
            _, loss = self.forward(self.images[rows], self.labels[rows])
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        float(self.torch.stack(losses).mean())

    def probe(self, x, y):
        """Return logits and gradients, in the layout of the chapters."""
        self.optimizer.zero_grad(set_to_none=True)
        logits, loss = self.forward(self.images[:len(x)], self.labels[:len(y)])
        loss.backward()
        gradients = {}
        for name, layer in self.layers.items():
            gradients[f"{name}_kernel"] = self.ours(name, layer.weight.grad).numpy()
            gradients[f"{name}_bias"] = layer.bias.grad.numpy()
        return logits.detach().float().numpy(), gradients


class TorchLast(Torch):
    """PyTorch with the channels last in memory."""

    last = True


SIDES = {OURS: Loop, "Keras fit, TensorFlow": KerasOnTensorFlow, "Keras fit, JAX": KerasOnJAX,
         "Keras fit, PyTorch": KerasOnTorch, "PyTorch": Torch, "PyTorch, channels last": TorchLast}
NEEDED = {"Keras fit, JAX": ("keras", "jax"), "Keras fit, PyTorch": ("keras", "torch"),
          "PyTorch": ("torch",), "PyTorch, channels last": ("torch",),
          "Keras fit, TensorFlow": ("keras", "tensorflow"), OURS: ("tensorflow",)}


# --- the benchmark -----------------------------------------------------------------------


def difference(a, b):
    """Return the norm of the difference of two lists over the norm of the second (float)."""
    import numpy as np

    return float(np.linalg.norm(np.subtract(a, b)) / np.linalg.norm(b))


def check(answers, precision):
    """
    Hold logits and gradients of all sides against those of ours.

    Parameters
    ----------
    answers : dict
        Side -> what `Side.agree` returned.
    precision : str

    Returns
    -------
    float
        The largest relative difference.

    Raises
    ------
    BenchmarkError
        When a side computes something else.
    """
    ours = next(iter(answers.values()))
    worst = 0.0
    for side, theirs in answers.items():
        apart = [difference(theirs["logits"], ours["logits"])]
        apart += [difference(theirs["some"][name], ours["some"][name]) for name in ours["some"]]
        apart += [abs(theirs["norms"][name] / ours["norms"][name] - 1) for name in ours["norms"]]
        if max(apart) > APART[precision]:
            raise common.BenchmarkError(
                f"{side} does not compute what {next(iter(answers))} does in {precision}: relative "
                f"difference {max(apart):.1e}")
        worst = max(worst, *apart)
    return worst


def environ_of(side):
    """Return the variables of a side's process (dict)."""
    backend = {"Keras fit, JAX": "jax", "Keras fit, PyTorch": "torch"}.get(side, "tensorflow")
    return {**common.one_thread_pool(common.cores()), "KERAS_BACKEND": backend}


def compare(sides, precisions, n, repeats, sizes, seconds):
    """
    Measure all sides in turns.

    Returns
    -------
    tuple
        Measurements (list), peaks by precision (dict), largest relative differences (dict).
    """
    workers, answers, apart = {}, {precision: {} for precision in precisions}, {}
    rates = {(side, precision): [] for precision in precisions for side in sides}
    peaks = {precision: {} for precision in precisions}
    failed = True
    try:
        for side in sides:
            for precision in precisions:
                worker = workers[side, precision] = Worker(
                    "benchmarks.training", side, environ_of(side))
                worker("start", precision=precision, n=n)
                answers[precision][side] = worker("agree")
                worker("epoch")
            common.say(f"training: {side} is compiled")
        for precision in precisions:
            apart[precision] = check(answers[precision], precision)
        for repeat in range(repeats):
            for (side, precision), worker in workers.items():
                rates[side, precision].append(worker("epoch"))
                found = worker("peak", precision=precision, sizes=sizes, seconds=seconds)
                for what, rate in found.items():
                    best = peaks[precision].setdefault(what, {"GFLOP/s": 0.0, "by": None})
                    if rate > best["GFLOP/s"]:
                        best.update({"GFLOP/s": rate, "by": side})
            common.say(f"training: {repeat + 1} of {repeats} rounds")
        failed = False
    finally:
        for worker in workers.values():
            if failed:
                worker.process.kill()
            worker.close()
    rows, work = [], flops_per_image()
    for (side, precision), values in rates.items():
        rows.append(common.measurement(precision, side, "images/s", values))
    for (side, precision), values in rates.items():
        peak = max(best["GFLOP/s"] for best in peaks[precision].values())
        rows.append(common.measurement(
            precision, side, "share of the peak", [v * work / 1e9 / peak for v in values]))
    return rows, peaks, apart


def main(arguments):
    """Run the benchmark; return the exit status."""
    parser = common.parser("training", __doc__)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--images", type=int, default=60 * BATCH,
                        help="in each timed epoch (default 7,680)")
    options = parser.parse_args(arguments)
    sides = [side for side in SIDES if side in options.sides]
    partial = len(sides) < len(SIDES)
    if OURS not in sides:
        raise common.BenchmarkError(f"without {OURS!r} there is nothing to compare with")
    common.destination("training", options, partial)
    common.need(*(name for side in sides for name in NEEDED[side]))
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    n, repeats, sizes, seconds = (
        (2 * BATCH, 1, TINY, 0.05) if options.smoke
        else (options.images, options.repeats, FULL, 0.25))
    result = {"benchmark": "training", "smoke": options.smoke, "ours": OURS, "sides": sides,
              "measures": {"images/s": {"unit": "1/s", "better": "high"},
                           "share of the peak": {}},
              "batch": BATCH, "images": n, "flops_per_image": flops_per_image()}
    with common.measured(result):
        rows, peaks, apart = compare(sides, PRECISIONS, n, repeats, sizes, seconds)
    result.update(measurements=rows, apart={k: common.rounded(v) for k, v in apart.items()},
                  peaks={precision: {what: {**best, "GFLOP/s": common.rounded(best["GFLOP/s"])}
                                     for what, best in found.items()}
                         for precision, found in peaks.items()})
    return common.finish(result, options, partial)
