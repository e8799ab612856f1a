"""The image of the demo's application: unmodified programs of Debian and gRPC's own interop pair, without a distribution around them.

    image.py OUT.tar [NAME]
"""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
sys.path.insert(0, str(TREE / "images"))

from layout import Source  # noqa: E402
from oci import Image  # noqa: E402

NAME = "localhost/clinkerd/demo-shop:1"
DEBIAN = ("/usr/sbin/nginx", "/usr/bin/redis-server", "/usr/bin/redis-cli", "/usr/bin/redis-benchmark", "/usr/bin/curl", "/usr/bin/hey",
          "/usr/bin/dash", "/usr/bin/sleep", "/usr/bin/cat", "/usr/bin/grep")
GRPC = ("grpc-server", "grpc-client")  # of google.golang.org/grpc/interop
NOBODY = 65534


def make(out, name=NAME):
    go = pathlib.Path(subprocess.run([TREE / "scripts/deps", "where", "go"], capture_output=True, text=True, check=True).stdout.strip())
    image = Image(name, user=NOBODY, env={"PATH": "/usr/bin:/usr/sbin:/bin"})
    programs = [Source.system(path) for path in DEBIAN]
    for path in programs:
        image.file(str(path), path.resolve(), mode=0o755)
    image.link("/bin/sh", "../usr/bin/dash")
    for program in GRPC:
        image.file(f"/usr/bin/{program}", Source.system(go / program), mode=0o755)
    for path, file in Source.libraries(*programs).items():
        image.file(path, file, mode=0o755)
    image.file("/etc/passwd", b"nobody:x:65534:65534:nobody:/:/bin/sh\n")  # nginx and redis ask who they are
    image.file("/etc/group", b"nogroup:x:65534:\n")
    image.folder("/tmp", mode=0o1777)
    image.write(out)
    return name


if __name__ == "__main__":
    print(make(pathlib.Path(sys.argv[1]), *sys.argv[2:]))
