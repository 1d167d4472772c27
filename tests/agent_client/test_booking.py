"""Slots, cores and GPUs are promised once, and a refusal says what is missing."""

from __future__ import annotations

import pytest

from agent_client.booking import Ledger
from agent_client.errors import CATALOGUE, Rejected
from agent_client.protocol.transfers import TRANSFER_SLOTS
from tests.agent_client.fake_server import spec

GPU = "GPU-1"


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(
        cpu_ids=(2, 3, 5, 7),
        slots=3,
        gpu_memory_mb={GPU: 1000, "GPU-2": 1000},
        script_types=("shell", "python"),
    )


def refusal(ledger: Ledger, **wanted: object) -> str:
    with pytest.raises(Rejected) as caught:
        ledger.book(spec(99, **wanted))
    assert caught.value.code in CATALOGUE
    return caught.value.code


def test_cores_are_distinct_when_two_tasks_book(ledger):
    first = ledger.book(spec(1, cpu_cores=2))
    second = ledger.book(spec(2, cpu_cores=2))
    assert (first.cpu_ids, second.cpu_ids) == ((2, 3), (5, 7))
    assert ledger.cpu_cores_booked == 4


def test_no_core_is_pinned_when_none_is_asked(ledger):
    assert ledger.book(spec(1, cpu_cores=0)).cpu_ids == ()


def test_booking_is_the_same_when_asked_twice(ledger):
    assert ledger.book(spec(1, cpu_cores=2)) is ledger.book(spec(1, cpu_cores=2))
    assert ledger.slots_booked == 1


def test_offer_is_refused_when_slots_are_taken(ledger):
    for number in range(3):
        ledger.book(spec(number))
    assert refusal(ledger) == "no_free_slot"


def test_transfer_is_booked_while_all_slots_are_taken_and_without_an_interpreter(ledger):
    for number in range(3):
        ledger.book(spec(number))
    for number in range(3, 3 + TRANSFER_SLOTS):
        ledger.book(spec(number, kind="file_preview", script_type="powershell"))
    assert refusal(ledger, kind="file_preview") == "no_free_slot"
    assert (ledger.slots_booked, ledger.transfers_booked) == (3, TRANSFER_SLOTS)


def test_transfers_take_no_slot_of_a_script(ledger):
    for number in range(TRANSFER_SLOTS):
        ledger.restore(spec(number, kind="file_upload"), cpu_ids=())
    for number in range(10, 13):
        ledger.book(spec(number))
    ledger.release((0, 1))
    ledger.book(spec(20, kind="file_upload"))
    assert refusal(ledger) == "no_free_slot"


def test_host_that_takes_no_tasks_moves_no_file(ledger):
    ledger.allow_slots(0)
    assert refusal(ledger, kind="file_preview") == "no_free_slot"


def test_offer_is_refused_when_cores_are_taken(ledger):
    ledger.book(spec(1, cpu_cores=3))
    assert refusal(ledger, cpu_cores=2) == "no_free_cores"


def test_offer_is_refused_when_interpreter_is_missing(ledger):
    assert refusal(ledger, script_type="powershell") == "script_type_unsupported"


def test_offer_is_refused_when_gpu_is_unknown(ledger):
    assert refusal(ledger, gpu_ids=("GPU-9",)) == "gpu_unavailable"


def test_nothing_is_booked_when_offer_is_refused(ledger):
    refusal(ledger, cpu_cores=2, gpu_ids=("GPU-9",))
    assert (ledger.slots_booked, ledger.cpu_cores_booked) == (0, 0)


def test_gpu_is_shared_when_memory_is_enough(ledger):
    ledger.book(spec(1, gpu_ids=(GPU,), gpu_memory_mb=600))
    ledger.book(spec(2, gpu_ids=(GPU,), gpu_memory_mb=400))
    assert refusal(ledger, gpu_ids=(GPU,), gpu_memory_mb=1) == "gpu_unavailable"


@pytest.mark.parametrize(("first_mb", "second_mb"), [(0, 0), (0, 1), (1, 0)])
def test_whole_gpu_is_not_shared_when_booked(ledger, first_mb, second_mb):
    ledger.book(spec(1, gpu_ids=(GPU,), gpu_memory_mb=first_mb))
    assert refusal(ledger, gpu_ids=(GPU,), gpu_memory_mb=second_mb) == "gpu_unavailable"


def test_resources_are_free_again_when_released(ledger):
    ledger.book(spec(1, cpu_cores=4, gpu_ids=(GPU,)))
    ledger.release((1, 1))
    assert ledger.book(spec(2, cpu_cores=4, gpu_ids=(GPU,))).cpu_ids == (2, 3, 5, 7)


def test_adopted_task_is_booked_when_nothing_is_left(ledger):
    for number in range(3):
        ledger.book(spec(number))
    ledger.restore(spec(9, cpu_cores=2), cpu_ids=(3, 7))
    assert (ledger.slots_booked, ledger.cpu_cores_booked) == (4, 2)


def test_unpinned_adopted_task_books_no_core_when_it_asked_none(ledger):
    ledger.restore(spec(9, cpu_cores=0), cpu_ids=(2, 3, 5, 7))
    assert ledger.book(spec(1, cpu_cores=4)).cpu_ids == (2, 3, 5, 7)


def test_adopted_task_gets_free_cores_when_its_own_are_not_known(ledger):
    ledger.restore(spec(1, cpu_cores=2), cpu_ids=())
    ledger.restore(spec(2, cpu_cores=2), cpu_ids=())
    assert ledger.get((1, 1)).cpu_ids == (2, 3)
    assert ledger.get((2, 1)).cpu_ids == (5, 7)


def test_adopted_task_is_filled_up_when_it_has_fewer_cores_than_promised(ledger):
    ledger.book(spec(1, cpu_cores=1))
    ledger.restore(spec(2, cpu_cores=3), cpu_ids=(7,))
    assert ledger.get((2, 1)).cpu_ids == (7, 3, 5)


def test_adopted_task_shares_cores_only_when_none_is_free(ledger):
    ledger.book(spec(1, cpu_cores=3))
    ledger.restore(spec(2, cpu_cores=2), cpu_ids=())
    assert ledger.get((2, 1)).cpu_ids == (7, 2)


def test_unpinned_adopted_task_counts_with_free_cores_first(ledger):
    ledger.book(spec(1, cpu_cores=2))
    ledger.restore(spec(2, cpu_cores=2), cpu_ids=(2, 3, 5, 7))
    assert ledger.get((2, 1)).cpu_ids == (5, 7)


def test_guessed_cores_give_way_when_the_task_can_be_asked(ledger):
    ledger.restore(spec(1, cpu_cores=2), cpu_ids=())
    ledger.restore(spec(1, cpu_cores=2), cpu_ids=(5, 7))
    assert ledger.get((1, 1)).cpu_ids == (5, 7)
    assert ledger.book(spec(2, cpu_cores=2)).cpu_ids == (2, 3)


def test_release_is_harmless_when_nothing_is_booked(ledger):
    ledger.release((1, 1))
    assert ledger.get((1, 1)) is None
