"""The images: each is a trick, or more of something than there should be.

What has to become of one: `FOUND`, the vulnerable package is found; `OPEN`, the image is incomplete; `EITHER` of both;
`NOTHING`, there is nothing to find, and the scan says just that.
"""
import io
import itertools
import struct
import zipfile
from dataclasses import dataclass, field

from archive import BLOCK, MIB, NOISE, Tar, digest, gzip, header, member, padded, plain, record, skippable, zstd

FOUND, OPEN, EITHER, NOTHING = "found", "open", "either", "nothing"
STATUS = "var/lib/dpkg/status"
DEBIAN = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
PLAIN = "application/vnd.oci.image.layer.v1.tar"
GZIP, ZSTD = f"{PLAIN}+gzip", f"{PLAIN}+zstd"
FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
GIB = 1024 * MIB


@dataclass
class Layer:
    """What is in it, and how it is written."""
    pieces: list
    write: object = gzip
    media_type: str = GZIP
    #: What the image says that it inflates to, if that is not true.
    said: str = ""


@dataclass
class Image:
    name: str
    expected: str
    layers: list = field(default_factory=list)


IMAGES = {}


def image(expected):
    """Registers a function that gives the layers."""
    def register(function):
        name = function.__name__.replace("_", "-")
        IMAGES[name] = lambda: Image(name, expected, function())
        return function
    return register


def stanza(name="openssl", version="1", more=""):
    return f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n{more}\n"


def system():
    return Tar().file("etc/os-release", DEBIAN)


def good():
    """A Debian with the vulnerable package."""
    return system().file(STATUS, stanza())


def clean():
    """A Debian in which nothing is known against anything."""
    return system().file(STATUS, stanza("openssl", "9"))


def one(tar, **options):
    return [Layer(tar.end().pieces, **options)]


# --- where things are ---------------------------------------------------------------------------------------

@image(FOUND)
def normal():
    return one(good())


@image(NOTHING)
def patched():
    return one(clean())


@image(FOUND)
def dot_prefix():
    return one(Tar().file("./etc/os-release", DEBIAN).file("./" + STATUS, stanza()))


@image(FOUND)
def absolute():
    return one(Tar().file("/etc/os-release", DEBIAN).file("/" + STATUS, stanza()))


@image(EITHER)
def dots():
    return one(system().file("usr/../" + STATUS, stanza()))


@image(FOUND)
def linked_file():
    return one(system().file("opt/real", stanza()).symlink(STATUS, "/opt/real"))


@image(FOUND)
def linked_directory():
    return one(system().file("opt/dpkg/status", stanza()).symlink("var/lib/dpkg", "/opt/dpkg"))


@image(FOUND)
def hard_linked():
    return one(system().file("opt/real", stanza()).hard_link(STATUS, "opt/real"))


@image(NOTHING)
def whiteout():
    return [Layer(good().end().pieces), Layer(Tar().file("var/lib/dpkg/.wh.status").file(STATUS + ".d/a", stanza("openssl", "9")).end().pieces)]


@image(FOUND)
def whiteout_and_again():
    return [Layer(good().end().pieces), Layer(Tar().file("var/lib/dpkg/.wh.status").end().pieces), Layer(Tar().file(STATUS, stanza()).end().pieces)]


@image(EITHER)
def opaque_after():
    return [Layer(system().end().pieces), Layer(Tar().file(STATUS, stanza()).file("var/lib/dpkg/.wh..wh..opq").end().pieces)]


@image(EITHER)
def whiteout_of_dots():
    return one(good().file("var/lib/.wh...").file(".wh..wh.").file("a/.wh..wh.x").file("a/.wh."))


@image(FOUND)
def last_of_two():
    return one(system().file(STATUS, stanza("openssl", "9")).file(STATUS, stanza()))


@image(NOTHING)
def first_of_two():
    return one(good().file(STATUS, stanza("openssl", "9")))


@image(FOUND)
def another_case():
    return one(good().file("VAR/LIB/DPKG/STATUS", stanza("openssl", "9")).file("var/lib/dpkg/Status", ""))


@image(FOUND)
def long_name():
    return one(good().file("opt/" + "n" * 250, "x"))


@image(OPEN)
def no_release():
    return one(Tar().file(STATUS, stanza()))


