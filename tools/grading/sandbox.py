"""
Where a submission's code runs: bubblewrap, without a network and without sight of anything of ours.

``python -m tools.grading.sandbox`` prints whether there is a sandbox, and installs bubblewrap where
it can. With ``--required`` it is an error that there is none; so it is under the variable ``CI``.

Inside, the root is read-only and holds the system's ``/usr``, this Python with its packages, and
the box of one submission. The process has a namespace of processes of its own, no network, a
private temporary folder in memory, and no rights. From outside its memory and its processes are
watched; what goes beyond a limit is killed, and all that it started with it.
"""

import argparse
import contextlib
import functools
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path

import psutil

from tools.grading import driver, seccomp

ROOT = Path(__file__).resolve().parents[2]

#: What the sandbox is called by ``--isolation``.
ISOLATIONS = ("bubblewrap", "none")

#: Where the student's program runs, inside.
HOME = "/home/student"

#: Size of each of the two temporary folders, and of the largest file in them.
FOLDER_SIZE = 128 << 20

#: Processes that may live at once, and processes and threads together.
PROCESSES, TASKS = 32, 256

#: Largest answer to one case, and all that one process may send, in bytes.
ANSWER, TOTAL = 64 << 20, 1 << 30

#: Seconds between two looks at the memory, and for the sandbox to start on a busy machine; and for
#: what has been killed to be gone.
LOOK, START, GONE = 0.05, 60, 10

MISSING = (
    "NO SANDBOX: grading runs the students' code in bubblewrap, and there is none that works here "
    "({why}). On Debian and Ubuntu: apt-get install bubblewrap. In a container it needs the right "
    "to make namespaces (docker run --security-opt seccomp=unconfined --security-opt "
    "apparmor=unconfined); on Ubuntu 24.04, outside one: sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0. To run the code without any protection, in a "
    "machine that holds nothing of value: --isolation none"
)


class SandboxError(Exception):
    """The sandbox cannot be had or did not start; no submission is at fault."""


class EndedError(Exception):
    """
    The program in the sandbox ended, or had to be ended.

    Attributes
    ----------
    kind : str
        ``"slow"``, ``"memory"``, ``"processes"``, ``"large"``, ``"forged"``, ``"crash"`` or
        ``"exit"``.
    detail : str
        The number of the signal or the exit code, in words.
    """

    def __init__(self, kind, detail=""):
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail


def _as_root():
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _python_places():
    """Return the folders that this Python and its packages are in."""
    real = Path(os.path.realpath(sys.executable)).parent.parent
    base = Path(sys.base_prefix)
    places = {Path(sys.prefix), base, base.resolve(), real}
    return sorted(place for place in places if not place.is_relative_to("/usr"))


def _folders(places):
    """Return the arguments that make the folders above some places, open to all."""
    # Left to itself bubblewrap makes them so that only root may pass.
    parents = {parent for place in places for parent in place.parents}
    return [argument for parent in sorted(parents)
            if parent not in (Path("/"), Path("/tmp")) and not parent.is_relative_to("/usr")
            for argument in ("--perms", "0755", "--dir", str(parent))]


