"""Layers as no tool would write them: archives entry by entry, compressed in any way, of any size.

A layer is written to a file piece by piece, so that one that inflates to gigabytes needs no memory here.
"""
import hashlib
import random
import struct
import zlib

BLOCK = 512
MIB = 1 << 20
#: Bytes that do not compress, the same in every run.
NOISE = random.Random(20).randbytes(MIB)


def header(name, kind=b"0", size=0, link=b"", prefix=b"", change=None):
    """A header of ustar. `change` may write over what is in it before it is sealed."""
    head = bytearray(BLOCK)
    head[0:100] = name[:100].ljust(100, b"\0")
    head[100:124] = b"0000644\0" + b"0000000\0" * 2
    head[124:136] = b"%011o\0" % size
    head[136:148] = b"0" * 11 + b"\0"
    head[156:157] = kind
    head[157:257] = link[:100].ljust(100, b"\0")
    head[257:265] = b"ustar\x0000"
    head[345:500] = prefix[:155].ljust(155, b"\0")
    if change:
        change(head)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def padded(contents):
    return contents + bytes(-len(contents) % BLOCK)


def record(key, value):
    """A record of an extended header: its length counts itself."""
    rest = len(key) + len(value) + 3
    length = rest
    while length != rest + len(str(length)):
        length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


class Tar:
    """Pieces of an archive, in order; a piece is bytes or something that gives bytes."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)

    def raw(self, *pieces):
        self.pieces += pieces
        return self

    def file(self, name, contents=b"", **options):
        contents = contents.encode() if isinstance(contents, str) else contents
        name = name.encode() if isinstance(name, str) else name
        if len(name) > 100:
            self.pax((b"path", name))
        return self.raw(header(name, size=len(contents), **options), padded(contents))

    def pax(self, *records):
        contents = b"".join(record(key, value) for key, value in records)
        return self.raw(header(b"PaxHeaders/x", b"x", len(contents)), padded(contents))

    def directory(self, name):
        return self.raw(header(name.encode(), b"5"))

    def symlink(self, name, target):
        return self.raw(header(name.encode(), b"2", link=target.encode()))

    def hard_link(self, name, target):
        return self.raw(header(name.encode(), b"1", link=target.encode()))

    def special(self, name, kind):
        return self.raw(header(name.encode(), kind))

    def long_file(self, name, size, pieces):
        """A file of `size` bytes that comes in pieces."""
        return self.raw(header(name.encode(), size=size), pieces, bytes(-size % BLOCK))

    def noise(self, mebibytes):
        """A file that does not compress: what follows may inflate to many times its size."""
        return self.long_file("opt/noise", mebibytes * MIB, (NOISE[index:] + NOISE[:index] for index in range(mebibytes)))

    def end(self):
        return self.raw(bytes(2 * BLOCK))

    def bytes(self):
        """All of it: for small ones."""
        return b"".join(each(self.pieces))


def each(pieces):
    for piece in pieces:
        if isinstance(piece, (bytes, bytearray)):
            yield piece
        else:
            yield from each(piece)


def gathered(pieces, size=MIB):
    """The same bytes in pieces of at least `size`."""
    waiting = bytearray()
    for piece in each(pieces):
        waiting += piece
        if len(waiting) >= size:
            yield bytes(waiting)
            waiting = bytearray()
    yield bytes(waiting)


class Written:
    """A file that is being written, with its digest and size."""

    def __init__(self, path):
        self.file, self.hash, self.size = open(path, "wb"), hashlib.sha256(), 0

    def write(self, piece):
        self.hash.update(piece)
        self.file.write(piece)
        self.size += len(piece)

    def close(self):
        self.file.close()
        return "sha256:" + self.hash.hexdigest(), self.size


def digest(pieces):
    hashed = hashlib.sha256()
    for piece in each(pieces):
        hashed.update(piece)
    return "sha256:" + hashed.hexdigest()


# Ways to write a layer: each takes an open `Written` and pieces, and gives the digest of what they are.

def plain(written, pieces):
    hashed = hashlib.sha256()
    for piece in gathered(pieces):
        hashed.update(piece)
        written.write(piece)
    return "sha256:" + hashed.hexdigest()


def gzip(written, pieces, level=1):
    hashed, packing = hashlib.sha256(), zlib.compressobj(level, zlib.DEFLATED, 31)
    for piece in gathered(pieces):
        hashed.update(piece)
        written.write(packing.compress(piece))
    written.write(packing.flush())
    return "sha256:" + hashed.hexdigest()


def member(contents, level=1):
    """A member of gzip."""
    packing = zlib.compressobj(level, zlib.DEFLATED, 31)
    return packing.compress(contents) + packing.flush()


def zstd(written, pieces, window_log=None):
    """A frame of zstd, its blocks raw, or one byte repeated where a block is that. `window_log` asks for a
    window of so many bytes, whether or not it is needed."""
    hashed = hashlib.sha256()
    window = 17 if window_log is None else window_log
    # No size, no checksum; the window's descriptor has the exponent above 10.
    written.write(b"\x28\xb5\x2f\xfd" + b"\0" + bytes([(window - 10) << 3]))
    size = 1 << 17
    for piece in gathered(pieces):
        hashed.update(piece)
        for start in range(0, len(piece), size):
            block = piece[start:start + size]
            if block == block[:1] * len(block):
                written.write(struct.pack("<I", len(block) << 3 | 1 << 1)[:3] + block[:1])
            else:
                written.write(struct.pack("<I", len(block) << 3)[:3] + block)
    written.write(struct.pack("<I", 1)[:3])
    return "sha256:" + hashed.hexdigest()


def skippable(contents):
    return b"\x50\x2a\x4d\x18" + struct.pack("<I", len(contents)) + contents
