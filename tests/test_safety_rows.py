"""Which test holds which of the 53 rows of the table of bad inputs and faults.

The rows are numbered as in the table, whose words stand beside the numbers here.
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
    19: ("ten thousand ranges",
         ("test_faults_served::test_ten_thousand_ranges_cost_no_more_than_the_file",)),
    20: ("XML that fetches or expands",
         ("test_sources::test_metadata_that_tells_too_little_or_does_harm_is_refused",)),
    21: ("hrefs to files and virtual ones",
         ("test_fetch::test_a_hostile_address_is_refused_and_no_packet_is_sent",
          "test_stac_exchange::test_a_hostile_href_is_refused_and_the_rest_is_read")),
    22: ("hrefs to private addresses",
         ("test_fetch::test_a_hostile_address_is_refused_and_no_packet_is_sent",
          "test_fetch::test_a_name_is_resolved_once_and_its_address_judged")),
    23: ("redirects and rebinding", ("test_fetch::test_a_redirect_to_a_hostile_address_is_refused",
         "test_fetch::test_the_connection_goes_to_the_very_address_that_was_judged")),
    24: ("STAC items that are none",
         ("test_stac_items::test_a_broken_item_is_rejected_with_a_pointer",
          "test_stac_exchange::test_pages_in_a_circle_end_in_an_error")),
    25: ("rasters that are broken",
         ("test_ingest::test_a_damaged_file_is_refused_and_the_others_go_in",
          "test_stac_assets::test_what_is_no_raster_is_refused_whatever_its_name")),
    26: ("rasters that are bombs",
         ("test_stac_assets::test_what_would_not_fit_is_refused_from_its_header",
          "test_decoding::test_a_tile_of_two_gigapixels_in_a_file_of_two_kilobytes_is_bounded",
          "test_stac_assets::test_directories_in_a_circle_end")),
    27: ("other formats by the name of .tif",
         ("test_sources::test_a_vrt_renamed_tif_never_opens_what_it_names",)),
    28: ("a wrong or missing CRS", ("test_sources::test_a_raster_without_a_place_is_refused",
         "test_ingest_geometry::test_a_neighbouring_zone_is_brought_over_without_a_shift")),
    29: ("bands missing or coarser",
         ("test_ingest::test_a_missing_band_is_refused_and_no_other_takes_its_place",
          "test_ingest::test_coarser_bands_are_resampled_only_if_asked_for_and_this_is_recorded")),
    30: ("wrong scale and offset", ("test_stac_items::test_the_offset_is_what_the_item_says",
         "test_stac_items::test_what_cannot_be_told_is_refused")),
    31: ("nothing but cloud",
         ("test_ingest::test_an_all_cloud_scene_stays_flagged_and_an_empty_one_is_refused",)),
    32: ("the same scene again", ("test_ingest::test_a_scene_that_is_there_changes_nothing",)),
    33: ("other content under one id",
         ("test_ingest::test_other_content_under_one_id_is_refused_unless_it_replaces",)),
    34: ("two ingests at once", ("test_cube::test_a_cube_that_another_writer_holds_is_busy",
         "test_s3_store::test_8_writers_lose_no_commit_on_a_local_disk")),
    37: ("killed in the middle of an ingest",
         ("test_crash_points::test_a_kill_before_any_change_leaves_old_or_new",
          "test_crash_moments::test_kills_at_random_moments_lose_and_tear_nothing")),
    45: ("weights that are a pickle",
         ("test_models_cli::test_a_pickle_that_would_run_code_is_rejected_and_never_run",)),
    46: ("weights that are hostile",
         ("test_models_cli::test_hostile_weights_are_rejected_and_nothing_is_kept",
          "test_models_cli::test_a_changed_file_is_rejected_or_its_numbers_are_finite")),
    50: ("the store lost and back",
         ("test_faults_served::test_a_lost_store_is_a_503_and_tiles_come_when_it_is_back",)),
    52: ("edges of what can be super-resolved",
         ("test_models::test_no_data_stays_no_data_and_reaches_no_further_than_the_kernel",
          "test_models::test_blocks_of_a_cube_join_without_a_seam",
          "test_super_resolve::test_any_size_from_one_pixel_up_is_taken")),
    53: ("a reader of what was vacuumed",
         ("test_store_damage::test_vacuum_removes_what_is_superseded_and_nothing_else",)),
    36: ("disk full",
         ("test_jobs_faults::test_a_full_disk_fails_the_job_by_name_and_space_lets_it_succeed",
          "test_jobs_ledger::test_on_a_full_disk_the_reserve_lets_an_end_be_written_down",
          "test_faults_served::test_tiles_go_on_while_a_full_disk_fails_a_job_that_space_lets_succeed",
          "test_crash_moments::test_a_full_disk_leaves_the_cube_as_it_was")),
    35: ("clocks that jump",
         ("test_jobs_ledger::test_a_lease_ends_by_the_monotonic_clock_and_not_before",
          "test_jobs_ledger::test_leases_of_another_boot_of_the_machine_are_free_at_once",
          "test_store_damage::test_vacuum_spares_the_young_and_whatever_a_clock_says")),
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
          "test_safety_pages::test_a_flood_of_websockets_stops_nobody_else",
          "test_safety_layers::test_beyond_so_many_at_once_one_is_asked_to_come_back")),
    44: ("a burst of tiles",
         ("test_safety::test_a_burst_of_tiles_is_answered_rightly_or_asked_to_come_back",
          "test_safety_admission::test_a_hundred_equal_requests_are_one_drawing")),
    47: ("damaged chunks", ("test_tiles::test_a_damaged_chunk_is_a_500_for_its_tiles_alone",
         "test_store_damage::test_damaged_files_never_become_pixels")),
    48: ("stale tiles",
         ("test_tiles::test_a_new_scene_is_seen_at_once_and_old_urls_are_not_stale",)),
    49: ("parts of a cluster killed",
         ("test_jobs_cluster::test_killing_a_worker_and_restarting_the_scheduler_lose_no_job",)),
    51: ("text that would be markup, or a log line",
         ("test_webapp::test_own_assets_name_no_other_host_and_never_parse_text_as_markup",
          "test_observability::test_a_log_line_is_one_object_whatever_it_holds")),
}  # fmt: skip


@pytest.mark.parametrize("row", sorted(ROWS))
def test_a_row_is_held_by_tests_that_exist(row: int) -> None:
    _, tests = ROWS[row]
    for test in tests:
        module, _, name = test.partition("::")
        tree = ast.parse((HERE / f"{module}.py").read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_is_held() -> None:
    assert set(ROWS) == set(range(1, 54))
