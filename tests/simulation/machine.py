"""The rules of the simulation: what may happen, in any order and any number of times."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.simulation.world import World

MAX_TASKS = 6

hosts = st.sampled_from(["a", "b"])
places = st.integers(0, 12)
counts = st.integers(0, 5)
fates = st.sampled_from(
    ["arrives", "arrives", "arrives", "is lost", "is doubled", "is late", "is put off"]
)


class Simulation(RuleBasedStateMachine):
    """Two hosts, one server, a bad network, and crashes everywhere."""

    make_world = World

    def __init__(self) -> None:
        super().__init__()
        self.world = self.make_world()
        for host in self.world.hosts.values():
            host.start()
            self.world.connect(host)

    @initialize(cores=st.lists(st.integers(0, 2), min_size=1, max_size=4))
    def begin(self, cores: list[int]) -> None:
        """Start where something is under way: an idle queue finds nothing."""
        for cpu_cores in cores:
            self.world.submit(cpu_cores)
        self.world.flow(20)

    # --- what goes well ---

    @rule(name=hosts, count=places, comes_back=st.booleans())
    def go_on(self, name: str, count: int, comes_back: bool) -> None:
        """Let one host do its work and a part of the wire arrive in order."""
        if comes_back:
            self.world.server.start()
            self.world.hosts[name].start()
        self.world.work(self.world.hosts[name])
        self.world.flow(count)

    @rule(name=hosts, size=st.integers(1, 40), fates=st.lists(fates, min_size=1, max_size=12))
    def go_on_badly(self, name: str, size: int, fates: list[str]) -> None:
        """The same with scripts that say something, and a wire that loses or doubles some."""
        host = self.world.hosts[name]
        for entry in host.disk.supervised():
            host.disk.write(entry, size)
        self.world.work(host)
        for fate in fates:
            self.world.suffer(fate)

    # --- people ---

    @precondition(lambda self: len(self.world.server.rows) < MAX_TASKS)
    @rule(cpu_cores=st.integers(0, 2))
    def submit(self, cpu_cores: int) -> None:
        self.world.submit(cpu_cores)

    @precondition(lambda self: self.world.server.rows)
    @rule(number=counts)
    def cancel(self, number: int) -> None:
        self.world.cancel(number % len(self.world.server.rows) + 1)

    # --- the network ---

    @rule(index=places)
    def deliver(self, index: int) -> None:
        self.world.deliver(index)

    @rule(name=hosts, keeps_up=st.booleans(), is_noticed=st.booleans())
    def cut(self, name: str, keeps_up: bool, is_noticed: bool) -> None:
        self.world.cut(self.world.hosts[name], keeps_up=keeps_up, is_noticed=is_noticed)

    # --- agents ---

    @rule(name=hosts)
    def crash(self, name: str) -> None:
        self.world.crash_host(self.world.hosts[name])

    @rule(name=hosts, steps=counts)
    def crash_within(self, name: str, steps: int) -> None:
        self.world.hosts[name].disk.fuse = steps

    @rule(name=hosts)
    def beat(self, name: str) -> None:
        self.world.hosts[name].beat()

    @rule(name=hosts)
    def look(self, name: str) -> None:
        self.world.hosts[name].look()

    # --- what sub-agents, scripts and machines do ---

    @precondition(lambda self: any(host.disk.forks for host in self.world.hosts.values()))
    @rule()
    def claim(self) -> None:
        for host in self.world.hosts.values():
            if host.disk.forks:
                host.disk.claim_next()

    @precondition(lambda self: self.supervised())
    @rule(number=counts, exit_code=st.sampled_from([0, 0, 3]))
    def exit(self, number: int, exit_code: int) -> None:
        disk, entry = self.pick(number)
        disk.exit(entry, exit_code, self.world.now)

    @precondition(lambda self: self.supervised())
    @rule(number=counts)
    def kill_sub_agent(self, number: int) -> None:
        disk, entry = self.pick(number)
        disk.kill_sub_agent(entry)

    @rule(name=hosts, loses_disk=st.sampled_from([False, False, True]))
    def reboot(self, name: str, loses_disk: bool) -> None:
        host = self.world.hosts[name]
        self.world.crash_host(host)
        if loses_disk:
            host.disk.wipe()
        else:
            host.disk.reboot()

    # --- the server ---

    @rule()
    def crash_server(self) -> None:
        self.world.crash_server()

    @rule(point=st.sampled_from(["before", "after"]))
    def crash_server_at_commit(self, point: str) -> None:
        self.world.server.crash_point = point

    # --- time ---

    @rule(seconds=st.sampled_from([0.5, 4.0, 12.0, 35.0, 100.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(rounds=st.integers(1, 3))
    def calm(self, rounds: int) -> None:
        self.world.server.start()
        for host in self.world.hosts.values():
            host.start()
        for _ in range(rounds):
            self.world.calm_round()

    # --- what must hold ---

    @invariant()
    def holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        try:
            self.world.heal()
        finally:
            self.world.close()

    def supervised(self):
        """Return all tasks whose script runs, with the disk of their host."""
        disks = [host.disk for host in self.world.hosts.values()]
        return [(disk, entry) for disk in disks for entry in disk.supervised()]

    def pick(self, number: int):
        """Return one of them."""
        found = self.supervised()
        return found[number % len(found)]
