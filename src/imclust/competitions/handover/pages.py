"""The pages of a hand-over, as `string.Template`s. Layout: Kaggle's winning model documentation."""

from string import Template

README = Template("""\
# $title

The submission of run `$run` to $place, as one folder that runs. $answer

## Hardware and software it was made with

| | |
|---|---|
| processor | $processor, $cores cores |
| memory | $memory; the most that any stage took was $peak |
| GPU | $gpu |
| operating system | $system |
| Python | $python |
| threads | $threads |
| commit of imclust | $git |

Versions at work (`requirements.txt` pins them and all others): $versions.

| stage | seconds | processor seconds | memory (MiB) | device |
|---|---|---|---|---|
$times
| all | $total | $total_cpu | $peak_mib | |

Preparing the data took $prepare_time, training $train_time, predicting $predict_time.

## Set up on a bare machine

Python $python_minor is needed, and about 6 GiB of disk for the packages; no GPU
unless the table above names one.

```
python3 -m venv .venv
. .venv/bin/activate
pip install -r requirements.txt
```

## Data

$data

Every path is set in `SETTINGS.json`, relative to this folder or absolute, and nowhere else.

## Three ways to build the submission

1. **Precomputed**, no time: `submission/` holds the submission's files; `sha256sum -c SHA256SUMS`
   inside it checks them.
2. **Prediction with the weights shipped in `models/`**, $predict_all:

   ```
   python predict.py
   ```

3. **Everything from nothing, training included**, $all_time:

   ```
   python prepare_data.py
   python train.py
   python predict.py
   ```

`predict.py` ends by comparing its files with those of `submission/`, byte by byte. $exact

## Side effects and assumptions

- `train.py` replaces the weights in MODEL_DIR by those it has learned; keep a copy of the
  shipped ones.
- PROCESSED_DATA_DIR and CHECKPOINT_DIR are made when missing and reused when they are there: what
  is up to date is not made again, and an interrupted command goes on. Delete them to start afresh.
- SUBMISSION_DIR is made when missing; files of the same names in it are replaced.
- Nothing is written outside of the folders of `SETTINGS.json`. $network
- $labels Each command runs with the seeds and thread settings in `steps.json`.
$notes
""")

ENTRY_POINTS = Template("""\
# Entry points

All read their folders from `SETTINGS.json` and their commands from `steps.json`.

| command | reads | writes |
|---|---|---|
| `python prepare_data.py` | RAW_DATA_DIR | PROCESSED_DATA_DIR: the index of all images |
| `python train.py` | RAW_DATA_DIR | CHECKPOINT_DIR: training as it goes; MODEL_DIR: the weights |
| `python predict.py` | RAW_DATA_DIR, MODEL_DIR | PROCESSED_DATA_DIR; SUBMISSION_DIR: $files |

`predict.py` prepares the data by itself when `prepare_data.py` has not run. What the three run is:

$commands
""")

SUMMARY = Template("""\
# Model summary

## A1. Background

- Competition: $place
- Team name: TODO
- Public score: $public
- Private score: $private
- Rank: $rank
- Members, locations, e-mails: TODO

## A2. About you

- Background, prior experience, why you entered, time spent, who did what: TODO

## A3. Summary

$summary

TODO: what mattered most, in your words.

## A4. Features

$features

$labels TODO: anything else that was tried.

## A5. Training and prediction methods

$methods

## A6. Interesting findings

- Without labels (accuracy as `auto` estimates it, else agreement between seeds): $label_free
- Against the labels at hand, which chose nothing: $validation
- TODO: what set this solution apart, and what did not work.

## A7. Simple model

TODO: which part alone reaches 90 to 95 % of the score. A natural candidate: the same features under
`cluster ... kmeans`.

## A8. Execution time

- Preparing the data: $prepare_time. Training: $train_time. Predicting: $predict_time.
- TODO: of the simple model.

## A9. References

$references
""")

ENTRY = Template('''\
"""$text"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "src"))

from imclust.competitions.handover.run import $name, main

if __name__ == "__main__":
    raise SystemExit(main($name, HERE))
''')
