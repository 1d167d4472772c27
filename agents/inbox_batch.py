"""One batch of agents' messages in one transaction: all or nothing, acknowledged after commit.

Guarantee (R8): `run_batch` returns only after the commit; the caller tells the agents
then. Handlers get all waiting messages of their type across agents in one call, and the
order of each agent's own messages is kept: the batch is cut into waves, and within a
wave the ranks of one agent's messages never fall.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from agent_client.protocol.messages import Heartbeat, Hello, Hold, Message
from agents.inbox_registry import RANKS, Beat, Incoming, Registry
from agents.principal import AgentPrincipal
from agents.reply import Reply
from dialer_platform.storage import write_transaction


def _ignore(_reply: Reply) -> None:
    """Tell nobody."""


@dataclass(slots=True)
class Submission:
    """What one agent brought in one frame or request, and whom to tell when it is stored."""

    principal: AgentPrincipal
    messages: tuple[Message, ...] = ()
    beat: Heartbeat | Hello | None = None
    holds: tuple[Hold, ...] | None = None
    reconcile: bool = False
    on_done: Callable[[Reply], None] = _ignore
    reply: Reply = field(default_factory=Reply)

    def split(self) -> Iterator[Submission]:
        """Yield the same as single steps, so that one bad message cannot hold up the others."""
        for message in self.messages:
            yield Submission(self.principal, (message,))
        if self.reconcile:
            yield Submission(
                self.principal, beat=self.beat, holds=self.holds, reconcile=self.reconcile
            )


def run_batch(registry: Registry, batch: Sequence[Submission]) -> None:
    """Handle the batch in one transaction and commit; raises whatever a handler raises.

    Fills each submission's reply afresh, so a repeated attempt leaves no trace of the
    failed one.
    """
    for submission in batch:
        submission.reply = Reply()
    with write_transaction():
        for wave in waves(batch):
            for rank in sorted(wave):
                _handle(registry, wave[rank])
        beats = [
            Beat(one.principal, one.beat, one.holds, one.reply) for one in batch if one.reconcile
        ]
        for contributor in registry.beat_contributors if beats else ():
            contributor(beats)


def waves(batch: Sequence[Submission]) -> list[dict[int, list[Incoming]]]:
    """Return the messages as waves of rank -> messages; one agent's order is kept."""
    result: list[dict[int, list[Incoming]]] = []
    places: dict[str, tuple[int, int]] = {}
    for submission in batch:
        agent_id = submission.principal.agent_id
        for message in submission.messages:
            rank = RANKS[type(message)]
            wave, last_rank = places.get(agent_id, (0, 0))
            if rank < last_rank:
                wave += 1
            places[agent_id] = (wave, rank)
            if wave == len(result):
                result.append(defaultdict(list))
            result[wave][rank].append(Incoming(submission.principal, message, submission.reply))
    return result


def _handle(registry: Registry, group: list[Incoming]) -> None:
    """Call the handler of a group of one type, then confirm what it did not refuse."""
    handler = registry.handlers.get(type(group[0].message))
    if handler:
        handler(group)
    for _principal, message, reply in group:
        if not handler:
            reply.error(message.message_id, "unknown_type", "The server has no use for it.")
        elif not reply.refuses(message.message_id):
            reply.ack(message.message_id)
