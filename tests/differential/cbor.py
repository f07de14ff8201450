"""As much of CBOR as envelopes in COSE need: definite lengths, no floats."""
from dataclasses import dataclass


@dataclass
class Tagged:
    tag: int
    value: object


def head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    size = next(it for it in (1, 2, 4, 8) if number < 1 << 8 * it)
    return bytes([major << 5 | 23 + (1, 2, 4, 8).index(size) + 1]) + number.to_bytes(size, "big")


def encode(value):
    if isinstance(value, bool) or value is None:
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        # In the order of RFC 8949 section 4.2.1, which some decoders insist on.
        entries = sorted((encode(name), encode(content)) for name, content in value.items())
        return head(5, len(value)) + b"".join(name + content for name, content in entries)
    if isinstance(value, Tagged):
        return head(6, value.tag) + encode(value.value)
    raise TypeError(type(value))


def decode(data):
    value, at = _read(data, 0)
    assert at == len(data), "something stands behind the value"
    return value


def _read(data, at):
    major, low, at = data[at] >> 5, data[at] & 31, at + 1
    number = low
    if 24 <= low <= 27:
        size = 1 << low - 24
        number, at = int.from_bytes(data[at:at + size], "big"), at + size
    elif low > 27:
        raise ValueError("indefinite length")
    if major in (0, 1):
        return (number if major == 0 else -1 - number), at
    if major in (2, 3):
        content = data[at:at + number]
        return (content if major == 2 else content.decode()), at + number
    if major == 4:
        items = []
        for _ in range(number):
            item, at = _read(data, at)
            items.append(item)
        return items, at
    if major == 5:
        entries = {}
        for _ in range(number):
            name, at = _read(data, at)
            entries[name], at = _read(data, at)
        return entries, at
    if major == 6:
        content, at = _read(data, at)
        return Tagged(number, content), at
    return {20: False, 21: True, 22: None}[number], at
