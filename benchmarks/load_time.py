"""Compare how long `datasetslib` and `keras.datasets` take to load the same bytes.

    python benchmarks/load_time.py [RESULT.json]

One command, both sides in one run. MNIST and CIFAR-10 are taken from wherever `datasetslib`
finds them (set ``DATASETSLIB_HOME`` to name a folder). For Keras the very same images and
labels are packed again, into a temporary ``KERAS_HOME``, the way Keras expects to find them:
``mnist.npz``, and an archive of the python version of CIFAR-10. Their digests cannot be the
official ones, so the digest that Keras computes is compared with itself: Keras spends the time
on hashing that it always spends.

Each side runs in a process of its own that has imported its library before the clock starts.
The two take turns, so a busy moment of the machine falls on both. *Cold* is the first load from
files that lie on the disk: no parsed cache, no unpacked archive. *Warm* is every later load.
Because datasetslib maps its files into memory and reads them when they are used, *warm, read*
adds the time to sum up every pixel and label, on both sides.

Also measured: the peak memory of load and ``scaleX()`` against the float32 arrays they return,
and what ``import datasetslib`` costs and pulls in. The exit status is 1 if a bound is missed.
Runs on Linux and macOS and takes about two minutes, most of them Keras's.
"""

import argparse
import json
import os
import pickle
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from datetime import date
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SETS = ("mnist", "cifar10")
BOUNDS = {
    "mnist, warm seconds": ("at most", 0.1),
    "cifar10, warm seconds": ("at most", 0.3),
    "cifar10, warm, keras / datasetslib": ("at least", 10),
    "import seconds": ("at most", 0.3),
    "peak memory / float32 arrays": ("at most", 1.2),
}

# The two workers answer a line of JSON on standard input with one on standard output.
WORKER = """
import contextlib, gc, hashlib, json, sys, time
import numpy as np

def timed(load):
    gc.collect()
    with contextlib.redirect_stdout(sys.stderr):
        start = time.perf_counter()
        arrays = load()
        seconds = time.perf_counter() - start
    total = [int(array.sum(dtype=np.int64)) for array in arrays]
    return arrays, {"seconds": seconds, "read": time.perf_counter() - start, "sums": total}

def digest(arrays):
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()

for line in sys.stdin:
    request = json.loads(line)
    arrays, answer = timed(lambda: load(request["name"]))
    if request["digest"]:
        answer["digest"] = digest(pixels(request["name"], arrays))
    del arrays
    print(json.dumps(answer), flush=True)
"""

OURS = """
from datasetslib.cifar import cifar10
from datasetslib.mnist import mnist
KINDS = {"mnist": mnist, "cifar10": cifar10}

def load(name):
    dataset = KINDS[name]()
    dataset.x_layout = "NHWC"
    dataset.load_data()
    return [dataset.X_valid, dataset.X_train, dataset.X_test,
            dataset.Y_valid, dataset.Y_train, dataset.Y_test]

def pixels(name, arrays):
    return [array.astype(np.uint8) for array in arrays]
"""

KERAS = """
import keras
from keras.src.utils import file_utils

def validate(path, file_hash, algorithm="auto", chunk_size=65535):
    file_utils.hash_file(path, file_utils.resolve_hasher(algorithm, file_hash), chunk_size)
    return True

file_utils.validate_file = validate

def load(name):
    (x, y), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    return [x, x_test, y, y_test]

def pixels(name, arrays):
    return arrays
"""

IMPORT = """
import sys, time
start = time.perf_counter()
import datasetslib
seconds = time.perf_counter() - start
import datasetslib.cifar, datasetslib.imutil, datasetslib.mnist
print(seconds, *[name for name in ("tensorflow", "keras", "matplotlib") if name in sys.modules])
"""

MEMORY = """
import json, resource, sys
from datasetslib.cifar import cifar10

def peak():
    # Not ru_maxrss on Linux: a process inherits that number from the one that started it.
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = peak()
dataset = cifar10()
dataset.x_layout = "NHWC"
dataset.load_data()
dataset.scaleX()
returned = sum(x.nbytes for x in (dataset.X_train, dataset.X_valid, dataset.X_test))
print(json.dumps({"before": before, "peak": peak(), "returned": returned}))
"""


