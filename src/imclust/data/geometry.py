"""Which of two images' matched keypoints agree on one geometry."""

from __future__ import annotations

from typing import Literal

import numpy as np

Geometry = Literal["homography", "fundamental"]
# One more than always have a geometry: four points a homography, seven a fundamental matrix.
LEAST_MATCHES: dict[Geometry, int] = {"homography": 5, "fundamental": 8}
ERROR = 4.0  # pixels of the scaled image
ROUNDS = 500
GIVEN = 0.999  # confidence at which the search for a geometry may end
TINY = 1e-12


def agreeing(one: np.ndarray, other: np.ndarray, geometry: Geometry = "homography") -> np.ndarray:
    """Which matches agree on one geometry: (m,) bool.

    It is sought by USAC with MAGSAC's scores (Barath et al. 2020; OpenCV's `USAC_MAGSAC`), whose
    random choices are fixed: the same points give the same answer.

    Parameters
    ----------
    one, other : np.ndarray
        (m, 2) float32, pixels; row i of both is one match.
    geometry : {'homography', 'fundamental'}
        `homography`: what is seen is flat, or the camera only turned. `fundamental`: a rigid thing
        of any shape; a point has to lie on a line then, which chance allows more often.

    Returns
    -------
    np.ndarray
        None agree where there are fewer than 5 (8) matches, or no geometry is found.

    Examples
    --------
    >>> xy = np.random.default_rng(0).uniform(0, 99, (9, 2)).astype(np.float32)
    >>> int(agreeing(xy, xy + 5).sum()), int(agreeing(xy[:4], xy[:4]).sum())
    (9, 0)
    """
    import cv2

    none = np.zeros(len(one), bool)
    if len(one) < LEAST_MATCHES[geometry]:
        return none
    try:
        if geometry == "homography":
            found, agree = cv2.findHomography(
                one, other, cv2.USAC_MAGSAC, ERROR, maxIters=ROUNDS, confidence=GIVEN
            )
        else:
            found, agree = cv2.findFundamentalMat(one, other, cv2.USAC_MAGSAC, ERROR, GIVEN, ROUNDS)
    except cv2.error:  # OpenCV's way to say of some points that no matrix fits them
        return none
    if found is None or agree is None or (geometry == "homography" and not plausible(found)):
        return none
    return agree.ravel().astype(bool)


def plausible(homography: np.ndarray) -> bool:
    """Whether a homography (3, 3) neither mirrors nor squeezes the picture beyond 1 : 16.

    Those that do fit keypoints that have nothing to do with each other: USAC found a line.

    Examples
    --------
    >>> plausible(np.eye(3)), plausible(np.diag([1.0, -1.0, 1.0]))
    (True, False)
    """
    area = float(np.linalg.det(homography[:2, :2]) / (homography[2, 2] ** 2 + TINY))
    return 1 / 16 < area < 16
