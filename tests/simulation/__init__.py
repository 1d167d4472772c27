"""The whole queue in one thread: real decisions, simulated disk, network, clock and crashes."""