def _mounts():
    """Return bubblewrap's arguments that make the file system of the sandbox."""
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        place = Path("/", name)
        if place.is_symlink():
            arguments += ["--symlink", os.readlink(place), str(place)]
        elif place.is_dir():
            arguments += ["--ro-bind", str(place), str(place)]
    arguments += _folders([Path("/etc/any"), Path(HOME)])
    for name in ("ld.so.cache", "alternatives", "localtime", "fonts"):
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    # Before the Python, which may lie below one of them.
    for place in ("/dev/shm", "/tmp", HOME):
        arguments += ["--perms", "1777", "--size", str(FOLDER_SIZE), "--tmpfs", place]
    places = _python_places()
    arguments += _folders(places)
    outside = [place for place in places if not place.is_relative_to(ROOT)]
    for place in outside:
        arguments += ["--ro-bind", str(place), str(place)]
    # A Python that our own folder lies in must not bring the masters and their tests along; and
    # below the temporary folder, what has to be made for our own Python must not be open to all.
    within = any(ROOT.is_relative_to(place) for place in [
        Path("/usr"), Path("/tmp"), Path("/dev/shm"), *outside])
    if within:
        arguments += ["--perms", "0755", "--tmpfs", str(ROOT)]
    for place in places:
        if place.is_relative_to(ROOT) and place != ROOT:
            arguments += ["--ro-bind", str(place), str(place)]
    if within:
        arguments += ["--remount-ro", str(ROOT)]
    # The kernel's settings lie in /proc, and a root without rights may still write them.
    return [*arguments, "--remount-ro", "/proc", "--remount-ro", "/dev"]


def _namespaces(rootly):
    """Return bubblewrap's arguments that take rights away."""
    arguments = ["--die-with-parent", "--new-session", "--unshare-pid", "--unshare-net",
                 "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox"]
    if rootly:
        # The kernel does not count the processes of root, whatever they are called inside. So the
        # mounts are made as root, and the driver becomes a user of its own before anything runs.
        return [*arguments, "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add",
                "CAP_SETGID"]
    return [*arguments, "--cap-drop", "ALL", "--unshare-user", "--uid", "1000", "--gid", "1000"]


@contextlib.contextmanager
def _command(program, rootly, box):
    """Give the command line of a sandbox with a box in it, and the files it has to find open."""
    with tempfile.TemporaryFile() as rules:
        rules.write(seccomp.program())
        rules.flush()
        rules.seek(0)
        number = rules.fileno()
        filtered = ["--seccomp", str(number)] if seccomp.program() else []
        yield [program, *_namespaces(rootly), *_mounts(), "--ro-bind", str(box), "/box", *filtered,
               "--chdir", HOME, "--remount-ro", "/", "--"], (number,)


#: Some user who is nobody else here, where the grader is root; each sandbox takes one near it.
_OTHER = 40000

#: Whether the packages can be read, by that user too.
_PROBE = """
import os, sys
user = int(sys.argv[1])
if user:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
import numpy
"""


