//! The guest-physical memory of a batch: code, tables for it, frames, and the chains under test.
//!
//! ```text
//! 0x001000  GDT         0x004000  code of ring 0 and of the handlers
//! 0x002000  IDT         0x005000  code of ring 3
//! 0x003000  TSS         0x006000  stack of ring 0
//! 0x007000  top table, and the tables of all of the above
//! 0x200000  frames that the chains lead to
//! 0x400000  tables of the chains
//! ```
//!
//! The first megabytes are mapped for ring 0 at [`KERNEL`], and the code of ring 3 at [`USER`].

use pagelab::inspect::pagetable::bits::{P, U, W};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::chain::{Chain, LEVELS};

/// Size of the memory.
pub(crate) const MEMORY: usize = 16 << 20;
/// Where ring 0 sees physical address 0.
pub(crate) const KERNEL: u64 = 0xffff_ff80_0000_0000;
/// Where ring 3 sees its page of code.
pub(crate) const USER: u64 = 0x40_0000;
/// Physical addresses, see the module's drawing.
pub(crate) const GDT: u64 = 0x1000;
pub(crate) const IDT: u64 = 0x2000;
pub(crate) const TSS: u64 = 0x3000;
pub(crate) const CODE: u64 = 0x4000;
const USER_CODE: u64 = 0x5000;
const STACK: u64 = 0x6000;
pub(crate) const ROOT: u64 = 0x7000;
const OWN_TABLES: u64 = 0x8000;
const FRAMES: u64 = 0x20_0000;
const CHAIN_TABLES: u64 = 0x40_0000;

/// Top of the stack of ring 0.
pub(crate) const STACK_TOP: u64 = KERNEL + STACK + 0x1000;

/// Frames that chains lead to.
const FRAME_COUNT: u64 = 16;

/// Chains that fit one address space: one entry of the top table each, but for those that [`USER`]
/// and [`KERNEL`] need, and the first of the upper half: a KVM that runs ring 3 natively beside
/// itself, without VT-x or AMD-V, has that for its own.
pub(crate) const CHAINS: usize = 509;

/// Offsets in a page of code.
pub(crate) mod stub {
    /// `mov rax, [rdi]`, `ud2`.
    pub(crate) const READ: u64 = 0x00;
    /// `mov [rdi], rax`, `ud2`.
    pub(crate) const WRITE: u64 = 0x10;
    /// `jmp rdi`.
    pub(crate) const FETCH: u64 = 0x20;
    /// `wrpkru`, `ud2`.
    pub(crate) const WRPKRU: u64 = 0x30;
    /// `iretq`, of ring 0.
    pub(crate) const IRETQ: u64 = 0x40;
    /// Handler of vector 0; the others follow at this distance.
    pub(crate) const HANDLERS: u64 = 0x100;
    /// Bytes from one handler to the next.
    pub(crate) const HANDLER_SIZE: u64 = 0x10;
}

/// Vector of #UD: an access that was made is followed by `ud2`. (A port access would do as well,
/// but not every KVM that interprets ring 0 keeps IOPL over an `iretq` to ring 3.)
pub(crate) const DONE: u8 = 6;

/// Vectors that push an error code (SDM volume 3, table 6-1).
const WITH_ERROR_CODE: [u8; 7] = [8, 10, 11, 12, 13, 14, 17];

/// One address under test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    /// The virtual address.
    pub(crate) va: u64,
    /// The entries as written.
    pub(crate) chain: Chain,
}

/// Memory with as many chains as fit, and their addresses.
pub(crate) struct Space {
    pub(crate) memory: GuestMemoryMmap,
    pub(crate) addresses: Vec<Address>,
}

