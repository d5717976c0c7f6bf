"""Pickles that run code, and tensors that are not what they say: in the zip format and in the legacy one."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from pathlib import Path

from hostile import (
    QuietTrap,
    Trap,
    hostile,
    in_dict,
    number,
    saved,
    storage,
    tensor,
    text,
    torch_zip,
    weights,
)

OLD = {"_use_new_zipfile_serialization": False}
#: Sixty tuples, each of the one before twice: to hash, compare or print the last takes 2^60 steps.
DOUBLED = b")q\x7f" + b"h\x7f\x86q\x7f" * 60


@hostile(".pt")
def os_system_in_zip(path: Path, canary: Path) -> None:
    path.write_bytes(saved({"state_dict": Trap(canary)}))


@hostile(".pt")
def quiet_call_in_zip(path: Path, canary: Path) -> None:
    path.write_bytes(saved(QuietTrap(canary)))


@hostile(".pt")
def os_system_in_legacy(path: Path, canary: Path) -> None:
    path.write_bytes(saved({"state_dict": Trap(canary)}, **OLD))


@hostile(".pt")
def trap_among_weights(path: Path, canary: Path) -> None:
    path.write_bytes(saved({"state_dict": weights(), "history": [{"best": [QuietTrap(canary)]}]}))


@hostile(".pt")
def trap_as_a_weight(path: Path, canary: Path) -> None:
    path.write_bytes(saved({**weights(), "5.weight": Trap(canary)}, **OLD))


@hostile(".pt")
def whole_module(path: Path, canary: Path) -> None:
    import torch

    path.write_bytes(saved(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1))))


@hostile(".pth")
def whole_module_legacy(path: Path, canary: Path) -> None:
    import torch

    path.write_bytes(saved(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1)), **OLD))


def raw(pickled: str, canary: Path) -> bytes:
    """A pickle whose opcodes are written out, with the canary's command where it says COMMAND."""
    return torch_zip(pickled.replace("COMMAND", f"touch {canary}").encode("latin-1"))


@hostile(".pt")
def named_on_the_stack(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(pickle.dumps({"w": Trap(canary)}, protocol=5)))


@hostile(".pt")
def protocol_0(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(pickle.dumps({"w": Trap(canary)}, protocol=0)))


@hostile(".pt")
def by_inst(path: Path, canary: Path) -> None:
    path.write_bytes(raw("(S'COMMAND'\nios\nsystem\n.", canary))


@hostile(".pt")
def by_obj(path: Path, canary: Path) -> None:
    path.write_bytes(raw("(cos\nsystem\nS'COMMAND'\no.", canary))


@hostile(".pt")
def by_the_name_of_python_2(path: Path, canary: Path) -> None:
    path.write_bytes(raw("c__builtin__\neval\n(S\"__import__('os').system('COMMAND')\"\ntR.", canary))


@hostile(".pt")
def by_an_extension_code(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(b"\x80\x02\x82\x07(tR."))


@hostile(".pt")
def thrown_away_again(path: Path, canary: Path) -> None:
    path.write_bytes(raw("cos\nsystem\n(S'COMMAND'\ntR0}.", canary))  # POP: the value shows nothing of it


@hostile(".pt")
def call_of_what_was_made(path: Path, canary: Path) -> None:
    call = b"ccollections\nOrderedDict\n)R(" + text("x") + b"tR"
    path.write_bytes(torch_zip(in_dict(call)))


@hostile(".pt")
def trap_in_a_later_pickle(path: Path, canary: Path) -> None:
    """The legacy format holds five; here the one of the system's facts strikes."""
    data = saved(weights(), **OLD)
    start = data.index(b"}q\0(X\x10\0\0\0protocol_version") - 2
    end = data.index(b".", data.index(b"type_sizes")) + 1
    path.write_bytes(data[:start] + pickle.dumps(Trap(canary), 2) + data[data.index(b"\x80\x02", end) :])


