"""`lesson grade`: right submissions get all points, wrong ones lose some, hostile ones get none and harm nobody."""

from __future__ import annotations

import copy
import csv
import json
import os
import re
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyresnet
from hostile import HOSTILE, Hostile
from tinyresnet.cli import main
from tinyresnet.course import cuts
from tinyresnet.course.exercises import EXERCISES, compare, transfer_exercises
from tinyresnet.course.grade import Answer, BadResult, Crashed, Limits, Student, TimedOut, Unwritten, sandbox
from tinyresnet.course.grade import score as score_module
from tinyresnet.course.grade.inside import wire
from tinyresnet.course.grade.numbers import typed
from tinyresnet.course.grade.score import Paper, Score
from tinyresnet.course.grade.submissions import submissions
from tinyresnet.errors import InputError

KNOWN = {one.name: one for one in EXERCISES} | transfer_exercises(needed=False)
ALL = {name: one for name, one in KNOWN.items() if one.source.suffix == ".py"}
QUICK = Limits(seconds=1.5, seconds_in_all=20)
OPEN = sandbox.Wall(False, "for this test")
WALLED = sandbox.find().isolated
needs_wall = pytest.mark.skipif(not WALLED, reason=f"nothing isolates submissions here: {sandbox.find().why}")
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
MINE = 2**31 - 10_000 * (1 + WORKER)  # user numbers of this test's processes; another worker's have others


# Hostile submissions


def children() -> set[int]:
    """All living processes below this one, and those of the users that it started students as."""
    parents, owners = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                parents[int(folder.name)], owners[int(folder.name)] = int(fields[1]), folder.stat().st_uid
        except OSError:
            continue
    below = {os.getpid()}
    while more := {one for one, parent in parents.items() if parent in below} - below:
        below |= more
    return below | {one for one, owner in owners.items() if MINE <= owner < MINE + 10_000}


def grade_all(folder: Path, cases: list[Hostile], *, trust: bool) -> dict[str, Score]:
    """Grade the cases two at a time, and see that nothing of them is left."""
    paper = Paper(KNOWN["relu"], 3)
    secrets = {
        "SOLUTION": repr(str(KNOWN["relu"].source)),
        "LIBRARY": repr(str(Path(tinyresnet.__file__).parent / "layers" / "relu.py")),
        "PACKAGES": repr(str(Path(tinyresnet.__file__).parents[1])),
        "JUDGE": str(os.getpid()),
    }
    before = children()

    def graded(case: Hostile) -> tuple[str, Score]:
        path = folder / f"{case.name.replace(' ', '_').replace('/', '_')}.py"
        path.write_text(re.sub("|".join(secrets), lambda found: secrets[found[0]], case.code))
        return case.name, paper.grade(path, trust=trust, limits=QUICK)

    with ThreadPoolExecutor(2) as pool:
        found = dict(pool.map(graded, cases))
    if sys.platform == "linux":
        end = time.monotonic() + 5  # a killed process is seen for a moment after its pipes are closed
        while not (left := children()) <= before and time.monotonic() < end:
            time.sleep(0.05)
        assert left <= before
    return found


@pytest.fixture(scope="module")
def walled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Score]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "USERS", iter(range(MINE, MINE + 10_000)))
        return grade_all(tmp_path_factory.mktemp("walled"), list(HOSTILE), trust=False)


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Score]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "find", lambda: OPEN)
        patch.setattr(sandbox, "USERS", iter(range(MINE, MINE + 10_000)))
        cases = [case for case in HOSTILE if not case.wall]
        return grade_all(tmp_path_factory.mktemp("trusted"), cases[::3], trust=True)


def check(case: Hostile, score: Score) -> None:
    forward, backward = score.parts
    assert re.search(case.said, backward.said), backward.said
    assert (forward.points, backward.points) == (case.forward, case.points)
    assert backward.said.replace("\n", "").isprintable()


@needs_wall
@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
def test_a_hostile_submission_gets_what_it_earns(case, walled):
    check(case, walled[case.name])


