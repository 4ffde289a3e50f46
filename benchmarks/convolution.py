"""
How the time of a convolution grows with the image and with the kernel.

    python -m benchmarks convolution

The convolutions that chapter 1 writes, taken from the chapter: ``correlate``, the two loops of ten
lines; ``conv2d_loops``, the same with padding, stride and channels; ``conv2d_vectorised``, all
places at once, which is ours in the comparison. Beside them ``scipy.signal.correlate2d`` (direct),
``scipy.signal.fftconvolve``, ``tf.nn.conv2d`` and PyTorch's ``conv2d``. One image with one
channel, one kernel, float32, VALID; all of them have to agree to a relative difference of 1e-4.

A first series lets the image grow under a kernel of 5 x 5, a second one the kernel on an image of
256 x 256. One point says little, since each library has its fixed cost of a call; so a line is
fitted to the logarithms of the larger half of the sizes: its slope p says that time grows like
size to the power p. The interval holds the slope with 95 % confidence if the points scatter about
a line.

Each library has a process of its own; the sides take turns. A call is repeated until a measurement
takes 20 ms, and a side leaves a series once one of its calls takes more than two seconds.
"""

import functools
import math
import os
import time

from benchmarks import common
from benchmarks.worker import Worker

OURS = "NumPy, vectorised"
IMAGES = (16, 32, 64, 128, 256, 512, 1024)
KERNELS = (3, 5, 9, 15, 25, 41, 63)
FIXED_KERNEL, FIXED_IMAGE = 5, 256
#: Seconds of one call after which a side leaves a series, and seconds of one measurement.
TOO_LONG, LONG_ENOUGH = 2.0, 0.02
CHAPTER = "01_convolution"


def pair(n, k):
    """Return an image of n x n and a kernel of k x k, the same for every side."""
    import numpy as np

    rng = np.random.default_rng([n, k])
    # Positive numbers: no sum is near zero, where a relative difference would mean nothing.
    return rng.random((n, n), dtype="float32"), rng.random((k, k), dtype="float32")