@image(NOTHING)
def only_configuration():
    return one(system().file(STATUS, stanza("other", "1") + stanza().replace("install ok installed", "deinstall ok config-files")))


@image(FOUND)
def without_dpkg():
    return one(system().file("var/lib/dpkg/status.d/openssl", "Package: openssl\nVersion: 1\nArchitecture: amd64\n"))


@image(EITHER)
def link_loop():
    return one(system().symlink(STATUS, "/opt/b").symlink("opt/b", "c").symlink("opt/c", "b"))


@image(OPEN)
def link_to_proc():
    return one(clean().symlink("var/lib/dpkg/status.d", "/proc/self/root/var/lib/dpkg"))


@image(OPEN)
def status_is_a_device():
    return one(system().special(STATUS, b"3"))


# --- how layers are written ---------------------------------------------------------------------------------

def written(*parts):
    """A layer of these compressed parts, whatever was asked for."""
    def write(to, pieces):
        for part in parts:
            to.write(part)
        return "sha256:" + "0" * 64
    return write


@image(FOUND)
def second_member():
    tar = good().end().bytes()
    half = len(tar) // 2

    def write(to, pieces):
        to.write(member(tar[:half]) + member(tar[half:]))
        return digest(pieces)
    return [Layer([tar], write=write)]


@image(EITHER)
def behind_the_end():
    return one(Tar(*clean().end().pieces, *good().pieces))


@image(FOUND)
def skippable_frames():
    tar = good().end().bytes()

    def write(to, pieces):
        to.write(skippable(b"x" * 1000))
        said = zstd(to, [tar])
        to.write(skippable(b"y" * 1000))
        return said
    return [Layer([tar], write=write, media_type=ZSTD)]


@image(FOUND)
def gzip_said_to_be_plain():
    return one(good(), media_type=PLAIN)


@image(FOUND)
def plain_said_to_be_gzip():
    return one(good(), write=plain)


@image(EITHER)
def foreign_layer():
    return one(good(), media_type=FOREIGN)


@image(OPEN)
def wrong_diff_id():
    return one(clean(), said="sha256:" + "1" * 64)


@image(OPEN)
def cut_short():
    whole = member(clean().end().bytes())
    return [Layer([], write=written(whole[:-20]))]


@image(OPEN)
def wrong_checksum():
    whole = bytearray(member(clean().end().bytes()))
    whole[-8] ^= 1
    return [Layer([], write=written(bytes(whole)))]


@image(OPEN)
def not_an_archive():
    return [Layer([NOISE[:100_000]])]


@image(OPEN)
def sparse():
    return one(clean().pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"opt/holes"))
               .file("GNUSparseFile.0/holes", "1\n0\n0\n"))


@image(FOUND)
def size_in_base_256():
    contents = stanza().encode()

    def change(head):
        head[124:136] = b"\x80" + len(contents).to_bytes(11, "big")
    return one(system().raw(header(STATUS.encode(), change=change), padded(contents)))


@image(OPEN)
def negative_size():
    def change(head):
        head[124:136] = b"\xff" * 12
    return one(clean().raw(header(b"opt/x", change=change)))


@image(OPEN)
def overlay_orders():
    return one(clean().pax((b"SCHILY.xattr.trusted.overlay.redirect", b"/opt")).directory("var/lib"))


# --- what lists say -----------------------------------------------------------------------------------------

def of_status(text):
    return one(system().file(STATUS, text))


@image(FOUND)
def status_with_carriage_returns():
    return of_status(stanza().replace("\n", "\r\n"))


@image(EITHER)
def status_with_a_line_of_10_mib():
    return of_status(stanza(more="Description: " + "x" * (10 * MIB) + "\n"))


@image(FOUND)
def status_without_an_end():
    return of_status(stanza().rstrip("\n"))


@image(EITHER)
def status_with_nul():
    return of_status("Package: a\0b\nStatus: install ok installed\nVersion: 1\0\n\n" + stanza())


@image(FOUND)
def status_twice():
    return of_status(stanza("openssl", "9") + stanza())


@image(OPEN)
def versions_that_are_none():
    return of_status("".join(stanza(name="openssl", version=version) for version in ("1:", "${ver}", "9" * 300)))


@image(FOUND)
def apk_without_origin():
    release = 'ID=alpine\nVERSION_ID=3.20.1\n'
    return one(Tar().file("etc/os-release", release).file("lib/apk/db/installed", "P:openssl\nV:1-r0\nA:x86_64\n\n"))


