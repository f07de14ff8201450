#!/usr/bin/env python3
"""Makes runc's example configuration that of a restricted pod: restrict.py CONFIG_JSON SETTINGS DATA."""
import json
import sys

path, settings, data = sys.argv[1:4]
with open(path, encoding="utf-8") as file:
    spec = json.load(file)
process = spec["process"]
process["terminal"] = False
process["user"] = {"uid": 65532, "gid": 65532}
process["args"] = ["/usr/bin/pratique", "serve", "--config", "/etc/pratique/pratique.toml"]
process["cwd"] = "/var/lib/pratique"
process["capabilities"] = {kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")}
process["noNewPrivileges"] = True
process["rlimits"] = []
spec["root"] = {"path": "rootfs", "readonly": True}
# The ports are asked from here.
spec["linux"]["namespaces"] = [entry for entry in spec["linux"]["namespaces"] if entry["type"] != "network"]
spec["mounts"] = [mount for mount in spec["mounts"] if mount["destination"] in ("/proc", "/dev", "/sys")]
for mount in spec["mounts"]:
    if mount["destination"] == "/sys":
        mount.update({"type": "none", "source": "/sys", "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]})
spec["mounts"] += [
    {"destination": "/etc/pratique", "type": "bind", "source": settings, "options": ["rbind", "ro"]},
    {"destination": "/var/lib/pratique", "type": "bind", "source": data, "options": ["rbind", "rw"]},
]
with open(path, "w", encoding="utf-8") as file:
    json.dump(spec, file)
