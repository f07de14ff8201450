"""What is compared: a subject, what it should come to, and who is asked."""
from dataclasses import dataclass, field

ACCEPT, REJECT = "accept", "reject"


@dataclass
class Subject:
    """One image in one repository, with what stands beside it."""
    form: str
    key: str
    variant: str
    #: What it should come to: a good one is accepted, a forged one is not.
    expected: str
    repository: str
    digest: str
    #: Tool and the command that verifies with it.
    oracles: list = field(default_factory=list)


@dataclass
class Variant:
    """How a subject is made: `make` puts everything into a place."""
    name: str
    expected: str
    make: object
    #: In a quick run, too.
    core: bool = False


def core(entries):
    """The variants that every run has."""
    return [Variant(*it, core=True) for it in entries]


def more(entries):
    """Those that a quick run leaves out."""
    return [Variant(*it) for it in entries]


class Form:
    """A form of signature by one key: `name` and `label` say which."""
    name = label = ""
    #: The one repository of what is accepted, where it cannot be any.
    repository = None
    #: Lines of the policy's `trustRoots`.
    roots = ()

    def prepare(self, registry):
        """Makes what the variants are forged from, if anything."""

    def variants(self):
        """Every Variant."""
        raise NotImplementedError

    def subject(self, variant, label):
        """The image of a variant."""
        raise NotImplementedError

    def policy(self):
        """A line of the policy's `signers`, and what a rule asks for."""
        raise NotImplementedError

    def oracles(self, image):
        """Tools, and the commands that verify with them; a command may come with an environment."""
        raise NotImplementedError
