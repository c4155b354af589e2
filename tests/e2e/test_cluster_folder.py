"""A stranger's folder in one command; and everything that a stranger does to it."""

import csv
import html
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from helpers import environment, imclust_in, refused, two_kinds
from imclust import cluster_folder
from imclust.cli.run_paths import run_name
from imclust.core.errors import InputError
from imclust.core.manifest import file_digest, lineage, read_manifest
from imclust.core.records import read_csv

ODD = (
    'it\'s "quoted" 🌧.png',
    "x" * 251 + ".png",
    "new\nline.png",
    "sub/deep er/0.png",
    "sub/0.png",
)
RUN = "data/runs/folder-pictures/timm-auto-k2-seed0"
QUICK = ("--n-clusters", 2, "--effort", "quick")


def pictures(folder, n=24, seed=0):
    """Images of two kinds in a tree, some of odd names, one broken, one hidden; who is of which."""
    kinds = {}
    for i, (x, y) in enumerate(zip(*two_kinds(n, seed), strict=True)):
        name = ODD[i] if i < len(ODD) else f"{'sub' if i % 3 else 'top'}/{i}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(folder / name)
        kinds[name] = int(y)
    (folder / "sub" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / ".thumbnails").mkdir()
    shutil.copy(folder / ODD[3], folder / ".thumbnails" / "0.png")
    return kinds


def table(path):
    with path.open(newline="", encoding="utf-8") as f:
        return {row["file"]: row for row in csv.DictReader(f)}


