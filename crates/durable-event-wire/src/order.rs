//! Sorting of keys.

use std::collections::BinaryHeap;

/// Returns the keys with their positions, sorted by key, then by position.
///
/// Uses a heap because the standard library's sorts add 15 KB to a Worker. Keys are sorted only in objects and forms
/// with dozens of them.
pub(crate) fn ordered<'a>(keys: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let heap: BinaryHeap<(&str, usize)> = keys.zip(0..).collect();
    heap.into_sorted_vec()
}

#[cfg(test)]
mod tests {
    use super::ordered;

    #[test]
    fn keys_are_sorted_and_equal_keys_keep_their_order() {
        assert_eq!(
            ordered(["b", "a", "b", "", "a"].into_iter()),
            [("", 3), ("a", 1), ("a", 4), ("b", 0), ("b", 2)]
        );
    }
}
