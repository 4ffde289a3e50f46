"""
Grade a class: ``python -m tools.grade FOLDER --assignment NAME``.

Each file and each folder in FOLDER is one submission: a notebook, or a zip or a folder that holds
one notebook and the files that the assignment asks for. NAME is a folder of ``assignments/``, or
the path of a private variant's folder.

What is written, into the folder of ``--out``:

``grades.csv``
    For the teacher: student, points for each question, total, and why a submission was not run.
``feedback/STUDENT.md``
    For the student: points, what the public tests say in full, and of the hidden ones how they
    failed, in a few fixed words.
``gradescope/STUDENT.json``
    A score for each question, in the form that Gradescope reads.
``leaderboard.csv``
    Where the assignment has one: the best first, under the names that students chose for it. Who
    is behind a name stands in ``results/``. A name is personal data all the same: ask before it
    is shown to others.
``results/STUDENT.json``
    For the teacher alone: every case. A run that is repeated reads these, and grades only what is
    missing, or what the student or the teacher has changed since.

A class that is too large for one machine is graded in shards. Each is the same command with
``--shard i/n`` and an ``--out`` of its own (or one that all machines see); afterwards one command
with ``--merge OUT1 OUT2 ...`` checks that nobody is missing, and writes the tables. A shard that
was killed is run again: it goes on where it stopped.

The students' code runs in bubblewrap. Where there is none the command refuses; ``--isolation none``
runs the code all the same, with every right of the account it runs under.

Exit codes: 0, all were graded; 1, some could not be run, or could not be graded (each is named with
its reason); 2, the command could not do its work.
"""

import argparse
import os
import sys
from pathlib import Path

from tools.grading import classroom, definition, grader, sandbox


def _shard(text):
    """Read ``i/n``."""
    try:
        number, of = map(int, text.split("/"))
    except ValueError:
        number, of = 0, 0
    if not 1 <= number <= of:
        raise argparse.ArgumentTypeError(f"{text!r} is not i/n with i from 1 to n, such as 2/8")
    return number, of


def _jobs(text):
    """Read a number of jobs."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def _assignment(name):
    """Load an assignment by its name, or by the path of its folder."""
    path = Path(name)
    if len(path.parts) > 1:
        return definition.load(path.resolve().name, path.resolve().parent)
    return definition.load(name)


def _parser():
    about, _, rest = __doc__.strip().partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m tools.grade", description=about, epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the submissions")
    parser.add_argument("--assignment", required=True, metavar="NAME",
                        help="a folder of assignments/, or the path of one elsewhere")
    parser.add_argument("--out", type=Path, metavar="FOLDER",
                        help="where to write; otherwise beside the submissions, FOLDER-graded")
    parser.add_argument("--jobs", type=_jobs, default=grader.cores(), metavar="N",
                        help="how many to grade at a time (here: %(default)s)")
    parser.add_argument("--shard", type=_shard, default=(1, 1), metavar="i/n",
                        help="grade every n-th submission, from the i-th; writes results/ alone")
    parser.add_argument("--merge", type=Path, nargs="+", metavar="OUT",
                        help="grade nothing: gather the results of shards, and write the tables")
    parser.add_argument("--isolation", choices=sandbox.ISOLATIONS, default="bubblewrap",
                        help="'none' runs the students' code without protection")
    return parser


def main(arguments=None):
    """
    Grade a class, or merge shards.

    Parameters
    ----------
    arguments : list of str, optional
        Instead of those of the command line.

    Returns
    -------
    int
        The exit code.
    """
    options = _parser().parse_args(arguments)
    folder = options.folder
    out = options.out or folder.resolve().parent / f"{folder.resolve().name}-graded"
    try:
        assignment = _assignment(options.assignment)
        if options.merge:
            summary = classroom.merge(folder, assignment, options.merge, out)
        else:
            definition.ready(assignment)
            if options.isolation == "none":
                print("WITHOUT A SANDBOX: the students' code can read and change whatever this "
                      "account can.", file=sys.stderr)
            progress = classroom.Progress()
            try:
                summary = classroom.grade(folder, assignment, out, jobs=options.jobs,
                                          shard=options.shard, isolation=options.isolation,
                                          progress=progress)
            finally:
                progress.close()
        if options.shard == (1, 1) and not summary.failures:
            classroom.report(folder, assignment, summary.results, out)
    except (classroom.ClassroomError, definition.DefinitionError, sandbox.SandboxError,
            OSError) as error:
        print(f"tools.grade: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tools.grade: interrupted; run the same command again to go on", file=sys.stderr)
        sys.stderr.flush()
        os._exit(130)  # the threads that were grading would hold up another way out
    return _told(assignment, summary, options, out)


def _told(assignment, summary, options, out):
    """Print what was done, and return the exit code."""
    number, of = options.shard
    shard = f", shard {number}/{of}" if of > 1 else ""
    print(f"{assignment.name}{shard}: {len(summary.results)} submissions graded, "
          f"{summary.graded} of them now ({summary.seconds:.1f} s), {summary.kept} before")
    for student, reason in sorted(summary.not_run.items()):
        print(f"  not run: {classroom.printable(student)}: {classroom.printable(reason)}")
    for student, reason in sorted(summary.failures.items()):
        print(f"  NOT GRADED: {classroom.printable(student)}: {classroom.printable(reason)}")
    if summary.failures:
        print("No table was written. Run the same command again for those that were not graded.")
    elif of == 1:
        print(f"Grades: {out / 'grades.csv'}")
    else:
        print(f"When all {of} shards are done: --merge {out} ...")
    return 1 if summary.failures or summary.not_run else 0


if __name__ == "__main__":
    sys.exit(main())
