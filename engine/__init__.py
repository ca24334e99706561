"""Procchi's engine: containers as pets, for programs.

    import engine

    engine.pull("home")
    engine.hatch("moka", "home", limits=engine.Limits(memory="50M", cpu=0.5, pids=64))
    meal = engine.feed("moka", ["echo", "hi"])
    engine.release("moka")

Every call is a message to the nest, the one long-lived process that owns the pets; it is
started when it is needed. Errors are `ProcchiError` and its children.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's own, which takes long to import: see __getattr__
if TYPE_CHECKING:
    from typing import Any

    from engine.anatomy import XRay as XRay
    from engine.checkup import doctor as doctor
    from engine.client import Watch as Watch
    from engine.client import care_log as care_log
    from engine.client import catalogue as catalogue
    from engine.client import ceiling as ceiling
    from engine.client import collect_garbage as collect_garbage
    from engine.client import details as details
    from engine.client import diet as diet
    from engine.client import egg as egg
    from engine.client import eggs as eggs
    from engine.client import hatch as hatch
    from engine.client import log_path as log_path
    from engine.client import look as look
    from engine.client import meals as meals
    from engine.client import nest_status as nest_status
    from engine.client import pets as pets
    from engine.client import pull as pull
    from engine.client import release as release
    from engine.client import remove_egg as remove_egg
    from engine.client import signal as signal
    from engine.client import sleep as sleep
    from engine.client import start_nest as start_nest
    from engine.client import stop_nest as stop_nest
    from engine.client import thresholds as thresholds
    from engine.client import verify_eggs as verify_eggs
    from engine.client import wake as wake
    from engine.client import watch as watch
    from engine.client import write as write
    from engine.errors import BadRequest as BadRequest
    from engine.errors import CommandNotExecutable as CommandNotExecutable
    from engine.errors import CommandNotFound as CommandNotFound
    from engine.errors import HatchFailed as HatchFailed
    from engine.errors import NameTaken as NameTaken
    from engine.errors import NestUnreachable as NestUnreachable
    from engine.errors import NoSuchEgg as NoSuchEgg
    from engine.errors import NoSuchPet as NoSuchPet
    from engine.errors import NotAwake as NotAwake
    from engine.errors import ProcchiError as ProcchiError
    from engine.errors import PullFailed as PullFailed
    from engine.errors import UnsupportedSystem as UnsupportedSystem
    from engine.images.platforms import runs_here as runs_here
    from engine.logs import Log as Log
    from engine.meal import OpenMeal as OpenMeal
    from engine.meal import feed as feed
    from engine.meal import open_meal as open_meal
    from engine.menu import commands as commands
    from engine.model import Call as Call
    from engine.model import Check as Check
    from engine.model import Details as Details
    from engine.model import Egg as Egg
    from engine.model import EggDetails as EggDetails
    from engine.model import Epitaph as Epitaph
    from engine.model import Event as Event
    from engine.model import Fact as Fact
    from engine.model import Freed as Freed
    from engine.model import LayerProgress as LayerProgress
    from engine.model import Limits as Limits
    from engine.model import Meal as Meal
    from engine.model import Mood as Mood
    from engine.model import Offer as Offer
    from engine.model import PastMeal as PastMeal
    from engine.model import Pet as Pet
    from engine.model import Progress as Progress
    from engine.model import Readings as Readings
    from engine.model import Snapshot as Snapshot
    from engine.model import StepReport as StepReport
    from engine.model import Verdict as Verdict
    from engine.model import check_name as check_name
    from engine.model import parse_size as parse_size
    from engine.moods import remedy as remedy
    from engine.radiology import xray as xray

_MODULES = {
    "client": "Watch care_log catalogue ceiling collect_garbage details diet egg eggs "
    "hatch log_path look meals nest_status pets pull release remove_egg signal "
    "sleep start_nest stop_nest thresholds verify_eggs wake watch write",
    "anatomy": "XRay",
    "checkup": "doctor",
    "errors": "BadRequest CommandNotExecutable CommandNotFound HatchFailed NameTaken "
    "NestUnreachable NoSuchEgg NoSuchPet NotAwake ProcchiError PullFailed UnsupportedSystem",
    "logs": "Log",
    "meal": "OpenMeal feed open_meal",
    "menu": "commands",
    "images.platforms": "runs_here",
    "moods": "remedy",
    "model": "Call Check Details Egg EggDetails Epitaph Event Fact Freed LayerProgress Limits "
    "Meal Mood Offer PastMeal Pet Progress Readings Snapshot StepReport Verdict "
    "check_name parse_size",
    "radiology": "xray",
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = sorted(_WHERE)  # noqa: PLE0605 (a list of names; they are in the table above)


def __getattr__(name: str) -> Any:
    # Imported when first asked for: the nest and `procchi pets` live in this package too, and
    # what a client needs would triple their start.
    if name not in _WHERE:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"engine.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