@pytest.mark.skipif(sys.platform != "linux", reason="limits of other systems were not tried")
def test_hostile_submissions_harm_nobody_without_a_wall(trusted):
    for case in HOSTILE:
        if case.name in trusted:
            check(case, trusted[case.name])


@needs_wall
def test_the_hostile_set_is_large():
    assert len(HOSTILE) >= 60
    assert len({case.name for case in HOSTILE}) == len(HOSTILE)


# The outer wall alone: a program without the inner one


def behind_the_wall(code: str, *, user: int = 2**30) -> str:
    command = [*sandbox.bubblewrap(), str(sandbox.PYTHON), "-I", "-S", "-B", "-c"]
    users = f"({user}, {user}, {user})"
    drop = f"import os\nif os.getuid() == 0:\n os.setgroups([]); os.setresgid{users}; os.setresuid{users}\n"
    done = subprocess.run([*command, drop + code], capture_output=True, text=True, check=False, timeout=20)
    return done.stdout + done.stderr


HIDDEN = (
    "/etc/passwd",
    "/root",
    "/home",
    "/proc",
    "/sys",
    "/tmp",
    "/dev",
    "/var",
    "/bin/sh",
    __file__,
    tinyresnet.__file__,
)


@needs_wall
def test_the_wall_hides_files():
    code = f"""
import os
for path in {HIDDEN!r}:
    if os.path.isfile(path) or os.access(path, os.R_OK) and os.path.isdir(path):
        print(path, os.listdir(path) if os.path.isdir(path) else '')
print('done')
"""
    ways = {part for path in (sandbox.PYTHON, sandbox.PACKAGES, sandbox.CHILD) for part in path.parts}
    found = [line.partition(" ") for line in behind_the_wall(code).splitlines()]
    assert found.pop()[0] == "done"
    for path, _, listed in found:  # folders on the way to what is shown, and nothing else in them
        assert listed, path
        assert set(re.findall(r"'(.*?)'", listed)) <= ways, path


@needs_wall
def test_the_wall_has_no_place_to_write():
    code = """
import os
for folder, names, _ in os.walk('/'):
    try: os.mkdir(folder + '/new'); print('made', folder)
    except OSError: pass
print('done')
"""
    assert behind_the_wall(code) == "done\n"


@needs_wall
def test_the_wall_shows_the_standard_library_and_no_other_package():
    code = """
import os
for folder, names, _ in os.walk('/'):
    if folder.endswith(('site-packages', 'dist-packages')): print(sorted(names + [n for n in os.listdir(folder)]))
import json, ctypes, sqlite3
print('done')
"""
    shown = behind_the_wall(code)
    assert shown.endswith("done\n")
    assert set(re.findall(r"'([\w.-]+)'", shown)) <= {"numpy", "numpy.libs", "tinyresnet"}


@needs_wall
def test_the_wall_cuts_the_network_and_hides_processes():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"""
import os, socket
for family, address in ((socket.AF_INET, ('127.0.0.1', {port})), (socket.AF_INET, ('1.1.1.1', 80))):
    try: socket.socket(family).connect(address); print('connected')
    except OSError: pass
try: os.kill({os.getpid()}, 0); print('seen')
except OSError: pass
try: os.setuid(0); print('root')
except OSError: pass
print('done', os.environ.get('HOME'))
"""
        shown = behind_the_wall(code)
    assert shown.splitlines()[-1].startswith("done")
    assert not {"connected", "seen", "root"} & set(shown.split())


# What comes back, taken apart


def read_from(data: bytes) -> Any:
    import io

    return wire.unpack(io.BytesIO(data).read, 1 << 20)


def test_values_come_through_unchanged(rng):
    value = (
        rng.standard_normal((2, 0, 3)),
        [1, 2.5, None, True, "a"],
        {"a": (np.float32(2), np.arange(3)[::-1])},
        float("inf"),
    )
    header, found = read_from(wire.pack({"id": 1}, value))
    assert header["id"] == 1
    assert (found[0].shape, found[1], found[3]) == ((2, 0, 3), [1, 2.5, None, True, "a"], float("inf"))
    assert found[2]["a"][1].tolist() == [2, 1, 0]
    assert found[2]["a"][0].dtype == np.float32
    assert found[0].flags.writeable


