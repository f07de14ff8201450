#!/usr/bin/python3
"""Starts a pod of a manifest by the calls that kubelet makes for it, on one node, without a kubelet.

    cri_pod.py SOCKET run MANIFEST      one pod in its own sandbox, its first container started; prints its id
    cri_pod.py SOCKET state ID          RUNNING, EXITED and the like
    cri_pod.py SOCKET images            a line for each image: its names, and `pinned` where CRI says so

Of the manifest are heeded what a static pod needs: hostNetwork, the images and imagePullPolicy Never (an image that
is not there ends it, none is ever pulled), args, volumes of hostPath, the security contexts of pod and container,
limits.memory. Probes, priority and eviction are kubelet's own work and are not done here.

The messages are those of runtime.v1 (kubernetes/cri-api), written out: fields are (number, value), where text and
bytes are length-delimited, lists are nested messages, and whole numbers are varints.
"""
import os
import sys
import uuid

import grpc
import yaml

NODE_NETWORK = 2  # NamespaceMode.NODE
STATES = ["CREATED", "RUNNING", "EXITED", "UNKNOWN"]
LIMIT_S = 60


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(*fields):
    out = b""
    for number, value in fields:
        if isinstance(value, bool):
            value = int(value)
        if isinstance(value, int):
            # Zero is what a field is that is not there.
            out += varint(number << 3) + varint(value) if value else b""
            continue
        value = value.encode() if isinstance(value, str) else value
        out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def read(data):
    at, found = 0, []

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(data):
        key = number()
        if key & 7 == 0:
            found.append((key >> 3, number()))
        else:
            length = number()
            found.append((key >> 3, data[at:at + length]))
            at += length
    return found


def field(data, number, default=None):
    return next((value for key, value in read(data) if key == number), default)


channel = grpc.insecure_channel("unix:" + sys.argv[1])


def call(service, method, request):
    ask = channel.unary_unary(f"/runtime.v1.{service}/{method}", request_serializer=lambda it: it,
                              response_deserializer=lambda it: it)
    try:
        return ask(request, timeout=LIMIT_S, wait_for_ready=True)
    except grpc.RpcError as error:
        sys.exit(f"{method}: {error.code().name} {error.details()}")


def integer(value):
    return message((1, value))


def security(pod, container):
    own = container.get("securityContext", {})
    fields = [(3, message((1, NODE_NETWORK if pod.get("hostNetwork") else 0), (2, 1)))]
    if own.get("capabilities"):
        drop = [(2, name) for name in own["capabilities"].get("drop", [])]
        fields.append((1, message(*drop)))
    context = {**pod.get("securityContext", {}), **own}
    if "runAsUser" in context:
        fields.append((5, integer(context["runAsUser"])))
    fields.append((7, bool(own.get("readOnlyRootFilesystem"))))
    fields.append((11, own.get("allowPrivilegeEscalation") is False))
    if "runAsGroup" in context:
        fields.append((12, integer(context["runAsGroup"])))
    # The profile of the runtime is type 0.
    kind = {"RuntimeDefault": 0, "Unconfined": 1}[context.get("seccompProfile", {}).get("type", "Unconfined")]
    fields.append((15, message((1, kind))))
    return message(*sorted(fields, key=lambda it: it[0]))


def run(path):
    with open(path, encoding="utf-8") as file:
        manifest = yaml.safe_load(file)
    pod, metadata = manifest["spec"], manifest["metadata"]
    container = pod["containers"][0]
    assert container["imagePullPolicy"] == "Never", "whatever pulls is no business of this tool"
    if field(call("ImageService", "ImageStatus", message((1, message((1, container["image"]))))), 1) is None:
        sys.exit(f"ErrImageNeverPull: {container['image']} is not present with pull policy of Never")
    network = message((1, NODE_NETWORK if pod.get("hostNetwork") else 0), (2, 1))
    linux = message((2, message((1, network), (9, message()))))
    sandbox = message(
        (1, message((1, metadata["name"]), (2, str(uuid.uuid4())), (3, metadata.get("namespace", "default")))),
        (8, linux))
    sandbox_id = field(call("RuntimeService", "RunPodSandbox", message((1, sandbox))), 1)
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in pod.get("volumes", [])}
    for volume in pod.get("volumes", []):
        assert volume["hostPath"]["type"] != "Directory" or os.path.isdir(volume["hostPath"]["path"]), volume
    mounts = [(7, message((1, mount["mountPath"]), (2, paths[mount["name"]]), (3, bool(mount.get("readOnly")))))
              for mount in container.get("volumeMounts", [])]
    memory = container.get("resources", {}).get("limits", {}).get("memory", "0Gi")
    resources = message((4, int(memory.removesuffix("Gi")) << 30))
    config = message(
        (1, message((1, container["name"]))), (2, message((1, container["image"]))),
        *((3, word) for word in container.get("command", [])), *((4, word) for word in container.get("args", [])),
        *mounts, (15, message((1, resources), (2, security(pod, container)))))
    made = call("RuntimeService", "CreateContainer", message((1, sandbox_id), (2, config), (3, sandbox)))
    container_id = field(made, 1)
    call("RuntimeService", "StartContainer", message((1, container_id)))
    print(container_id.decode())


def state(container_id):
    status = field(call("RuntimeService", "ContainerStatus", message((1, container_id))), 1)
    print(STATES[field(status, 3, 0)], "exit code", field(status, 7, 0), field(status, 11, b"").decode())


def images():
    for number, image in read(call("ImageService", "ListImages", b"")):
        if number == 1:
            names = [value.decode() for key, value in read(image) if key in (2, 3)]
            print(*names, "pinned" if field(image, 8) else "-")


{"run": run, "state": state, "images": images}[sys.argv[2]](*sys.argv[3:])
