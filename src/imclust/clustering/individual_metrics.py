"""Numbers about answers of many small clusters: per image, per pair, and by information."""

from __future__ import annotations

import numpy as np

from imclust.clustering.metrics import ari, contingency


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
    return {
        "ari": ari(y, c), "ami": ami(y, c), "v_measure": v, "homogeneity": h, "completeness": k,
        "b_cubed_precision": bp, "b_cubed_recall": br, "b_cubed_f1": bf,
        "pair_precision": pp, "pair_recall": pr, "pair_f1": pf,
    }  # fmt: skip
