"""Values and conditions that a chapter leaves in its outputs.

A chapter calls `record` beside each result; the book then quotes the value with
``{glue:text}`` instead of repeating it in prose.  The last code cell calls `conditions`,
which shows on which machine, data and versions the page was made.

What is emitted is what ``myst_nb.glue(name, value, display=False)`` emits, so a notebook
needs neither myst-nb nor Sphinx to run.  Nothing here imports TensorFlow, matplotlib or
IPython: they are looked at only where the chapter has imported them already.
"""

from __future__ import annotations

import html
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

MIME_PREFIX = "application/papermill.record/"

#: Set by `datasetslib.synthetic` as soon as a synthetic edition is made in this process.
synthetic_loaded = False

#: The training units that were restored instead of being run again: their seconds, the share of
#: the machine that other programs used meanwhile (None: unknown), the machine (`machine`) and the
#: times at which each of their epochs began and ended. Filled through `add_restored`.
restored_units: list[tuple[float, float | None, str, list]] = []

#: Other programs may use this share of the machine's CPU time before seconds are withheld.
QUIET_SHARE = 0.05

_recorded: dict[str, int | None] = {}


# --- recording ---------------------------------------------------------------------------


def record(name, value):
    """Emit a named value, so that the book can quote it.

    Parameters
    ----------
    name : str
        A Python identifier, recorded once per run of the notebook.
    value : object
        A number, string, boolean, None, or a list or dict of these.  NumPy scalars and
        arrays (and anything else with a ``tolist`` method) become Python numbers and lists.

    Raises
    ------
    TypeError
        If the value has no JSON form.
    ValueError
        If the name is not an identifier, is recorded twice, or if a number is not finite.

    Notes
    -----
    With the environment variable ``DATASETSLIB_RECORDS`` set, one JSON line with ``name``
    and ``value`` is appended to that file as well, and each name may be recorded only once
    in this process; the runner sets it for every run.  Without it, a person who edits a cell
    and runs it again replaces the value, and only a cell (its loops included) that records a
    name twice is refused.

    Examples
    --------
    >>> record("n_weights", 5 * 4)
    >>> record("n_weights", 21)
    Traceback (most recent call last):
        ...
    ValueError: record: 'n_weights' is recorded already; give each value a name of its own
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"record: the name must be a Python identifier, found {name!r}")
    value = _plain(value, name)
    shell = _shell()
    execution = None if shell is None else shell.execution_count
    records_file = os.environ.get("DATASETSLIB_RECORDS")
    if name in _recorded and (records_file or _recorded[name] == execution):
        raise ValueError(
            f"record: {name!r} is recorded already; give each value a name of its own"
        )
    _recorded[name] = execution
    as_json = json.dumps(value, allow_nan=False)
    if records_file:
        with open(records_file, "a", encoding="utf-8") as file:
            file.write(f'{{"name": {json.dumps(name)}, "value": {as_json}}}\n')
    if shell is not None:
        from IPython.display import publish_display_data

        publish_display_data(
            {
                # The role reads this as a Python literal: a bare "+0.5" would lose its plus.
                f"{MIME_PREFIX}text/plain": repr(value),
                # As text: the notebook format allows other JSON under "+json" types only.
                f"{MIME_PREFIX}application/json": as_json,
            },
            metadata={"scrapbook": {"name": name, "mime_prefix": MIME_PREFIX}},
        )


def recorded_values(notebook):
    """Return what `record` left in the outputs of a notebook.

    Parameters
    ----------
    notebook : dict
        A notebook in the nbformat 4 form (``json.load`` or ``nbformat.read`` both do).

    Returns
    -------
    dict
        The values by name, in the order of recording.

    Examples
    --------
    >>> output = {
    ...     "output_type": "display_data",
    ...     "data": {"application/papermill.record/application/json": "0.5"},
    ...     "metadata": {"scrapbook": {"name": "half"}},
    ... }
    >>> recorded_values({"cells": [{"cell_type": "code", "outputs": [output]}]})
    {'half': 0.5}
    """
    values = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            scrap = output.get("metadata", {}).get("scrapbook")
            text = output.get("data", {}).get(f"{MIME_PREFIX}application/json")
            if scrap is not None and text is not None:
                # On disk, a long text may be kept as a list of its lines.
                values[scrap["name"]] = json.loads("".join(text))
    return values


def _plain(value, name):
    """Return `value` in types that JSON knows, or raise."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {_plain_key(key, name): _plain(item, name) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, name) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise ValueError(f"record: {name!r} must be finite to be quoted, found {value!r}")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"record: {name!r} must be a number, a string, or a list or dict of these, found "
        f"{type(value).__name__}; convert it first, for example with float()"
    )


def _plain_key(key, name):
    if isinstance(key, str):
        return key
    raise TypeError(
        f"record: the keys of {name!r} must be strings, found {key!r} ({type(key).__name__})"
    )


