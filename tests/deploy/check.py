#!/usr/bin/env python3
"""Holds deploy/ to what it says: manifests, chart, alerts, dashboard, and the files that they carry.

    check.py PROJECT OUTPUT_DIRECTORY

Every object is held against the schemas of Kubernetes, every pod against the restricted Pod Security Standard. The
chart is linted and rendered by Helm's own library for several sets of values, and what it renders by default is what
kustomize builds. Each metric that an alert or the dashboard names exists. The settings and policies are written to
the output directory, for the program to check.
"""
import json
import os
import re
import subprocess
import sys

import helm_python as helm
import kubernetes_validate
import yaml

PROJECT, OUTPUT = sys.argv[1:3]
DEPLOY = os.path.join(PROJECT, "deploy")
CHART = os.path.join(DEPLOY, "helm/pratique")
# Kinds that others define: no schema comes with Kubernetes.
FOREIGN = {"monitoring.coreos.com/v1", "cert-manager.io/v1"}
VERSIONS = ["1.30", "1.33", "1.35"]
VOLUMES = {"configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim", "downwardAPI", "csi", "ephemeral"}
failures = []
checked = 0


def expect(holds, what):
    global checked
    checked += 1
    if not holds:
        failures.append(what)
        print(f"FAIL {what}")


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def kustomize(folder):
    path = os.path.join(DEPLOY, "kubernetes", folder)
    return documents(subprocess.run(["kubectl", "kustomize", path], check=True, capture_output=True, text=True).stdout)


def rendered(values=None, name="pratique", namespace="pratique"):
    with helm.Chart.load(CHART) as chart:
        manifests = chart.render(values or {}, name=name, namespace=namespace)
    return [document for path, text in sorted(manifests.items()) if path.endswith(".yaml") for document in documents(text)]


def check_pod(name, pod):
    security = pod.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        expect(not pod.get(key), f"{name}: {key}")
    expect(security.get("runAsNonRoot") is True, f"{name}: runAsNonRoot")
    expect(security.get("runAsUser") == 65532, f"{name}: runAsUser")
    expect(security.get("seccompProfile", {}).get("type") == "RuntimeDefault", f"{name}: seccompProfile")
    expect(pod.get("automountServiceAccountToken") is False, f"{name}: automountServiceAccountToken")
    for volume in pod.get("volumes", []):
        expect(set(volume) - {"name"} <= VOLUMES, f"{name}: volume {volume['name']}")
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        expect(own.get("allowPrivilegeEscalation") is False, f"{name}: allowPrivilegeEscalation")
        expect(own.get("capabilities") == {"drop": ["ALL"]}, f"{name}: capabilities")
        expect(own.get("readOnlyRootFilesystem") is True, f"{name}: readOnlyRootFilesystem")
        expect(not own.get("privileged"), f"{name}: privileged")
        expect(all("hostPort" not in port for port in container.get("ports", [])), f"{name}: hostPort")


def check_objects(origin, objects):
    expect(objects, f"{origin}: nothing was made")
    seen = set()
    for thing in objects:
        kind, name = thing["kind"], thing["metadata"]["name"]
        label = f"{origin}: {kind} {name}"
        expect((kind, name) not in seen, f"{label} is there twice")
        seen.add((kind, name))
        if thing["apiVersion"] not in FOREIGN:
            for version in VERSIONS:
                try:
                    kubernetes_validate.validate(thing, version, strict=True)
                except Exception as error:  # the library raises several
                    expect(False, f"{label} is no object of Kubernetes {version}: {str(error)[:300]}")
        if "template" in thing.get("spec", {}):
            check_pod(label, thing["spec"]["template"]["spec"])
        if kind == "ConfigMap" and "pratique.toml" in thing["data"]:
            folder = os.path.join(OUTPUT, re.sub(r"\W+", "-", origin))
            os.makedirs(folder, exist_ok=True)
            for file, text in thing["data"].items():
                with open(os.path.join(folder, file), "w", encoding="utf-8") as out:
                    out.write(text)
    # What selects finds something.
    pods = [t["spec"]["template"]["metadata"]["labels"] for t in objects if "template" in t.get("spec", {})]
    services = [t for t in objects if t["kind"] == "Service"]
    for thing in objects:
        if thing["kind"] in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            spec = thing["spec"]
            wanted = spec["selector"] if thing["kind"] == "Service" else (spec.get("selector") or spec["podSelector"])["matchLabels"]
            expect(any(wanted.items() <= labels.items() for labels in pods), f"{origin}: {thing['kind']} selects no pod")
        if thing["kind"] == "ServiceMonitor":
            wanted = thing["spec"]["selector"]["matchLabels"]
            found = [s for s in services if wanted.items() <= s["metadata"].get("labels", {}).items()]
            expect(len(found) == 1, f"{origin}: the ServiceMonitor selects {len(found)} services")
            ports = {port["name"] for service in found for port in service["spec"]["ports"]}
            expect({endpoint["port"] for endpoint in thing["spec"]["endpoints"]} <= ports, f"{origin}: no such port")
    return {(t["kind"], t["metadata"]["name"]): t for t in objects}


