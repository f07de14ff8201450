#!/usr/bin/python3
"""Checks the Kubernetes examples and takes the ConfigMap's files out of them.

    manifests.py DIRECTORY_WITH_MANIFESTS DIRECTORY_FOR_THE_FILES

Checks every pod template against the restricted Pod Security Standard and against what deploy/kubernetes says of
it: a read-only root and user 65532. Ends with 1 and every violation.
"""
import glob
import os
import sys

import yaml

RESTRICTED_VOLUMES = {"configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim", "downwardAPI", "csi", "ephemeral"}
USER = 65532
manifests, target = sys.argv[1:3]
violations = []


def expect(holds, what):
    if not holds:
        violations.append(what)


def check_pod(name, pod):
    security = pod.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        expect(not pod.get(key), f"{name}: {key}")
    expect(security.get("runAsNonRoot") is True, f"{name}: runAsNonRoot")
    expect(security.get("runAsUser") == USER, f"{name}: runAsUser")
    expect(security.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"), f"{name}: seccompProfile")
    expect(pod.get("automountServiceAccountToken") is False, f"{name}: automountServiceAccountToken")
    for volume in pod.get("volumes", []):
        expect(set(volume) - {"name"} <= RESTRICTED_VOLUMES, f"{name}: volume {volume['name']}")
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        expect(own.get("allowPrivilegeEscalation") is False, f"{name}: allowPrivilegeEscalation")
        expect(own.get("capabilities") == {"drop": ["ALL"]}, f"{name}: capabilities")
        expect(own.get("readOnlyRootFilesystem") is True, f"{name}: readOnlyRootFilesystem")
        expect(not own.get("privileged"), f"{name}: privileged")
        expect(all("hostPort" not in port for port in container.get("ports", [])), f"{name}: hostPort")


pods = files = 0
for path in sorted(glob.glob(os.path.join(manifests, "*.yaml"))):
    with open(path, encoding="utf-8") as file:
        for document in yaml.safe_load_all(file):
            if "template" in document.get("spec", {}):
                pods += 1
                check_pod(document["metadata"]["name"], document["spec"]["template"]["spec"])
            if document["kind"] == "ConfigMap":
                for name, text in document["data"].items():
                    files += 1
                    with open(os.path.join(target, name), "w", encoding="utf-8") as out:
                        out.write(text)
expect(pods > 0 and files > 0, "no pod template or no configuration found")
print("; ".join(violations) or f"{pods} pod templates and {files} files are as they should be")
sys.exit(1 if violations else 0)