# --- databases of rpm ---------------------------------------------------------------------------------------

def rpm(name, contents):
    return one(Tar().file("etc/os-release", 'ID=almalinux\nVERSION_ID="9.6"\n').file("var/lib/rpm/" + name, contents))


@image(OPEN)
def rpm_sqlite_cut_short():
    return rpm("rpmdb.sqlite", b"SQLite format 3\0" + struct.pack(">H", 4096) + b"\1\1\0\x40\x20\x20" + bytes(4000))


@image(OPEN)
def rpm_berkeley_in_a_circle():
    size = 4096
    meta = bytearray(size)
    # A hash: magic, version, page size, type 8, last page.
    meta[12:16], meta[16:20], meta[20:24] = struct.pack("<I", 0x061561), struct.pack("<I", 9), struct.pack("<I", size)
    meta[25] = 8
    meta[32:36] = struct.pack("<I", 2)
    page = bytearray(size)
    # Its number, previous and next: itself.
    page[8:12], page[12:16], page[16:20] = struct.pack("<I", 1), struct.pack("<I", 1), struct.pack("<I", 1)
    page[25] = 13
    return rpm("Packages", bytes(meta) + bytes(page) * 2)


@image(OPEN)
def rpm_ndb_of_64_mib():
    head = b"RpmP" + struct.pack("<III", 0, 1, 4096 * 16 * 1024 // 4096)
    slot = b"Slot" + struct.pack("<III", 1, 1, 1 << 31)
    return [Layer(Tar().file("etc/os-release", 'ID=sles\nVERSION_ID="15.6"\n').noise(1)
                  .long_file("var/lib/rpm/Packages.db", 60 * MIB, (head + bytes(16), slot * ((60 * MIB - 32) // 16))).end().pieces)]


# --- archives of Java ---------------------------------------------------------------------------------------

POM = "META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties"
LOG4J = "groupId=org.apache.logging.log4j\nartifactId=log4j-core\nversion=2.0\n"


def jar(*files, compression=zipfile.ZIP_DEFLATED):
    written_to = io.BytesIO()
    with zipfile.ZipFile(written_to, "w", compression) as archive:
        for name, contents in files:
            archive.writestr(name, contents)
    return written_to.getvalue()


@image(FOUND)
def jar_in_a_jar():
    return one(clean().file("app/app.jar", jar(("BOOT-INF/lib/log4j-core.jar", jar((POM, LOG4J))))))


@image(OPEN)
def jar_40_levels_deep():
    inner = jar((POM, LOG4J))
    for level in range(40):
        inner = jar((f"{level}.jar", inner))
    return one(clean().file("app/app.jar", inner))


@image(FOUND)
def jar_of_64_bits():
    contents = bytearray(jar((POM, LOG4J)))
    end = contents.rfind(b"PK\5\6")
    count, size, start = struct.unpack_from("<HII", contents, end + 10)
    wide = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, start)
    locator = b"PK\6\7" + struct.pack("<IQI", 0, end, 1)
    tail = contents[end:]
    struct.pack_into("<HHII", tail, 8, 0xffff, 0xffff, 0xffffffff, 0xffffffff)
    return one(clean().file("app/app.jar", bytes(contents[:end]) + wide + locator + bytes(tail)))


@image(OPEN)
def jar_that_is_quoted():
    """Every entry of the directory is the same archive of 10 MiB of zeros."""
    inner = jar(("zeros.jar", bytes(10 * MIB)))
    return one(clean().file("app/app.jar", repeated(inner, 20_000)))


def repeated(inner, count):
    whole = bytearray(jar(("0.jar", inner), compression=zipfile.ZIP_STORED))
    start = whole.find(b"PK\1\2")
    entry = bytes(whole[start:whole.rfind(b"PK\5\6")])
    directory = b"".join(entry[:28] + struct.pack("<H", 9) + entry[30:46] + b"%05d.jar" % number for number in range(count))
    return bytes(whole[:start]) + directory + struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, count, count, len(directory), start, 0)


@image(EITHER)
def jar_with_a_million_entries():
    """A directory of 120 MB; each entry is one more name."""
    count = 1_000_000
    name = b"a/" + b"n" * 60
    local = b"PK\3\4" + bytes(22) + struct.pack("<HH", len(name), 0) + name
    entry = b"PK\1\2" + bytes(24) + struct.pack("<H", len(name)) + bytes(16)
    size = count * (len(entry) + len(name))
    wide = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, len(local))
    locator = b"PK\6\7" + struct.pack("<IQI", 0, len(local) + size, 1)
    end = struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, 0xffff, 0xffff, 0xffffffff, 0xffffffff, 0)
    tail = wide + locator + end
    names = (entry + b"a/%060d" % number for number in range(count))
    tar = good().noise(2).long_file("app/app.jar", len(local) + size + len(tail), (local, names, tail))
    return [Layer(tar.end().pieces)]


@image(OPEN)
def jar_of_jars_that_inflate():
    """Forty-eight archives that inflate to 30 MB each, four by four in one: more than all of them may have."""
    inner = jar(("x", bytes(30 * MIB)), compression=zipfile.ZIP_STORED)
    outer = jar(*((f"{index}.jar", inner) for index in range(12)))
    return one(clean().noise(2).file("app/app.jar", jar(*((f"{index}.jar", outer) for index in range(4)))))


# --- programs -----------------------------------------------------------------------------------------------

def elf(sections, contents=b""):
    """An ELF program of 64 bits: sections are (name, type, flags, address, offset, size)."""
    names, table = b"\0", b"\0" * 64
    for name, kind, flags, address, offset, size in sections + [(".shstrtab", 3, 0, 0, 0, 0)]:
        if name == ".shstrtab":
            offset, size = 64 + len(contents), len(names) + len(name) + 1
        table += struct.pack("<IIQQQQIIQQ", len(names), kind, flags, address, offset, size, 0, 0, 1, 0)
        names += name.encode() + b"\0"
    start = 64 + len(contents) + len(names)
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, start, 0, 64, 56, 0, 64, len(sections) + 2, len(sections) + 1)
    return head + contents + names + table


GO = b"\xff Go buildinf:"


@image(FOUND)
def program_with_a_section_of_2_to_the_63():
    """It runs all the same: who loads programs does not look at their sections."""
    info = build_information(b"path\tx\nmod\tx\tv1.0.0\ndep\texample.com/vulnerable\tv0.9.0\n")
    return one(clean().file("usr/bin/app", elf([(".go.buildinfo", 1, 3, 0x400000, 64, 1 << 63)], info)))


@image(OPEN)
def program_whose_pointers_go_in_a_circle():
    # Of the old form: two pointers to strings, which are pointers to themselves.
    info = GO + bytes([8, 0]) + struct.pack("<QQ", 0x400010, 0x400010)
    info = info.ljust(64, b"\0")
    return one(clean().file("usr/bin/app", elf([(".go.buildinfo", 1, 3, 0x400000, 64, len(info))], info)))


@image(OPEN)
def program_with_endless_modules():
    text = b"path\tx\nmod\tx\tv1.0.0\n" + b"".join(b"dep\texample.com/module/%07d\tv1.0.0\n" % number for number in range(1_500_000))
    info = build_information(text)
    return one(clean().noise(1).file("usr/bin/app", elf([(".go.buildinfo", 1, 3, 0x400000, 64, len(info))], info)))


def build_information(modules):
    """What the linker of Go leaves since 1.18: two texts after their lengths, the second within 16 bytes on each side."""
    framed = b"0" * 16 + modules + b"0" * 16
    return (GO + bytes([8, 2])).ljust(32, b"\0") + b"\x06go1.22" + varint(len(framed)) + framed


def varint(value):
    found = b""
    while value >= 0x80:
        found += bytes([value & 0x7f | 0x80])
        value >>= 7
    return found + bytes([value])


@image(OPEN)
def program_with_a_list_that_inflates():
    import zlib
    text = zlib.compress(b'{"packages":[' + b" " * (512 * MIB), 9)
    return one(clean().file("usr/bin/app", elf([(".dep-v0", 1, 0, 0, 64, len(text))], text)))


@image(NOTHING)
def programs_of_120_mib():
    def program():
        yield elf([], b"")
        yield from itertools.repeat(NOISE[:8192] * (MIB // 8192), 119)
    size = len(elf([], b"")) + 119 * MIB
    return [Layer(clean().long_file("usr/bin/a", size, program()).end().pieces)] + \
        [Layer(Tar().long_file(f"usr/bin/{number}", size, program()).end().pieces) for number in range(3)]


# --- more than there should be ------------------------------------------------------------------------------

def zeros(size):
    """A layer that begins well and goes on with zeros, compressed piece by piece."""
    start = clean().raw(header(b"opt/zeros", size=size)).bytes()
    return start, size // MIB


@image(OPEN)
def bomb_of_gzip():
    start, count = zeros(7 * GIB)
    return [Layer([], write=written(member(start), *itertools.repeat(member(bytes(MIB), 9), count)))]


@image(OPEN)
def bomb_of_zstd():
    start = clean().raw(header(b"opt/zeros", size=7 * GIB)).bytes()
    return [Layer([start, itertools.repeat(bytes(MIB), 7 * 1024)], write=zstd, media_type=ZSTD)]


@image(OPEN)
def bomb_below_the_ratio():
    """Of 9 GB, inflating to 190 times its size."""
    start, count = zeros(7 * GIB)
    piece = member(NOISE[:4_500] + bytes(MIB - 4_500))
    return [Layer([], write=written(member(start), *itertools.repeat(piece, count * 9 // 7)))]


@image(EITHER)
def windows_of_zstd():
    """Four layers that each ask for a window of 128 MiB, and fill it."""
    contents = [NOISE[:1 << 17], bytes(16 * MIB - (1 << 17))] * 10

    def layer(tar, name):
        pieces = tar.raw(header(name, size=160 * MIB), contents).end().pieces
        return Layer(pieces, write=lambda to, pieces: zstd(to, pieces, 27), media_type=ZSTD)
    return [layer(good(), b"opt/x")] + [layer(Tar(), b"opt/%d" % number) for number in range(3)]


def many(count, piece, mebibytes=2):
    """A million of something, in a layer that does not inflate too much."""
    return [Layer(good().noise(mebibytes).raw(piece(number) for number in range(count)).end().pieces)]


def quick(name, kind=b"0", link=b""):
    """A header made without adding up all of it: for the many."""
    head = bytearray(PLAIN_HEADER)
    head[:len(name)] = name
    head[156:157] = kind
    head[157:157 + len(link)] = link
    head[148:156] = b"%06o\0 " % (PLAIN_SUM + sum(name) + sum(link) + kind[0] - 48)
    return bytes(head)


PLAIN_HEADER = header(b"")
PLAIN_SUM = sum(PLAIN_HEADER[:148]) + sum(PLAIN_HEADER[156:]) + 8 * 32


@image(FOUND)
def entries_almost_a_million():
    return many(990_000, lambda number: quick(b"opt/f%07d" % number), 4)


@image(OPEN)
def entries_more_than_a_million():
    return many(1_100_000, lambda number: quick(b"opt/f%07d" % number), 4)


@image(EITHER)
def names_as_long_as_they_may_be():
    return many(400_000, lambda number: header(b"n" * 88 + b"%012d" % number, prefix=b"p" * 150), 2)


@image(EITHER)
def links_as_long_as_they_may_be():
    target = b"t/" * 2_000
    contents = padded(record(b"linkpath", target))
    return many(30_000, lambda number: header(b"PaxHeaders/x", b"x", len(record(b"linkpath", target))) + contents + quick(b"l%09d" % number, b"2"), 2)


@image(EITHER)
def hard_links_to_nothing():
    return many(900_000, lambda number: quick(b"h%09d" % number, b"1", b"nowhere/%060d" % number), 4)


@image(EITHER)
def whiteouts():
    return [Layer(good().end().pieces), Layer(Tar().noise(4).raw(quick(b"w/.wh.%09d" % number) for number in range(900_000)).end().pieces)]


@image(OPEN)
def links_to_the_root():
    return one(good().raw(*(quick(b"l%09d" % number, b"2", b"/") for number in range(3_000)))) + [Layer(Tar().directory("d").end().pieces) for _ in range(4)]


@image(EITHER)
def deep_directories():
    path = "/".join("d" * 8 for _ in range(250))
    return [Layer(good().noise(2).raw(each_deep(path, 4_000)).end().pieces)]


def each_deep(path, count):
    for number in range(count):
        yield from Tar().file(f"{number:05}/{path}", "").pieces


@image(EITHER)
def packages_almost_100_000():
    text = "".join(stanza(f"package-{number:06}", "1.0", f"Source: source-{number:06}\nMaintainer: x <x@debian.org>\n") for number in range(99_000))
    return [Layer(system().noise(1).file(STATUS, stanza() + text).end().pieces)]


@image(OPEN)
def packages_more_than_100_000():
    text = "".join(stanza(f"package-{number:06}", "1.0") for number in range(101_000))
    return [Layer(system().noise(1).file(STATUS, stanza() + text).end().pieces)]


@image(EITHER)
def packages_in_twelve_layers():
    """Each layer lists as much as a layer may, and hides what the one below it lists."""
    def pieces(number):
        text = "".join(stanza(f"p-{number}-{index:06}" + "x" * 100, "1.0" + "y" * 100, "Source: " + "s" * 150 + "\n") for index in range(60_000))
        yield from Tar().noise(1).file(STATUS, text).end().pieces
    return [Layer(good().end().pieces)] + [Layer([pieces(number)]) for number in range(12)]


@image(EITHER)
def lists_of_owned_files():
    """Lists of checksums of 15 MiB for each of 60 packages."""
    def checksums(package):
        line = "".join(f"{number:032x}  usr/lib/python3/dist-packages/{package}/{number:07}.dist-info/METADATA\n" for number in range(180_000))
        return line[:15 * MIB]
    tar = good().noise(8)
    tar.raw(each_list(checksums))
    return [Layer(tar.end().pieces)]


def each_list(checksums):
    for number in range(60):
        yield from Tar().file(f"var/lib/dpkg/info/p{number}.md5sums", checksums(f"p{number}")).pieces


@image(EITHER)
def metadata_of_15_mib():
    """Four hundred distributions of Python, each with 15 MiB of metadata, most of it another header."""
    text = ("Metadata-Version: 2.1\nName: p{}\nVersion: 1\n" + "Requires-Dist: a\n" * (15 * MIB // 17)).encode()
    def pieces():
        for number in range(400):
            contents = text.replace(b"{}", b"%d" % number)
            yield header(b"usr/lib/python3/site-packages/p%d-1.dist-info/METADATA" % number, size=len(contents))
            yield padded(contents)
    return [Layer(good().noise(40).raw(pieces()).end().pieces)]


def json_file(path, contents):
    return [Layer(good().noise(1).file(path, contents).end().pieces)]


@image(EITHER)
def json_of_numbers():
    return json_file("app/package-lock.json", '{"name":"a","lockfileVersion":3,"packages":[' + "0," * (7 * MIB) + "0]}")


@image(EITHER)
def json_of_many_packages():
    text = ",".join(f'"node_modules/p{number}":{{"version":"1.0.0"}}' for number in range(380_000))
    return json_file("app/package-lock.json", f'{{"lockfileVersion":3,"packages":{{{text}}}}}')


@image(OPEN)
def json_that_is_deep():
    return json_file("app/package-lock.json", '{"packages":' + '{"a":' * 1_000_000 + "1" + "}" * 1_000_001)


@image(EITHER)
def json_of_dotnet():
    text = ",".join(f'"p{number}/1.0.0":{{"type":"package"}}' for number in range(400_000))
    return json_file("app/app.deps.json", f'{{"libraries":{{{text}}},"targets":{{}}}}')


@image(EITHER)
def json_of_composer():
    text = ",".join(f'{{"name":"a/p{number}","version":"1.0.0"}}' for number in range(350_000))
    return json_file("vendor/composer/installed.json", f'{{"packages":[{text}]}}')


@image(EITHER)
def lock_of_yarn():
    text = "".join(f'"p{number}@^1.0.0":\n  version "1.0.0"\n\n' for number in range(350_000))
    return json_file("app/yarn.lock", text[:15 * MIB])


@image(EITHER)
def headers_of_a_mebibyte():
    def pieces():
        for number in range(4_000):
            yield from Tar().pax((b"comment", b"x" * (MIB - 100))).file(f"f{number}", "").pieces
    return [Layer(good().noise(24).raw(pieces()).end().pieces)]


@image(EITHER)
def five_hundred_layers():
    return [Layer(good().end().pieces)] + [Layer(Tar().raw(quick(b"opt/%03d-%07d" % (number, index)) for index in range(8_000)).end().pieces) for number in range(499)]


assert PLAIN_SUM == int(PLAIN_HEADER[148:154], 8) and quick(b"a") == header(b"a") and BLOCK == 512
