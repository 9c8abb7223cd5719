//! /proc/PID/maps.

use super::{MmapRequest, PAGE, RW, World};
use core::fmt::Write;
use pagelab_abi::mman::{MapFlags, Prot};

#[test]
fn maps_is_written_as_linux_writes_it() {
    let world = World::new();
    let mut user = world.user();
    let file = world.mm().file_new().unwrap();
    let code = Prot::READ | Prot::EXEC;
    let text = MmapRequest::of_file(2 * PAGE, code, MapFlags::PRIVATE, file, 3);
    user.mmap(&text.fixed(0x40_0000)).unwrap();
    user.set_brk_start(0x60_0000);
    user.brk(0x60_0000 + 5 * PAGE);
    let shared = MmapRequest {
        flags: MapFlags::SHARED | MapFlags::ANONYMOUS,
        ..MmapRequest::anonymous(PAGE, RW)
    };
    user.mmap(&shared.fixed(0x70_0000)).unwrap();
    user.mmap(&MmapRequest::anonymous(PAGE, Prot::empty()))
        .unwrap();
    user.map_stack(0x7fff_ffff_f000, 4 * PAGE, 8 << 20).unwrap();
    let mut out = std::string::String::new();
    user.maps(&mut out, &mut |_, out| out.write_str("/bin/program"))
        .unwrap();
    let ino = world.mm().file_ino(file);
    let line = |head: &str, name: &str| std::format!("{head:<73}{name}\n");
    let mut expected = std::string::String::new();
    expected += &line(
        &std::format!("00400000-00402000 r-xp 00003000 00:01 {ino} "),
        "/bin/program",
    );
    expected += &line("00600000-00605000 rw-p 00000000 00:00 0 ", "[heap]");
    expected += &line(
        &std::format!("00700000-00701000 rw-s 00000000 00:01 {} ", ino + 1),
        "/dev/zero (deleted)",
    );
    writeln!(expected, "7ffff7ffe000-7ffff7fff000 ---p 00000000 00:00 0 ").unwrap();
    expected += &line(
        "7fffffffb000-7ffffffff000 rw-p 00000000 00:00 0 ",
        "[stack]",
    );
    assert_eq!(out, expected);
    user.destroy();
    world.mm().file_put(file);
}
