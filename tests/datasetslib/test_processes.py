"""Work in other processes: what comes back, what is counted, and that nothing stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from datasetslib import processes, recording

ROOT = Path(__file__).resolve().parents[2]
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux adopts orphans")


def double(x):
    return 2 * x


def four_times(x):
    return double(double(x))


def fail(kind):
    import builtins

    print("before the error")
    raise getattr(builtins, kind)("on purpose\n" + "\n".join("x" * 40))


def leave_a_daemon(path):
    """Start a process in a session of its own, twice removed, and forget it."""
    import os
    import subprocess
    import sys
    import time

    code = f"import os, time; open({path!r}, 'w').write(str(os.getpid())); time.sleep(300)"
    middle = ("import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]], "
              "start_new_session=True)")
    subprocess.run([sys.executable, "-c", middle, code], check=True)
    while not (os.path.exists(path) and open(path).read()):
        time.sleep(0.01)
    return int(open(path).read())


def daemon_and_sleep(path):
    import time

    leave_a_daemon(path)
    time.sleep(300)


def busy(seconds):
    """Have an orphan compute, whose parent has ended, and wait for its end."""
    import os
    import subprocess
    import sys
    import time

    code = f"import time\nwhile time.process_time() < {seconds}: pass\nopen('done', 'w')"
    middle = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]])"
    subprocess.run([sys.executable, "-c", middle, code], check=True)
    while not os.path.exists("done"):
        time.sleep(0.02)


def nap():
    import time

    time.sleep(300)


def cores():
    import os

    return sorted(os.sched_getaffinity(0))


def policy():
    import os

    return os.sched_getscheduler(0)


def told():
    import os

    return [os.environ.get(name) for name in ("ADDED", "TAKEN", "DATASETSLIB_RECORDS")]


def gone(pid, within=5.0):
    """Return whether a process is gone within some seconds; one that nobody waits for is gone."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def read_pid(path, within=20.0):
    end = time.monotonic() + within
    while time.monotonic() < end:
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.02)
    raise AssertionError("the daemon never started")


def test_the_last_function_is_called_with_the_others_at_hand():
    job = processes.start(double, four_times, arguments={"x": [1]}, header="import json")
    assert job.result(30) == [1] * 4
    assert not job.running() and job.status == 0


def test_variables_are_added_and_taken_away_and_records_stay_the_notebooks(monkeypatch):
    monkeypatch.setenv("TAKEN", "1")
    monkeypatch.setenv("DATASETSLIB_RECORDS", "elsewhere")
    job = processes.start(told, environ={"ADDED": "2", "TAKEN": None})
    assert job.result(30) == ["2", None, None]


def test_an_error_is_told_with_its_name_and_its_first_words():
    job = processes.start(fail, arguments={"kind": "KeyError"})
    with pytest.raises(RuntimeError, match="fail ended with status 1") as caught:
        job.result(30)
    assert "KeyError" in str(caught.value)
    job = processes.start(fail, arguments={"kind": "OSError"})  # its text has forty lines
    with pytest.raises(RuntimeError, match="(?m)^    OSError: on purpose$"):
        job.result(30)


def a_set():
    return {1, 2}


def test_an_answer_that_json_does_not_know_is_an_error():
    with pytest.raises(RuntimeError, match="TypeError: Object of type set"):
        processes.start(a_set).result(30)


def test_what_takes_too_long_is_stopped():
    job = processes.start(nap)
    with pytest.raises(TimeoutError, match="nap: stopped after 0.5 s"):
        job.result(0.5)
    assert gone(job.pid)


@LINUX
def test_a_process_is_kept_on_one_core():
    ours = sorted(os.sched_getaffinity(0))
    for k in range(len(ours) + 1):
        assert processes.start(cores, core=k).result(30) == [ours[k % len(ours)]]


@LINUX
def test_a_process_on_one_core_is_a_batch_job():
    jobs = processes.start(policy, core=0), processes.start(policy)
    assert processes.gather(jobs, 30) == [os.SCHED_BATCH, os.SCHED_OTHER]


def test_when_one_fails_the_others_are_not_waited_for():
    jobs = [processes.start(nap), processes.start(fail, arguments={"kind": "OSError"})]
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="fail ended with status 1"):
        processes.gather(jobs, 60)
    assert time.monotonic() - start < 20 and all(gone(job.pid) for job in jobs)
    assert processes.gather([processes.start(double, arguments={"x": k}) for k in (1, 2)], 30) == [
        2, 4]


@LINUX
def test_a_daemon_of_finished_work_is_ended(tmp_path):
    pid = processes.start(leave_a_daemon, arguments={"path": str(tmp_path / "pid")}).result(30)
    assert gone(pid)


@LINUX
def test_a_daemon_of_stopped_work_is_ended(tmp_path):
    path = tmp_path / "pid"
    job = processes.start(leave_a_daemon, daemon_and_sleep, arguments={"path": str(path)})
    pid = read_pid(path)
    assert not gone(pid, within=0.2)
    job.stop()
    assert gone(pid) and gone(job.pid)


NOTEBOOK = """
import sys
sys.path[:0] = {places!r}
from datasetslib import processes
import test_processes as t
processes.start(t.leave_a_daemon, t.daemon_and_sleep, arguments={{"path": {path!r}}}).result()
"""


@LINUX
def test_nothing_outlives_a_notebook_that_is_killed(tmp_path):
    path = tmp_path / "pid"
    code = NOTEBOOK.format(places=[str(ROOT), str(Path(__file__).parent)], path=str(path))
    notebook = subprocess.Popen([sys.executable, "-c", code])
    pid = read_pid(path)
    family = psutil.Process(notebook.pid).children(recursive=True)
    folder = Path(family[0].cwd())
    assert (folder / "script.py").is_file()
    assert pid in [member.pid for member in family]  # so a runner that kills the family finds it
    notebook.send_signal(signal.SIGKILL)
    notebook.wait()
    assert gone(pid) and all(gone(member.pid) for member in family) and not folder.exists()


@LINUX
def test_the_time_of_an_orphan_counts_as_the_notebooks_own():
    before = recording.cpu_snapshot()
    processes.start(busy, arguments={"seconds": 0.6}).result(60)
    after = recording.cpu_snapshot()
    assert after[2] - before[2] >= 0.6


def test_the_port_is_free():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", processes.free_port()))


def test_a_python_that_lacks_a_module_is_refused_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.delenv(processes.VARIABLE, raising=False)
    assert processes.python_with("json") == sys.executable
    with pytest.raises(RuntimeError, match="this Python has no no_such: run `pip install no_such`"):
        processes.python_with("json", "no_such")
    monkeypatch.setenv(processes.VARIABLE, sys.executable)
    assert processes.python_with("json") == sys.executable
    with pytest.raises(RuntimeError, match="the Python of COURSE_MANY_PYTHON has no no_such"):
        processes.python_with("no_such")
    monkeypatch.setenv(processes.VARIABLE, str(tmp_path / "none"))
    with pytest.raises(RuntimeError, match="COURSE_MANY_PYTHON is .*none, which does not run"):
        processes.python_with("json")