class Worker:
    """One side: a process that loads a data set whenever it is told to."""

    def __init__(self, code, environment):
        source = WORKER.replace("import numpy as np\n", "import numpy as np\n" + code, 1)
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment,
        )

    def load(self, name, digest=False):
        """Load `name` once; return what the worker measured."""
        self.process.stdin.write(json.dumps({"name": name, "digest": digest}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError(f"loading {name} failed:\n{self.errors.read()[-2000:]}")
        return json.loads(line)

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()


def pack_for_keras(folder):
    """Write both data sets the way Keras keeps them; return their edition lines."""
    from datasetslib import store

    folder.mkdir(parents=True)
    editions = []
    arrays, edition = store.load("mnist")
    editions.append(str(edition))
    np.savez_compressed(folder / "mnist.npz", **arrays)
    arrays, edition = store.load("cifar10")
    editions.append(str(edition))
    x = np.concatenate([arrays["x_train"], arrays["x_test"]]).reshape(6, 10_000, 3072)
    y = np.concatenate([arrays["y_train"], arrays["y_test"]]).reshape(6, 10_000)
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    archive = folder / "cifar-10-batches-py-target_archive"
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for name, rows, labels in zip(names, x, y, strict=True):
            # Keras refuses what older and newer protocols of Python 3 write.
            content = pickle.dumps({b"data": rows, b"labels": labels.tolist()}, protocol=3)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    return editions


def compare(scratch, environment, n_cold, n_warm):
    """Time both sides in turns; return {set: {side: {"cold" | "warm" | "read": [seconds]}}}."""
    sides = {"datasetslib": Worker(OURS, environment), "keras": Worker(KERAS, environment)}
    unpacked = {
        "datasetslib": [scratch / "cache"],
        "keras": [scratch / "keras" / "datasets" / "cifar-10-batches-py-target"],
    }
    times = {name: {side: {"cold": [], "warm": [], "read": []} for side in sides} for name in SETS}
    for name in SETS:
        for _ in range(n_cold):
            for side, worker in sides.items():
                for folder in unpacked[side]:
                    shutil.rmtree(folder, ignore_errors=True)
                times[name][side]["cold"].append(worker.load(name)["seconds"])
        digests = {worker.load(name, digest=True)["digest"] for worker in sides.values()}
        if len(digests) != 1:
            raise RuntimeError(f"the two sides did not load the same {name}: {digests}")
        for _ in range(n_warm):
            for side, worker in sides.items():
                answer = worker.load(name)
                times[name][side]["warm"].append(answer["seconds"])
                times[name][side]["read"].append(answer["read"])
    for worker in sides.values():
        worker.close()
    return times


def run(code, environment):
    """Run Python code in a process of its own; return the last line it prints."""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()[-1]


def main():
    """Measure, print the table, write the JSON, and judge the bounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", nargs="?", help="file that gets the measurements as JSON")
    parser.add_argument("--cold", type=int, default=3, help="cold loads of each (default 3)")
    parser.add_argument("--warm", type=int, default=7, help="warm loads of each (default 7)")
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="load-time-") as name:
        scratch = Path(name)
        os.environ["DATASETSLIB_CACHE"] = str(scratch / "cache")
        environment = os.environ | {
            "KERAS_HOME": str(scratch / "keras"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        sys.path.insert(0, str(ROOT))
        editions = pack_for_keras(scratch / "keras" / "datasets")
        times = compare(scratch, environment, arguments.cold, arguments.warm)
        memory = json.loads(run(MEMORY, environment))
        imports = [run(IMPORT, environment).split() for _ in range(arguments.warm)]

    median = statistics.median
    measured = {
        "mnist, warm seconds": median(times["mnist"]["datasetslib"]["warm"]),
        "cifar10, warm seconds": median(times["cifar10"]["datasetslib"]["warm"]),
        "cifar10, warm, keras / datasetslib": median(times["cifar10"]["keras"]["warm"])
        / median(times["cifar10"]["datasetslib"]["warm"]),
        "import seconds": median(float(seconds) for seconds, *_ in imports),
        "peak memory / float32 arrays": memory["peak"] / memory["returned"],
    }
    heavy = sorted({name for _, *names in imports for name in names})
    missed = [
        what
        for what, (sense, bound) in BOUNDS.items()
        if (measured[what] < bound if sense == "at least" else measured[what] > bound)
    ] + [f"import pulls in {name}" for name in heavy]

    print(*editions, sep="\n")
    print(f"\n{'median seconds (min to max)':<28} {'datasetslib':>20} {'keras.datasets':>28} ratio")
    for name in SETS:
        for what, label in (("cold", "cold"), ("warm", "warm"), ("read", "warm, read")):
            cells, medians = [], []
            for side in ("datasetslib", "keras"):
                values = times[name][side][what]
                medians.append(median(values))
                cells.append(f"{medians[-1]:.4f} ({min(values):.4f} to {max(values):.4f})")
            ratio = medians[1] / medians[0]
            print(f"{name + ', ' + label:<20} {cells[0]:>28} {cells[1]:>28} {ratio:7.1f}")
    print()
    for what, (sense, bound) in BOUNDS.items():
        verdict = "  MISSED" * (what in missed)
        print(f"{what:<36} {measured[what]:>10.4f}   ({sense} {bound}){verdict}")
    print("tensorflow, keras and matplotlib, pulled in by importing datasetslib and its data sets:")
    print(f"  {', '.join(heavy) or 'none of them'}")
    result = {
        "date": date.today().isoformat(),
        "editions": editions,
        "seconds": times,
        "measured": measured,
        "bounds": BOUNDS,
        "missed": missed,
        "memory_bytes": memory,
        "heavy_imports": heavy,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": version("keras"),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load_average": [load_before, os.getloadavg()[0]],
    }
    print(f"load average of the machine: {load_before:.1f} before, {os.getloadavg()[0]:.1f} after")
    if arguments.result:
        Path(arguments.result).write_text(json.dumps(result, indent=1) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