def _shell():
    """Return the running IPython shell, or None (never importing IPython)."""
    if "IPython" not in sys.modules:
        return None
    return sys.modules["IPython"].get_ipython()


# --- how quiet the machine is ------------------------------------------------------------


def cpu_snapshot():
    """Return the CPU clocks to hand to `others_share` later.

    Returns
    -------
    tuple of float or None
        Seconds of wall clock, of CPU time used by the whole machine, and of CPU time used
        by this process and its finished children; None where psutil is not installed.
    """
    try:
        import psutil
    except ImportError:
        return None
    machine = psutil.cpu_times()
    # Absent on some systems: irq, softirq, steal.  Idle and waiting for the disk are not use.
    busy = sum(
        getattr(machine, field, 0.0)
        for field in ("user", "nice", "system", "irq", "softirq", "steal")
    )
    own = psutil.Process().cpu_times()
    return (
        time.monotonic(),
        busy,
        own.user + own.system + own.children_user + own.children_system,
    )


def others_share(before, after=None):
    """Return which share of the machine other programs used between two snapshots.

    Parameters
    ----------
    before : tuple or None
        What `cpu_snapshot` returned at the start.
    after : tuple, optional
        What it returned at the end; by default it is taken now.

    Returns
    -------
    float or None
        0 (alone on the machine) to 1; None where it is not known.

    Examples
    --------
    >>> cores = os.cpu_count()
    >>> others_share((0.0, 0.0, 0.0), (10.0, 6.0 * cores, 5.0 * cores))
    0.1
    """
    after = cpu_snapshot() if after is None else after
    if before is None or after is None:
        return None
    wall, busy, own = (end - start for start, end in zip(before, after, strict=True))
    # Some sandboxes report a machine that never works: there, nothing is known.
    if wall <= 0 or (own > 1 and busy < own / 2):
        return None
    return max(0.0, busy - own) / (wall * (os.cpu_count() or 1))


def add_restored(seconds, share, where, spans=()):
    """Count a training unit that came from a checkpoint into the chapter's seconds.

    Parameters
    ----------
    seconds : float
        What the unit took when it was run.
    share : float or None
        `others_share` of that run.
    where : str
        `machine` of that run.
    spans : list of tuple of float, optional
        When each of its epochs began and ended, in seconds since 1970.
    """
    share = None if share is None else float(share)
    restored_units.append((float(seconds), share, where, list(spans)))


def covered(spans):
    """Return for how many seconds at least one of the spans lasted.

    Parameters
    ----------
    spans : iterable of tuple of float
        Beginnings and ends.

    Returns
    -------
    float

    Examples
    --------
    >>> covered([(0.0, 10.0), (5.0, 12.0), (20.0, 21.0)])
    13.0
    """
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def machine():
    """Return the device that computes here, and with what: one line (str).

    Examples
    --------
    ``"AMD EPYC, Keras 3.15.1 with TensorFlow 2.21.0"``
    """
    keras = sys.modules.get("keras")
    if keras is None:
        return _device()
    name = keras.backend.backend()
    title = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}.get(name, name)
    version = getattr(sys.modules.get(name), "__version__", "")
    return f"{_device()}, Keras {keras.__version__} with {title} {version}".rstrip()


def _process_age():
    """Return the seconds since this process started (at the least: since this import)."""
    try:
        import psutil
    except ImportError:
        return time.monotonic() - _imported_at
    return time.time() - psutil.Process().create_time()


_imported_at = time.monotonic()
_at_import = cpu_snapshot()


# --- conditions --------------------------------------------------------------------------


def conditions(*datasets):
    """Show under which conditions this notebook ran, and record them.

    Parameters
    ----------
    *datasets : object
        The data sets the chapter used, loaded (their ``edition`` is reported).

    Notes
    -----
    Displays a small box (HTML, with a plain-text twin) and records ``conditions`` (a dict),
    ``seconds`` (float, or None where other programs used more than 5 % of the machine's
    CPU time, where that is not known, or where training runs came from another machine),
    ``minutes`` (the same as words) and ``gpu_minutes`` (words: for how long at least one of the
    training runs that came from a graphics card was going on there).

    Raises
    ------
    TypeError
        If an argument has no ``edition``.
    """
    editions = []
    for dataset in datasets:
        edition = getattr(dataset, "edition", None)
        if edition is None:
            raise TypeError(
                "conditions: expected loaded data sets with an edition, found "
                f"{type(dataset).__name__}"
            )
        editions.append(str(edition))
    found = _gather(editions)
    shell = _shell()
    if shell is not None:
        from IPython.display import publish_display_data

        publish_display_data({"text/html": _as_html(found), "text/plain": _as_text(found)})
    record("conditions", found)
    record("seconds", found["seconds"])
    record("minutes", _in_minutes(found["seconds"]))
    on_card = [s for where, s in found["elsewhere"].items() if where.startswith("NVIDIA")]
    spent = _in_minutes(sum(s["seconds"] for s in on_card) if on_card else None)
    record("gpu_minutes", f"{spent}, for the training runs" if on_card else spent)


