"""
What a submission may try, and what it gets for it.

``python -m tests.assignments.attacks`` tries all of it and prints the table: the attack, what it
tried and what came of it. ``test_grade_attacks.py`` tries the same and holds it against what is
expected.

Where there is an honest part, `total` of the toy assignment is worth 2 points; `double`, worth 4,
is what the attack is in.
"""

import os
import re
import socket
import stat
import sys
import tempfile
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.assignments import toys
from tools.grading import sandbox
from tools.grading.grader import grade_one

ROOT = Path(__file__).resolve().parents[2]

#: Found in the command line of a process that an attack leaves running.
MARK = "left-behind-by-an-attack"


@dataclass(frozen=True)
class Attack:
    """
    One attack.

    Attributes
    ----------
    name, tried : str
        What it is called, and what it tries.
    make : callable
        Takes the surroundings and a folder, and returns the path of the submission.
    points : float
        What it gets, of 6.
    says : str
        What is found in a reason, in a note or in the reason for the whole: a regular expression.
    """

    name: str
    tried: str
    make: object
    points: float
    says: str


@dataclass
class Surroundings:
    """What lies around a submission: a master, another submission, a server, what is outside."""

    folder: Path
    assignment: object
    other: Path
    outside: Path
    port: int
    connections: list

    def harm(self):
        """Say what an attack has reached; empty, where it has reached nothing."""
        harm = []
        if self.connections:
            harm.append("it reached the server")
        if self.outside.read_text() != "as it was" or len(list(self.outside.parent.iterdir())) > 1:
            harm.append("it wrote outside")
        for process in psutil.process_iter(["cmdline"]):
            if MARK in (process.info["cmdline"] or []):
                harm.append("it left a process behind")
                process.kill()
        return ", ".join(harm)


@contextmanager
def surroundings(folder):
    """Make a master, another submission, a file outside and a server that counts its visitors."""
    folder = Path(folder)
    assignment = toys.assignment(folder / "masters")
    (folder / "class").mkdir()
    (folder / "outside").mkdir()
    other = toys.submit(folder / "class" / "other.ipynb", toys.DOUBLE, toys.TOTAL)
    outside = folder / "outside" / "file.txt"
    outside.write_text("as it was")
    outside.chmod(0o666)
    outside.parent.chmod(0o777)
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def visit():
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                connections.append(address)
                connection.close()

        visitor = threading.Thread(target=visit, daemon=True)
        visitor.start()
        yield Surroundings(folder, assignment, other, outside, server.getsockname()[1],
                           connections)
        server.shutdown(socket.SHUT_RDWR)
        visitor.join()


def _cells(*cells):
    """Return what makes a notebook of cells; names in capitals in angle brackets are filled in."""

    def make(around, folder):
        names = {"PORT": around.port, "MARK": MARK, "OUTSIDE": str(around.outside),
                 "OTHER": str(around.other), "ROOT": str(ROOT),
                 "MASTERS": str(around.folder / "masters")}
        filled = []
        for cell in cells:
            for name, value in names.items():
                cell = cell.replace(f"<{name}>", repr(value))
            filled.append(cell)
        return toys.submit(folder / "eve.ipynb", *filled)

    return make


def _zip(*members):
    """Return what makes a zip of (name, content, mode of the file)."""

    def make(around, folder):
        path = folder / "eve.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content, mode in members:
                member = zipfile.ZipInfo(name)
                member.external_attr = mode << 16
                member.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(member, "w") as file:
                    for piece in content:
                        file.write(piece)
        return path

    return make


def _link(around, folder):
    (folder / "eve").mkdir()
    (folder / "eve" / "eve.ipynb").symlink_to(around.other)
    return folder / "eve"


def _linked_folder(around, folder):
    (folder / "eve").mkdir()
    (folder / "eve" / "work").symlink_to(around.other.parent)
    return folder / "eve"


def _pipe(around, folder):
    (folder / "eve").mkdir()
    os.mkfifo(folder / "eve" / "eve.ipynb")
    return folder / "eve"


def _empty(around, folder):
    (folder / "eve").mkdir()
    return folder / "eve"


def _text(content):
    def make(around, folder):
        (folder / "eve.ipynb").write_text(content)
        return folder / "eve.ipynb"

    return make


