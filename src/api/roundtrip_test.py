#!/usr/bin/env python3
"""Feeds testdata/*.txtpb through decoders and encoders, with protoc's view of the bytes as judge.

usage: roundtrip_test.py PROGRAM [--corpus FOLDER]

Each text is encoded by protoc, decoded and encoded by PROGRAM, and shown by protoc again: the same text has to come
out. Every field of the messages that api/ converts has to occur in some text, so that a field nobody carries over is
found. Where LINKERD_PEERS has the published protos, protoc reads our bytes with those. --corpus writes the encoded
messages as seeds for the fuzzers instead.
"""
import difflib
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto"
# Fields that are read by nobody, or are no part of the messages here.
UNUSED = {("io.linkerd.proxy.outbound.HttpRoute.RouteBackend", "requestTimeout"),
          ("io.linkerd.proxy.outbound.GrpcRoute.RouteBackend", "requestTimeout")}
SEEDS = {"Update": "api_update", "DestinationProfile": "api_profile", "Server": "api_server_policy",
         "OutboundPolicy": "api_outbound_policy", "CertifyRequest": "api_certify", "CertifyResponse": "api_certify",
         "GetDestination": "api_workload", "PortSpec": "api_workload", "TrafficSpec": "api_workload"}


def protoc(proto, action, data, folder=PROTO):
    return subprocess.run(["protoc", f"-I{folder}", "-I/usr/include", action, proto], input=data, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


def head(path):
    words = path.read_text().splitlines()[0].split()
    return words[2], words[4]


def fields_of(text, name, types, seen):
    """Adds (message, field) of every field in protoc's text format to seen."""
    stack = [name]
    for line in text.splitlines():
        word = re.match(r"\s*(\w+)", line)
        if "}" in line and not word:
            stack.pop()
        elif word:
            seen.add((stack[-1], word[1]))
            if line.rstrip().endswith("{"):
                stack.append(types[stack[-1], word[1]])


def reachable(roots, types):
    todo, found = list(roots), set()
    while todo:
        message = todo.pop()
        if message in found:
            continue
        found.add(message)
        todo += [kind for (owner, _), kind in types.items() if owner == message and "." in kind]
    return found


def check_one(path, program, types, seen):
    proto, message = head(path)
    short = message.rsplit(".", 1)[1]
    encoded = protoc(proto, f"--encode={message}", path.read_bytes())
    ran = subprocess.run([program, short], input=encoded, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if ran.returncode:
        return [f"{path.name}: {ran.stderr.decode().strip()}"]
    before = protoc(proto, f"--decode={message}", encoded).decode()
    fields_of(before, message, types, seen)
    judges = [PROTO]
    peers = pathlib.Path(os.environ.get("LINKERD_PEERS", "/nonexistent")) / "linkerd2-proxy-api" / "proto"
    if peers.is_dir() and message.startswith("io.linkerd."):
        judges.append(peers)
    problems = []
    for judge in judges:
        after = protoc(proto, f"--decode={message}", ran.stdout, judge).decode()
        if before != after:
            problems += difflib.unified_diff(before.splitlines(), after.splitlines(), path.name, "what came back", "")
    return problems


def main():
    program = os.path.abspath(sys.argv[1])
    texts = sorted((HERE / "testdata").glob("*.txtpb"))
    if "--corpus" in sys.argv:
        corpus = pathlib.Path(sys.argv[sys.argv.index("--corpus") + 1])
        for path in texts:
            proto, message = head(path)
            folder = SEEDS.get(message.rsplit(".", 1)[1])
            if folder:
                (corpus / folder).mkdir(parents=True, exist_ok=True)
                (corpus / folder / path.stem).write_bytes(protoc(proto, f"--encode={message}", path.read_bytes()))
        return 0
    rows = [line.split("\t") for line in (PROTO / "fields.tsv").read_text().splitlines()[1:]]
    types = {(row[0], row[1]): row[3] for row in rows if row[4] not in ("enum", "rpc")}
    types.update({(f"google.protobuf.{kind}", name): "int" for kind in ("Duration", "Timestamp")
                  for name in ("seconds", "nanos")})
    seen, problems = set(), []
    for path in texts:
        problems += check_one(path, program, types, seen)
    for message in sorted(reachable({head(path)[1] for path in texts}, types)):
        for (owner, field) in sorted(types):
            if owner == message and (owner, field) not in seen | UNUSED:
                problems.append(f"no text in testdata has {owner}.{field}")
    print("\n".join(problems) or f"{len(texts)} messages and {len(seen)} fields come back as they were")
    return 1 if problems else 0


sys.exit(main())
