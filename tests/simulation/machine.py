"""The steps of the simulation: what may happen, in any order and any number of times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.simulation.disk import Disk, Entry
from tests.simulation.explorer import Draw, Explorer, Step
from tests.simulation.world import World

MAX_TASKS = 6
STEPS: list[Step] = []


def one_of(*values: Any) -> Draw:
    """Draw one of the values."""
    return lambda dice: dice.choice(values)


def number_to(last: int) -> Draw:
    """Draw a number from 0 on."""
    return lambda dice: dice.randint(0, last)


def list_of(draw: Draw, *, least: int, most: int) -> Draw:
    """Draw a list."""
    return lambda dice: [draw(dice) for _ in range(dice.randint(least, most))]


hosts = one_of("a", "b")
booleans = one_of(False, True)
places = number_to(12)
counts = number_to(5)
fates = one_of("arrives", "arrives", "arrives", "is lost", "is doubled", "is late", "is put off")


def step(
    *, weight: int = 1, when: Callable[[World], bool] = lambda world: True, **draws: Draw
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a step that may happen while `when` says so."""

    def add(act: Callable[..., None]) -> Callable[..., None]:
        STEPS.append(Step(act.__name__, act, draws, when, weight))
        return act

    return add


def explorer(make_world: Callable[[], World] = World) -> Explorer:
    """Return what lives through stories of two hosts, a server and a bad network."""
    return Explorer(make_world, begin=BEGIN, steps=STEPS)


def begin(world: World, cores: Sequence[int]) -> None:
    """Start where something is under way: an idle queue finds nothing."""
    for host in world.hosts.values():
        host.start()
        world.connect(host)
    for cpu_cores in cores:
        world.submit(cpu_cores)
    world.flow(20)


BEGIN = Step(
    "begin", begin, {"cores": list_of(number_to(2), least=1, most=4)}, when=lambda world: True
)


# --- what goes well ---


@step(weight=3, name=hosts, count=places, comes_back=booleans)
def go_on(world: World, name: str, count: int, comes_back: bool) -> None:
    """Let one host do its work and a part of the wire arrive in order."""
    if comes_back:
        world.server.start()
        world.hosts[name].start()
    world.work(world.hosts[name])
    world.flow(count)


@step(weight=4, name=hosts, size=number_to(40), fates=list_of(fates, least=1, most=12))
def go_on_badly(world: World, name: str, size: int, fates: list[str]) -> None:
    """The same with scripts that say something, and a wire that loses or doubles some."""
    host = world.hosts[name]
    for entry in host.disk.supervised():
        host.disk.write(entry, size)
    world.work(host)
    for fate in fates:
        world.suffer(fate)


# --- people ---


@step(when=lambda world: len(world.server.rows) < MAX_TASKS, cpu_cores=number_to(2))
def submit(world: World, cpu_cores: int) -> None:
    """Let somebody submit a task."""
    world.submit(cpu_cores)


@step(when=lambda world: bool(world.server.rows), number=counts)
def cancel(world: World, number: int) -> None:
    """Let somebody cancel a task."""
    world.cancel(number % len(world.server.rows) + 1)


# --- the network ---


@step(index=places)
def deliver(world: World, index: int) -> None:
    """Bring one packet, whichever, to its end."""
    world.deliver(index)


@step(name=hosts, keeps_up=booleans, is_noticed=booleans)
def cut(world: World, name: str, keeps_up: bool, is_noticed: bool) -> None:
    """Break a host's connection."""
    world.cut(world.hosts[name], keeps_up=keeps_up, is_noticed=is_noticed)


# --- agents ---


@step(name=hosts)
def crash(world: World, name: str) -> None:
    """Kill an agent."""
    world.crash_host(world.hosts[name])


@step(name=hosts, steps=counts)
def crash_within(world: World, name: str, steps: int) -> None:
    """Kill an agent in the middle of what it will do."""
    world.hosts[name].disk.fuse = steps


@step(name=hosts)
def beat(world: World, name: str) -> None:
    """Let a host beat."""
    world.hosts[name].beat()


@step(name=hosts)
def look(world: World, name: str) -> None:
    """Let an agent look after its tasks."""
    world.hosts[name].look()


# --- what sub-agents, scripts and machines do ---


@step(when=lambda world: any(host.disk.forks for host in world.hosts.values()))
def claim(world: World) -> None:
    """Let a sub-agent of each host start its script."""
    for host in world.hosts.values():
        if host.disk.forks:
            host.disk.claim_next()


@step(when=lambda world: bool(supervised(world)), number=counts, exit_code=one_of(0, 0, 3))
def exit(world: World, number: int, exit_code: int) -> None:
    """Let a script end."""
    disk, entry = pick(world, number)
    disk.exit(entry, exit_code, world.now)


@step(when=lambda world: bool(supervised(world)), number=counts)
def kill_sub_agent(world: World, number: int) -> None:
    """Kill a sub-agent."""
    disk, entry = pick(world, number)
    disk.kill_sub_agent(entry)


@step(name=hosts, loses_disk=one_of(False, False, True))
def reboot(world: World, name: str, loses_disk: bool) -> None:
    """Restart a machine, or install it anew."""
    host = world.hosts[name]
    world.crash_host(host)
    if loses_disk:
        host.disk.wipe()
    else:
        host.disk.reboot()


# --- the server ---


@step(keeps_down=booleans)
def crash_server(world: World, keeps_down: bool) -> None:
    """Kill the server; what it had said may still arrive."""
    world.crash_server(keeps_down=keeps_down)


@step(point=one_of("before", "after"), keeps_down=booleans)
def crash_server_at_commit(world: World, point: str, keeps_down: bool) -> None:
    """Kill the server right before or after its next commit."""
    world.server.crash_point = point
    world.keeps_down = keeps_down


# --- time ---


@step(seconds=one_of(0.5, 4.0, 12.0, 35.0, 100.0))
def pass_time(world: World, seconds: float) -> None:
    """Let time pass, and housekeeping see it."""
    world.pass_time(seconds)


@step(rounds=lambda dice: dice.randint(1, 3))
def calm(world: World, rounds: int) -> None:
    """Let all go well for some seconds."""
    world.server.start()
    for host in world.hosts.values():
        host.start()
    for _ in range(rounds):
        world.calm_round()


def supervised(world: World) -> list[tuple[Disk, Entry]]:
    """Return all tasks whose script runs, with the disk of their host."""
    disks = [host.disk for host in world.hosts.values()]
    return [(disk, entry) for disk in disks for entry in disk.supervised()]


def pick(world: World, number: int) -> tuple[Disk, Entry]:
    """Return one of them."""
    found = supervised(world)
    return found[number % len(found)]