def right(rows, kinds):
    """Share of images whose cluster is their kind, under the better naming."""
    hits = np.mean([int(rows[file]["cluster"]) == kind for file, kind in kinds.items()])
    return max(hits, 1 - hits)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A workspace in which the command has run: (folder, kinds of the images, what it printed)."""
    at = tmp_path_factory.mktemp("stranger")
    kinds = pictures(at / "pictures")
    return at, kinds, folder(at, "pictures", *QUICK)


def folder(at, *args, **env):
    """Run `python -m imclust cluster-folder`; refuses a status that is not 0."""
    status, out, err = imclust_in(at, "cluster-folder", *args, **env)
    assert status == 0, err
    return out


def test_every_readable_image_has_its_row(place):
    at, kinds, out = place
    rows = table(at / RUN / "assignments.csv")
    assert set(rows) == set(kinds)
    assert list(next(iter(rows.values()))) == [
        *("file", "cluster", "name", "confidence", "runner_up", "distance", "name_share"),
    ]
    assert right(rows, kinds) == 1
    for row in rows.values():
        assert {row["cluster"], row["runner_up"]} == {"0", "1"}
        assert 0 <= float(row["confidence"]) <= 1
        assert 0 <= float(row["distance"]) <= 2
    assert list(table(at / RUN / "set_aside.csv")) == ["sub/broken.jpg"]
    assert "set aside, in no cluster: 1 file that cannot be read: sub/broken.jpg" in out
    with (at / RUN / "look_at.csv").open(encoding="utf-8") as f:
        what = [row["what"] for row in csv.DictReader(f) if row["file"] == "sub/broken.jpg"]
    assert len(what) == 1
    assert what[0].startswith("cannot be read: ")
    assert "24 pictures to cluster" in out
    assert not re.search(r"challenge|\brows\b|latents of|parameters", out)


def test_it_ends_with_what_one_wants_to_know(place):
    at, _, out = place
    assert re.search(r"^ +0 +12 +[01]\.\d\d  \S", out, re.M)
    assert "new\\nline.png" in out or "line.png" not in out  # one line a cluster, whatever a name
    assert "K = 2, as given" in out
    assert re.search(r"^seconds: index \d", out, re.M)
    assert re.search(r"^\[10/10\] report: \d+ s$", out, re.M)
    uri = re.search(r"python -m webbrowser -t (file://\S+)$", out, re.M)[1]
    assert uri == (at / RUN / "report" / "report.html").as_uri()
    assert (at / RUN / "report" / "report.html").is_file()


def test_a_second_run_is_up_to_date_and_writes_the_table_again(place):
    at, _, _ = place
    before = (at / RUN / "assignments.csv").read_bytes()
    (at / RUN / "assignments.csv").unlink()
    out = folder(at, "pictures", *QUICK)
    assert "everything was up to date" in out
    assert (at / RUN / "assignments.csv").read_bytes() == before


def test_links_by_cluster(place):
    at, kinds, _ = place
    out = folder(at, "pictures", *QUICK, "--symlinks")
    piles = at / RUN / "by-cluster"
    assert f"images by cluster: {RUN}/by-cluster" in out
    links = [p for p in piles.rglob("*") if p.is_symlink()]
    assert {str(p.resolve().relative_to(at / "pictures")) for p in links} == set(kinds)
    rows = table(at / RUN / "assignments.csv")
    for p in links:
        assert p.parent.name == rows[str(p.resolve().relative_to(at / "pictures"))]["cluster"]


def test_new_images_get_the_clusters_that_are_there(place):
    at, kinds, _ = place
    (at / "later").mkdir()
    copied = ODD[0]
    shutil.copy(at / "pictures" / copied, at / "later" / "copy.png")
    for i, x in enumerate(two_kinds(6, seed=5)[0]):
        Image.fromarray(x).save(at / "later" / f"{i}.png")
    (at / "later" / "broken.png").write_bytes(b"nothing")
    # Neither the images nor the wish for another effort starts anything of the old run anew.
    kept = (at / RUN / "clusters" / "manifest.json").read_bytes()
    os.rename(at / "pictures", at / "elsewhere")
    try:
        out = folder(at, "pictures", "--n-clusters", 2, "--new", "later")
    finally:
        os.rename(at / "elsewhere", at / "pictures")
    assert (at / RUN / "clusters" / "manifest.json").read_bytes() == kept
    assert "[3/3] new clusters" in out
    assert "1 file that cannot be read: broken.png" in out
    new, old = (
        table(at / RUN / "new-later" / "assignments.csv"),
        table(at / RUN / "assignments.csv"),
    )
    for column in ("cluster", "confidence"):
        assert new["copy.png"][column] == old[copied][column]
    of = {kinds[file]: row["cluster"] for file, row in old.items()}
    assert all(new[f"{i}.png"]["cluster"] == of[i % 2] for i in range(6))
    shutil.rmtree(at / "later")
    (at / "later").mkdir()
    Image.fromarray(two_kinds(1)[0][0]).save(at / "later" / "one.png")
    folder(at, "pictures", "--n-clusters", 2, "--new", "later")  # one alone will do
    assert list(table(at / RUN / "new-later" / "assignments.csv")) == ["one.png"]


def test_every_artefact_names_the_stage_that_makes_it_again(place):
    at, _, _ = place
    made = lineage(at / RUN / "report")
    stages = [doc["argv"][0] for doc in made.values()]
    assert set(stages) == {
        *(
            "download",
            "train",
            "encode",
            "look",
            "cluster",
            "reduce",
            "words",
            "name",
            "score",
            "report",
        ),
    }
    submit = ("--assignment", f"{RUN}/clusters", "--index", "data/raw/folder-pictures/index")
    assert imclust_in(at, "submit", *submit, "--out", "submissions/pictures/one")[0] == 0
    status, out, err = imclust_in(at, "reproduce", "submissions/pictures/one")
    assert status == 0, err
    assert "same bytes: submission.csv" in out


def test_a_table_that_was_edited_stays_and_is_said_before_any_work(place, tmp_path):
    at, _, _ = place
    shutil.copytree(at / "data", tmp_path / "data")
    (tmp_path / "pictures").symlink_to(at / "pictures")
    table = tmp_path / RUN / "assignments.csv"
    mine = table.read_text() + "notes of mine\n"
    table.write_text(mine)
    result = imclust_in(tmp_path, "cluster-folder", "pictures", *QUICK, "--seed", "0")
    refused(result, "assignments.csv must be as imclust wrote it", "move or rename it")
    assert result[1] == ""
    assert table.read_text() == mine


def test_pictures_do_not_join_clusters_that_were_damaged(place, tmp_path):
    at, _, _ = place
    shutil.copytree(at / "data", tmp_path / "data")
    shutil.copytree(at / "pictures", tmp_path / "pictures")
    table = tmp_path / RUN / "clusters" / "assignment.csv"
    damaged = table.read_bytes() + b"\n"
    table.write_bytes(damaged)
    name = ("--name", "folder-pictures")  # known under it, with files of other times
    result = imclust_in(tmp_path, "cluster-folder", "pictures", *QUICK, *name)
    refused(result, "as imclust wrote them", "assignment.csv", "--fresh")
    assert table.read_bytes() == damaged
    manifest = table.with_name("manifest.json")
    manifest.write_bytes(manifest.read_bytes()[:-40])
    result = imclust_in(tmp_path, "cluster-folder", "pictures", *QUICK, *name)
    refused(result, "manifest.json changed or cut short", "clusters elsewhere", "afresh")
    table.parent.rename(tmp_path / "damaged")
    assert imclust_in(tmp_path, "cluster-folder", "pictures", *QUICK, *name)[0] == 0


def test_corrections_come_back_with_names_and_reach_later_images(place, tmp_path):
    at, _, _ = place
    shutil.copytree(at / "data", tmp_path / "data")
    (tmp_path / "pictures").symlink_to(at / "pictures")
    clusters = tmp_path / RUN / "clusters"
    old = table(tmp_path / RUN / "assignments.csv")
    moved = ODD[0]
    to = 1 - int(old[moved]["cluster"])
    said = {
        "format": "imclust-corrections-1",
        "assignment": file_digest(clusters / "assignment.csv"),
        "names": {str(to): "warm/dark"},
        "move": {moved: to},
    }
    (tmp_path / "said.json").write_text(json.dumps(said))
    (tmp_path / "more").mkdir()
    shutil.copy(at / "pictures" / moved, tmp_path / "more" / "copy.png")
    flags = (*QUICK, "--corrections", "said.json")
    out = folder(tmp_path, "pictures", *flags, "--symlinks")
    assert "[warm/dark]" in out
    assert "warm/dark (yours)" in out
    new = table(tmp_path / RUN / "assignments.csv")
    assert int(new[moved]["cluster"]) == to
    assert [f for f in old if new[f]["cluster"] != old[f]["cluster"]] == [moved]
    link = tmp_path / RUN / "by-cluster" / f"{to} warm_dark" / moved
    assert link.resolve() == at / "pictures" / moved
    folder(tmp_path, "pictures", *flags, "--new", "more")
    assert table(tmp_path / RUN / "new-more" / "assignments.csv")["copy.png"]["cluster"] == str(to)
    stale = "new-more/assignments.csv is of an earlier answer"
    assert stale not in folder(tmp_path, "pictures", *QUICK)
    assert stale in folder(tmp_path, "pictures", *QUICK, "--without-corrections")


def test_settings_of_the_baseline_in_the_environment_are_not_passed_over_in_silence(place):
    at, _, _ = place
    out = folder(at, "pictures", *QUICK, EPOCHS="1", K="7")
    assert "EPOCHS, K in the environment are not read by cluster-folder" in out
    assert "--n-clusters" in out
    assert "K = 2, as given" in out


def test_in_python_and_in_a_notebook(place):
    at, _, _ = place
    book = nbformat.v4.new_notebook()
    cells = (
        "import imclust",
        "result = imclust.cluster_folder('pictures', 2, effort='quick')",
        "result",
        "print(len(result.assignments), result.n_clusters, sum(result.sizes), result.report)",
    )
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = environment()["PYTHONPATH"]
    try:
        NotebookClient(book, timeout=200, resources={"metadata": {"path": str(at)}}).execute()
    finally:
        os.environ["PYTHONPATH"] = before or ""
    shown = book.cells[2].outputs[0]["data"]["text/html"]
    assert shown.count('<img src="data:image/jpeg;base64,') == 20
    assert len(shown) < 400_000
    parts = book.cells[3].outputs  # what is printed may come in several
    printed = "".join(part["text"] for part in parts).split()
    assert printed[:3] == ["24", "2", "24"]
    assert printed[3] == f"{RUN}/report/report.html"


def test_a_zip_and_folders_of_one_name_keep_apart(place, tmp_path):
    at, kinds, _ = place
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as z:
        for file in kinds:
            z.write(at / "pictures" / file, f"all/{file}")
    shutil.copytree(at / "data" / "raw", tmp_path / "data" / "raw")
    out = folder(tmp_path, "pictures.zip", *QUICK, "--copy")
    [run] = (tmp_path / "data" / "runs").glob("folder-pictures-*/timm-auto-k2-seed0")
    assert set(table(run / "assignments.csv")) == {f"all/{file}" for file in kinds}
    assert len([p for p in (run / "by-cluster").rglob("*.png") if p.is_file()]) == 24
    assert str(run.relative_to(tmp_path)) in out
    untouched = tmp_path / "data" / "raw" / "folder-pictures" / "index"
    assert read_manifest(untouched)["config"]["data_dir"] == str(at / "pictures")


def command_of(at):
    """The command that the page shows for its corrections, as words."""
    page = (at / RUN / "report" / "report.html").read_text(encoding="utf-8")
    pending = page[page.index('id="pending"') :]
    return shlex.split(html.unescape(re.search(r"<code>(.*?)</code>", pending, re.S)[1]))


def test_corrections_stay_until_they_are_left_out(place, tmp_path):
    at, _, _ = place
    shutil.copytree(at / "pictures", tmp_path / "pictures")
    folder(tmp_path, "pictures", *QUICK, "--symlinks")
    run = tmp_path / RUN
    first = (run / "assignments.csv").read_bytes()
    rows = table(run / "assignments.csv")
    ids = {row["id"]: row for row in read_csv(run / "clusters" / "assignment.csv")}
    files = {file for file in rows if rows[file]["cluster"] == "0"}
    moved, pinned = sorted(files)[:2], sorted(files)[2]
    assert set(rows) == set(ids)
    said = {"format": "imclust-corrections-1"}
    said["assignment"] = file_digest(run / "clusters" / "assignment.csv")
    said |= {"move": dict.fromkeys(moved, 2) | {pinned: 0}, "names": {"2": "odd ones"}}
    (tmp_path / "corrections.json").write_text(json.dumps(said))
    words = command_of(tmp_path)
    assert words[:4] == ["python", "-m", "imclust", "cluster-folder"]
    assert words[-2:] == ["--corrections", "corrections.json"]

    def same_answer(out):
        """Table, links and page are of the corrected assignment, and the summary says so."""
        now = table(run / "assignments.csv")
        assert {f for f in now if now[f]["name"] == "odd ones"} == set(moved)
        assert {f: r["cluster"] for f, r in now.items() if f not in moved} == {
            f: r["cluster"] for f, r in rows.items() if f not in moved
        }
        links = list((run / "by-cluster" / "2 odd ones").iterdir())
        assert {str(p.resolve().relative_to(tmp_path / "pictures")) for p in links} == set(moved)
        assert "odd ones" in (run / "report" / "report.html").read_text()
        assert "corrected by hand: 2 moved; 1 pinned; new clusters: 1; named: 1" in out
        assert "K = 3 by hand, from K = 2, as given" in out

    same_answer(folder(tmp_path, *words[4:]))
    (tmp_path / "corrections.json").unlink()
    again = folder(tmp_path, "pictures", *QUICK)
    assert "everything was up to date" in again
    same_answer(again)
    more = dict(said, names={"1": "rest"})
    more["assignment"] = file_digest(run / "clusters" / "assignment.csv")
    more.pop("move")
    (tmp_path / "corrections-2.json").write_text(json.dumps(more))
    assert command_of(tmp_path)[-1] == "corrections-2.json"
    same_answer(folder(tmp_path, *command_of(tmp_path)[4:]).replace("named: 2", "named: 1"))
    assert table(run / "assignments.csv")[moved[0]]["name"] == "odd ones"

    # Saved once more from the page of the first assignment: with less than before it is refused.
    less = {**said, "move": {moved[0]: 2}}
    (tmp_path / "less.json").write_text(json.dumps(less))
    status = imclust_in(
        tmp_path, "cluster-folder", "pictures", *QUICK, "--corrections", "less.json"
    )
    refused(status, "less.json", "an earlier file has changed")
    refused(imclust_in(tmp_path, "cluster-folder", "pictures", "--n-clusters", 2), "another effort")
    out = folder(tmp_path, "pictures", *QUICK, "--without-corrections")
    assert (run / "assignments.csv").read_bytes() == first
    assert "corrected by hand" not in out
    assert sorted(p.name for p in (run / "by-cluster").iterdir() if p.is_dir()) == ["0", "1"]
    assert len(list((run / "corrections-left-out").iterdir())) == 2
    assert "everything was up to date" in folder(tmp_path, "pictures", *QUICK)


def start(at, *args):
    return subprocess.Popen(
        [sys.executable, "-m", "imclust", "cluster-folder", *map(str, args)],
        cwd=at,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_stopped_and_killed_it_goes_on_to_the_same_bytes(place, tmp_path):
    at, _, _ = place
    shutil.copytree(at / "pictures", tmp_path / "pictures")
    for how, after in ((signal.SIGINT, "[1/10] index"), (signal.SIGKILL, "[4/10] pixels")):
        process = start(tmp_path, "pictures", *QUICK)
        printed = ""
        for line in process.stdout:
            printed += line
            if line.startswith(after):
                break
        time.sleep(0.3)
        os.killpg(process.pid, how)
        printed += process.communicate(timeout=60)[0]
        assert process.returncode in {130, -signal.SIGKILL}
        if how == signal.SIGINT:
            assert "interrupted; the same command goes on where it stopped" in printed
            assert "Traceback" not in printed
        assert not (tmp_path / RUN / "assignments.csv").exists()
    out = folder(tmp_path, "pictures", *QUICK)
    assert "latents: up to date" in out
    mine, whole = tmp_path / RUN / "assignments.csv", at / RUN / "assignments.csv"
    assert mine.read_bytes() == whole.read_bytes()


def test_on_a_terminal_the_list_is_drawn_in_place(place):
    at, _, _ = place
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "imclust", "cluster-folder", "pictures", "--n-clusters", "2"],
        cwd=at,
        env=environment(TERM="xterm", COLUMNS="120"),
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    drawn = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        drawn += data
    assert process.wait(timeout=60) == 0
    os.close(master)
    text = drawn.decode(errors="replace")
    assert "▶" in text
    assert "so far, about" in text
    assert "✓ clusters" in re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert text.index("most central images") > text.index("in all")


@pytest.mark.parametrize(
    ("make", "flags", "words"),
    [
        (None, (), ("the images must be a folder or zip", "does not exist")),
        ("empty", (), ("at least two images", "got 0 images found")),
        ("file", (), ("a zip archive that can be read", "a damaged one")),
        ("one", (), ("at least two images", "got 1 image found")),
        ("picture", (), ("a single picture", "name the folder")),
        ("few", ("holiday",), ("one word more, holiday", "in quotes")),
        ("few", ("--name", "../y"), ("--name must be the name of a folder", "../y")),
        ("broken", (), ("readable images", "at least 2", "got 0 of 12")),
        ("few", ("--n-clusters", 5), ("clusters K", "(4)", "got 5")),
        ("same", ("--n-clusters", 2), ("number of different images (1)", "got 2", "copies")),
        ("few", ("--n-clusters", 1), ("--n-clusters", "at least 2, or auto", "got 1")),
        ("few", (), ("tell K from", "got 4", "--n-clusters")),
        ("few", ("--workspace", "x/y"), ("outside of the images", "--workspace")),
        ("few", ("--new", "nowhere"), ("the images must be a folder or zip", "nowhere")),
        ("few", ("--effort", "soon"), ("quick", "thorough")),
        ("latin", (), ("at least two images", "1 image found, 1 file left out", "not in UTF-8")),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path, make, flags, words):
    x = tmp_path / "x"
    images = two_kinds(4)[0]
    if make == "file":
        x.write_text("no zip")
    elif make == "picture":
        x = x.with_suffix(".png")
        Image.fromarray(images[0]).save(x)
    elif make:
        (x / "y").mkdir(parents=True)
    if make == "broken":
        for i in range(12):
            (x / f"{i}.jpg").write_bytes(b"\xff\xd8")
    for i in range({"one": 1, "few": 4, "same": 4, "latin": 2}.get(make, 0)):
        Image.fromarray(images[0 if make == "same" else i]).save(x / f"{i}.png")
    if make == "latin":
        os.rename(x / "0.png", os.fsencode(x) + b"/gr\xfcn.png")
    refused(imclust_in(tmp_path, "cluster-folder", x.name, *flags), *words)
    assert not list((tmp_path / "data").glob("runs/*/*/*"))


def test_python_refuses_in_the_same_sentences(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        cluster_folder(tmp_path / "nowhere", workspace=tmp_path)
    with pytest.raises(InputError, match="at least 2, or auto; got 1"):
        cluster_folder(tmp_path, 1)


def test_run_on_challenges_ends_in_a_submission_that_can_be_made_again(tmp_path):
    """The rules of `photos` forbid pretrained weights; a tree of classes does not."""
    tree = tmp_path / "tree"
    for i, (x, y) in enumerate(zip(*two_kinds(30), strict=True)):
        (tree / "ab"[y]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(tree / "ab"[y] / f"{i}.png")
    flags = ("--effort", "quick", "imagefolder", "--data-dir", "tree")
    status, out, err = imclust_in(tmp_path, "run", *flags)
    assert status == 0, err
    assert "[9/9] report" in out
    run = run_name("timm", "auto", None, 0, flags=["--effort", "quick"])
    submission = f"submissions/imagefolder-tree/{run}"
    assert f"submission: {submission}/submission_inverted.csv" in out
    scores = tmp_path / f"data/runs/imagefolder-tree/{run}/scores/scores.json"
    assert '"hungarian": 1.0' in scores.read_text()
    again, out, err = imclust_in(tmp_path, "reproduce", submission)
    assert again == 0, err
    assert "same bytes" in out
    status, out, _ = imclust_in(tmp_path, "run", *flags)
    assert status == 0
    assert "[9/9] report: up to date" in out
