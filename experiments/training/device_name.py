"""What a line of the results calls the device that it was made on."""

CPU_THREADS = " threads"  # how a processor's name ends


def is_cpu(name: str) -> bool:
    """Whether a device is a processor; else it is a card."""
    return name.endswith(CPU_THREADS)


def without_threads(name: str) -> str:
    """The device alone: a processor's name ends with how many threads were used."""
    return name.rsplit(", ", 1)[0] if is_cpu(name) else name
