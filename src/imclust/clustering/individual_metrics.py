"""Numbers about answers of many small clusters: per image, per pair, and by information."""

from __future__ import annotations

import numpy as np

from imclust.clustering.metrics import ari, contingency

REWARDS = {
    "ari": "pairs, above chance: large classes count by the square of their size",
    "ami": "information, above chance: small classes count by their images",
    "v_measure": "no mixing and no dividing, in the same measure; chance is not taken off",
    "homogeneity": "clusters of one class each, however many",
    "completeness": "classes in one cluster each, however mixed",
    "b_cubed_precision": "image by image: how much of its cluster is of its class",
    "b_cubed_recall": "image by image: how much of its class is in its cluster",
    "b_cubed_f1": "both",
    "pair_precision": "pairs in one cluster that are right",
    "pair_recall": "right pairs that are in one cluster",
    "pair_f1": "both; large classes decide",
    "row_f1": "image by image: the F1 of its list of matches, itself included (Shopee)",
    "scene_purity": "clean clusters for scenes of two images or more (Image Matching 2025)",
    "scene_coverage": "scenes whole in their cluster: the most that poses could earn",
    "scene_f1": "both; what lies outside the scenes' clusters does not count",
}
"""What each number rewards, in the order in which they are told."""


def v_measure(y: np.ndarray, c: np.ndarray) -> tuple[float, float, float]:
    """Homogeneity, completeness, V-measure, each in [0, 1] (Rosenberg and Hirschberg 2007).

    Homogeneity falls when a cluster holds several classes, completeness when a class is divided.

    Parameters
    ----------
    y, c : np.ndarray
        (n,) classes and clusters.

    Examples
    --------
    >>> v_measure(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))
    (1.0, 1.0, 1.0)
    """
    from sklearn.metrics import homogeneity_completeness_v_measure

    h, k, v = homogeneity_completeness_v_measure(y, c)
    return float(h), float(k), float(v)


def ami(y: np.ndarray, c: np.ndarray) -> float:
    """Adjusted mutual information, at most 1, 0 at chance (Vinh, Epps and Bailey 2010).

    Small classes count as much as their images; in the adjusted Rand index a class counts by its
    pairs, so that large ones decide.

    Examples
    --------
    >>> ami(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
    1.0
    """
    from sklearn.metrics import adjusted_mutual_info_score

    return float(adjusted_mutual_info_score(y, c))


def b_cubed(y: np.ndarray, c: np.ndarray) -> tuple[float, float, float]:
    """B-cubed precision, recall and F1, each in (0, 1] (Bagga and Baldwin 1998).

    The precision of an image is the share of its cluster that is of its class, its recall the
    share of its class that is in its cluster; both are averaged over the images.

    Parameters
    ----------
    y, c : np.ndarray
        (n,) classes and clusters.

    Examples
    --------
    >>> b_cubed(np.array([0, 0, 1]), np.array([0, 0, 0]))[1]
    1.0
    """
    m = contingency(y, c).astype(np.float64)
    precision = float((m**2 / m.sum(0)).sum() / m.sum())
    recall = float((m**2 / m.sum(1, keepdims=True)).sum() / m.sum())
    return precision, recall, 2 * precision * recall / (precision + recall)


def pair_scores(y: np.ndarray, c: np.ndarray) -> tuple[float, float, float]:
    """Precision, recall and F1 of the pairs that share a cluster, each in [0, 1].

    1 where there is no pair to be right or wrong about.

    Parameters
    ----------
    y, c : np.ndarray
        (n,) classes and clusters.

    Examples
    --------
    >>> pair_scores(np.array([0, 0, 1]), np.array([0, 0, 0]))[1]
    1.0
    """
    m = contingency(y, c)
    both, in_cluster, in_class = (int((v * (v - 1)).sum()) for v in (m, m.sum(0), m.sum(1)))
    precision = both / in_cluster if in_cluster else 1.0
    recall = both / in_class if in_class else 1.0
    f1 = 2 * precision * recall / (precision + recall) if both else 0.0
    return precision, recall, f1 if in_cluster or in_class else 1.0


def row_f1(y: np.ndarray, c: np.ndarray) -> float:
    """Mean over images of the F1 of what each is said to match, itself included: in (0, 1].

    Of an image in a cluster of a and a class of b images that share m, it is 2 m / (a + b). The
    score of Shopee's Price Match Guarantee (Kaggle 2021): an image counts the same whatever the
    size of its class, and one that nobody matches is right when it is left alone.

    Parameters
    ----------
    y, c : np.ndarray
        (n,) classes and clusters.

    Examples
    --------
    >>> row_f1(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1]))
    0.8333333333333333
    """
    m = contingency(y, c).astype(np.float64)
    f1 = 2 * m / (m.sum(1, keepdims=True) + m.sum(0))
    return float((m * f1).sum() / m.sum())


def scene_scores(y: np.ndarray, c: np.ndarray) -> tuple[float, float, float]:
    """Purity, coverage and their harmonic mean of the clusters that stand for scenes: in [0, 1].

    Every scene, a class of two images or more, is stood for by the cluster with most of its
    images, of equal ones by the smallest. Purity is the share of the images of these clusters that
    are of their scene; coverage the share of the scenes' images that are in them. Images that are
    of no scene (classes of one: outliers) do harm in a scene's cluster and nowhere else.

    The clustering part of the Image Matching Challenge 2025 (Kaggle), whose score is the harmonic
    mean of clustering purity and mAA. mAA asks for camera poses, which a clustering has not;
    coverage stands in its place, and bounds it: what is not in the cluster has no pose.

    Parameters
    ----------
    y, c : np.ndarray
        (n,) classes and clusters.

    Examples
    --------
    >>> scene_scores(np.array([0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1]))
    (0.8, 1.0, 0.888888888888889)
    """
    m = contingency(y, c)
    scenes = np.flatnonzero(m.sum(1) > 1)
    if not len(scenes):
        return 1.0, 1.0, 1.0
    sizes = m.sum(0)
    # The most images first, then the smallest cluster: sizes are below n + 1.
    best = (m[scenes] * (int(sizes.max()) + 1) - sizes).argmax(1)
    shared = int(m[scenes, best].sum())
    purity, coverage = shared / int(sizes[best].sum()), shared / int(m[scenes].sum())
    return purity, coverage, 2 * purity * coverage / (purity + coverage)


def individual_scores(y: np.ndarray, c: np.ndarray) -> dict[str, float]:
    """All of these and the adjusted Rand index, by name.

    Parameters
    ----------
    y, c : np.ndarray
        (n,) classes and clusters.

    Examples
    --------
    >>> individual_scores(np.array([0, 0, 1]), np.array([0, 0, 1]))["ari"]
    1.0
    """
    h, k, v = v_measure(y, c)
    bp, br, bf = b_cubed(y, c)
    pp, pr, pf = pair_scores(y, c)
    sp, sc, sf = scene_scores(y, c)
    return {
        "ari": ari(y, c), "ami": ami(y, c), "v_measure": v, "homogeneity": h, "completeness": k,
        "b_cubed_precision": bp, "b_cubed_recall": br, "b_cubed_f1": bf,
        "pair_precision": pp, "pair_recall": pr, "pair_f1": pf, "row_f1": row_f1(y, c),
        "scene_purity": sp, "scene_coverage": sc, "scene_f1": sf,
    }  # fmt: skip
