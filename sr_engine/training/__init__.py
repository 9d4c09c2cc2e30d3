"""What every training of srcube shares: settings from TOML, the loop, checkpoints, the log."""
