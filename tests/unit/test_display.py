import io
import re
import sys
import time
import zipfile

import pytest

from imclust.cli import progress_display as module
from imclust.cli.image_checks import ZIPPED, images_about
from imclust.cli.progress_display import (
    FASTEST,
    TRUST,
    Count,
    Display,
    Part,
    format_duration,
    pace,
    seconds_left,
)
from imclust.cli.steps import Step, run_steps
from imclust.core.log import progress, say
from sample_run import make_sample_run


def parts(*states):
    return [Part(str(i), 10.0, "bar", state, 20.0) for i, state in enumerate(states)]


def test_the_pace_is_drawn_to_one_while_little_was_measured():
    assert pace(parts("waiting", "waiting")) == 1
    assert pace(parts("done")) == (TRUST + 20) / (TRUST + 10)
    assert pace(parts(*["done"] * 1000)) == pytest.approx(2, abs=0.01)
    assert pace(parts("up to date", "waiting")) == 1  # nothing was measured there


def test_tiny_pictures_say_little_of_the_steps_that_are_not_about_pictures():
    assert pace(parts("at work"), Count("bar", 50, 100, 1000, "img")) == FASTEST


def test_what_is_left_is_what_is_expected_at_this_pace():
    assert seconds_left(parts("waiting", "waiting"), 0) == 20
    assert seconds_left(parts("at work", "waiting"), 4) == 16
    assert seconds_left(parts("done", "up to date"), 0) == 0
    slow = parts("done", "waiting")
    assert seconds_left(slow, 0) == pytest.approx(10 * pace(slow))


def test_a_step_that_was_given_its_time_takes_it_whatever_the_pace():
    work = [*parts("done"), Part("given", 30.0, by_clock=True)]
    assert seconds_left(work, 0) == 30
    work[1].state, work[1].took = "done", 30.0
    assert pace(work) == pace(parts("done"))


def test_a_late_step_is_never_about_to_end():
    work = parts("at work")
    left = [seconds_left(work, elapsed) for elapsed in (9, 20, 200)]
    assert left[0] == pytest.approx(1.35)
    assert left[2] > left[1] > 0


def test_the_bar_that_covers_a_step_measures_it():
    work = parts("at work", "waiting")
    fast = Count("bar", 20, 100, 20, "img")  # 5 s in all, where 10 were expected, however late
    assert pace(work, fast) == (TRUST + 5) / (TRUST + 10)
    assert seconds_left(work, 50, fast) == 4 + 10 * pace(work, fast)
    assert pace(work, Count("another", 25, 100, 25, "img")) == 1
    over = Part("0", 10.0, "bar", "done", 20.0, 5.0)
    assert pace([over]) == pace(work, fast)
    other = seconds_left(work, 4, Count("another", 25, 100, 5, "img"))
    assert other == seconds_left(work, 4)
    assert seconds_left(work, 4, Count("bar", 0, 100, 0, "img")) == other


def test_an_archive_tells_how_many_pictures_to_expect(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("a/1.jpg", "a/2.PNG", "a/notes.txt"):
            archive.writestr(name, "")
    assert images_about(tmp_path / "a.zip") == 2
    (tmp_path / "b.tar").write_bytes(b"another")
    assert images_about(tmp_path / "b.tar") == ZIPPED


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3900, "1 h 05 min")],
)
def test_times_are_spelled(seconds, text):
    assert format_duration(seconds) == text


def test_counts_are_spelled():
    assert Count("encode", 30, 120, 15, "img").text() == "encode 30/120 img, 25%, 15 img/s"
    assert Count("fetch", 30, 0, 15, "B").text() == "fetch 30 B"
    assert Count("encode", 30, 120, 0, "img", "shards 1/4").text().endswith("25%, shards 1/4")


def test_what_a_bar_is_told_beside_its_count_is_shown(capsys, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.0)
    with Display([Part("one", 5.0, "encode")]) as shown, shown.step("one"):
        bar = progress(None, "encode", total=4, mininterval=0, unit="img")
        bar.set_postfix_str("shards 1/2, retries 0", refresh=False)
        bar.update(2)
        time.sleep(0.2)
    assert "2/4 img, 50%" in (out := capsys.readouterr().out)
    assert "img/s, shards 1/2, retries 0; about" in out


def test_off_a_terminal_it_is_lines(capsys, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.0)
    with Display([Part("one", 5.0, "look"), Part("two", 5.0), Part("three", 0.0)]) as shown:
        with shown.step("one"):
            say("something")
            say("index x is up to date")
            for _ in progress(range(4), "look", mininterval=0, unit="img"):
                time.sleep(0.06)
        with shown.step("two") as nothing:
            nothing()
        with shown.step("three", quiet=True):
            say("hush")
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "  something"
    assert any(line.startswith("[1/3] one: 0 s, look ") and "/4 img" in line for line in out)
    assert "[1/3] one: 0 s; about" in " ".join(out)
    assert out[-2].startswith("[2/3] two: up to date")
    assert out[-1] == "[3/3] three: 0 s"
    assert not any("hush" in line or line.endswith("x is up to date") for line in out)
    assert [p.state for p in shown.parts] == ["done", "up to date", "done"]


def test_a_step_without_a_bar_is_heard_of_while_it_works(capsys, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.1)
    with Display([Part("one", 5.0)]) as shown, shown.step("one"):
        time.sleep(0.5)
    out = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("[1/1] one: ") and "at work" in line for line in out) >= 2
    assert re.fullmatch(r"\[1/1\] one: \d+ s", out[-1])


def test_a_step_that_turns_out_on_the_way_is_added(capsys):
    with Display([Part("one", 5.0)]) as shown:
        with shown.step("another"):
            pass
        with shown.step("one"):
            pass
    assert [p.title for p in shown.parts] == ["one", "another"]
    assert capsys.readouterr().out.splitlines()[-1].startswith("[2/2] one: ")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_it_is_a_list_with_rates_and_time_left(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with Display([Part("one", 5.0, "look"), Part("two", 90.0)]) as shown, shown.step("one"):
        for _ in progress(range(40), "look", mininterval=0, unit="img"):
            time.sleep(0.02)
    drawn = screen.getvalue()
    assert "look" in drawn
    assert "/40 img" in drawn
    assert "img/s" in drawn
    told = re.findall(r"two.*about (?:(\d+) min )?(\d+) s", drawn)[-1]  # on so fast a machine
    assert int(told[0] or 0) * 60 + int(told[1]) < 90
    assert "so far, about" in drawn


def test_a_bar_outside_of_a_display_is_as_before(capsys):
    assert list(progress(range(3), "look")) == [0, 1, 2]
    assert capsys.readouterr().out == ""


def test_what_an_early_step_finds_out_of_a_later_one_counts_from_then_on(capsys, tmp_path):
    make_sample_run(tmp_path)
    pca = ("reduce", "--features", str(tmp_path / "run/latents"))

    def left_after_the_first(name, **expected):
        line = (*pca, "--out", str(tmp_path / name), "pca", "--components", "2")
        steps = [Step("index", (line,), expected=expected), Step("names", (line,))]
        run_steps(steps, ["index", "names"], images=24)
        [told] = re.findall(r"index: .*about (\d+) s left", capsys.readouterr()[0])
        return int(told)

    assert left_after_the_first("a") < 5
    assert left_after_the_first("b", names=50.0) > 20
