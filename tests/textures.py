"""Made-up individuals: each a texture of its own, photographed turned, shifted, lit otherwise."""

import csv
import zipfile

import cv2
import numpy as np

SIDE = 96


def texture(rng):
    """A drawing that is full of corners, (200, 200, 3) uint8."""
    picture = np.full((200, 200, 3), rng.integers(60, 200, 3), np.uint8)
    for _ in range(140):
        a, b = rng.integers(0, 200, (2, 2)).tolist()
        colour = rng.integers(0, 256, 3).tolist()
        size = rng.integers(3, 16, 2)
        if rng.random() < 0.5:
            cv2.rectangle(picture, a, (a[0] + int(size[0]), a[1] + int(size[1])), colour, -1)
        else:
            cv2.circle(picture, b, int(size[0]) // 2 + 1, colour, -1)
    return picture


def photograph(picture, rng):
    """The middle of a texture, turned, shifted and in another light: (96, 96, 3) uint8."""
    turn = cv2.getRotationMatrix2D((100, 100), rng.uniform(-40, 40), rng.uniform(0.85, 1.15))
    turn[:, 2] += SIDE / 2 - 100 + rng.uniform(-8, 8, 2)
    view = cv2.warpAffine(picture, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
    light = view * rng.uniform(0.7, 1.2) + rng.normal(0, 4, view.shape)
    return light.clip(0, 255).astype(np.uint8)


def make_individuals(folder, known=5, asked=5, images=4, groups=("spots",), zipped=False):
    """metadata.csv, sample_submission.csv, truth.csv and images; returns the data.

    Of each group, `known` identities with all images known, `asked` more to tell, and one image
    to cluster of each known identity.
    """
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True, exist_ok=True)
    rows, truth = [], []
    for group in groups:
        for individual in range(known + asked):
            picture = texture(rng)
            name = f"{group}-{individual}"
            is_known = individual < known
            for n in range(images + is_known):
                number = len(rows)
                path = f"images/{number}.png"
                (folder / "images").mkdir(exist_ok=True)
                cv2.imwrite(str(folder / path), photograph(picture, rng))
                told = is_known and n < images
                rows.append([number, name if told else "", path, "train" if told else "test",
                             group])  # fmt: skip
                if not told:
                    truth.append([number, name])
    write(folder / "metadata.csv", ["image_id", "identity", "path", "split", "dataset"], rows)
    write(folder / "sample_submission.csv", ["image_id", "cluster"],
          [[number, "cluster_x_0"] for number, _ in reversed(truth)])  # fmt: skip
    write(folder.parent / f"{folder.name}-truth.csv", ["image_id", "identity"], truth)
    if not zipped:
        return folder
    archive = folder.parent / f"{folder.name}.zip"
    with zipfile.ZipFile(archive, "w") as z:
        for p in sorted(folder.rglob("*")):
            if p.is_file():
                z.write(p, p.relative_to(folder))
    return archive


def write(path, header, rows):
    with path.open("w", newline="") as f:
        csv.writer(f).writerows([header, *rows])