@hostile(".pt")
def trap_in_the_list_of_storages(path: Path, canary: Path) -> None:
    data = saved({"a": 1}, **OLD)
    start = data.rindex(b"\x80\x02]")
    path.write_bytes(data[:start] + pickle.dumps([Trap(canary)], 2))


@hostile(".pt")
def source_of_a_module(path: Path, canary: Path) -> None:
    """The legacy format lets a pickle name a class with its source, which PyTorch compares and patches."""
    data = saved({"a": 1}, **OLD)
    start = data.rindex(b"\x80\x02}q\0X\x01\0\0\0a")
    pid = b"(" + text("module") + b"cos\nsystem\n" + text("a.py") + text("code") + b"tQ"
    path.write_bytes(data[:start] + in_dict(pid) + pickle.dumps([], 2))


@hostile(".pt")
def attribute_over_a_method(path: Path, canary: Path) -> None:
    build = b"ccollections\nOrderedDict\n)R}" + text("items") + b"K\x01sb"
    path.write_bytes(torch_zip(b"\x80\x02" + build + b"."))


@hostile(".pt")
def storage_larger_than_stored(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(in_dict(tensor(1 << 20, 0, (1 << 20,), (1,))), {"0": bytes(16)}))


@hostile(".pt", "CannotOpen")
def storage_not_there(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(in_dict(tensor(4, 0, (4,), (1,)))))


@hostile(".pt")
def tensor_beyond_its_storage(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(in_dict(tensor(4, 2, (4,), (1,))), {"0": bytes(16)}))


@hostile(".pt")
def tensor_blown_up(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(in_dict(tensor(4, 0, (1 << 20, 1 << 20), (0, 0))), {"0": bytes(16)}))


@hostile(".pt")
def negative_stride(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(in_dict(tensor(4, 0, (4,), (-1,))), {"0": bytes(16)}))


@hostile(".pt")
def negative_offset(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(in_dict(tensor(4, -64, (4,), (1,))), {"0": bytes(16)}))


@hostile(".pt")
def legacy_bomb(path: Path, canary: Path) -> None:
    """A few hundred bytes that claim 4 GiB; the reader allocates before it looks."""
    data = saved({"a": 1}, **OLD)
    start = data.rindex(b"\x80\x02}q\0X\x01\0\0\0a")
    claim = storage(1 << 30).replace(b"tQ", b"NtQ")
    path.write_bytes(data[:start] + in_dict(claim) + pickle.dumps(["0"], 2) + bytes(8))


@hostile(".pt")
def bytearray_by_size(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(in_dict(b"c__builtin__\nbytearray\n" + number(1 << 40) + b"\x85R")))


@hostile(".pt")
def tensor_by_size(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(in_dict(b"ctorch\nFloatTensor\n" + number(1 << 40) + b"\x85R")))


@hostile(".pt")
def parameter_by_newobj(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(in_dict(b"ctorch\nTensor\n" + number(1 << 40) + b"\x85\x81")))


@hostile(".pt")
def key_slow_to_hash(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(b"\x80\x02}" + DOUBLED + b"K\x01s."))


@hostile(".pt")
def member_slow_to_hash(path: Path, canary: Path) -> None:
    inside = b"c__builtin__\nset\n(](" + DOUBLED + b"etR"
    path.write_bytes(torch_zip(in_dict(inside)))


@hostile(".pt")
def function_slow_to_print(path: Path, canary: Path) -> None:
    """What is called is a tuple of tuples that would print as 2^60 signs."""
    path.write_bytes(torch_zip(in_dict(DOUBLED + b")R")))


@hostile(".pt")
def encoding_slow_to_hash(path: Path, canary: Path) -> None:
    inside = b"c_codecs\nencode\n(" + text("x") + DOUBLED + b"tR"
    path.write_bytes(torch_zip(in_dict(inside)))


@hostile(".pt", "CannotOpen")
def version_slow_to_print(path: Path, canary: Path) -> None:
    data = saved({"a": 1}, **OLD)
    version = data.index(b"\x80\x02M\xe9\x03.")
    path.write_bytes(data[:version] + b"\x80\x02" + DOUBLED + b"." + data[version + 6 :])


