"""The sample reports, drawn once for all tests."""

from __future__ import annotations

import pytest

from tests.report.sample import nasty, sample
from vaelab.report.blocks import Report


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return sample(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return nasty(tmp_path_factory.mktemp("hostile"))
