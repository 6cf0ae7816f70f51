"""Where each fault of the catalogue is struck: here, or where it was covered before; the names are checked."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent

# number: (file below tests/, the beginning of a test's name). Fault 25 (suspend) is 6 with a longer pause.
WHERE: dict[int, tuple[tuple[str, str], ...]] = {
    1: (("process/test_pipes.py", "test_a_violent_death_is_seen"), ("ffmpeg/test_damage.py", "test_damage_is_raised")),
    2: (("ffmpeg/test_faults.py", "test_an_encoder_killed_at_any_moment"),),
    4: (("faults/test_deaths.py", "test_python_is_killed"), ("faults/test_deaths.py", "test_the_private_folder")),
    5: (("faults/test_deaths.py", "test_python_is_killed_while_it_reads_and_writes"),),
    6: (
        ("process/test_child.py", "test_a_child_that_is_suspended"),
        ("faults/test_deaths.py", "test_a_suspended_ffmpeg"),
    ),
    8: (("process/test_stop.py", "test_one_that_is_deaf"), ("faults/test_deaths.py", "test_a_program_that_ignores")),
    9: (("ffmpeg/test_faults.py", "test_a_full_disk"), ("faults/test_resources.py", "test_a_full_disk_under")),
    10: (
        ("faults/test_resources.py", "test_no_room_for_temporary_files"),
        ("core/test_spool.py", "test_a_full_folder"),
    ),
    11: (("core/test_spool.py", "test_a_full_folder"), ("core/test_spool.py", "test_memory_that_runs_out")),
    12: (("core/test_request.py", "test_a_read_only_folder"), ("core/test_request.py", "test_a_target_in_no_folder")),
    13: (("process/test_child.py", "test_a_process_without"), ("faults/test_resources.py", "test_no_descriptors_left")),
    14: (("faults/test_resources.py", "test_no_process_can_be_started"),),
    15: (("faults/test_many.py", "test_readers_that_are_opened"), ("api/test_bad_input.py", "test_a_hundred")),
    16: (("faults/test_deaths.py", "test_sixty_half_read"), ("faults/test_deaths.py", "test_a_thousand_half_read")),
    17: (("faults/test_deaths.py", "test_ctrl_c_at_any_moment"),),
    18: (("process/test_stop.py", "test_a_signal_for_our_group"), ("process/test_child.py", "test_it_has_a_session")),
    19: (("faults/test_deaths.py", "test_a_fork_with"), ("process/test_stop.py", "test_a_fork_that_ends")),
    20: (("faults/test_deaths.py", "test_a_pool_of_eight"),),
    21: (("faults/test_many.py", "test_two_threads_on_one_reader"),),
    22: (("faults/test_deaths.py", "test_the_thread_that_opened"), ("process/test_child.py", "test_the_thread_that")),
    23: (("faults/test_deaths.py", "test_readers_are_collected"),),
    24: (("faults/test_deaths.py", "test_the_wall_clock_jumps"),),
    25: (("faults/test_deaths.py", "test_a_suspended_ffmpeg"),),
    3: (
        ("faults/test_workers.py", "test_a_worker_is_killed"),
        ("remote/test_supervisor.py", "test_a_worker_that_died_is_started"),
    ),
    7: (("faults/test_workers.py", "test_a_worker_that_is_suspended"),),
    26: (("faults/test_workers.py", "test_a_half_open"), ("faults/test_workers.py", "test_a_worker_that_says_nothing")),
    27: (("faults/test_workers.py", "test_a_half_open"),),
    28: (
        ("faults/test_workers.py", "test_garbage_is_refused"),
        ("faults/test_workers.py", "test_garbage_on_the_bare"),
        ("faults/test_workers.py", "test_an_oversized_message"),
    ),
    29: (("capture/test_published.py", "test_whose_keys_are_wrong"),),
    30: (
        ("remote/test_client.py", "test_lossless_holds_the_source_up"),
        ("remote/test_client.py", "test_latest_gives_the_newest"),
        ("faults/test_workers.py", "test_a_reader_that_is_suspended"),
    ),
    31: (
        ("faults/test_workers.py", "test_a_reader_vanishes"),
        ("faults/test_workers.py", "test_a_reader_ends_in_time"),
    ),
    43: (
        ("capture/test_camera.py", "test_unplugged"),
        ("capture/test_stand_in.py", "test_a_film_that_ends_was_a_camera_that_is_lost"),
        ("capture/test_screen.py", "test_the_server_goes"),
    ),
    44: (
        ("faults/test_workers.py", "test_another_version"),
        ("faults/test_workers.py", "test_a_worker_of_another_version"),
    ),
    45: (
        ("remote/test_ring.py", "test_a_segment_can_neither"),
        ("remote/test_ring.py", "test_a_segment_that_could_end_us"),
    ),
    32: (("core/test_download.py", "test_slow_servers"), ("core/test_download.py", "test_too_much")),
    33: (("core/test_download.py", "test_a_name_server_that_is_silent"),),
    34: (
        ("process/test_pipes.py", "test_megabytes_of_complaints"),
        ("process/test_words.py", "test_memory_stays_small"),
    ),
    35: (("process/test_pipes.py", "test_a_program_that_lies"), ("process/test_child.py", "test_run_stops_what_sends")),
    36: (("process/test_pipes.py", "test_half_a_frame_is_an_error"), ("process/test_pipes.py", "test_half_a_head")),
    37: (("process/test_tools.py", "test_a_program_that_is"), ("faults/test_resources.py", "test_a_program_that_is")),
    38: (("process/test_child.py", "test_it_knows_nothing"), ("faults/test_resources.py", "test_the_environment")),
    39: (("faults/test_resources.py", "test_whatever_the_umask"), ("core/test_request.py", "test_a_new_file_has")),
    40: (("faults/test_resources.py", "test_a_temporary_folder"),),
    41: (("faults/test_inputs.py", "test_a_file_that_changes"), ("faults/test_inputs.py", "test_a_file_that_shrinks")),
    42: (("core/test_spool.py", "test_what_read_raises"),),
    46: (("faults/test_resources.py", "test_cpu_time"), ("faults/test_resources.py", "test_memory_that")),
    47: (("faults/test_resources.py", "test_a_kernel_without"), ("faults/test_resources.py", "test_the_state_of")),
    48: (("faults/test_many.py", "test_sixty_four"), ("faults/test_many.py", "test_who_comes_first")),
}


@pytest.mark.parametrize("number", WHERE)
def test_a_fault_is_struck_where_it_is_said_to_be(number: int) -> None:
    for file, name in WHERE[number]:
        assert f"def {name}" in (TESTS / file).read_text(), f"fault {number}: no {name} in {file}"


def test_no_fault_is_forgotten() -> None:
    assert {*WHERE} == {*range(1, 49)}