def _gather(editions):
    here = machine()
    elsewhere = {}
    for _, _, where, spans in restored_units:
        if where != here:
            elsewhere.setdefault(where, []).append(spans)
    shares = [others_share(_at_import)]
    shares += [share for _, share, where, _ in restored_units if where == here]
    known = None not in shares
    quiet = max(shares) < QUIET_SHARE if known else None
    # Seconds of two machines do not add up to a time that any reader will see.
    seconds = None if elsewhere else _process_age() + sum(s for s, *_ in restored_units)
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": round(seconds, 1) if quiet and seconds is not None else None,
        "quiet": quiet,
        "others_share": round(max(shares), 3) if known else None,
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "restored_units": len(restored_units),
        "elsewhere": {
            where: {"runs": len(runs), "seconds": round(covered(s for r in runs for s in r), 1)}
            for where, runs in elsewhere.items()
        },
        "device": _device(),
        "threads": _threads(),
        "editions": editions,
        "synthetic": synthetic_loaded,
        "python": platform.python_version(),
        "system": platform.system(),
    }
    for name in ("numpy", "tensorflow", "keras", "matplotlib", "datasetslib"):
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = str(version)
    return found


def _in_minutes(seconds):
    """Return seconds as words for a sentence, in whole minutes.

    Examples
    --------
    >>> [_in_minutes(s) for s in (None, 20, 100)]
    ['not measured', 'under 1', '2']
    """
    if seconds is None:
        return "not measured"
    return "under 1" if seconds < 60 else str(round(seconds / 60))


def _device():
    keras = sys.modules.get("keras")
    if keras is not None and keras.backend.backend() == "jax":
        jax = sys.modules.get("jax")
        if jax is not None and jax.default_backend() == "gpu":
            return ", ".join(sorted({device.device_kind for device in jax.devices()}))
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        gpus = tensorflow.config.list_physical_devices("GPU")
        names = [
            tensorflow.config.experimental.get_device_details(gpu).get("device_name", "GPU")
            for gpu in gpus
        ]
        if names:
            return ", ".join(names)
    return _cpu_name()


def _cpu_name():
    """Return the processor's model name, by what each system offers."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, text = line.partition(":")
            if key.strip() == "model name":
                return text.strip()
    if platform.system() == "Darwin":
        answer = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True, text=True, check=False,
        )
        if answer.stdout.strip():
            return answer.stdout.strip()
    return platform.processor() or platform.machine()


def _threads():
    """Return how many threads one operation may use."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None:
        chosen = tensorflow.config.threading.get_intra_op_parallelism_threads()
        chosen = chosen or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0)
        if chosen:
            return chosen
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _rows(found):
    """Return the box as (heading, text) pairs."""
    if found["seconds"] is not None:
        spent = f"{found['seconds']:.0f} seconds, the machine otherwise quiet"
        if found["restored_units"]:
            spent += f"; includes {found['restored_units']} training runs of earlier sessions"
    elif found["elsewhere"]:
        spent = "not measured: training runs came from another machine or another version"
    elif found["quiet"] is None:
        spent = "withheld: how busy the machine was is not known"
    else:
        spent = (
            f"withheld: other programs used {100 * found['others_share']:.0f} % of the "
            "machine's CPU time"
        )
    load = found["load_average"]
    versions = [
        f"{title} {found[name]}"
        for name, title in (
            ("python", "Python"), ("numpy", "NumPy"), ("tensorflow", "TensorFlow"),
            ("keras", "Keras"), ("matplotlib", "matplotlib"), ("datasetslib", "datasetslib"),
        )
        if name in found
    ]
    return [
        ("Date", found["date"]),
        ("Device", f"{found['device']}, {found['threads']} threads, {found['system']}"),
        *(("Trained elsewhere",
           f"{of['runs']} runs in {_in_minutes(of['seconds'])} minutes, some side by side: {where}")
          for where, of in found["elsewhere"].items()),
        ("Data", "; ".join(found["editions"]) or "none needed"),
        ("Time", spent),
        ("Load average at the end", "not known" if load is None else f"{load:.2f}"),
        ("Versions", ", ".join(versions)),
    ]


def _as_text(found):
    rows = _rows(found)
    width = max(len(title) for title, _ in rows)
    return "\n".join(f"{title:<{width}}  {text}" for title, text in rows)


def _as_html(found):
    rows = "".join(
        f'<tr><th scope="row">{html.escape(title)}</th><td>{html.escape(text)}</td></tr>'
        for title, text in _rows(found)
    )
    return f'<div class="conditions"><table><tbody>{rows}</tbody></table></div>'