def check_static_pod():
    """The base's pod, but for what a pod needs that comes before the cluster: each with its reason in the file."""
    with open(os.path.join(DEPLOY, "kubernetes/static-pod/pratique.yaml"), encoding="utf-8") as file:
        (pod,) = documents(file.read())
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(pod, version, strict=True)
        except Exception as error:  # the library raises several
            expect(False, f"the static pod is no object of Kubernetes {version}: {str(error)[:300]}")
    spec = json.loads(json.dumps(pod["spec"]))
    expect(spec.pop("hostNetwork") is True and spec["dnsPolicy"] == "Default", "static pod: it waits for no network")
    expect(spec["priorityClassName"] == "system-node-critical", "static pod: priorityClassName")
    paths = {volume["hostPath"]["path"]: volume["hostPath"]["type"] for volume in spec["volumes"]}
    expect(paths == dict.fromkeys(["/var/lib/pratique", "/etc/pratique/server", "/etc/pratique/server-tls"], "Directory"),
           f"static pod: {paths}")
    spec["volumes"] = []
    check_pod("static pod", spec)
    (container,) = spec["containers"]
    expect(container["imagePullPolicy"] == "Never", "static pod: imagePullPolicy")
    writable = [mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    expect(writable == ["data"], f"static pod: it may write to {writable}")
    # What the base says of the same program holds here, too.
    (same,) = [t for t in kustomize("base") if t["kind"] == "StatefulSet"]
    (there,) = same["spec"]["template"]["spec"]["containers"]
    for key in ("args", "securityContext", "startupProbe", "readinessProbe", "livenessProbe", "resources", "ports"):
        expect(container[key] == there[key], f"static pod: {key} is not as in the base")


def compare(origin, one, other):
    """What both make is the same but for labels that say who made it."""
    def bare(thing):
        thing = json.loads(json.dumps(thing))
        metadata = {"name": thing["metadata"]["name"], "namespace": thing["metadata"].get("namespace")}
        thing["metadata"] = metadata
        # The order of a container's ports says nothing, and each tool has its own.
        for container in thing.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            container["ports"].sort(key=lambda port: port["containerPort"])
        if thing["kind"] == "ConfigMap":
            thing["data"] = {
                key: yaml.safe_load(text) if key.endswith((".yaml", ".json"))
                else [line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip()]
                for key, text in thing["data"].items()
            }
        return thing
    expect(set(one) == set(other), f"{origin}: only in one of them: {sorted(set(one) ^ set(other))}")
    for key in set(one) & set(other):
        expect(bare(one[key]) == bare(other[key]), f"{origin}: {key} differs:\n  {bare(one[key])}\n  {bare(other[key])}")


def metrics_of_the_program():
    with open(os.path.join(PROJECT, "src/metrics.rs"), encoding="utf-8") as file:
        return set(re.findall(r'(?:Counter|Gauge) \w+ "(pratique_\w+)"', file.read()))


def check_metrics():
    exist = metrics_of_the_program()
    expect(len(exist) > 40, "the metrics of the program were not found")
    with open(os.path.join(CHART, "files/alerts.yaml"), encoding="utf-8") as file:
        groups = yaml.safe_load(file)["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    with open(os.path.join(CHART, "files/dashboard.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    expressions = [(rule["alert"], rule["expr"]) for rule in rules]
    expressions += [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]]
    expect(len({name for name, _ in expressions}) == len(rules) + len(dashboard["panels"]), "a name is there twice")
    for name, expression in expressions:
        named = set(re.findall(r"pratique_\w+", expression))
        expect(named, f"{name} asks for no metric")
        expect(named <= exist, f"{name}: there is no {sorted(named - exist)}")
    for rule in rules:
        expect(rule["labels"]["severity"] in ("info", "warning", "critical"), f"{rule['alert']}: severity")
        expect(rule["annotations"]["summary"].endswith("."), f"{rule['alert']}: summary")
    component = os.path.join(DEPLOY, "kubernetes/components/monitoring")
    with open(os.path.join(component, "alerts.yaml"), encoding="utf-8") as file:
        expect(yaml.safe_load(file)["spec"]["groups"] == groups, "the alerts of chart and component differ")
    with open(os.path.join(component, "pratique.json"), encoding="utf-8") as file:
        expect(json.load(file) == dashboard, "the dashboards of chart and component differ")


def check_chart():
    report = helm.lint(CHART, strict=True, kube_version="v1.33.0")
    # That a chart has no picture is information, and the only one.
    said = [message for message in report["messages"] if message["severity"] > 1]
    expect(not said and not report["errors"], f"helm lint: {said} {report['errors']}")
    for values, what in [
        ({"image": {"digest": "latest"}}, "a digest that is none"),
        ({"service": {"type": "ClusterIP"}}, "a service that nodes cannot reach"),
        ({"replicas": 2}, "a value that does not exist"),
    ]:
        try:
            with helm.Chart.load(CHART) as chart:
                chart.validate_schema(chart.merge_values(values))
            expect(False, f"the chart takes {what}")
        except helm.HelmError:
            expect(True, what)
    with open(os.path.join(PROJECT, "Cargo.toml"), encoding="utf-8") as file:
        version = re.search(r'^version = "(.*)"', file.read(), re.M).group(1)
    with helm.Chart.load(CHART) as chart:
        expect(chart.metadata["appVersion"] == version, "appVersion is not the version of the program")


def check_nodes():
    """What keeps nodes runs as root by need, and is left nothing else; to take a taint off it needs an account."""
    plain, keeping = kustomize("node"), kustomize("node-taint")
    for thing in plain + keeping:
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(thing, version, strict=True)
            except Exception as error:  # the library raises several
                expect(False, f"node: {thing['kind']} is no object of Kubernetes {version}: {str(error)[:300]}")
    pods = [next(t for t in objects if t["kind"] == "DaemonSet")["spec"]["template"]["spec"] for objects in (plain, keeping)]
    for pod in pods:
        own = pod["containers"][0]["securityContext"]
        expect(own["capabilities"] == {"drop": ["ALL"]} and own["readOnlyRootFilesystem"] is True
               and own["allowPrivilegeEscalation"] is False and not pod.get("hostNetwork"), "node: what it is left")
    expect(pods[0]["automountServiceAccountToken"] is False and "serviceAccountName" not in pods[0], "node: an account")
    expect(pods[1]["automountServiceAccountToken"] is True and pods[1]["serviceAccountName"] == "pratique-node", "node-taint: no account")
    expect(pods[1]["containers"][0]["args"][-2:] == ["--node-name=$(NODE_NAME)", "--remove-taint"], "node-taint: arguments")
    rules = [rule for t in keeping if t["kind"] == "ClusterRole" for rule in t["rules"]]
    expect(rules == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]}], "node-taint: it may do more")


