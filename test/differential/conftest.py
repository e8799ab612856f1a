import pytest

from differential.lab import Lab
from proxy.conftest import pair  # noqa: F401 (a fixture)


@pytest.fixture
def lab(pair, network, tmp_path):  # noqa: F811
    tmp_path.chmod(0o755)
    lab = Lab(pair, network, tmp_path)
    yield lab
    lab.close()
