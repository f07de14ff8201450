#!/usr/bin/env python3
"""Base scores of CVSS vectors in tenths, by Red Hat's library: all of versions 2, 3.0 and 3.1, and some of 4.0.

cvss_scores.py SEED COUNT prints a vector and its score in each line.
"""
import itertools
import random
import sys

from cvss import CVSS2, CVSS3, CVSS4

V2 = {"AV": "LAN", "AC": "HML", "Au": "MSN", "C": "NPC", "I": "NPC", "A": "NPC"}
V3 = {"AV": "NALP", "AC": "LH", "PR": "NLH", "UI": "NR", "S": "UC", "C": "NLH", "I": "NLH", "A": "NLH"}
V4 = {"AV": "NALP", "AC": "LH", "AT": "NP", "PR": "NLH", "UI": "NPA", "VC": "HLN", "VI": "HLN", "VA": "HLN", "SC": "HLN", "SI": "HLN", "SA": "HLN"}


def every(metrics):
    for values in itertools.product(*metrics.values()):
        yield "/".join(f"{name}:{value}" for name, value in zip(metrics, values))


def tenths(score):
    return round(float(score) * 10)


for vector in every(V2):
    print(vector, tenths(CVSS2(vector).base_score), sep="\t")
for vector in every(V3):
    for prefix in ("CVSS:3.0/", "CVSS:3.1/"):
        print(prefix + vector, tenths(CVSS3(prefix + vector).base_score), sep="\t")
for vector in random.Random(sys.argv[1]).sample(list(every(V4)), int(sys.argv[2])):
    print("CVSS:4.0/" + vector, tenths(CVSS4("CVSS:4.0/" + vector).base_score), sep="\t")
