import pytest

from lib.controller import Controller


@pytest.fixture
def control(tmp_path, programs, binaries):
    controller = Controller(tmp_path, programs, binaries)
    yield controller
    controller.close()


@pytest.fixture
def wait_for():
    """wait_for(condition): its value once it is true; fails after ten seconds."""
    import time

    def wait(condition, seconds=10):
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)
    return wait
