//! Which slot an endpoint sits in. Endpoints keep the slot that they have; slots in use are dense from 0; what the kernel holds
//! beyond them is stale: no chain can choose it, and it is deleted later.

use super::table::Bytes;

/// The slots of one frontend as the kernel holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    held: Vec<Option<Bytes>>,
    live: usize,
}

/// A slot that must be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Which.
    pub slot: usize,
    /// With what.
    pub endpoint: Bytes,
    /// The kernel holds this slot already.
    pub replaces: bool,
}

impl Slots {
    /// Takes note of a slot that the kernel was read to hold. A slot far out is foreign nonsense: the caller says how many there
    /// may be.
    pub fn observe(&mut self, slot: usize, endpoint: Bytes) {
        if self.held.len() <= slot {
            self.held.resize(slot + 1, None);
        }
        self.held[slot] = Some(endpoint);
    }

    /// The endpoints that chains can choose, by slot.
    pub fn live(&self) -> impl Iterator<Item = &Bytes> {
        self.held.iter().take(self.live).flatten()
    }

    /// Every slot that the kernel holds.
    pub fn held(&self) -> impl Iterator<Item = (usize, &Bytes)> {
        self.held.iter().enumerate().filter_map(|(slot, endpoint)| Some((slot, endpoint.as_ref()?)))
    }

    /// Whether the kernel holds slots that no chain can choose.
    pub fn has_stale(&self) -> bool {
        self.held.iter().skip(self.live).any(Option::is_some)
    }

    /// Forgets the stale slots, and tells which they were.
    pub fn sweep(&mut self) -> Vec<usize> {
        let stale = self.held.drain(self.live..).zip(self.live..);
        stale.filter_map(|(endpoint, slot)| endpoint.map(|_| slot)).collect()
    }

    /// Makes exactly `endpoints` (sorted, each once) the live ones, with the fewest writes.
    pub fn assign(&mut self, endpoints: &[Bytes]) -> Vec<Write> {
        let wanted = endpoints.len();
        let mut placed = vec![false; wanted];
        let mut free = Vec::new();
        for slot in 0..wanted {
            let known = self.held.get(slot).and_then(Option::as_ref);
            match known.and_then(|endpoint| endpoints.binary_search(endpoint).ok()) {
                Some(index) if !placed[index] => placed[index] = true,
                _ => free.push(slot),
            }
        }
        self.live = wanted;
        if self.held.len() < wanted {
            self.held.resize(wanted, None);
        }
        let unplaced =
            endpoints.iter().zip(placed).filter(|(_, placed)| !placed).map(|(endpoint, _)| endpoint);
        free.into_iter()
            .zip(unplaced)
            .map(|(slot, endpoint)| {
                let before = self.held[slot].replace(endpoint.clone());
                Write { slot, endpoint: endpoint.clone(), replaces: before.is_some() }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(names: &str) -> Vec<Bytes> {
        names.bytes().map(|name| Bytes::from_slice(&[name])).collect()
    }

    fn live(slots: &Slots) -> String {
        slots.live().map(|endpoint| char::from(endpoint[0])).collect()
    }

    #[test]
    fn a_change_writes_as_little_as_it_can() {
        // from, to: live slots afterwards, slots written, stale slots left
        let cases = [
            ("", "abc", "abc", vec![0, 1, 2], vec![]),
            ("abc", "abc", "abc", vec![], vec![]),
            ("abc", "abcd", "abcd", vec![3], vec![]),
            ("abc", "bc", "cb", vec![0], vec![2]),
            ("abc", "ab", "ab", vec![], vec![2]),
            ("abc", "xyz", "xyz", vec![0, 1, 2], vec![]),
            ("abc", "acx", "axc", vec![1], vec![]),
            ("abcd", "d", "d", vec![0], vec![1, 2, 3]),
            ("abc", "", "", vec![], vec![0, 1, 2]),
        ];
        for (from, to, after, written, stale) in cases {
            let mut slots = Slots::default();
            slots.assign(&endpoints(from));
            let writes: Vec<usize> = slots.assign(&endpoints(to)).iter().map(|write| write.slot).collect();
            assert_eq!((live(&slots).as_str(), &writes), (after, &written), "{from} to {to}");
            assert_eq!(slots.sweep(), stale, "{from} to {to}");
            assert!(!slots.has_stale());
        }
    }

    #[test]
    fn a_slot_that_was_stale_is_replaced_and_not_added() {
        let mut slots = Slots::default();
        slots.assign(&endpoints("ab"));
        slots.assign(&endpoints("a"));
        let writes = slots.assign(&endpoints("ac"));
        assert_eq!(writes, [Write { slot: 1, endpoint: Bytes::from_slice(b"c"), replaces: true }]);
    }

    #[test]
    fn observed_holes_and_doubles_are_mended() {
        let mut slots = Slots::default();
        slots.observe(0, Bytes::from_slice(b"a"));
        slots.observe(2, Bytes::from_slice(b"a"));
        slots.observe(3, Bytes::from_slice(b"z"));
        slots.assign(&endpoints("abc"));
        assert_eq!(live(&slots), "abc");
        assert_eq!(slots.sweep(), [3]);
    }
}
