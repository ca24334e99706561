"""What can go wrong, as one small family.

Each message is one line that says what, where and what to do, so that a front end can print
it as it is. `kind` is the name that travels between the nest and its clients; the classes
below are looked up by it.
"""


class ProcchiError(Exception):
    """Anything that Procchi refuses or cannot do. Its text is one line, fit for a learner."""

    kind = "error"


class BadRequest(ProcchiError):
    """The words were wrong: a name, a limit or an option that cannot be. Nothing was done."""

    kind = "bad-request"


class NoSuchPet(ProcchiError):
    """No pet, alive or ghost, has that name."""

    kind = "no-such-pet"


class NameTaken(ProcchiError):
    """A pet or ghost already has that name."""

    kind = "name-taken"


class NotAwake(ProcchiError):
    """The pet is asleep or a ghost, and what was asked needs it awake."""

    kind = "not-awake"


class NoSuchEgg(ProcchiError):
    """No egg of that name is in the store, or nothing is found where the reference points."""

    kind = "no-such-egg"


class PullFailed(ProcchiError):
    """An egg could not be fetched, checked or unpacked. Nothing of it was kept."""

    kind = "pull-failed"


class HatchFailed(ProcchiError):
    """One of the steps failed; `step` names it. Everything made until then was taken away."""

    kind = "hatch-failed"


class CommandNotFound(ProcchiError):
    """The command does not exist in the pet: status 127, as in a shell."""

    kind = "command-not-found"


class CommandNotExecutable(ProcchiError):
    """The command exists in the pet and cannot be executed: status 126, as in a shell."""

    kind = "command-not-executable"


class NestUnreachable(ProcchiError):
    """The nest could not be started, found or understood."""

    kind = "nest-unreachable"


class UnsupportedSystem(ProcchiError):
    """This machine's kernel lacks, or forbids, what pets are made of."""

    kind = "unsupported-system"


_FAMILY: list[type[ProcchiError]] = [ProcchiError, *ProcchiError.__subclasses__()]
BY_KIND = {error.kind: error for error in _FAMILY}
