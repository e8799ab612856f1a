import pytest

from lib.controller import Controller
from lib.wait import until


@pytest.fixture
def control(tmp_path, programs, binaries):
    controller = Controller(tmp_path, programs, binaries)
    yield controller
    controller.close()


@pytest.fixture
def wait_for():
    """wait_for(condition): its value once it is true; fails after a while."""
    return until