def test_no_bytes_crash_the_reader(rng):
    whole = wire.pack({"id": 1}, (np.ones(3), {"a": [1, (2, None)]}, "text"))
    seen = 0
    for _ in range(3000):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 6)):
            data[place] = rng.integers(256)
        try:
            read_from(bytes(data[: rng.integers(1, len(data) + 1)]))
        except wire.WireError:
            seen += 1
    assert seen > 1500


@pytest.mark.parametrize(
    ("node", "data"),
    [
        ({"array": "|O", "shape": [1]}, bytes(8)),
        ({"array": "<f8", "shape": [-1]}, bytes(8)),
        ({"array": "<f8", "shape": [2**39, 2**39]}, bytes(8)),
        ({"array": "<f8", "shape": [0.5]}, bytes(8)),
        ({"array": "<f8", "shape": [1]}, bytes(16)),
        ({"array": ["<f8"], "shape": [1]}, bytes(8)),
        ({"tuple": {"a": 1}}, b""),
        ({"dict": [[1, 2]]}, b""),
        ({"tuple": [], "list": []}, b""),
        ({"unknown": []}, b""),
    ],
)
def test_a_wrong_part_is_refused(node, data):
    text = json.dumps({"id": 1, "value": node, "nbytes": len(data)}).encode()
    with pytest.raises(wire.WireError):
        read_from(len(text).to_bytes(4, "big") + text + data)


# A student's process


def student(source: str, **settings: Any) -> Student:
    return Student("mine.py", source=source.encode(), trust=True, **settings)


def test_a_student_answers_and_errors_tell_their_line():
    source = """import numpy as np
def f(x, cache):
    return x * cache[1], (1, None)
def g(x):
    y = 0
    return x / np.linalg.inv(np.zeros((2, 2)))
def h():
    raise NotImplementedError('gap 1')
N = {'a': 1.5}
"""
    with student(source) as mine:
        y, (one, nothing) = mine.call("f", np.ones((2, 3), np.float32), (np.zeros(0), 3))
        assert (y.dtype, y.tolist(), one, nothing) == (np.float32, [[3.0] * 3] * 2, 1, None)
        assert mine.functions == ("f", "g", "h")
        with pytest.raises(
            Crashed, match=r"LinAlgError: Singular matrix, line 6: return x / np\.linalg\.inv"
        ) as caught:
            mine.call("g", np.ones(2))
        assert (caught.value.line, caught.value.type) == (6, "LinAlgError")
        with pytest.raises(Unwritten, match="line 8"):
            mine.call("h")
        assert mine.look_up("N") == {"a": 1.5}


def test_a_process_that_died_is_started_again():
    with student("import os\ndef f(x): return x\ndef g(): os._exit(3)\n") as mine:
        for _ in range(2):
            with pytest.raises(Crashed, match="exit code 3"):
                mine.call("g")
            assert mine.call("f", 5) == 5


def test_all_calls_together_have_a_limit():
    with student("import time\ndef f(x): time.sleep(x)\n", limits=Limits(seconds=5, seconds_in_all=1)) as mine:
        mine.call("f", 0.4)
        with pytest.raises(TimedOut, match="all 1 s of this submission are used up"):
            mine.call("f", 0.9)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "large"])
def test_what_is_no_plain_file_is_not_read(kind, tmp_path):
    path = tmp_path / "relu.py"
    if kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(bytes(2 << 20))
    score = Paper(KNOWN["relu"], 1).grade(path, trust=True)
    assert score.points == 0
    assert "root:" not in score.parts[0].said


def test_without_a_wall_trust_is_wanted(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sandbox, "find", lambda: sandbox.Wall(False, "bubblewrap is not installed"))
    path = tmp_path / "relu.py"
    path.write_text(cuts.solution(KNOWN["relu"].source).text())
    assert main(["lesson", "grade", str(path)]) == 2
    assert "not isolated: bubblewrap is not installed" in capsys.readouterr().err
    assert main(["lesson", "grade", str(path), "--trust"]) == 0
    assert "3 of 3 points; not isolated (bubblewrap is not installed)" in capsys.readouterr().out


