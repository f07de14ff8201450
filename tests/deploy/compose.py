#!/usr/bin/env python3
"""Holds the Compose file to the same settings as the pod: compose.py FILE."""
import os
import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    compose = yaml.safe_load(file)
service = compose["services"]["pratique"]
wrong = []
for key, wanted in [("read_only", True), ("user", "65532:65532"), ("cap_drop", ["ALL"]),
                    ("security_opt", ["no-new-privileges:true"])]:
    if service.get(key) != wanted:
        wrong.append(f"{key} is {service.get(key)!r}, not {wanted!r}")
if service.get("privileged") or service.get("network_mode") == "host":
    wrong.append("it is privileged or in the host's network")
for port in service["ports"]:
    if not str(port).startswith("127.0.0.1:"):
        wrong.append(f"port {port} is open to everybody")
for mount in service["volumes"]:
    source = mount.split(":")[0]
    if source not in compose["volumes"] and not os.path.exists(os.path.join(os.path.dirname(sys.argv[1]), source)) and not source.startswith("./"):
        wrong.append(f"there is no {source}")
print("; ".join(wrong) or f"{len(service['ports'])} ports on loopback only, nothing else is given to it")
sys.exit(1 if wrong else 0)
