"""Every value of Linkerd's charts does something here: set to another, it changes what is installed."""

import csv
import functools
import json
import pathlib

import pytest
import yaml

from cluster.installed import Pair

DATA = pathlib.Path(__file__).parent / "testdata"
ROWS = list(csv.reader(DATA.joinpath("values.tsv").open(), delimiter="\t", quoting=csv.QUOTE_NONE))

# Accepted, and without effect: of Linkerd's charts too, but for the first, whose policies are gone from Kubernetes.
SILENT = {
    "enablePSP": "PodSecurityPolicies are no longer",
    "kubeAPI.clientQPS": "a default that identity.kubeAPI repeats", "kubeAPI.clientBurst": "a default that identity.kubeAPI repeats",
    "image": "of an extension's templates", "image.version": "of an extension's templates",
    "proxy.component": "each component has its own", "proxy.loadTrustBundleFromConfigMap": "each component has its own",
    "proxy.podInboundPorts": "the ports of the pod itself", "proxy.capabilities": "those of the application",
    "debugContainer.image.name": "of injected pods", "debugContainer.image.version": "of injected pods", "debugContainer.image.pullPolicy": "of injected pods",
    "proxy.capabilities.add": "those of the application", "proxy.capabilities.drop": "those of the application",
}

CNI, MONITORS, TRACING, BUDGETS = {"cniEnabled": True}, {"podMonitor": {"enabled": True}}, {"controller": {"tracing": {"enabled": True}}}, {"enablePodDisruptionBudget": True}
PROXY_TRACING = {"proxy": {"tracing": {"enabled": True, "collector": {"endpoint": "a.b:1", "meshIdentity": {"serviceAccountName": "a", "namespace": "b"}}}}}
MOUNT = {"name": "a", "mountPath": "/a"}
GIVEN = {"crtPEM": "a", "keyPEM": "b", "caBundle": "c"}
# What is needed besides, by the beginning of the path.
CONTEXTS = {
    "networkValidator": CNI, "podMonitor": MONITORS, "controller.tracing": TRACING, "proxy.tracing": PROXY_TRACING, "controller.podDisruptionBudget": BUDGETS,
    "proxyInjector.crtPEM": {"proxyInjector": GIVEN}, "proxyInjector.keyPEM": {"proxyInjector": GIVEN}, "profileValidator.crtPEM": {"profileValidator": GIVEN},
    "profileValidator.keyPEM": {"profileValidator": GIVEN}, "policyValidator.crtPEM": {"policyValidator": GIVEN}, "policyValidator.keyPEM": {"policyValidator": GIVEN},
    "repairController": {"repairController": {"enabled": True}},
    "proxy.saMountPath": {"proxy": {"saMountPath": MOUNT}}, "proxyInit.saMountPath": {"proxyInit": {"saMountPath": MOUNT}},
}
# One does not go without the others: test_install changes them together.
CERTIFICATES = {"identityTrustAnchorsPEM", "identity.issuer.tls.crtPEM", "identity.issuer.tls.keyPEM"}
# Tried in turn until one is of the kind that the value has to be.
CANDIDATES = [True, False, 7, 7000, "7000", "7", "audit", "7s", "77Mi", "2", "10.7.0.0/16", "debug", "info", "json", "Always", "Fail", "insecure", "apache", "legacy", "transparent",
              "0.5", 0.5, "kubernetes.io/tls", "OnDelete", "/audit", {"a": "b"}, [{"name": "a", "value": "b"}], [{"kind": "Group", "name": "a"}], ["a"], ["SYS_TIME"], {**MOUNT, "name": "b"},
              {"add": ["SYS_TIME"]}, {"cpu": {"limit": "3"}}, {"version": "a"}, {"address": "http://a"}, [{"key": "a", "operator": "Exists"}], "sha256:" + "0" * 64]
def merged(a, b):
    return {**a, **{key: merged(a[key], value) if isinstance(value, dict) and isinstance(a.get(key), dict) else value for key, value in b.items()}}


def at(path, value):
    keys = ["nodeSelector", "kubernetes.io/os"] if path.startswith("nodeSelector.") else path.split(".labels.") if ".labels." in path else None
    keys = [*keys[0].split("."), "labels", keys[1]] if keys and keys[0] != "nodeSelector" else keys or path.split(".")
    for key in reversed(keys):
        value = {key: value}
    return value


def candidates(default):
    """The likeliest first."""
    first = [default == "false"] if default in ("true", "false") else [int(default) + 1] if default.lstrip("-").isdigit() else []
    return [*first, *CANDIDATES]


@pytest.fixture
def effect(linkerd, tmp_path):
    """effect(chart, values): all that follows from these values; None where they are refused."""
    trusted = Pair("root.linkerd.cluster.local", ca=True)
    issuer = Pair("identity.linkerd.cluster.local", trusted, ca=True)
    identity = {"identityTrustAnchorsPEM": trusted.pem, "identity": {"issuer": {"tls": {"crtPEM": issuer.pem, "keyPEM": issuer.key_pem}}}}

    def objects(*words):
        done = linkerd(*words)
        return None if done.returncode else [one for one in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader)
                                             if one and one["metadata"]["name"] not in ("linkerd-config", "linkerd-config-overrides")]

    def of_crds(values):
        return objects("install", "--ignore-cluster", "--crds", "-f", values)

    def of_cni(values):
        return objects("install-cni", "-f", values)

    def of_control_plane(values):
        return objects("install", "--ignore-cluster", "-f", values)

    render = {"linkerd-crds": of_crds, "linkerd2-cni": of_cni, "linkerd-control-plane": of_control_plane}

    @functools.cache
    def run(chart, text):
        (tmp_path / "values.yaml").write_text(text)
        return render[chart]("values.yaml")

    return lambda chart, values: run(chart, json.dumps(merged(identity, values) if chart == "linkerd-control-plane" else values))


@pytest.mark.slow
def test_every_value_has_an_effect(effect):
    silent = set()
    for chart, path, default in (row for row in ROWS if "(" not in row[0] and row[1] not in CERTIFICATES):
        context = next((context for beginning, context in CONTEXTS.items() if path.startswith(beginning) and not (beginning == "repairController" and path.endswith("enabled"))), {})
        before = effect(chart, context)
        assert before, (chart, path)
        after = (effect(chart, merged(context, at(path, candidate))) for candidate in candidates(default))
        if not any(found and found != before for found in after):
            silent.add(path)
    assert sorted(silent) == sorted(SILENT)