# Points


def in_process(module: dict[str, Any]) -> Any:
    """Functions called here, without a process: for the many right and wrong ones that we wrote ourselves."""

    def ask(name: str, *args: Any) -> Answer:
        given = copy.deepcopy(args)
        with np.errstate(all="ignore"):
            value = module[name](*given)
        changed = tuple(i for i, pair in enumerate(zip(args, given, strict=True)) if not score_module.same(*pair))
        return Answer(value, changed, (), 0.0)

    return ask


@pytest.mark.parametrize("name", ALL)
def test_right_solutions_get_all_points_on_a_hundred_seeds(name):
    ask = in_process(cuts.solution(ALL[name].source).module())
    for seed in range(100):
        paper = Paper(ALL[name], seed, calls=1)  # each setting once
        for function in ALL[name].functions:
            part = paper.judged(function, ask)
            assert part.points == part.most, f"seed {seed}: {part}"


@needs_wall
def test_right_solutions_get_all_points_through_the_judge(tmp_path):
    for name, exercise in ALL.items():
        path = tmp_path / f"{name}.py"
        path.write_text(cuts.solution(exercise.source).text())
        score = Paper(exercise, 11).grade(path)
        assert score.points == score.most, score


def shows(function: Any, wrong: Any) -> bool:
    """Whether a mistake gives other numbers for any arguments of 60 other calls. (A groups bug does not, without groups.)"""
    for case in function.cases(999, 60):
        try:
            if compare(function, wrong(*copy.deepcopy(case.args)), function.expected(case)) is not None:
                return True
        except Exception:
            return True
    return False


def test_the_museums_bugs_lose_points(monkeypatch):
    monkeypatch.setattr(score_module, "_likely", lambda *_: "")  # as many tries as there are pairs of mistakes
    missed, caught = [], set()
    for exercise in ALL.values():
        paper = Paper(exercise, 2)
        for function in exercise.functions:
            for slip in function.slips():
                try:
                    part = paper.judged(function, in_process({function.name: slip.wrong}))
                except Exception:  # its process would have ended with an error
                    continue
                if part.points < part.most:
                    caught.add(slip.name)
                elif shows(function, slip.wrong):
                    missed.append((function.name, slip.name))
    assert missed == []
    assert len(caught) > 150


def plants() -> list[tuple[str, int, str]]:
    """Wrong lines of the solutions, each one put in place of the right one."""
    found = []
    for name, exercise in ALL.items():
        whole = cuts.solution(exercise.source)
        found += [(name, i, wrong) for i, line in enumerate(whole.lines) for _, wrong in line.plants]
    return found


def test_planted_bugs_lose_points():
    assert plants()
    for name, index, wrong in plants():
        whole = cuts.solution(ALL[name].source)
        whole.lines[index].text = wrong
        paper, ask = Paper(ALL[name], 4), in_process(whole.module())
        parts = []
        for function in ALL[name].functions:
            try:
                parts.append(paper.judged(function, ask))
            except Exception:  # it would have crashed in its process
                continue
        lost = [part.name for part in parts if part.points < part.most]
        assert len(lost) + len(ALL[name].functions) - len(parts) == 1, (name, wrong, lost)


def test_a_gap_costs_its_own_function_only(tmp_path):
    path = tmp_path / "loss.py"
    text = cuts.solution(KNOWN["loss"].source).text()
    path.write_text(text.replace("loss = -np.log", 'raise NotImplementedError("gap 2")\n    loss = -np.log', 1))
    score = Paper(KNOWN["loss"], 1).grade(path, trust=True)
    assert [part.points for part in score.parts] == [0, 3]
    assert "is not written yet" in score.parts[0].said