def check_webhooks():
    files = [os.path.join(DEPLOY, "kubernetes/admission/webhooks.yaml"), os.path.join(CHART, "files/webhooks.yaml")]
    one, other = (open(path, encoding="utf-8").read() for path in files)
    expect(one == other, "the webhooks of chart and manifests differ")
    try:
        rendered({"admission": {"enabled": True, "webhooks": True}})
        expect(False, "webhooks are made that believe no authority")
    except helm.HelmError:
        expect(True, "webhooks without an authority")
    made = {t["kind"]: t for t in rendered(
        {"admission": {"enabled": True, "webhooks": True, "ca": "PEM"}}, name="second", namespace="mirrors")}
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        for hook in made[kind]["webhooks"]:
            service = hook["clientConfig"]["service"]
            expect((service["name"], service["namespace"]) == ("second-pratique-admission", "mirrors"), f"{kind}: service")
            expect(hook["clientConfig"]["caBundle"] == "UEVN", f"{kind}: caBundle")
            exempt = hook["namespaceSelector"]["matchExpressions"][0]["values"]
            expect(exempt == ["kube-system", "mirrors"], f"{kind}: its own namespace is not left out")
            expect(made["Service"] and hook["failurePolicy"] in ("Fail", "Ignore"), f"{kind}: failurePolicy")


base = check_objects("kustomize base", kustomize("base"))
inventory = check_objects("kustomize inventory", kustomize("inventory"))
expect([rule for (kind, _), role in inventory.items() if kind.endswith("Role") for rule in role["rules"]]
       == [{"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list"]}], "the inventory may do more than read")
production = check_objects("kustomize production", kustomize("overlays/production"))
default = check_objects("helm default", rendered())
everything = check_objects("helm production", rendered({
    "monitoring": {"enabled": True}, "tls": {"certManager": {"enabled": True}},
    "admission": {"enabled": True, "webhooks": True},
}))
check_objects("helm odd", rendered({
    "image": {"digest": "sha256:" + "a" * 64, "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "pull"}],
    "settings": "[cache]\nquota = \"50GiB\"\n",
    "tls": {"secretName": "own", "certManager": {"enabled": True, "issuerRef": {"name": "site", "kind": "ClusterIssuer"},
                                                 "dnsNames": ["a.example"], "ipAddresses": ["10.0.0.1"]}},
    "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
    "storage": {"className": "fast", "accessModes": ["ReadWriteOnce"], "size": "1Ti"},
    "priorityClassName": "", "nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}],
    "networkPolicy": {"egressPorts": [443, 5000]}, "podDisruptionBudget": {"enabled": False},
    "monitoring": {"enabled": True, "namespace": "prom", "labels": {"release": "prom"}},
    "admission": {"enabled": True},
}, name="second", namespace="mirrors"))
# A release makes no namespace: whoever installs it does, with the labels of the restricted standard.
base.pop(("Namespace", "pratique"))
production.pop(("Namespace", "pratique"))
compare("helm and kustomize, default", default, base)
compare("helm and kustomize, production", everything, production)
check_static_pod()
check_chart()
check_webhooks()
check_nodes()
check_metrics()
print(f"{checked - len(failures)} of {checked} checks hold; Helm {helm.helm_sdk_version()}")
sys.exit(1 if failures else 0)
