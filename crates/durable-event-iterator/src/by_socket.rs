//! What is kept for each of an object's sockets.

/// Values by the keys of sockets ([`RawSocket::key`](crate::runtime::RawSocket::key)), in the order of the keys: a socket's key is
/// higher than those before it, so that what is added mostly comes to the end. As a part of a Worker it is a tenth of the
/// standard library's tree.
pub(crate) struct BySocket<T>(Vec<(u32, T)>);

impl<T> Default for BySocket<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> BySocket<T> {
    pub(crate) fn get(&self, socket: u32) -> Option<&T> {
        self.0.get(self.place(socket).ok()?).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, socket: u32) -> Option<&mut T> {
        let at = self.place(socket).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Replaces what was there.
    pub(crate) fn set(&mut self, socket: u32, value: T) {
        match self.place(socket) {
            Ok(at) => {
                if let Some(slot) = self.0.get_mut(at) {
                    slot.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (socket, value)),
        }
    }

    pub(crate) fn remove(&mut self, socket: u32) -> Option<T> {
        let at = self.place(socket).ok()?;
        Some(self.0.remove(at).1)
    }

    /// Where the value of this key is, or belongs.
    fn place(&self, socket: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&socket, |(other, _)| *other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_keeps_what_a_map_keeps(steps in proptest::collection::vec((0_u32..8, proptest::option::of(any::<u8>())), 0..40)) {
            let (mut kept, mut model) = (BySocket::default(), BTreeMap::new());
            for (socket, value) in steps {
                match value {
                    Some(value) => {
                        kept.set(socket, value);
                        model.insert(socket, value);
                    }
                    None => prop_assert_eq!(kept.remove(socket), model.remove(&socket)),
                }
                prop_assert_eq!(kept.0.len(), model.len());
                for socket in 0..8 {
                    prop_assert_eq!(kept.get(socket), model.get(&socket));
                    prop_assert_eq!(kept.get_mut(socket), model.get_mut(&socket));
                }
            }
        }
    }
}
