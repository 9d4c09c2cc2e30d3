"""Scripts that set up, lock and judge the project; no part of the wheel."""
