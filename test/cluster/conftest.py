"""The cluster with the mesh and the example application in it that several files share, and the load on it."""

import contextlib

import pytest

from cluster.mesh import installed

SHARING = ("test_linkerd", "test_mesh", "test_pods", "test_rights")


class Shared:
    """Made when first asked for; gone after the last file that shares it, so that no other test runs beside it."""

    def __init__(self):
        self.stack, self.mesh = contextlib.ExitStack(), None

    def get(self, binaries, folder):
        if not self.mesh:
            self.mesh = self.stack.enter_context(installed(binaries, folder))
        return self.mesh

    def close(self):
        self.mesh = None
        self.stack.close()


@pytest.fixture(scope="session")
def shared():
    shared = Shared()
    yield shared
    shared.close()


@pytest.fixture(scope="module")
def mesh(request, shared, binaries, tmp_path_factory):
    try:
        yield shared.get(binaries, tmp_path_factory.mktemp("mesh"))
    except LookupError as error:
        pytest.skip(f"images take static programs: --build build/release ({error})")
    items = request.session.items
    last = max(number for number, item in enumerate(items) if item.module is request.module)
    if not any(item.module.__name__.rsplit(".", 1)[-1] in SHARING for item in items[last + 1:]):
        shared.close()


@pytest.fixture
def load(mesh):
    """Under the shopper's load: what the test does loses no request. The report that was begun before the test does not count."""
    def more(count):
        seen = len(mesh.said("visitor"))
        mesh.cluster.until(lambda: len(mesh.said("visitor")) >= seen + count, "the shopper's report")

    more(1)
    before, read, kept = (len(mesh.said(client)) for client in ("visitor", "reader", "keeper"))
    yield more
    more(2)
    counts, errors = mesh.reports(before)
    assert not errors and set(counts) == {200} and sum(counts.values()) >= 150, (counts, errors)
    assert set(mesh.said("reader")[read:]) == {"done"}, mesh.said("reader")
    assert not mesh.said("keeper")[kept:], mesh.said("keeper")