@hostile(".pt")
def name_that_steers_the_terminal(path: Path, canary: Path) -> None:
    name = text("\x1b[2J") + b"X\x03\0\0\0\xed\xa0\x80" + b"\x93"  # a lone surrogate, as pickle lets pass
    path.write_bytes(torch_zip(b"\x80\x04}" + text("w") + name + b"s."))


@hostile(".pt")
def flood_of_opcodes(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(b"\x80\x02(" + b"}" * 1_500_000 + b"l."))


@hostile(".pt")
def parameters_in_parameters(path: Path, canary: Path) -> None:
    head = b"ctorch._utils\n_rebuild_parameter\n(" * 20_000
    tail = b"\x89ccollections\nOrderedDict\n)RtR" * 20_000
    path.write_bytes(torch_zip(in_dict(head + tensor(4, 0, (4,), (1,)) + tail), {"0": bytes(16)}))


@hostile(".pt", "CnnlensError")
def dicts_in_dicts(path: Path, canary: Path) -> None:
    path.write_bytes(
        torch_zip(b"\x80\x02" + (b"}" + text("state_dict")) * 50_000 + b"}" + b"s" * 50_000 + b".")
    )


@hostile(".pt", "CannotOpen")
def memo_far_away(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(b"\x80\x02}r\xff\xff\xff\x7f."))  # C's unpickler would make room for 2^31


@hostile(".pt", "CannotOpen")
def text_of_four_gigabytes(path: Path, canary: Path) -> None:
    path.write_bytes(torch_zip(b"\x80\x02}X\xff\xff\xff\xffshort."))


@hostile(".pt")
def csr_of_more_than_it_has(path: Path, canary: Path) -> None:
    """The public proof of concept: 4096 non-zeros claimed, one stored; a product then reads beyond."""
    import torch

    sparse = torch.sparse_csr_tensor(
        torch.tensor([0, 4096]), torch.tensor([0]), torch.ones(1), (1, 4096), check_invariants=False
    )
    path.write_bytes(saved({"w": sparse}))


@hostile(".pt")
def coo_with_indices_outside(path: Path, canary: Path) -> None:
    import torch

    sparse = torch.sparse_coo_tensor(
        torch.tensor([[1 << 40], [0]]), torch.ones(1), (2, 2), check_invariants=False
    )
    path.write_bytes(saved({"w": sparse}))


@hostile(".pt")
def quantised(path: Path, canary: Path) -> None:
    call = b"ctorch._utils\n_rebuild_qtensor\n(" + storage(4, kind="QInt8Storage") + b"K\0)))\x89NtR"
    path.write_bytes(torch_zip(in_dict(call), {"0": bytes(4)}))


@hostile(".pt")
def without_storage(path: Path, canary: Path) -> None:
    call = b"ctorch._utils\n_rebuild_meta_tensor_no_storage\n(ctorch\nfloat32\n"
    path.write_bytes(torch_zip(in_dict(call + b"K\x04\x85K\x01\x85\x89tR")))


@hostile(".pt")
def torch_script(path: Path, canary: Path) -> None:
    import torch

    torch.jit.script(torch.nn.Sequential(torch.nn.Linear(2, 2))).save(str(path))


@hostile(".pt2")
def exported_program(path: Path, canary: Path) -> None:
    """The layout of torch.export.save; its sample inputs are read by PyTorch as a full pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("e/models/model.json", "{}")
        archive.writestr("e/data/sample_inputs/model.pt", saved(Trap(canary)))
        archive.writestr("e/archive_format", "pt2")


@hostile(".pt", "CannotOpen")
def plain_pickle(path: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps(Trap(canary)))


@hostile(".pt", "CannotOpen")
def plain_pickle_of_protocol_0(path: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps({"w": Trap(canary)}, protocol=0))


@hostile(".pt", "CannotOpen")
def tar_of_old_torch(path: Path, canary: Path) -> None:
    with tarfile.open(path, "w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            data = pickle.dumps(Trap(canary))
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
