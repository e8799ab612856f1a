"""cluster up|down|run|kubectl|load: a Kubernetes cluster on this machine; see README.md."""

import argparse
import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent)  # in place of the folder of this file: its modules are cluster.NAME

NAME = os.environ.get("CLUSTER", "cluster")  # for several at once
STATE = pathlib.Path(f"/run/clinkerd-{NAME}.json")
LOG = pathlib.Path(f"/run/clinkerd-{NAME}.log")  # what its owner says, mostly when it does not start


def fail(text):
    raise SystemExit(f"cluster: {text}")


def state():
    """What `up` wrote; complains when no cluster runs."""
    try:
        found = json.loads(STATE.read_text())
        os.kill(found["pid"], 0)
        return found
    except (OSError, ValueError):
        fail("none is running; start one: make cluster")


def serve(options):
    """The process that owns the cluster: until SIGTERM."""
    from cluster.cluster import Cluster
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # KeyboardInterrupt, so that the cluster is closed
    with contextlib.suppress(KeyboardInterrupt), Cluster(nodes=options.nodes) as cluster:
        STATE.write_text(json.dumps({
            "pid": os.getpid(), "folder": str(cluster.folder), "kubeconfig": str(cluster.control.admin),
            "namespace": cluster.control.host.path,
            "nodes": {node.name: {"namespace": node.host.path, "mounts": node.mounts.holder.pid} for node in cluster.nodes},
        }))
        try:
            print("ready", flush=True)
            signal.pause()
        finally:
            STATE.unlink(missing_ok=True)
            LOG.unlink(missing_ok=True)


def up(options):
    if STATE.exists():
        try:
            os.kill(json.loads(STATE.read_text())["pid"], 0)
            fail("one is running already; end it: make cluster-down")
        except (ValueError, ProcessLookupError):
            STATE.unlink()
    with open(LOG, "w") as log:  # nothing of ours is inherited: whoever reads our output is not to wait for the cluster's end
        owner = subprocess.Popen([sys.executable, __file__, "serve", f"--nodes={options.nodes}"], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=log, start_new_session=True, text=True)
    if owner.stdout.readline().strip() != "ready":
        sys.stderr.write(LOG.read_text())
        fail(f"it did not start (status {owner.wait()})")
    print(f"""a cluster of {options.nodes} node(s) runs
  test/cluster/cluster kubectl get pods -A
  test/cluster/cluster run CMD...         beside its API server, KUBECONFIG set
  test/cluster/cluster load IMAGE.tar     into every node
  make cluster-down                       ends it and leaves nothing""")


def down(options):
    found = state()
    pidfd = os.pidfd_open(found["pid"])
    os.kill(found["pid"], signal.SIGTERM)
    if not select.select([pidfd], [], [], 120)[0]:
        fail(f"process {found['pid']} did not end within two minutes")


def inside(namespace, *argv):
    os.execvp("nsenter", ["nsenter", f"--net={namespace}", "--", *argv])


def run(options):
    found = state()
    os.environ["KUBECONFIG"] = found["kubeconfig"]
    inside(found["namespace"], *options.argv)


def load(options):
    found = state()
    for tar in options.argv:
        for node in found["nodes"].values():
            subprocess.run(["nsenter", f"--net={node['namespace']}", f"--mount=/proc/{node['mounts']}/ns/mnt", "--", "ctr",
                            "--namespace=k8s.io", "images", "import", os.path.abspath(tar)], check=True)


def kubectl(options):
    options.argv.insert(0, "kubectl")
    run(options)


def main():
    parser = argparse.ArgumentParser(prog="cluster", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for function in (up, serve):
        command = commands.add_parser(function.__name__)
        command.add_argument("--nodes", type=int, default=1, choices=range(1, 6), metavar="N")
        command.set_defaults(run=function)
    commands.add_parser("down").set_defaults(run=down)
    for function in (run, kubectl, load):
        command = commands.add_parser(function.__name__)
        command.add_argument("argv", nargs=argparse.REMAINDER)
        command.set_defaults(run=function)
    if os.geteuid() != 0:
        fail("it needs root: it makes namespaces, mounts and cgroups")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
