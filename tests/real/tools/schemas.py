#!/usr/bin/python3
"""Checks manifests against the schemas of Kubernetes.

    schemas.py VERSION DIRECTORY...

Every document of an API of Kubernetes itself is validated strictly, by `kubernetes-validate`, which has the schemas
inside. Ends with 1 and every violation.
"""
import glob
import os
import sys

import kubernetes_validate
import yaml

version, folders = sys.argv[1], sys.argv[2:]
# What no schema of Kubernetes is about, and what is read from a file by the API server.
OTHERS = ("gatekeeper.sh", "kustomize.config.k8s.io", "apiserver.config.k8s.io")
checked, violations = 0, []
for folder in folders:
    for path in sorted(glob.glob(os.path.join(folder, "*.yaml"))):
        with open(path, encoding="utf-8") as file:
            for document in yaml.safe_load_all(file):
                group = document["apiVersion"].split("/")[0]
                if group.endswith(OTHERS):
                    continue
                try:
                    kubernetes_validate.validate(document, version, strict=True)
                    checked += 1
                except Exception as error:  # the library has several kinds
                    name = f"{os.path.basename(path)}: {document['kind']} {document['metadata']['name']}"
                    violations.append(f"{name}: {str(error).splitlines()[0]}")
if not checked:
    violations.append("nothing was checked")
print("; ".join(violations) or f"{checked} documents are as Kubernetes {version} has them")
sys.exit(1 if violations else 0)
