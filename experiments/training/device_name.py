"""What a line of the results calls the device that it was made on."""

CPU_THREADS = " threads"  # how a processor's name ends


def is_cpu(name: str) -> bool:
    """Whether a device is a processor; else it is a card."""
    return name.endswith(CPU_THREADS)
