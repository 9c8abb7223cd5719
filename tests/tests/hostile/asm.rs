//! Code for a guest that has just started: 32-bit protected mode, flat segments, no paging.

use pagelab_abi::platform::{DOORBELL_PORT, Doorbell, EXIT_PORT, ROOT_PORT};

/// Width of an access, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    One,
    Two,
    Four,
}

impl Width {
    pub(crate) const ALL: [Self; 3] = [Self::One, Self::Two, Self::Four];

    /// The opcode of this width, from that for one byte: the operand size prefix and the low bit.
    fn opcode(self, byte: u8) -> Vec<u8> {
        match self {
            Self::One => vec![byte],
            Self::Two => vec![0x66, byte | 1],
            Self::Four => vec![byte | 1],
        }
    }
}

/// Code as it grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asm {
    pub(crate) code: Vec<u8>,
}

impl Asm {
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.code.extend(bytes);
    }

    fn load(&mut self, opcode: u8, value: u32) {
        self.raw(&[opcode]);
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn eax(&mut self, value: u32) {
        self.load(0xb8, value);
    }

    pub(crate) fn ecx(&mut self, value: u32) {
        self.load(0xb9, value);
    }

    fn edx(&mut self, value: u32) {
        self.load(0xba, value);
    }

    pub(crate) fn esi(&mut self, value: u32) {
        self.load(0xbe, value);
    }

    pub(crate) fn edi(&mut self, value: u32) {
        self.load(0xbf, value);
    }

    /// `out dx, al|ax|eax`
    pub(crate) fn out(&mut self, width: Width, port: u16, value: u32) {
        self.eax(value);
        self.edx(port.into());
        self.raw(&width.opcode(0xee));
    }

    /// `in al|ax|eax, dx`
    pub(crate) fn input(&mut self, width: Width, port: u16) {
        self.edx(port.into());
        self.raw(&width.opcode(0xec));
    }

    /// `rep outs` of `count` items from `source`.
    pub(crate) fn rep_outs(&mut self, width: Width, port: u16, source: u32, count: u32) {
        self.edx(port.into());
        self.esi(source);
        self.ecx(count);
        self.raw(&[0xf3]);
        self.raw(&width.opcode(0x6e));
    }

    /// `rep ins` of `count` items to `destination`.
    pub(crate) fn rep_ins(&mut self, width: Width, port: u16, destination: u32, count: u32) {
        self.edx(port.into());
        self.edi(destination);
        self.ecx(count);
        self.raw(&[0xf3]);
        self.raw(&width.opcode(0x6c));
    }

    /// `mov [address], al|ax|eax`
    pub(crate) fn store(&mut self, width: Width, address: u32, value: u32) {
        self.eax(value);
        self.raw(&width.opcode(0xa2));
        self.raw(&address.to_le_bytes());
    }

    /// `mov al|ax|eax, [address]`
    pub(crate) fn fetch(&mut self, width: Width, address: u32) {
        self.raw(&width.opcode(0xa0));
        self.raw(&address.to_le_bytes());
    }

    /// `rep movs` of `count` items.
    pub(crate) fn copy(&mut self, width: Width, source: u32, destination: u32, count: u32) {
        self.esi(source);
        self.edi(destination);
        self.ecx(count);
        self.raw(&[0xf3]);
        self.raw(&width.opcode(0xa4));
    }

    /// Stores bytes, four at a time.
    pub(crate) fn store_bytes(&mut self, address: u32, bytes: &[u8]) {
        for (at, chunk) in (address..).step_by(4).zip(bytes.chunks(4)) {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            self.store(Width::Four, at, u32::from_le_bytes(word));
        }
    }

    /// Repeats what `body` emits `count` times; the body leaves EBP alone.
    pub(crate) fn repeat(&mut self, count: u32, body: impl FnOnce(&mut Self)) {
        self.load(0xbd, count);
        let start = self.code.len();
        body(self);
        // dec ebp; jnz start
        self.raw(&[0x4d, 0x0f, 0x85]);
        let next = self.code.len() + 4;
        self.raw(&(start as i32 - next as i32).to_le_bytes());
    }

    /// Jumps back to what was emitted from `start` on.
    pub(crate) fn jump_back(&mut self, start: usize) {
        self.raw(&[0xe9]);
        let next = self.code.len() + 4;
        self.raw(&(start as i32 - next as i32).to_le_bytes());
    }

    pub(crate) fn root(&mut self, pfn: u32) {
        self.out(Width::Four, ROOT_PORT, pfn);
    }

    pub(crate) fn ring(&mut self, bell: Doorbell) {
        self.out(Width::Four, DOORBELL_PORT, bell as u32);
    }

    pub(crate) fn exit(&mut self, value: u32) {
        self.out(Width::Four, EXIT_PORT, value);
        self.raw(&[0xfa, 0xf4]);
    }
}
