"""Trains a small neural network to tell two spirals apart, with the standard library alone.

Prints the loss of every epoch and draws a progress bar by carriage returns, as tqdm does.
Change EPOCHS, HIDDEN or RATE and watch what happens.
"""

import math
import random
import sys
import time

POINTS, TURN = 400, 13.0
HIDDEN, RATE, MOMENTUM, BATCH, SEED = 24, 0.03, 0.9, 32, 7
EPOCHS, STEPS_PER_EPOCH, BATCHES_PER_STEP = 20, 50, 10
PAUSE_SECONDS = 0.01  # so that the bar can be watched on a fast machine too
BAR_WIDTH, LINE_WIDTH = 30, 96

Point = tuple[float, float, int]


def spirals(rng: random.Random) -> list[Point]:
    """Return points of two interleaved spirals as (x, y, label)."""
    points = []
    for index in range(POINTS // 2):
        radius = 0.1 + 0.9 * index / (POINTS / 2)
        for label in (0, 1):
            angle = TURN * radius + label * math.pi
            x = radius * math.sin(angle) + rng.gauss(0, 0.02)
            y = radius * math.cos(angle) + rng.gauss(0, 0.02)
            points.append((x, y, label))
    rng.shuffle(points)
    return points


class Network:
    """2 inputs, one hidden layer of tanh, one logistic output; trained with momentum."""

    def __init__(self, rng: random.Random) -> None:
        """Start with random weights."""
        self.hidden = [[rng.gauss(0, 3.0) for _ in range(3)] for _ in range(HIDDEN)]
        self.output = [rng.gauss(0, 0.5) for _ in range(HIDDEN + 1)]
        self.hidden_speed = [[0.0] * 3 for _ in range(HIDDEN)]
        self.output_speed = [0.0] * (HIDDEN + 1)

    def forward(self, x: float, y: float) -> tuple[list[float], float]:
        """Return the hidden activations and the probability of label 1."""
        active = [math.tanh(a * x + b * y + c) for a, b, c in self.hidden]
        total = self.output[-1] + sum(self.output[i] * value for i, value in enumerate(active))
        return active, 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))

    def train(self, batch: list[Point]) -> float:
        """Take one step down the gradient; return the mean loss."""
        hidden_slope = [[0.0] * 3 for _ in range(HIDDEN)]
        output_slope = [0.0] * (HIDDEN + 1)
        loss = 0.0
        for x, y, label in batch:
            active, guess = self.forward(x, y)
            loss -= math.log(max(guess if label else 1 - guess, 1e-9))
            error = guess - label
            for unit, value in enumerate(active):
                output_slope[unit] += error * value
                back = error * self.output[unit] * (1 - value * value)
                for part, given in enumerate((x, y, 1.0)):
                    hidden_slope[unit][part] += back * given
            output_slope[-1] += error
        self.output_speed = self.step(self.output, self.output_speed, output_slope, len(batch))
        for unit in range(HIDDEN):
            self.hidden_speed[unit] = self.step(
                self.hidden[unit], self.hidden_speed[unit], hidden_slope[unit], len(batch)
            )
        return loss / len(batch)

    def step(
        self, weights: list[float], speeds: list[float], slopes: list[float], count: int
    ) -> list[float]:
        """Move the weights by speed and slope; return the new speeds."""
        for index, slope in enumerate(slopes):
            speeds[index] = MOMENTUM * speeds[index] - RATE * slope / count
            weights[index] += speeds[index]
        return speeds

    def accuracy(self, points: list[Point]) -> float:
        """Return the share of points on the right side."""
        right = sum((self.forward(x, y)[1] > 0.5) == bool(label) for x, y, label in points)
        return right / len(points)


def clock(seconds: float) -> str:
    """Return seconds as mm:ss."""
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def draw(done: int, total: int, started: float, loss: float) -> None:
    """Draw the bar over the last one."""
    elapsed = time.monotonic() - started
    left = elapsed / done * (total - done)
    bar = "█" * (BAR_WIDTH * done // total)
    sys.stdout.write(
        f"\r{100 * done // total:3d}%|{bar:<{BAR_WIDTH}}| {done}/{total} "
        f"[{clock(elapsed)}<{clock(left)}, {done / elapsed:.1f}it/s, loss={loss:.4f}]"
    )
    sys.stdout.flush()


def main() -> int:
    """Train, reporting every epoch; fail when nothing was learned."""
    rng = random.Random(SEED)
    points = spirals(rng)
    test, train = points[:80], points[80:]
    network = Network(rng)
    print(f"python {sys.version.split()[0]}: {len(train)} points to learn, {len(test)} to test")
    started = time.monotonic()
    total, done = EPOCHS * STEPS_PER_EPOCH, 0
    for epoch in range(1, EPOCHS + 1):
        loss = 0.0
        for _ in range(STEPS_PER_EPOCH):
            losses = [network.train(rng.sample(train, BATCH)) for _ in range(BATCHES_PER_STEP)]
            loss = sum(losses) / len(losses)
            done += 1
            draw(done, total, started, loss)
            time.sleep(PAUSE_SECONDS)
        line = f"epoch {epoch:2d}/{EPOCHS}  loss {loss:.4f}  accuracy {network.accuracy(test):.1%}"
        print(f"\r{line:<{LINE_WIDTH}}")
    final = network.accuracy(test)
    print(f"trained in {time.monotonic() - started:.1f} s, test accuracy {final:.1%}")
    return 0 if final > 0.8 else 1


if __name__ == "__main__":
    sys.exit(main())