impl Space {
    /// Lays out the first chains of `chains`, at most [`CHAINS`].
    pub(crate) fn new(chains: &[Chain]) -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY)])
            .expect("16 MiB of guest memory");
        let mut space = Self {
            memory,
            addresses: Vec::new(),
        };
        space.write_system();
        let slots = (1..256).chain(257..511);
        let mut next_table = CHAIN_TABLES;
        for (number, (slot, chain)) in slots.zip(chains).enumerate() {
            let address = space.write_chain(slot, number as u64, *chain, &mut next_table);
            space.addresses.push(address);
        }
        space
    }

    fn write(&self, gpa: u64, value: u64) {
        self.memory
            .write_obj(value, GuestAddress(gpa))
            .expect("address in memory");
    }

    fn write_bytes(&self, gpa: u64, bytes: &[u8]) {
        self.memory
            .write_slice(bytes, GuestAddress(gpa))
            .expect("address in memory");
    }

    /// Puts words at the top of the stack of ring 0.
    pub(crate) fn write_stack(&self, words: &[u64]) {
        let start = STACK + 0x1000 - size_of_val(words) as u64;
        for (index, word) in (0..).zip(words) {
            self.write(start + 8 * index, *word);
        }
    }

    /// Value of 8 bytes.
    pub(crate) fn read(&self, gpa: u64) -> u64 {
        self.memory
            .read_obj(GuestAddress(gpa))
            .expect("address in memory")
    }

    /// Descriptors, code, the tables that map them, and frames.
    fn write_system(&self) {
        // Code of ring 0, data of ring 0, data of ring 3, code of ring 3 (SDM volume 3, 3.4.5).
        let descriptors = [
            0,
            0x00af_9b00_0000_ffff,
            0x00cf_9300_0000_ffff,
            0x00cf_f300_0000_ffff,
            0x00af_fb00_0000_ffff,
        ];
        for (index, descriptor) in (0..).zip(descriptors) {
            self.write(GDT + 8 * index, descriptor);
        }
        self.write_bytes(TSS + 4, &STACK_TOP.to_le_bytes());
        self.write_bytes(TSS + 102, &104u16.to_le_bytes());
        for page in [CODE, USER_CODE] {
            self.write_bytes(page + stub::READ, &[0x48, 0x8b, 0x07, 0x0f, 0x0b]);
            self.write_bytes(page + stub::WRITE, &[0x48, 0x89, 0x07, 0x0f, 0x0b]);
            self.write_bytes(page + stub::FETCH, &[0xff, 0xe7]);
            self.write_bytes(page + stub::WRPKRU, &[0x0f, 0x01, 0xef, 0x0f, 0x0b]);
        }
        self.write_bytes(CODE + stub::IRETQ, &[0x48, 0xcf]);
        for vector in 0..32u8 {
            let at = stub::HANDLERS + stub::HANDLER_SIZE * u64::from(vector);
            // `pop rdx` takes the error code; then `mov rcx, cr2` and the vector as a port.
            let mut code = Vec::new();
            if WITH_ERROR_CODE.contains(&vector) {
                code.push(0x5a);
            }
            code.extend([0x0f, 0x20, 0xd1, 0xe6, vector]);
            self.write_bytes(CODE + at, &code);
            let handler = KERNEL + CODE + at;
            // An interrupt gate to code segment 8 (SDM volume 3, figure 6-8).
            let low = (handler & 0xffff) | 8 << 16 | 0x8e << 40 | (handler >> 16 & 0xffff) << 48;
            self.write(IDT + 16 * u64::from(vector), low);
            self.write(IDT + 16 * u64::from(vector) + 8, handler >> 32);
        }
        let tables: [u64; 6] = std::array::from_fn(|index| OWN_TABLES + 0x1000 * index as u64);
        let index = |va: u64, level: u32| va >> (12 + 9 * (level - 1)) & 511;
        for (tables, va, rights) in [
            (&tables[..3], KERNEL, P | W),
            (&tables[3..], USER, P | W | U),
        ] {
            self.write(ROOT + 8 * index(va, 4), tables[0] | rights);
            self.write(tables[0] + 8 * index(va, 3), tables[1] | rights);
            self.write(tables[1] + 8 * index(va, 2), tables[2] | rights);
        }
        for page in 0..16 {
            self.write(tables[2] + 8 * page, page << 12 | P | W);
        }
        self.write(tables[5] + 8 * index(USER, 1), USER_CODE | P | U);
        for number in 0..FRAME_COUNT {
            // `mov ebx, number`, `ud2`, and a byte to make it eight: what is read, and what is
            // executed, tells the frame.
            let [a, b, c, d] = (number as u32).to_le_bytes();
            self.write_bytes(frame(number), &[0xbb, a, b, c, d, 0x0f, 0x0b, 0xf4]);
        }
    }

    /// Writes the entries of a chain. The address has the low 30 bits of the first frame, so that
    /// every size of page can map it.
    fn write_chain(&self, slot: u64, number: u64, chain: Chain, next_table: &mut u64) -> Address {
        let target = frame(number % FRAME_COUNT);
        let high = slot << 39 | (number % 512) << 30 | target;
        let va = ((high << 16) as i64 >> 16) as u64;
        let mut table = ROOT;
        for level in (chain.leaf as usize..=LEVELS).rev() {
            let flags = chain.flags[level - 1];
            let shift = 12 + 9 * (level - 1);
            let below = if level == chain.leaf as usize {
                target >> shift << shift
            } else {
                *next_table
            };
            self.write(table + 8 * (va >> shift & 511), flags | below);
            if level > chain.leaf as usize {
                table = *next_table;
                *next_table += 0x1000;
            }
        }
        Address { va, chain }
    }
}

/// Physical address of a frame.
pub(crate) fn frame(number: u64) -> u64 {
    FRAMES + number * 0x1000
}

/// The number of the frame at a physical address.
pub(crate) fn frame_number(gpa: u64) -> u64 {
    (gpa - FRAMES) / 0x1000
}
