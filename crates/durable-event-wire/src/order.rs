//! The order of many keys.

use std::collections::BinaryHeap;

/// The places of `keys` in the order of the keys, and of equal ones in that of coming.
///
/// One heap for all that is sorted here: the standard library's sorts are fast, and 15 KB of a Worker. A key is sorted
/// only in what has dozens of them.
pub(crate) fn ordered<'a>(keys: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let heap: BinaryHeap<(&str, usize)> = keys.zip(0..).collect();
    heap.into_sorted_vec()
}

#[cfg(test)]
mod tests {
    use super::ordered;

    #[test]
    fn keys_are_in_order_and_equal_ones_in_that_of_coming() {
        assert_eq!(
            ordered(["b", "a", "b", "", "a"].into_iter()),
            [("", 3), ("a", 1), ("a", 4), ("b", 0), ("b", 2)]
        );
    }
}
