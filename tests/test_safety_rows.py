"""Which test holds which of the 53 rows of the table of bad inputs and faults.

The rows are numbered as in the table, whose words stand beside the numbers here. Rows of requests
are held by cases of `tests/hostile_cases.py`, which are named by their ids; beside them stand the
tests of what no request shows.
"""

import ast
from pathlib import Path

import pytest

from tests.hostile_cases import CASES

HERE = Path(__file__).parent
TABLE = "test_safety_table::test_a_bad_request_is_answered_as_the_table_says"


def cases(row: int, *names: str) -> tuple[str, ...]:
    """The table's cases of a row by their names."""
    return tuple(f"{TABLE}[{row}-{name}]" for name in names)


# Row: what comes, and the tests that hold it.
ROWS: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("zoom out of range", (*cases(1, "z99", "z-1", "za"),)),
    2: ("tile beyond its matrix", (*cases(2, "x-1e30", "x-1", "y-beyond"),)),
    3: ("tile outside the cube", (*cases(3, "beside-lr", "beside-sr"),
         "test_tiles::test_outside_the_cube_there_is_no_content")),
    4: ("bbox NaN or infinite", (*cases(4, "statistics-nan-w", "export-inf-n", "trust-nan-w",
         "plan-nan-w", "cube-nan-n", "stac-search-nan-w", "items-nan-w", "position-nan", "area-nan",
         "trajectory-nan", "zonal-nan", "super-resolve-NaN", "fuse-1e400", "evaluate-NaN",
         "ingest-NaN", "explain-NaN", "stac-NaN"),)),
    5: ("bbox turned round or empty", (*cases(5, "statistics-turned", "export-empty",
         "cube-turned", "super-resolve-empty", "area-line"),)),
    6: ("bbox across the antimeridian", (*cases(6, "statistics", "export", "super-resolve",
         "stac-search-split"),)),
    7: ("far too large a view", (*cases(7, "export", "cube", "area", "job", "ingest"),
         "test_jobs::test_too_large_a_view_is_refused_with_the_limit")),
    8: ("huge sizes and buffers", (*cases(8, "tilesize-1e9", "buffer-1e9", "padding-1e9",
         "scale-1e9", "buffer-2x", "explain"),)),
    9: ("unknown layer, band, format", (*cases(9, "tms", "format", "colormap", "layer", "bands",
         "index"),)),
    10: ("unknown cube, model, job", (*cases(10, "cube", "scene", "model", "job", "job-dismiss"),
         "test_jobs_owners::test_the_job_of_another_is_answered_as_one_that_is_not_there")),
    11: ("hostile ids", (*cases(11, "cube-dots", "item-nul", "zarr-backslash",
         "model-look-alike", "job-10kB"), "test_safety::test_ids_that_are_none_touch_no_file")),
    12: ("expressions and addresses", (*cases(12, "expression-power", "algorithm", "url"),
         "test_tile_styles::test_nothing_but_the_grammar_is_accepted")),
    13: ("floods of parameters and headers", (*cases(13, "5000-parameters", "100kB-query",
         "64kB-header"), "test_safety::test_floods_of_parameters_and_of_headers_are_refused",
         "test_safety_table::test_no_answer_keeps_others_waiting_and_none_takes_memory")),
    14: ("ranges that are none", (*cases(14, "nan", "turned", "1000"),)),
    15: ("dates that are none", (*cases(15, "common-year", "year-0", "zoneless",
         "search-million-days", "search-half-open"),)),
    16: ("strange hosts", (*cases(16, "evil", "user", "two"),
         "test_safety_layers::test_other_hosts_are_not",
         "test_safety_table::test_names_in_other_headers_are_not_believed")),
    17: ("endless and packed bodies", (*cases(17, "explain-2GiB", "explain-endless",
         "explain-gzip"), "test_safety_table::test_bodies_that_are_too_large_are_never_held",
         "test_safety_layers::test_an_endless_body_is_refused_as_soon_as_it_is_too_large")),
    18: ("bodies without sense", (*cases(18, "super-resolve-deep", "super-resolve-nan",
         "super-resolve-twice", "stac-wrong-kind", "inner-twice"),)),
    19: ("ten thousand ranges", (*cases(19, "asset", "export", "chunk"),
         "test_faults_served::test_ten_thousand_ranges_cost_no_more_than_the_file")),
    20: ("XML that fetches or expands", (*cases(20, "job-application-xml", "stac-text-xml"),
         "test_sources::test_metadata_that_tells_too_little_or_does_harm_is_refused")),
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
         ("test_ingest::test_an_all_cloud_scene_stays_flagged_and_an_empty_one_is_refused",
          "test_composite::test_only_clear_pixels_with_data_count",
          "test_cloud_only::test_every_pixel_is_flagged_as_made_of_cloud",
          "test_cloud_only::test_no_interval_is_told_where_there_is_cloud",
          "test_cloud_only::test_the_figures_of_a_view_say_that_all_of_it_is_cloud")),
    32: ("the same scene again", ("test_ingest::test_a_scene_that_is_there_changes_nothing",)),
    33: ("other content under one id",
         ("test_ingest::test_other_content_under_one_id_is_refused_unless_it_replaces",)),
    34: ("two ingests at once", ("test_cube::test_a_cube_that_another_writer_holds_is_busy",
         "test_s3_store::test_8_writers_lose_no_commit_on_a_local_disk")),
    37: ("killed in the middle of an ingest",
         ("test_crash_points::test_a_kill_before_any_change_leaves_old_or_new",
          "test_crash_moments::test_kills_at_random_moments_lose_and_tear_nothing")),
    45: ("weights that are a pickle", (*cases(45, "post", "tile-weights.pt"),
         "test_models_cli::test_a_pickle_that_would_run_code_is_rejected_and_never_run")),
    46: ("weights that are hostile", (*cases(46, "post", "put"),
         "test_models_cli::test_hostile_weights_are_rejected_and_nothing_is_kept",
         "test_models_cli::test_a_changed_file_is_rejected_or_its_numbers_are_finite")),
    50: ("the store lost and back",
         ("test_faults_served::test_a_lost_store_is_a_503_and_tiles_come_when_it_is_back",)),
    52: ("edges of what can be super-resolved",
         ("test_models::test_no_data_stays_no_data_and_reaches_no_further_than_the_kernel",
          "test_models::test_blocks_of_a_cube_join_without_a_seam",
          "test_super_resolve::test_any_size_from_one_pixel_up_is_taken")),
    53: ("a reader of what was vacuumed",
         ("test_store_damage::test_a_reader_of_what_was_vacuumed_is_told_so_and_never_shown_fill_values",
          "test_store_damage::test_vacuum_removes_what_is_superseded_and_nothing_else")),
    36: ("disk full",
         ("test_jobs_faults::test_a_full_disk_fails_the_job_by_name_and_space_lets_it_succeed",
          "test_jobs_ledger::test_on_a_full_disk_the_reserve_lets_an_end_be_written_down",
          "test_faults_served::test_tiles_go_on_while_a_full_disk_fails_a_job_that_space_lets_succeed",
          "test_crash_moments::test_a_full_disk_leaves_the_cube_as_it_was")),
    35: ("clocks that jump",
         ("test_jobs_ledger::test_a_lease_ends_by_the_clock_and_not_before",
          "test_jobs_ledger::test_a_clock_that_is_set_back_keeps_no_lease",
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
         ("test_safety_slow::test_a_head_that_stalls_or_drips_is_hung_up_on_after_five_seconds",
          "test_safety_slow::test_a_body_that_stalls_is_hung_up_on",
          "test_safety_slow::test_who_reads_nothing_is_hung_up_on_and_stops_nobody",
          "test_safety_slow::test_who_reads_slowly_gets_all_of_it",
          "test_safety_slow::test_others_are_answered_beside_heads_and_bodies_that_stall")),
    42: ("a client that leaves",
         ("test_safety_admission::test_nothing_is_drawn_for_a_client_that_has_gone",
          "test_safety_slow::test_a_client_that_leaves_frees_its_place_and_nothing_is_drawn_for_it")),
    43: ("foreign and too many websockets",
         ("test_safety::test_pages_elsewhere_open_no_websocket",
          "test_safety_pages::test_a_flood_of_websockets_stops_nobody_else",
          "test_safety_layers::test_beyond_so_many_at_once_one_is_asked_to_come_back")),
    44: ("a burst of tiles",
         ("test_safety_table::test_a_burst_is_answered_as_one_after_another_or_asked_to_come_back",
          "test_safety::test_a_burst_of_tiles_is_answered_rightly_or_asked_to_come_back",
          "test_safety_admission::test_a_hundred_equal_requests_are_one_drawing")),
    47: ("damaged chunks", ("test_tiles::test_a_damaged_chunk_is_a_500_for_its_tiles_alone",
         "test_store_damage::test_damaged_files_never_become_pixels",
         "test_store_hostile::test_arrays_that_are_not_ours_are_refused_on_opening",
         "test_store_hostile::test_over_http_a_forged_cube_is_refused_and_nothing_of_its_size_is_allocated",
         "test_store_hostile::test_a_chunk_that_unpacks_to_more_than_it_may_is_damage_before_it_is_unpacked",
         "test_store_hostile::test_files_that_a_writer_left_behind_are_no_part_of_a_cube")),
    48: ("stale tiles",
         ("test_tiles::test_a_new_scene_is_seen_at_once_and_old_urls_are_not_stale",)),
    49: ("parts of a cluster killed",
         ("test_jobs_cluster::test_killing_a_worker_and_restarting_the_scheduler_lose_no_job",
          "test_jobs_cluster::test_a_scheduler_that_stays_away_fails_the_job_by_name_and_not_never")),
    51: ("text that would be markup, or a log line",
         ("test_webapp_hostile::test_titles_notices_and_credits_are_shown_as_they_are_written",
         "test_webapp_hostile::test_every_tool_shows_hostile_words_as_words",
         "test_webapp_hostile::test_documents_as_pages_show_hostile_words_as_words",
         "test_webapp_hostile::test_ids_of_scenes_are_names_or_refused",
         "test_webapp_hostile::test_no_cell_of_a_table_is_a_formula",
         "test_observability::test_a_log_line_is_one_object_whatever_it_holds")),
}  # fmt: skip


def assert_exists(test: str) -> None:
    """Fail unless there is a test of this name, and a case of the table where one is named."""
    module, _, name = test.partition("::")
    name, _, parameter = name.rstrip("]").partition("[")
    tree = ast.parse((HERE / f"{module}.py").read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, test
    if parameter:
        assert test.startswith(TABLE)
        assert parameter in {case.id for case in CASES}, test


@pytest.mark.parametrize("row", sorted(ROWS))
def test_a_row_is_held_by_tests_that_exist(row: int) -> None:
    _, tests = ROWS[row]
    assert tests
    for test in tests:
        assert_exists(test)


def test_every_row_is_held() -> None:
    assert set(ROWS) == set(range(1, 54))


def test_every_row_of_the_table_of_requests_names_its_cases() -> None:
    for row in {case.row for case in CASES}:
        assert any(one.startswith(f"{TABLE}[{row}-") for one in ROWS[row][1]), row
