"""
Which calls of the kernel a submission cannot make: a filter for bubblewrap's ``--seccomp``.

The namespaces already keep a program from the network and from other files. What they leave open is
closed here: new namespaces, in which a program could mount file systems that take memory without a
limit; memory that belongs to no process and no folder, and so is counted nowhere; sockets to the
machine that a virtual machine runs on, which no namespace of networks holds back; and parts of the
kernel that no assignment needs.
"""

import errno
import platform
import struct

# The numbers of the calls, for the two machines that the lock has TensorFlow for.
_CALLS = {
    "x86_64": {
        "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155,
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "memfd_create": 319,
        "memfd_secret": 447, "shmget": 29, "msgget": 68, "add_key": 248, "request_key": 249,
        "keyctl": 250, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
        "io_uring_setup": 425, "open_by_handle_at": 304, "open_tree": 428, "move_mount": 429,
        "fsopen": 430, "fsmount": 432, "mount_setattr": 442,
    },
    "aarch64": {
        "unshare": 97, "setns": 268, "mount": 40, "umount2": 39, "pivot_root": 41, "ptrace": 117,
        "process_vm_readv": 270, "process_vm_writev": 271, "memfd_create": 279,
        "memfd_secret": 447, "shmget": 194, "msgget": 186, "add_key": 217, "request_key": 218,
        "keyctl": 219, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
        "io_uring_setup": 425, "open_by_handle_at": 265, "open_tree": 428, "move_mount": 429,
        "fsopen": 430, "fsmount": 432, "mount_setattr": 442,
    },
}
_MACHINE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE, _SOCKET = {"x86_64": 56, "aarch64": 220}, {"x86_64": 41, "aarch64": 198}
_CLONE3 = 435
_NEW_NAMESPACE = 0x7E020000  # any of the flags CLONE_NEW...
_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK

_LOAD, _EQUAL, _ABOVE, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_CALL, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # where they stand in what a filter sees


def program(machine=None):
    """
    Return the filter, as bubblewrap reads it.

    Parameters
    ----------
    machine : str, optional
        As ``platform.machine()`` names it; by default this one.

    Returns
    -------
    bytes
        Empty for a machine whose calls are not known here.
    """
    machine = machine or platform.machine()
    if machine not in _CALLS:
        return b""
    refuse = (_RETURN, 0, 0, _ERROR | errno.EPERM)
    lines = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _MACHINE[machine]),
             (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _CALL)]
    if machine == "x86_64":  # the same calls under other numbers
        lines += [(_ABOVE, 0, 1, 0x40000000), refuse]
    for number in sorted(_CALLS[machine].values()):
        lines += [(_EQUAL, 0, 1, number), refuse]
    # Its flags lie in memory, where no filter can look. The C library goes on with clone instead.
    lines += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
    lines += [(_EQUAL, 0, 4, _CLONE[machine]), (_LOAD, 0, 0, _FIRST_ARGUMENT),
              (_ANY_BIT, 0, 1, _NEW_NAMESPACE), refuse, (_RETURN, 0, 0, _ALLOW)]
    lines += [(_EQUAL, 0, len(_FAMILIES) + 2, _SOCKET[machine]), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
    lines += [(_EQUAL, len(_FAMILIES) - place, 0, family)
              for place, family in enumerate(_FAMILIES)]
    lines += [refuse, (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
