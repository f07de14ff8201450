#!/usr/bin/python3
"""Pulls an image by the call kubelet makes: runtime.v1.ImageService/PullImage on containerd's socket.

    cri_pull.py SOCKET IMAGE [SECONDS]

The two messages are small enough to be written out: PullImageRequest has an ImageSpec as field 1, which has
the image's name as field 1, and an AuthConfig as field 2, with user and password as fields 1 and 2;
PullImageResponse has the image's id as field 1. All are length-delimited.

CRI_USER and CRI_PASSWORD in the environment are what kubelet has for the image, from a pull secret or a
credential provider.
"""
import os
import sys

import grpc

FIELD_1_BYTES = b"\x0a"
FIELD_2_BYTES = b"\x12"
DEFAULT_LIMIT_S = 120


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field_1(value):
    return FIELD_1_BYTES + varint(len(value)) + value


def field_2(value):
    return FIELD_2_BYTES + varint(len(value)) + value


def request(image):
    user, password = os.environ.get("CRI_USER"), os.environ.get("CRI_PASSWORD")
    spec = field_1(field_1(image.encode()))
    if user is None:
        return spec
    return spec + field_2(field_1(user.encode()) + field_2(password.encode()))


def main():
    socket, image = sys.argv[1:3]
    limit = float(sys.argv[3]) if len(sys.argv) > 3 else DEFAULT_LIMIT_S
    channel = grpc.insecure_channel("unix:" + socket)
    pull = channel.unary_unary(
        "/runtime.v1.ImageService/PullImage",
        request_serializer=request,
        response_deserializer=lambda answer: answer[2:].decode("utf-8", "replace"),
    )
    try:
        print("pulled", pull(image, timeout=limit, wait_for_ready=True))
    except grpc.RpcError as error:
        print("PullImage:", error.code().name, error.details())
        sys.exit(1)


main()
