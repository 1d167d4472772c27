"""Draws stories from a seed, lives through them, and makes a failing one short.

A story is a list of events, each a step with plain arguments, so it can be told again
without the dice. Each one uses a random part of the steps only: a fault that needs many of
one kind is met sooner when others do not undo it. The library for state machines spent
three quarters of the time on drawing; so four times as many stories are lived through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple, Protocol

Draw = Callable[[Random], Any]
MAX_REPLAYS = 1_500
"""Tries to make a failing story shorter."""
SHARE_OF_STEPS = (0.4, 0.7, 1.0)


class World(Protocol):
    """What a story is about."""

    def check(self) -> None:
        """Raise AssertionError when something does not hold that must hold always."""

    def heal(self) -> None:
        """Repair everything; raise AssertionError when that does not settle all."""

    def close(self) -> None:
        """Let go what it has."""


@dataclass(frozen=True)
class Step:
    """One thing that may happen to a world, and how its arguments are drawn."""

    name: str
    act: Callable[..., None]
    draws: Mapping[str, Draw]
    when: Callable[[Any], bool]
    weight: int = 1


class Event(NamedTuple):
    """A step that happened."""

    step: Step
    arguments: dict[str, Any]

    def __str__(self) -> str:
        """Return it as a call."""
        return f"{self.step.name}({', '.join(f'{k}={v!r}' for k, v in self.arguments.items())})"

    def happen(self, world: Any) -> None:
        """Let it happen, if it can, and see what must hold."""
        if self.step.when(world):
            self.step.act(world, **self.arguments)
            world.check()


class StoryFailed(AssertionError):
    """A story after which something did not hold."""

    def __init__(self, seed: int, number: int, story: Sequence[Event], error: Exception) -> None:
        """Tell the story so that it can be read, and by which seed it comes again."""
        self.number = number
        lines = "\n".join(f"  {event}" for event in story)
        super().__init__(
            f"SIMULATION_SEED={seed}, story {number}, {len(story)} events:\n{lines}\n"
            f"{type(error).__name__}: {error}"
        )


class Explorer:
    """Lives through stories of one kind of world."""

    def __init__(
        self, make_world: Callable[[], World], *, begin: Step, steps: Sequence[Step]
    ) -> None:
        """begin is always the first event of a story."""
        self._make_world = make_world
        self._begin = begin
        self._steps = steps

    def explore(
        self, *, seed: int, stories: int, events: int, max_replays: int = MAX_REPLAYS
    ) -> None:
        """Live through so many stories of so many events; raises StoryFailed.

        A failing one is made shorter as far as max_replays allow.
        """
        for number in range(stories):
            story: list[Event] = []
            error = self._live(self._drawn(Random(f"{seed}.{number}"), events), story)
            if error is not None:
                short, error = self._shorten(story, error, max_replays)
                raise StoryFailed(seed, number, short, error) from error

    def _drawn(self, dice: Random, events: int) -> Callable[[int, World], Event | None]:
        """Return what draws the next event, None after the last."""
        share = dice.choice(SHARE_OF_STEPS)
        steps = [one for one in self._steps if dice.random() < share] or list(self._steps)
        weights = [one.weight for one in steps]

        def draw(position: int, world: World) -> Event | None:
            if position == events:
                return None
            step = dice.choices(steps, weights)[0] if position else self._begin
            return Event(step, {name: draw(dice) for name, draw in step.draws.items()})

        return draw

    def _live(
        self, draw: Callable[[int, World], Event | None], story: list[Event]
    ) -> Exception | None:
        """Let events happen, noting them, and heal; returns what did not hold."""
        world = self._make_world()
        try:
            while (event := draw(len(story), world)) is not None:
                story.append(event)
                event.happen(world)
            world.heal()
        except Exception as error:  # noqa: BLE001 - a defect may show as anything
            return error
        finally:
            world.close()
        return None

    def _tell(self, story: Sequence[Event]) -> Exception | None:
        """Live through a story again."""
        rest = iter(story)
        return self._live(lambda _position, _world: next(rest, None), [])

    def _shorten(
        self, story: list[Event], error: Exception, left: int
    ) -> tuple[list[Event], Exception]:
        """Return a part of a failing story that still fails, by leaving out ever less."""
        size = len(story)
        while size and left:
            start = 0
            while start < len(story) and left:
                left -= 1
                shorter = [*story[:start], *story[start + size :]]
                found = self._tell(shorter)
                if found is None:
                    start += size
                else:
                    story, error = shorter, found
            size //= 2
        return story, error
