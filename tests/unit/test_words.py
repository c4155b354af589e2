"""Images found by words: by the bundled network's classes, and by a small text tower."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from helpers import two_kinds
from imclust.__main__ import main
from imclust.cli import encoder_choice
from imclust.cli.encoder_choice import HubNetwork, strong_paths
from imclust.cli.pipeline import name_commands
from imclust.cli.run_paths import RunPaths
from imclust.core.artifacts import ArtifactSpec, make_artifact
from imclust.core.errors import InputError
from imclust.core.name_records import NAMES_KIND, found_names
from imclust.core.records import Features, write_csv
from imclust.core.word_records import SeenClasses, words_like
from imclust.encoders import text_tower
from imclust.encoders.class_head import class_words
from imclust.encoders.text_tower import TextTower, nouns
from imclust.training.pretrained import vision
from pages import stage

NOUNS = ("dune", "lake", *[word for word in nouns() if " " not in word][:360:4])


def seen(*shares):
    """Images of the classes bus, school bus, seashore; shares of each."""
    classes = (("bus", "vehicle"), ("school bus", "bus", "vehicle"), ("seashore", "coast"))
    likeliest = np.argsort(-np.array(shares), axis=1)[:, :2]
    ids = np.array([str(i) for i in range(len(shares))])
    return SeenClasses(ids, classes, likeliest, np.take_along_axis(np.array(shares), likeliest, 1))


def test_a_query_means_the_word_itself_or_words_that_begin_so():
    known = ["car", "carton", "bus", "school bus", "cherry", "sea lion", "seashore", "overseas cap"]
    assert words_like("cars", known) == ["car"]
    assert words_like("  BUSES ", known) == ["bus"]
    assert words_like("cherries", known) == ["cherry"]
    assert words_like("sea", known) == ["sea lion", "seashore"]
    assert words_like("school  bus", known) == ["school bus"]
    assert words_like("zebra", known) == words_like(" ", known) == []


def test_a_word_counts_every_class_of_its_kind():
    found = seen([0.5, 0.4, 0.1], [0.0, 0.03, 0.9])
    assert np.allclose(found.share_of(["vehicle"]), [0.9, 0.03])
    assert np.allclose(found.share_of(["school bus"]), [0.4, 0.03])
    assert np.allclose(found.share_of(["school bus", "coast"]), [0.4, 0.93])
    assert found.once(["seashore", "bus", "coast", "school bus", "vehicle"]) == [
        *("seashore", "bus", "school bus"),
    ]


def test_the_list_of_nouns_and_the_words_of_classes_are_clean():
    words = nouns()
    assert len(words) == len(set(words)) > 3000
    assert {"sea", "sunset", "beach", "woman", "motorcycle"} <= set(words)
    classes = class_words()
    assert len(classes) == 1000
    assert {"taxi", "cab", "car"} <= set(classes[468])
    assert not {"entity", "artifact"} & {word for mine in classes for word in mine}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A run on dunes and lakes by a network of random weights; which are lakes."""
    top = tmp_path_factory.mktemp("words")
    images, lake = two_kinds(24, size=64)
    (top / "photos").mkdir()
    for number, (x, is_lake) in enumerate(zip(images, lake, strict=True)):
        Image.fromarray(x).save(top / "photos" / f"{number:02}-{'lake' if is_lake else 'dune'}.png")
    with isolated(0):
        state = vision("timm").create_model("test_vit", num_classes=0).state_dict()
    torch.save(state, top / "vit.pt")
    stage("download", "--out", top / "raw", "folder", "--data-dir", top / "photos")
    index = ("--index", top / "raw/index")
    own = ("--model", "test_vit", "--weights", top / "vit.pt", "--size", 160)
    run = top / "run"
    stage("train", *index, "--out", run / "weights", "timm", *own)
    stage("encode", *index, "--weights", run / "weights", "--out", run / "latents")
    features = ("--features", run / "latents")
    stage("cluster", *features, *index, "--out", run / "clusters", "--n-clusters", 2, "kmeans")
    return top