@functools.lru_cache
def find():
    """
    Find a bubblewrap that works here.

    Returns
    -------
    program : str or None
        Its path.
    rootly : bool
        Whether it is to be run with the rights of root, which it then gives up.
    why : str
        Why there is none.
    """
    program = shutil.which("bwrap", path=os.environ.get("PATH", os.defpath))
    if program is None:
        return None, False, "it is not installed"
    why = ""
    for rootly in ((True, False) if _as_root() else (False,)):
        with Box(None, {}) as box:
            with _command(program, rootly, box) as (command, opened):
                command += [sys.executable, "-I", "-c", _PROBE, str(_OTHER if rootly else 0)]
                try:
                    answer = subprocess.run(
                        command, capture_output=True, text=True, timeout=START, pass_fds=opened,
                        env=_environment(HOME, 1), check=False)
                except (OSError, subprocess.TimeoutExpired) as error:
                    why = str(error)
                    continue
        if answer.returncode == 0:
            return program, rootly, ""
        why = (answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"])[-1]
    return None, False, why


def install():
    """
    Install bubblewrap, as root or on a machine of CI, and return whether it works then.

    Returns
    -------
    bool
    """
    if not shutil.which("apt-get"):
        return False
    prefix = [] if _as_root() else ["sudo", "-n"]
    if prefix and not (os.environ.get("CI") and shutil.which("sudo")):
        return False
    get = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o",
           "Acquire::Retries=3"]
    commands = []
    if shutil.which("bwrap") is None:
        commands += [[*get, "update"],
                     [*get, "install", "--no-install-recommends", "bubblewrap"]]
    # Ubuntu 24.04 lets no ordinary program make a namespace of users.
    guard = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    if prefix and guard.is_file() and guard.read_text().strip() == "1":
        commands.append([*prefix, "sysctl", "-q", "-w",
                         "kernel.apparmor_restrict_unprivileged_userns=0"])
    for command in commands:
        print("$", *command, file=sys.stderr, flush=True)
        try:
            subprocess.run(command, stdout=sys.stderr, timeout=600, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(error, file=sys.stderr)
    find.cache_clear()
    return find()[0] is not None


def ensure():
    """
    Find bubblewrap, or install it.

    Returns
    -------
    str
        Its path.

    Raises
    ------
    SandboxError
        When there is none that works, and none can be had.
    """
    if find()[0] is None and not install():
        raise SandboxError(MISSING.format(why=find()[2]))
    return find()[0]


def check(isolation):
    """
    Refuse to go on without the sandbox that is asked for.

    Parameters
    ----------
    isolation : str
        ``"bubblewrap"`` or ``"none"``.

    Raises
    ------
    SandboxError
        When it is neither, or bubblewrap does not work here.
    """
    if isolation not in ISOLATIONS:
        raise SandboxError(f"isolation {isolation!r}: it is one of {', '.join(ISOLATIONS)}")
    if isolation == "bubblewrap" and find()[0] is None:
        raise SandboxError(MISSING.format(why=find()[2]))


def _environment(home, threads):
    """Return the variables of the program in the sandbox: nothing of ours, and few threads."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    number = str(threads)
    return {
        **kept, "PATH": "/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8", "TMPDIR": "/tmp",
        "USER": "student", "MPLBACKEND": "agg", "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow", "OMP_NUM_THREADS": number,
        "OPENBLAS_NUM_THREADS": number, "MKL_NUM_THREADS": number,
        "TF_NUM_INTRAOP_THREADS": number, "TF_NUM_INTEROP_THREADS": number,
    }


#: The boxes and the processes that have not been closed.
_OPEN = weakref.WeakSet()


class Box:
    """
    A folder with all that one submission needs in the sandbox.

    Parameters
    ----------
    harness : pathlib.Path or None
        The harness, copied where it exists.
    files : dict
        Places below the folder the program runs in, and what to copy there.
    """

    def __init__(self, harness, files):
        self._folder = tempfile.TemporaryDirectory(prefix=f"grading-{os.getpid()}-")
        _OPEN.add(self)
        # The folder around it stays closed to others; this one has to be open to another user.
        self.path = Path(self._folder.name, "box")
        (self.path / "files").mkdir(parents=True)
        shutil.copyfile(driver.__file__, self.path / "driver.py")
        if harness is not None and harness.is_file():
            shutil.copyfile(harness, self.path / "harness.py")
        for place, source in files.items():
            target = self.path / "files" / place
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(source, bytes):
                target.write_bytes(source)
            else:
                shutil.copyfile(source, target)
        for folder, _, names in os.walk(self.path):
            os.chmod(folder, 0o755)
            for name in names:
                os.chmod(os.path.join(folder, name), 0o644)

    def __enter__(self):
        """Return the folder."""
        return self.path

    def __exit__(self, *_):
        """Remove it."""
        self.close()

    def close(self):
        """Remove the folder."""
        self._folder.cleanup()


def abandon():
    """End all that runs in sandboxes, and remove their boxes: the grader is about to end."""
    for one in sorted(_OPEN, key=lambda one: isinstance(one, Box)):
        with contextlib.suppress(Exception):  # the thread that uses it may be closing it, too
            one.close()


def sweep():
    """Remove the boxes of graders that were killed."""
    for folder in Path(tempfile.gettempdir()).glob("grading-*-*"):
        number = folder.name.split("-")[1]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _children(pid):
    """Return the processes that a process has started."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    found = []
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
        except OSError:
            pass
    return found


_QUICK = Path("/proc/self/task", str(os.getpid()), "children").exists()


def tree(pid):
    """
    Return a process and all that it started, directly or not.

    Parameters
    ----------
    pid : int

    Returns
    -------
    list of int
    """
    if not _QUICK:
        try:
            return [pid, *(p.pid for p in psutil.Process(pid).children(recursive=True))]
        except psutil.Error:
            return [pid]
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += _children(one)
    return found


def memory(pid):
    """
    Return the memory of one process that is not a file's, in bytes; 0 when it is gone.

    Parameters
    ----------
    pid : int

    Returns
    -------
    int
    """
    try:
        if sys.platform != "linux":
            return psutil.Process(pid).memory_info().rss
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = file.read().splitlines()
    except (OSError, psutil.Error):
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines
               if line.startswith((b"RssAnon:", b"RssShmem:")))


