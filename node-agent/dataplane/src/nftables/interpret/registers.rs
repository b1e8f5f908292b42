//! The registers of one rule. What was not loaded cannot be read: the kernel would compare whatever an earlier rule left.

use super::super::expr::Register;

/// Bytes of all registers: 16 of 4 (`NFT_REG32_COUNT`).
const SIZE: usize = 64;

/// Sixteen 4-byte registers, and which of their bytes were loaded.
#[derive(Clone, Debug)]
pub struct Registers {
    bytes: [u8; SIZE],
    loaded: u64,
}

impl Registers {
    /// Nothing loaded.
    pub fn new() -> Self {
        Self { bytes: [0; SIZE], loaded: 0 }
    }

    /// Stores `value` from `register` on, the last word filled up with zeros; `None` if it does not fit.
    pub fn store(&mut self, register: Register, value: &[u8]) -> Option<()> {
        let first = usize::from(register) * 4;
        let length = value.len().next_multiple_of(4);
        let room = self.bytes.get_mut(first..first + length)?;
        room.fill(0);
        room.get_mut(..value.len())?.copy_from_slice(value);
        (first..first + length).for_each(|byte| self.loaded |= 1 << byte);
        Some(())
    }

    /// The first `length` bytes from `register` on; `None` if not all of them were loaded.
    pub fn load(&self, register: Register, length: usize) -> Option<&[u8]> {
        let first = usize::from(register) * 4;
        let value = self.bytes.get(first..first + length)?;
        (first..first + length).all(|byte| self.loaded & 1 << byte != 0).then_some(value)
    }

    /// A register as a number in host order.
    pub fn number(&self, register: Register) -> Option<u32> {
        self.load(register, 4)?.try_into().ok().map(u32::from_ne_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_loaded_can_be_read() {
        let mut registers = Registers::new();
        assert_eq!(registers.load(0, 1), None);
        assert_eq!(registers.store(1, &[7, 8]), Some(()));
        assert_eq!(registers.load(1, 4), Some([7, 8, 0, 0].as_slice()));
        assert_eq!(registers.load(1, 5), None);
        assert_eq!(registers.load(0, 4), None);
        assert_eq!(registers.store(1, &[9]), Some(()));
        assert_eq!(registers.load(1, 4), Some([9, 0, 0, 0].as_slice()));
        assert_eq!(registers.store(15, &[1; 4]), Some(()));
        assert_eq!(registers.store(15, &[1; 5]), None);
        assert_eq!(registers.load(16, 4), None);
    }
}
