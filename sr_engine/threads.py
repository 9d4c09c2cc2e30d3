"""How many processor cores torch may take."""

import torch


def use_one_thread() -> None:
    """Let torch compute on the calling thread alone.

    Beside map tiles, threads that wait for one another cost more than they save.
    """
    torch.set_num_threads(1)