def isolated(seed):
    from imclust.core.reproducibility import isolated_seed

    return isolated_seed(seed)


def write_tower(folder, kind, photos):
    """A CLIP or SigLIP model whose text half was taught that dunes and lakes are these pictures
    and other nouns are not."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    library = vision("transformers")
    sentences = [text_tower.KINDS[kind].format(word).lower() for word in NOUNS]
    tokens = sorted({token for s in sentences for token in s.removesuffix(".").split()} | {"."})
    vocabulary = {t: n for n, t in enumerate(["[PAD]", "[UNK]", "[CUT]", "[END]", *tokens])}
    cut = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    cut.pre_tokenizer = pre_tokenizers.Whitespace()
    cut.post_processor = processors.TemplateProcessing(
        single="$A [END]", special_tokens=[("[END]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "eos_token": "[END]"}
    library.PreTrainedTokenizerFast(tokenizer_object=cut, **special).save_pretrained(folder)
    small = {"intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {
        "vocab_size": len(vocabulary),
        "hidden_size": 64,
        "max_position_embeddings": 8,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        **small,
    }
    patches = torch.load(photos / "vit.pt")[text_tower.PATCHES]
    sight = {"hidden_size": patches.shape[0], "patch_size": patches.shape[2], "image_size": 32}
    name = {"clip": "CLIP", "siglip": "Siglip"}[kind]
    more = {"projection_dim": 32} if kind == "clip" else {}
    with isolated(0):
        config = getattr(library, f"{name}Config")(
            text_config=text, vision_config={**sight, **small}, **more
        )
        model = getattr(library, f"{name}Model")(config)
        model.vision_model.embeddings.patch_embedding.weight.data.copy_(patches)
        goals = wanted_vectors(photos, model.visual_projection.weight.data.T if more else None)
        given = library.PreTrainedTokenizerFast.from_pretrained(folder)(
            sentences, return_tensors="pt", padding="max_length", max_length=8
        )
        given = {
            k: v for k, v in given.items() if k == "input_ids" or (more and k != "token_type_ids")
        }
        steps = torch.optim.Adam(model.parameters(), 6e-3)
        for _ in range(100):
            z = torch.nn.functional.normalize(model.get_text_features(**given).pooler_output)
            loss = (1 - (z * goals).sum(1)).mean()
            steps.zero_grad()
            loss.backward()
            steps.step()
    assert loss.item() < 0.05
    model.logit_scale.data.fill_(np.log(100))
    model.save_pretrained(folder)
    return folder


def wanted_vectors(photos, projection):
    """Units: of dunes and lakes, towards these; of other nouns, aside of both."""
    features = Features.load(photos / "run/latents")
    x = torch.tensor(np.asarray(features.x, np.float32))
    x = torch.nn.functional.normalize(x if projection is None else x @ projection)
    lake = torch.tensor(["lake" in i for i in features.ids.tolist()])
    towards = torch.nn.functional.normalize(x[lake].mean(0) - x[~lake].mean(0), dim=0)
    middle = torch.nn.functional.normalize(x.mean(0), dim=0)
    axes = torch.linalg.qr(torch.stack([middle, towards], 1)).Q
    aside = torch.randn(len(NOUNS) - 2, x.shape[1])
    aside = torch.nn.functional.normalize(aside - aside @ axes @ axes.T)
    across = axes[:, 1] * torch.sign(axes[:, 1] @ towards)
    return torch.cat([torch.stack([-across, across]), aside])


@pytest.fixture(scope="module", params=["siglip", "clip"])
def tower(request, photos):
    return write_tower(photos / request.param, request.param, photos)


@pytest.fixture(autouse=True)
def fewer_nouns(monkeypatch):
    monkeypatch.setattr(text_tower, "nouns", lambda: NOUNS)


def test_a_text_tower_names_clusters_and_finds_any_words(photos, tower, capsys, tmp_path):
    run, out = photos / "run", tmp_path / "run"
    words = ("words", "--features", run / "latents", "--text-tower", tower)
    stage(*words, "--out", out / "words")
    found = SeenClasses.load(out / "words")
    best = [found.classes[c][0] for c in found.likeliest[:, 0]]
    assert all(word in image for word, image in zip(best, found.ids.tolist(), strict=True))
    name = ("name", "--assignment", run / "clusters", "--features", run / "latents")
    stage(*name, "--words", out / "words", "--out", out / "names")
    assert {name for name, _ in found_names(out / "names")} == {"dune", "lake"}
    page = ("report", "--assignment", run / "clusters", "--words", out / "words")
    stage(*page, "--out", run / "report", "--force")
    capsys.readouterr()
    assert main(["find", str(run), "lake", "--out", str(tmp_path / "lakes.csv")]) == 0
    assert capsys.readouterr().out.startswith("12 of 24 images for 'lake', among the likeliest")
    lines = (tmp_path / "lakes.csv").read_text().splitlines()[1:]
    assert len(lines) == 12
    assert all("-lake.png" in line for line in lines)
    assert main(["find", str(run), NOUNS[50]]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"0 of 24 images for {NOUNS[50]!r}, nothing matches: in no image")


@pytest.mark.parametrize("tower", ["siglip"], indirect=True)  # the kind of the strong networks
def test_a_folder_from_pictures_to_page_by_a_text_tower(
    photos, tower, tmp_path, monkeypatch, capsys
):
    """`cluster-folder --text-tower`, its strong networks small ones in the hub's cache."""
    hub, small = tmp_path / "hub", ("test_efficientnet.r160_in1k", "test_vit.r160_in1k")
    for name in small:
        with isolated(1):
            state = vision("timm").create_model(name, num_classes=1000).state_dict()
        if name == small[-1]:
            state |= torch.load(photos / "vit.pt")
        snapshot = hub / f"models--timm--{name}" / "snapshots" / ("0" * 40)
        snapshot.mkdir(parents=True)
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
        save_file(state, snapshot / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    networks = tuple(HubNetwork(name, 2, "Apache-2.0", ("--size", "160")) for name in small)
    monkeypatch.setattr(encoder_choice, "STRONG", networks)
    monkeypatch.chdir(tmp_path)
    line = ["cluster-folder", str(photos / "photos"), "--n-clusters", "2", "--effort", "quick"]
    line += ["--encoder", "strong", "--text-tower", str(tower)]
    assert main(line) == 0
    out = capsys.readouterr().out
    run = tmp_path / "data/runs/folder-photos/strong-auto-k2-seed0"
    with (run / "assignments.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 24
    assert all(row["name"] in row["file"] for row in rows)
    assert {row["name"] for row in rows} == {"dune", "lake"}
    assert "[dune]" in out
    assert f"--text-tower {tower}" in (run / "report" / "report.html").read_text()
    assert main(["find", str(run), "lake"]) == 0
    assert capsys.readouterr().out.startswith("12 of 24 images for 'lake', among the likeliest")
    assert main(line) == 0
    assert "everything was up to date" in capsys.readouterr().out


def test_the_tower_of_another_image_network_is_refused(photos, tower, tmp_path, capsys):
    state = torch.load(photos / "vit.pt")
    state[text_tower.PATCHES] *= 1.5
    torch.save(state, tmp_path / "other.pt")
    index = ("--index", photos / "raw/index")
    own = ("--model", "test_vit", "--weights", tmp_path / "other.pt", "--size", 160)
    stage("train", *index, "--out", tmp_path / "w", "timm", *own)
    stage("encode", *index, "--weights", tmp_path / "w", "--out", tmp_path / "z")
    words = ["words", "--features", f"{tmp_path}/z", "--out", f"{tmp_path}/words"]
    capsys.readouterr()
    assert main([*words, "--text-tower", str(tower)]) == 2
    assert "must be the image half of" in capsys.readouterr().err
    assert not (tmp_path / "words").exists()


def test_what_is_no_text_tower_is_refused(photos, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="--text-tower must be a folder"):
        TextTower(str(tmp_path / "nowhere"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("imclust.training.pretrained.reach_hub", unreachable)
    with pytest.raises(InputError, match=r"got owner/model \(no such folder, .* OSError\); get"):
        TextTower("owner/model")
    other = tmp_path / "bert"
    other.mkdir()
    for name in ("model.safetensors", "tokenizer.json"):
        (other / name).write_bytes(b"")
    (other / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(InputError, match="got bert, which has no text beside images"):
        TextTower(str(other))
    (other / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(InputError, match=r"model\.safetensors must be whole"):
        TextTower(str(other))


def unreachable():
    raise OSError("unreachable")


def test_words_of_the_bundled_network_find_what_it_sees(photos, tmp_path, capsys):
    """Two real photographs: a flower and a temple."""
    from sklearn.datasets import load_sample_images

    (tmp_path / "real").mkdir()
    for n in range(4):
        for name, x in zip(("china", "flower"), load_sample_images().images, strict=True):
            cut = x[n * 9 :, n * 9 :]
            Image.fromarray(cut).save(tmp_path / "real" / f"{name}{n}.jpg")
    raw, run = tmp_path / "raw", tmp_path / "run"
    stage("download", "--out", raw, "folder", "--data-dir", tmp_path / "real", "--least", 1)
    index = ("--index", raw / "index")
    stage("train", *index, "--out", run / "w", "timm")
    stage("encode", *index, "--weights", run / "w", "--out", run / "z")
    stage("words", "--features", run / "z", "--out", run / "words")
    stage(
        "cluster",
        "--features",
        run / "z",
        *index,
        "--out",
        run / "clusters",
        "--n-clusters",
        2,
        "kmeans",
    )
    stage(
        "report",
        "--assignment",
        run / "clusters",
        "--words",
        run / "words",
        "--out",
        run / "report",
    )
    # What the network has no word for is found by the names of clusters.
    spec = ArtifactSpec(NAMES_KIND, {}, {"assignment": run / "clusters"}, ())

    def named(folder):
        rows = [(0, "sunrise or sunset", "", ""), (1, "meadow in sunshine", "", "")]
        write_csv(folder / "names.csv", ("cluster", "name", "evidence", "share"), rows)
        return {"names": [row[1] for row in rows]}

    make_artifact(run / "names", spec, named)
    capsys.readouterr()
    assert main(["find", str(run), "sunset"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "of 8 images for 'sunset', in clusters that are called so" in told[0]
    assert all("sunrise or sunset" in line for line in told[2:])
    assert len(told) == 2 + int(told[0].split()[0])
    assert main(["find", str(run), "Flowers"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("4 of 8 images for 'Flowers', seen as flower")
    assert [line.split()[-1][:5] for line in told[2:]] == ["flowe"] * 4
    assert main(["find", str(run), "school bus"]) == 0
    assert capsys.readouterr().out == "0 of 8 images for 'school bus', nothing matches\n"
    wrong = {
        "zzzz": "must be one of the",
        "goldfish pizza": "look for one at a time: goldfish, pizza",
        " ": "the words to find must be given",
    }
    for words, sentence in wrong.items():
        assert main(["find", str(run), words]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["find", str(tmp_path / "real"), "sea"]) == 2
    assert main(["find", str(photos / "run"), "sea", "--most", "0"]) == 2


def test_a_tower_goes_with_the_strong_networks_alone(capsys):
    at = RunPaths(Path(), "photos", "strong-auto-seed0", "timm", 0)
    strong = strong_paths(at)
    words, name = name_commands(at, strong, "owner/tower")
    latents = ("--features", str(strong[-1].encoded / "latents"))  # SigLIP2's
    assert words == (
        "words",
        *latents,
        "--out",
        str(strong[-1].words),
        "--text-tower",
        "owner/tower",
    )
    assert name[3:5] == latents
    assert name[-2:] == ("--words", str(strong[-1].words))
    assert name_commands(at, strong, "")[0][2] == str(at.encoded / "latents")
    assert main(["cluster-folder", "x", "--text-tower", "owner/tower"]) == 2
    assert "--text-tower must be used with --encoder strong" in capsys.readouterr().err
