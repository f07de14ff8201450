#!/usr/bin/env python3
"""Pairs of versions of every scheme, many of them equal but for one part: generate.py DIRECTORY SEED COUNT.

Writes DIRECTORY/SCHEME.tsv with two versions in each line. The same seed gives the same pairs. Some versions are
none by their scheme's rules: that is for the scheme's own tool to say.
"""
import os
import random
import re
import sys

NUMBERS = ["0", "1", "2", "3", "9", "10", "11", "19", "99", "100", "2024", "20240131", "4294967296", "999999999999999"]
ZEROS = NUMBERS + ["00", "01", "010", "007", "0001"]
LONG = ZEROS + ["18446744073709551615", "18446744073709551616", "123456789012345678901234567890"]
WORDS = ["a", "b", "c", "z", "A", "Z", "rc", "alpha", "beta", "pre", "p", "dev", "x", "git", "ab"]


class Maker:
    """Makes versions as lists of parts."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def one(self, *choices):
        return self.random.choice(choices)

    def of(self, choices):
        return self.random.choice(choices)

    def maybe(self, chance, *parts):
        return [part() if callable(part) else part for part in parts] if self.random.random() < chance else []

    def many(self, least, most, part):
        made = []
        for _ in range(self.random.randint(least, most)):
            made += part()
        return made

    def dotted(self, least, most, numbers):
        made = [self.of(numbers)]
        for _ in range(self.random.randint(least, most) - 1):
            made += [".", self.of(numbers)]
        return made

    def deb(self):
        epoch = self.maybe(0.25, lambda: self.one("0", "1", "2", "10"), ":")
        parts = [".", "~", "+", "~~", "-", "+dfsg", "~bpo12+1", "ubuntu", "+deb12u", "+really"] + WORDS
        upstream = [self.of(ZEROS)] + self.many(0, 5, lambda: [self.of(parts), self.of(LONG)] if self.random.random() < 0.7 else [self.of(parts)])
        revision = self.maybe(0.6, "-", lambda: self.of(ZEROS)) + self.many(0, 2, lambda: [self.one("~", "+", ".", "+deb12u", "ubuntu", "build"), self.of(ZEROS)])
        return epoch + upstream + revision

    def rpm(self):
        epoch = self.maybe(0.25, lambda: self.one("0", "1", "2", "10"), ":")
        parts = [".", ".", "_", "+", "~", "^", "..", "~^", "^~"] + WORDS
        version = [self.of(LONG)] + self.many(0, 5, lambda: [self.of(parts), self.of(LONG)] if self.random.random() < 0.7 else [self.of(parts)])
        release = self.maybe(0.8, "-", lambda: self.of(ZEROS)) + self.many(0, 3, lambda: [self.one(".", ".el9", ".el9_2", "~rc", "^git", ".fc", "_"), self.of(ZEROS)])
        return epoch + version + release

    def python(self):
        made = self.maybe(0.15, "v") + self.maybe(0.15, lambda: self.one("0", "1", "2"), "!") + self.dotted(1, 5, ZEROS)
        made += self.maybe(0.4, lambda: self.one("", ".", "-", "_"), lambda: self.one("a", "b", "rc", "alpha", "beta", "c", "pre", "preview", "RC", "A"),
                           lambda: self.one("", ".", "-", "_"), lambda: self.of(ZEROS + [""]))
        made += self.maybe(0.3, lambda: self.one("-1", ".post", "post", "-post", ".rev", ".r"), lambda: self.of(ZEROS + [""]))
        made += self.maybe(0.3, lambda: self.one(".dev", "dev", "-dev", "_dev"), lambda: self.of(ZEROS + [""]))
        made += self.maybe(0.25, "+", lambda: self.one("local", "ubuntu", "1", "abc", "Z", "9", "10"), lambda: self.one("", ".1", "-2", "_x", ".10", ".a"))
        return made

    def gem(self):
        made = [self.of(ZEROS)] + self.many(0, 5, lambda: [".", self.of(LONG) if self.random.random() < 0.6 else self.of(WORDS) + self.one("", self.of(NUMBERS))])
        return made + self.maybe(0.15, "-", lambda: self.of(WORDS), lambda: self.one("", ".1", "-x", "2", ".0"))

    def semantic(self):
        identifiers = WORDS + ["0", "1", "2", "10", "11", "alpha-1", "-", "--", "x-y", "0a", "1-", "20240131123456-abcdef012345", "999999999"]
        numbers = ["0", "1", "2", "3", "9", "10", "11", "99", "100", "20240131", "4294967296", "01"]
        made = [self.of(numbers), ".", self.of(numbers), ".", self.of(numbers)]
        made += self.maybe(0.6, "-", lambda: self.of(identifiers))
        if len(made) > 5:
            made += self.many(0, 3, lambda: [".", self.of(identifiers)])
        return made + self.maybe(0.15, "+", lambda: self.one("build", "1", "abc.1", "incompatible"))

    npm = cargo = semantic

    def go_module(self):
        return ["v"] + self.semantic()

    def go_toolchain(self):
        minor = self.of(["0", "1", "9", "20", "21", "22", "23", "100"])
        patch = self.one(".0", ".1", ".9", ".10", "rc1", "rc2", "rc10", "beta1", "" if int(minor) < 21 else ".0")
        return ["go1.", minor, patch, self.one("", "", "-custom")]

    def maven(self):
        words = ["alpha", "beta", "milestone", "rc", "cr", "snapshot", "ga", "final", "release", "sp", "a", "b", "m", "x", "jre", "SNAPSHOT", "RELEASE", "Final", "SP", "redhat", "pfd", "ab"]
        part = lambda: self.of(LONG) if self.random.random() < 0.6 else self.of(words)
        made = [self.of(ZEROS)] if self.random.random() < 0.9 else [self.of(words)]
        return made + self.many(0, 6, lambda: [self.one(".", ".", "-", "-", "", "_", "--", ".-"), part()])

    def composer(self):
        if self.random.random() < 0.15:
            return [self.one("2024", "2023"), self.one("", ".", "-"), self.one("01", "12"), self.one("", ".", "-"), self.one("31", "01"),
                    self.one("", ".1", "-2", ".1234", "1234"), self.one("", "-beta", "-RC1", "-dev", "-p2")]
        if self.random.random() < 0.1:
            return [self.one("1", "2", "10"), self.one("", ".0", ".1", ".x"), self.one("", ".x", ".2"), self.one(".x", ""), self.one("-dev", ".dev", "dev")]
        made = self.maybe(0.2, "v") + self.dotted(1, 4, ["0", "1", "2", "9", "10", "11", "99", "01", "00", "20240131", "12345"])
        made += self.maybe(0.5, lambda: self.one("-", ".", "_", ""), lambda: self.one("stable", "beta", "b", "RC", "rc", "alpha", "a", "patch", "pl", "p", "Beta"),
                           lambda: self.one("", "1", "2", "10", ".1", "-3", "1.2", "01"))
        made += self.maybe(0.2, lambda: self.one("-dev", ".dev", "dev"))
        return made + self.maybe(0.1, "+", lambda: self.one("build", "1.2"))

    def nuget(self):
        numbers = ["0", "1", "2", "9", "10", "11", "99", "2147483647"]
        identifiers = ["alpha", "Alpha", "beta", "BETA", "rc", "0", "1", "2", "10", "11", "a-b", "A-b", "x", "Z", "preview", "1a"]
        made = self.dotted(3, 4, numbers) + self.maybe(0.6, "-", lambda: self.of(identifiers))
        if "-" in made:
            made += self.many(0, 3, lambda: [".", self.of(identifiers)])
        return made + self.maybe(0.15, "+", lambda: self.one("build", "1", "abc.1"))

    def pair(self, scheme):
        make = self.one(self.go_module, self.go_module, self.go_toolchain) if scheme == "go" else getattr(self, scheme)
        first = make()
        if self.random.random() < 0.3:
            return "".join(first), "".join(make())
        second = list(first)
        for _ in range(self.random.randint(1, 2)):
            at, other = self.random.randrange(len(second) or 1), make()
            kind = self.random.random()
            if kind < 0.7:
                second[at:at + 1] = other[at:at + 1]
            elif kind < 0.85:
                second[at:at + 2] = []
            else:
                second[at + 1:at + 1] = other[at:at + 2]
        pair = ["".join(first), "".join(second)]
        self.random.shuffle(pair)
        return tuple(pair)


def taken(scheme, version):
    """Whether Pratique says at all what it is: some that tools take for versions it refuses on purpose."""
    # Words alone say nothing of an order (rpm: in the version, whatever its epoch and release).
    of_version = version.split(":")[-1].split("-")[0] if scheme == "rpm" else version
    if not re.search("[0-9]", of_version) or len(version) > 200:
        return False
    # dpkg warns of what does not begin with a digit.
    if scheme == "deb" and not version[0].isdigit():
        return False
    # Where a library reads, numbers have 64 bits.
    return scheme not in ("cargo", "go", "npm", "python") or not re.search("[0-9]{20}", version)


SCHEMES = ["cargo", "composer", "deb", "gem", "go", "maven", "npm", "nuget", "python", "rpm"]


def main(directory, seed, count):
    os.makedirs(directory, exist_ok=True)
    for scheme in SCHEMES:
        maker, pairs = Maker(f"{seed} {scheme}"), {}
        while len(pairs) < int(count):
            first, second = maker.pair(scheme)
            if all(map(taken, (scheme,) * 2, (first, second))):
                pairs[first, second] = None
        with open(os.path.join(directory, f"{scheme}.tsv"), "w", encoding="ascii") as file:
            file.writelines(f"{first}\t{second}\n" for first, second in pairs)


main(*sys.argv[1:])