def test_a_known_mistake_is_named_and_no_right_number_told():
    paper = Paper(KNOWN["relu"], 1)
    part = paper.judged(KNOWN["relu"].functions[0], in_process({"relu_forward": lambda x: (np.abs(x), x)}))
    assert part.said.startswith("wrong: y[")
    assert "Likely: What is negative was turned around" in part.said
    assert not re.search(r"\d\.\d{3}", part.said)


# Numbers and worksheets


def test_typed_numbers():
    given = ["0.125", "0,125", " 1/8 ", "−0.5", "1e-3", ".5", "3.", 2, np.float64(4), np.array([5])]
    assert [typed(one) for one in given] == [0.125, 0.125, 0.125, -0.5, 0.001, 0.5, 3, 2, 4, 5]
    for one in ("", "a", "1/0", "1,000,000", "9" * 50, None, True, float("nan"), "inf", np.ones(2), "__import__('os')"):
        assert typed(one) is None


def test_predicted_numbers_are_graded(tmp_path, capsys):
    source = KNOWN["conv"].source
    right = cuts.answers(cuts.solution(source), 5)
    text = cuts.generate(source, "a", 5)
    for name, value in list(right.items())[1:]:
        text = text.replace(f'"{name}": None', f'"{name}": {value:.3f}')
    path = tmp_path / "conv_numbers.py"
    path.write_text(text)
    assert main(["lesson", "grade", str(path), "--trust", "--json"]) == 0
    (score,) = json.loads(capsys.readouterr().out)["scores"]
    assert (score["points"], score["most"]) == (len(right) - 1, len(right))
    assert score["parts"][0]["said"] == "not answered"
    assert (score["exercise"], score["note"]) == ("conv (numbers)", "numbers of seed 5")


def test_worksheets_are_graded(tmp_path, capsys):
    from tinyresnet.step.session import hand_session
    from tinyresnet.step.worksheet.problems import problems
    from tinyresnet.step.worksheet.roster import student_seed

    rows = [["Name", "1", "2", "3"]]
    for name in ("Ana", "Bo"):
        asked = problems(hand_session(student_seed(3, name)), 3)
        rows.append([name, *(f"{problem.value:.3f}" for problem in asked)])
    rows[2][2] = "77"
    path = tmp_path / "typed.csv"
    path.write_text("\n".join(",".join(row) for row in rows))
    command = ["lesson", "grade", str(path), "--worksheet", "3", "--seed", "3", "--own-numbers", "--json"]
    assert main(command) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert [(score["student"], score["points"]) for score in scores] == [("Ana", 3), ("Bo", 2)]
    assert main(command[:5]) == 2
    assert "give --seed" in capsys.readouterr().err


# A class, and Gradescope


def test_submissions_are_found_as_course_systems_name_them(tmp_path):
    names = [
        "limaana_123_456_conv.py", "limaana_123_456_conv-1.py", "bo conv_forward (2).py", "bo-conv.py", ".hidden_conv.py",
        "Cy Wu_77_assignsubmission_file_/relu.py", "Cy Wu_77_assignsubmission_file_/__MACOSX/._relu.py",
        "dee/deep/conv_numbers.py", "notes.txt",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "eve_relu.py").symlink_to("/etc/passwd")
    files = {name: f"{name}.py" for name in ("conv", "conv_forward", "relu")}
    found = [
        (s.student, s.exercise, s.path and s.path.name, s.by_hand) for s in submissions(tmp_path, files, ("conv",))
    ]
    assert found == [
        ("bo", "conv", "bo-conv.py", False),
        ("dee", "conv", "conv_numbers.py", True),
        ("limaana_123_456", "conv", "limaana_123_456_conv.py", False),
    ]
    everything = submissions(tmp_path, files)
    assert {s.student for s in everything} == {"bo", "Cy Wu_77_assignsubmission_file_", "dee", "limaana_123_456"}
    assert ("dee", "relu", None) in [(s.student, s.exercise, s.path) for s in everything]
    with pytest.raises(InputError, match="holds no file of an exercise"):
        submissions(tmp_path / "dee", {"pool": "pool.py"})