class Side:
    """One way to convolve; its subclass says how."""

    def prepare(self, x, kernel):
        """Return a function without arguments that convolves, and returns what `plain` reads."""
        raise NotImplementedError

    def plain(self, maps):
        """Return the feature map as an array of two axes."""
        return maps

    def measure(self, n, k, long_enough):
        """Return the seconds of one call, and a few numbers of its result."""
        import numpy as np

        call = self.prepare(*pair(n, k))
        start = time.perf_counter()
        maps = np.asarray(self.plain(call()), dtype="float64")
        first = time.perf_counter() - start
        count, seconds = 1, first
        if first < TOO_LONG / 2:
            while True:
                start = time.perf_counter()
                for _ in range(count):
                    call()
                seconds = (time.perf_counter() - start) / count
                if seconds * count >= long_enough:
                    break
                count = math.ceil(1.2 * long_enough / max(seconds, 1e-7))
        return {"seconds": seconds, "shape": list(maps.shape), "sum": float(maps.sum()),
                "some": [float(v) for v in maps.ravel()[:: max(1, maps.size // 97)]]}


class Loops(Side):
    """``correlate`` of chapter 1: two loops over one channel."""

    def prepare(self, x, kernel):
        """Return the call."""
        import numpy as np

        correlate = common.chapter_functions(CHAPTER, ["correlate"], {"np": np})["correlate"]
        return lambda: correlate(x, kernel)


class General(Side):
    """``conv2d_loops`` or ``conv2d_vectorised`` of chapter 1."""

    name = "conv2d_loops"

    def prepare(self, x, kernel):
        """Return the call, with axes for the channels."""
        import numpy as np
        from numpy.lib.stride_tricks import sliding_window_view

        given = {"np": np, "sliding_window_view": sliding_window_view}
        function = common.chapter_functions(
            CHAPTER, ["padding_of", "pad", self.name], given)[self.name]
        image, kernels, bias = x[..., None], kernel[..., None, None], np.zeros(1, "float32")
        return lambda: function(image, kernels, bias)

    def plain(self, maps):
        """Return the one map."""
        return maps[..., 0]


class Vectorised(General):
    """``conv2d_vectorised``."""

    name = "conv2d_vectorised"


class Direct(Side):
    """``scipy.signal.correlate2d``."""

    def prepare(self, x, kernel):
        """Return the call."""
        from scipy.signal import correlate2d

        return lambda: correlate2d(x, kernel, mode="valid")


class Fourier(Side):
    """``scipy.signal.fftconvolve``, the kernel turned around."""

    def prepare(self, x, kernel):
        """Return the call."""
        from scipy.signal import fftconvolve

        turned = kernel[::-1, ::-1].copy()
        return lambda: fftconvolve(x, turned, mode="valid")


class TensorFlow(Side):
    """``tf.nn.conv2d`` on tensors that are there already."""

    def prepare(self, x, kernel):
        """Return the call."""
        import tensorflow as tf

        image, kernels = tf.constant(x[None, ..., None]), tf.constant(kernel[..., None, None])
        return lambda: tf.nn.conv2d(image, kernels, 1, "VALID").numpy()

    def plain(self, maps):
        """Return the one map."""
        return maps[0, ..., 0]


class Torch(Side):
    """``torch.nn.functional.conv2d``."""

    def prepare(self, x, kernel):
        """Return the call."""
        import torch

        torch.set_num_threads(common.cores())
        image, kernels = torch.from_numpy(x)[None, None], torch.from_numpy(kernel)[None, None]

        def call():
            with torch.inference_mode():
                return torch.nn.functional.conv2d(image, kernels).numpy()
        return call

    def plain(self, maps):
        """Return the one map."""
        return maps[0, 0]


SIDES = {"NumPy, correlate": Loops, "NumPy, loops": General, OURS: Vectorised,
         "scipy.signal.correlate2d": Direct, "scipy.signal.fftconvolve": Fourier,
         "tf.nn.conv2d": TensorFlow, "torch conv2d": Torch}
NEEDED = {"scipy.signal.correlate2d": ("scipy",), "scipy.signal.fftconvolve": ("scipy",),
          "tf.nn.conv2d": ("tensorflow",), "torch conv2d": ("torch",)}


# --- the law -----------------------------------------------------------------------------


def slope(sizes, seconds):
    """
    Fit a line to the logarithms.

    Parameters
    ----------
    sizes, seconds : list of float
        Three points at least.

    Returns
    -------
    tuple of float
        The slope, and the two ends of its interval of 95 % by Student's distribution.

    Raises
    ------
    ValueError
        With fewer than three points, which leave no interval.

    Examples
    --------
    >>> p, low, high = slope([1, 2, 4, 8], [3.0, 12.0, 48.0, 192.0])
    >>> round(p, 6), round(high - low, 6)
    (2.0, 0.0)
    """
    if len(sizes) < 3:
        raise ValueError(f"slope: three points at least, found {len(sizes)}")
    x, y = [math.log(size) for size in sizes], [math.log(spent) for spent in seconds]
    n, middle, height = len(x), sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - middle) ** 2 for a in x)
    found = sum((a - middle) * (b - height) for a, b in zip(x, y, strict=True)) / spread
    rest = sum((b - height - found * (a - middle)) ** 2 for a, b in zip(x, y, strict=True))
    half = quantile_of_student(n - 2) * math.sqrt(rest / (n - 2) / spread)
    return found, found - half, found + half


@functools.lru_cache
def quantile_of_student(freedom):
    """
    Return the 97.5 % quantile of Student's distribution.

    Parameters
    ----------
    freedom : int
        Degrees of freedom.

    Notes
    -----
    The distribution function is summed up numerically and inverted by halving, so that no package
    is needed for one number.

    Examples
    --------
    >>> [round(quantile_of_student(n), 2) for n in (1, 2, 5, 30)]
    [12.71, 4.3, 2.57, 2.04]
    """
    scale = math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2) / math.sqrt(freedom * math.pi)

    def above_zero(t, pieces=2000):  # Simpson's rule from 0 to t
        step = t / pieces
        total = sum((1 if k in (0, pieces) else 4 if k % 2 else 2)
                    * (1 + (k * step) ** 2 / freedom) ** (-(freedom + 1) / 2)
                    for k in range(pieces + 1))
        return scale * total * step / 3

    low, high = 0.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if above_zero(middle) < 0.475 else (low, middle)
    return (low + high) / 2


def laws(rows, series):
    """
    Fit each side's slope to the larger half of the sizes that it has.

    Parameters
    ----------
    rows : list of dict
        Measurements of one series, ``size`` in each.
    series : str

    Returns
    -------
    list of dict
        Side, series, slope, its interval, and the sizes that were used.
    """
    from statistics import median

    found = []
    for side in dict.fromkeys(row["side"] for row in rows):
        points = [(row["size"], median(row["values"])) for row in rows if row["side"] == side]
        used = points[-max(3, math.ceil(len(points) / 2)):]
        if len(used) < 3:
            continue
        p, low, high = slope(*zip(*used, strict=True))
        found.append({"series": series, "side": side, "slope": common.rounded(p),
                      "low": common.rounded(low), "high": common.rounded(high),
                      "sizes": [size for size, _ in used]})
    return found


# --- the benchmark -----------------------------------------------------------------------


def agreed(answers, what):
    """
    Hold what all sides have computed against ours.

    Raises
    ------
    BenchmarkError
        Naming the side whose feature map is another one.
    """
    import numpy as np

    ours = answers[OURS]
    for side, theirs in answers.items():
        apart = max(np.linalg.norm(np.subtract(theirs["some"], ours["some"]))
                    / np.linalg.norm(ours["some"]), abs(theirs["sum"] / ours["sum"] - 1)
                    ) if theirs["shape"] == ours["shape"] else math.inf
        if apart > 1e-4:
            raise common.BenchmarkError(
                f"{side} does not compute the feature map that {OURS} does, for {what}: relative "
                f"difference {apart:.1e}")


def compare(sides, series, repeats, long_enough):
    """
    Measure all sides in turns.

    Parameters
    ----------
    sides : list of str
    series : dict
        ``"image"`` and ``"kernel"`` -> list of (size, n, k).
    repeats : int
    long_enough : float
        Seconds of one measurement.

    Returns
    -------
    list of dict
        Measurements with ``series`` and ``size``.
    """
    rows, workers, failed = [], {}, True
    environ = common.one_thread_pool(common.cores())
    try:
        for side in sides:
            workers[side] = Worker("benchmarks.convolution", side, environ)
        for name, points in series.items():
            left = list(sides)
            for size, n, k in points:
                values, answers = {side: [] for side in left}, {}
                for repeat in range(repeats):
                    for side in left:
                        found = workers[side]("measure", n=n, k=k, long_enough=long_enough)
                        values[side].append(found["seconds"])
                        if repeat == 0:
                            answers[side] = found
                agreed(answers, f"an image of {n} and a kernel of {k}")
                what = f"image {n}" if name == "image" else f"kernel {k}"
                rows += [{**common.measurement(what, side, "ms", [1000 * s for s in spent]),
                          "series": name, "size": size} for side, spent in values.items()]
                left = [side for side in left if side == OURS or max(values[side]) < TOO_LONG]
                common.say(f"convolution: {what}")
        failed = False
    finally:
        for worker in workers.values():
            if failed:
                worker.process.kill()
            worker.close()
    return rows


def main(arguments):
    """Run the benchmark; return the exit status."""
    parser = common.parser("convolution", __doc__)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    options = parser.parse_args(arguments)
    sides = [side for side in SIDES if side in options.sides]
    partial = len(sides) < len(SIDES)
    if OURS not in sides:
        raise common.BenchmarkError(f"without {OURS!r} there is nothing to compare with")
    common.destination("convolution", options, partial)
    common.need(*(name for side in sides for name in NEEDED.get(side, ())))
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    images, kernels, repeats, long_enough = (
        (IMAGES[:3], KERNELS[:3], 1, 0.0) if options.smoke
        else (IMAGES, KERNELS, options.repeats, LONG_ENOUGH))
    fixed = 32 if options.smoke else FIXED_IMAGE
    series = {"image": [(n, n, FIXED_KERNEL) for n in images],
              "kernel": [(k, fixed, k) for k in kernels]}
    result = {"benchmark": "convolution", "smoke": options.smoke, "ours": OURS, "sides": sides,
              "measures": {"ms": {"unit": "ms", "better": "low"}},
              "fixed": {"kernel": FIXED_KERNEL, "image": fixed}}
    with common.measured(result):
        rows = compare(sides, series, repeats, long_enough)
    result["measurements"] = rows
    result["laws"] = [law for name in series
                      for law in laws([row for row in rows if row["series"] == name], name)]
    status = common.finish(result, options, partial)
    for law in result["laws"]:
        print(f"{law['series']:<8}{law['side']:<26}size to the power {law['slope']:.2f} "
              f"({law['low']:.2f} to {law['high']:.2f})")
    return status
