"""What answers in the place of an API server: a login page, a proxy, something broken. It is never taken for an empty cluster."""

import json

import pytest


class Always(dict):
    """The same page at every path."""

    def __init__(self, text, status=200):
        super().__init__()
        self.answer = status, text

    def get(self, path, default=None):
        return self.answer


@pytest.fixture
def at(admin, linkerd, tmp_path):
    """at(text, words...): a command where everything is answered by this text."""
    def run(text, *words, status=200):
        (tmp_path / "config").write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "clusters": [{"name": "a", "cluster": {"server": f"http://{admin(Always(text, status))}"}}], "users": [{"name": "a", "user": {}}]}))
        return linkerd(*words, "--kubeconfig", "config")

    return run


@pytest.mark.parametrize("text, says", [
    ("<html>Please log in</html>", "the answer is no JSON"), ("", "the answer is no JSON"), ("[]", "the answer is no object"),
    ("{}", "the answer is no list: expected items"), ('{"items": 3}', "the answer is no list"), ('{"items": {}}', "the answer is no list"),
    ('{"items": [], "metadata": {"continue": "x"}}', "the list does not end"),
])
def test_no_empty_cluster(at, text, says):
    """Whoever pipes this into kubectl deletes nothing, and does not believe that there is nothing to delete."""
    done = at(text, "uninstall")
    assert (done.returncode, done.stdout) == (1, "") and says in done.stderr and "/api/v1/pods" in done.stderr, done.stderr


@pytest.mark.parametrize("words", [("install",), ("upgrade",), ("prune",), ("uninstall",), ("install", "--crds"), ("install-sp",)])
@pytest.mark.parametrize("text, status", [("<html>", 200), ("{}", 200), ("no", 401), ("{}", 403), ('{"message": "you may not"}', 403)])
def test_nothing_is_printed(at, words, text, status):
    done = at(text, *words, status=status)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("linkerd: "), done.stderr