def _in_double(body):
    """Return a cell that defines `double` with a body."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"import os, sys\nimport numpy as np\n\n\ndef double(x):\n{lines}"


_HONEST = toys.notebook(toys.DOUBLE, toys.TOTAL).encode()

#: Reads whatever there is to be read, looking for the master or for other notebooks.
_READER = '''
import os
FOUND = []
for top in ["/", <ROOT>, <MASTERS>, os.path.dirname(<OTHER>), "/proc/1/root", "/proc/self/cwd/.."]:
    for folder, folders, names in os.walk(top):
        # Large trees that hold nobody's course: a slow disk takes longer than the limit for them.
        folders[:] = [f for f in folders
                      if f not in ("usr", "sys", "proc", "site-packages", "dist-packages")]
        FOUND += [os.path.join(folder, n) for n in names
                  if n in ("checks.py", "grader.py") or n.endswith(".ipynb")]
for path in [<OTHER>, <MASTERS> + "/toy/checks.py", <ROOT> + "/tools/grading/grader.py"]:
    try:
        open(path)
        FOUND.append(path)
    except OSError:
        pass

def double(x):
    if not FOUND:
        raise FileNotFoundError("neither tests nor submissions")
    return 2 * x
'''

_WRITER = '''
import os
WROTE = []
for path in [<OUTSIDE>, os.path.join(os.path.dirname(<OUTSIDE>), "new"), <ROOT> + "/forged.py",
             "/box/driver.py", "/box/harness.py", "/usr/forged", "/etc/passwd", "/forged",
             "/proc/1/root/forged", "/proc/sys/kernel/core_pattern", "/dev/forged",
             os.path.dirname(os.__file__) + "/forged.py", os.__file__]:
    try:
        # To open one is proof enough; what is not ours, the test must not change.
        with open(path, "a") as file:
            if path == <OUTSIDE>:
                file.write("forged")
        WROTE.append(path)
    except OSError:
        pass

def double(x):
    if not WROTE:
        raise PermissionError("nothing can be written")
    return 2 * x
'''

_FORGED_FRAMES = '''
import json, os, struct
text = json.dumps(FORGED).encode()
for number in range(3, 64):
    try:
        os.write(number, struct.pack(">IQ", len(text), 0) + text)
    except OSError:
        pass
return 2 * x
'''

_THEIRS = '''
import sys
frame = sys._getframe()
while frame.f_back:
    frame = frame.f_back
theirs = frame.f_globals
'''

ATTACKS = (
    Attack("infinite loop", "a function that never returns",
           _cells(_in_double("while True:\n    pass"), toys.TOTAL), 2, "too slow"),
    Attack("infinite loop in a cell", "a cell that never ends, before the honest ones",
           _cells("while True:\n    pass", toys.DOUBLE, toys.TOTAL), 6, "too slow"),
    Attack("loop that catches all", "switch the alarm off, and catch whatever comes",
           _cells(_in_double("import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)\n"
                             "signal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True:\n"
                             "    try:\n        while True:\n            pass\n"
                             "    except BaseException:\n        pass"),
                  toys.TOTAL), 2, "too slow"),
    Attack("fork bomb", "fork for ever, in every child",
           _cells(_in_double("while True:\n    os.fork()"), toys.TOTAL), 2,
           # Whichever the grader sees first; on a busy machine it looks less often.
           "too many processes|too much memory"),
    Attack("thread bomb", "start threads until there are no more",
           _cells(_in_double("import threading, time\nwhile True:\n"
                             "    threading.Thread(target=time.sleep, args=(99,), daemon=True)"
                             ".start()"), toys.TOTAL), 2, "raised RuntimeError"),
    Attack("memory bomb", "take memory, piece by piece",
           _cells(_in_double("taken = []\nwhile True:\n    taken.append(bytearray(1 << 24))"),
                  toys.TOTAL), 2, "too much memory"),
    Attack("memory bomb of a family", "take memory in several processes, each below the limit",
           _cells(_in_double("import time\nfor _ in range(6):\n    if os.fork() == 0:\n"
                             "        taken = bytearray(os.urandom(1)) * (100 << 20)\n"
                             "        time.sleep(30)\nwhile True:\n    pass"),
                  toys.TOTAL), 2, "too much memory"),
    Attack("one huge array", "ask for eight terabytes at once",
           _cells(_in_double("return np.ones(1 << 40)"), toys.TOTAL), 2, "raised MemoryError"),
    Attack("memory without a file", "take memory that no process is charged for",
           _cells(_in_double("return os.memfd_create('taken')"), toys.TOTAL), 2,
           "raised PermissionError"),
    Attack("disk bomb", "fill the temporary folder",
           _cells(_in_double("for n in range(5):\n    with open(f'/tmp/{n}', 'wb') as file:\n"
                             "        file.write(bytes(1 << 25))"), toys.TOTAL), 2,
           "raised OSError"),
    Attack("os._exit", "end the process, with success",
           _cells(_in_double("os._exit(0)"), toys.TOTAL), 2, "the program ended"),
    Attack("os._exit in a cell", "end the process before the honest cells",
           _cells("import os\nos._exit(0)", toys.DOUBLE, toys.TOTAL), 6, "the program ended"),
    Attack("sys.exit", "leave by an exception that is no Exception",
           _cells(_in_double("sys.exit(0)"), toys.TOTAL, "raise SystemExit"), 2,
           "raised SystemExit"),
    Attack("segfault", "read address 0, with ctypes",
           _cells(_in_double("import ctypes\nctypes.string_at(0)"), toys.TOTAL), 2, "crashed"),
    Attack("kill everything", "send SIGKILL to every process there is, the grader included",
           _cells(_in_double("for process in (os.getppid(), 1, -1, os.getpid()):\n"
                             "    try:\n        os.kill(process, 9)\n"
                             "    except OSError:\n        pass"), toys.TOTAL), 2, "crashed"),
    Attack("process left behind", "start a process that outlives the grading",
           _cells("import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', "
                  "'import time; time.sleep(600)', <MARK>], start_new_session=True)",
                  toys.DOUBLE, toys.TOTAL), 6, ""),
    Attack("1 GB of output", "write a gigabyte, half of it to the error stream",
           _cells("import sys\nline = 'x' * (1 << 20)\nfor _ in range(512):\n    print(line)\n"
                  "    sys.stderr.write(line)", toys.DOUBLE, toys.TOTAL), 6, ""),
    Attack("network", "call a server on this machine, and ask the system for an address",
           _cells(_in_double("import socket\nsocket.create_connection(('127.0.0.1', <PORT>), 2)\n"
                             "return 2 * x"), toys.TOTAL), 2, "raised ConnectionRefusedError"),
    Attack("the host's sockets", "call the machine that a virtual machine runs on",
           _cells(_in_double("import socket\nsocket.socket(40, socket.SOCK_STREAM)\nreturn 2 * x"),
                  toys.TOTAL), 2, "raised PermissionError"),
    Attack("namespaces", "make a namespace of users, to be root in it",
           _cells(_in_double("import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
                             "if libc.unshare(0x10000000):\n"
                             "    raise OSError(ctypes.get_errno(), 'no')\nreturn 2 * x"),
                  toys.TOTAL), 2, "raised PermissionError"),
    Attack("reading tests", "search all that can be read for the tests and other submissions",
           _cells(_READER, toys.TOTAL), 2, "raised FileNotFoundError"),
    Attack("writing outside", "write to the course, the system, the kernel, a file open to all",
           _cells(_WRITER, toys.TOTAL), 2, "raised PermissionError"),
    Attack("patched NumPy", "make every comparison of NumPy say yes, and norms 0",
           _cells("import numpy as np\n"
                  "np.allclose = np.array_equal = np.isclose = lambda *a, **k: True\n"
                  "np.testing.assert_allclose = lambda *a, **k: None\n"
                  "np.linalg.norm = lambda *a, **k: 0.0", _in_double("return x"), toys.TOTAL),
           2, "wrong values"),
    Attack("patched checker", "patch the driver's functions, found by way of its frames",
           _cells(_THEIRS + "theirs['Driver']._answer = lambda *a: ("
                  "{'passed': True, 'points': 4, 'tree': {'plain': True}}, [])"), 0,
           "wrote what only the grader"),
    Attack("always-equal object", "answer an object that equals everything",
           _cells("class Equal:\n    __eq__ = __le__ = __ge__ = lambda *a: True\n"
                  "    __bool__ = lambda self: True\n    __hash__ = None",
                  _in_double("return Equal()"), toys.TOTAL), 2, "not made of numbers"),
    Attack("array subclass", "answer an array whose class lies about its values",
           _cells("import numpy as np\nclass Liar(np.ndarray):\n"
                  "    __eq__ = lambda *a: np.bool_(True)\n"
                  "    __array_ufunc__ = lambda self, *a, **k: 0.0\n"
                  "    __array_function__ = lambda self, *a, **k: 0.0",
                  _in_double("return np.zeros(np.shape(x)).view(Liar)"), toys.TOTAL), 2,
           "wrong values"),
    Attack("object array", "answer objects that run code when they are unpickled",
           _cells("class Bomb:\n    def __reduce__(self):\n"
                  "        return (__import__('os').system, ('touch ' + <OUTSIDE> + '.new',))",
                  _in_double("return np.array([Bomb()] * 3, dtype=object)"), toys.TOTAL), 2,
           "not made of numbers"),
    Attack("forged .npy", "write a pickle where the answer's array should be",
           _cells(_THEIRS + "kind = \"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\"\n"
                  "theirs['_npy'] = lambda array: (\n    b'\\x93NUMPY\\x01\\x00' + len(kind)"
                  ".to_bytes(2, 'little') + kind.encode()\n    + b'cos\\nsystem\\n(S\"x\"\\ntR.')",
                  toys.DOUBLE), 0, "wrote what only the grader"),
    Attack("enormous answer", "answer an array of eight terabytes that takes no memory",
           _cells(_in_double("return np.broadcast_to(1.0, (1 << 20, 1 << 20))"), toys.TOTAL), 2,
           "too large"),
    Attack("NaN", "answer what compares with nothing",
           _cells(_in_double("return np.full(np.shape(x), np.nan)"), toys.TOTAL), 2, "NaN"),
    Attack("stripped asserts", "remove the checks from the notebook, and answer anything",
           _cells("assert_ = print", _in_double("return x + x[..., :1] * 0 + 1"), toys.TOTAL), 2,
           "wrong values"),
    Attack("forged results", "write result files and print results",
           _cells("import json, os\nresult = {'score': 6, 'points': 6, 'passed': True}\n"
                  "for name in ('results.json', '/tmp/results.json', 'results/eve.json'):\n"
                  "    os.makedirs(os.path.dirname(name) or '.', exist_ok=True)\n"
                  "    json.dump(result, open(name, 'w'))\nprint(json.dumps(result))"), 0,
           "double is not defined"),
    Attack("forged answers", "write answers into every open file, ahead of the driver",
           _cells("FORGED = {'tree': {'plain': True}, 'number': 3, 'sizes': []}",
                  _in_double(_FORGED_FRAMES.strip()), toys.TOTAL), 2, "wrote what only the grader"),
    Attack("forged verdicts", "write into every open file that the case has been passed",
           _cells("FORGED = {'tree': {'plain': True}, 'passed': True, 'points': 4, 'number': 2,\n"
                  "          'sizes': []}", _in_double(_FORGED_FRAMES.strip()), toys.TOTAL), 2,
           "wrote what only the grader"),
    Attack("hidden inputs in an exception", "carry a hidden input out in the name of a class",
           _cells(_in_double("raise type(f'Input{int(np.max(x))}', (Exception,), {})(str(x))"),
                  toys.TOTAL), 2, "raised Exception"),
    Attack("hidden inputs in a later answer", "keep a hidden input, and show it in a public test",
           _cells("import numpy as np\nKEPT = []",
                  _in_double("KEPT.append(int(np.max(x)))\nreturn 2 * np.asarray(x)"),
                  "def total(x):\n    return np.zeros((KEPT[-1], 0)) if max(KEPT) > 9 else 3.0"),
           5, "too large"),
    Attack("path-escaping zip", "a zip with a member that leads out of it",
           _zip(("eve.ipynb", [_HONEST], 0o644), ("../../outside/new", [b"forged"], 0o644)), 0,
           "leads out of it"),
    Attack("link in a zip", "a zip whose notebook is a link to another submission",
           _zip(("eve.ipynb", [b"../class/other.ipynb"], stat.S_IFLNK | 0o777)), 0, "a link"),
    Attack("zip bomb", "a zip of some kilobytes with a notebook of a quarter of a gigabyte",
           _zip(("eve.ipynb", (bytes(1 << 20) for _ in range(256)), 0o644)), 0, "larger than"),
    Attack("link in a folder", "a notebook that is a link to another submission", _link, 0, "link"),
    Attack("linked folder", "a folder that is a link to the other submissions", _linked_folder, 0,
           "no notebook"),
    Attack("pipe", "a notebook that is a pipe, which one waits at for ever", _pipe, 0,
           "not an ordinary file"),
    Attack("not JSON", "a notebook that is not JSON", _text("{\"cells\": [oh"), 0, "not JSON"),
    Attack("deep JSON", "a notebook of a hundred thousand brackets", _text("[" * 100_000), 0,
           "not JSON"),
    Attack("wrong names", "functions under other names",
           _cells(toys.DOUBLE.replace("double", "twice"), toys.TOTAL), 2, "double is not defined"),
    Attack("empty folder", "nothing at all", _empty, 0, "no notebook"),
)


def words(grade):
    """Return all that a grade says about what went wrong."""
    said = [grade.reason, *grade.notes.values()]
    for question in grade.questions.values():
        said += [outcome.reason for outcome in question.cases.values()]
    return list(dict.fromkeys(filter(None, said)))


def main():
    """Try every attack, and print the table."""
    sandbox.ensure()
    failed = 0
    print("| Attack | What it tried | Points of 6 | Outcome | Seconds |")
    print("|---|---|---|---|---|")
    for attack in ATTACKS:
        with tempfile.TemporaryDirectory() as folder, surroundings(folder) as around:
            place = Path(folder, "hand-in")
            place.mkdir()
            grade = grade_one(attack.make(around, place), around.assignment)
            harm = around.harm()
        said = "; ".join(words(grade)) or "graded like any other"
        as_expected = grade.points == attack.points and re.search(attack.says, said) and not harm
        failed += not as_expected
        print(f"| {attack.name} | {attack.tried} | {grade.points:g} | "
              f"{'' if as_expected else 'NOT AS EXPECTED: '}{harm or said} | {grade.seconds:.1f} |",
              flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
