"""Which test holds which row of the table of bad inputs and faults, as far as the server goes.

The rows are numbered as in the table; a row that lies elsewhere, or is not held yet, says so.
"""

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# Row: what comes, and the tests that hold it.
ROWS: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("zoom out of range", ("test_tiles::test_bad_requests_are_answered_in_one_line",)),
    2: ("tile beyond its matrix", ("test_tiles::test_bad_requests_are_answered_in_one_line",)),
    3: ("tile outside the cube", ("test_tiles::test_outside_the_cube_there_is_no_content",)),
    4: ("bbox NaN or infinite",
        ("test_safety::test_bodies_that_make_no_sense_are_refused_in_one_line",)),
    5: ("bbox turned round or empty", ("test_jobs::test_bad_orders_are_refused",)),
    6: ("bbox across the antimeridian", ("test_jobs::test_bad_orders_are_refused",)),
    7: ("far too large a view", ("test_jobs::test_too_large_a_view_is_refused_with_the_limit",)),
    8: ("huge sizes and buffers",
        ("test_safety::test_a_parameter_that_nobody_knows_is_refused_by_name",)),
    9: ("unknown layer, band, format", ("test_tiles::test_bad_requests_are_answered_in_one_line",)),
    10: ("unknown cube, model, job", ("test_jobs::test_bad_orders_are_refused",
                                      "test_jobs::test_an_unknown_job_is_not_found")),
    11: ("hostile ids", ("test_safety::test_ids_that_are_none_touch_no_file",)),
    12: ("expressions and addresses", ("test_tiles::test_bad_requests_are_answered_in_one_line",)),
    13: ("floods of parameters and headers",
         ("test_safety::test_floods_of_parameters_and_of_headers_are_refused",)),
    14: ("ranges that are none", ("test_tiles::test_bad_requests_are_answered_in_one_line",)),
    15: ("dates that are none", ("test_tiles::test_bad_requests_are_answered_in_one_line",)),
    16: ("strange hosts", ("test_safety::test_a_strange_host_is_not_answered",
                           "test_safety_layers::test_other_hosts_are_not")),
    17: ("endless and packed bodies", ("test_safety::test_bodies_beyond_the_limit_are_refused",
         "test_safety_layers::test_an_endless_body_is_refused_as_soon_as_it_is_too_large")),
    18: ("bodies without sense",
         ("test_safety::test_bodies_that_make_no_sense_are_refused_in_one_line",)),
    36: ("disk full",
         ("test_jobs_faults::test_a_full_disk_fails_the_job_by_name_and_space_lets_it_succeed",
          "test_jobs_ledger::test_on_a_full_disk_the_reserve_lets_an_end_be_written_down")),
    35: ("clocks that jump",
         ("test_jobs_ledger::test_a_lease_ends_by_the_monotonic_clock_and_not_before",
          "test_jobs_ledger::test_leases_of_another_boot_of_the_machine_are_free_at_once")),
    38: ("a worker killed",
         ("test_jobs_faults::test_a_block_whose_worker_was_killed_is_computed_by_the_next_one",
          "test_jobs_faults::test_a_block_that_ends_its_worker_is_given_up_after_three_attempts")),
    39: ("the server killed",
         ("test_jobs_restart::test_a_killed_server_goes_on_with_its_jobs_and_repeats_no_block",
          "test_jobs_restart::test_twenty_kills_lose_no_job")),
    40: ("out of memory",
         ("test_jobs_faults::test_memory_beyond_the_limit_fails_the_job_by_name",)),
    41: ("slow clients",
         ("test_safety::test_a_client_that_never_ends_its_head_is_hung_up_on",)),
    42: ("a client that leaves",
         ("test_safety_admission::test_nothing_is_drawn_for_a_client_that_has_gone",)),
    43: ("foreign and too many websockets",
         ("test_safety::test_pages_elsewhere_open_no_websocket",
          "test_safety_layers::test_beyond_so_many_at_once_one_is_asked_to_come_back")),
    44: ("a burst of tiles",
         ("test_safety::test_a_burst_of_tiles_is_answered_rightly_or_asked_to_come_back",
          "test_safety_admission::test_a_hundred_equal_requests_are_one_drawing")),
    47: ("damaged chunks", ("test_tiles::test_a_damaged_chunk_is_a_500_for_its_tiles_alone",)),
    48: ("stale tiles",
         ("test_tiles::test_a_new_scene_is_seen_at_once_and_old_urls_are_not_stale",)),
    49: ("parts of a cluster killed",
         ("test_jobs_cluster::test_killing_a_worker_and_restarting_the_scheduler_lose_no_job",)),
    51: ("text that would be a log line",
         ("test_observability::test_a_log_line_is_one_object_whatever_it_holds",)),
}  # fmt: skip
# Rows of the same ranges that are held where pixels and models are, or wait for a test.
ELSEWHERE = {19, 37, 45, 46, 52, 53}
NOT_YET = {50}


@pytest.mark.parametrize("row", sorted(ROWS))
def test_a_row_is_held_by_tests_that_exist(row: int) -> None:
    _, tests = ROWS[row]
    for test in tests:
        module, _, name = test.partition("::")
        tree = ast.parse((HERE / f"{module}.py").read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_of_the_server_is_accounted_for() -> None:
    ours = {*range(1, 20), *range(36, 54)}
    assert ours <= set(ROWS) | ELSEWHERE | NOT_YET
    assert not set(ROWS) & (ELSEWHERE | NOT_YET)