def test_a_class_becomes_a_table(tmp_path, capsys):
    text = cuts.solution(KNOWN["relu"].source).text()
    (tmp_path / "class").mkdir()
    for name, code in {
        "ana": text,
        "=cmd()": text.replace("x > 0, x", "x > 1, x"),
        "cy": "import torch\n" + text,
    }.items():
        (tmp_path / "class" / f"{name}_relu.py").write_text(code)
    table = tmp_path / "scores.csv"
    assert main(["lesson", "grade", str(tmp_path / "class"), "--trust", "--seed", "7", "--csv", str(table)]) == 0
    shown = capsys.readouterr().out
    assert "calls a library in place of an answer: import torch" in shown
    assert "--seed 7 grades again" in shown
    rows = list(csv.reader(table.read_text().splitlines()))
    assert rows[0] == ["student", "points", "of", "relu: relu_forward", "relu: relu_backward"]
    assert [(row[0], float(row[1])) for row in rows[1:]] == [("'=cmd()", 2.0), ("ana", 3.0), ("cy", 0.0)]


def test_results_for_gradescope_have_the_documented_form(tmp_path):
    path = tmp_path / "submission"
    path.mkdir()
    text = cuts.solution(KNOWN["relu"].source).text()
    (path / "relu.py").write_text(text + "try: open('/etc/passwd')\nexcept OSError: pass\n")
    (path / "my_sgd.py").write_text("# still empty\n")  # no second student's
    command = ["lesson", "grade", str(path), "--trust", "--exercise", "relu", "--exercise", "sgd"]
    assert main([*command, "--gradescope", str(tmp_path / "results.json")]) == 0
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["score"] == sum(test.get("score", 0) for test in found["tests"]) == 3
    assert found["stdout_visibility"] == "hidden"
    first, *_, last = found["tests"]
    assert first == {
        "name": "relu: relu_forward", "number": "1.1", "score": 1.0, "max_score": 1, "status": "passed",
        "output": "right", "output_format": "text", "visibility": "visible",
    }  # fmt: skip
    assert [test["output"] for test in found["tests"][2:-1]] == ["there is no sgd_step", "there is no sgd_run"]
    assert last["visibility"] == "hidden"
    assert last["output"].splitlines()[1] == "the code tried to read /etc/passwd and was refused"
    assert "seed" not in json.dumps(found["tests"][:-1])


def test_the_autograder_grades_from_its_archive(tmp_path):
    archive = tmp_path / "autograder.zip"
    assert main(["lesson", "grade", "--autograder", str(archive), "--exercise", "relu", "--seed", "5"]) == 0
    with zipfile.ZipFile(archive) as file:
        modes = {info.filename: info.external_attr >> 16 & 0o777 for info in file.infolist()}
        file.extractall(tmp_path / "source")
    assert modes["setup.sh"] == modes["run_autograder"] == 0o755
    script = (tmp_path / "source" / "run_autograder").read_text()
    assert "--trust --exercise relu --seed 5" in script
    submission, results = tmp_path / "submission", tmp_path / "results.json"
    submission.mkdir()
    (submission / "relu.py").write_text(cuts.solution(KNOWN["relu"].source).text())
    moved = script.replace("/autograder/venv/bin/python", sys.executable).replace(
        "/autograder/source", str(tmp_path / "source")
    )
    moved = moved.replace("/autograder/submission", str(submission)).replace(
        "/autograder/results/results.json", str(results)
    )
    done = subprocess.run(["bash", "-c", moved], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(results.read_text())["score"] == 3


def test_students_run_beside_each_other_from_threads():
    began, found = time.monotonic(), []

    def one() -> None:
        with student("import time\ndef f(x):\n    time.sleep(0.5)\n    return x\n") as mine:
            found.append(mine.call("f", 1))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1, 1, 1]
    assert time.monotonic() - began < 15


def test_a_result_that_is_no_array_is_named():
    with (
        student("def f(): return (1, object())\n") as mine,
        pytest.raises(BadResult, match=r"an object, builtins\.object"),
    ):
        mine.call("f")
