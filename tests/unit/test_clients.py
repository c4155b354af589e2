"""How boards are named."""

import pytest

from imclust.competitions.clients import SERVICES, board_of, client_class, connect
from imclust.competitions.clients._base import ChallengeClient
from imclust.core.errors import InputError


@pytest.mark.parametrize(
    ("text", "service", "slug"),
    [
        ("kaggle:titanic", "kaggle", "titanic"),
        ("https://www.kaggle.com/competitions/titanic/data", "kaggle", "titanic"),
        ("https://www.kaggle.com/c/ml2020spring-hw9?tab=a", "kaggle", "ml2020spring-hw9"),
        ("kaggle:https://www.kaggle.com/c/titanic", "kaggle", "titanic"),
        ("https://www.aicrowd.com/challenges/demo", "aicrowd", "demo"),
        ("https://www.aicrowd.com/challenges/ai/problems/one/submissions", "aicrowd", "one"),
    ],
)
def test_a_board_is_a_service_and_a_name(text, service, slug):
    assert board_of(text) == (service, slug)
    assert (connect(text).service, connect(text).slug) == (service, slug)


@pytest.mark.parametrize("text", ["titanic", "kaggle:", "", "codalab:x", "https://example.org/c/x"])
def test_what_is_no_board_is_one_sentence(text):
    with pytest.raises(InputError, match="must be"):
        connect(text)


def test_another_client_is_named_by_via():
    with pytest.raises(InputError, match="--via of kaggle"):
        client_class("kaggle", "cli")
    for service, clients in SERVICES.items():
        for via in clients:
            assert issubclass(client_class(service, via), ChallengeClient)
            assert client_class(service, via).service == service