class Process:
    """
    One process in the sandbox, with a driver in it that answers.

    Parameters
    ----------
    box : pathlib.Path
        What `Box` gives.
    isolation : str
        ``"bubblewrap"`` or ``"none"``.
    limit : int
        Memory of the process and all that it starts, in bytes.
    answer : int
        Largest answer, in bytes.
    threads : int
        Threads for its arithmetic.

    Raises
    ------
    SandboxError
        When it does not start.
    """

    def __init__(self, box, isolation, limit, answer=ANSWER, threads=1):
        check(isolation)
        self._limit, self._answer = limit, answer
        self._buffer, self._pending, self._total = bytearray(), b"", 0
        self._looked, self.peak, self._number = 0.0, 0, 0
        uid = 0
        resources = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": FOLDER_SIZE, "RLIMIT_NOFILE": 512,
                     # One request beyond it gets a MemoryError, and the program may go on. A GiB
                     # more than the limit, because the stacks of idle threads count here.
                     "RLIMIT_DATA": limit + (1 << 30)}
        self._home, self._first = None, []
        if isolation == "bubblewrap":
            program, rootly, _ = find()
            resources["RLIMIT_NPROC"] = TASKS
            uid = _OTHER + secrets.randbelow(20000) if rootly else 0
            settings = {"uid": uid, "resources": resources, "answer": answer,
                        "files": "/box/files", "orphan": False}
            sealed, home = _command(program, rootly, box), HOME
        else:
            self._home = tempfile.TemporaryDirectory(prefix=f"grading-{os.getpid()}-")
            home = self._home.name
            settings = {"uid": 0, "resources": resources, "answer": answer,
                        "files": str(box / "files"), "orphan": True}
            sealed = contextlib.nullcontext(([], ()))
        place = "/box" if isolation == "bubblewrap" else str(box)
        python = [sys.executable, "-I", "-B", f"{place}/driver.py", json.dumps(settings)]
        with tempfile.TemporaryFile() as errors, sealed as (command, opened):
            self._process = subprocess.Popen(
                [*command, *python], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                bufsize=0, env=_environment(home, threads), cwd=self._home and home,
                start_new_session=True, pass_fds=opened)
            _OPEN.add(self)
            for pipe in (self._process.stdin, self._process.stdout):
                os.set_blocking(pipe.fileno(), False)
            _sacrifice(self._process.pid)
            try:
                head, _ = self.receive(START)
                if head != {"ready": True}:
                    raise EndedError("forged")
                if self._home is None:
                    self._first = psutil.Process(self._process.pid).children()
            except EndedError as error:
                errors.seek(0)
                last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
                raise SandboxError(
                    f"the sandbox did not start ({error.kind} {error.detail}): {''.join(last)}"
                ) from None

    def send(self, head, blobs=()):
        """
        Send a request; it travels while the answer is waited for.

        Parameters
        ----------
        head : dict
        blobs : list of bytes
        """
        self._number += 1
        self._pending += driver.message({**head, "number": self._number}, blobs)

    def receive(self, seconds):
        """
        Return the next answer.

        Parameters
        ----------
        seconds : float
            How long to wait for it.

        Returns
        -------
        head, blobs : dict, list of memoryview

        Raises
        ------
        EndedError
            When there is none; the process has been killed then, and all that it started.
        """
        end = time.monotonic() + seconds
        try:
            head, data = driver.lengths(self._read(driver.PREFIX, end))
            if head > driver.HEAD:
                raise EndedError("forged")
            if data > self._answer + (1 << 20):
                raise EndedError("large")
            text = self._read(head, end)
            head, blobs = driver.parts(text, self._read(data, end))
            if head.pop("number", None) != self._number:
                raise EndedError("forged")
            return head, blobs
        except driver.MessageError:
            self.close()
            raise EndedError("forged") from None
        except EndedError:
            self.close()
            raise

    def _read(self, size, end):
        while len(self._buffer) < size:
            self._step(end)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _step(self, end):
        """Move some bytes, look at the memory, and end what has gone beyond a limit."""
        inward, outward = self._process.stdin, self._process.stdout
        ready, writable, _ = select.select([outward], [inward] if self._pending else [], [], LOOK)
        if writable:
            try:
                self._pending = self._pending[os.write(inward.fileno(), self._pending[:1 << 16]):]
            except BlockingIOError:
                pass
            except BrokenPipeError:
                self._pending = b""
        if ready:
            data = os.read(outward.fileno(), 1 << 20)
            if not data:
                raise EndedError(*self._why())
            self._buffer += data
            self._total += len(data)
            if self._total > TOTAL:
                raise EndedError("large")
        # It may have written its last words since we looked for them.
        elif self._process.poll() is not None and not select.select([outward], [], [], 0)[0]:
            raise EndedError(*self._why())
        now = time.monotonic()
        if now >= end:
            raise EndedError("slow")
        if now - self._looked >= LOOK:
            self._looked = now
            pids = tree(self._process.pid)
            used = sum(map(memory, pids))
            self.peak = max(self.peak, used)
            if len(pids) > PROCESSES:
                raise EndedError("processes")
            if used > self._limit:
                raise EndedError("memory")

    def _why(self):
        """Say how the process ended."""
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "exit", "it closed its connection"
        number = -code if code < 0 else code - 128
        if 0 < number < 65:
            try:
                return "crash", signal.Signals(number).name
            except ValueError:
                pass
        return "exit", f"exit code {code}"

    def close(self):
        """Kill the process and all that it started, and wait until they are gone."""
        if self._process.returncode is None or self._home is not None:
            # In a namespace of processes all others die with the first. Without one, those that a
            # program starts meanwhile have to be looked for again.
            for _ in range(20 if self._home is not None else 1):
                pids = tree(self._process.pid)
                for pid in reversed(pids):
                    _kill(pid)
                if len(pids) == 1:
                    break
            if self._home is not None:
                _kill(self._process.pid, group=True)
            self._process.wait()
        # The first process of a namespace is the last to end, but we are not its parent: on a busy
        # machine, what a program has started would be there for a moment after the grading.
        end = time.monotonic() + GONE
        while not all(map(_gone, self._first)) and time.monotonic() < end:
            time.sleep(0.002)
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()
        if self._home is not None:
            self._home.cleanup()
            self._home = None

    def __enter__(self):
        """Return the process itself."""
        return self

    def __exit__(self, *_):
        """Kill it."""
        self.close()


def _gone(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _kill(pid, group=False):
    try:
        (os.killpg if group else os.kill)(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _sacrifice(pid):
    """Let the system end this process first, where memory runs short in spite of all."""
    try:
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
    except OSError:
        pass


def main():
    """Print whether there is a sandbox; install bubblewrap first where it is missing."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--required", action="store_true", help="fail where there is none")
    options = parser.parse_args()
    try:
        print(f"Sandbox: {ensure()}")
    except SandboxError as error:
        line = "!" * 78
        print(f"{line}\n{error}\n{line}", file=sys.stderr)
        if options.required or os.environ.get("CI"):
            sys.exit(1)


if __name__ == "__main__":
    main()
